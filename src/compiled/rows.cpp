// A part of tandem::compiled: see tandem/compiled.hpp.
#define TANDEM_ROWS template
#include "tandem/compiled.hpp"

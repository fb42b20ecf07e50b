// A part of tandem::compiled: see tandem/compiled.hpp.
#define TANDEM_REDUCTIONS template
#include "tandem/compiled.hpp"

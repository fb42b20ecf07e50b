// A part of tandem::compiled: see tandem/compiled.hpp.
#define TANDEM_ELEMENTWISE template
#include "tandem/compiled.hpp"

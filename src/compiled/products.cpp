// A part of tandem::compiled: see tandem/compiled.hpp.
#define TANDEM_PRODUCTS template
#include "tandem/compiled.hpp"

// A part of tandem::compiled: see tandem/compiled.hpp.
#define TANDEM_AUTOGRAD template
#include "tandem/compiled.hpp"

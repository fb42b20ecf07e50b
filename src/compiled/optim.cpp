// A part of tandem::compiled: see tandem/compiled.hpp.
#define TANDEM_OPTIM template
#include "tandem/compiled.hpp"

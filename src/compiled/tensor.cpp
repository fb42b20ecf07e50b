// A part of tandem::compiled: see tandem/compiled.hpp.
#define TANDEM_TENSOR template
#include "tandem/compiled.hpp"

// A part of tandem::compiled: see tandem/compiled.hpp.
#define TANDEM_NN template
#include "tandem/compiled.hpp"

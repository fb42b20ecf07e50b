// A part of tandem::compiled: see tandem/compiled.hpp.
#define TANDEM_SELECTIONS template
#include "tandem/compiled.hpp"

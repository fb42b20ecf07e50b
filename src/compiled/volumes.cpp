// A part of tandem::compiled: see tandem/compiled.hpp.
#define TANDEM_VOLUMES template
#include "tandem/compiled.hpp"

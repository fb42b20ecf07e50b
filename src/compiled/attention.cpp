// A part of tandem::compiled: see tandem/compiled.hpp.
#define TANDEM_ATTENTION template
#include "tandem/compiled.hpp"

// A part of tandem::compiled: see tandem/compiled.hpp.
#define TANDEM_GEMM template
#include "tandem/compiled.hpp"

/// log — ln x;  dx = dy/x.

#include "map.cuh"
#include "tandem/formula/log.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered = register_maps<1, Log>() && register_maps<2, LogGradient>();

}  // namespace
}  // namespace tandem_kernels

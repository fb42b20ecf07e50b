/// abs — |x|;  dx = dy·sign(x), 0 at 0.

#include "map.cuh"
#include "tandem/formula/abs.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered =
    register_maps<1, Abs>() && register_maps<2, AbsGradient>() && register_integer_maps<1, Abs>();

}  // namespace
}  // namespace tandem_kernels

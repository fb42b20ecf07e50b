/// sigmoid — σ(x) = 1/(1 + e⁻ˣ);  dx = dy·y·(1 − y).

#include "map.cuh"
#include "tandem/formula/sigmoid.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered =
    register_maps<1, Sigmoid>() && register_maps<2, SigmoidGradient>();

}  // namespace
}  // namespace tandem_kernels

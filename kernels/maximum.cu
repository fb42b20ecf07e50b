/// maximum — max(a, b), min(a, b), NaN if either is; the gradient, halved where both are equal.

#include "map.cuh"
#include "tandem/formula/maximum.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered =
    register_maps<2, Maximum, Minimum>() && register_maps<3, MaximumGradient, MinimumGradient>();

}  // namespace
}  // namespace tandem_kernels

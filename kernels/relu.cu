/// relu — max(0, x), NaN stays;  dx = dy where y > 0 (or x > 0, which is the same), else 0.

#include "map.cuh"
#include "tandem/formula/relu.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered =
    register_maps<1, Relu>() && register_maps<2, ReluGradient>();

}  // namespace
}  // namespace tandem_kernels

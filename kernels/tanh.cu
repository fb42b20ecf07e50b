/// tanh — tanh x;  dx = dy·(1 − y²).

#include "map.cuh"
#include "tandem/formula/tanh.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered =
    register_maps<1, Tanh>() && register_maps<2, TanhGradient>();

}  // namespace
}  // namespace tandem_kernels

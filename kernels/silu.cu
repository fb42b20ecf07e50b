/// silu — x·s, s = σ(x);  dx = dy·s·(1 + x·(1 − s)).

#include "map.cuh"
#include "tandem/formula/silu.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered =
    register_maps<1, Silu>() && register_maps<2, SiluGradient>();

}  // namespace
}  // namespace tandem_kernels

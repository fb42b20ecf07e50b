/// softplus — ln(1 + eˣ) = max(0, x) + ln(1 + e^−|x|);  dx = dy·σ(x).

#include "map.cuh"
#include "tandem/formula/softplus.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered =
    register_maps<1, Softplus>() && register_maps<2, SoftplusGradient>();

}  // namespace
}  // namespace tandem_kernels

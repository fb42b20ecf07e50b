/// gelu — x·Φ(x), Φ(x) = (1 + erf(x/√2))/2;  dx = dy·(Φ(x) + x·φ(x)),  φ(x) = e^(−x²/2)/√(2π).

#include "map.cuh"
#include "tandem/formula/gelu.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered =
    register_maps<1, Gelu>() && register_maps<2, GeluGradient>();

}  // namespace
}  // namespace tandem_kernels

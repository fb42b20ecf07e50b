/// gelu — x·Φ(x), Φ(x) = (1 + erf(x/√2))/2;  dx = dy·(Φ(x) + x·φ(x)),  φ(x) = e^(−x²/2)/√(2π);
/// and its form with tanh.

#include "map.cuh"
#include "tandem/formula/gelu.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered =
    register_maps<1, Gelu, GeluTanh>() && register_maps<2, GeluGradient, GeluTanhGradient>();

}  // namespace
}  // namespace tandem_kernels

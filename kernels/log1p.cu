/// log1p — ln(1 + x);  dx = dy/(1 + x).

#include "map.cuh"
#include "tandem/formula/log1p.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered =
    register_maps<1, Log1p>() && register_maps<2, Log1pGradient>();

}  // namespace
}  // namespace tandem_kernels

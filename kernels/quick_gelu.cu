/// quick_gelu — x·s, s = σ(1.702x);  dx = dy·s·(1 + 1.702x·(1 − s)).

#include "map.cuh"
#include "tandem/formula/quick_gelu.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered =
    register_maps<1, QuickGelu>() && register_maps<2, QuickGeluGradient>();

}  // namespace
}  // namespace tandem_kernels

/// clamp — min(max(x, low), high), NaN stays;  dx = dy where low ≤ x ≤ high, else 0.

#include "map.cuh"
#include "tandem/formula/clamp.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered = register_map_templates<1, Clamp>() &&
                                         register_map_templates<2, ClampGradient>() &&
                                         register_integer_map_templates<1, Clamp>();

}  // namespace
}  // namespace tandem_kernels

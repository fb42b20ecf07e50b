/// leaky_relu — x where x > 0, slope·x elsewhere;  dx = dy, or slope·dy.

#include "map.cuh"
#include "tandem/formula/leaky_relu.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered =
    register_map_templates<1, LeakyRelu>() && register_map_templates<2, LeakyReluGradient>();

}  // namespace
}  // namespace tandem_kernels

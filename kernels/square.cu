/// square — x²;  dx = 2·x·dy.

#include "map.cuh"
#include "tandem/formula/square.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered =
    register_maps<1, Square>() && register_maps<2, SquareGradient>();

}  // namespace
}  // namespace tandem_kernels

/// rsqrt — 1/√x;  dx = −½·dy·y³.

#include "map.cuh"
#include "tandem/formula/rsqrt.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered =
    register_maps<1, Rsqrt>() && register_maps<2, RsqrtGradient>();

}  // namespace
}  // namespace tandem_kernels

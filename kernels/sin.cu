/// sin — sin x;  dx = dy·cos x.   cos x;  dx = −dy·sin x.

#include "map.cuh"
#include "tandem/formula/sin.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered =
    register_maps<1, Sin, Cos>() && register_maps<2, SinGradient, CosGradient>();

}  // namespace
}  // namespace tandem_kernels

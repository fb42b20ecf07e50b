/// sqrt — √x, correctly rounded;  dx = dy/(2y).

#include "map.cuh"
#include "tandem/formula/sqrt.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered =
    register_maps<1, Sqrt>() && register_maps<2, SqrtGradient>();

}  // namespace
}  // namespace tandem_kernels

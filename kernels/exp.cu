/// exp — eˣ;  dx = dy·y.

#include "map.cuh"
#include "tandem/formula/exp.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered = register_maps<1, Exp>() && register_maps<2, ExpGradient>();

}  // namespace
}  // namespace tandem_kernels

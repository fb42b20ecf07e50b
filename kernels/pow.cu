/// pow — xᵖ for a number p, by multiplying for small whole p and by pow in double otherwise.

#include "map.cuh"
#include "tandem/formula/pow.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
[[maybe_unused]] const bool registered = register_maps<1, WholePower, Power>();

}  // namespace
}  // namespace tandem_kernels

/// arithmetic — a + b, a − b, a·b, a/b, −a, with a number in place of either operand; their
/// gradients, and the sum of two gradients that arrive at one tensor.

#include "map.cuh"
#include "tandem/formula/arithmetic.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
template <class C>
using AddRight = ScalarRight<Add, C>;
template <class C>
using SubRight = ScalarRight<Sub, C>;
template <class C>
using MulRight = ScalarRight<Mul, C>;
template <class C>
using DivRight = ScalarRight<Div, C>;
template <class C>
using SubLeft = ScalarLeft<Sub, C>;
template <class C>
using DivLeft = ScalarLeft<Div, C>;

[[maybe_unused]] const bool registered =
    register_maps<2, Add, Sub, Mul, Div>() && register_maps<1, Neg>() &&
    register_maps<3, DivisorGradient>() &&
    register_map_templates<1, AddRight, SubRight, MulRight, DivRight, SubLeft, DivLeft>();

}  // namespace
}  // namespace tandem_kernels

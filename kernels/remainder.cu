/// remainder — a − b·⌊a/b⌋, of b's sign, also for a number b;  db = −dy·⌊a/b⌋.

#include "map.cuh"
#include "tandem/formula/arithmetic.hpp"
#include "tandem/formula/remainder.hpp"

namespace tandem_kernels {
namespace {

using namespace tandem::formula;
template <class C>
using RemainderRight = ScalarRight<Remainder, C>;

[[maybe_unused]] const bool registered = register_maps<2, Remainder>() &&
                                         register_maps<3, RemainderDivisorGradient>() &&
                                         register_map_templates<1, RemainderRight>();

}  // namespace
}  // namespace tandem_kernels

#pragma once
/// What an op of one's own is made of, outside of this library: names in tandem::extend that stay,
/// whatever the headers behind them are called.
///
/// An elementwise op is a formula, its gradient and a line (examples/custom_op.cpp):
///
///   struct Cube {
///     template <class V> TANDEM_FORMULA V operator()(V x) const { return x * x * x; }
///   };
///   struct CubeGradient {
///     template <class V> TANDEM_FORMULA V operator()(V dy, V x) const {
///       return dy * V(extend::element_t<V>(3)) * x * x;
///     }
///   };
///   template <FloatingElement T>
///   Tensor<T> cube(const Tensor<T>& x) {
///     return extend::saving_input<CubeGradient>("cube", Cube(), x);
///   }
///   cube(tensor<float>({2, -1}));   // → [8., -1.]
///
/// A formula is one text for a SIMD vector V of the CPU and for one number on a GPU: no `if`, `?:`,
/// `&&`, `||` or `!` of its operands. Comparisons (`<`, `<=`, `>`, `>=`, `==`, `!=`) give a truth
/// per lane; `&` and `|` join them, and `select(x > t, a, b)` chooses by them. Numbers are written
/// `V(extend::element_t<V>(3))`. There are `+`, `-`, `*`, `/` and these functions: `exp`, `log`,
/// `log1p`, `sqrt`, `tanh`, `erf`, `sin`, `cos`, `floor`, `abs`, `fma(a, b, c)` = a·b + c, `min`
/// and `max` (b if either is NaN), `max_nan` (NaN if either is) and `select`. TANDEM_FORMULA makes
/// the formula a part of its caller, for each instruction set; without it programs are slow or do
/// not link.
///
/// map() and map_into() apply a formula to tensors that broadcast, without a graph:
///
///   struct Twice {
///     template <class V> TANDEM_FORMULA V operator()(V x) const { return x + x; }
///   };
///   extend::map("twice", Twice(), tensor<float>({2, 3}));   // → [4., 6.]
///   const Tensor<float> out = zeros<float>({2});
///   extend::map_into(out, Twice(), tensor<float>({5}));
///   out;                                                    // → [10., 10.]
///
/// An op of two inputs, of which either may be broadcast: what a gradient is not asked for stays
/// undefined, and sum_to_shape() sums it over the dimensions in which its input was repeated:
///
///   struct Product {
///     template <class V> TANDEM_FORMULA V operator()(V x, V s) const { return x * s; }
///   };
///   template <FloatingElement T>
///   Tensor<T> scaled(const Tensor<T>& x, const Tensor<T>& s) {   // y = x·s
///     const char* const op = "scaled";
///     extend::require_defined(op, "x", x, "s", s);
///     return extend::record(op, extend::map(op, Product(), x, s),
///         [op, x = extend::save(x), s = extend::save(s)](const Tensor<T>& dy,
///                                                        extend::Needs need) {
///           Tensor<T> dx, ds;
///           const auto part = [&](const Tensor<T>& other, const Shape& shape) {
///             return extend::sum_to_shape(extend::map(op, Product(), dy, other), shape);
///           };
///           if (need[0]) dx = part(s.get(), x.get().shape());
///           if (need[1]) ds = part(x.get(), s.get().shape());
///           return std::tuple(dx, ds);
///         }, x, s);
///   }
///   scaled(tensor<float>({{1, 2}, {3, 4}}), tensor<float>({10, 1}));   // → [[10., 2.], [30., 4.]]
///   extend::gradcheck([](const auto& x) { return scaled(x[0], x[1]); },
///                     {ones<double>({2, 3}), ones<double>({3})});
///
/// Any other op checks its arguments (the door), computes on plain pointers, and calls record():
///
///   template <FloatingElement T>
///   Tensor<T> energy(const Tensor<T>& x) {     // y[i] = Σ x[i, ·]²
///     extend::require_defined("energy", "x", x);
///     TANDEM_CHECK(x.rank() == 2, "energy", "x must be (n, d), got ", x.shape());
///     const Tensor<T> xs = x.detach().contiguous();
///     const std::int64_t n = xs.size(0), d = xs.size(1);
///     Tensor<T> y = zeros<T>({n});
///     T* out = y.mutable_data();
///     extend::parallel_for(n, 4096, [&, in = xs.data()](std::int64_t begin, std::int64_t end) {
///       for (std::int64_t i = begin * d; i < end * d; ++i) out[i / d] += in[i] * in[i];
///     });
///     return extend::record("energy", y,
///         [xs = extend::save(xs)](const Tensor<T>& dy, extend::Needs) {
///           return std::tuple(2.0 * xs.get() * dy.unsqueeze(1));
///         }, x);
///   }
///   energy(tensor<float>({{1, 2}, {3, 4}}));   // → [5., 25.]
///   extend::gradcheck([](const auto& x) { return energy(x[0]); }, {ones<double>({2, 3})});
///
///   the graph    record, record_list, save, Saved, Needs, needs_grad, refuse_grad, sum_to_shape
///   its check    gradcheck, make_strided
///   the door     require_defined, require_same_device, require_cpu, require_kernels, TANDEM_CHECK
///   elementwise  saving_input, saving_output, map, map_into; in formulas element_t
///   loops        parallel_for, parallel_chunks, num_chunks
///   two devices  Kernel, Queue
/// docs/adding_an_op.md explains the parts, and how a kernel for the GPU joins them.

#include "tandem/autograd/gradcheck.hpp"
#include "tandem/autograd/record.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/cuda/kernel.hpp"
#include "tandem/formula/number.hpp"
#include "tandem/ops/parts/common.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

/// Names for ops outside of the library, which later versions keep.
namespace extend {

// The graph (autograd/record.hpp): record(name, result, backward, inputs…), for a list
// record_list(); save() keeps a tensor for backward and notices when it was changed in place.
using autograd::Needs;
using autograd::needs_grad;
using autograd::record;
using autograd::record_list;
using autograd::refuse_grad;
using autograd::save;
using autograd::Saved;
using autograd::sum_to_shape;
// Difference quotients against backward(), and an input with strides to try it on.
using autograd::make_strided;
using tandem::gradcheck;

// The door (tensor/absent.hpp, ops/parts/common.hpp); TANDEM_CHECK(condition, op, words…) for the
// rest.
using detail::require_cpu;
using detail::require_defined;
using detail::require_kernels;
using detail::require_same_device;

// Elementwise (ops/parts/elementwise.hpp): a formula over tensors that are broadcast, whatever
// their strides; a whole op of one input whose backward needs x, or y.
using detail::map;
using detail::map_into;
using detail::saving_input;
using detail::saving_output;
// In formulas: the element type of V, which is a number, a SIMD vector or an element on a GPU.
using formula::element_t;

// Loops on the CPU (cpu/threads.hpp).
using cpu::num_chunks;
using cpu::parallel_chunks;
using cpu::parallel_for;

// A slot that joins the CPU's function and the GPU's (cuda/kernel.hpp).
using tandem::Kernel;
using tandem::Queue;

}  // namespace extend
TANDEM_NAMESPACE_END

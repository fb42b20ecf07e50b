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
///   the graph        record, record_list, save, Saved, Needs, needs_grad, refuse_grad
///   its check        gradcheck, make_strided
///   the door         require_defined, require_same_device, require_cpu, require_kernels, TANDEM_CHECK
///   elementwise      saving_input, saving_output, map, map_into; in formulas element_t
///   loops            parallel_for, parallel_chunks, num_chunks
///   two devices      Kernel, Queue
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
// Difference quotients against backward(), and an input with strides to try it on.
using autograd::make_strided;
using tandem::gradcheck;

// The door (tensor/absent.hpp, ops/parts/common.hpp); TANDEM_CHECK(condition, op, words…) for the rest.
using detail::require_cpu;
using detail::require_defined;
using detail::require_kernels;
using detail::require_same_device;

// Elementwise (ops/parts/elementwise.hpp): a formula over tensors that are broadcast, whatever their
// strides; a whole op of one input whose backward needs x, or y.
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

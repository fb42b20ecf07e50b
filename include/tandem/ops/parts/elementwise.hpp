#pragma once
/// What elementwise ops are made of: `map` applies a formula to every element of its inputs,
/// broadcast to one shape, whatever their strides, on any device that has a kernel for it;
/// `saving_input` and `saving_output` are a whole op of one input.
///
///   template <FloatingElement T>
///   Tensor<T> gelu(const Tensor<T>& x) {
///     return detail::saving_input<formula::GeluGradient>("gelu", formula::Gelu(), x);
///   }
///
/// The CPU's loops are in cpu/map.hpp, the GPU's in kernels/map.cuh.

#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tandem/cpu/map.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

/// Element types with + − · : every type but bool.
template <class T>
concept ArithmeticElement = Element<T> && !std::is_same_v<T, bool>;

namespace detail {

/// The loop over out's shape with `out` and the inputs broadcast to it. A row of one element counts
/// as dense.
template <class Out, class... In>
Loop<1 + sizeof...(In)> elementwise_loop(const Tensor<Out>& out, const Tensor<In>&... in) {
  auto loop = make_loop<1 + sizeof...(In)>(
      out.shape(), {out.strides(), broadcast_strides(in.shape(), in.strides(), out.shape())...});
  if (loop.inner == 1) {
    for (std::int64_t& step : loop.inner_strides) step = 1;
  }
  return loop;
}

/// out[i] = f(in[i]…), element by element, for operands of any types on the CPU; operand 0 of the
/// loop is out.
template <class F, class Out, class... In>
void each_element(const Loop<1 + sizeof...(In)>& loop, Out* out, const F& f, const In*... in) {
  struct Context {
    F f;
    Out* out;
    std::tuple<const In*...> in;
    const Loop<1 + sizeof...(In)>& loop;
  };
  const Context context{f, out, {in...}, loop};
  const cpu::RowFunction run = [](const void* opaque, const std::int64_t* at, std::int64_t n) {
    const Context& c = *static_cast<const Context*>(opaque);
    [&]<std::size_t... K>(std::index_sequence<K...>) {
      const auto& step = c.loop.inner_strides;
      const std::tuple<const In*...> row((std::get<K>(c.in) + at[K + 1])...);
      Out* const to = c.out + at[0];
      if (((step[0] == 1) && ... && (step[K + 1] == 1))) {
        for (std::int64_t i = 0; i < n; ++i) to[i] = static_cast<Out>(c.f(std::get<K>(row)[i]...));
      } else {
        for (std::int64_t i = 0; i < n; ++i) {
          to[i * step[0]] = static_cast<Out>(c.f(std::get<K>(row)[i * step[K + 1]]...));
        }
      }
    }
    (std::index_sequence_for<In...>());
  };
  cpu::walk_rows(loop, cpu::grain_of<F>(), run, &context);
}

/// The same for tensors.
template <class F, class Out, class... In>
void each_into(const Tensor<Out>& out, const F& f, const Tensor<In>&... in) {
  each_element(elementwise_loop(out, in...), out.mutable_data(), f, in.data()...);
}

/// out = in, of one shape, whatever the layouts and the element types; of one type on any device.
template <class Out, class In>
void copy_into(const Tensor<Out>& out, const Tensor<In>& in) {
  if constexpr (std::is_same_v<Out, In>) {
    if (!out.device().is_cpu()) return out.copy_elements(in);
  }
  struct Context {
    Out* out;
    const In* in;
    Loop<2> loop;
  };
  const Context context{out.mutable_data(), in.data(), elementwise_loop(out, in)};
  const cpu::RowFunction run = [](const void* opaque, const std::int64_t* at, std::int64_t n) {
    const Context& c = *static_cast<const Context*>(opaque);
    const auto& step = c.loop.inner_strides;
    cpu::convert_row(c.out + at[0], step[0], c.in + at[1], step[1], n);
  };
  cpu::walk_rows(context.loop, cpu::elementwise_grain, run, &context);
}

/// Throws unless the formula F has a kernel where the inputs are, which must be one device.
template <class F, Element T, class... In>
void require_map(const char* op, const Tensor<T>& first, const Tensor<In>&... rest) {
  require_same_device(op, first, rest...);
  require_kernels(op, first, cpu::map_kernel<F, T, 1 + sizeof...(In)>);
}

/// out[i] = f(in[i]…) for operands of one type; the inputs broadcast to out's shape, and may be out
/// itself but must not overlap it otherwise.
template <class F, Element T, class... In>
void map_into(const Tensor<T>& out, const F& f, const Tensor<In>&... in) {
  static_assert((std::is_same_v<T, In> && ...));
  constexpr int N = sizeof...(In);
  cpu::map_kernel<F, T, N>(
      out.device(), f,
      MapOperands<T, N>{
          out.mutable_device_data(), {in.device_data()...}, elementwise_loop(out, in...)});
}

/// A new tensor f(in[i]…) of the shape to which the inputs broadcast; checks them at the door.
template <class F, Element T, class... In>
Tensor<T> map(const char* op, const F& f, const Tensor<T>& first, const Tensor<In>&... rest) {
  require_map<F>(op, first, rest...);
  Shape shape = first.shape();
  ((shape = broadcast_shapes(op, shape, rest.shape())), ...);
  Tensor<T> out(shape, first.device());
  map_into(out, f, first, rest...);
  return out;
}

/// The op y = f(x) whose backward dx = gradient(dy, x) needs the input.
template <class Gradient, class F, FloatingElement T>
Tensor<T> saving_input(const char* op, const F& f, const Tensor<T>& x,
                       const Gradient& gradient = {}) {
  require_defined(op, "x", x);
  return autograd::record(
      op, map(op, f, x),
      [op, gradient, x = autograd::save(x)](const Tensor<T>& dy, autograd::Needs) {
        return std::tuple(map(op, gradient, dy, x.get()));
      },
      x);
}

/// The op y = f(x) whose backward dx = gradient(dy, y) needs the output.
template <class Gradient, class F, FloatingElement T>
Tensor<T> saving_output(const char* op, const F& f, const Tensor<T>& x,
                        const Gradient& gradient = {}) {
  require_defined(op, "x", x);
  const Tensor<T> y = map(op, f, x);
  return autograd::record(
      op, y,
      [op, gradient, y = autograd::save(y)](const Tensor<T>& dy, autograd::Needs) {
        return std::tuple(map(op, gradient, dy, y.get()));
      },
      x);
}

}  // namespace detail
TANDEM_NAMESPACE_END

#pragma once
/// How elementwise ops walk their tensors: `map` applies a functor to every element of its inputs,
/// broadcast to one shape, whatever their strides.
///
/// A functor is a struct whose `operator()` is a template over the operands, always inlined. For
/// float and double it is called with vectors (cpu/simd.hpp), for the other types with single
/// elements; bfloat16 is computed in float. The result does not depend on the layout of the inputs:
/// operands that are not dense along a row are first gathered into a short buffer.

#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tandem/cpu/simd.hpp"
#include "tandem/ops/common.hpp"

TANDEM_NAMESPACE_BEGIN

/// Element types with + − · : every type but bool.
template <class T>
concept ArithmeticElement = Element<T> && !std::is_same_v<T, bool>;

namespace detail {

template <class T>
struct ComputeType {
  using type = T;
};
template <>
struct ComputeType<bfloat16> {
  using type = float;
};
/// What arithmetic on T happens in: float for bfloat16, T otherwise.
template <class T>
using compute_t = typename ComputeType<T>::type;

/// True for the types that vectors of cpu/simd.hpp hold.
template <class C>
inline constexpr bool has_simd = std::is_same_v<C, float> || std::is_same_v<C, double>;

/// What a walk calls for a piece of a row: `at[k]` is where operand k begins, `n` is how many elements.
using RowFunction = void (*)(const void* context, const std::int64_t* at, std::int64_t n);

/// Calls run(context, at, n) for pieces of rows that together cover the elements of the loop, on
/// several threads. (Compiled once per number of operands, not once per op.)
template <int N>
TANDEM_NOINLINE void walk_rows(const Loop<N>& loop, std::int64_t grain, RowFunction run,
                               const void* context) {
  cpu::parallel_for(loop.rows * loop.inner, grain, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t column = begin % loop.inner;
    loop.for_rows(begin / loop.inner, (end - 1) / loop.inner + 1,
                  [&](const std::int64_t(&row)[extent(N)]) {
      const std::int64_t n = loop.inner - column < end - begin ? loop.inner - column : end - begin;
      std::int64_t at[extent(N)];
      for (int k = 0; k < N; ++k) at[k] = row[k] + column * loop.inner_strides[k];
      run(context, at, n);
      begin += n;
      column = 0;
    });
  });
}

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

/// The smallest number of elements worth a thread: fewer for a functor that declares a `cost`
/// (in additions per element).
template <class F>
constexpr std::int64_t grain_of() {
  if constexpr (requires { F::cost; }) {
    return elementwise_grain / F::cost;
  } else {
    return elementwise_grain;
  }
}

/// out[i] = f(in[i]…), element by element, for operands of any types.
template <class F, class Out, class... In>
void each_into(const Tensor<Out>& out, const F& f, const Tensor<In>&... in) {
  constexpr int N = 1 + sizeof...(In);
  struct Context {
    F f;
    Out* out;
    std::tuple<const In*...> in;
    Loop<N> loop;
  };
  const Context context{f, out.mutable_data(), {in.data()...}, elementwise_loop(out, in...)};
  const RowFunction run = [](const void* opaque, const std::int64_t* at, std::int64_t n) {
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
    }(std::index_sequence_for<In...>());
  };
  walk_rows(context.loop, grain_of<F>(), run, &context);
}

/// bfloat16 ↔ float for dense rows.
struct WidenRow {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const bfloat16* from, float* to, std::int64_t n) {
    const auto* bits = reinterpret_cast<const std::uint16_t*>(from);
    cpu::vec_map<V>(
        n, to, [](typename V::template As<std::uint16_t> x) TANDEM_INLINE_LAMBDA {
          return cpu::from_bf16(x);
        },
        bits);
  }
};
struct NarrowRow {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const float* from, bfloat16* to, std::int64_t n) {
    auto* bits = reinterpret_cast<std::uint16_t*>(to);
    cpu::for_each_vec<V>(n, [=](std::int64_t i, std::int64_t count) TANDEM_INLINE_LAMBDA {
      cpu::to_bf16(V::load_partial(from + i, count)).store_partial(bits + i, count);
    });
  }
};

/// to[i·to_step] = from[i·from_step], converted, for i < n.
template <class To, class From>
void convert_row(To* to, std::int64_t to_step, const From* from, std::int64_t from_step,
                 std::int64_t n) {
  if (to_step == 1 && from_step == 1) {
    if constexpr (std::is_same_v<To, From>) {
      std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(To));
      return;
    } else if constexpr (std::is_same_v<From, bfloat16> && std::is_same_v<To, float>) {
      return cpu::simd_dispatch<WidenRow, float>(from, to, n);
    } else if constexpr (std::is_same_v<From, float> && std::is_same_v<To, bfloat16>) {
      return cpu::simd_dispatch<NarrowRow, float>(from, to, n);
    }
  }
  for (std::int64_t i = 0; i < n; ++i) to[i * to_step] = convert_element<To>(from[i * from_step]);
}

/// out = in, of one shape, whatever the layouts and the element types.
template <class Out, class In>
void copy_into(const Tensor<Out>& out, const Tensor<In>& in) {
  struct Context {
    Out* out;
    const In* in;
    Loop<2> loop;
  };
  const Context context{out.mutable_data(), in.data(), elementwise_loop(out, in)};
  const RowFunction run = [](const void* opaque, const std::int64_t* at, std::int64_t n) {
    const Context& c = *static_cast<const Context*>(opaque);
    const auto& step = c.loop.inner_strides;
    convert_row(c.out + at[0], step[0], c.in + at[1], step[1], n);
  };
  walk_rows(context.loop, elementwise_grain, run, &context);
}

/// What a functor is on vectors: itself, or what its vectors<V>() returns. Functors of several numbers have
/// one, which makes vectors of them before the loop: GCC 12 at -O3 fills them lane by lane inside.
template <class V, class F>
TANDEM_ALWAYS_INLINE auto vector_form(const F& f) {
  if constexpr (requires { f.template vectors<V>(); }) {
    return f.template vectors<V>();
  } else {
    return f;
  }
}

/// out[i] = f(in[i]…) for i < n, dense, in vectors. Bit k of Constant says that operand k is one
/// value for all i.
template <unsigned Constant>
struct MapRow {
  template <class V, class F, class C>
  static TANDEM_ALWAYS_INLINE void run(F functor, std::int64_t n, C* out, const C* a) {
    const auto f = vector_form<V>(functor);
    cpu::vec_map<V>(n, out, [&](V x) TANDEM_INLINE_LAMBDA { return f(x); }, a);
  }
  template <class V, class F, class C>
  static TANDEM_ALWAYS_INLINE void run(F functor, std::int64_t n, C* out, const C* a, const C* b) {
    const auto f = vector_form<V>(functor);
    if constexpr (Constant == 1) {
      const V x(*a);
      cpu::vec_map<V>(n, out, [&](V y) TANDEM_INLINE_LAMBDA { return f(x, y); }, b);
    } else if constexpr (Constant == 2) {
      const V y(*b);
      cpu::vec_map<V>(n, out, [&](V x) TANDEM_INLINE_LAMBDA { return f(x, y); }, a);
    } else {
      cpu::vec_map<V>(n, out, [&](V x, V y) TANDEM_INLINE_LAMBDA { return f(x, y); }, a, b);
    }
  }
  template <class V, class F, class C>
  static TANDEM_ALWAYS_INLINE void run(F functor, std::int64_t n, C* out, const C* a, const C* b,
                                       const C* c) {
    const auto f = vector_form<V>(functor);
    cpu::vec_map<V>(n, out, [&](V x, V y, V z) TANDEM_INLINE_LAMBDA { return f(x, y, z); }, a, b, c);
  }
};

/// A dense row of a functor whose type has been forgotten.
template <class C>
using DenseRow = void (*)(const void* f, std::int64_t n, C* out, const C* const* in);

template <unsigned Constant, class F, class C, std::size_t N>
void dense_row(const void* f, std::int64_t n, C* out, const C* const* in) {
  const F& functor = *static_cast<const F*>(f);
  if constexpr (N == 1) {
    cpu::simd_dispatch<MapRow<0>, C>(functor, n, out, in[0]);
  } else if constexpr (N == 2) {
    cpu::simd_dispatch<MapRow<Constant>, C>(functor, n, out, in[0], in[1]);
  } else {
    cpu::simd_dispatch<MapRow<0>, C>(functor, n, out, in[0], in[1], in[2]);
  }
}

/// The rows of a map over elements of T computed in C; compiled once per type and number of operands.
template <class T, class C, int N>
struct MapWalk {
  Loop<N + 1> loop;
  T* out;
  const T* in[extent(N)];
  const void* f;
  DenseRow<C> dense;         ///< all operands dense
  DenseRow<C> special;       ///< for the operands that are constant along a row, or null

  static constexpr std::int64_t block = 256;

  static void run(const void* opaque, const std::int64_t* at, std::int64_t n) {
    const MapWalk& w = *static_cast<const MapWalk*>(opaque);
    if constexpr (std::is_same_v<C, T>) {
      if (w.special != nullptr) {
        const C* rows[extent(N)];
        for (int k = 0; k < N; ++k) rows[k] = w.in[k] + at[k + 1];
        return w.special(w.f, n, w.out + at[0], rows);
      }
    }
    w.run_buffered(at, n);
  }

  /// Operands that are not dense, or not of type C, pass through buffers.
  TANDEM_NOINLINE void run_buffered(const std::int64_t* at, std::int64_t n) const {
    C buffers[extent(N + 1)][block];
    const C* rows[extent(N)];
    for (std::int64_t begin = 0; begin < n; begin += block) {
      const std::int64_t count = n - begin < block ? n - begin : block;
      for (int k = 0; k < N; ++k) {
        const std::int64_t step = loop.inner_strides[k + 1];
        const T* from = in[k] + at[k + 1] + begin * step;
        rows[k] = buffers[k];
        if constexpr (std::is_same_v<C, T>) {
          if (step == 1) {
            rows[k] = from;
            continue;
          }
        }
        convert_row(buffers[k], 1, from, step, count);
      }
      const std::int64_t step = loop.inner_strides[0];
      T* to = out + at[0] + begin * step;
      if constexpr (std::is_same_v<C, T>) {
        if (step == 1) {
          dense(f, count, to, rows);
          continue;
        }
      }
      dense(f, count, buffers[N], rows);
      convert_row(to, step, buffers[N], 1, count);
    }
  }
};

/// out[i] = f(in[i]…) for operands of one type; the inputs broadcast to out's shape, and may be out
/// itself but must not overlap it otherwise.
template <class F, Element T, class... In>
void map_into(const Tensor<T>& out, const F& f, const Tensor<In>&... in) {
  static_assert((std::is_same_v<T, In> && ...));
  using C = compute_t<T>;
  if constexpr (!has_simd<C>) {
    each_into(out, f, in...);
  } else {
    constexpr int N = sizeof...(In);
    MapWalk<T, C, N> w{elementwise_loop(out, in...), out.mutable_data(), {in.data()...}, &f,
                       dense_row<0, F, C, N>, nullptr};
    unsigned constant = 0;
    bool direct = w.loop.inner_strides[0] == 1;
    for (int k = 0; k < N; ++k) {
      const std::int64_t step = w.loop.inner_strides[k + 1];
      if (step == 0) constant |= 1u << k;
      direct = direct && (step == 0 || step == 1);
    }
    if (direct && constant == 0) w.special = w.dense;
    if constexpr (N == 2) {
      if (direct && constant == 1) w.special = dense_row<1, F, C, N>;
      if (direct && constant == 2) w.special = dense_row<2, F, C, N>;
    }
    walk_rows(w.loop, grain_of<F>(), &MapWalk<T, C, N>::run, &w);
  }
}

/// map on a device. A functor that has a kernel there names it:
///   template <class T> static auto kernel() { return cuda::kernels<T>().add; }
/// Kernels take dense operands of one shape, so others are copied first.
template <class F, Element T, class... In>
Tensor<T> map_on_device(const char* op, const Tensor<T>& first, const Tensor<In>&... rest) {
  if constexpr (requires { F::template kernel<T>(); }) {
    require_same_device(op, first, rest...);
    const auto kernel = cuda::require(op, F::template kernel<T>(), first);
    Shape shape = first.shape();
    ((shape = broadcast_shapes(op, shape, rest.shape())), ...);
    Tensor<T> out(shape, first.device());
    const auto run = [&](const auto&... dense) {
      kernel(cuda::stream_of(out.device()), out.mutable_device_data(), dense.device_data()...,
             out.numel());
    };
    run(first.detach().expand(shape).contiguous(), rest.detach().expand(shape).contiguous()...);
    return out;
  } else {
    require_cpu(op, first, rest...);
    return {};
  }
}

/// A new tensor f(in[i]…) of the shape to which the inputs broadcast; checks them at the door.
template <class F, Element T, class... In>
Tensor<T> map(const char* op, const F& f, const Tensor<T>& first, const Tensor<In>&... rest) {
  if (any_on_device(first, rest...)) return map_on_device<F>(op, first, rest...);
  Shape shape = first.shape();
  ((shape = broadcast_shapes(op, shape, rest.shape())), ...);
  Tensor<T> out(shape);
  map_into(out, f, first, rest...);
  return out;
}

}  // namespace detail
TANDEM_NAMESPACE_END

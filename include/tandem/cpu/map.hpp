#pragma once
/// out[i] = f(in[i]…) over strided arrays: how elementwise ops walk their elements, and the slot by
/// which each of them finds its GPU kernel (kernels/map.cuh).
///
/// f is a formula (formula/number.hpp). For float and double it is called with vectors
/// (cpu/simd.hpp), for the other types with single elements; bfloat16 is computed in float. The
/// result does not depend on the layout of the inputs: operands that are not dense along a row are
/// first gathered into a short buffer.

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "tandem/cpu/simd.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/cpu/vmath.hpp"
#include "tandem/cuda/kernel.hpp"
#include "tandem/tensor/copy.hpp"
#include "tandem/tensor/loop.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu {

using tandem::detail::compute_t;
using tandem::detail::Loop;

/// Elements of light work below which a second thread does not pay.
inline constexpr std::int64_t elementwise_grain = 16384;

/// True for the types that vectors of cpu/simd.hpp hold.
template <class C>
inline constexpr bool has_simd = std::is_same_v<C, float> || std::is_same_v<C, double>;

/// What a walk calls for a piece of a row: `at[k]` is where operand k begins, `n` is how many
/// elements.
using RowFunction = void (*)(const void* context, const std::int64_t* at, std::int64_t n);

/// Calls run(context, at, n) for pieces of rows that together cover the elements of the loop, on
/// several threads. (Compiled once per number of operands, not once per op.)
template <int N>
TANDEM_NOINLINE void walk_rows(const Loop<N>& loop, std::int64_t grain, RowFunction run,
                               const void* context) {
  parallel_for(loop.rows * loop.inner, grain, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t column = begin % loop.inner;
    loop.for_rows(begin / loop.inner, (end - 1) / loop.inner + 1,
                  [&](const std::int64_t(&row)[extent(N)]) {
                    const std::int64_t n =
                        loop.inner - column < end - begin ? loop.inner - column : end - begin;
                    std::int64_t at[extent(N)];
                    for (int k = 0; k < N; ++k) at[k] = row[k] + column * loop.inner_strides[k];
                    run(context, at, n);
                    begin += n;
                    column = 0;
                  });
  });
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

/// bfloat16 ↔ float for dense rows.
struct WidenRow {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const bfloat16* from, float* to, std::int64_t n) {
    const auto* bits = reinterpret_cast<const std::uint16_t*>(from);
    vec_map<V>(
        n, to,
        [](typename V::template As<std::uint16_t> x) TANDEM_INLINE_LAMBDA { return from_bf16(x); },
        bits);
  }
};
struct NarrowRow {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const float* from, bfloat16* to, std::int64_t n) {
    auto* bits = reinterpret_cast<std::uint16_t*>(to);
    for_each_vec<V>(n, [=](std::int64_t i, std::int64_t count) TANDEM_INLINE_LAMBDA {
      to_bf16(V::load_partial(from + i, count)).store_partial(bits + i, count);
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
      return simd_dispatch<WidenRow, float>(from, to, n);
    } else if constexpr (std::is_same_v<From, float> && std::is_same_v<To, bfloat16>) {
      return simd_dispatch<NarrowRow, float>(from, to, n);
    }
  }
  for (std::int64_t i = 0; i < n; ++i)
    to[i * to_step] = tandem::detail::convert_element<To>(from[i * from_step]);
}

/// What a functor is on vectors: itself, or what its vectors<V>() returns. Functors of several
/// numbers have one, which makes vectors of them before the loop: GCC 12 at -O3 fills them lane by
/// lane inside.
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
    vec_map<V>(
        n, out, [&](V x) TANDEM_INLINE_LAMBDA { return f(x); }, a);
  }
  template <class V, class F, class C>
  static TANDEM_ALWAYS_INLINE void run(F functor, std::int64_t n, C* out, const C* a, const C* b) {
    const auto f = vector_form<V>(functor);
    if constexpr (Constant == 1) {
      const V x(*a);
      vec_map<V>(
          n, out, [&](V y) TANDEM_INLINE_LAMBDA { return f(x, y); }, b);
    } else if constexpr (Constant == 2) {
      const V y(*b);
      vec_map<V>(
          n, out, [&](V x) TANDEM_INLINE_LAMBDA { return f(x, y); }, a);
    } else {
      vec_map<V>(
          n, out, [&](V x, V y) TANDEM_INLINE_LAMBDA { return f(x, y); }, a, b);
    }
  }
  template <class V, class F, class C>
  static TANDEM_ALWAYS_INLINE void run(F functor, std::int64_t n, C* out, const C* a, const C* b,
                                       const C* c) {
    const auto f = vector_form<V>(functor);
    vec_map<V>(
        n, out, [&](V x, V y, V z) TANDEM_INLINE_LAMBDA { return f(x, y, z); }, a, b, c);
  }
};

/// A dense row of a functor whose type has been forgotten.
template <class C>
using DenseRow = void (*)(const void* f, std::int64_t n, C* out, const C* const* in);

template <unsigned Constant, class F, class C, std::size_t N>
void dense_row(const void* f, std::int64_t n, C* out, const C* const* in) {
  const F& functor = *static_cast<const F*>(f);
  if constexpr (N == 1) {
    simd_dispatch<MapRow<0>, C>(functor, n, out, in[0]);
  } else if constexpr (N == 2) {
    simd_dispatch<MapRow<Constant>, C>(functor, n, out, in[0], in[1]);
  } else {
    simd_dispatch<MapRow<0>, C>(functor, n, out, in[0], in[1], in[2]);
  }
}

/// The rows of a map over elements of T computed in C; compiled once per type and number of
/// operands.
template <class T, class C, int N>
struct MapWalk {
  const MapOperands<T, N>& operands;
  const void* f;
  DenseRow<C> dense;    ///< all operands dense
  DenseRow<C> special;  ///< for the operands that are constant along a row, or null

  static constexpr std::int64_t block = 256;

  static void run(const void* opaque, const std::int64_t* at, std::int64_t n) {
    const MapWalk& w = *static_cast<const MapWalk*>(opaque);
    if constexpr (std::is_same_v<C, T>) {
      if (w.special != nullptr) {
        const C* rows[extent(N)];
        for (int k = 0; k < N; ++k) rows[k] = w.operands.in[k] + at[k + 1];
        return w.special(w.f, n, w.operands.out + at[0], rows);
      }
    }
    w.run_buffered(at, n);
  }

  /// Operands that are not dense, or not of type C, pass through buffers.
  TANDEM_NOINLINE void run_buffered(const std::int64_t* at, std::int64_t n) const {
    C buffers[extent(N + 1)][block];
    const C* rows[extent(N)];
    const auto& steps = operands.loop.inner_strides;
    for (std::int64_t begin = 0; begin < n; begin += block) {
      const std::int64_t count = n - begin < block ? n - begin : block;
      for (int k = 0; k < N; ++k) {
        const T* from = operands.in[k] + at[k + 1] + begin * steps[k + 1];
        rows[k] = buffers[k];
        if constexpr (std::is_same_v<C, T>) {
          if (steps[k + 1] == 1) {
            rows[k] = from;
            continue;
          }
        }
        convert_row(buffers[k], 1, from, steps[k + 1], count);
      }
      T* to = operands.out + at[0] + begin * steps[0];
      if constexpr (std::is_same_v<C, T>) {
        if (steps[0] == 1) {
          dense(f, count, to, rows);
          continue;
        }
      }
      dense(f, count, buffers[N], rows);
      convert_row(to, steps[0], buffers[N], 1, count);
    }
  }
};

/// For types that have no vectors: element by element.
template <class F, class T, int N>
void map_elements(const F& f, const MapOperands<T, N>& operands) {
  struct Context {
    const F& f;
    const MapOperands<T, N>& operands;
  };
  const Context context{f, operands};
  const RowFunction run = [](const void* opaque, const std::int64_t* at, std::int64_t n) {
    const auto& [function, o] = *static_cast<const Context*>(opaque);
    [&]<std::size_t... K>(std::index_sequence<K...>) {
      const auto& step = o.loop.inner_strides;
      T* const to = o.out + at[0];
      const T* const from[] = {(o.in[K] + at[K + 1])...};
      if (((step[0] == 1) && ... && (step[K + 1] == 1))) {
        for (std::int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(function(from[K][i]...));
      } else {
        for (std::int64_t i = 0; i < n; ++i) {
          to[i * step[0]] = static_cast<T>(function(from[K][i * step[K + 1]]...));
        }
      }
    }
    (std::make_index_sequence<extent(N)>());
  };
  walk_rows(operands.loop, grain_of<F>(), run, &context);
}

template <class F, class T, int N>
void map_on_cpu(const F& f, const MapOperands<T, N>& operands) {
  using C = compute_t<T>;
  if constexpr (!has_simd<C>) {
    map_elements(f, operands);
  } else {
    MapWalk<T, C, N> w{operands, &f, dense_row<0, F, C, N>, nullptr};
    unsigned constant = 0;
    bool direct = operands.loop.inner_strides[0] == 1;
    for (int k = 0; k < N; ++k) {
      const std::int64_t step = operands.loop.inner_strides[k + 1];
      if (step == 0) constant |= 1u << k;
      direct = direct && (step == 0 || step == 1);
    }
    if (direct && constant == 0) w.special = w.dense;
    if constexpr (N == 2) {
      if (direct && constant == 1) w.special = dense_row<1, F, C, N>;
      if (direct && constant == 2) w.special = dense_row<2, F, C, N>;
    }
    walk_rows(operands.loop, grain_of<F>(), &MapWalk<T, C, N>::run, &w);
  }
}

/// The slot of the formula F on N operands of type T.
template <class F, class T, int N>
inline const Kernel<void(Queue&, const F&, const MapOperands<T, N>&)> map_kernel{
    "map", map_on_cpu<F, T, N>};

}  // namespace cpu
TANDEM_NAMESPACE_END

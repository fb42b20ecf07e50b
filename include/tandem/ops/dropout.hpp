#pragma once
/// dropout — y = x·m, where m is 0 with probability p and 1/(1 − p) otherwise.
///                                       [Srivastava et al. 2014, in the "inverted" form: E[y] = x]
///   dx = dy·m
///   x (…) → same shape.  Saves three integers: the mask is drawn again in backward.
///
///   const auto x = ones<float>({8});
///   dropout(x, 0.5, random);          // → [0., 2., 2., 2., 2., 0., 2., 0.]
///   dropout(x, 0.5, random, false);   // evaluation: x itself
///
/// Element i (in row-major order) is dropped when word i mod 4 of Philox block position + i/4 of
/// the generator is below p·2³²: the mask depends on seed, stream and position only, not on the
/// number of threads, the instruction set or the device. The position advances by ⌈n/4⌉ blocks;
/// with p = 0 or in evaluation it stays. Errors: p outside [0, 1).

#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tandem/formula/dropout.hpp"
#include "tandem/ops/parts/elementwise.hpp"
#include "tandem/tensor/random.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

using formula::DropoutMask;

// Products of the lower halves of 64-bit lanes. Compilers do not see that a full product is not
// needed; these are plain functions for the reason given at sqrt in cpu/simd.hpp.
#if TANDEM_X86
inline __attribute__((target("avx512f"))) void multiply_low64(cpu::Vec<std::uint64_t, 8>& a,
                                                              const cpu::Vec<std::uint64_t, 8>& b) {
  asm("vpmuludq %2, %1, %0" : "=v"(a.raw) : "v"(a.raw), "v"(b.raw));
}
inline __attribute__((target("avx2"))) void multiply_low32(cpu::Vec<std::uint64_t, 4>& a,
                                                           const cpu::Vec<std::uint64_t, 4>& b) {
  asm("vpmuludq %2, %1, %0" : "=x"(a.raw) : "x"(a.raw), "x"(b.raw));
}
inline void multiply_low16(cpu::Vec<std::uint64_t, 2>& a, const cpu::Vec<std::uint64_t, 2>& b) {
  asm("pmuludq %1, %0" : "+x"(a.raw) : "x"(b.raw));
}
#endif
template <int L>
TANDEM_ALWAYS_INLINE cpu::Vec<std::uint64_t, L> multiply_low(cpu::Vec<std::uint64_t, L> a,
                                                             std::uint32_t b) {
  const cpu::Vec<std::uint64_t, L> factor(b);
#if TANDEM_X86
  if constexpr (L == 8) {
    multiply_low64(a, factor);
  } else if constexpr (L == 4) {
    multiply_low32(a, factor);
  } else {
    multiply_low16(a, factor);
  }
  return a;
#else
  return (a & cpu::Vec<std::uint64_t, L>(0xffffffffu)) * factor;
#endif
}

/// y = x·mask for elements [begin, begin + n), begin a multiple of 4. The lanes of a vector are
/// Philox blocks, so one vector computes a word of several blocks, as random.hpp does for one.
struct DropoutRow {
  template <class Wide, int... I>
  static TANDEM_ALWAYS_INLINE void interleave(Wide a, Wide b, std::uint64_t* to,
                                              std::integer_sequence<int, I...>) {
    constexpr int L = Wide::size;
    Wide::from_raw(__builtin_shufflevector(a.raw, b.raw, (I / 2 + I % 2 * L)...)).store(to);
    Wide::from_raw(__builtin_shufflevector(a.raw, b.raw, (L / 2 + I / 2 + I % 2 * L)...))
        .store(to + L);
  }
  /// The words of L blocks in their order.
  template <class Wide>
  static TANDEM_ALWAYS_INLINE void draw(const DropoutMask& m, std::uint64_t first,
                                        std::uint64_t* pairs) {
    const Wide low(0xffffffffu), block = Wide(first) + Wide::iota();
    // The upper halves of the lanes of c0 and c2 are not kept clean: the product ignores them.
    Wide c0 = block, c1 = block >> 32, c2(m.stream), c3(m.stream >> 32);
    std::uint32_t k0 = static_cast<std::uint32_t>(m.seed),
                  k1 = static_cast<std::uint32_t>(m.seed >> 32);
    for (int round = 0; round < 10; ++round) {
      const Wide p0 = multiply_low(c0, 0xD2511F53u), p1 = multiply_low(c2, 0xCD9E8D57u);
      c0 = (p1 >> 32) ^ c1 ^ Wide(k0);
      c1 = p1;
      c2 = (p0 >> 32) ^ c3 ^ Wide(k1);
      c3 = p0;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    interleave((c0 & low) | (c1 << 32), (c2 & low) | (c3 << 32), pairs,
               std::make_integer_sequence<int, Wide::size>());
  }

  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(DropoutMask m, const T* x, T* y, std::int64_t begin,
                                       std::int64_t n) {
    using Wide = cpu::Vec<std::uint64_t, static_cast<int>(sizeof(V) / 8)>;
    using Lane = typename V::Uint::value_type;
    constexpr std::int64_t group = 4 * Wide::size;  // words per draw
    const typename V::Uint threshold(m.threshold);
    const V scale(static_cast<T>(m.scale));
    for (std::int64_t i = 0; i < n; i += group) {
      std::uint64_t pairs[extent(group / 2)];
      draw<Wide>(m, m.position + static_cast<std::uint64_t>((begin + i) / 4), pairs);
      std::uint32_t words[extent(group)];
      std::memcpy(words, pairs, sizeof words);
      const std::int64_t count = n - i < group ? n - i : group;
      cpu::vec_map<V>(
          count, y + i,
          [=](V a, typename V::template As<std::uint32_t> word) TANDEM_INLINE_LAMBDA {
            const auto dropped = cpu::mask_cast<T>(cpu::convert<Lane>(word) < threshold);
            return select(dropped, V(T(0)), a * scale);  // a dropped Inf or NaN is gone
          },
          x + i, static_cast<const std::uint32_t*>(words));
    }
  }
};

template <class T>
void dropout_on_cpu(T* y, const T* x, std::int64_t n, const DropoutMask& mask) {
  cpu::parallel_chunks(n, 8192, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    cpu::simd_dispatch<DropoutRow, T>(mask, x + begin, y + begin, begin, end - begin);
  });
}

/// y = x·mask; the gradient too.
template <class T>
inline const Kernel<void(Queue&, T* y, const T* x, std::int64_t n, const DropoutMask& mask)>
    dropout_forward{"dropout_forward", dropout_on_cpu<T>};

template <class T>
Tensor<T> apply_dropout(const DropoutMask& mask, const Tensor<T>& x) {
  const Tensor<T> in = x.detach().contiguous(), out(x.shape(), x.device());
  dropout_forward<T>(x.device(), out.mutable_device_data(), in.device_data(), x.numel(), mask);
  return out;
}

}  // namespace detail

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> dropout(const Tensor<T>& x, double p,
                                                         Generator& random, bool train = true) {
  detail::require_defined("dropout", "x", x);
  TANDEM_CHECK(p >= 0 && p < 1, "dropout", "the probability must lie in [0, 1), it is ", p);
  detail::require_kernels("dropout", x, detail::dropout_forward<T>);
  if (!train || p == 0) return x;
  const double threshold = p * 0x1p32;
  const std::uint64_t blocks = static_cast<std::uint64_t>((x.numel() + 3) / 4);
  const detail::DropoutMask mask{
      .seed = random.seed(),
      .stream = random.stream(),
      .position = random.take(blocks),
      .threshold = threshold < 0x1p32 - 1 ? static_cast<std::uint32_t>(threshold) : 0xffffffffu,
      .scale = 1 / (1 - p),
      .key = x.device().is_cuda() ? random.key_in_memory() : nullptr};
  return autograd::record(
      "dropout", detail::apply_dropout(mask, x),
      [mask](const Tensor<T>& dy, autograd::Needs) {
        return std::tuple(detail::apply_dropout(mask, dy));
      },
      x);
}

TANDEM_NAMESPACE_END

#pragma once
/// Random numbers that depend on a seed and a position only: Philox4x32-10.
///   [Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011]
///
/// Tensors of them are made on the CPU (docs/cuda.md says why). Counter-based: word i of a stream
/// is a pure function of (seed, stream, i), so a CPU and a GPU, or one thread and many, draw the
/// same numbers, and a checkpoint needs four integers.

#include <cstdint>
#include <vector>

#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN

/// The Philox4x32-10 block function: four random words from a 128-bit counter and a 64-bit key.
struct Philox {
  std::uint32_t word[4];

  TANDEM_HOST_DEVICE static Philox block(std::uint64_t counter_low, std::uint64_t counter_high,
                                         std::uint64_t key) {
    std::uint32_t c0 = static_cast<std::uint32_t>(counter_low),
                  c1 = static_cast<std::uint32_t>(counter_low >> 32),
                  c2 = static_cast<std::uint32_t>(counter_high),
                  c3 = static_cast<std::uint32_t>(counter_high >> 32);
    std::uint32_t k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0,
                          p1 = std::uint64_t{0xCD9E8D57u} * c2;
      const std::uint32_t h0 = static_cast<std::uint32_t>(p0 >> 32),
                          h1 = static_cast<std::uint32_t>(p1 >> 32);
      c0 = h1 ^ c1 ^ k0;
      c1 = static_cast<std::uint32_t>(p1);
      c2 = h0 ^ c3 ^ k1;
      c3 = static_cast<std::uint32_t>(p0);
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
  }
};

/// A seeded stream of random numbers that can be split into independent streams.
///
///   Generator generator(7), other = generator.split(1);   // of seed 7
///   generator.next_below(6);                              // → 5
///   other.next_below(6);                                  // → 0
class Generator {
 public:
  explicit Generator(std::uint64_t seed = 0, std::uint64_t stream = 0)
      : seed_(seed), stream_(stream) {}

  /// What the generator was made with, or split into.
  std::uint64_t seed() const { return seed_; }
  std::uint64_t stream() const { return stream_; }
  /// The next block to be drawn; (seed, stream, position) is the whole state.
  std::uint64_t position() const { return position_; }
  /// Goes to block `position`.
  void seek(std::uint64_t position) { position_ = position; }

  /// For steps that a graph has captured (cuda/graph.hpp): what a GPU draws is keyed by {seed,
  /// stream} as they lie at `key`, in its memory, when the work is done; positions are those of
  /// this generator. Null: by its own.
  void read_key_from(const std::int64_t* key) { key_ = key; }
  /// The pointer that read_key_from() was given.
  const std::int64_t* key_in_memory() const { return key_; }

  /// An independent stream named by `id`; the same id gives the same stream, and drawing from one
  /// does not move the other.
  Generator split(std::uint64_t id) const {
    const Philox b = Philox::block(id, stream_ ^ 0x5851F42D4C957F2Dull, seed_);
    return Generator(seed_, (std::uint64_t{b.word[0]} << 32 | b.word[1]) | 1u);
  }

  /// Takes `blocks` blocks of four words; returns the number of the first.
  std::uint64_t take(std::uint64_t blocks) {
    const std::uint64_t first = position_;
    position_ += blocks;
    return first;
  }
  /// Block `at` of this stream; nothing is drawn by it.
  Philox block(std::uint64_t at) const { return Philox::block(at, stream_, seed_); }

  /// 64 random bits.
  std::uint64_t next_u64() {
    const Philox b = block(take(1));
    return std::uint64_t{b.word[0]} << 32 | b.word[1];
  }
  /// Uniform in [0, 1), 53 bits.
  double next_double() { return static_cast<double>(next_u64() >> 11) * 0x1p-53; }
  /// Uniform in {0, …, n − 1}, without bias (Lemire 2019: reject the low products that repeat).
  std::uint64_t next_below(std::uint64_t n) {
    TANDEM_CHECK(n > 0, "random", "next_below needs n > 0");
    __extension__ using u128 = unsigned __int128;
    u128 product = u128{next_u64()} * n;
    const std::uint64_t threshold = (0 - n) % n;
    while (static_cast<std::uint64_t>(product) < threshold) product = u128{next_u64()} * n;
    return static_cast<std::uint64_t>(product >> 64);
  }
  /// Standard normal.
  double next_normal() {
    const Philox b = block(take(1));
    return box_muller(b.word[0], b.word[1], 0);
  }

  /// Box–Muller on two words: √(−2 ln u₁)·cos(2πu₂), or sin for `which` = 1; u₁ in (0, 1].
  static double box_muller(std::uint32_t a, std::uint32_t b, int which) {
    const double u1 = (static_cast<double>(a) + 1) * 0x1p-32;
    const double angle = 6.283185307179586477 * (static_cast<double>(b) * 0x1p-32);
    const double radius = __builtin_sqrt(-2 * __builtin_log(u1));
    return radius * (which == 0 ? __builtin_cos(angle) : __builtin_sin(angle));
  }

 private:
  std::uint64_t seed_;
  std::uint64_t stream_;
  std::uint64_t position_ = 0;
  const std::int64_t* key_ = nullptr;
};

/// Calls fill(i, word) for i in [0, n): word i % 4 of block i / 4.
template <class F>
void for_each_random_word(std::int64_t n, Generator& random, F&& fill) {
  const std::uint64_t first = random.take(static_cast<std::uint64_t>((n + 3) / 4));
  for (std::int64_t i = 0; i < n; i += 4) {
    const Philox b = random.block(first + static_cast<std::uint64_t>(i / 4));
    for (std::int64_t j = i; j < n && j < i + 4; ++j) fill(j, b.word[j - i]);
  }
}

/// Uniform in [low, high): element i is low + (high − low)·(word i ≫ 8)·2⁻²⁴, rounded to T; for
/// [0, 1) that is exact in float, while other bounds, and bfloat16, may round the last step up to
/// high.
///
///   rand<float>({3}, random, -1, 1);   // → [-0.2019, 0.761, 0.4714]
template <FloatingElement T>
Tensor<T> rand(const Shape& shape, Generator& random, double low = 0, double high = 1) {
  Tensor<T> out(shape);
  T* p = out.mutable_data();
  for_each_random_word(out.numel(), random, [&](std::int64_t i, std::uint32_t word) {
    p[i] = T(low + (high - low) * (static_cast<double>(word >> 8) * 0x1p-24));
  });
  return out;
}

/// Normal with the given mean and standard deviation: elements 4i … 4i+3 are two Box–Muller pairs.
///
///   randn<float>({3}, random);   // → [0.9911, -0.9247, -0.6176]
template <FloatingElement T>
Tensor<T> randn(const Shape& shape, Generator& random, double mean = 0, double deviation = 1) {
  Tensor<T> out(shape);
  T* p = out.mutable_data();
  const std::int64_t n = out.numel();
  const std::uint64_t first = random.take(static_cast<std::uint64_t>((n + 3) / 4));
  for (std::int64_t i = 0; i < n; ++i) {
    const Philox b = random.block(first + static_cast<std::uint64_t>(i / 4));
    const int pair = static_cast<int>(i % 4) / 2 * 2;
    p[i] = T(mean + deviation * Generator::box_muller(b.word[pair], b.word[pair + 1],
                                                      static_cast<int>(i % 2)));
  }
  return out;
}

/// Integers uniform in [low, high).
///
///   randint<std::int64_t>({4}, 0, 10, random);   // → [3, 9, 0, 7]
template <Element T>
Tensor<T> randint(const Shape& shape, std::int64_t low, std::int64_t high, Generator& random) {
  TANDEM_CHECK(low < high, "randint", "the range [", low, ", ", high, ") is empty");
  Tensor<T> out(shape);
  T* p = out.mutable_data();
  // Unsigned: the range may be longer than the largest int64.
  const std::uint64_t first = static_cast<std::uint64_t>(low),
                      length = static_cast<std::uint64_t>(high) - first;
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    p[i] = T(static_cast<std::int64_t>(first + random.next_below(length)));
  }
  return out;
}

/// A random order of 0 … n − 1 (Fisher–Yates).
///
///   randperm(5, random);   // → {2, 4, 0, 3, 1}
inline std::vector<std::int64_t> randperm(std::int64_t n, Generator& random) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
  for (std::size_t i = order.size(); i > 1; --i) {
    const auto j = static_cast<std::size_t>(random.next_below(i));
    const std::int64_t kept = order[i - 1];
    order[i - 1] = order[j];
    order[j] = kept;
  }
  return order;
}

TANDEM_NAMESPACE_END

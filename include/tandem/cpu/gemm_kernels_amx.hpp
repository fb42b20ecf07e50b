#pragma once
/// Matrix-product kernels for AMX-BF16: tdpbf16ps multiplies a 16 × 32 tile of A by a 32 × 16 tile
/// of B, bfloat16, and adds the result to a 16 × 16 tile of floats. A micro tile is 2 × 2 of them:
/// four tile registers of sums, two of A, two of B, so each loaded tile is used twice.
///
/// The tile registers are behind a policy: HardwareTiles or EmulatedTiles, which keeps them in
/// memory and computes what the manual says, so that packing, configuration and indexing are tested
/// on machines without AMX.

#include <cstring>

#include "tandem/cpu/gemm_kernels_avx512_bf16.hpp"
#include "tandem/cpu/gemm_kernels_portable.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu::gemm_detail::amx {

inline constexpr int tile_rows = 16;
inline constexpr int tile_bytes = 64;  // of a row: 16 floats or 32 bfloat16
inline constexpr int tile_k = 32;      // inner indices per tile product
inline constexpr int width = 32;       // rows of A and columns of B per micro tile

/// The operand of ldtilecfg.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};

  /// All eight tiles in full size; what does not exist is packed as zeros.
  static TileConfig full() {
    TileConfig config;
    for (int t = 0; t < 8; ++t) {
      config.row_bytes[t] = tile_bytes;
      config.rows[t] = tile_rows;
    }
    return config;
  }
};
static_assert(sizeof(TileConfig) == 64);

#if TANDEM_X86
/// The registers themselves. Assembly instead of intrinsics needs no target attribute, which would
/// keep micro_kernel from being shared with the emulation; compilers do not use these registers.
struct HardwareTiles {
  static void configure(const TileConfig& config) { asm volatile("ldtilecfg %0" : : "m"(config)); }
  static void release() { asm volatile("tilerelease"); }
  template <int t>
  static TANDEM_ALWAYS_INLINE void zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(t));
  }
  template <int t>
  static TANDEM_ALWAYS_INLINE void load(const void* from, std::int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(t) : "memory");
  }
  template <int t>
  static TANDEM_ALWAYS_INLINE void store(void* to, std::int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(t) : "memory");
  }
  /// c += a·b.
  template <int c, int a, int b>
  static TANDEM_ALWAYS_INLINE void multiply() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
  }
};
#endif

/// The same in memory. Like the instruction it treats subnormal numbers as zeros and adds the two
/// halves of the pairs separately.
struct EmulatedTiles {
  struct State {
    TileConfig config;
    bool configured = false;
    unsigned char data[8][tile_rows][tile_bytes];
  };
  static State& state() {
    thread_local State s;
    return s;
  }
  static void configure(const TileConfig& config) {
    state() = {};
    state().config = config;
    state().configured = true;
  }
  static void release() { state().configured = false; }

  /// The rows of a tile; every use of an unconfigured register is an error on the real machine.
  template <int t>
  static int rows() {
    TANDEM_CHECK(state().configured && state().config.rows[t] > 0, "amx", "tile ", t,
                 " is used without a configuration");
    return state().config.rows[t];
  }
  template <int t>
  static void zero() {
    rows<t>();
    std::memset(state().data[t], 0, sizeof state().data[t]);
  }
  template <int t>
  static void load(const void* from, std::int64_t stride) {
    zero<t>();
    for (int r = 0; r < rows<t>(); ++r) {
      std::memcpy(state().data[t][r], static_cast<const char*>(from) + r * stride,
                  state().config.row_bytes[t]);
    }
  }
  template <int t>
  static void store(void* to, std::int64_t stride) {
    for (int r = 0; r < rows<t>(); ++r) {
      std::memcpy(static_cast<char*>(to) + r * stride, state().data[t][r],
                  state().config.row_bytes[t]);
    }
  }
  template <int c, int a, int b>
  static void multiply() {
    const auto bf16 = [](const unsigned char* row, int i) {
      std::uint16_t bits;
      std::memcpy(&bits, row + 2 * i, sizeof bits);
      return flush(static_cast<float>(bfloat16::from_bits(bits)));
    };
    const int pairs = state().config.row_bytes[a] / 4, columns = state().config.row_bytes[c] / 4;
    for (int i = 0; i < rows<c>(); ++i) {
      const unsigned char* row_a = state().data[a][i];
      for (int j = 0; j < columns; ++j) {
        float even = 0, odd = 0;
        for (int p = 0; p < pairs && p < rows<b>(); ++p) {
          const unsigned char* row_b = state().data[b][p];
          even = flush(even + flush(bf16(row_a, 2 * p) * bf16(row_b, 2 * j)));
          odd = flush(odd + flush(bf16(row_a, 2 * p + 1) * bf16(row_b, 2 * j + 1)));
        }
        float sum;
        std::memcpy(&sum, &state().data[c][i][4 * j], sizeof sum);
        sum = flush(flush(sum) + flush(even + odd));
        std::memcpy(&state().data[c][i][4 * j], &sum, sizeof sum);
      }
    }
  }
  static float flush(float x) { return x > -0x1p-126F && x < 0x1p-126F ? 0.0F : x; }
};

/// Where the tiles of A and B lie: bytes from one row to the next, to A's lower tile, and to the
/// next 32 k. B's right tile is 64 bytes behind its left one.
struct TileSteps {
  std::int64_t a_row, a_lower, a_next, b_row, b_next;
};
/// As the packing below has it: A is [k / 32][32 rows][32 k], so that a tile is 1 KB in one piece;
/// B is [k / 2][32 columns][2 k], 16 rows of which are two tiles.
struct Packed {
  static TANDEM_ALWAYS_INLINE TileSteps steps(const MicroArgs<float>&) {
    return {.a_row = tile_bytes,
            .a_lower = tile_rows * tile_bytes,
            .a_next = width * tile_bytes,
            .b_row = width * 4,
            .b_next = tile_k / 2 * width * 4};
  }
};
/// Rows of pairs, as the arguments say: A along k, B across it.
struct InRows {
  static TANDEM_ALWAYS_INLINE TileSteps steps(const MicroArgs<float>& t) {
    return {.a_row = 4 * t.a_row,
            .a_lower = 4 * tile_rows * t.a_row,
            .a_next = tile_bytes,
            .b_row = 4 * t.b_step,
            .b_next = 4 * tile_k / 2 * t.b_step};
  }
};

/// C (rows ≤ 32 × cols ≤ 32) = alpha·A·B + beta·C. A step of 32 k multiplies for 64 cycles and
/// loads 4 KB. What it asks for meanwhile: two rows of C, to be written when the sums are there,
/// and its share of the next panel of B.
template <class Tiles, class Layout, int rows>
TANDEM_ALWAYS_INLINE void tile_product(const MicroArgs<float>& t) {
  constexpr bool two = rows > tile_rows;
  // Whole tiles begin and end where they belong; others, and factors, by way of memory of our own.
  const bool whole =
      t.rows == rows && t.cols == width && t.alpha == 1 && (t.beta == 0 || t.beta == 1);
  const std::int64_t c_row = t.ldc * static_cast<std::int64_t>(sizeof(float));
  if (whole && t.beta == 1) {
    Tiles::template load<0>(t.c, c_row);
    Tiles::template load<1>(t.c + tile_rows, c_row);
    if constexpr (two) {
      Tiles::template load<2>(t.c + tile_rows * t.ldc, c_row);
      Tiles::template load<3>(t.c + tile_rows * t.ldc + tile_rows, c_row);
    }
  } else {
    Tiles::template zero<0>();
    Tiles::template zero<1>();
    if constexpr (two) {
      Tiles::template zero<2>();
      Tiles::template zero<3>();
    }
  }
  const TileSteps at = Layout::steps(t);
  const char* a = static_cast<const char*>(t.a);
  const char* b = static_cast<const char*>(t.b);
  const char* next = t.prefetch;
  const std::int64_t next_step = t.prefetch_step * (tile_k / 2);
  const std::int64_t k_steps = t.steps / (tile_k / 2);
  const std::int64_t together = k_steps >= tile_rows ? ceil_div(t.rows, tile_rows) : t.rows;
  std::int64_t row = 0;
  for (std::int64_t step = 0; step < k_steps; ++step) {
    Tiles::template load<6>(b, at.b_row);
    Tiles::template load<4>(a, at.a_row);
    Tiles::template load<7>(b + tile_bytes, at.b_row);
    Tiles::template multiply<0, 4, 6>();
    if constexpr (two) Tiles::template load<5>(a + at.a_lower, at.a_row);
    Tiles::template multiply<1, 4, 7>();
    if constexpr (two) {
      Tiles::template multiply<2, 5, 6>();
      Tiles::template multiply<3, 5, 7>();
    }
    for (std::int64_t i = 0; i < together && row < t.rows; ++i, ++row) {
      const float* c = t.c + row * t.ldc;
      __builtin_prefetch(c, 1);
      __builtin_prefetch(c + (t.cols - 1), 1);
    }
    for (std::int64_t line = 0; line < next_step; line += tile_bytes) {
      __builtin_prefetch(next + line, 0, 2);
    }
    next += next_step;
    a += at.a_next;
    b += at.b_next;
  }
  alignas(64) float sums[width][width];
  float* to = whole ? t.c : &sums[0][0];
  const std::int64_t ld = whole ? t.ldc : width;
  const std::int64_t stride = ld * static_cast<std::int64_t>(sizeof(float));
  Tiles::template store<0>(to, stride);
  Tiles::template store<1>(to + tile_rows, stride);
  if constexpr (two) {
    Tiles::template store<2>(to + tile_rows * ld, stride);
    Tiles::template store<3>(to + tile_rows * ld + tile_rows, stride);
  }
  if (whole) return;
  using X = Vec<float, 16>;
  for (std::int64_t i = 0; i < t.rows; ++i) {
    for (std::int64_t j = 0; j < t.cols; j += X::size) {
      const std::int64_t n = t.cols - j < X::size ? t.cols - j : X::size;
      float* c = t.c + i * t.ldc + j;
      X x = X(t.alpha) * X::load(&sums[i][j]);
      if (t.beta != 0) x = fma(X(t.beta), X::load_partial(c, n), x);
      x.store_partial(c, n);
    }
  }
}

#if TANDEM_X86
template <class Layout, int rows>
TANDEM_TARGET_AVX512 void hardware_kernel(const MicroArgs<float>& t) {
  tile_product<HardwareTiles, Layout, rows>(t);
}
#endif
template <class Layout, int rows>
void emulated_kernel(const MicroArgs<float>& t) {
  tile_product<EmulatedTiles, Layout, rows>(t);
}

inline bfloat16 narrowed(bfloat16 x) { return x; }
inline bfloat16 narrowed(Rounded x) { return bfloat16(x.value); }

/// A, contiguous along k or across it: [k / 32][32][32], zeros where there is no row or no k.
template <bool along_k, class In>
void pack_a(const In* source, std::int64_t ld, std::int64_t count, std::int64_t k, void* packed) {
  bfloat16* out = static_cast<bfloat16*>(packed);
  for (std::int64_t p = 0; p < k; p += tile_k) {
    const std::int64_t length = k - p < tile_k ? k - p : tile_k;
    for (std::int64_t w = 0; w < width; ++w, out += tile_k) {
      const std::int64_t have = w < count ? length : 0;
      for (std::int64_t q = 0; q < have; ++q) {
        out[q] = narrowed(along_k ? source[w * ld + p + q] : source[(p + q) * ld + w]);
      }
      for (std::int64_t q = have; q < tile_k; ++q) out[q] = bfloat16();
    }
  }
}

/// B in pairs of k, [k / 2][32][2], on any CPU.
template <bool along_k, class In>
void pack_b(const In* source, std::int64_t ld, std::int64_t count, std::int64_t k, void* packed) {
  bfloat16* out = static_cast<bfloat16*>(packed);
  for (std::int64_t p = 0; p < k; p += 2) {
    for (std::int64_t w = 0; w < width; ++w) {
      for (std::int64_t q = p; q < p + 2; ++q, ++out) {
        const bool have = w < count && q < k;
        *out = have ? narrowed(along_k ? source[w * ld + q] : source[q * ld + w]) : bfloat16();
      }
    }
  }
}

#if TANDEM_X86
/// pack_a<true> in vectors: a row of a tile is one of them.
template <class In>
TANDEM_TARGET_AVX512_BF16 void pack_rows(const In* source, std::int64_t ld, std::int64_t count,
                                         std::int64_t k, void* packed) {
  using avx512_bf16::Pairs;
  std::uint32_t* out = static_cast<std::uint32_t*>(packed);
  constexpr std::int64_t ahead = 4 * tile_k;  // as in B: more streams than the hardware follows
  for (std::int64_t p = 0; p < k; p += tile_k) {
    const std::int64_t length = k - p;
    for (std::int64_t w = 0; w < width; ++w, out += Pairs::lanes) {
      const In* from = source + w * ld + p;
      if (w >= count) {
        Pairs::store(out, Pairs::zero());
      } else if (length >= tile_k) {
        Pairs::store(out, Pairs::load(from));
        __builtin_prefetch(from + ahead);
      } else {
        Pairs::store(out, Pairs::load(from, length));
      }
    }
  }
}

/// pack_a<false> in vectors: pairs of two rows of the source, 16 × 16 of them transposed.
template <class In>
TANDEM_TARGET_AVX512_BF16 void pack_columns(const In* source, std::int64_t ld, std::int64_t count,
                                            std::int64_t k, void* packed) {
  using avx512_bf16::Pairs;
  std::uint32_t* out = static_cast<std::uint32_t*>(packed);
  for (std::int64_t p = 0; p < k; p += tile_k) {
    for (std::int64_t w = 0; w < width; w += Pairs::lanes, out += Pairs::lanes * Pairs::lanes) {
      const std::int64_t have = count - w < Pairs::lanes ? count - w : Pairs::lanes;
      Pairs::Vec block[Pairs::lanes];
      TANDEM_UNROLL for (int i = 0; i < Pairs::lanes; ++i) {
        const std::int64_t at = p + 2 * i;
        const In *first = source + at * ld + w, *second = at + 1 < k ? first + ld : nullptr;
        if (at >= k || have <= 0) {
          block[i] = Pairs::zero();
        } else if (have == Pairs::lanes && second != nullptr) {
          block[i] = Pairs::combine(first, second);
        } else {
          block[i] = Pairs::combine(first, second, have);
        }
      }
      Pairs::transpose(block);
      TANDEM_UNROLL for (int i = 0; i < Pairs::lanes; ++i) {
        Pairs::store(out + i * Pairs::lanes, block[i]);
      }
    }
  }
}
#endif

/// `pack` with zeros after it, up to a whole number of tiles.
template <class In, PackFunction<In> pack>
void pack_b_padded(const In* source, std::int64_t ld, std::int64_t count, std::int64_t k,
                   void* packed) {
  pack(source, ld, count, k, packed);
  const std::int64_t row = width * 4, have = ceil_div(k, 2), want = round_up(k, tile_k) / 2;
  std::memset(static_cast<char*>(packed) + have * row, 0,
              static_cast<std::size_t>((want - have) * row));
}

template <class Tiles>
void begin() {
  Tiles::configure(TileConfig::full());
}
template <class Tiles>
void end() {
  Tiles::release();
}

/// What both tables have in common. In: bfloat16 or Rounded.
template <class In>
Kernels<In, float> common_kernels(const char* name) {
  return {.name = name,
          .rows = width,
          .cols = width,
          .k_unit = 2,
          .k_multiple = tile_k,
          .element_size = 4,
          .k_block = 1024,
          .reads_unpacked = false,
          .even_rows = false,
          .micro = {},
          .micro_in_rows = {},
          .rows_read = tile_rows,
          .pack_a_along_k = pack_a<true, In>,
          .pack_a_across_k = pack_a<false, In>,
          .pack_b_along_k = pack_b_padded<In, pack_b<true, In>>,
          .pack_b_across_k = pack_b_padded<In, pack_b<false, In>>,
          .dot = {},
          .dot_side = 4,  // a tile of 16 rows takes no longer than one of 5
          .finish = portable::finish_tile<Vec<float, 4>>,
          .begin = nullptr,
          .end = nullptr};
}

/// The kernels on emulated tiles, which run on any CPU, slowly: for tests.
template <class In>
Kernels<In, float> make_emulated_kernels() {
  Kernels<In, float> kernels = common_kernels<In>("amx_bf16 (emulated)");
  for (int i = 0; i < width; ++i) {
    const bool low = i < tile_rows;
    kernels.micro[i] = low ? emulated_kernel<Packed, tile_rows> : emulated_kernel<Packed, width>;
    kernels.micro_in_rows[i] =
        low ? emulated_kernel<InRows, tile_rows> : emulated_kernel<InRows, width>;
  }
  kernels.begin = begin<EmulatedTiles>;
  kernels.end = end<EmulatedTiles>;
  return kernels;
}

#if TANDEM_X86
template <class In, int... d>
void use_dots(Kernels<In, float>& kernels, std::integer_sequence<int, d...>) {
  ((kernels.dot[d] = avx512_bf16::dot_kernel<avx512_bf16::Pairs, In, d + 1>), ...);
}

template <class In>
Kernels<In, float> make_kernels() {
  using avx512_bf16::Pairs;
  Kernels<In, float> kernels = common_kernels<In>("amx_bf16");
  for (int i = 0; i < width; ++i) {
    const bool low = i < tile_rows;
    kernels.micro[i] = low ? hardware_kernel<Packed, tile_rows> : hardware_kernel<Packed, width>;
    kernels.micro_in_rows[i] =
        low ? hardware_kernel<InRows, tile_rows> : hardware_kernel<InRows, width>;
  }
  kernels.pack_a_along_k = pack_rows<In>;
  kernels.pack_a_across_k = pack_columns<In>;
  kernels.pack_b_along_k = pack_b_padded<In, avx512_bf16::pack_along_k<Pairs, In, width>>;
  kernels.pack_b_across_k = pack_b_padded<In, avx512_bf16::pack_across_k<Pairs, In, width>>;
  use_dots(kernels, std::make_integer_sequence<int, max_dot_rows>{});
  kernels.finish = avx512::finish_tile<Vec<float, 16>>;
  kernels.begin = begin<HardwareTiles>;
  kernels.end = end<HardwareTiles>;
  return kernels;
}
#endif

}  // namespace cpu::gemm_detail::amx
TANDEM_NAMESPACE_END

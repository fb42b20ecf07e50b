#pragma once
/// From an image to the packed columns of the matrix product that a convolution is:
///
///   y[o, p] = Σ_k w[o, k] · x[tap(k) + position(p)],   k = (channel, kd, kh, kw), p = (d, h, w)
///
/// Which element of the image a tap k meets at an output position p is a sum of two offsets in
/// memory, if the image is padded and, along the width, sorted into `stride` phases: columns 0, s,
/// 2s … first, then 1, s + 1 … Then neighbours in y along a row meet neighbours in the image, for
/// any stride, and packing is copying runs of elements. Only this copy knows of borders.

#include <cstring>

#include "tandem/cpu/conv3d_shape.hpp"
#include "tandem/cpu/gemm_pack.hpp"
#include "tandem/cpu/simd.hpp"
#include "tandem/cpu/threads.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu::conv3d_detail {

/// How one sample's image lies in memory when it is packed: in place, or as a padded copy.
struct ImageLayout {
  bool in_place;
  std::int64_t frames, rows, phases, columns;  // of the copy: just what the kernel reaches
  std::int64_t channel, frame, row, phase;     // distances in elements
  std::int64_t step_d, step_h;                 // from one output frame and row to the next

  explicit ImageLayout(const Conv3dShape& s) {
    const auto reach = [&](int axis) {
      return (s.out(axis) - 1) * s.stride[axis] + s.kernel[axis];
    };
    in_place = s.is_pointwise();
    frames = reach(0);
    rows = reach(1);
    phases = s.stride[2];
    columns = s.out(2) + (s.kernel[2] - 1) / s.stride[2];
    phase = columns;
    row = phases * phase;
    frame = rows * row;
    channel = frames * frame;
    step_d = s.stride[0] * frame;
    step_h = s.stride[1] * row;
  }
  std::int64_t tap(std::int64_t c, std::int64_t kd, std::int64_t kh, std::int64_t kw) const {
    return c * channel + kd * frame + kh * row + kw % phases * phase + kw / phases;
  }
};

/// Copies one sample's image into its layout, zeros around it, on all threads.
template <class T>
void copy_image(const Conv3dShape& s, const ImageLayout& to, const T* x, T* copy) {
  const auto zeros = [](T* from, std::int64_t count) {
    std::memset(static_cast<void*>(from), 0, static_cast<std::size_t>(count) * sizeof(T));
  };
  const std::int64_t grain = gemm_detail::ceil_div(16384, to.frame + 1);
  parallel_for(s.channels * to.frames, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      T* out = copy + i * to.frame;
      const std::int64_t d = i % to.frames - s.pad_front[0];
      if (d < 0 || d >= s.depth) {
        zeros(out, to.frame);
        continue;
      }
      const T* frame = x + (i / to.frames * s.depth + d) * s.height * s.width;
      for (std::int64_t r = 0; r < to.rows; ++r, out += to.row) {
        const std::int64_t h = r - s.pad_front[1];
        if (h < 0 || h >= s.height) {
          zeros(out, to.row);
          continue;
        }
        const T* row = frame + h * s.width;
        for (std::int64_t phase = 0; phase < to.phases; ++phase) {
          // Copied are the columns q whose place q·phases + phase − pad_front is in the image.
          const std::int64_t shift = phase - s.pad_front[2];
          std::int64_t first = shift < 0 ? gemm_detail::ceil_div(-shift, to.phases) : 0;
          std::int64_t last =
              s.width > shift ? gemm_detail::ceil_div(s.width - shift, to.phases) : 0;
          if (last > to.columns) last = to.columns;
          if (first > last) first = last;
          T* line = out + phase * to.phase;
          zeros(line, first);
          if (to.phases == 1) {
            std::memcpy(static_cast<void*>(line + first), row + first + shift,
                        static_cast<std::size_t>(last - first) * sizeof(T));
          } else {
            for (std::int64_t q = first; q < last; ++q) line[q] = row[q * to.phases + shift];
          }
          zeros(line + last, to.columns - last);
        }
      }
    }
  });
}

/// Neighbouring columns of a panel that are neighbours in the image, too.
struct Run {
  std::int64_t from, to,
      length;  // from the image's element `from` on to the panel's columns `to` …
};

inline constexpr std::int64_t max_columns = 32;  // of a panel, in every instruction set

/// The runs of the panel whose columns are output positions [first, first + count). Returns how
/// many.
inline std::int64_t find_runs(const Conv3dShape& s, const ImageLayout& layout, std::int64_t first,
                              std::int64_t count, Run* runs) {
  const std::int64_t height = s.out(1), width = s.out(2);
  std::int64_t w = first % width, h = first / width % height, d = first / (width * height),
               found = 0;
  for (std::int64_t to = 0; to < count;) {
    const std::int64_t length = width - w < count - to ? width - w : count - to;
    const std::int64_t from = d * layout.step_d + h * layout.step_h + w;
    if (found > 0 && runs[found - 1].from + runs[found - 1].length == from) {
      runs[found - 1].length += length;
    } else {
      runs[found++] = {from, to, length};
    }
    to += length;
    w = 0;
    if (++h == height) {
      h = 0;
      ++d;
    }
  }
  return found;
}

/// Beyond the end of a padded copy and of a packed panel, for vectors that reach over it.
inline constexpr std::int64_t slack = 64;

struct PackArgs {
  const void* image;
  const std::int64_t* taps;  // k offsets in the image
  std::int64_t k;
  const Run* runs;
  std::int64_t run_count;
  void* packed;
  std::int64_t width;  // columns of the panel
  bool exact;          // nothing behind a run's end may be read
};

/// Each tap's runs one after the other in full vectors: what one writes too much, the next run or
/// step overwrites. `load(tap, i)` gives a vector of packed elements.
template <class V, class Elem, class Load, class LoadFirst>
TANDEM_ALWAYS_INLINE void pack_steps(const PackArgs& a, std::int64_t steps, Load load,
                                     LoadFirst load_first) {
  Elem* out = static_cast<Elem*>(a.packed);
  for (std::int64_t p = 0; p < steps; ++p, out += a.width) {
    for (std::int64_t r = 0; r < a.run_count; ++r) {
      const Run run = a.runs[r];
      for (std::int64_t i = 0; i < run.length; i += V::size) {
        if (a.exact && run.length - i < V::size) {
          load_first(p, run.from + i, run.length - i).store(out + run.to + i);
        } else {
          load(p, run.from + i).store(out + run.to + i);
        }
      }
    }
  }
}

/// One element of the image is one packed element.
struct PackPlain {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(PackArgs a) {
    using T = typename V::value_type;
    const T* image = static_cast<const T*>(a.image);
    pack_steps<V, T>(
        a, a.k,
        [&](std::int64_t p, std::int64_t i)
            TANDEM_INLINE_LAMBDA { return V::load(image + a.taps[p] + i); },
        [&](std::int64_t p, std::int64_t i, std::int64_t n)
            TANDEM_INLINE_LAMBDA { return V::load_partial(image + a.taps[p] + i, n); });
  }
};

/// bfloat16 → float.
struct PackWidened {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(PackArgs a) {
    using Bits = Vec<std::uint16_t, V::size>;
    const std::uint16_t* image = static_cast<const std::uint16_t*>(a.image);
    pack_steps<V, float>(
        a, a.k,
        [&](std::int64_t p, std::int64_t i)
            TANDEM_INLINE_LAMBDA { return from_bf16(Bits::load(image + a.taps[p] + i)); },
        [&](std::int64_t p, std::int64_t i, std::int64_t n) TANDEM_INLINE_LAMBDA {
          return from_bf16(Bits::load_partial(image + a.taps[p] + i, n));
        });
  }
};

/// bfloat16 → pairs (k, k + 1); an odd last k is paired with zeros.
struct PackPairs {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(PackArgs a) {
    using Bits = Vec<std::uint16_t, V::size>;
    using Pair = Vec<std::uint32_t, V::size>;
    const std::uint16_t* image = static_cast<const std::uint16_t*>(a.image);
    const auto pair = [](Bits low, Bits high) TANDEM_INLINE_LAMBDA {
      return convert<std::uint32_t>(low) | (convert<std::uint32_t>(high) << 16);
    };
    pack_steps<Pair, std::uint32_t>(
        a, a.k / 2,
        [&](std::int64_t p, std::int64_t i) TANDEM_INLINE_LAMBDA {
          return pair(Bits::load(image + a.taps[2 * p] + i),
                      Bits::load(image + a.taps[2 * p + 1] + i));
        },
        [&](std::int64_t p, std::int64_t i, std::int64_t n) TANDEM_INLINE_LAMBDA {
          return pair(Bits::load_partial(image + a.taps[2 * p] + i, n),
                      Bits::load_partial(image + a.taps[2 * p + 1] + i, n));
        });
    if (a.k % 2 == 0) return;
    const std::int64_t last = a.k - 1;
    PackArgs rest = a;
    rest.packed = static_cast<std::uint32_t*>(a.packed) + a.k / 2 * a.width;
    pack_steps<Pair, std::uint32_t>(
        rest, 1,
        [&](std::int64_t, std::int64_t i) TANDEM_INLINE_LAMBDA {
          return pair(Bits::load(image + a.taps[last] + i), Bits(std::uint16_t{0}));
        },
        [&](std::int64_t, std::int64_t i, std::int64_t n) TANDEM_INLINE_LAMBDA {
          return pair(Bits::load_partial(image + a.taps[last] + i, n), Bits(std::uint16_t{0}));
        });
  }
};

/// Packs for kernels whose elements hold `k_unit` indices, then zeros up to `steps` steps.
template <class T>
void pack_columns(const PackArgs& args, int k_unit, std::int64_t steps, std::int64_t step_bytes) {
  if constexpr (!std::is_same_v<T, bfloat16>) {
    simd_dispatch<PackPlain, T>(args);
  } else if (k_unit == 1) {
    simd_dispatch<PackWidened, float>(args);
  } else {
    simd_dispatch<PackPairs, float>(args);
  }
  const std::int64_t packed = gemm_detail::ceil_div(args.k, k_unit);
  std::memset(static_cast<std::byte*>(args.packed) + packed * step_bytes, 0,
              static_cast<std::size_t>((steps - packed) * step_bytes));
}

}  // namespace cpu::conv3d_detail
TANDEM_NAMESPACE_END

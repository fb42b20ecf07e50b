#pragma once
/// What the two passes of L_fb (loss_fb.cu) share: which frames take part, and tiles of
/// f_i·f_j/τ.

#include "losses.cuh"

namespace tandem_kernels {

namespace formula = tandem::formula;

/// The frames that take part, on the device: positions 0 … foreground − 1 of `order` are the
/// confident foreground frames, those up to `all` the background frames, both by frame number.
struct ContrastFrames {
  const std::int64_t* order;     ///< position → frame number b·T + t
  const std::int64_t* counts;    ///< foreground, all
  const std::uint32_t* classes;  ///< (frames, words): a bit for each class with h = 1
  std::int64_t words, frames_of_video;
  bool same_video;

  __device__ bool share_a_class(std::int64_t a, std::int64_t b) const {
    std::uint32_t common = 0;
    for (std::int64_t w = 0; w < words; ++w)
      common |= classes[a * words + w] & classes[b * words + w];
    return common != 0 && (!same_video || a / frames_of_video == b / frames_of_video);
  }
};

/// A row of a block: 64 × 64 pairs of positions, by 256 threads of 4 × 4 each. Thread (down,
/// across) has rows 4·down … and columns 4·across ….
template <class T>
struct ContrastTile {
  static constexpr int side = 64, depth = 16, threads = 256;
  static constexpr int stride = side + 4;  ///< of a row in shared memory; packs stay aligned
  enum Pair { unrelated = 0, positive = 1, negative = 2 };

  /// Σ over pairs of packs: to[0 … 3] = from[0 … 3], 16 bytes at a time.
  static __device__ void load4(T (&to)[4], const T* from) {
    TANDEM_UNROLLED
    for (int p = 0; p < 4 / pack_size<T>; ++p) {
      const Pack<T, pack_size<T>> x = reinterpret_cast<const Pack<T, pack_size<T>>*>(from)[p];
      TANDEM_UNROLLED
      for (int e = 0; e < pack_size<T>; ++e) to[p * pack_size<T> + e] = x.value[e];
    }
  }

  /// The frame numbers at positions first …, −1 behind the last one; with a barrier on both sides.
  static __device__ void find(std::int64_t* rows, const ContrastFrames& set, std::int64_t first) {
    __syncthreads();
    if (threadIdx.x < side) {
      const std::int64_t at = first + threadIdx.x;
      rows[threadIdx.x] = at < set.counts[1] ? set.order[at] : -1;
    }
    __syncthreads();
  }

  /// What each of this thread's pairs is; true if any of the block's pairs is related.
  static __device__ bool relate(Pair (&pairs)[4][4], const ContrastFrames& set,
                                const std::int64_t* left, const std::int64_t* right,
                                std::int64_t i0, std::int64_t j0, int* partial) {
    const int down = threadIdx.x / 16, across = threadIdx.x % 16;
    const std::int64_t foreground = set.counts[0], all = set.counts[1];
    int related = 0;
    TANDEM_UNROLLED
    for (int a = 0; a < 4; ++a) {
      TANDEM_UNROLLED
      for (int b = 0; b < 4; ++b) {
        const std::int64_t i = i0 + 4 * down + a, j = j0 + 4 * across + b;
        Pair pair = unrelated;
        if (i < all && j < all) {
          if (i < foreground && j < foreground) {
            if (i != j && set.share_a_class(left[4 * down + a], right[4 * across + b]))
              pair = positive;
          } else if (i < foreground || j < foreground) {
            pair = negative;
          }
        }
        pairs[a][b] = pair;
        related += pair != unrelated ? 1 : 0;
      }
    }
    return block_sum(related, partial) != 0;
  }

  /// s = f_i·f_j/τ of this thread's pairs. `tile`: 2·depth·stride elements of shared memory. Starts
  /// with a barrier.
  static __device__ void multiply(T (&s)[4][4], T* tile, const T* f, std::int64_t width,
                                  const std::int64_t* left, const std::int64_t* right,
                                  T inverse_tau) {
    const int down = threadIdx.x / 16, across = threadIdx.x % 16;
    T* const other = tile + depth * stride;
    for (int a = 0; a < 4; ++a) {
      for (int b = 0; b < 4; ++b) s[a][b] = T(0);
    }
    for (std::int64_t k0 = 0; k0 < width; k0 += depth) {
      __syncthreads();
      TANDEM_UNROLLED
      for (int e = 0; e < side * depth / threads; ++e) {
        const int at = static_cast<int>(threadIdx.x) + e * threads, row = at / depth,
                  k = at % depth;
        const bool inside = k0 + k < width;
        tile[k * stride + row] = inside && left[row] >= 0 ? f[left[row] * width + k0 + k] : T(0);
        other[k * stride + row] = inside && right[row] >= 0 ? f[right[row] * width + k0 + k] : T(0);
      }
      __syncthreads();
      for (int k = 0; k < depth; ++k) {
        T x[4], y[4];
        load4(x, tile + k * stride + 4 * down);
        load4(y, other + k * stride + 4 * across);
        TANDEM_UNROLLED
        for (int a = 0; a < 4; ++a) {
          TANDEM_UNROLLED
          for (int b = 0; b < 4; ++b) s[a][b] += x[a] * y[b];
        }
      }
    }
    for (int a = 0; a < 4; ++a) {
      for (int b = 0; b < 4; ++b) s[a][b] *= inverse_tau;
    }
  }
};

/// log Σ exp(x) as the largest x and Σ exp(x − largest).
template <class T>
struct LogSum {
  T top = -INFINITY, sum = 0;
  __device__ void add(T x) {
    if (x > top) {
      sum = sum * formula::exp(top - x) + T(1);
      top = x;
    } else {
      sum += formula::exp(x - top);
    }
  }
  __device__ void add(const LogSum& other) {
    if (other.sum == T(0)) return;
    const T high = other.top > top ? other.top : top;
    sum = (sum == T(0) ? T(0) : sum * formula::exp(top - high)) +
          other.sum * formula::exp(other.top - high);
    top = high;
  }
  /// Adds up 16 neighbours of a warp; the first of them has the result.
  __device__ void gather() {
    for (int step = 8; step > 0; step /= 2) {
      LogSum other;
      other.top = __shfl_xor_sync(0xffffffffu, top, step);
      other.sum = __shfl_xor_sync(0xffffffffu, sum, step);
      add(other);
    }
  }
  __device__ bool empty() const { return sum == T(0); }
  __device__ T value() const { return top + formula::log(sum); }
};

}  // namespace tandem_kernels

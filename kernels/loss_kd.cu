/// loss_kd — KL(Bernoulli(h) ‖ Bernoulli(σ(s))) over the entries that teach, and its gradient in
/// the same pass.
///
/// A warp has a frame, a block a part of 64 frames; the parts are added up in their order
/// (losses.cuh). What float cannot have by subtraction is found without one: 1 − p is computed
/// beside p, and of a softmax the largest class, which may take nearly all of the sum, is left out
/// of the sums that the others' gradients are made of. Bound by memory: reads s and h, writes ds.

#include "losses.cuh"
#include "tandem/wtal/train/teaching_options.hpp"

namespace tandem_kernels {

namespace formula = tandem::formula;
using tandem::wtal::DistillationOptions;

/// An entry's p and 1 − p, with what both are kept inside of.
template <class T>
struct Belief {
  T p, rest, inside, rest_inside;
  __device__ Belief(T p_, T rest_, T clamp)
      : p(p_), rest(rest_), inside(kept(p_, clamp)), rest_inside(kept(rest_, clamp)) {}
  static __device__ T kept(T x, T clamp) {
    return x < clamp ? clamp : x > T(1) - clamp ? T(1) - clamp : x;  // NaN stays
  }
  /// −log p for h = 1, −log(1 − p) for h = 0.
  __device__ T loss(bool one) const {
    const T x = one ? inside : rest_inside, other = one ? rest_inside : inside;
    return x < T(0.5) ? -formula::log(x) : -formula::log1p(-other);
  }
  /// Its derivative by p.
  __device__ T slope(bool one) const { return one ? -1 / inside : 1 / rest_inside; }
};

/// sums[part] = Σ of the part's losses, counts[part] = how many of its frames teach; gradient, or
/// null: that of Σ, zero where nothing is taught. Of a single part the result itself.
template <class T, bool softmax>
__global__ void __launch_bounds__(256)
    loss_kd_kernel(T* sums, std::int64_t* counts, T* gradient, const T* s, const std::int32_t* h,
                   const bool* valid, std::int64_t rows, std::int64_t classes, std::int64_t parts,
                   std::int64_t part_rows, bool every_entry, bool foreground, bool background,
                   T clamp) {
  TANDEM_SHARED(T, partial, 32);
  TANDEM_SHARED(std::int64_t, partial_count, 32);
  constexpr unsigned all = 0xffffffffu;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  for (std::int64_t part = blockIdx.x; part < parts; part += gridDim.x) {
    const std::int64_t begin = part * part_rows,
                       end = begin + part_rows < rows ? begin + part_rows : rows;
    T loss = 0;
    std::int64_t frames = 0;
    for (std::int64_t r = begin + warp; r < end; r += warps) {
      const T* const score = s + r * classes;
      const std::int32_t* const label = h + r * classes;
      bool one = false, open = false, any = false;
      for (std::int64_t c = lane; c < classes; c += 32) {
        one = one || label[c] == 1;
        open = open || label[c] == -1;
        any = any || label[c] != -1;
      }
      one = __any_sync(all, one) != 0;
      open = __any_sync(all, open) != 0;
      any = __any_sync(all, any) != 0;
      if (!valid[r] || !(every_entry ? any : one || !open)) {
        if (gradient == nullptr) continue;
        for (std::int64_t c = lane; c < classes; c += 32) gradient[r * classes + c] = T(0);
        continue;
      }
      if (lane == 0) ++frames;
      const auto teaches = [&](std::int64_t c) {
        return label[c] == 1 ? foreground : label[c] == 0 && background;
      };
      if constexpr (!softmax) {
        for (std::int64_t c = lane; c < classes; c += 32) {
          const T x = score[c], e = formula::exp(x < 0 ? x : -x), near = 1 / (1 + e),
                  far = e / (1 + e);
          const Belief<T> b(x < 0 ? far : near, x < 0 ? near : far, clamp);
          const bool h_one = label[c] == 1, taught = teaches(c);
          if (taught) loss += b.loss(h_one);
          if (gradient != nullptr)
            gradient[r * classes + c] = !taught ? T(0) : h_one ? -b.rest_inside : b.inside;
        }
      } else {
        T highest = -INFINITY;
        for (std::int64_t c = lane; c < classes; c += 32)
          highest = score[c] > highest || score[c] != score[c] ? score[c] : highest;
        highest = warp_max(highest);
        std::int64_t top = classes;  // the first of the largest
        for (std::int64_t c = lane; c < classes && top == classes; c += 32)
          top = score[c] == highest ? c : top;
        for (int step = 16; step > 0; step /= 2) {
          const std::int64_t other = __shfl_xor_sync(all, top, step);
          top = other < top ? other : top;
        }
        T rest = 0;
        for (std::int64_t c = lane; c < classes; c += 32)
          rest += c == top ? T(0) : formula::exp(score[c] - highest);
        rest = warp_sum(rest);
        const T total = 1 + rest;
        const auto belief = [&](std::int64_t c) {
          const T e = c == top ? T(1) : formula::exp(score[c] - highest);
          return Belief<T>(e / total, (c == top ? rest : total - e) / total, clamp);
        };
        T weighted = 0, of_top = 0;  // Σ g·p, without the largest and of it
        for (std::int64_t c = lane; c < classes; c += 32) {
          if (!teaches(c)) continue;
          const Belief<T> b = belief(c);
          const bool h_one = label[c] == 1;
          loss += b.loss(h_one);
          (c == top ? of_top : weighted) += b.slope(h_one) * b.p;
        }
        if (gradient == nullptr) continue;
        weighted = warp_sum(weighted);
        of_top = warp_sum(of_top);
        for (std::int64_t c = lane; c < classes; c += 32) {
          const Belief<T> b = belief(c);
          const T g = teaches(c) ? b.slope(label[c] == 1) : T(0);
          const T others = c == top ? weighted : (weighted - g * b.p) + of_top;
          gradient[r * classes + c] = b.p * (g * b.rest - others);
        }
      }
    }
    loss = block_sum(loss, partial);
    frames = block_sum(frames, partial_count);
    if (threadIdx.x != 0) continue;
    sums[part] = parts == 1 ? reduced_loss(loss, frames, Reduction::mean) : loss;
    counts[part] = frames;
  }
}

template <class T>
void loss_kd_forward(Queue& queue, T* loss, T* gradient, std::int64_t* taught, const T* s,
                     const std::int32_t* h, const bool* valid, std::int64_t rows,
                     std::int64_t classes, const DistillationOptions& options) {
  constexpr std::int64_t size = 64;
  const std::int64_t parts = rows > size ? (rows + size - 1) / size : 1;
  const Scratch<T> sums(queue, parts > 1 ? parts : 0);
  const Scratch<std::int64_t> counts(queue, parts > 1 ? parts : 0);
  const auto start = [&]<bool softmax>() {
    launch("loss_kd", loss_kd_kernel<T, softmax>, dim3(blocks_for(parts, 1)), dim3(256), 0, queue,
           parts > 1 ? sums.data() : loss, parts > 1 ? counts.data() : taught, gradient, s, h,
           valid, rows, classes, parts, size, options.every_entry, options.foreground,
           options.background, static_cast<T>(options.clamp));
  };
  options.reading == tandem::wtal::Reading::softmax ? start.template operator()<true>()
                                                    : start.template operator()<false>();
  if (parts > 1) {
    launch("loss_kd", loss_result_kernel<T>, dim3(1), dim3(256), 0, queue, loss, taught,
           sums.data(), counts.data(), parts, rows, Reduction::mean);
  }
}
TANDEM_KERNEL(loss_kd_forward, float, double);

}  // namespace tandem_kernels

/// pseudo_labels — h of a class of a video from its p, a block each: against two thresholds, given,
/// or between the least and the largest p; or by rank, which a sort of the column gives (sort.cuh).
///
/// Thresholds are compared and computed in double, as on the CPU, so that float gives the CPU's
/// labels: a handful of operations a frame, beside a sort of n·log²n/4 comparisons.
/// By thresholds bound by memory, by rank bound by the barriers of the sort.

#include "sort.cuh"
#include "tandem/formula/label_logit.hpp"
#include "tandem/wtal/train/teaching_options.hpp"

namespace tandem_kernels {

using tandem::wtal::PseudoLabelOptions;
using tandem::wtal::PseudoLabelRule;

using tandem::formula::label_logit;

/// p against the thresholds above and below; NaN is neither.
__device__ inline std::int32_t label_between(double p, double below, double above) {
  return p > above ? 1 : p < below ? 0 : -1;
}

/// The rules that compare: thresholds and min_max. A block a column.
template <class T>
__global__ void __launch_bounds__(256)
    pseudo_labels_kernel(std::int32_t* h, const T* p, const T* y, const bool* valid,
                         std::int64_t columns, std::int64_t frames, std::int64_t classes,
                         PseudoLabelOptions options) {
  TANDEM_SHARED(double, partial, 32);
  for (std::int64_t column = blockIdx.x; column < columns; column += gridDim.x) {
    const std::int64_t b = column / classes, c = column - b * classes;
    const T* const from = p + b * frames * classes + c;
    std::int32_t* const to = h + b * frames * classes + c;
    const bool* const real = valid + b * frames;
    const bool labelled = y[column] > T(0);
    double above = options.high, below = options.low;
    bool decided = true;
    if (options.rule == PseudoLabelRule::min_max) {
      double most = -INFINITY, least = -INFINITY;  // of −p
      for (std::int64_t t = threadIdx.x; t < frames; t += blockDim.x) {
        const auto x = static_cast<double>(from[t * classes]);
        if (!real[t] || x != x) continue;
        most = x > most ? x : most;
        least = -x > least ? -x : least;
      }
      most = block_max(most, partial);
      least = -block_max(least, partial);
      decided = most > least;  // no frame is more of an action than another
      above = least + options.min_max_high * (most - least);
      below = least + options.min_max_low * (most - least);
    }
    for (std::int64_t t = threadIdx.x; t < frames; t += blockDim.x) {
      const auto x = static_cast<double>(from[t * classes]);
      to[t * classes] = !real[t]    ? -1
                        : !labelled ? 0
                        : !decided  ? -1
                                    : label_between(x, below, above);
    }
  }
}

/// The rules that rank: ranked and calibrated. A block a column.
template <class T, bool in_shared>
__global__ void __launch_bounds__(512)
    ranked_labels_kernel(std::int32_t* h, const T* p, const T* y, const bool* valid,
                         const T* shares, std::int64_t columns, std::int64_t frames,
                         std::int64_t classes, PseudoLabelOptions options, double low_logit,
                         double high_logit, std::int64_t count, T* scratch,
                         std::int64_t* scratch_places) {
  TANDEM_SHARED_BYTES(T, shared);
  TANDEM_SHARED(std::int64_t, partial, 32);
  const Entries<T, in_shared> entries(shared, scratch, scratch_places, count);
  using Index = typename Entries<T, in_shared>::Index;
  for (std::int64_t column = blockIdx.x; column < columns; column += gridDim.x) {
    const std::int64_t b = column / classes, c = column - b * classes;
    const T* const from = p + b * frames * classes + c;
    std::int32_t* const to = h + b * frames * classes + c;
    const bool* const real = valid + b * frames;
    if (!(y[column] > T(0))) {
      for (std::int64_t t = threadIdx.x; t < frames; t += blockDim.x)
        to[t * classes] = real[t] ? 0 : -1;
      continue;
    }
    // Frames without a p, padded or NaN, come last and stay undecided.
    std::int64_t known = 0;
    for (std::int64_t t = threadIdx.x; t < count; t += blockDim.x) {
      const T x = t < frames ? from[t * classes] : T(0);
      const bool exists = t < frames && real[t] && x == x;
      entries.keys[t] = exists ? x : T(0);
      entries.places[t] = static_cast<Index>(exists ? t : frames + t);
      known += exists ? 1 : 0;
    }
    known = block_sum(known, partial);
    sort_entries(entries.keys, entries.places, count, static_cast<Index>(frames), true);
    const auto n = static_cast<double>(known);
    std::int64_t first, last = 0;
    double below = -INFINITY;  // of logits
    bool decided = true;
    if (options.rule == PseudoLabelRule::ranked) {
      first = static_cast<std::int64_t>(::floor(n * options.ranked_foreground));
      last = static_cast<std::int64_t>(::floor(n * options.ranked_background));
      if (first == 0 && options.ranked_foreground > 0 && known > 0) first = 1;
      last = last < known - first ? last : known - first;
    } else {
      const auto share = static_cast<double>(shares[column]);
      decided = share >= 0 && share <= 1;
      first = decided ? static_cast<std::int64_t>(::llround(share * n)) : 0;
      first = first > 2 ? first : 2;
      if (first < known) {
        double middle = 0;
        for (int k = 0; k < 2; ++k)  // in a loop: the code of a logarithm once
          middle += label_logit(static_cast<double>(entries.keys[first - 1 + k])) / 2;
        below = middle + low_logit - high_logit;
      }
    }
    for (std::int64_t i = threadIdx.x; i < count; i += blockDim.x) {
      const std::int64_t place = entries.places[i], t = place < frames ? place : place - frames;
      if (t >= frames) continue;
      const bool background = options.rule == PseudoLabelRule::ranked
                                  ? i >= known - last
                                  : label_logit(static_cast<double>(entries.keys[i])) < below;
      to[t * classes] = place >= frames || !decided ? -1 : i < first ? 1 : background ? 0 : -1;
    }
    __syncthreads();  // before the next column is loaded
  }
}

template <class T>
void pseudo_labels_forward(Queue& queue, std::int32_t* h, const T* p, const T* y, const bool* valid,
                           const T* shares, std::int64_t videos, std::int64_t frames,
                           std::int64_t classes, const PseudoLabelOptions& options) {
  const std::int64_t columns = videos * classes;
  if (options.rule == PseudoLabelRule::thresholds || options.rule == PseudoLabelRule::min_max) {
    launch("pseudo_labels", pseudo_labels_kernel<T>, dim3(blocks_for(columns, 1)), dim3(256), 0,
           queue, h, p, y, valid, columns, frames, classes, options);
    return;
  }
  const SortPlan plan(frames, columns);
  const Scratch<T> keys(queue, plan.scratch());
  const Scratch<std::int64_t> places(queue, plan.scratch());
  const auto start = [&]<bool in_shared>() {
    launch("pseudo_labels", ranked_labels_kernel<T, in_shared>, plan.grid, plan.threads,
           plan.shared_bytes<T>(), queue, h, p, y, valid, shares, columns, frames, classes, options,
           label_logit(options.low), label_logit(options.high), plan.count, keys.data(),
           places.data());
  };
  plan.shared ? start.template operator()<true>() : start.template operator()<false>();
}
TANDEM_KERNEL(pseudo_labels_forward, float, double);

}  // namespace tandem_kernels

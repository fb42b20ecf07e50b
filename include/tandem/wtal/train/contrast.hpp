#pragma once
/// L_fb, the foreground–background contrast.                                         [method §4, P]

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

#include "tandem/cpu/gemm.hpp"
#include "tandem/cpu/vmath.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/parts/common.hpp"
#include "tandem/wtal/train/pseudo_labels.hpp"
#include "tandem/wtal/train/saved_gradient.hpp"
#include "tandem/wtal/train/teaching_options.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

namespace detail {

/// The rows that take part: foreground frames ordered by their set of classes (and video), then all
/// background frames. Foreground frames with equal sets form one run, so "same class" is decided
/// once per pair of runs instead of once per pair of frames.
struct ContrastRows {
  struct Run {
    std::int64_t begin = 0, end = 0;     ///< positions in `rows`
    std::vector<std::int64_t> positive;  ///< the runs that share a class (and the video, if asked)
  };
  std::vector<std::int64_t> rows;  ///< frame numbers b·T + t
  std::int64_t foreground = 0;     ///< how many of them are foreground
  std::vector<Run> runs;
};

inline ContrastRows contrast_rows(const std::int32_t* h, const bool* valid, std::int64_t videos,
                                  std::int64_t frames, std::int64_t classes, bool same_video) {
  const std::vector<FrameState> states = states_of_frames(h, valid, videos * frames, classes);
  // Key: the video (or 0), then the classes with h = 1.
  std::map<std::vector<std::int64_t>, std::vector<std::int64_t>> groups;
  ContrastRows out;
  std::vector<std::int64_t> background;
  for (std::int64_t r = 0; r < static_cast<std::int64_t>(states.size()); ++r) {
    const FrameState state = states[static_cast<std::size_t>(r)];
    if (state == FrameState::background) background.push_back(r);
    if (state != FrameState::foreground) continue;
    std::vector<std::int64_t> key{same_video ? r / frames : 0};
    for (std::int64_t c = 0; c < classes; ++c) {
      if (h[r * classes + c] == 1) key.push_back(c);
    }
    groups[key].push_back(r);
  }
  std::vector<const std::vector<std::int64_t>*> keys;
  for (const auto& [key, members] : groups) {
    const auto begin = static_cast<std::int64_t>(out.rows.size());
    out.rows.insert(out.rows.end(), members.begin(), members.end());
    out.runs.push_back({begin, static_cast<std::int64_t>(out.rows.size()), {}});
    keys.push_back(&key);
  }
  out.foreground = static_cast<std::int64_t>(out.rows.size());
  out.rows.insert(out.rows.end(), background.begin(), background.end());
  for (std::size_t a = 0; a < keys.size(); ++a) {
    for (std::size_t b = 0; b < keys.size(); ++b) {
      bool shared = false;
      for (std::size_t i = 1; i < keys[a]->size(); ++i) {
        shared = shared ||
                 std::find(keys[b]->begin() + 1, keys[b]->end(), (*keys[a])[i]) != keys[b]->end();
      }
      if (shared && (*keys[a])[0] == (*keys[b])[0]) {
        out.runs[a].positive.push_back(static_cast<std::int64_t>(b));
      }
    }
  }
  return out;
}

/// x[i] ← exp(x[i] − shift); returns their sum.
struct ExpRow {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE T run(T* x, T shift, std::int64_t n) {
    cpu::vec_map<V>(
        n, x, [by = V(shift)](V v) TANDEM_INLINE_LAMBDA { return cpu::exp(v - by); }, x);
    return cpu::row_sum<V>(static_cast<const T*>(x), n);
  }
};
struct MaxRow {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE T run(const T* x, std::int64_t n) {
    return cpu::row_max<V>(x, n);
  }
};
struct ScaleRow {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(T* x, T factor, std::int64_t n) {
    cpu::vec_map<V>(
        n, x, [by = V(factor)](V v) TANDEM_INLINE_LAMBDA { return v * by; }, x);
  }
};

/// One anchor: s holds f_i·f_j/τ, first the `positives` candidates of Ψ⁺ (the anchor itself at
/// `self`), then Ψ⁻. Returns −log(Σ_{Ψ⁺}/Σ_{Ψ⁺∪Ψ⁻}) and leaves a_ij − [j∈Ψ⁺] b_ij in s.
/// Both sums are taken around their own maximum, so neither underflows.
template <class T>
double contrast_row(T* s, std::int64_t columns, std::int64_t positives, std::int64_t self) {
  s[self] = -std::numeric_limits<T>::infinity();
  T* negative = s + positives;
  const std::int64_t negatives = columns - positives;
  const T top = cpu::simd_dispatch<MaxRow, T>(static_cast<const T*>(s), positives);
  const T sum = cpu::simd_dispatch<ExpRow, T>(s, top, positives);
  const double log_positive = static_cast<double>(top) + __builtin_log(static_cast<double>(sum));
  double log_all = log_positive;
  T other = 0;
  if (negatives > 0) {
    other = cpu::simd_dispatch<MaxRow, T>(static_cast<const T*>(negative), negatives);
    const T rest = cpu::simd_dispatch<ExpRow, T>(negative, other, negatives);
    const double log_negative =
        static_cast<double>(other) + __builtin_log(static_cast<double>(rest));
    const double high = std::max(log_positive, log_negative),
                 low = std::min(log_positive, log_negative);
    log_all = high + __builtin_log1p(__builtin_exp(low - high));
    cpu::simd_dispatch<ScaleRow, T>(
        negative, static_cast<T>(__builtin_exp(static_cast<double>(other) - log_all)), negatives);
  }
  const double scale =
      __builtin_exp(static_cast<double>(top) - log_all) - 1 / static_cast<double>(sum);
  cpu::simd_dispatch<ScaleRow, T>(s, static_cast<T>(scale), positives);
  return log_all - log_positive;
}

/// How loss_fb runs on the CPU: anchors run by run, in tiles, whose scores are overwritten by their
/// own gradient.
template <class T>
void loss_fb_on_cpu(T* result, T* gradient, std::int64_t* anchors_found, const T* f,
                    const std::int32_t* h, const bool* valid, std::int64_t videos,
                    std::int64_t frames, std::int64_t classes, std::int64_t width,
                    const ContrastOptions& options) {
  const ContrastRows set = contrast_rows(h, valid, videos, frames, classes, options.same_video);
  const auto columns = static_cast<std::int64_t>(set.rows.size());
  const T inverse_tau = T(1 / options.temperature);

  Tensor<T> rows(Shape{columns, width});  // the frames that take part, side by side
  T* row_data = rows.mutable_data();
  for (std::int64_t i = 0; i < columns; ++i) {
    const T* from = f + set.rows[static_cast<std::size_t>(i)] * width;
    std::copy(from, from + width, row_data + i * width);
  }
  const bool want_gradient = gradient != nullptr;
  Tensor<T> gathered = want_gradient ? zeros<T>({columns, width}) : Tensor<T>();
  T* gathered_data = want_gradient ? gathered.mutable_data() : nullptr;
  double loss = 0;
  std::int64_t anchors = 0;

  constexpr std::int64_t tile = 256;
  const std::int64_t background = columns - set.foreground;
  for (const ContrastRows::Run& run : set.runs) {
    // The columns that the anchors of this run see: Ψ⁺ candidates, then Ψ⁻.
    std::int64_t positives = 0;
    for (std::int64_t other : run.positive) {
      const auto& seen = set.runs[static_cast<std::size_t>(other)];
      positives += seen.end - seen.begin;
    }
    if (positives < 2) continue;  // the anchor itself is the only candidate
    anchors += run.end - run.begin;
    const std::int64_t seen_columns = positives + background;
    Tensor<T> scores(Shape{std::min(tile, run.end - run.begin), seen_columns});
    T* s = scores.mutable_data();
    for (std::int64_t first = run.begin; first < run.end; first += tile) {
      const std::int64_t count = std::min(tile, run.end - first);
      const T* anchor = row_data + first * width;
      // s = anchors · columnsᵀ/τ, one product per block of neighbouring columns.
      struct Block {
        std::int64_t at, from, size;
      };
      std::vector<Block> blocks;
      std::int64_t at = 0, self = 0;
      for (std::int64_t other : run.positive) {
        const auto& seen = set.runs[static_cast<std::size_t>(other)];
        if (&seen == &run) self = at + (first - run.begin);
        blocks.push_back({at, seen.begin, seen.end - seen.begin});
        at += seen.end - seen.begin;
      }
      blocks.push_back({at, set.foreground, background});
      for (const Block& block : blocks) {
        cpu::gemm(cpu::Trans::no, cpu::Trans::yes, count, block.size, width, inverse_tau, anchor,
                  width, static_cast<const T*>(row_data) + block.from * width, width, T(0),
                  s + block.at, seen_columns);
      }
      std::vector<double> losses(static_cast<std::size_t>(count));
      cpu::parallel_for(count, 8, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          losses[static_cast<std::size_t>(i)] =
              contrast_row(s + i * seen_columns, seen_columns, positives, self + i);
        }
      });
      for (double value : losses) loss += value;
      if (!want_gradient) continue;
      for (const Block& block : blocks) {  // s now holds a_ij − [j∈Ψ⁺] b_ij
        cpu::gemm(cpu::Trans::no, cpu::Trans::no, count, width, block.size, inverse_tau,
                  s + block.at, seen_columns, static_cast<const T*>(row_data) + block.from * width,
                  width, T(1), gathered_data + first * width, width);
        cpu::gemm(cpu::Trans::yes, cpu::Trans::no, block.size, width, count, inverse_tau,
                  s + block.at, seen_columns, anchor, width, T(1),
                  gathered_data + block.from * width, width);
      }
    }
  }
  if (want_gradient) {
    std::fill_n(gradient, videos * frames * width, T(0));
    for (std::int64_t i = 0; i < columns; ++i) {
      const T* from = gathered_data + i * width;
      std::copy(from, from + width, gradient + set.rows[static_cast<std::size_t>(i)] * width);
    }
  }
  *anchors_found = anchors;
  *result = T(loss * (anchors > 0 ? 1 / static_cast<double>(anchors) : 0));
}

/// loss (1), gradient (videos, frames, width) before the division by the number of anchors, or
/// null, and that number, from f (videos, frames, width), h (videos, frames, classes) and valid
/// (videos, frames).
template <class T>
inline const Kernel<void(Queue&, T* loss, T* gradient, std::int64_t* anchors, const T* f,
                         const std::int32_t* h, const bool* valid, std::int64_t videos,
                         std::int64_t frames, std::int64_t classes, std::int64_t width,
                         const ContrastOptions& options)>
    loss_fb_forward{"loss_fb_forward", loss_fb_on_cpu<T>};

}  // namespace detail

/// loss_fb — L_fb = mean_i −log( Σ_{m∈Ψ⁺_i} exp(f_i·f_m/τ) / Σ_{j∈Ψ⁺_i∪Ψ⁻} exp(f_i·f_j/τ) ).
///                                                                                   [method §4, P]
///   i: confident foreground frames; Ψ⁺_i: the other ones that share a class with i, in the batch
///   or in the same video (reading); Ψ⁻: all confident background frames (reading). A frame with
///   empty Ψ⁺ is skipped; without any anchor the loss is 0.
///   f (B, T, D), L2-normalised by the caller; h (B, T, C); valid (B, T) → ().
///   With a_ij = exp(s_ij)/Σ_{Ψ⁺∪Ψ⁻}, b_ij = exp(s_ij)/Σ_{Ψ⁺}, s = f·fᵀ/τ:
///     dL/ds_ij = (a_ij − [j∈Ψ⁺] b_ij)/anchors,   df_i += Σ_j g_ij f_j/τ,   df_j += Σ_i g_ij f_i/τ.
///   Anchors are taken in tiles; on the CPU a tile's scores give its loss and its gradient at once,
///   on a GPU they are computed once for either. Nothing of size frames² exists. Saves df (B, T,
///   D).
template <FloatingElement T>
Tensor<T> loss_fb(const Tensor<T>& f, const Tensor<std::int32_t>& h, const Tensor<bool>& valid,
                  const ContrastOptions& options = {}) {
  const char* const op = "loss_fb";
  TANDEM_CHECK(f.rank() == 3 && h.rank() == 3 && f.size(0) == h.size(0) && f.size(1) == h.size(1),
               op, "expected f (B, T, D) and H (B, T, C), got ", f.shape(), " and ", h.shape());
  TANDEM_CHECK(options.temperature > 0, op, "the temperature must be positive, it is ",
               options.temperature);
  tandem::detail::require_same_device(op, f, h, valid);
  detail::require_dense_labels(h, valid);
  tandem::detail::require_kernels(op, f, detail::loss_fb_forward<T>, detail::saved_gradient<T>);
  const Device device = f.device();
  const Tensor<T> source = f.detach().contiguous(), loss(Shape{}, device),
                  gradient = autograd::needs_grad(f) ? Tensor<T>(f.shape(), device) : Tensor<T>();
  const Tensor<std::int64_t> anchors(Shape{}, device);
  detail::loss_fb_forward<T>(device, loss.mutable_device_data(),
                             gradient.defined() ? gradient.mutable_device_data() : nullptr,
                             anchors.mutable_device_data(), source.device_data(), h.device_data(),
                             valid.device_data(), f.size(0), f.size(1), h.size(2), f.size(2),
                             options);
  return detail::record_saved_gradient(op, loss, gradient, anchors, f);
}

}  // namespace wtal
TANDEM_NAMESPACE_END

#pragma once
/// The losses of DCL: L_cls of the warm-up, L_kd and their helper, the top-k mean along time.
/// The foreground–background contrast L_fb is in contrast.hpp.                          [method §4]

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/bce_with_logits.hpp"
#include "tandem/ops/compare.hpp"
#include "tandem/ops/parts/common.hpp"
#include "tandem/ops/sigmoid.hpp"
#include "tandem/ops/softmax.hpp"
#include "tandem/ops/sum.hpp"
#include "tandem/ops/where.hpp"
#include "tandem/wtal/train/pseudo_labels.hpp"
#include "tandem/wtal/train/saved_gradient.hpp"
#include "tandem/wtal/train/teaching_options.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// P = σ(S) over the last axis.
template <FloatingElement T>
Tensor<T> frame_probabilities(const Tensor<T>& logits, Reading reading) {
  return reading == Reading::sigmoid ? sigmoid(logits) : softmax(logits, -1);
}

namespace detail {

/// How topk_mean runs: over the frames in their order on the CPU, from the largest score down on a
/// GPU.
template <class T>
void topk_mean_on_cpu(T* y, bool* taken, std::int64_t* chosen, const T* scores, const bool* valid,
                      std::int64_t videos, std::int64_t frames, std::int64_t classes,
                      std::int64_t divisor) {
  std::fill_n(taken, videos * frames * classes, false);
  cpu::parallel_for(videos * classes, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::int64_t> order;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t b = i / classes, c = i % classes;
      const T* column = scores + b * frames * classes + c;
      order.clear();
      for (std::int64_t t = 0; t < frames; ++t) {
        if (valid[b * frames + t]) order.push_back(t);
      }
      TANDEM_CHECK(!order.empty(), "topk_mean", "video ", b, " of the batch has no valid frame");
      const auto k = std::max<std::int64_t>(1, static_cast<std::int64_t>(order.size()) / divisor);
      const auto larger = [&](std::int64_t a, std::int64_t z) {
        const T left = column[a * classes], right = column[z * classes];
        return left > right || (left == right && a < z);
      };
      std::nth_element(order.begin(), order.begin() + (k - 1), order.end(), larger);
      order.resize(static_cast<std::size_t>(k));
      std::sort(order.begin(), order.end());  // a fixed order of summation
      double sum = 0;
      for (std::int64_t t : order) {
        sum += static_cast<double>(column[t * classes]);
        taken[(b * frames + t) * classes + c] = true;
      }
      y[i] = T(sum / static_cast<double>(k));
      if (c == 0) chosen[b] = k;
    }
  });
}
template <class T>
void topk_mean_backward_on_cpu(T* ds, const T* dy, const bool* taken, const std::int64_t* chosen,
                               std::int64_t videos, std::int64_t frames, std::int64_t classes) {
  for (std::int64_t i = 0; i < videos * frames * classes; ++i) {
    const std::int64_t b = i / (frames * classes), c = i % classes;
    ds[i] = taken[i] ? dy[b * classes + c] / static_cast<T>(chosen[b]) : T(0);
  }
}

/// scores (B, T, C), valid (B, T) → y (B, C); taken (B, T, C) says of which frames, chosen (B) how
/// many of each class.
template <class T>
inline const Kernel<void(Queue&, T* y, bool* taken, std::int64_t* chosen, const T* scores,
                         const bool* valid, std::int64_t videos, std::int64_t frames,
                         std::int64_t classes, std::int64_t divisor)>
    topk_mean_forward{"topk_mean_forward", topk_mean_on_cpu<T>};
template <class T>
inline const Kernel<void(Queue&, T* ds, const T* dy, const bool* taken, const std::int64_t* chosen,
                         std::int64_t videos, std::int64_t frames, std::int64_t classes)>
    topk_mean_backward{"topk_mean_backward", topk_mean_backward_on_cpu<T>};

}  // namespace detail

/// topk_mean — (1/k) Σ of the k largest scores along time, per class; k = max(1,
/// ⌊T_valid/divisor⌋).
///                                                                  [method §4, P; k: C, an option]
///   scores (B, T, C), valid (B, T) → (B, C). Equal scores: the earlier frame is taken.
///   dscores = dy/k at the frames taken.  Saves which they are. A video without frames: an error,
///   on a GPU NaN.
template <FloatingElement T>
Tensor<T> topk_mean(const Tensor<T>& scores, const Tensor<bool>& valid, std::int64_t divisor = 8) {
  const char* const op = "topk_mean";
  TANDEM_CHECK(scores.rank() == 3 && valid.shape() == (Shape{scores.size(0), scores.size(1)}), op,
               "expected scores (B, T, C) and valid (B, T), got ", scores.shape(), " and ",
               valid.shape());
  TANDEM_CHECK(divisor >= 1, op, "the divisor must be at least 1, it is ", divisor);
  tandem::detail::require_same_device(op, scores, valid);
  tandem::detail::require_kernels(op, scores, detail::topk_mean_forward<T>,
                                  detail::topk_mean_backward<T>);
  const std::int64_t videos = scores.size(0), frames = scores.size(1), classes = scores.size(2);
  const Device device = scores.device();
  const Tensor<T> s = scores.detach().contiguous(), out(Shape{videos, classes}, device);
  const Tensor<bool> real = valid.contiguous(), taken(scores.shape(), device);
  const Tensor<std::int64_t> chosen(Shape{videos}, device);
  detail::topk_mean_forward<T>(device, out.mutable_device_data(), taken.mutable_device_data(),
                               chosen.mutable_device_data(), s.device_data(), real.device_data(),
                               videos, frames, classes, divisor);
  return autograd::record(
      op, out,
      [shape = scores.shape(), taken = autograd::save(taken), chosen = autograd::save(chosen)](
          const Tensor<T>& dy, autograd::Needs) {
        const Tensor<T> g = dy.contiguous(), ds(shape, dy.device());
        detail::topk_mean_backward<T>(dy.device(), ds.mutable_device_data(), g.device_data(),
                                      taken.get().device_data(), chosen.get().device_data(),
                                      shape[0], shape[1], shape[2]);
        return std::tuple(ds);
      },
      scores);
}

/// loss_cls — the warm-up loss on ŷ = σ(topk_mean(S)), mean over videos.                [method §4]
///   sigmoid (default, reading): Σ_c BCE(y_c, ŷ_c);   softmax: −Σ_c ȳ_c log ŷ_c, ȳ = y/Σy [C].
///   logits (B, T, C), y (B, C) in {0, 1}, valid (B, T) → ().
///   With softmax a video without a label contributes 0.
template <FloatingElement T>
Tensor<T> loss_cls(const Tensor<T>& logits, const Tensor<T>& y, const Tensor<bool>& valid,
                   Reading reading = Reading::sigmoid, std::int64_t divisor = 8) {
  const Tensor<T> scores = topk_mean(logits, valid, divisor);
  TANDEM_CHECK(y.shape() == scores.shape(), "loss_cls", "expected labels of shape ", scores.shape(),
               ", got ", y.shape());
  const double videos = static_cast<double>(std::max<std::int64_t>(1, y.size(0)));
  if (reading == Reading::sigmoid) {
    return mul(bce_with_logits(scores, y, Reduction::sum), T(1 / videos));
  }
  const Tensor<T> total = sum(y, {-1}, true);
  const Tensor<T> target = div(y, where(gt(total, T(0)), total, ones_like(total)));
  return mul(sum(mul(target, log_softmax(scores, -1))), T(-1 / videos));
}

namespace detail {

/// How loss_kd runs: a pass over the frames, in which loss and gradient (or null) come about. In
/// double on the CPU; a GPU takes p and 1 − p apart, so that float is enough.
template <class T>
void loss_kd_on_cpu(T* result, T* gradient, std::int64_t* taught, const T* s, const std::int32_t* h,
                    const bool* valid, std::int64_t rows, std::int64_t classes,
                    const DistillationOptions& options) {
  const std::vector<FrameState> states = states_of_frames(h, valid, rows, classes);
  constexpr std::int64_t chunk = 256;  // frames per partial sum: the same for any thread count
  const std::int64_t chunks = (rows + chunk - 1) / chunk;
  std::vector<double> partial_loss(static_cast<std::size_t>(chunks));
  std::vector<std::int64_t> partial_frames(static_cast<std::size_t>(chunks));
  if (gradient != nullptr) std::fill_n(gradient, rows * classes, T(0));
  cpu::parallel_chunks(rows, chunk, [&](std::int64_t index, std::int64_t begin, std::int64_t end) {
    std::vector<double> p(static_cast<std::size_t>(classes)), g(static_cast<std::size_t>(classes));
    double loss = 0;
    std::int64_t taught_frames = 0;
    for (std::int64_t r = begin; r < end; ++r) {
      if (!valid[r]) continue;
      const std::int32_t* label = h + r * classes;
      const T* score = s + r * classes;
      bool any = states[static_cast<std::size_t>(r)] != FrameState::undecided;
      if (options.every_entry) {
        any = false;
        for (std::int64_t c = 0; c < classes; ++c) any = any || label[c] != -1;
      }
      if (!any) continue;
      taught_frames += 1;
      double highest = static_cast<double>(score[0]), total = 0;
      if (options.reading == Reading::softmax) {
        for (std::int64_t c = 1; c < classes; ++c) {
          highest = std::max(highest, static_cast<double>(score[c]));
        }
        for (std::int64_t c = 0; c < classes; ++c) {
          total += __builtin_exp(static_cast<double>(score[c]) - highest);
        }
      }
      double weighted = 0;  // Σ g_c p_c of the softmax Jacobian
      for (std::int64_t c = 0; c < classes; ++c) {
        const auto i = static_cast<std::size_t>(c);
        const double x = static_cast<double>(score[c]);
        p[i] =
            options.reading == Reading::sigmoid
                ? (x >= 0 ? 1 / (1 + __builtin_exp(-x)) : __builtin_exp(x) / (1 + __builtin_exp(x)))
                : __builtin_exp(x - highest) / total;
        g[i] = 0;
        if (label[c] == -1 || !(label[c] == 1 ? options.foreground : options.background)) continue;
        const double inside = std::clamp(p[i], options.clamp, 1 - options.clamp);
        loss -= label[c] == 1 ? __builtin_log(inside) : __builtin_log1p(-inside);
        if (options.reading == Reading::sigmoid) {
          g[i] = inside - label[c];
        } else {
          g[i] = label[c] == 1 ? -1 / inside : 1 / (1 - inside);
          weighted += g[i] * p[i];
        }
      }
      if (gradient == nullptr) continue;
      for (std::int64_t c = 0; c < classes; ++c) {
        const auto i = static_cast<std::size_t>(c);
        gradient[r * classes + c] =
            T(options.reading == Reading::sigmoid ? g[i] : p[i] * (g[i] - weighted));
      }
    }
    partial_loss[static_cast<std::size_t>(index)] = loss;
    partial_frames[static_cast<std::size_t>(index)] = taught_frames;
  });
  double loss = 0;
  *taught = 0;
  for (std::int64_t i = 0; i < chunks; ++i) {
    loss += partial_loss[static_cast<std::size_t>(i)];
    *taught += partial_frames[static_cast<std::size_t>(i)];
  }
  *result = T(loss * (1 / static_cast<double>(std::max<std::int64_t>(1, *taught))));
}

/// loss (1), gradient (rows, classes) before the division by O or null, taught (1) = O, from
/// s, h (rows, classes) and valid (rows).
template <class T>
inline const Kernel<void(Queue&, T* loss, T* gradient, std::int64_t* taught, const T* s,
                         const std::int32_t* h, const bool* valid, std::int64_t rows,
                         std::int64_t classes, const DistillationOptions& options)>
    loss_kd_forward{"loss_kd_forward", loss_kd_on_cpu<T>};

}  // namespace detail

/// loss_kd — L_kd = (1/O) Σ_c Σ_{t confident} KL(Bernoulli(h_{t,c}) ‖ Bernoulli(p_{t,c})),  p =
/// σ(s).
///   KL = −log p for h = 1, −log(1 − p) for h = 0.           [method §4, P; Bernoulli, O: reading]
///   logits (B, T, C), h (B, T, C) in {1, 0, −1}, valid (B, T) → (). O = number of frames taught.
///   sigmoid: ds = (p − h)/O.  softmax: ds_j = p_j(g_j − Σ_c g_c p_c)/O with g_c = −1/p_c or 1/(1 −
///   p_c). Saves the gradient itself (it has the size of the logits): loss and gradient share one
///   pass.
template <FloatingElement T>
Tensor<T> loss_kd(const Tensor<T>& logits, const Tensor<std::int32_t>& h, const Tensor<bool>& valid,
                  const DistillationOptions& options = {}) {
  const char* const op = "loss_kd";
  TANDEM_CHECK(logits.rank() == 3 && h.shape() == logits.shape(), op,
               "expected logits and H of one shape (B, T, C), got ", logits.shape(), " and ",
               h.shape());
  tandem::detail::require_same_device(op, logits, h, valid);
  detail::require_dense_labels(h, valid);
  tandem::detail::require_kernels(op, logits, detail::loss_kd_forward<T>,
                                  detail::saved_gradient<T>);
  const Device device = logits.device();
  const Tensor<T> s = logits.detach().contiguous(), loss(Shape{}, device),
                  gradient =
                      autograd::needs_grad(logits) ? Tensor<T>(s.shape(), device) : Tensor<T>();
  const Tensor<std::int64_t> taught(Shape{}, device);
  detail::loss_kd_forward<T>(device, loss.mutable_device_data(),
                             gradient.defined() ? gradient.mutable_device_data() : nullptr,
                             taught.mutable_device_data(), s.device_data(), h.device_data(),
                             valid.device_data(), h.size(0) * h.size(1), h.size(2), options);
  return detail::record_saved_gradient(op, loss, gradient, taught, logits);
}

}  // namespace wtal
TANDEM_NAMESPACE_END

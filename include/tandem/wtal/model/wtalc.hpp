#pragma once
/// W-TALC, multiple instances and co-activity, as a branch in CBP's place.
///     [Paul, Roy, Roy-Chowdhury: "W-TALC: Weakly-supervised Temporal Activity Localization and
///      Classification", ECCV 2018; marks: docs/method.md, C: as its public code does it]

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "tandem/nn/linear.hpp"
#include "tandem/ops/any.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/compare.hpp"
#include "tandem/ops/relu.hpp"
#include "tandem/ops/to.hpp"
#include "tandem/wtal/model/branches.hpp"
#include "tandem/wtal/rivals/dropout.hpp"
#include "tandem/wtal/rivals/losses.hpp"
#include "tandem/wtal/rivals/proposals.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// The sizes and numbers of W-TALC; all [C] unless marked.
struct WtalcOptions {
  std::int64_t input = 2048;  ///< F, I3D columns, and the width of the features
  std::int64_t classes = 20;  ///< C
  double dropout = 0.7;
  double share = 0.5;             ///< Λ: L = Λ·L_mil + (1 − Λ)·L_pair
  std::int64_t topk_divisor = 8;  ///< k = ⌈n/8⌉ in training, ⌊T/8⌋ in inference
  double class_weight = 0.7;      ///< of the class score in a detection's
  /// Its own training: Adam with L2 decay, up to 100000 steps; batches of 3 pairs, of which one may
  /// be a video twice, and 4 single videos; rows [b, b + 750).
  rivals::Recipe recipe = {.videos = rivals::VideoOrder::pairs_with_repeats,
                           .rows = rivals::RowChoice::crop,
                           .batch = 10,
                           .pairs = 3,
                           .frames = 750,
                           .learning_rate = 1e-4,
                           .weight_decay = 5e-4,
                           .steps = 100000};
  Precision precision = Precision::full;  ///< of the products  (ours)
};

/// The rows of each video of x (B, T, F) that hold a number other than 0: how the public code,
/// which pads with zeros, knows a video's length. None: 1 (reading).
template <FloatingElement T>
std::vector<std::int64_t> rows_with_content(const Tensor<T>& x) {
  std::vector<std::int64_t> out;
  if (!x.device().is_cpu()) {  // the rows stay there
    const Tensor<bool> real = any(ne(x.detach(), T(0)), -1).to(Device::cpu());
    for (std::int64_t b = 0; b < real.size(0); ++b) {
      const bool* const first = real.data() + b * real.size(1);
      out.push_back(std::max<std::int64_t>(1, std::count(first, first + real.size(1), true)));
    }
    return out;
  }
  const Tensor<T> dense = x.detach().contiguous();
  const std::int64_t frames = x.size(1), columns = x.size(2);
  for (std::int64_t b = 0; b < x.size(0); ++b) {
    std::int64_t n = 0;
    for (std::int64_t t = 0; t < frames; ++t) {
      const T* row = dense.data() + (b * frames + t) * columns;
      n += std::any_of(row, row + columns, [](T v) { return v != T(0); }) ? 1 : 0;
    }
    out.push_back(std::max<std::int64_t>(1, n));
  }
  return out;
}

/// wtalc_detections — the method's own inference from S (T, C), in the order of rows.          [C]
///   v_c = mean of the ⌊T/8⌋ largest S_c, of one where T < 8 (reading); v_c ≤ 0 sets S_c to 0.
///   θ = (max S_c + min S_c)/2; runs of S_c > θ of two rows or more are found, in every class, with
///   score max S_c inside + 0.7·v_c. No suppression.  Row t covers seconds [s·t, s·(t + 1)).
inline std::vector<Detection> wtalc_detections(std::span<const double> scores, std::size_t classes,
                                               double seconds_per_row,
                                               const WtalcOptions& options) {
  TANDEM_CHECK(classes >= 1 && !scores.empty() && scores.size() % classes == 0, "wtalc",
               "expected scores (T, ", classes, "), got ", scores.size(), " numbers");
  const std::size_t frames = scores.size() / classes;
  const std::size_t k =
      std::max<std::size_t>(1, frames / static_cast<std::size_t>(options.topk_divisor));
  std::vector<Detection> out;
  std::vector<double> curve(frames);
  for (std::size_t c = 0; c < classes; ++c) {
    for (std::size_t t = 0; t < frames; ++t) curve[t] = scores[t * classes + c];
    std::vector<double> sorted = curve;
    std::sort(sorted.begin(), sorted.end(), [](double a, double b) { return a > b; });
    double video = 0;
    for (std::size_t i = 0; i < k; ++i) video += sorted[i];
    video /= static_cast<double>(k);
    if (video <= 0) continue;  // all are 0 then, and none is above their middle
    const double theta = (sorted.front() + sorted.back()) / 2;
    for (std::size_t t = 0; t < frames; ++t) {
      if (!(curve[t] > theta)) continue;
      const std::size_t first = t;
      while (t + 1 < frames && curve[t + 1] > theta) ++t;
      if (t == first) continue;
      const auto begin = curve.begin() + static_cast<std::ptrdiff_t>(first);
      const double most =
          *std::max_element(begin, curve.begin() + static_cast<std::ptrdiff_t>(t + 1));
      out.push_back({{static_cast<double>(first) * seconds_per_row,
                      static_cast<double>(t + 1) * seconds_per_row},
                     static_cast<int>(c),
                     most + options.class_weight * video});
    }
  }
  return out;
}

/// W-TALC — frames on their own, no background class, no attention.
///   x = Drop(ReLU(Linear(F→F)(X))),  S = Linear(F→C)(x)
///   n = rows of a video that are not all 0
///   L_mil = mean_b −Σ_c (y/Σy)_c log softmax_C(mean of the ⌈n/8⌉ largest S of the first n rows)_c
///   L = ½·L_mil + ½·L_pair on x (after dropout) and S                      (rivals/losses.hpp)
///   In DCL (reading): P = σ(S), f = x; no term is free of labels.
/// Names of the state are those of the public checkpoints; `fc1` is in them and takes no part.
template <FloatingElement T>
class WtalcBranch final : public Branch<T> {
 public:
  WtalcBranch(const WtalcOptions& options, Generator& random)
      : fc(options.input, options.input, random),
        fc1(options.input, options.input, random),
        classifier(options.input, options.classes, random),
        drop(options.dropout),
        options_(options) {
    for (nn::Linear<T>* layer : {&fc, &fc1, &classifier}) {  // Xavier, biases 0
      const NoGrad no_grad;
      const Tensor<T>& weight = layer->weight.tensor();
      weight.copy_elements(nn::xavier_uniform<T>(weight.shape(), random));
      layer->bias.zero_();
    }
    this->add("fc", fc);
    this->add("fc1", fc1);
    this->add("classifier", classifier);
    this->add("dropout", drop);
  }

  BranchOutput<T> forward(const Tensor<T>& x, const Tensor<bool>& valid,
                          const Tensor<bool>& wanted = {}) const override {
    static_cast<void>(wanted);
    const nn::ModuleScope scope("wtalc");
    const PrecisionScope products(options_.precision);
    detail::check_frames("wtalc", x, options_.input, valid);
    const Tensor<T> f = drop.forward(fc.forward(x, Activation::relu));
    return {.features = f, .logits = classifier.forward(f)};
  }

  const rivals::Recipe* recipe() const override { return &options_.recipe; }

  /// L and its parts.
  struct Loss {
    Tensor<T> mil, pair, total;  ///< L_mil, L_pair, L
  };
  /// Of a batch with labels y (B, C), whose videos have so many rows.
  Loss loss(const BranchOutput<T>& out, const Tensor<T>& y,
            const std::vector<std::int64_t>& lengths) const {
    const std::int64_t by = options_.topk_divisor;
    const Tensor<T> video =
        rivals::top_mean(out.logits, lengths, [by](std::int64_t n) { return (n + by - 1) / by; });
    Loss loss;
    loss.mil = rivals::label_cross_entropy(video, rivals::shared_labels(y));
    loss.pair = rivals::pair_loss(out.features, out.logits, y, lengths, options_.recipe.pairs);
    loss.total = add(mul(loss.mil, T(options_.share)), mul(loss.pair, T(1 - options_.share)));
    return loss;
  }
  Tensor<T> own_loss(const Tensor<T>& x, const Tensor<bool>& valid,
                     const Tensor<T>& y) const override {
    return loss(forward(x, valid), y, rows_with_content(x)).total;
  }

  bool localizes() const override { return true; }
  std::vector<Detection> own_detections(const Tensor<float>& x,
                                        double seconds_per_row) const override {
    const NoGrad no_grad;
    const Device device = fc.bias.device();
    const Tensor<T> logits =
        forward(x.template to<T>().unsqueeze(0).to(device), ones<bool>({1, x.size(0)}, device))
            .logits.to(Device::cpu());
    return wtalc_detections(logits.contiguous().template to<double>().to_vector(),
                            static_cast<std::size_t>(options_.classes), seconds_per_row, options_);
  }
  /// Those it was made with.
  const WtalcOptions& options() const { return options_; }

  nn::Linear<T> fc, fc1, classifier;  ///< fc1: unused
  rivals::Dropout<T> drop;            ///< behind the first ReLU

 private:
  WtalcOptions options_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END

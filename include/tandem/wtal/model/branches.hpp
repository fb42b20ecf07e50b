#pragma once
/// The two branches: classification-based pre-training (CBP) and vision-language pre-training
/// (VLP).
///                                                                                      [method §3]

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "tandem/clip/captured_text_encoder.hpp"
#include "tandem/clip/text_encoder.hpp"
#include "tandem/nn/linear.hpp"
#include "tandem/nn/positions.hpp"
#include "tandem/nn/transformer.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/ops/index_select.hpp"
#include "tandem/ops/normalize.hpp"
#include "tandem/ops/stack.hpp"
#include "tandem/ops/to.hpp"
#include "tandem/wtal/model/prompts.hpp"
#include "tandem/wtal/rivals/sampling.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// What a branch says about a batch.
template <FloatingElement T>
struct BranchOutput {
  Tensor<T> features;  ///< f (B, T, W), the frame features that L_fb compares
  Tensor<T> logits;    ///< S (B, T, C); P = σ(S)
  // What only some methods have; undefined where there is none.
  Tensor<T> background = {};  ///< (B, T, 1): of a class "none of them"; σ of it is its probability
  Tensor<T> attention = {};   ///< (B, T, 1) in (0, 1): how much a frame is foreground, by a filter
  Tensor<T> label_free = {};  ///< (): the terms of the method's own loss that need no class label
};

/// A branch is a replaceable part: the trainer knows nothing else about it. The paper swaps other
/// weakly-supervised methods in for CBP; derive from this to do the same (docs/adding_a_method.md).
/// forward() is enough: DCL's warm-up, sampler and inference serve it. A method that trains or
/// localizes in a way of its own says so by the functions below.
template <FloatingElement T>
class Branch : public nn::Module<T> {
 public:
  /// x (B, T, D) features, valid (B, T): false on padding. `wanted` (B, T), when given, says which
  /// frames anyone will read: a branch may leave the others out of its last layers and give zeros
  /// there.
  virtual BranchOutput<T> forward(const Tensor<T>& x, const Tensor<bool>& valid,
                                  const Tensor<bool>& wanted = {}) const = 0;
  /// Before each step on a GPU: brings up to date, where graphs that were captured read it, what
  /// the branch keeps of parameters that do not learn in this step. `teaches`: none of them does.
  virtual void refresh(bool teaches) const { static_cast<void>(teaches); }

  /// How the method trains when it stands alone: its warm-up here. Null: as DCL's CBP does.
  virtual const rivals::Recipe* recipe() const { return nullptr; }
  /// The method's own loss of a batch, (): x (B, T, D), valid (B, T), labels y (B, C). Minimised in
  /// the warm-up of a branch with a recipe.
  virtual Tensor<T> own_loss(const Tensor<T>& x, const Tensor<bool>& valid,
                             const Tensor<T>& y) const {
    static_cast<void>(x), static_cast<void>(valid), static_cast<void>(y);
    fail("branch", "this method has no loss of its own");
  }
  /// Whether own_detections() is there.
  virtual bool localizes() const { return false; }
  /// What the method's own inference finds in a whole video x (T, D), in seconds; `seconds_per_row`
  /// is how long a row lasts. The branch is in the mode that it is in, and records no graph.
  virtual std::vector<Detection> own_detections(const Tensor<float>& x,
                                                double seconds_per_row) const {
    static_cast<void>(x), static_cast<void>(seconds_per_row);
    fail("branch", "this method has no inference of its own");
  }
};

/// How frames know where they are: sinusoid is nn::sinusoidal_positions.  (reading; method.md: an
/// option)
enum class Positions { none, sinusoid, learned };

namespace detail {
/// Which two rows of a table of `rows` each of `frames` lies between, and the share of either.
template <FloatingElement T>
struct Stretch {
  Tensor<std::int64_t> low, high;
  Tensor<T> rest, weight;
  Stretch(std::int64_t rows, std::int64_t frames)
      : low(Shape{frames}), high(Shape{frames}), rest(Shape{frames, 1}), weight(Shape{frames, 1}) {
    std::int64_t *a = low.mutable_data(), *b = high.mutable_data();
    T *w = weight.mutable_data(), *r = rest.mutable_data();
    for (std::int64_t t = 0; t < frames; ++t) {
      const double u =
          static_cast<double>(t) * static_cast<double>(rows - 1) / static_cast<double>(frames - 1);
      a[t] = static_cast<std::int64_t>(u);
      b[t] = a[t] + 1 < rows ? a[t] + 1 : a[t];
      w[t] = T(u - static_cast<double>(a[t]));
      r[t] = T(1) - w[t];
    }
  }
  Stretch(const Stretch& other, Device device)
      : low(other.low.to(device)),
        high(other.high.to(device)),
        rest(other.rest.to(device)),
        weight(other.weight.to(device)) {}
  Tensor<T> of(const Tensor<T>& table) const {
    return add(mul(index_select(table, 0, low), rest), mul(index_select(table, 0, high), weight));
  }
};

/// What positions are made of, on GPUs: made once for a length, since nothing is copied from the
/// host while a graph is captured, and kept, since graphs read it. On the CPU nothing is kept.
template <FloatingElement T>
class PositionTables {
 public:
  Tensor<T> sinusoid(std::int64_t frames, std::int64_t width, Device device) {
    if (device.is_cpu()) return nn::sinusoidal_positions<T>(frames, width);
    return find(sinusoids_, frames, device,
                [&] { return nn::sinusoidal_positions<T>(frames, width).to(device); });
  }
  Stretch<T> stretch(std::int64_t rows, std::int64_t frames, Device device) {
    if (device.is_cpu()) return Stretch<T>(rows, frames);
    return find(stretches_, frames, device,
                [&] { return Stretch<T>(Stretch<T>(rows, frames), device); });
  }

 private:
  template <class X>
  struct Kept {
    std::int64_t frames;
    Device device;
    X value;
  };
  template <class X, class F>
  X find(std::vector<Kept<X>>& kept, std::int64_t frames, Device device, F&& make) {
    const std::lock_guard<std::mutex> guard(mutex_);
    for (const Kept<X>& k : kept) {
      if (k.frames == frames && k.device == device) return k.value;
    }
    kept.push_back({frames, device, make()});
    return kept.back().value;
  }
  std::mutex mutex_;
  std::vector<Kept<Tensor<T>>> sinusoids_;
  std::vector<Kept<Stretch<T>>> stretches_;
};
}  // namespace detail

/// learned_positions — the first `frames` rows of a table (P, W); a video longer than the table
/// gets the table stretched linearly over it, first and last row kept:  (reading)
///   row t = (1 − w)·table[⌊u⌋] + w·table[⌊u⌋ + 1],  u = t·(P − 1)/(frames − 1), w = u − ⌊u⌋.
template <FloatingElement T>
Tensor<T> learned_positions(const Tensor<T>& table, std::int64_t frames,
                            detail::PositionTables<T>* tables = nullptr) {
  const std::int64_t rows = table.size(0);
  if (frames <= rows) return table.slice(0, 0, frames);
  if (tables != nullptr) return tables->stretch(rows, frames, table.device()).of(table);
  return detail::Stretch<T>(detail::Stretch<T>(rows, frames), table.device()).of(table);
}

namespace detail {
template <FloatingElement T>
void check_frames(const char* branch, const Tensor<T>& x, std::int64_t width,
                  const Tensor<bool>& valid) {
  TANDEM_CHECK(
      x.rank() == 3 && x.size(2) == width && valid.shape() == (Shape{x.size(0), x.size(1)}), branch,
      "expected features (B, T, ", width, ") and valid (B, T), got ", x.shape(), " and ",
      valid.shape());
}

template <FloatingElement T>
Tensor<T> scaled(const Tensor<T>& x, double scale) {
  return scale == 1 ? x : mul(x, T(scale));
}

/// All blocks on all frames; the last one, if `wanted` is given, on the wanted frames only: (n, W).
template <FloatingElement T>
Tensor<T> run_blocks(const std::vector<Ref<nn::TransformerBlock<T>>>& blocks, Tensor<T> f,
                     const Tensor<bool>& valid, const Tensor<bool>& wanted) {
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const bool partial = wanted.defined() && i + 1 == blocks.size();
    f = partial ? blocks[i]->forward_rows(f, wanted, valid) : blocks[i]->forward(f, valid);
  }
  return f;
}

/// The wanted frames' rows (n, …) back at their places (B, T, …), zeros elsewhere.
template <FloatingElement T>
BranchOutput<T> in_place(const BranchOutput<T>& rows, const Tensor<bool>& wanted) {
  if (!wanted.defined()) return rows;
  // Each frame reads its row, or one row of zeros behind them.
  Tensor<std::int64_t> source(Shape{wanted.numel()});
  const Tensor<bool> dense = wanted.contiguous();
  std::int64_t next = 0;
  for (std::int64_t i = 0; i < dense.numel(); ++i) {
    source.mutable_data()[i] = dense.data()[i] ? next++ : rows.features.size(0);
  }
  const auto place = [&](const Tensor<T>& x) {
    const Tensor<T> padded = cat(std::vector<Tensor<T>>{x, zeros<T>({1, x.size(1)})}, 0);
    return index_select(padded, 0, source).reshape({wanted.size(0), wanted.size(1), x.size(1)});
  };
  return {.features = place(rows.features), .logits = place(rows.logits)};
}
}  // namespace detail

/// The sizes of CBP.
struct CbpOptions {
  std::int64_t input = 2048;  ///< I3D columns: 1024 RGB, 1024 flow  [C]
  std::int64_t classes = 20;
  std::int64_t width = 512;               ///< [P: f^cb ∈ R^{T×512}]
  std::int64_t layers = 2;                ///< n  (reading)
  std::int64_t heads = 8;                 ///< (reading)
  std::int64_t mlp_ratio = 4;             ///< (reading)
  double dropout = 0;                     ///< (reading)
  Positions positions = Positions::none;  ///< (reading)
  std::int64_t table = 1000;              ///< rows of the learned position table
  double scale = 1;                       ///< of the rows, before everything else  (ours)
  /// Of the products in linear layers and attention  (ours)
  Precision precision = Precision::full;
};

/// CBP — x = Linear(F_i3d) (+ positions) → n pre-LN transformer blocks → f^cb → Linear → S^cb.
///   x (B, T, input) → f (B, T, width), S (B, T, classes).                         [method §3, P]
/// A linear head on frame features; a video is never seen whole except through attention.
template <FloatingElement T>
class CbpBranch final : public Branch<T> {
 public:
  CbpBranch(const CbpOptions& options, Generator& random)
      : embed(options.input, options.width, random),
        head(options.width, options.classes, random),
        drop(options.dropout),
        options_(options) {
    this->add("embed", embed);
    if (options.positions == Positions::learned) {
      position = randn<T>({options.table, options.width}, random, 0, 0.01);
      this->add("position", position);
    }
    for (std::int64_t i = 0; i < options.layers; ++i) {
      blocks_.push_back(make_ref<nn::TransformerBlock<T>>(
          options.width, options.heads, random,
          nn::TransformerBlockOptions{.mlp_ratio = options.mlp_ratio,
                                      .activation = Activation::gelu,
                                      .dropout = options.dropout}));
      this->add(concat("blocks.", i), *blocks_.back());
    }
    this->add("head", head);
    this->add("drop", drop);
  }
  BranchOutput<T> forward(const Tensor<T>& x, const Tensor<bool>& valid,
                          const Tensor<bool>& wanted = {}) const override {
    const nn::ModuleScope scope("cbp");
    const PrecisionScope products(options_.precision);
    detail::check_frames("cbp", x, options_.input, valid);
    Tensor<T> f = embed.forward(detail::scaled(x, options_.scale));
    if (options_.positions == Positions::sinusoid) {
      f = add(f, tables_.sinusoid(x.size(1), options_.width, x.device()));
    } else if (options_.positions == Positions::learned) {
      f = add(f, learned_positions(position, x.size(1), &tables_));
    }
    f = drop.forward(f);
    // A last block is what leaves frames out
    const Tensor<bool> asked = blocks_.empty() ? Tensor<bool>() : wanted;
    f = detail::run_blocks(blocks_, f, valid, asked);
    return detail::in_place<T>({.features = f, .logits = head.forward(f)}, asked);
  }

  nn::Linear<T> embed;  ///< rows → width
  Tensor<T> position;
  nn::Linear<T> head;   ///< features → logits
  nn::Dropout<T> drop;  ///< on the embedded rows

 private:
  CbpOptions options_;
  std::vector<Ref<nn::TransformerBlock<T>>> blocks_;
  mutable detail::PositionTables<T> tables_;
};

/// The sizes of VLP, and how it starts.
struct VlpOptions {
  std::int64_t width = 512;    ///< CLIP's output  [P]
  std::int64_t layers = 2;     ///< of the temporal transformer; 0: F_vis as it is  [P]
  std::int64_t heads = 8;      ///< (reading)
  std::int64_t mlp_ratio = 4;  ///< (reading)
  double dropout = 0;          ///< (reading)
  std::int64_t table = 1000;   ///< rows of the learned position table
  /// Of the rows, before everything else: how loud they are beside the positions  (ours)
  double scale = 1;
  double temperature = 0.07;   ///< τ_cls  (reading)
  bool learned_scale = false;  ///< a learned scale and bias on S^vl  (reading: none)
  /// The temporal transformer starts as the identity plus the positions: the output projections of
  /// its blocks are zero, so that untrained VLP is vanilla CLIP (reading). false: random, as CLIP's
  /// own.
  bool identity_start = true;
  /// Of the products, the text encoder's among them  (ours)
  Precision precision = Precision::full;
};

/// VLP — F_vid = Φ_temp(F_vis); F_txt = Φ_txt(Φ_prmp(C_name));
///   S^vl = (F_vid/‖·‖)(F_txt/‖·‖)ᵀ/τ_cls.                                           [method §3, P]
///   x (B, T, width) CLIP rows → f = F_vid/‖F_vid‖ (B, T, width), S (B, T, C).
/// Only Φ_temp and the prompts learn; the text encoder is frozen and gradients flow through it.
/// Wherever the prompts do not learn (the branch teaches or is evaluated, which nn::Evaluating
/// says, or its prompts are frozen), the text features are computed once and kept until the prompts
/// change.
template <FloatingElement T>
class VlpBranch final : public Branch<T> {
 public:
  VlpBranch(const VlpOptions& options, Ref<clip::TextEncoder<T>> text,
            std::vector<std::vector<std::int64_t>> names,
            const typename PromptLearner<T>::Options& prompt_options, Generator& random)
      : prompts(std::move(names), text->options().width, prompt_options, random),
        position(randn<T>({options.table, options.width}, random, 0, 0.01)),
        text_(std::move(text)),
        captured_text_(text_),
        options_(options) {
    TANDEM_CHECK(text_->options().output == options.width, "vlp", "the text encoder gives ",
                 text_->options().output, " columns, the CLIP rows have ", options.width);
    TANDEM_CHECK(options.temperature > 0, "vlp", "the temperature must be positive");
    text_->freeze();
    this->add("prompts", prompts);
    if (options.layers > 0) this->add("temporal.position", position);
    for (std::int64_t i = 0; i < options.layers; ++i) {
      auto block = make_ref<nn::TransformerBlock<T>>(
          options.width, options.heads, random,
          nn::TransformerBlockOptions{.mlp_ratio = options.mlp_ratio,
                                      .activation = Activation::quick_gelu,
                                      .dropout = options.dropout});
      if (options.identity_start) {
        const NoGrad no_grad;
        for (nn::Linear<T>* out : {&block->attn.out_proj, &block->mlp.c_proj}) {
          out->weight.tensor().zero_();
          out->bias.zero_();
        }
      }
      this->add(concat("temporal.blocks.", i), *block);
      blocks_.push_back(std::move(block));
    }
    if (options.learned_scale) {
      scale = ones<T>({1});
      bias = zeros<T>({1});
      this->add("scale", scale);
      this->add("bias", bias);
    }
  }

  /// F_txt/‖F_txt‖ (C, width) of the prompts as they are.
  Tensor<T> text_features() const {
    const bool learns = autograd::needs_grad(prompts.before, prompts.after);
    const std::uint64_t version = prompts.before.version() + prompts.after.version();
    if (!learns && cached_.defined() && cached_version_ == version &&
        cached_before_ == prompts.before.storage() && cached_after_ == prompts.after.storage())
      return cached_;
    const nn::ModuleScope scope("vlp");
    const PrecisionScope products(options_.precision);
    const Device device = text_->positional_embedding.device();
    TANDEM_CHECK(device == prompts.before.device(), "vlp", "the text encoder is on ", device,
                 ", the prompts are on ", prompts.before.device(),
                 ": the encoder is not the branch's own, move it too");
    const Tensor<T> embedded = prompts.forward(text_->token_embedding);
    // While they learn, it is the step that is captured (train/captured_steps.hpp).
    const Tensor<T> features =
        normalize(learns ? text_->forward_packed(embedded, prompts.packed())
                         : captured_text_.forward_packed(embedded, prompts.packed()),
                  -1);
    if (!learns) {
      cached_ = features;
      cached_version_ = version;
      cached_before_ = prompts.before.storage();
      cached_after_ = prompts.after.storage();
      ++cached_count_;
    }
    return features;
  }
  BranchOutput<T> forward(const Tensor<T>& x, const Tensor<bool>& valid,
                          const Tensor<bool>& wanted = {}) const override {
    const nn::ModuleScope scope("vlp");
    const PrecisionScope products(options_.precision);
    detail::check_frames("vlp", x, options_.width, valid);
    Tensor<T> f = detail::scaled(x, options_.scale);
    if (options_.layers > 0) f = add(f, learned_positions(position, x.size(1), &tables_));
    f = normalize(detail::run_blocks(blocks_, f, valid, blocks_.empty() ? Tensor<bool>() : wanted),
                  -1);
    const bool learns = autograd::needs_grad(prompts.before, prompts.after);
    const Tensor<T> text = learns || f.device().is_cpu() ? text_features() : kept_text();
    Tensor<T> s = mul(matmul(f, text.transpose(0, 1)), T(1 / options_.temperature));
    if (options_.learned_scale) s = add(mul(s, scale), bias);
    const BranchOutput<T> out{.features = f, .logits = s};
    return blocks_.empty() ? out : detail::in_place(out, wanted);
  }
  void refresh(bool teaches) const override {
    if (prompts.before.device().is_cpu()) return;
    if (!teaches && (prompts.before.requires_grad() || prompts.after.requires_grad())) return;
    const NoGrad no_grad;
    (void)kept_text();
  }
  /// Frozen, and of whoever gave it: to() and state_dict() of the branch leave it alone.
  const clip::TextEncoder<T>& text() const { return *text_; }

  PromptLearner<T> prompts;  ///< the learned vectors
  Tensor<T> position;
  Tensor<T> scale, bias;  ///< of S^vl; undefined unless learned_scale

 private:
  /// The text features on a GPU in a tensor that stays: a graph that reads them finds those of the
  /// prompts that there are when it is replayed.
  Tensor<T> kept_text() const {
    const Tensor<T> now = text_features();
    for (KeptText& kept : kept_text_) {
      if (kept.features.device() != now.device()) continue;
      if (kept.count != cached_count_) kept.features.copy_(now);
      kept.count = cached_count_;
      return kept.features;
    }
    kept_text_.push_back({now.clone(), cached_count_});
    return kept_text_.back().features;
  }
  struct KeptText {
    Tensor<T> features;
    std::uint64_t count;
  };

  Ref<clip::TextEncoder<T>> text_;
  mutable clip::CapturedTextEncoder<T> captured_text_;
  VlpOptions options_;
  std::vector<Ref<nn::TransformerBlock<T>>> blocks_;
  mutable detail::PositionTables<T> tables_;
  mutable Tensor<T> cached_;
  mutable std::uint64_t cached_version_ = 0;           // of the prompts: versions only grow
  mutable Ref<Storage> cached_before_, cached_after_;  // whose versions these are
  mutable std::uint64_t cached_count_ = 0;             // how often they were computed
  mutable std::vector<KeptText> kept_text_;            // one for each GPU
};

}  // namespace wtal
TANDEM_NAMESPACE_END

#pragma once
/// Boosting-WTAL: TSM and VLC trained in turn, tied by their attentions.         [method §11, P, C]

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tandem/optim/adam.hpp"
#include "tandem/optim/clip_grad.hpp"
#include "tandem/wtal/data/glove.hpp"
#include "tandem/wtal/rivals/boosting_tsm.hpp"
#include "tandem/wtal/rivals/boosting_vlc.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// What decides a training of Boosting-WTAL.
struct BoostingOptions {
  std::int64_t steps = 7001;
  double tsm_learning_rate = 5e-5, tsm_weight_decay = 1e-3;
  double vlc_first_rate = 1e-7, vlc_learning_rate = 4e-4;
  std::int64_t vlc_warmup = 400;  ///< updates until the rate is the highest
  double vlc_max_grad_norm = 10;
  double vlc_autoencoder = 1.5, vlc_attention = 1.5;  ///< of VLC's second step
  rivals::TsmLossOptions tsm = {};
  std::uint64_t seed = 0;  ///< of dropout and of masked words

  /// The numbers of its code for ActivityNet-1.3, whose log is of the best step by the test videos.
  ///                                                                                           [C]
  static BoostingOptions activity_net() {
    BoostingOptions o;
    o.steps = 50001;
    o.tsm_learning_rate = 3e-5;
    o.tsm_weight_decay = 5e-4;
    o.tsm = rivals::TsmLossOptions::activity_net();
    o.vlc_autoencoder = o.tsm.autoencoder;
    o.vlc_attention = o.tsm.attention;
    return o;
  }
};

/// The learning rate of VLC after `updates` updates: from `first` in a straight line to the highest
/// over the warm-up, then the highest·√(warm-up/updates).                           [method §11, C]
inline double vlc_learning_rate(const BoostingOptions& o, std::int64_t updates) {
  const auto i = static_cast<double>(updates), warmup = static_cast<double>(o.vlc_warmup);
  return updates < o.vlc_warmup
             ? o.vlc_first_rate + i * (o.vlc_learning_rate - o.vlc_first_rate) / warmup
             : o.vlc_learning_rate * __builtin_sqrt(warmup / i);
}

/// What an iteration did.
struct BoostingReport {
  double tsm = 0;                                ///< TSM's loss
  double reconstruction = 0;                     ///< L_rec
  double contrast = 0;                           ///< L_ivc
  double vlc_attention = 0;                      ///< the loss of VLC's second step
  double language_norm = 0, attention_norm = 0;  ///< of VLC's gradients in steps 1 and 2
};

/// Parameters that do not learn for a scope, in which they keep the gradients that they have.
template <FloatingElement T>
class HeldGradients {
 public:
  explicit HeldGradients(std::vector<Tensor<T>> parameters) : parameters_(std::move(parameters)) {
    for (const Tensor<T>& p : parameters_) {
      gradients_.push_back(p.grad());
      p.requires_grad_(false);
    }
  }
  ~HeldGradients() {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      parameters_[i].requires_grad_();
      if (gradients_[i].defined()) parameters_[i].set_grad(gradients_[i]);
    }
  }
  HeldGradients(const HeldGradients&) = delete;
  HeldGradients& operator=(const HeldGradients&) = delete;

 private:
  std::vector<Tensor<T>> parameters_, gradients_;
};

/// BoostingTrainer — holds the optimizers of both networks, which the caller owns, and makes
/// iterations.                                                                      [method §11, C]
///   1. VLC's language half learns from L_rec, the modules A frozen.
///   2. The modules A of VLC learn from L_ivc + 1.5·L_ae + 1.5·MSE(g, stop(a)), all else frozen.
///   3. TSM learns from its loss, with the attention g that step 1 saw.
/// In steps 1 and 2 the gradients are clipped by the norm of ALL parameters of VLC: the frozen half
/// still holds its last gradients, clipped before, and they count and are clipped again. All that
/// is random in an iteration is a function of the seed and its number.
template <FloatingElement T>
class BoostingTrainer {
 public:
  BoostingTrainer(const BoostingOptions& options, rivals::Tsm<T>& tsm, rivals::Vlc<T>& vlc)
      : options_(options),
        tsm_(tsm),
        vlc_(vlc),
        tsm_adam_(tsm.named_parameters(), {.learning_rate = options.tsm_learning_rate,
                                           .weight_decay = options.tsm_weight_decay}),
        language_adam_(vlc.language_parameters(), vlc_adam()),
        attention_adam_(vlc.attention_parameters(), vlc_adam()) {
    TANDEM_CHECK(options.steps >= 0 && options.vlc_warmup >= 1 && options.vlc_max_grad_norm > 0,
                 "boosting",
                 "steps must not be negative, the warm-up and the largest norm must be "
                 "positive; they are ",
                 options.steps, ", ", options.vlc_warmup, " and ", options.vlc_max_grad_norm);
  }

  /// One iteration on a batch, x (B, T, 2·stream + clip), labels y (B, C) and valid (B, T), and its
  /// sentences.  Errors: all steps are done.
  BoostingReport step(const Tensor<T>& x, const Tensor<T>& y, const Tensor<bool>& valid,
                      const Sentences<T>& sentences) {
    TANDEM_CHECK(!finished(), "boosting", "all ", options_.steps, " steps are done");
    Generator noise =
        Generator(options_.seed).split(noise_stream).split(static_cast<std::uint64_t>(step_));
    const nn::RandomScope random(noise);
    BoostingReport report;
    const rivals::TsmOutput<T> tsm = tsm_.forward(x, valid);
    const double rate =
        step_ == 0 ? options_.vlc_first_rate : vlc_learning_rate(options_, step_ - 1);
    const Tensor<bool> masked =
        vlc_.options().real_masking ? hide_words(sentences, noise) : Tensor<bool>();
    const auto vlc = [&] {
      return vlc_.forward(x, valid, sentences.words, sentences.counted, masked);
    };

    // 1: the language half
    Tensor<T> g;
    language_adam_.zero_grad();
    {
      const HeldGradients<T> held(vlc_.attention_parameters());
      const rivals::VlcOutput<T> out = vlc();
      g = out.attention.detach();
      const Tensor<T> loss =
          rivals::vlc_losses(out, sentences.ids, sentences.counted).reconstruction;
      report.reconstruction = static_cast<double>(loss.item());
      loss.backward();
    }
    report.language_norm = optim::clip_grad_norm(vlc_.parameters(), options_.vlc_max_grad_norm);
    language_adam_.set_learning_rate(rate);
    language_adam_.step();

    // 2: its modules A
    attention_adam_.zero_grad();
    {
      const HeldGradients<T> held(vlc_.language_parameters());
      const rivals::VlcOutput<T> out = vlc();
      const Tensor<T> contrast = rivals::vlc_losses(out, sentences.ids, sentences.counted).contrast;
      const Tensor<T> loss = add(
          contrast, add(mul(rivals::autoencoder_loss(out, valid), T(options_.vlc_autoencoder)),
                        mul(attention_mse(out.attention, tsm.attention.detach().squeeze(2), valid),
                            T(options_.vlc_attention))));
      report.contrast = static_cast<double>(contrast.item());
      report.vlc_attention = static_cast<double>(loss.item());
      loss.backward();
    }
    report.attention_norm = optim::clip_grad_norm(vlc_.parameters(), options_.vlc_max_grad_norm);
    attention_adam_.set_learning_rate(rate);
    attention_adam_.step();

    // 3: TSM
    const Tensor<T> loss = rivals::tsm_losses(tsm, y, valid, g, options_.tsm).total;
    report.tsm = static_cast<double>(loss.item());
    TANDEM_CHECK(report.tsm - report.tsm == 0, "boosting", "the loss of step ", step_,
                 " is not finite; the learning rate, ", options_.tsm_learning_rate,
                 ", may be too large");
    tsm_adam_.zero_grad();
    loss.backward();
    tsm_adam_.step();
    ++step_;
    return report;
  }

  /// MSE(g, stop(a)) over the frames; both (B, T).
  static Tensor<T> attention_mse(const Tensor<T>& g, const Tensor<T>& a,
                                 const Tensor<bool>& valid) {
    return rivals::masked_mean(square(sub(g, a)).unsqueeze(2), valid);
  }

  /// Steps done, and whether that is all of them.
  std::int64_t steps() const { return step_; }
  bool finished() const { return step_ >= options_.steps; }
  /// The options it was made with.
  const BoostingOptions& options() const { return options_; }

  /// Everything that a resumed run needs, with names; the tensors share memory with the trainer.
  /// The gradients of VLC are part of it: they enter the norm of the next step.
  std::vector<nn::Named<T>> state() const {
    std::vector<nn::Named<T>> out;
    const auto append = [&out](const char* prefix, std::vector<nn::Named<T>> part) {
      for (nn::Named<T>& named : nn::with_prefix(prefix, std::move(part))) {
        out.push_back(std::move(named));
      }
    };
    append("tsm.", tsm_.state_dict());
    append("vlc.", vlc_.state_dict());
    append("optimizer.tsm.", tsm_adam_.state());
    append("optimizer.language.", language_adam_.state());
    append("optimizer.attention.", attention_adam_.state());
    for (const nn::Named<T>& p : vlc_.named_parameters()) {
      if (p.tensor.grad().defined()) out.push_back({concat("gradient.", p.name), p.tensor.grad()});
    }
    return out;
  }
  /// Goes on from a saved state after `steps` steps.  Errors: a tensor that is missing or has
  /// another shape; more steps than the run has.
  void load(const std::vector<nn::Named<T>>& saved, std::int64_t steps) {
    TANDEM_CHECK(steps >= 0 && steps <= options_.steps, "boosting", "the checkpoint is after step ",
                 steps, ", this run has ", options_.steps, " steps");
    const auto part = [&saved](std::string_view prefix) {
      std::vector<nn::Named<T>> out;
      for (const nn::Named<T>& named : saved) {
        if (named.name.starts_with(prefix))
          out.push_back({named.name.substr(prefix.size()), named.tensor});
      }
      return out;
    };
    tsm_.load_state_dict(part("tsm."));
    vlc_.load_state_dict(part("vlc."));
    tsm_adam_.load_state(part("optimizer.tsm."));
    language_adam_.load_state(part("optimizer.language."));
    attention_adam_.load_state(part("optimizer.attention."));
    const std::vector<nn::Named<T>> gradients = part("gradient.");
    for (const nn::Named<T>& p : vlc_.named_parameters()) {
      p.tensor.zero_grad();
      for (const nn::Named<T>& g : gradients) {
        if (g.name == p.name) p.tensor.set_grad(g.tensor.clone());
      }
    }
    step_ = steps;
  }

 private:
  static constexpr std::uint64_t noise_stream = 0xB0057;
  optim::AdamOptions vlc_adam() const {
    return {.learning_rate = options_.vlc_first_rate, .epsilon_before_correction = true};
  }
  /// A third of the words of each sentence, drawn by their weights without replacement.
  static Tensor<bool> hide_words(const Sentences<T>& s, Generator& random) {
    const std::int64_t videos = s.ids.size(0), n = s.ids.size(1);
    const Tensor<bool> out = zeros<bool>({videos, n + 1});
    for (std::int64_t b = 0; b < videos; ++b) {
      std::vector<double> weight(static_cast<std::size_t>(n));
      double total = 0;
      for (std::int64_t j = 0; j < n; ++j) {
        weight[static_cast<std::size_t>(j)] = static_cast<double>(s.weights.at({b, j}));
        total += weight[static_cast<std::size_t>(j)];
      }
      for (std::int64_t k = 0; k < s.lengths[static_cast<std::size_t>(b)] / 3; ++k) {
        double at = random.next_double() * total;
        std::size_t j = 0, last = 0;  // the last one that can be drawn, should rounding run past it
        for (j = 0; j < weight.size(); ++j) {
          if (weight[j] == 0) continue;
          last = j;
          if (at < weight[j]) break;
          at -= weight[j];
        }
        if (j == weight.size()) j = last;
        total -= weight[j];
        weight[j] = 0;
        out.mutable_data()[b * (n + 1) + static_cast<std::int64_t>(j) + 1] = true;
      }
    }
    return out;
  }

  BoostingOptions options_;
  rivals::Tsm<T>& tsm_;
  rivals::Vlc<T>& vlc_;
  optim::Adam<T> tsm_adam_, language_adam_, attention_adam_;
  std::int64_t step_ = 0;
};

}  // namespace wtal
TANDEM_NAMESPACE_END

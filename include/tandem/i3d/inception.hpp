#pragma once
/// I3D: Inception-v1 with its filters inflated over time.  [Carreira & Zisserman 2017, section 2.4]

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tandem/i3d/config.hpp"
#include "tandem/i3d/inference.hpp"
#include "tandem/nn/batch_norm.hpp"
#include "tandem/nn/conv3d.hpp"
#include "tandem/nn/dropout.hpp"
#include "tandem/nn/pool3d.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/ops/fold_batch_norm.hpp"
#include "tandem/ops/mean.hpp"
#include "tandem/ops/relu.hpp"
#include "tandem/ops/softmax.hpp"

TANDEM_NAMESPACE_BEGIN
namespace i3d {

/// Unit — relu(bn(conv(x))), padded as TensorFlow's "SAME"; folded: relu(conv′(x)), conv′ with a
/// bias.
///   x (N, in, D, H, W) → (N, out, ⌈D/stride⌉, ⌈H/stride⌉, ⌈W/stride⌉).   Names: conv3d.weight,
///   bn.….
template <FloatingElement T>
class Unit final : public nn::Layer<T> {
 public:
  Unit(std::int64_t in, std::int64_t out, std::int64_t size, std::int64_t stride, Generator& random,
       double epsilon = 1e-3)
      : conv3d(in, out, Triple::all(size), random,
               {.stride = Triple::all(stride), .padding = Padding3d::same()}),
        bn(out, {.momentum = 0.01, .epsilon = epsilon}) {
    conv3d.bias = {};  // until it is folded
    this->add("conv3d", conv3d);
    this->add("bn", bn);
  }
  Tensor<T> forward(const Tensor<T>& x) const override {
    const nn::ModuleScope scope = this->scope();
    if (!folded()) return relu(bn.forward(conv3d.forward(x)));
    Conv3dOptions options = conv3d.options();
    options.relu = true;
    return tandem::conv3d(x, conv3d.weight, conv3d.bias, options);
  }
  bool folded() const { return conv3d.bias.defined(); }
  /// Puts the running statistics, scale and shift into the convolution, frozen; bn has no tensors
  /// then.
  void fold() {
    if (folded()) return;
    auto [weight, bias] =
        fold_batch_norm(conv3d.weight.detach(), Tensor<T>(), bn.weight.detach(), bn.bias.detach(),
                        bn.running_mean, bn.running_var, bn.epsilon());
    conv3d.weight = std::move(weight);
    conv3d.bias = std::move(bias);
    for (Tensor<T>* gone :
         {&bn.weight, &bn.bias, &bn.running_mean, &bn.running_var, &bn.num_batches_tracked}) {
      *gone = {};
    }
  }

  nn::Conv3d<T> conv3d;
  nn::BatchNorm3d<T> bn;
};

/// Mixed — four branches over the same x, their channels one after the other:
///   b0(x);  b1b(b1a(x));  b2b(b2a(x));  b3b(max pool 3×3×3 of x).
template <FloatingElement T>
class Mixed final : public nn::Layer<T> {
 public:
  Mixed(std::int64_t in, const MixedWidths& w, Generator& random, double epsilon = 1e-3)
      : b0(in, w.b0, 1, 1, random, epsilon),
        b1a(in, w.b1a, 1, 1, random, epsilon),
        b1b(w.b1a, w.b1b, 3, 1, random, epsilon),
        b2a(in, w.b2a, 1, 1, random, epsilon),
        b2b(w.b2a, w.b2b, 3, 1, random, epsilon),
        b3b(in, w.b3b, 1, 1, random, epsilon) {
    this->add("b0", b0);
    this->add("b1a", b1a);
    this->add("b1b", b1b);
    this->add("b2a", b2a);
    this->add("b2b", b2b);
    this->add("b3b", b3b);
  }
  Tensor<T> forward(const Tensor<T>& x) const override {
    const nn::ModuleScope scope = this->scope();
    const Tensor<T> pooled = max_pool3d(
        x, {.kernel = Triple::all(3), .stride = Triple::all(1), .padding = Padding3d::same()});
    return cat(std::vector<Tensor<T>>{b0.forward(x), b1b.forward(b1a.forward(x)),
                                      b2b.forward(b2a.forward(x)), b3b.forward(pooled)},
               1);
  }
  /// Its six convolutions, in the order of their names.
  std::vector<Unit<T>*> units() { return {&b0, &b1a, &b1b, &b2a, &b2b, &b3b}; }

  Unit<T> b0, b1a, b1b, b2a, b2b, b3b;
};

/// What one run of the network gives.
template <FloatingElement T>
struct Outputs {
  Tensor<T> features;  ///< (N, 1024)
  Tensor<T> logits;    ///< (N, classes)
};

/// InceptionI3d — a clip to features and class scores.
///   p = average pool of Mixed_5c over `window`, stride 1;  features = mean of p over what remains;
///   logits = mean of (W·p + b) over what remains
///   clips (N, channels, T, H, W), prepared by i3d/preprocess.hpp → (N, 1024), (N, classes).
///   Any number of frames from 9 and any size from 193 × 193 (for the published window 2×7×7).
/// Max pools ignore padding, which after a ReLU is the same as the release's zeros. Names are those
/// of the common PyTorch port: Conv3d_1a_7x7.conv3d.weight, Mixed_3b.b1a.bn.bias,
/// logits.conv3d.bias ….
///
///   i3d::InceptionI3d<float> model({}, random);                    // trains as any module
///   Tensor<float> features = model.features(clips);
///   model.prepare({.bfloat16 = true});                             // now it only infers, faster
///
/// Errors: clips of another kind or too small for the window.
template <FloatingElement T>
class InceptionI3d final : public nn::Module<T> {
 public:
  /// Called with every endpoint by its published name, Conv3d_1a_7x7 … Mixed_5c, Logits,
  /// Predictions.
  using Observer = std::function<void(const std::string&, const Tensor<T>&)>;

  InceptionI3d(const Config& config, Generator& random)
      : Conv3d_1a_7x7(config.channels, config.stem[0], 7, 2, random, config.epsilon),
        Conv3d_2b_1x1(config.stem[0], config.stem[1], 1, 1, random, config.epsilon),
        Conv3d_2c_3x3(config.stem[1], config.stem[2], 3, 1, random, config.epsilon),
        logits(config, random),
        config_(config) {
    this->add("Conv3d_1a_7x7", Conv3d_1a_7x7);
    this->add("Conv3d_2b_1x1", Conv3d_2b_1x1);
    this->add("Conv3d_2c_3x3", Conv3d_2c_3x3);
    std::int64_t in = config.stem[2];
    for (std::size_t i = 0; i < config.mixed.size(); ++i) {
      mixed.push_back(make_ref<Mixed<T>>(in, config.mixed[i], random, config.epsilon));
      this->add(mixed_names[i], *mixed.back());
      in = config.mixed[i].out();
    }
    this->add("logits", logits);
  }

  /// The class scores.
  Tensor<T> forward(const Tensor<T>& clips) const { return run(clips).logits; }
  /// The features of the formula above.
  Tensor<T> features(const Tensor<T>& clips) const { return run(clips).features; }

  /// All that one run gives; `observer` is shown the endpoints by name.
  Outputs<T> run(const Tensor<T>& clips, const Observer& observer = {}) const {
    const nn::ModuleScope scope = this->scope();
    detail::check_clips(config_, clips.shape());
    const auto see = [&observer](const char* name, const Tensor<T>& x) {
      if (observer) observer(name, x);
    };
    Tensor<T> pooled;
    const bool on_cpu = clips.device().is_cpu();
    if (prepared_ && on_cpu && !autograd::needs_grad(clips)) {
      pooled = run_prepared(clips, observer);
    } else {
      TANDEM_CHECK(!low_ || !on_cpu, "i3d",
                   "the weights are kept as bfloat16, through which no gradient flows");
      TANDEM_CHECK(!low_, "i3d",
                   "the weights are kept as bfloat16, which stay on the CPU: the clips are on ",
                   clips.device(), ", where a PrecisionScope of bfloat16 does as much");
      pooled =
          avg_pool3d(run_layers(clips, see), {.kernel = config_.window, .stride = Triple::all(1)});
    }
    const Outputs<T> out{mean(pooled, {2, 3, 4}), logits.forward(pooled)};
    see("Logits", out.logits);
    if (observer) observer("Predictions", softmax(out.logits, -1));
    return out;
  }

  /// Folds every batch norm into its convolution. The module is frozen and in evaluation mode then.
  void fold() {
    this->freeze();
    this->eval();
    for (Unit<T>* unit : units()) unit->fold();
  }

  /// Folds, and packs the weights for inference without a graph: branches write into their place of
  /// the joint tensor and nothing is packed again. With bfloat16 (float only), weights and
  /// activations are kept in it and the weights of the module are released: no gradient flows to
  /// clips any more. What is packed is for the CPU; on a GPU the folded module runs, which is also
  /// what a prepared one does there after to(), and prepare() there is fold(). In a PrecisionScope
  /// of bfloat16 a GPU's convolutions round their factors on the way, the weights of a folded model
  /// too.
  /// Errors: bfloat16 on a GPU.
  void prepare(const InferenceOptions& options = {}) {
    const Device device = logits.conv3d.weight.device();
    TANDEM_CHECK(device.is_cpu() || !options.bfloat16, "i3d",
                 "the weights are kept as bfloat16 on the CPU only, they are on ", device);
    fold();
    if (!device.is_cpu()) return;
    if constexpr (std::is_same_v<T, float>) {
      TANDEM_CHECK(!low_, "i3d", "the weights are kept as bfloat16 already");
      prepared_ = true;
      low_ = options.bfloat16;
      packed_ = {};
      packed_low_ = {};
      if (low_) {
        packed_low_ = make_ref<Inference<bfloat16>>(config_, layers());
        for (Unit<T>* unit : units()) unit->conv3d.weight = unit->conv3d.bias = {};
      } else {
        packed_ = make_ref<Inference<float>>(config_, layers());
      }
    } else {
      TANDEM_CHECK(!options.bfloat16, "i3d", "only a model of float can be kept as bfloat16");
    }
  }
  /// The sizes it was made with.
  const Config& config() const { return config_; }

  /// Every convolution with a batch norm, in order.
  std::vector<Unit<T>*> units() {
    std::vector<Unit<T>*> out{&Conv3d_1a_7x7, &Conv3d_2b_1x1, &Conv3d_2c_3x3};
    for (const Ref<Mixed<T>>& m : mixed) {
      for (Unit<T>* unit : m->units()) out.push_back(unit);
    }
    return out;
  }

  /// W·p + b at every position, then their mean; dropout before it in training.
  class Logits final : public nn::Module<T> {
   public:
    Logits(const Config& config, Generator& random)
        : conv3d(config.features(), config.classes, Triple::all(1), random), drop(config.dropout) {
      this->add("conv3d", conv3d);
      this->add("dropout", drop);
    }
    /// The class scores of the last pool's output.
    Tensor<T> forward(const Tensor<T>& pooled) const {
      const nn::ModuleScope scope = this->scope();
      return mean(conv3d.forward(drop.forward(pooled)), {2, 3, 4});
    }
    nn::Conv3d<T> conv3d;  ///< 1×1×1, features → classes
    nn::Dropout<T> drop;   ///< before it
  };

  Unit<T> Conv3d_1a_7x7, Conv3d_2b_1x1, Conv3d_2c_3x3;
  std::vector<Ref<Mixed<T>>> mixed;  ///< Mixed_3b … Mixed_5c
  Logits logits;

 private:
  template <class See>
  Tensor<T> run_layers(const Tensor<T>& clips, const See& see) const {
    const nn::Layer<T>* layers[12] = {&Conv3d_1a_7x7, &Conv3d_2b_1x1, &Conv3d_2c_3x3};
    for (std::size_t i = 0; i < mixed.size(); ++i) layers[3 + i] = mixed[i].get();
    Tensor<T> x = clips;
    for (int i = 0; i < 12; ++i) {
      for (const Pool& pool : pools) {
        if (pool.before != i) continue;
        x = max_pool3d(
            x, {.kernel = pool.kernel, .stride = pool.stride, .padding = Padding3d::same()});
        see(pool.name, x);
      }
      x = layers[i]->forward(x);
      see(layers[i]->name().c_str(), x);
    }
    return x;
  }

  std::vector<InferenceLayer> layers() {
    std::vector<InferenceLayer> out;
    if constexpr (std::is_same_v<T, float>) {
      for (Unit<T>* unit : units()) out.push_back({unit->conv3d.weight, unit->conv3d.bias});
    }
    return out;
  }
  Tensor<T> run_prepared(const Tensor<T>& clips, const Observer& observer) const {
    if constexpr (std::is_same_v<T, float>) {
      return low_ ? packed_low_->run(clips, observer) : packed_->run(clips, observer);
    } else {
      return {};
    }
  }

  Config config_;
  bool prepared_ = false, low_ = false;
  Ref<Inference<float>> packed_;
  Ref<Inference<bfloat16>> packed_low_;
};

}  // namespace i3d
TANDEM_NAMESPACE_END

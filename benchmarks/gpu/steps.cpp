/// Training steps of DCL at THUMOS14's size on a GPU, as captured graphs: warm-up, B and F, batch
/// 10, T = 1000, C = 20. The teacher is asked in every B and F step; H is given, so that every
/// program that is compared learns from the same confident frames (step_bench.cpp).

#include <memory>
#include <vector>

#include "gpu.hpp"
#include "tandem/cuda/graph.hpp"
#include "tandem/ops/relu.hpp"
#include "tandem/optim/adam.hpp"
#include "tandem/wtal/model/branches.hpp"
#include "tandem/wtal/train/contrast.hpp"
#include "tandem/wtal/train/losses.hpp"

namespace bench::gpu {
namespace {

using namespace tandem::wtal;

enum class Work { warm_up, b, f };

struct Sizes {
  std::int64_t videos = sized(10, 2), frames = sized(1000, 40), classes = sized(20, 3),
               rows = sized(2048, 24), width = sized(512, 16), heads = sized(8, 2),
               text_layers = sized(12, 2), prompt_vectors = sized(16, 2);
};

/// Both branches on the device, what they learn from, and the step as a graph.
class Step {
 public:
  /// `text` is made once for all steps, which takes the host seconds.
  Step(Work work, Precision precision, Ref<clip::TextEncoder<float>>& text)
      : work_(work),
        cbp_({.input = size_.rows,
              .classes = size_.classes,
              .width = size_.width,
              .heads = size_.heads,
              .table = size_.frames,
              .precision = precision},
             random_) {
    labels();
    i3d_ = relu(numbers({size_.videos, size_.frames, size_.rows}, 1));
    cbp_.to(Device::cuda());
    if (work != Work::warm_up) {
      clip_ = numbers({size_.videos, size_.frames, size_.width}, 2);
      make_vlp(precision, text);
    }
    adam_ = std::make_unique<optim::Adam<float>>(
        work == Work::b ? vlp_->trainable_parameters() : cbp_.trainable_parameters(),
        optim::AdamOptions{.learning_rate = 1e-4});
    for (int i = 0; i < 2; ++i) run();  // what is kept between steps exists now
    adam_->zero_grad();
    graph_ = Graph::capture(current_queue(Device::cuda()), [this] { run(); });
  }

  /// One step, put into the queue.
  void replay() {
    adam_->prepare_replay();
    graph_.replay();
  }

 private:
  /// y, and H as pseudo-labels are: in runs of ten frames, 10 % foreground of a class of the label,
  /// 50 % background, the rest undecided.
  void labels() {
    const Tensor<float> y = zeros<float>({size_.videos, size_.classes});
    const Tensor<std::int32_t> h =
        full<std::int32_t>({size_.videos, size_.frames, size_.classes}, 0);
    for (std::int64_t v = 0; v < size_.videos; ++v) {
      std::vector<std::int64_t> own{v % size_.classes};
      if (v % 2 == 1) own.push_back((v + 7) % size_.classes);
      for (const std::int64_t c : own) y.set({v, c}, 1);
      for (std::int64_t t = 0; t < size_.frames; ++t) {
        const std::int64_t run = t / 10, kind = (run * 7 + v * 3) % 10;
        if (kind == 0) h.set({v, t, own[static_cast<std::size_t>(run) % own.size()]}, 1);
        for (const std::int64_t c : own) {
          if (kind > 5) h.set({v, t, c}, -1);
        }
      }
    }
    y_ = y.to(Device::cuda());
    h_ = h.to(Device::cuda());
    valid_ = full<bool>({size_.videos, size_.frames}, true, Device::cuda());
  }
  void make_vlp(Precision precision, Ref<clip::TextEncoder<float>>& text) {
    if (!text) {
      Generator random(2);
      // The vocabulary is only looked up: a short one is made faster.
      text =
          make_ref<clip::TextEncoder<float>>(clip::TextEncoderOptions{.vocabulary = 512,
                                                                      .width = size_.width,
                                                                      .layers = size_.text_layers,
                                                                      .heads = size_.heads,
                                                                      .output = size_.width},
                                             random);
      text->to(Device::cuda());
    }
    std::vector<std::vector<std::int64_t>> names(static_cast<std::size_t>(size_.classes));
    for (std::size_t c = 0; c < names.size(); ++c) {
      for (std::size_t i = 0; i <= c % 4; ++i)
        names[c].push_back(static_cast<std::int64_t>(100 + 10 * c + i));
    }
    // Blocks that start as the identity would give zero gradients, which is not the work of a step.
    vlp_ = std::make_unique<VlpBranch<float>>(
        VlpOptions{.width = size_.width,
                   .heads = size_.heads,
                   .table = size_.frames,
                   .identity_start = false,
                   .precision = precision},
        text, names,
        PromptLearner<float>::Options{
            .vectors = size_.prompt_vectors, .start_token = 510, .end_token = 511},
        random_);
    vlp_->to(Device::cuda());
    vlp_->refresh(work_ == Work::f);
  }

  void run() {
    Tensor<float> loss;
    if (work_ == Work::warm_up) {
      loss = loss_cls(cbp_.forward(i3d_, valid_).logits, y_, valid_);
    } else {
      const bool b = work_ == Work::b;
      const Branch<float>&teacher = b ? static_cast<const Branch<float>&>(cbp_) : *vlp_,
            &student = b ? static_cast<const Branch<float>&>(*vlp_) : cbp_;
      {
        const NoGrad no_grad;
        const BranchOutput<float> taught = teacher.forward(b ? i3d_ : clip_, valid_);
        keep(pseudo_labels(sigmoid(taught.logits), y_, valid_));
      }
      const BranchOutput<float> out = student.forward(b ? clip_ : i3d_, valid_);
      const Tensor<float> fb = loss_fb(normalize(out.features, -1), h_, valid_);
      loss = tandem::add(loss_kd(out.logits, h_, valid_), mul(fb, 0.05F));
    }
    adam_->zero_grad();
    loss.backward();
    adam_->step();
    adam_->zero_grad();
  }

  const Sizes size_;
  const Work work_;
  Generator random_{1};
  CbpBranch<float> cbp_;
  std::unique_ptr<VlpBranch<float>> vlp_;
  Tensor<float> i3d_, clip_, y_;
  Tensor<std::int32_t> h_;
  Tensor<bool> valid_;
  std::unique_ptr<optim::Adam<float>> adam_;
  Graph graph_;
};

/// Multiply-adds of the matrix products, times two: forward; backward by the input; backward by the
/// weight. Attention's scores are computed again backward.
double flops(Work work) {
  const Sizes s;
  const double rows = real(s.videos * s.frames), w = real(s.width);
  const double linear = 24 * w * w * rows, attention = 4 * real(s.frames) * w * rows;
  const double embed = 2 * real(s.rows) * w * rows, head = 2 * real(s.classes) * w * rows;
  const double forward = 2 * (linear + attention), backward = 2 * (2 * linear + 2.5 * attention);
  const double cbp = embed + forward + head, cbp_backward = embed + backward + 2 * head;
  const double vlp = forward + head, vlp_backward = backward + head;
  // Of 20 prompts the 17 positions that all begin with once, and 19.5 others of each.
  const double text = 2 * real(s.text_layers) * (17 + real(s.classes) * 19.5) * 24 * w * w;
  // A tenth of the frames against their class and half of the others, three products.
  const double contrast = 3 * 2 * 0.1 * rows * 0.505 * rows * w;
  if (work == Work::warm_up) return cbp + cbp_backward;
  return work == Work::b ? cbp + vlp + vlp_backward + text + contrast
                         : vlp + cbp + cbp_backward + contrast;
}

}  // namespace

void add_steps(Suite& suite) {
  const auto text = std::make_shared<Ref<clip::TextEncoder<float>>>();
  struct Case {
    const char* name;
    Work work;
  };
  for (const Kind& kind : kinds) {
    for (const Case& c : {Case{"b", Work::b}, Case{"f", Work::f}, Case{"warmup", Work::warm_up}}) {
      add_work(
          suite, concat("gpu_step_", c.name, "_", kind.name),
          {.flops = flops(c.work), .unit = kind.name, .items = 1, .item = "steps"}, 5,
          [=]() -> std::function<void()> {
            const auto step = std::make_shared<Step>(c.work, kind.precision, *text);
            return [step] { step->replay(); };
          },
          true);
    }
  }
}

}  // namespace bench::gpu

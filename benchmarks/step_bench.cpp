/// One training step of DCL at THUMOS14 size: batch 10, T = 1000, C = 20, I3D rows of 2048, CLIP
/// rows of 512, a text encoder of 512 × 12 layers over a vocabulary of 49408, 16 + 16 prompt
/// vectors.
///
///     step/warmup   CBP learns the video labels
///     step/b        CBP's forward and its pseudo-labels; VLP with its text encoder learns from H
///     step/f        VLP's forward and its pseudo-labels; CBP learns from H
///     step/b_known, step/f_known
///                   the same when the teacher has been asked about these crops before in this
///                   phase, as from the second epoch of a phase on: only the student's part
///                   (wtal/train/label_memory.hpp)
///     step_bf16/…   the same with the products of linear layers and attention in bfloat16
///
/// H is given, so that every program that is compared learns from the same amount of confident
/// frames:
/// in runs of ten frames, 10 % foreground, 50 % background, the rest undecided
/// (peers/step_peer.py).

#include <memory>

#include "harness.hpp"
#include "tandem/optim/adam.hpp"
#include "tandem/wtal/model/branches.hpp"
#include "tandem/wtal/train/contrast.hpp"
#include "tandem/wtal/train/losses.hpp"

namespace {

using namespace tandem;
using namespace tandem::wtal;

constexpr std::int64_t videos = 10, frames = 1000, classes = 20, i3d_width = 2048, width = 512;

struct Step {
  Generator random{1};
  CbpBranch<float> cbp;
  Ref<clip::TextEncoder<float>> text;
  std::unique_ptr<VlpBranch<float>> vlp;
  Tensor<float> i3d, clip, y = zeros<float>({videos, classes});
  Tensor<bool> valid = full<bool>({videos, frames}, true);
  Tensor<std::int32_t> h = full<std::int32_t>({videos, frames, classes}, 0);
  std::unique_ptr<optim::Adam<float>> adam;

  Step(bool with_vlp, Precision precision)
      : cbp({.input = i3d_width,
             .classes = classes,
             .width = width,
             .table = frames,
             .precision = precision},
            random) {
    i3d = randn<float>({videos, frames, i3d_width}, random);
    float* rows = i3d.mutable_data();
    for (std::int64_t i = 0; i < i3d.numel(); ++i) rows[i] = rows[i] > 0 ? rows[i] : 0;
    for (std::int64_t v = 0; v < videos; ++v) {
      std::vector<std::int64_t> own{v % classes};
      if (v % 2 == 1) own.push_back((v + 7) % classes);
      for (std::int64_t c : own) y.set({v, c}, 1);
      for (std::int64_t t0 = 0; t0 < frames; t0 += 10) {
        const double kind = random.next_double();
        for (std::int64_t t = t0; t < t0 + 10; ++t) {
          if (kind < 0.1) h.set({v, t, own[static_cast<std::size_t>(t0 / 10) % own.size()]}, 1);
          for (std::int64_t c : own) {
            if (kind > 0.6) h.set({v, t, c}, -1);
          }
        }
      }
    }
    if (!with_vlp) return;
    clip = randn<float>({videos, frames, width}, random);
    text = make_ref<clip::TextEncoder<float>>(clip::TextEncoderOptions{}, random);
    std::vector<std::vector<std::int64_t>> names(classes);
    for (std::int64_t c = 0; c < classes; ++c) {
      for (std::int64_t i = 0; i <= c % 4; ++i)
        names[static_cast<std::size_t>(c)].push_back(100 + 10 * c + i);
    }
    // Blocks that start as the identity would give zero gradients, which is not the work of a step.
    vlp = std::make_unique<VlpBranch<float>>(
        VlpOptions{.table = frames, .identity_start = false, .precision = precision}, text, names,
        PromptLearner<float>::Options{}, random);
  }

  void learn(const Tensor<float>& loss) {
    adam->zero_grad();
    loss.backward();
    adam->step();
  }
  void teach(const Branch<float>& teacher, const Tensor<float>& x) const {
    const NoGrad no_grad;
    bench::keep(pseudo_labels(sigmoid(teacher.forward(x, valid).logits), y, valid));
  }
  void distill(const Branch<float>& student, const Tensor<float>& x) {
    const BranchOutput<float> out = student.forward(x, valid, confident_frames(h, valid));
    const Tensor<float> fb = loss_fb(normalize(out.features, -1), h, valid);
    learn(add(loss_kd(out.logits, h, valid), mul(fb, 0.05F)));
  }
};

using Run = void (*)(Step&);

void warm_up(Step& s) { s.learn(loss_cls(s.cbp.forward(s.i3d, s.valid).logits, s.y, s.valid)); }
void b_step(Step& s) {
  s.teach(s.cbp, s.i3d);
  s.distill(*s.vlp, s.clip);
}
void f_step(Step& s) {
  s.teach(*s.vlp, s.clip);
  s.distill(s.cbp, s.i3d);
}
void b_known(Step& s) { s.distill(*s.vlp, s.clip); }
void f_known(Step& s) { s.distill(s.cbp, s.i3d); }

/// Multiply-adds of the matrix products, times two: what is done here. Forward; backward by the
/// input;
/// backward by the weight.
namespace flops {
constexpr double rows = 1.0 * videos * frames, w = 1.0 * width, t = 1.0 * frames, c = 1.0 * classes;
constexpr double linear = 24 * w * w * rows;  // of one block: 4 w² and 8 w² weights
constexpr double attention = 4 * t * w * rows;
constexpr double embed = 2.0 * i3d_width * w * rows;
constexpr double head = 2 * c * w * rows;
/// n blocks on `rows` rows: forward, and backward (attention recomputes its scores: 2.5 times).
constexpr double blocks(double n) { return n * (linear + attention); }
constexpr double blocks_backward(double n) { return n * (2 * linear + 2.5 * attention); }
/// A student's last block needs keys and values of all frames, everything else of the confident
/// ones.
constexpr double confident = 0.6;
constexpr double saved = (1 - confident) * ((linear - 4 * w * w * rows) * 3 + attention * 3.5);
constexpr double cbp = embed + blocks(2) + head;
constexpr double cbp_backward = embed + blocks_backward(2) + 2 * head;
constexpr double vlp = blocks(2) + head;
constexpr double vlp_backward = blocks_backward(2) + head;
/// The text encoder, frozen, forward and backward by the input: 20 prompts of up to 38 positions,
/// the 17 that all begin with once and 19.5 others of each.
constexpr double text = 2 * 12 * (17 + 20 * 19.5) * 24 * w * w;
/// About 1000 foreground frames against their class and 5000 background frames, three products.
constexpr double contrast = 3 * 2 * 1000.0 * 5050 * w;
}  // namespace flops

}  // namespace

int main(int argc, char** argv) {
  bench::Suite suite(argc, argv);
  const auto add_one = [&suite](const std::string& name, double cost, bool learns_vlp,
                                bool with_vlp, Run run, Precision precision) {
    const char* unit = precision == Precision::full ? "f32" : "bf16";
    suite.add(name, {.flops = cost, .unit = unit}, [=] {
      const auto step = std::make_shared<Step>(with_vlp, precision);
      step->adam = std::make_unique<optim::Adam<float>>(
          learns_vlp ? step->vlp->trainable_parameters() : step->cbp.trainable_parameters(),
          optim::AdamOptions{.learning_rate = 1e-4});
      return [=] { run(*step); };
    });
  };
  const auto add = [&](const std::string& name, double cost, bool learns_vlp, bool with_vlp,
                       Run run) {
    add_one("step/" + name, cost, learns_vlp, with_vlp, run, Precision::full);
    add_one("step_bf16/" + name, cost, learns_vlp, with_vlp, run, Precision::bfloat16);
  };
  add("warmup", flops::cbp + flops::cbp_backward, false, false, warm_up);
  const double b = flops::vlp + flops::vlp_backward + flops::text + flops::contrast - flops::saved;
  const double f = flops::cbp + flops::cbp_backward + flops::contrast - flops::saved;
  add("b", flops::cbp + b, true, true, b_step);
  add("f", flops::vlp + f, false, true, f_step);
  add("b_known", b, true, true, b_known);
  add("f_known", f, false, true, f_known);
  return suite.run();
}

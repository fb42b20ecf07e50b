/// clip_inspect — what a CLIP checkpoint holds, how fast it loads and what it costs; with --inputs,
/// the features and prompt gradients that weights/compare.py holds against PyTorch.

#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "clip_cli.hpp"
#include "tandem/ops/cat.hpp"

namespace {

using namespace tandem;

struct Options : clip_cli::Options {
  std::string inputs, out;
};

/// Pages of this process that are in memory, in MB: all, and those without a file behind them.
struct Resident {
  double all, own;
};
Resident resident() {
  std::ifstream file("/proc/self/statm");
  double size = 0, all = 0, shared = 0;
  file >> size >> all >> shared;
  const double page = static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
  return {all * page, (all - shared) * page};
}

class Stage {
 public:
  void done(const char* what) {
    const auto now = std::chrono::steady_clock::now();
    const Resident memory = resident();
    std::printf("%-26s %9.1f ms   resident %7.1f MB, of which %7.1f MB not mapped files\n", what,
                std::chrono::duration<double, std::milli>(now - start_).count(), memory.all,
                memory.own);
    start_ = std::chrono::steady_clock::now();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Inputs: images (B, 3, R, R), ids (N, L) and end (N), and prompts (P, width) that stand at the
/// positions 1 … P of every text, with the cotangent cot (N, output) of the features.
void compute(const clip::Clip<float>& model, const Options& o, Stage& stage) {
  const io::SafetensorsFile in(o.inputs);
  io::SafetensorsWriter out;
  out.add("image", model.image->forward(in.get<float>("images")));
  stage.done("image features");
  const Tensor<std::int64_t> ids = in.get<std::int64_t>("ids");
  const std::vector<std::int64_t> end = in.get<std::int64_t>("end").to_vector();
  const Tensor<float> prompts = in.get<float>("prompts").clone();
  prompts.requires_grad_();
  const Tensor<float> embedded = model.text->token_embedding.forward(ids);
  const std::int64_t count = prompts.size(0);
  const Tensor<float> joint =
      cat(std::vector<Tensor<float>>{embedded.slice(1, 0, 1),
                                     prompts.expand({ids.size(0), count, prompts.size(1)}),
                                     embedded.slice(1, count + 1, ids.size(1))},
          1);
  const Tensor<float> text = model.text->forward(joint, end);
  stage.done("text features");
  text.backward(in.get<float>("cot"));
  stage.done("gradients of the prompts");
  out.add("text", text.detach());
  out.add("d_prompts", prompts.grad());
  out.save(o.out);
}

void run(const Options& o) {
  Stage stage;
  stage.done("start");
  const Precision precision =
      cli::open_precision("clip_inspect", o.precision, o.bfloat16, Device());
  const auto model = clip::load<float>(o.weights, clip_cli::load_options(o, precision));
  stage.done("load");
  const clip::ImageEncoderOptions& image = model.image->options();
  const clip::TextEncoderOptions& text = model.text->options();
  const auto n = [](std::int64_t value) { return static_cast<long long>(value); };
  std::printf(
      "image  %lld x %lld in patches of %lld, width %lld, %lld layers, %lld heads, output %lld\n",
      n(image.resolution), n(image.resolution), n(image.patch), n(image.width), n(image.layers),
      n(image.heads), n(image.output));
  std::printf(
      "text   %lld tokens, context %lld, width %lld, %lld layers, %lld heads, output %lld\n",
      n(text.vocabulary), n(text.context), n(text.width), n(text.layers), n(text.heads),
      n(text.output));
  std::printf("%s, logit scale %.2f, %d thread(s)\n",
              image.activation == Activation::quick_gelu ? "QuickGELU" : "GELU",
              static_cast<double>(model.logit_scale), cpu::num_threads());
  for (const auto& [key, value] : model.metadata)
    std::printf("  %s: %s\n", cli::printable(key).c_str(), cli::printable(value).c_str());
  std::printf("%s\n", cli::printable(model.report.str(), true).c_str());
  if (!o.inputs.empty()) compute(model, o, stage);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("What a CLIP checkpoint holds, how fast it loads and what it costs.",
               "clip_inspect");
  Options o;
  clip_cli::add_options(app, o);
  auto* inputs =
      app.add_option("--inputs", o.inputs,
                     "Also encode these: safetensors with images, ids, end, prompts, cot")
          ->check(CLI::ExistingFile);
  auto* out =
      cli::add_output(app, "--out", o.out, "Where image, text and d_prompts go, safetensors");
  inputs->needs(out);
  return cli::run(app, argc, argv, [&] { run(o); });
}

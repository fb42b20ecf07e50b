/// i3d_inspect — what an I3D checkpoint holds and what it costs; with --inputs, every endpoint of
/// clips, which weights/compare_i3d.py holds against PyTorch.

#include <chrono>
#include <string>

#include "common_cli.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/i3d/load.hpp"

namespace {

using namespace tandem;

struct Options {
  std::string weights, inputs, out;
  bool bfloat16 = false;
};

void run(const Options& o) {
  auto start = std::chrono::steady_clock::now();
  const auto done = [&start](const char* what) {
    const auto now = std::chrono::steady_clock::now();
    std::printf("%-10s %9.1f ms\n", what,
                std::chrono::duration<double, std::milli>(now - start).count());
    start = now;
  };
  const auto loaded = i3d::load<float>(o.weights, {.bfloat16 = o.bfloat16});
  done("load");
  const i3d::Config& config = loaded.model->config();
  std::printf("%s stream, %lld channels, %lld features, %lld classes, %d thread(s)\n",
              loaded.stream.c_str(), static_cast<long long>(config.channels),
              static_cast<long long>(config.features()), static_cast<long long>(config.classes),
              cpu::num_threads());
  for (const auto& [key, value] : loaded.metadata) {
    std::printf("  %s: %s\n", cli::printable(key).c_str(), cli::printable(value).c_str());
  }
  std::printf("%s\n", cli::printable(loaded.report.str(), true).c_str());
  if (o.inputs.empty()) return;
  const Tensor<float> clips = io::SafetensorsFile(o.inputs).get_as<float>("clips");
  start = std::chrono::steady_clock::now();
  static_cast<void>(loaded.model->features(clips));
  done("features");
  io::SafetensorsWriter out;
  const auto outputs = loaded.model->run(
      clips, [&out](const std::string& name, const Tensor<float>& x) { out.add(name, x); });
  out.add("features", outputs.features);
  done("endpoints");
  out.save(o.out);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("What an I3D checkpoint holds and what it costs.", "i3d_inspect");
  Options o;
  app.add_option("--weights", o.weights, "Safetensors file that weights/convert.py i3d wrote")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_flag("--bfloat16", o.bfloat16, "Infer in bfloat16");
  auto* inputs =
      app.add_option("--inputs", o.inputs, "Also run these: safetensors with clips (N, C, T, H, W)")
          ->check(CLI::ExistingFile);
  auto* out =
      cli::add_output(app, "--out", o.out, "Where features and every endpoint go, safetensors");
  inputs->needs(out);
  out->needs(inputs);
  return cli::run(app, argc, argv, [&] { run(o); });
}

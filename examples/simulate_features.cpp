/// simulate_features — writes a simulated data set in the field's own file layout.
///
///   simulate_features --out sim
///   simulate_features --annotations Thumos14reduced-Annotations --out sim_thumos
///   train_dcl --data sim --out run1

#include <cstdio>

#include "simulated_folder.hpp"
#include "simulation_options.hpp"

namespace {

using simulated::SimulatedFolder;

void simulate(const SimulatedFolder& o) {
  const tandem::wtal::GroundTruth truth = simulated::write_simulated(o);
  std::printf(
      "%zu videos, %zu classes in %s (simulated); next:\n  train_dcl --data %s --out run1 "
      "--prompt-vectors %lld\n",
      truth.videos.size(), truth.classes.size(), cli::printable(o.out).c_str(),
      cli::printable(o.out).c_str(), static_cast<long long>(o.prompt_vectors));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Writes a simulated data set: annotations (gt.json, or W-TALC's own files), I3D-like and "
      "CLIP-like feature rows per video,\n"
      "a text encoder and class tokens, and word vectors for train_boosting. The I3D-like rows "
      "show the discriminative core of an "
      "action, the\n"
      "CLIP-like rows the action and its surroundings: the premise of the paper. For trying the "
      "programs;\n"
      "numbers measured on it say nothing about real videos.\n\n"
      "  simulate_features --out sim\n"
      "  simulate_features --annotations Thumos14reduced-Annotations --out sim_thumos",
      "simulate_features");
  SimulatedFolder o;
  app.add_option("--out", o.out, "Folder to write")->required();
  app.add_option(
      "--annotations", o.annotations,
      "Take videos, durations and instances from real annotations: a W-TALC folder, gt.json …");
  app.add_option("--prompt-vectors", o.prompt_vectors, "Learned vectors that the prompts will have")
      ->capture_default_str()
      ->check(cli::range(0, 1000));
  app.add_option("--seed", o.simulation.seed, "Everything random follows from it")
      ->capture_default_str();
  cli::add_simulation_options(app, o.simulation);
  cli::add_config(app);
  return cli::run(app, argc, argv, [&] { simulate(o); });
}

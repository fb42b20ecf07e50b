#pragma once
/// The options of a simulated data set: one place for the programs that make one.

#include "common_cli.hpp"
#include "tandem/wtal/data/simulate.hpp"

namespace cli {

/// Calls use(name, value, help, lowest, highest) for every strength and size of the simulation.
template <class Use>
void each_simulation_option(tandem::wtal::SimulationOptions& s, Use&& use) {
  use("--classes", s.classes, "Classes", 1.0, 100000.0);
  use("--train-videos", s.train_videos, "Training videos", 0.0, 1000000.0);
  use("--test-videos", s.test_videos, "Test videos", 0.0, 1000000.0);
  use("--rows-low", s.rows_low, "Shortest video, in snippets", 8.0, 10000000.0);
  use("--rows-high", s.rows_high, "Longest video, in snippets", 8.0, 10000000.0);
  use("--second-class", s.second_class, "Share of videos with two classes", 0.0, 1.0);
  use("--instances", s.instances, "Mean number of instances per class and video", 1.0, 1000.0);
  use("--length-median", s.length_median, "Median length of an instance, in snippets", 1.0,
      1000000.0);
  use("--length-spread", s.length_spread, "Standard deviation of the logarithm of the length", 0.0,
      10.0);
  use("--i3d-width", s.i3d_width, "Columns of I3D rows", 1.0, 65536.0);
  use("--clip-width", s.clip_width, "Columns of CLIP rows", 1.0, 65536.0);
  use("--core", s.core, "I3D: middle share of an instance that is its core", 0.0, 1.0);
  use("--edge", s.edge,
      "I3D: strength of the class direction outside the core, in the core it is 1", -1000000.0,
      1000000.0);
  use("--scene", s.scene, "I3D: strength of the video's own direction", -1000000.0, 1000000.0);
  use("--i3d-noise", s.i3d_noise, "I3D: norm of a row's noise, the action's is 1", 0.0, 1000000.0);
  use("--i3d-scale", s.i3d_scale, "I3D: factor of the rows", -1000000.0, 1000000.0);
  use("--spill", s.spill, "CLIP: rows around an instance that also look like it", 0.0, 1000000.0);
  use("--clip-noise", s.clip_noise, "CLIP: norm of a row's noise, the text's is 1", 0.0, 1000000.0);
  use("--clip-scale", s.clip_scale, "CLIP: factor of the rows", -1000000.0, 1000000.0);
}

/// Adds all of them to `app`. The values in `s` are the defaults.
inline void add_simulation_options(CLI::App& app, tandem::wtal::SimulationOptions& s) {
  each_simulation_option(
      s, [&](const char* name, auto& value, const char* help, double low, double high) {
        app.add_option(name, value, help)
            ->group("Simulation")
            ->capture_default_str()
            ->check(cli::range(low, high));
      });
}

}  // namespace cli

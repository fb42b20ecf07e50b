#pragma once
/// The options of a simulated data set: one place for the programs that make one.

#include "common_cli.hpp"
#include "tandem/wtal/data/simulate.hpp"

namespace cli {

/// Adds every strength and size of the simulation to `app`. The values in `s` are the defaults.
inline void add_simulation_options(CLI::App& app, tandem::wtal::SimulationOptions& s) {
  const char* group = "Simulation";
  const auto number = [&](const char* name, auto& value, const char* help) {
    return app.add_option(name, value, help)->group(group)->capture_default_str();
  };
  number("--classes", s.classes, "Classes")->check(cli::range(1, 1e5));
  number("--train-videos", s.train_videos, "Training videos")->check(cli::range(0, 1e6));
  number("--test-videos", s.test_videos, "Test videos")->check(cli::range(0, 1e6));
  number("--rows-low", s.rows_low, "Shortest video, in snippets")->check(cli::range(8, 1e7));
  number("--rows-high", s.rows_high, "Longest video, in snippets")->check(cli::range(8, 1e7));
  number("--second-class", s.second_class, "Share of videos with two classes")
      ->check(cli::range(0.0, 1.0));
  number("--instances", s.instances, "Mean number of instances per class and video")
      ->check(cli::range(1, 1000));
  number("--length-median", s.length_median, "Median length of an instance, in snippets")
      ->check(cli::range(1, 1e6));
  number("--length-spread", s.length_spread, "Standard deviation of the logarithm of the length")
      ->check(cli::range(0, 10));
  number("--i3d-width", s.i3d_width, "Columns of I3D rows")->check(cli::range(1, 65536));
  number("--clip-width", s.clip_width, "Columns of CLIP rows")->check(cli::range(1, 65536));
  number("--core", s.core, "I3D: middle share of an instance that is its core")
      ->check(cli::range(0.0, 1.0));
  number("--edge", s.edge,
         "I3D: strength of the class direction outside the core, in the core it is 1")
      ->check(cli::range(-1e6, 1e6));
  number("--scene", s.scene, "I3D: strength of the video's own direction")
      ->check(cli::range(-1e6, 1e6));
  number("--i3d-noise", s.i3d_noise, "I3D: norm of a row's noise, the action's is 1")
      ->check(cli::range(0, 1e6));
  number("--i3d-scale", s.i3d_scale, "I3D: factor of the rows")->check(cli::range(-1e6, 1e6));
  number("--spill", s.spill, "CLIP: rows around an instance that also look like it")
      ->check(cli::range(0, 1e6));
  number("--clip-noise", s.clip_noise, "CLIP: norm of a row's noise, the text's is 1")
      ->check(cli::range(0, 1e6));
  number("--clip-scale", s.clip_scale, "CLIP: factor of the rows")->check(cli::range(-1e6, 1e6));
}

}  // namespace cli

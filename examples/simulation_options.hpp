#pragma once
/// The options of a simulated data set: one place for the programs that make one.

#include "common_cli.hpp"
#include "tandem/wtal/simulate.hpp"

namespace cli {

/// Adds every strength and size of the simulation to `app`. The values in `s` are the defaults.
inline void add_simulation_options(CLI::App& app, tandem::wtal::SimulationOptions& s) {
  const char* group = "Simulation";
  const auto number = [&](const char* name, auto& value, const char* help) {
    return app.add_option(name, value, help)->group(group)->capture_default_str();
  };
  number("--classes", s.classes, "Classes")->check(cli::positive());
  number("--train-videos", s.train_videos, "Training videos")->check(cli::non_negative());
  number("--test-videos", s.test_videos, "Test videos")->check(cli::non_negative());
  number("--rows-low", s.rows_low, "Shortest video, in snippets");
  number("--rows-high", s.rows_high, "Longest video, in snippets");
  number("--second-class", s.second_class, "Share of videos with two classes")->check(cli::range(0.0, 1.0));
  number("--instances", s.instances, "Mean number of instances per class and video");
  number("--length-median", s.length_median, "Median length of an instance, in snippets");
  number("--length-spread", s.length_spread, "Standard deviation of the logarithm of the length")
      ->check(cli::non_negative());
  number("--i3d-width", s.i3d_width, "Columns of I3D rows")->check(cli::positive());
  number("--clip-width", s.clip_width, "Columns of CLIP rows")->check(cli::positive());
  number("--core", s.core, "I3D: middle share of an instance that is its core")->check(cli::range(0.0, 1.0));
  number("--edge", s.edge, "I3D: strength of the class direction outside the core, in the core it is 1");
  number("--scene", s.scene, "I3D: strength of the video's own direction");
  number("--i3d-noise", s.i3d_noise, "I3D: norm of a row's noise, the action's is 1");
  number("--i3d-scale", s.i3d_scale, "I3D: factor of the rows");
  number("--spill", s.spill, "CLIP: rows around an instance that also look like it")
      ->check(cli::non_negative());
  number("--clip-noise", s.clip_noise, "CLIP: norm of a row's noise, the text's is 1");
  number("--clip-scale", s.clip_scale, "CLIP: factor of the rows");
}

}  // namespace cli

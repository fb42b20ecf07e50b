#pragma once
/// The sizes of an I3D network and the names of its endpoints.

#include <array>
#include <cstdint>
#include <string>

#include "tandem/cpu/window3d.hpp"

TANDEM_NAMESPACE_BEGIN
namespace i3d {

/// The widths of one Mixed block: 1×1×1; 1×1×1 → 3×3×3; 1×1×1 → 3×3×3; max pool → 1×1×1.
struct MixedWidths {
  /// Outputs of its convolutions, branch by branch.
  std::int64_t b0, b1a, b1b, b2a, b2b, b3b;
  /// Channels of the block's output.
  std::int64_t out() const { return b0 + b1b + b2b + b3b; }
};

/// Inception-v1 inflated.                                  [Carreira & Zisserman 2017, figure 3]
///
///   i3d::Config rgb;                                    // as published
///   i3d::Config flow{.channels = 2};
///   i3d::Config mini = i3d::Config{.classes = 11}.narrowed(16);
struct Config {
  std::int64_t channels = 3;  ///< of the clips: 3 (RGB) or 2 (flow)
  std::int64_t classes = 400;
  std::array<std::int64_t, 3> stem{64, 64, 192};                  ///< Conv3d_1a_7x7, 2b_1x1, 2c_3x3
  std::array<MixedWidths, 9> mixed{{{64, 96, 128, 16, 32, 32},    // 3b
                                    {128, 128, 192, 32, 96, 64},  // 3c
                                    {192, 96, 208, 16, 48, 64},   // 4b
                                    {160, 112, 224, 24, 64, 64},  // 4c
                                    {128, 128, 256, 24, 64, 64},  // 4d
                                    {112, 144, 288, 32, 64, 64},  // 4e
                                    {256, 160, 320, 32, 128, 128},    // 4f
                                    {256, 160, 320, 32, 128, 128},    // 5b
                                    {384, 192, 384, 48, 128, 128}}};  // 5c
  Triple window{2, 7, 7};  ///< of the last average pool: frames, rows and columns of Mixed_5c
  double dropout = 0;      ///< before the logits, in training
  double epsilon = 1e-3;   ///< of the batch norms; video_features' network has 1e-5

  /// Channels of the features: those of the last block.
  std::int64_t features() const { return mixed.back().out(); }
  /// The shortest clip, and the smallest rows or columns of it, that fill the window of the last
  /// pool: 9 and 193 as published.
  std::int64_t least_frames() const { return (window.depth - 1) * 8 + 1; }
  std::int64_t least_rows() const { return (window.height - 1) * 32 + 1; }
  std::int64_t least_columns() const { return (window.width - 1) * 32 + 1; }
  /// Every width divided by `by`, at least 1.
  Config narrowed(std::int64_t by) const {
    Config out = *this;
    const auto narrow = [by](std::int64_t& width) { width = width / by > 1 ? width / by : 1; };
    for (std::int64_t& width : out.stem) narrow(width);
    for (MixedWidths& m : out.mixed) {
      for (std::int64_t* width : {&m.b0, &m.b1a, &m.b1b, &m.b2a, &m.b2b, &m.b3b}) narrow(*width);
    }
    return out;
  }
};

/// The blocks of Config::mixed, by name.
inline constexpr const char* mixed_names[9] = {"Mixed_3b", "Mixed_3c", "Mixed_4b",
                                               "Mixed_4c", "Mixed_4d", "Mixed_4e",
                                               "Mixed_4f", "Mixed_5b", "Mixed_5c"};

/// A max pool of the network. It comes before the unit or block number `before`, counted from
/// Conv3d_1a_7x7 on.
struct Pool {
  const char* name;  ///< as published
  int before;
  Triple kernel, stride;  ///< of its window
};
/// The four pools, in order.
inline constexpr Pool pools[4] = {{"MaxPool3d_2a_3x3", 1, {1, 3, 3}, {1, 2, 2}},
                                  {"MaxPool3d_3a_3x3", 3, {1, 3, 3}, {1, 2, 2}},
                                  {"MaxPool3d_4a_3x3", 5, {3, 3, 3}, {2, 2, 2}},
                                  {"MaxPool3d_5a_2x2", 10, {2, 2, 2}, {2, 2, 2}}};

namespace detail {

/// The sizes (N, 1, T, H, W) of Mixed_5c for clips of that shape, halved five times in rows and
/// columns and three times in frames; throws unless the clips fit the network.
inline Shape check_clips(const Config& config, const Shape& clips) {
  TANDEM_CHECK(clips.rank() == 5 && clips[1] == config.channels, "i3d", "expected clips (N, ",
               config.channels, ", T, H, W), got ", clips);
  Shape last{clips[0], 1, (clips[2] + 7) / 8, (clips[3] + 31) / 32, (clips[4] + 31) / 32};
  TANDEM_CHECK(last[2] >= config.window.depth && last[3] >= config.window.height &&
                   last[4] >= config.window.width,
               "i3d", "expected clips of at least ", config.least_frames(), " frames of ",
               config.least_rows(), " x ", config.least_columns(), ", got ", clips);
  return last;
}

}  // namespace detail
}  // namespace i3d
TANDEM_NAMESPACE_END

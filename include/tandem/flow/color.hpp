#pragma once
/// Flow as colours: the colour wheel of the Middlebury benchmark.     [Baker et al. 2011, sec. 4.1]
///
///   hue = direction, saturation = length / max_motion;   still is white, not known is black.
///
///   io::write_png("flow.png", flow::flow_to_color(flow));

#include <cmath>
#include <cstdint>
#include <numbers>

#include "tandem/cpu/threads.hpp"
#include "tandem/flow/flo.hpp"
#include "tandem/tensor/error.hpp"
#include "tandem/tensor/finite.hpp"
#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace flow {

namespace detail {

/// The 55 colours of the wheel: red to yellow in 15 steps, to green in 6, to cyan in 4, to blue in
/// 11, to magenta in 13 and back to red in 6. In each part one channel rises or falls by
/// ⌊255·i/steps⌋.
struct ColorWheel {
  static constexpr int count = 55;
  float color[count][3];

  constexpr ColorWheel() : color() {
    // Which channel stays full, which changes, and whether it rises.
    struct Part {
      int steps, full, changing;
      bool rises;
    };
    constexpr Part parts[6] = {{15, 0, 1, true},  {6, 1, 0, false}, {4, 1, 2, true},
                               {11, 2, 1, false}, {13, 2, 0, true}, {6, 0, 2, false}};
    int k = 0;
    for (const Part& part : parts) {
      for (int i = 0; i < part.steps; ++i, ++k) {
        const int level = 255 * i / part.steps;
        color[k][part.full] = 255;
        color[k][part.changing] = static_cast<float>(part.rises ? level : 255 - level);
      }
    }
  }
};

inline constexpr ColorWheel color_wheel;

/// The colour of one vector, in units of max_motion.
inline void wheel_color(float u, float v, std::uint8_t* rgb) {
  const float radius = std::sqrt(u * u + v * v);
  const float angle = std::atan2(-v, -u) / std::numbers::pi_v<float>;  // −1 … 1
  const float at = (angle + 1) / 2 * static_cast<float>(ColorWheel::count - 1);
  const int low = static_cast<int>(at);
  const int high = (low + 1) % ColorWheel::count;
  const float t = at - static_cast<float>(low);
  for (int c = 0; c < 3; ++c) {
    const float full = ((1 - t) * color_wheel.color[low][c] + t * color_wheel.color[high][c]) / 255;
    const float level = radius <= 1 ? 1 - radius * (1 - full) : 0.75F * full;
    rgb[c] = static_cast<std::uint8_t>(255 * level);
  }
}

}  // namespace detail

/// The length of the longest known vector of a flow (…, 2).
inline float max_motion(const Tensor<float>& flow) {
  TANDEM_CHECK(flow.defined() && flow.rank() >= 1 && flow.size(-1) == 2 && flow.device().is_cpu(),
               "max_motion", "expected a flow (…, 2) on the CPU");
  const Tensor<float> dense = flow.detach().contiguous();
  const float* p = dense.data();
  float most = 0;
  for (std::int64_t i = 0; i < dense.numel(); i += 2) {
    if (is_known(p[i], p[i + 1])) most = std::fmax(most, std::hypot(p[i], p[i + 1]));
  }
  return most;
}

/// (H, W, 2) → (H, W, 3) red, green, blue; any number of leading axes. Vectors of length `largest`
/// are fully saturated, longer ones darker; 0: the longest one of this flow.
inline Tensor<std::uint8_t> flow_to_color(const Tensor<float>& flow, float largest = 0) {
  TANDEM_CHECK(largest >= 0 && is_finite(largest), "flow_to_color",
               "the largest motion must be a number from 0, it is ", largest);
  if (largest == 0) {
    largest = max_motion(flow);
  } else {
    TANDEM_CHECK(flow.defined() && flow.rank() >= 1 && flow.size(-1) == 2 && flow.device().is_cpu(),
                 "flow_to_color", "expected a flow (…, 2) on the CPU");
  }
  if (largest == 0) largest = 1;
  const Tensor<float> dense = flow.detach().contiguous();
  Shape shape = dense.shape();
  shape[shape.rank() - 1] = 3;
  const Tensor<std::uint8_t> colors(shape);
  const float* from = dense.data();
  std::uint8_t* to = colors.mutable_data();
  cpu::parallel_for(dense.numel() / 2, 1 << 12, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float u = from[2 * i], v = from[2 * i + 1];
      std::uint8_t* rgb = to + 3 * i;
      if (is_known(u, v)) {
        detail::wheel_color(u / largest, v / largest, rgb);
      } else {
        rgb[0] = rgb[1] = rgb[2] = 0;
      }
    }
  });
  return colors;
}

}  // namespace flow
TANDEM_NAMESPACE_END

#pragma once
/// A picture that moves, for flow.

#include <cmath>
#include <cstdint>

#include "tandem/tensor/tensor.hpp"

namespace bench {

/// The picture of peers/tvl1_peer.py: waves of many lengths that move by `shift` and turn a little.
inline tandem::Tensor<std::uint8_t> moving_waves(std::int64_t height, std::int64_t width,
                                                 double shift) {
  tandem::Tensor<std::uint8_t> image({height, width});
  std::uint8_t* p = image.mutable_data();
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      const double cy = static_cast<double>(y) - static_cast<double>(height) / 2;
      const double cx = static_cast<double>(x) - static_cast<double>(width) / 2;
      const double a = cx - shift * (2 + 0.01 * cy), b = cy + shift * (1 + 0.012 * cx);
      double value = 128;
      for (int k = 1; k <= 12; ++k) {
        value += 60.0 / k *
                 std::sin(a * 0.05 * k * std::cos(2.4 * k) + b * 0.05 * k * std::sin(2.4 * k) + k);
      }
      *p++ = static_cast<std::uint8_t>(std::fmin(std::fmax(std::floor(value), 0), 255));
    }
  }
  return image;
}

}  // namespace bench

#pragma once
/// How much I3D computes.

#include "tandem/i3d/inception.hpp"

namespace bench {

/// Multiply-adds count two; only convolutions are counted.
inline double i3d_flops(const tandem::i3d::Config& config, tandem::Triple size) {
  double total = 0;
  const auto conv = [&](std::int64_t in, std::int64_t out, std::int64_t taps) {
    total += 2.0 * static_cast<double>(in * out * taps) *
             static_cast<double>(size.depth * size.height * size.width);
  };
  const auto shrink = [&size](const tandem::Triple& by) {
    size = {(size.depth - 1) / by.depth + 1, (size.height - 1) / by.height + 1,
            (size.width - 1) / by.width + 1};
  };
  std::int64_t in = config.channels;
  for (int i = 0; i < 12; ++i) {
    for (const tandem::i3d::Pool& pool : tandem::i3d::pools) {
      if (pool.before == i) shrink(pool.stride);
    }
    if (i < 3) {
      if (i == 0) shrink(tandem::Triple::all(2));
      const std::int64_t out = config.stem[static_cast<std::size_t>(i)];
      conv(in, out, i == 0 ? 343 : i == 1 ? 1 : 27);
      in = out;
    } else {
      const tandem::i3d::MixedWidths& m = config.mixed[static_cast<std::size_t>(i - 3)];
      conv(in, m.b0 + m.b1a + m.b2a + m.b3b, 1);
      conv(m.b1a, m.b1b, 27);
      conv(m.b2a, m.b2b, 27);
      in = m.out();
    }
  }
  return total;
}

}  // namespace bench

#pragma once
/// Bytes of pictures as planes of floats, each byte by a table of its channel: how pictures are
/// normalised for CLIP and I3D.
///
///   y(n, c, p) = level(c, x(n, p, c))

#include <cstdint>

#include "tandem/cpu/threads.hpp"
#include "tandem/cuda/kernel.hpp"
#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io::detail {

/// What each byte of each channel becomes.
struct ByteLevels {
  float of[3][256];
};
/// Pictures of `pixels` pixels of three bytes; plane c of picture n begins at n·picture_step +
/// c·channel_step of the result.
struct BytePlanes {
  std::int64_t count, pixels, picture_step, channel_step;
};

inline void byte_planes_on_cpu(float* to, const std::uint8_t* from, const ByteLevels& levels,
                               const BytePlanes& planes) {
  cpu::parallel_for(planes.count * planes.pixels, 8192, [&](std::int64_t begin, std::int64_t end) {
    while (begin < end) {
      const std::int64_t n = begin / planes.pixels, first = begin - n * planes.pixels,
                         left = planes.pixels - first,
                         some = left < end - begin ? left : end - begin;
      const std::uint8_t* pixel = from + 3 * begin;
      float* out = to + n * planes.picture_step + first;
      for (std::int64_t x = 0; x < some; ++x, pixel += 3, ++out) {
        out[0] = levels.of[0][pixel[0]];
        out[planes.channel_step] = levels.of[1][pixel[1]];
        out[2 * planes.channel_step] = levels.of[2][pixel[2]];
      }
      begin += some;
    }
  });
}
inline const Kernel<void(Queue&, float* to, const std::uint8_t* from, const ByteLevels& levels,
                         const BytePlanes& planes)>
    byte_planes{"byte_planes", byte_planes_on_cpu};

}  // namespace io::detail
TANDEM_NAMESPACE_END

#pragma once
/// What I3D takes: short side resized to 256, the centre 224 × 224 of it, values in [−1, 1].
///                                                         [Carreira & Zisserman 2017, section 2.5]
///
///   RGB:   x(c, t, y, x) = byte(t, y, x, c)·2/255 − 1
///   flow:  x(c, t, y, x) = clip(v(t, y, x, c), −20, 20)/20, v in pixels of the resized picture
///
///   Tensor<float> clip = i3d::preprocess_rgb(frames);    // (T, H, W, 3) bytes → (3, T, 224, 224)
///   Tensor<float> motion = i3d::preprocess_flow(flow);   // (T, H, W, 2) pixels → (2, T, 224, 224)
///
/// Frames are resized byte for byte as Pillow's BILINEAR does it (which widens its filter when an
/// image shrinks), the long side becoming ⌊256·long/short⌋, and cropped as torchvision's
/// CenterCrop. Flow is best computed from frames that have that size already; otherwise each
/// component is resized as Pillow resizes an image of floats, and its vectors grow or shrink with
/// the picture.

#include <cmath>
#include <cstdint>
#include <vector>

#include "tandem/cuda/kernel.hpp"
#include "tandem/i3d/flow_axis.hpp"
#include "tandem/image/levels.hpp"
#include "tandem/image/resize_and_crop.hpp"

TANDEM_NAMESPACE_BEGIN
namespace i3d {

using io::ResizeFilter;

/// How frames and flow are resized, cropped and scaled.
struct PreprocessOptions {
  std::int64_t size = 256;  ///< the short side after resizing
  std::int64_t crop = 224;  ///< rows and columns that are kept
  ResizeFilter filter = ResizeFilter::bilinear;
  float bound = 20;  ///< pixels of flow that become 1
};

namespace detail {

inline void check_options(const char* op, const PreprocessOptions& o) {
  TANDEM_CHECK(o.crop > 0 && o.crop <= o.size && o.size < 1 << 14, op,
               "expected a crop of at least 1 and at most the size, below 2^14, got ", o.crop,
               " and ", o.size);
  TANDEM_CHECK(o.bound > 0, op, "the bound of the flow must be positive, it is ", o.bound);
}

inline void flow_planes_on_cpu(float* to, const float* from, const FlowJob& job) {
  const FlowAxis &rows = job.rows, &columns = job.columns;
  const std::int64_t crop = job.crop, low = rows.low(), lines = rows.high() - low;
  const float bound = job.bound;
  cpu::parallel_for(job.count * 2, 1, [&](std::int64_t begin, std::int64_t end) {
    const Tensor<float> between({lines, crop});
    float* middle = between.mutable_data();
    for (std::int64_t plane = begin; plane < end; ++plane) {
      const std::int64_t c = plane / job.count, t = plane % job.count;
      const float* picture = from + t * job.height * job.width * 2 + c;
      for (std::int64_t y = 0; y < lines; ++y) {
        const float* line = picture + (low + y) * job.width * 2;
        for (std::int64_t x = 0; x < crop; ++x) middle[y * crop + x] = columns.at(x, line, 2, 0);
      }
      const float scale = static_cast<float>((c == 0 ? columns : rows).factor);
      float* result = to + plane * crop * crop;
      for (std::int64_t y = 0; y < crop; ++y) {
        for (std::int64_t x = 0; x < crop; ++x) {
          const float v = rows.at(y, middle + x, crop, low) * scale;
          TANDEM_CHECK(v == v, "preprocess_flow", "the flow of frame ", t, " holds NaN");
          result[y * crop + x] = (v < -bound ? -bound : v > bound ? bound : v) / bound;
        }
      }
    }
  });
}
/// to (2, count, crop, crop) from (count, height, width, 2).
inline const Kernel<void(Queue&, float* to, const float* from, const FlowJob& job)> flow_planes{
    "flow_planes", flow_planes_on_cpu};

}  // namespace detail

/// Frames as the RGB stream takes them.   (T, H, W, 3) → (3, T, crop, crop)
/// On the device of the frames, with the same bits.
inline Tensor<float> preprocess_rgb(const Tensor<std::uint8_t>& frames,
                                    const PreprocessOptions& options = {}) {
  const char* const op = "preprocess_rgb";
  detail::check_options(op, options);
  TANDEM_CHECK(frames.rank() == 4 && frames.size(3) == 3, op, "expected frames (T, H, W, 3), got ",
               frames.shape());
  const std::int64_t count = frames.size(0), crop = options.crop, pixels = crop * crop;
  const Tensor<float> out({3, count, crop, crop}, frames.device());
  if (count == 0) return out;
  const Tensor<std::uint8_t> bytes =
      io::resize_and_crop(frames, options.size, crop, options.filter);
  io::detail::ByteLevels level;
  for (int b = 0; b < 256; ++b) {
    for (auto& of_channel : level.of) of_channel[b] = static_cast<float>(b * 2 / 255.0 - 1);
  }
  io::detail::byte_planes(frames.device(), out.mutable_device_data(), bytes.device_data(), level,
                          io::detail::BytePlanes{count, pixels, pixels, count * pixels});
  return out;
}

/// Flow as the flow stream takes it; u and v, in pixels, are the last axis.
///   (T, H, W, 2) → (2, T, crop, crop), on the device of the flow, with the same bits.
/// Errors: on the CPU, a vector that is NaN (on a GPU it stays NaN).
inline Tensor<float> preprocess_flow(const Tensor<float>& flow,
                                     const PreprocessOptions& options = {}) {
  const char* const op = "preprocess_flow";
  detail::check_options(op, options);
  TANDEM_CHECK(flow.rank() == 4 && flow.size(3) == 2, op, "expected flow (T, H, W, 2), got ",
               flow.shape());
  const Device device = flow.device();
  TANDEM_CHECK(detail::flow_planes.runs_on(device), op, "has no CUDA kernel (the flow is on ",
               device, ")");
  const std::int64_t count = flow.size(0), height = flow.size(1), width = flow.size(2),
                     crop = options.crop;
  TANDEM_CHECK(height > 0 && width > 0, op, "the flow ", flow.shape(), " has no pixels");
  const Tensor<float> given = flow.detach().contiguous(), out({2, count, crop, crop}, device);
  if (count == 0) return out;
  const io::ImageSize to_size = io::resized_size(height, width, options.size);
  const auto axis = [&](std::int64_t in, std::int64_t resized) {
    return detail::FlowAxis(in, resized, io::detail::crop_axis(resized, crop).first, crop,
                            options.filter);
  };
  const detail::FlowJob job{.count = count,
                            .height = height,
                            .width = width,
                            .crop = crop,
                            .bound = options.bound,
                            .rows = axis(height, to_size.height),
                            .columns = axis(width, to_size.width)};
  detail::flow_planes(device, out.mutable_device_data(), given.device_data(), job);
  return out;
}

}  // namespace i3d
TANDEM_NAMESPACE_END

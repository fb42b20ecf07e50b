#pragma once
/// Rows of several float planes of one size, in one block of memory.

#include <algorithm>
#include <cstdint>
#include <utility>

#include "tandem/cpu/threads.hpp"
#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace flow::detail {

/// `count` planes of height × width floats. The rows y of all planes lie side by side, so that a
/// sweep over the image is one stream through memory:
///
///   | 16 zeros | row y of plane 0, zeros to a multiple of 16 | 16 zeros | row y of plane 1 … | 16
///   zeros |
///
/// The zeros are read as the neighbours of the first and the last pixel; planes that need other
/// neighbours put them there.
class Planes {
 public:
  static constexpr std::int64_t guard = 16;  // floats: the widest vector
  static constexpr int most = 12;

  Planes() = default;
  /// At most `most` planes.
  Planes(int count, std::int64_t height, std::int64_t width) : height_(height), width_(width) {
    // Rows of two planes that lie a multiple of 4096 bytes apart would disturb each other in the
    // cache.
    const std::int64_t rounded = guard + padded(width);
    const std::int64_t stride = rounded / guard % 2 == 0 ? rounded + guard : rounded;
    pitch_ = count * stride + guard;
    for (int plane = 0; plane < count; ++plane) offset_[plane] = plane * stride + guard;
    memory_ = Tensor<float>({height, pitch_});
    data_ = memory_.mutable_data();
    cpu::parallel_for(height, 1 + 20000 / pitch_, [&](std::int64_t begin, std::int64_t end) {
      std::fill(data_ + begin * pitch_, data_ + end * pitch_, 0.0F);
    });
  }

  std::int64_t height() const { return height_; }
  std::int64_t width() const { return width_; }
  /// Floats from a row to the next one of the same plane.
  std::int64_t pitch() const { return pitch_; }
  float* row(int plane, std::int64_t y) const { return data_ + y * pitch_ + offset_[plane]; }
  /// Exchanges two planes without moving them.
  void swap_planes(int a, int b) { std::swap(offset_[a], offset_[b]); }

  /// The next multiple of the widest vector.
  static constexpr std::int64_t padded(std::int64_t n) { return (n + guard - 1) / guard * guard; }

 private:
  Tensor<float> memory_;
  float* data_ = nullptr;
  std::int64_t height_ = 0, width_ = 0, pitch_ = 0;
  std::int64_t offset_[most] = {};
};

}  // namespace flow::detail
TANDEM_NAMESPACE_END

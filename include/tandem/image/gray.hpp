#pragma once
/// Grey images from coloured ones, with the bytes of OpenCV's cvtColor.

#include <cstdint>

#include "tandem/cpu/threads.hpp"
#include "tandem/tensor/error.hpp"
#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace flow {

/// Y = 0.299 R + 0.587 G + 0.114 B, in whole numbers: (9798 R + 19235 G + 3735 B + 2¹⁴) ≫ 15.
///                                                                                [ITU-R BT.601]
///   red, green, blue (H, W, 3) → (H, W);  (N, H, W, 3) → (N, H, W)
inline Tensor<std::uint8_t> rgb_to_gray(const Tensor<std::uint8_t>& rgb) {
  TANDEM_CHECK(rgb.defined() && rgb.rank() >= 1 && rgb.size(-1) == 3 && rgb.device().is_cpu(),
               "rgb_to_gray",
               "expected red, green and blue as the last axis, (…, 3), on the CPU, got ",
               rgb.defined() ? rgb.shape().str() : "an undefined tensor");
  const Tensor<std::uint8_t> dense = rgb.contiguous();
  Shape shape = dense.shape();
  shape.erase(shape.rank() - 1);
  const Tensor<std::uint8_t> gray(shape);
  const std::uint8_t* from = dense.data();
  std::uint8_t* to = gray.mutable_data();
  cpu::parallel_for(gray.numel(), 1 << 15, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const unsigned sum = 9798u * from[3 * i] + 19235u * from[3 * i + 1] + 3735u * from[3 * i + 2];
      to[i] = static_cast<std::uint8_t>((sum + (1u << 14)) >> 15);
    }
  });
  return gray;
}

}  // namespace flow
TANDEM_NAMESPACE_END

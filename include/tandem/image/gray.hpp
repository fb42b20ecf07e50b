#pragma once
/// Grey images from coloured ones, with the bytes of OpenCV's cvtColor.

#include <cstdint>

#include "tandem/cpu/threads.hpp"
#include "tandem/cuda/kernel.hpp"
#include "tandem/tensor/error.hpp"
#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

namespace detail {

/// The grey of three bytes.
TANDEM_FORMULA std::uint8_t gray_level(const std::uint8_t* rgb) {
  const unsigned sum = 9798u * rgb[0] + 19235u * rgb[1] + 3735u * rgb[2];
  return static_cast<std::uint8_t>((sum + (1u << 14)) >> 15);
}
inline void gray_bytes_on_cpu(std::uint8_t* to, const std::uint8_t* from, std::int64_t n) {
  cpu::parallel_for(n, 1 << 15, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) to[i] = gray_level(from + 3 * i);
  });
}
/// to (n) from the pixels (n, 3).
inline const Kernel<void(Queue&, std::uint8_t* to, const std::uint8_t* from, std::int64_t n)>
    gray_bytes{"gray_bytes", gray_bytes_on_cpu};

}  // namespace detail

/// Y = 0.299 R + 0.587 G + 0.114 B, in whole numbers: (9798 R + 19235 G + 3735 B + 2¹⁴) ≫ 15.
///                                                                                [ITU-R BT.601]
///   red, green, blue (H, W, 3) → (H, W);  (N, H, W, 3) → (N, H, W)
/// On the device of the images, with the same bytes.
inline Tensor<std::uint8_t> rgb_to_gray(const Tensor<std::uint8_t>& rgb) {
  TANDEM_CHECK(rgb.defined() && rgb.rank() >= 1 && rgb.size(-1) == 3, "rgb_to_gray",
               "expected red, green and blue as the last axis, (…, 3), got ",
               rgb.defined() ? rgb.shape().str() : "an undefined tensor");
  const Device device = rgb.device();
  TANDEM_CHECK(detail::gray_bytes.runs_on(device), "rgb_to_gray",
               "has no CUDA kernel (the images are on ", device, ")");
  const Tensor<std::uint8_t> dense = rgb.contiguous();
  Shape shape = dense.shape();
  shape.erase(shape.rank() - 1);
  const Tensor<std::uint8_t> gray(shape, device);
  if (gray.numel() > 0)
    detail::gray_bytes(device, gray.mutable_device_data(), dense.device_data(), gray.numel());
  return gray;
}

}  // namespace io

namespace flow {
using io::rgb_to_gray;  // what optical flow reads
}
TANDEM_NAMESPACE_END

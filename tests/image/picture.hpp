#pragma once
/// The picture that tests/golden/generate_clip_preprocess.py and generate_i3d_preprocess.py make,
/// too, and the checksum by which they record what became of it.

#include <cstddef>
#include <cstdint>

#include "tandem/io/npz.hpp"
#include "tandem/tensor/tensor.hpp"

namespace tandem_test {

/// Pseudo-random levels; for every third seed only black and white, at which resizing overshoots
/// most.
inline tandem::Tensor<std::uint8_t> picture(std::int64_t height, std::int64_t width,
                                            std::int64_t channels, std::uint32_t seed) {
  tandem::Tensor<std::uint8_t> image({height, width, channels});
  std::uint8_t* p = image.mutable_data();
  for (std::int64_t i = 0; i < image.numel(); ++i) {
    std::uint32_t x = static_cast<std::uint32_t>(i) * 2654435761u + seed * 40503u;
    x ^= x >> 15;
    x *= 2246822519u;
    x ^= x >> 13;
    const auto level = static_cast<std::uint8_t>(x >> 8 & 255u);
    p[i] = seed % 3 != 0 ? level : level < 128 ? std::uint8_t{0} : std::uint8_t{255};
  }
  return image;
}

template <class T>
std::int64_t checksum(const tandem::Tensor<T>& x) {
  const tandem::Tensor<T> dense = x.contiguous();
  return tandem::io::crc32({reinterpret_cast<const char*>(dense.data()),
                            static_cast<std::size_t>(dense.numel()) * sizeof(T)});
}

/// How many elements differ; all of them where the shapes do.
inline std::size_t differences(const tandem::Tensor<std::uint8_t>& a,
                               const tandem::Tensor<std::uint8_t>& b) {
  if (a.shape() != b.shape()) return static_cast<std::size_t>(-1);
  const auto x = a.to_vector(), y = b.to_vector();
  std::size_t count = 0;
  for (std::size_t i = 0; i < x.size(); ++i) count += x[i] != y[i];
  return count;
}

}  // namespace tandem_test

#pragma once
/// How many frames the videos of a batch have: the other methods count, choose and average by it.

#include <cstdint>
#include <vector>

#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/to.hpp"
#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {
namespace rivals {

/// The valid frames of each video, valid (B, T). A mask on a GPU is copied to the host, which
/// waits.
/// Errors: a mask with a hole; a graph is captured.
inline std::vector<std::int64_t> lengths_of(const Tensor<bool>& valid) {
  TANDEM_CHECK(valid.rank() == 2, "lengths_of", "expected valid (B, T), got ", valid.shape());
  const Tensor<bool> dense = valid.contiguous().to(Device::cpu());
  const std::int64_t frames = valid.size(1);
  std::vector<std::int64_t> out;
  for (std::int64_t b = 0; b < valid.size(0); ++b) {
    const bool* real = dense.data() + b * frames;
    std::int64_t n = 0;
    while (n < frames && real[n]) ++n;
    for (std::int64_t t = n; t < frames; ++t)
      TANDEM_CHECK(!real[t], "lengths_of", "frame ", t, " of video ", b, " comes after padding");
    out.push_back(n);
  }
  return out;
}

/// A mask (B, T) of the lengths.
inline Tensor<bool> mask_of(const std::vector<std::int64_t>& lengths, std::int64_t frames) {
  const Tensor<bool> valid = zeros<bool>({static_cast<std::int64_t>(lengths.size()), frames});
  for (std::size_t b = 0; b < lengths.size(); ++b)
    valid.select(0, static_cast<std::int64_t>(b)).slice(0, 0, lengths[b]).fill_(true);
  return valid;
}

/// x (B, T, …) with zeros on padding; x itself where there is none.
template <FloatingElement T>
Tensor<T> without_padding(const Tensor<T>& x, const Tensor<bool>& valid) {
  if (!valid.defined()) return x;
  const auto zeroed = [&] { return mul(x, valid.template to<T>().unsqueeze(2)); };
  if (!valid.device().is_cpu()) return zeroed();  // nothing need be known of it
  bool all = true;
  for (const std::int64_t n : lengths_of(valid)) all = all && n == valid.size(1);
  return all ? x : zeroed();
}

}  // namespace rivals
}  // namespace wtal
TANDEM_NAMESPACE_END

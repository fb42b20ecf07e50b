#pragma once
/// TemporalConv, the convolution over time that the other methods are made of.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tandem/nn/init.hpp"
#include "tandem/nn/module.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/ops/leaky_relu.hpp"
#include "tandem/ops/linear.hpp"
#include "tandem/ops/pad.hpp"
#include "tandem/wtal/rivals/lengths.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {
namespace rivals {

/// How a convolution starts; a = in, k = kernel.
enum class ConvInit {
  standard,  ///< PyTorch's: weight and bias U(−1/√(a·k), 1/√(a·k))
  kaiming,   ///< weight U(−√(6/(a·k)), √(6/(a·k))), bias 0
};

/// TemporalConv — y_t = b + Σ_j W_j x_{t + j − (k−1)/2}, with zeros outside the video.
///   x (B, T, in) → (B, T, out); weight (out, in, k) as PyTorch's Conv1d has it, bias (out).
///   stride 1, k odd. One product: k shifted copies of the rows side by side, times the weight.
///   Errors: k is even or below 1; rows of another width.
template <FloatingElement T>
class TemporalConv final : public nn::Module<T> {
 public:
  TemporalConv(std::int64_t in, std::int64_t out, std::int64_t kernel, Generator& random,
               bool with_bias = true, ConvInit init = ConvInit::standard)
      : kernel_(kernel) {
    TANDEM_CHECK(kernel >= 1 && kernel % 2 == 1, "temporal_conv", "the kernel must be odd, it is ",
                 kernel);
    const std::int64_t fan = in * kernel;
    // √6 times the standard bound is Kaiming's
    weight = nn::kaiming_uniform<T>({out, in, kernel}, fan, random);
    if (init == ConvInit::kaiming) weight = mul(weight, T(__builtin_sqrt(6.0)));
    this->add("weight", weight);
    if (!with_bias) return;
    bias = init == ConvInit::kaiming ? zeros<T>({out}) : nn::kaiming_uniform<T>({out}, fan, random);
    this->add("bias", bias);
  }

  /// Padded frames (valid (B, T) false) enter as zeros, whatever they hold; without `valid` all
  /// frames are real.  (reading)
  Tensor<T> forward(const Tensor<T>& x, const Tensor<bool>& valid = {}) const {
    const nn::ModuleScope scope = this->scope();
    const std::int64_t in = weight.size(1), out = weight.size(0);
    TANDEM_CHECK(x.rank() == 3 && x.size(2) == in, "temporal_conv", "expected rows (B, T, ", in,
                 "), got ", x.shape());
    if (kernel_ == 1) return linear(x, weight.reshape({out, in}), bias);
    const std::int64_t frames = x.size(1), margin = (kernel_ - 1) / 2;
    const Tensor<T> wide = pad(without_padding(x, valid), {{0, 0}, {margin, margin}, {0, 0}});
    std::vector<Tensor<T>> taps;
    for (std::int64_t j = 0; j < kernel_; ++j) taps.push_back(wide.slice(1, j, j + frames));
    const Tensor<T> by_tap = weight.transpose(1, 2).contiguous().reshape({out, kernel_ * in});
    return linear(cat(taps, 2), by_tap, bias);
  }

  /// p_j,t = W_j x_t of every tap j, (B, T, out) each. Rows that are weighed by one number a frame,
  /// w ⊙ x, have w ⊙ p_j, so that several weighings of the same rows share the products.
  std::vector<Tensor<T>> products(const Tensor<T>& x, const Tensor<bool>& valid = {}) const {
    const nn::ModuleScope scope = this->scope();
    TANDEM_CHECK(x.rank() == 3 && x.size(2) == weight.size(1), "temporal_conv",
                 "expected rows (B, T, ", weight.size(1), "), got ", x.shape());
    const Tensor<T> rows = kernel_ == 1 ? x : without_padding(x, valid),
                    by_tap = weight.permute({2, 0, 1}).contiguous();
    std::vector<Tensor<T>> out;
    for (std::int64_t j = 0; j < kernel_; ++j) out.push_back(linear(rows, by_tap.select(0, j)));
    return out;
  }
  /// y_t = b + Σ_j p_{j, t + j − (k−1)/2}: forward() of the rows that the products are of.
  Tensor<T> gathered(const std::vector<Tensor<T>>& products) const {
    const std::int64_t margin = (kernel_ - 1) / 2;
    Tensor<T> out;
    for (std::int64_t j = 0; j < kernel_; ++j) {
      const Tensor<T>& p = products[static_cast<std::size_t>(j)];
      const std::int64_t frames = p.size(1), ahead = j - margin;
      const std::int64_t left = std::min(frames, std::max<std::int64_t>(0, -ahead)),
                         right = std::min(frames, std::max<std::int64_t>(0, ahead));
      const Tensor<T> moved =
          ahead == 0 ? p : pad(p.slice(1, right, frames - left), {{0, 0}, {left, right}, {0, 0}});
      out = out.defined() ? add(out, moved) : moved;
    }
    return bias.defined() ? add(out, bias) : out;
  }

  Tensor<T> weight, bias;  ///< bias: undefined without

 private:
  std::int64_t kernel_;
};

}  // namespace rivals
}  // namespace wtal
TANDEM_NAMESPACE_END

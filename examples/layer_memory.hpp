#pragma once
/// What the layers of a network need of memory in a training step, counted layer by layer: for
/// methods that are no stack of equal blocks. The rule is that of step_memory.hpp: only what must
/// exist at one time is counted, so that no step that fits is refused.

#include <cstdint>

namespace cli {

/// Numbers, not bytes.
struct LayerMemory {
  double parameters = 0;
  double per_row = 0;  ///< what the backward keeps of each row

  /// A linear layer or, with kernel > 1, a convolution over time, with its activation:
  ///   in·out·kernel + out parameters (without bias: in·out·kernel);
  ///   `out` numbers a row, and kernel·in more where the taps are laid side by side. The input of a
  ///   linear layer is the output of another, which has counted it.
  LayerMemory& layer(std::int64_t in, std::int64_t out, std::int64_t kernel = 1, bool bias = true) {
    const auto a = static_cast<double>(in), b = static_cast<double>(out),
               k = static_cast<double>(kernel);
    parameters += a * b * k + (bias ? b : 0);
    per_row += b + (kernel > 1 ? k * a : 0);
    return *this;
  }
  /// So many numbers a row that are no layer's output: the product of a gate, what dropout left.
  LayerMemory& keep(std::int64_t numbers) {
    per_row += static_cast<double>(numbers);
    return *this;
  }
  /// Another network beside it.
  LayerMemory& operator+=(const LayerMemory& other) {
    parameters += other.parameters;
    per_row += other.per_row;
    return *this;
  }
};

}  // namespace cli

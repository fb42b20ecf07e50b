#pragma once
/// The arrays of generate_flow.py, and planes made of them.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "../cpu/shared.hpp"
#include "tandem/flow/planes.hpp"
#include "tandem/io/npz.hpp"
#include "tandem/tensor/factory.hpp"

namespace tandem_test {

inline const tandem::io::Npz& flow_golden() {
  static const auto npz = tandem::io::Npz::open(TANDEM_GOLDEN_DIR "/flow.npz");
  return npz;
}

template <class T>
tandem::Tensor<T> flow_golden(const std::string& name) {
  return flow_golden().at(name).tensor<T>().contiguous();
}

inline void put(const tandem::Tensor<float>& image, tandem::flow::detail::Planes& planes,
                int plane) {
  const std::int64_t width = image.size(1);
  for (std::int64_t y = 0; y < image.size(0); ++y) {
    std::copy(image.data() + y * width, image.data() + (y + 1) * width, planes.row(plane, y));
  }
}

inline tandem::Tensor<float> get(const tandem::flow::detail::Planes& planes, int plane) {
  tandem::Tensor<float> image({planes.height(), planes.width()});
  for (std::int64_t y = 0; y < planes.height(); ++y) {
    const float* row = planes.row(plane, y);
    std::copy(row, row + planes.width(), image.mutable_data() + y * planes.width());
  }
  return image;
}

inline double largest_difference(const tandem::Tensor<float>& a, const tandem::Tensor<float>& b) {
  REQUIRE(a.shape() == b.shape());
  double most = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const double d = std::fabs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i]));
    most = d <= most ? most : d;  // keeps NaN
  }
  return most;
}

/// Calls f for every instruction set that computes differently, restoring the one in use.
template <class F>
void on_every_isa(F f) {
  for (const tandem::cpu::Isa isa : tandem::cpu::supported_isas()) {
    if (isa > tandem::cpu::Isa::avx512) break;
    CAPTURE(tandem::cpu::name(isa));
    const tandem::cpu::IsaScope scope(isa);
    f();
  }
}

}  // namespace tandem_test

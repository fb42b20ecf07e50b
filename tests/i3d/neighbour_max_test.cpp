/// The pool of a Mixed block without a graph against the op.

#include "tandem/i3d/neighbour_max.hpp"

#include <cmath>

#include "../ops/check.hpp"
#include "tandem/ops/max_pool3d.hpp"

using namespace tandem;

TEST_CASE(
    "neighbour_max: max_pool3d of 3 x 3 x 3 at stride 1, any sizes, signs, infinities and NaN") {
  Generator random(7);
  for (const Shape& shape : {Shape{1, 1, 1, 1, 1},
                             {1, 3, 1, 2, 1},
                             {1, 2, 2, 1, 5},
                             {1, 3, 4, 14, 14},
                             {1, 2, 3, 7, 31},
                             {1, 40, 2, 28, 28},
                             {1, 5, 8, 5, 66}}) {
    INFO(shape.str());
    Tensor<float> x = randn<float>(shape, random);
    const std::int64_t n = x.numel();
    x.mutable_data()[n / 2] = INFINITY;
    x.mutable_data()[n / 3] = -INFINITY;
    x.mutable_data()[n - 1] = NAN;
    Tensor<bfloat16> low(shape);
    cpu::round_to_bfloat16(x.data(), low.mutable_data(), n);
    check::any_thread_count([&] {
      const Tensor<float> y(shape);
      i3d::detail::neighbour_max(x.data(), shape[1], shape[2], shape[3], shape[4],
                                 y.mutable_data());
      return std::vector<Tensor<float>>{y};
    });
    const MaxPool3dOptions pool{
        .kernel = Triple::all(3), .stride = Triple::all(1), .padding = Padding3d::same()};
    const Tensor<float> y(shape);
    i3d::detail::neighbour_max(x.data(), shape[1], shape[2], shape[3], shape[4], y.mutable_data());
    CHECK(check::same(y, max_pool3d(x, pool)));
    const Tensor<bfloat16> y_low(shape);
    i3d::detail::neighbour_max(low.data(), shape[1], shape[2], shape[3], shape[4],
                               y_low.mutable_data());
    CHECK(check::same(check::cast<float>(y_low), max_pool3d(check::cast<float>(low), pool)));
  }
}

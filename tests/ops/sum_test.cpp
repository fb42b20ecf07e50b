#include "tandem/ops/sum.hpp"

#include <cmath>

#include "golden.hpp"
#include "tandem/cpu/isa.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

namespace {

/// Σ and Σ|x| over the dimensions in `bits`, in long double, element by element.
std::vector<long double> reference(const Tensor<float>& x, unsigned bits, bool magnitude) {
  const Shape kept = detail::reduced_shape(x.shape(), bits, true);
  std::vector<long double> sums(static_cast<std::size_t>(kept.numel()));
  const Strides steps = contiguous_strides(kept);
  const std::vector<float> values = x.to_vector();
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::int64_t rest = static_cast<std::int64_t>(i), at = 0;
    for (int d = x.rank() - 1; d >= 0; --d) {
      if (kept[d] != 1) at += rest % x.shape()[d] * steps[d];
      rest /= x.shape()[d];
    }
    const long double v = values[i];
    sums[static_cast<std::size_t>(at)] += magnitude ? std::fabs(v) : v;
  }
  return sums;
}

}  // namespace

TEST_CASE("sum agrees with PyTorch") {
  golden::compare("sum.all", {"x"}, [](const auto& x) { return sum(x[0]); });
  golden::compare("sum.dim1", {"x"}, [](const auto& x) { return sum(x[0], 1); });
  golden::compare("sum.dims02_keepdim", {"x"}, [](const auto& x) {
    return sum(x[0], {0, 2}, true);
  });
}

TEST_CASE("sum: every set of dimensions of every layout, close to the exact sum") {
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{33}, Shape{3, 7, 31}, Shape{2, 0, 3},
                             Shape{600, 9}, Shape{2, 300, 20}, Shape{40, 1, 1100}, Shape{70000}}) {
    const Tensor<float> dense = check::cast<float>(check::normal(shape, 5));
    std::vector<Tensor<float>> layouts = {dense};
    if (shape.rank() > 0) {
      layouts.push_back(autograd::make_strided(dense));
      layouts.push_back(dense.transpose(0, -1));
    }
    for (const Tensor<float>& x : layouts) {
      for (unsigned bits = 1; bits < 1u << x.rank(); ++bits) {
        Shape dims;
        for (int d = 0; d < x.rank(); ++d) {
          if ((bits >> d & 1u) != 0) dims.push_back(d - (d % 2 == 0 ? 0 : x.rank()));
        }
        INFO("shape ", x.shape().str(), ", dims ", dims.str());
        const Tensor<float> y = sum(x, dims, true);
        const std::vector<float> values = y.to_vector();
        const std::vector<long double> exact = reference(x, bits, false),
                                       size = reference(x, bits, true);
        REQUIRE(values.size() == exact.size());
        // At most 32 additions in float meet any one term, each half a unit of at most Σ|x|; the
        // rest is added in double.
        for (std::size_t i = 0; i < values.size(); ++i) {
          CHECK(std::fabs(values[i] - exact[i]) <= 24 * 0x1p-23L * size[i]);
        }
        CHECK(check::same(sum(x, dims), y.reshape(detail::reduced_shape(x.shape(), bits, false))));
      }
    }
  }
}

TEST_CASE("sum: the same bits for every thread count and instruction set") {
  const Tensor<float> x = check::cast<float>(check::normal({3, 700, 130}, 1));
  const auto all = [&] {
    return std::vector<Tensor<float>>{sum(x),    sum(x, 0),      sum(x, 1),
                                      sum(x, 2), sum(x, {0, 1}), sum(x.transpose(1, 2), {0, 1})};
  };
  check::any_thread_count(all);
  const std::vector<Tensor<float>> here = all();
  for (const cpu::Isa isa : cpu::supported_isas()) {
    const cpu::IsaScope scope(isa);
    const std::vector<Tensor<float>> there = all();
    for (std::size_t i = 0; i < here.size(); ++i) CHECK(check::same(here[i], there[i]));
  }
}

TEST_CASE("sum: gradients") {
  for (const std::int64_t n : {1, 3, 7, 33}) {
    const Tensor<double> x = check::normal({2, n, 3}, static_cast<std::uint64_t>(n));
    check::gradients([](const auto& v) { return sum(v[0]); }, {x});
    check::gradients([](const auto& v) { return sum(v[0], {0, -1}); }, {x});
    check::gradients([](const auto& v) { return sum(v[0], 1, true); }, {x});
  }
  // Over a dimension of size 1 the result equals x but is not x.
  const Tensor<float> x = ones<float>({3, 1});
  const Tensor<float> y = sum(x, 1, true);
  y += 1;
  CHECK(x.to_vector() == std::vector<float>{1, 1, 1});
}

TEST_CASE("sum of integers, bool and bfloat16") {
  CHECK(sum(tensor<std::uint8_t>({200, 200, 3})).item() == 403);
  CHECK(sum(tensor<bool>({true, false, true})).item() == 2);
  const Tensor<std::int32_t> x = tensor<std::int32_t>({{1, 2}, {3, 2147483647}});
  CHECK(sum(x, 0).to_vector() == std::vector<std::int64_t>{4, 2147483649});
  // 1 + 1000·2⁻⁹ would stay 1 if it were added in bfloat16.
  const Tensor<bfloat16> small = full<bfloat16>({1000}, bfloat16(0x1p-9F));
  CHECK(static_cast<float>(sum(small).item()) == doctest::Approx(1000 * 0x1p-9).epsilon(0x1p-8));
  const Tensor<float> none = zeros<float>({0, 3});
  CHECK(sum(none).item() == 0);
  CHECK(sum(none, 0).to_vector() == std::vector<float>{0, 0, 0});
}

TEST_CASE("sum: messages") {
  const Tensor<float> x = zeros<float>({2, 3});
  CHECK(check::message([&] { sum(x, 2); }) ==
        "[sum] dimension 2 is out of range for a tensor of 2 dimensions");
  CHECK(check::message([&] { sum(x, {0, -2}); }) == "[sum] dimension 0 appears twice in (0, -2)");
}

#include "tandem/ops/normalize.hpp"

#include <limits>

#include "devices.hpp"

using namespace tandem;

namespace {

/// How many roundings a sum of n terms has: of a thread's, of the threads' and the warps', if they
/// share it.
double sum_depth(std::int64_t n, bool shared) {
  return static_cast<double>(n) / (shared ? 32 : 1) + (shared ? 32 : 0);
}
/// The smallest norm of the columns.
double smallest_norm(const Tensor<double>& x, std::int64_t dim) {
  const Tensor<double> rows = x.transpose(dim, -1).contiguous();
  const std::int64_t n = rows.size(-1);
  double least = INFINITY;
  for (std::int64_t r = 0; r < rows.numel() / n; ++r) {
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += rows.data()[r * n + i] * rows.data()[r * n + i];
    least = std::fmin(least, std::sqrt(sum));
  }
  return least;
}
std::vector<Tensor<float>> normalize_run(const Tensor<float>& x, std::int64_t dim, Device device,
                                         double eps = 1e-12) {
  Tensor<float> leaf = x.to(device).clone();
  leaf.requires_grad_();
  const Tensor<float> y = normalize(leaf, dim, eps);
  y.backward(check::cast<float>(devices::normal(x.shape(), 4)).to(device));
  return {y.detach(), leaf.grad()};
}

}  // namespace

TEST_CASE("normalize: float follows double on every device, every size, rows and columns") {
  std::vector<std::int64_t> sizes = devices::sizes;
  for (const std::int64_t n : {1028, 16388}) sizes.push_back(n);  // packs; rows that stay in memory
  for (const std::int64_t n : sizes) {
    for (const std::int64_t dim : {0, 1}) {
      if (dim == 0 && n > 257) continue;
      CAPTURE(n);
      CAPTURE(dim);
      const Tensor<double> x = devices::normal(dim == 1 ? Shape{5, n} : Shape{n, 7}, 1);
      devices::each([&](Device device) {
        // ‖x‖ is off by half of its sum's roundings and 2; |y| ≤ 1. The gradient has those of both
        // sums, and terms up to ‖dy‖/‖x‖, |dy| < 5.
        const double roundings = sum_depth(n, dim == 1),
                     slope = 5 * std::sqrt(static_cast<double>(n)) / smallest_norm(x, dim);
        const auto f = [dim](const auto& v) { return normalize(v[0], dim); };
        devices::float_follows_double(
            device, f, {x},
            (roundings / 2 + 3 + (2 * roundings + 12) * slope) * devices::float_eps);
        CHECK(check::distance(normalize(check::cast<float>(x).to(device), dim),
                              normalize(x, dim)) <= (roundings / 2 + 3) * devices::float_eps);
      });
    }
  }
}

TEST_CASE("normalize: gradients on every device, along every dimension, also below ε") {
  devices::each([](Device device) {
    for (const std::int64_t dim : {0, 1, 2, -1}) {
      devices::gradients(device, [dim](const auto& x) { return normalize(x[0], dim); },
                         {check::normal({3, 5, 7}, 2)});
      devices::gradients(device, [dim](const auto& x) { return normalize(x[0], dim, 2.5); },
                         {check::normal({3, 5, 7}, 3)});
    }
    CHECK(normalize(zeros<float>({0, 3}, device)).shape() == Shape{0, 3});
    CHECK(normalize(zeros<float>({3, 0}, device)).shape() == Shape{3, 0});
    CHECK(normalize(zeros<float>({0, 3}, device), 0).shape() == Shape{0, 3});
  });
}

TEST_CASE("normalize: zeros, infinities, NaN and both ends of the range mean the same everywhere") {
  constexpr float inf = std::numeric_limits<float>::infinity(),
                  nan = std::numeric_limits<float>::quiet_NaN(),
                  tiny = std::numeric_limits<float>::denorm_min() * 4096;
  for (const std::vector<float>& row : {std::vector<float>{0, 0, 0},
                                        {3 * tiny, 0, 4 * tiny},
                                        {1e38F, -2e38F, 2e38F},
                                        {3e-20F, 4e-20F, 0},
                                        {inf, 1, -2},
                                        {inf, -inf, 0},
                                        {nan, 1, 2},
                                        {1, nan, 0},
                                        {inf, nan, 0},
                                        {nan, inf, 0}}) {
    // As a row, and as two columns, which another kernel has.
    std::vector<float> twice;
    for (const float v : row) twice.insert(twice.end(), 2, v);
    for (const std::int64_t dim : {0, 1}) {
      const Tensor<float> x =
          from_vector<float>(dim == 1 ? row : twice, {dim == 1 ? 1 : 3, dim == 1 ? 3 : 2});
      for (const double eps : {1e-12, 1e-43}) {
        const auto expected = normalize_run(x, dim, Device::cpu(), eps);
        // Numbers relative to the largest gradient of the row, below 5/‖x‖.
        double scale = 1;
        for (const float g : expected[1].to_vector()) {
          if (std::isfinite(g)) scale = std::fmax(scale, std::fabs(g));
        }
        devices::each([&](Device device) {
          const auto got = normalize_run(x, dim, device, eps);
          CHECK(check::distance(got[0].to(Device::cpu()), expected[0]) <= 4 * devices::float_eps);
          CHECK(check::distance(got[1].to(Device::cpu()), expected[1]) <=
                32 * scale * devices::float_eps);
        });
      }
    }
  }
}

TEST_CASE("normalize: the same bits in any order of the threads") {
  for (const std::int64_t n : {31, 197, 1031, 16388}) {
    devices::same_in_every_order([&](Device device) {
      return normalize_run(check::cast<float>(devices::normal({9, n}, 3)), 1, device);
    });
  }
  devices::same_in_every_order([](Device device) {
    return normalize_run(check::cast<float>(devices::normal({2, 9, 257}, 5)), 1, device);
  });
}

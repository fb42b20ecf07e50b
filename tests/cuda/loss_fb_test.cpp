#include "devices.hpp"
#include "tandem/ops/to.hpp"
#include "tandem/wtal/train/contrast.hpp"

using namespace tandem;
// In a namespace of its own, since tests are compiled together and wtal has a detail too.
namespace loss_fb_test {

using namespace tandem::wtal;

namespace {

/// H of videos with classes of their own, foreground, background and undecided frames in any order.
Tensor<std::int32_t> some_labels(std::int64_t videos, std::int64_t frames, std::int64_t classes,
                                 std::uint64_t seed) {
  Generator random(seed);
  const Tensor<std::int32_t> h = randint<std::int32_t>({videos, frames, classes}, -1, 2, random),
                             sort = randint<std::int32_t>({videos, frames}, 0, 3, random);
  for (std::int64_t b = 0; b < videos; ++b) {
    for (std::int64_t t = 0; t < frames; ++t) {
      for (std::int64_t c = 0; c < classes; ++c) {
        if (sort.at({b, t}) == 0 || (c + b) % 2 == 1) h.set({b, t, c}, 0);
      }
    }
  }
  return h;
}
Tensor<bool> some_valid(std::int64_t videos, std::int64_t frames) {
  Tensor<bool> valid(Shape{videos, frames});
  for (std::int64_t b = 0; b < videos; ++b) {
    for (std::int64_t t = 0; t < frames; ++t) valid.set({b, t}, t < frames - 3 * b && t % 9 != 4);
  }
  return valid;
}
/// Rows of length 1 that float holds exactly, or nearly length 1.
Tensor<double> unit_rows(const Shape& shape, std::uint64_t seed) {
  Tensor<double> x = check::normal(shape, seed);
  double* at = x.mutable_data();
  for (std::int64_t r = 0; r < shape[0] * shape[1]; ++r, at += shape[2]) {
    double squares = 0;
    for (std::int64_t k = 0; k < shape[2]; ++k) squares += at[k] * at[k];
    for (std::int64_t k = 0; k < shape[2]; ++k)
      at[k] = static_cast<double>(static_cast<float>(at[k] / std::sqrt(squares)));
  }
  return x;
}

template <class T>
std::vector<Tensor<T>> value_and_gradient(const Tensor<double>& f, const Tensor<std::int32_t>& h,
                                          const Tensor<bool>& valid, const ContrastOptions& options,
                                          Device device) {
  Tensor<T> x = check::cast<T>(f).to(device).clone();
  x.requires_grad_();
  const Tensor<T> loss = loss_fb(x, h.to(device), valid.to(device), options);
  loss.backward();
  const NoGrad no_grad;  // without a gradient the same value
  CHECK(loss_fb(x, h.to(device), valid.to(device), options).item() == loss.item());
  return {loss.detach().to(Device::cpu()), x.grad().to(Device::cpu())};
}

}  // namespace

TEST_CASE(
    "loss_fb: a device follows the CPU's double, tiles, columns and classes of every number") {
  struct Case {
    std::int64_t videos, frames, classes, width;
    bool same_video;
  };
  for (const Case& c :
       {Case{2, 9, 2, 5, false}, Case{1, 70, 3, 33, false}, Case{3, 67, 37, 16, true},
        Case{3, 67, 40, 20, false}, Case{1, 80, 2, 270, false}, Case{2, 150, 3, 8, false}}) {
    CAPTURE(c.frames);
    CAPTURE(c.width);
    const Tensor<double> f = unit_rows({c.videos, c.frames, c.width}, 3);
    const Tensor<std::int32_t> h = some_labels(c.videos, c.frames, c.classes, 5);
    const Tensor<bool> valid = some_valid(c.videos, c.frames);
    const ContrastOptions options{.same_video = c.same_video};
    const auto exact = value_and_gradient<double>(f, h, valid, options, Device::cpu());
    CHECK(exact[0].item() > 0.1);
    double largest = 0;
    for (double v : exact[1].to_vector()) largest = std::max(largest, std::fabs(v));
    const auto bound = [&](double eps) {
      // A score is at most 1/τ = 14.3, of a sum of `width` products: its error, absolute, is the
      // relative one of each exponential and bounds that of the loss twice. A gradient has two
      // exponentials a pair and a sum over the frames.
      return (14.3 * static_cast<double>(c.width + 4) + devices::function_error) * eps;
    };
    const auto in_float = devices::same_in_every_order(
        [&](Device device) { return value_and_gradient<float>(f, h, valid, options, device); });
    const auto in_double = devices::same_in_every_order(
        [&](Device device) { return value_and_gradient<double>(f, h, valid, options, device); });
    const double pairs = static_cast<double>(c.videos * c.frames) + 8;
    CHECK(check::distance(in_float[0], exact[0]) <=
          2 * bound(devices::float_eps) + pairs * devices::float_eps * exact[0].item());
    CHECK(check::distance(in_double[0], exact[0]) <=
          2 * bound(0x1p-53) + pairs * 0x1p-53 * exact[0].item());
    // Rows of df are sums of up to `pairs` terms whose sizes add up to 2/(anchors·τ) or less
    CHECK(check::distance(in_float[1], exact[1]) <=
          (4 * bound(devices::float_eps) + pairs * devices::float_eps) * 4 * largest);
    CHECK(check::distance(in_double[1], exact[1]) <=
          (4 * bound(0x1p-53) + pairs * 0x1p-53) * 4 * largest);
  }
}

TEST_CASE("loss_fb: gradients by differences on every device") {
  const Tensor<std::int32_t> h = some_labels(2, 14, 3, 7);
  const Tensor<bool> valid = some_valid(2, 14);
  devices::each([&](Device device) {
    for (const bool same : {false, true}) {
      devices::gradients(device,
                         [&](const auto& x) {
                           return loss_fb(x[0], h.to(device), valid.to(device),
                                          {.temperature = 0.5, .same_video = same});
                         },
                         {unit_rows({2, 14, 3}, 9)});
    }
  });
}

TEST_CASE("loss_fb: no anchors, no background, no frames; large scores; devices must agree") {
  devices::each([&](Device device) {
    const auto run = [&](const Tensor<double>& f, const std::vector<std::int32_t>& labels) {
      const std::int64_t frames = f.size(1);
      Tensor<double> x = f.detach().to(device).clone();
      x.requires_grad_();
      const Tensor<double> loss =
          loss_fb(x, from_vector<std::int32_t>(labels).reshape({1, frames, 1}).to(device),
                  full<bool>({1, frames}, true, device));
      loss.backward();
      return std::vector{loss.detach().to(Device::cpu()), x.grad().to(Device::cpu())};
    };
    const Tensor<double> f = unit_rows({1, 3, 4}, 5);
    CHECK(run(f, {1, 0, 0})[0].item() == 0);  // Ψ⁺ is empty
    CHECK(check::same(run(f, {1, 0, 0})[1], zeros<double>({1, 3, 4})));
    CHECK(run(f, {-1, 0, 0})[0].item() == 0);
    CHECK(std::fabs(run(f, {1, 1, 1})[0].item()) < 1e-12);  // without Ψ⁻ the ratio is 1
    CHECK(check::distance(run(f, {1, 1, 1})[1], zeros<double>({1, 3, 4})) < 1e-12);
    CHECK(run(zeros<double>({1, 0, 4}), {})[0].item() == 0);
    // Exponents of 10⁵: only the largest matters, and the gradient stays finite
    const auto huge = run(f * 100, {1, 1, 0});
    CHECK(std::isfinite(huge[0].item()));
    for (double v : huge[1].to_vector()) CHECK(std::isfinite(v));
  });
  CHECK(check::message([] {
          (void)loss_fb(ones<float>({1, 2, 2}, Device::cuda()), zeros<std::int32_t>({1, 2, 2}),
                        ones<bool>({1, 2}));
        }) == "[loss_fb] inputs are on different devices: cuda:0 and cpu");
}

}  // namespace loss_fb_test

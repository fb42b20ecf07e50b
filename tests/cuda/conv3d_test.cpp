#include "tandem/ops/conv3d.hpp"

#include "devices.hpp"
#include "tandem/ops/conv1d.hpp"
#include "tandem/ops/conv2d.hpp"

using namespace tandem;

namespace {

struct ConvCase {
  Shape x, weight;
  Conv3dOptions options;
};

constexpr Padding3d uneven_margins = {{2, 1}, {0, 2}, {1, 0}};

/// As those of tests/ops: kernels of one tap with and without steps, more taps than x has elements,
/// outputs that see padding only.
std::vector<ConvCase> small_convs() {
  return {{{2, 3, 2, 3, 5}, {5, 3, 1, 1, 1}, {}},
          {{2, 3, 2, 3, 5}, {5, 3, 1, 1, 1}, {.relu = true}},
          {{2, 3, 2, 3, 5}, {2, 3, 1, 1, 1}, {.stride = {1, 2, 2}}},
          {{1, 2, 3, 4, 5}, {3, 2, 3, 3, 3}, {.padding = Padding3d::same()}},
          {{1, 2, 3, 4, 5}, {3, 2, 3, 3, 3}, {.padding = Padding3d::same(), .relu = true}},
          {{2, 9, 2, 3, 4}, {2, 9, 2, 3, 1}, {.padding = uneven_margins}},
          {{1, 1, 3, 4, 3}, {1, 1, 5, 5, 5}, {Triple::all(2), Padding3d::same()}},
          {{2, 2, 4, 3, 5}, {3, 2, 2, 3, 1}, {{1, 2, 3}, uneven_margins}},
          {{1, 1, 1, 1, 2}, {1, 1, 4, 2, 3}, {{1, 1, 2}, Padding3d::all(2)}},
          {{2, 2, 4, 5, 6}, {3, 2, 2, 3, 1}, {{1, 2, 1}, uneven_margins, {3, 1, 2}}},
          {{2, 6, 2, 3, 4}, {4, 3, 1, 1, 1}, {.groups = 2, .relu = true}},
          {{2, 4, 2, 4, 3},
           {4, 1, 2, 2, 1},
           {.padding = uneven_margins, .dilation = {1, 2, 1}, .groups = 4}}};
}
/// Several tiles in each direction, and of dW slices.
std::vector<ConvCase> large_convs() {
  return {{{2, 5, 3, 6, 7}, {67, 5, 3, 3, 3}, {.padding = Padding3d::same(), .relu = true}},
          {{1, 3, 4, 9, 9}, {5, 3, 3, 7, 5}, {{1, 2, 2}, Padding3d::same()}},
          {{2, 70, 1, 5, 6}, {66, 70, 1, 1, 1}, {}},
          {{1, 66, 2, 3, 4}, {3, 66, 1, 2, 2}, {}},
          {{3, 2, 3, 21, 23}, {3, 2, 2, 2, 2}, {}},
          {{1, 34, 1, 1, 40}, {134, 17, 1, 1, 3}, {.dilation = {1, 1, 2}, .groups = 2}},
          {{3, 4, 1, 39, 43}, {4, 2, 1, 2, 2}, {.groups = 2}}};
}

/// y and the gradients of x, W and b.
template <class T>
std::vector<Tensor<T>> conv_run(Device device, const ConvCase& c, bool bias) {
  Tensor<T> x = check::cast<T>(devices::normal(c.x, 1)).to(device),
            w = check::cast<T>(devices::normal(c.weight, 2)).to(device),
            b = check::cast<T>(devices::normal({c.weight[0]}, 3)).to(device);
  for (const Tensor<T>& leaf : {x, w, b}) leaf.requires_grad_();
  const Tensor<T> y = conv3d(x, w, bias ? b : Tensor<T>(), c.options);
  y.backward(check::cast<T>(devices::normal(y.shape(), 4)).to(device));
  std::vector<Tensor<T>> out{y.detach(), x.grad(), w.grad()};
  if (bias) out.push_back(b.grad());
  for (Tensor<T>& t : out) t = t.to(Device::cpu());
  return out;
}

}  // namespace

TEST_CASE("conv3d: float and double as the CPU's double, on every device, small and in tiles") {
  std::vector<ConvCase> cases = small_convs();
  for (const ConvCase& c : large_convs()) cases.push_back(c);
  for (const ConvCase& c : cases) {
    for (const bool bias : {false, true}) {
      if (!bias && c.x.numel() > 300) continue;
      CAPTURE(c.x);
      CAPTURE(c.weight);
      // Where a sum is within rounding of 0, relu may cut off dy of one and not of the other: then
      // only y is compared.
      const bool cut = c.options.relu && c.x.numel() > 300;
      const auto exact = conv_run<double>(Device::cpu(), c, bias);
      const double outputs = static_cast<double>(exact[0].numel() / c.weight[0]),
                   in = static_cast<double>(c.weight.numel() / c.weight[0]),
                   out = static_cast<double>(c.weight.numel() / c.weight[1]);
      // n products below 25 in size: n roundings of partial sums, which stay below 25·n, on either
      // side.
      const auto bound = [](double n, double eps) { return 2 * 25 * (n + 1) * (n + 2) * eps; };
      const double terms[4] = {in, out, outputs, outputs};
      devices::each([&](Device device) {
        const auto low = conv_run<float>(device, c, bias);
        const auto high = conv_run<double>(device, c, bias);
        for (std::size_t i = 0; i < exact.size(); ++i) {
          CAPTURE(i);
          if (cut && i > 0) continue;
          // n partial sums, each below 25·√n, are rounded; the roundings have random signs, so
          // their sum stays below 5·√n + 40 of the largest.
          const double n = terms[i];
          CHECK(check::distance(low[i], exact[i]) <=
                5 * 25 * std::sqrt(n + 1) * (std::sqrt(n) + 8) * devices::float_eps);
          CHECK(check::distance(high[i], exact[i]) <= bound(n, 0x1p-53));
        }
      });
    }
  }
}

TEST_CASE("conv3d: gradients on every device, in every layout") {
  devices::each([](Device device) {
    const ConvCase tiny{{1, 2, 2, 3, 2}, {2, 2, 1, 2, 2}, {{1, 2, 1}, {{0, 1}, {1, 0}, {0, 1}}}};
    devices::gradients(
        device, [&](const auto& v) { return conv3d(v[0], v[1], v[2], tiny.options); },
        {check::normal(tiny.x, 1), check::normal(tiny.weight, 2), check::normal({2}, 3)});
    for (const ConvCase& c : small_convs()) {
      const Tensor<double> x = check::normal(c.x, 1).to(device),
                           w = check::normal(c.weight, 2).to(device);
      const Tensor<double> turned_x = x.transpose(1, 4).contiguous().transpose(1, 4),
                           turned_w = w.transpose(0, 4).contiguous().transpose(0, 4);
      CHECK(check::same(conv3d(turned_x, turned_w, {}, c.options).to(Device::cpu()),
                        conv3d(x, w, {}, c.options).to(Device::cpu())));
    }
  });
}

TEST_CASE("conv1d and conv2d are conv3d of flat volumes, on every device") {
  const Tensor<float> x = check::cast<float>(check::normal({2, 4, 5, 7}, 1)),
                      w = check::cast<float>(check::normal({6, 2, 3, 2}, 2)),
                      b = check::cast<float>(check::normal({6}, 3));
  devices::each([&](Device device) {
    const Tensor<float> xd = x.to(device), wd = w.to(device), bd = b.to(device);
    const Tensor<float> flat = conv3d(xd.unsqueeze(2), wd.unsqueeze(2), bd,
                                      {{1, 2, 1}, {{}, {1, 1}, {2, 2}}, {1, 1, 3}, 2, true});
    CHECK(check::same(
        conv2d(xd, wd, bd,
               {.stride = {2, 1}, .padding = {1, 2}, .dilation = {1, 3}, .groups = 2, .relu = true})
            .to(Device::cpu()),
        flat.squeeze(2).to(Device::cpu())));
    const Tensor<float> line = xd.select(2, 3), taps = wd.select(2, 1);
    const Tensor<float> thin =
        conv3d(line.unsqueeze(2).unsqueeze(2), taps.unsqueeze(2).unsqueeze(2), {},
               {{1, 1, 2}, {{}, {}, {0, 3}}, {1, 1, 3}, 2});
    CHECK(check::same(
        conv1d(line, taps, {}, {.stride = 2, .padding = {0, 3}, .dilation = 3, .groups = 2})
            .to(Device::cpu()),
        thin.squeeze(2).squeeze(2).to(Device::cpu())));
  });
}

TEST_CASE("conv3d: no samples and no channels; NaN reaches the outputs that see it") {
  devices::each([](Device device) {
    for (const Shape& kernel : {Shape{1, 1, 1}, Shape{2, 2, 2}}) {
      for (const Shape& sizes : {Shape{0, 3, 2}, Shape{2, 0, 2}, Shape{2, 3, 0}}) {
        CAPTURE(sizes);
        const ConvCase c{{sizes[0], sizes[1], 2, 3, 4},
                         {sizes[2], sizes[1], kernel[0], kernel[1], kernel[2]},
                         {}};
        const auto got = conv_run<float>(device, c, true),
                   expected = conv_run<float>(Device::cpu(), c, true);
        for (std::size_t i = 0; i < 4; ++i)  // the sums of dy have at most 48 terms below 5
          CHECK(check::distance(got[i], expected[i]) <= 2 * 48 * 48 * 5 * devices::float_eps);
      }
    }
    if (device.is_cpu()) return;  // its tiles of Winograd spread them
    Tensor<float> x = ones<float>({1, 1, 3, 4, 9});
    x.set({0, 0, 1, 1, 4}, NAN);
    const Tensor<float> y = conv3d(x.to(device), ones<float>({2, 1, 3, 3, 3}, device), {},
                                   {.padding = Padding3d::same(), .relu = true})
                                .to(Device::cpu());
    for (std::int64_t i = 0; i < y.numel(); ++i) {
      const std::int64_t column = i % 9, row = i / 9 % 4;
      CHECK(std::isnan(y.data()[i]) == (column >= 3 && column <= 5 && row <= 2));
    }
  });
  CHECK(check::message([] {
          conv3d(ones<float>({1, 1, 2, 2, 2}, Device::cuda()), ones<float>({1, 1, 1, 1, 1}));
        }) == "[conv3d] inputs are on different devices: cuda:0 and cpu");
}

TEST_CASE("conv3d: the same bits in any order of the threads") {
  for (const ConvCase& c : large_convs()) {
    devices::same_in_every_order([&](Device device) { return conv_run<float>(device, c, true); });
  }
}

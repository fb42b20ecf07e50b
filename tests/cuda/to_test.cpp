/// Moving tensors between devices, views and copies there, and what gradients do on the way.

#include "tandem/ops/to.hpp"

#include "devices.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/tensor/print.hpp"

using namespace tandem;

TEST_CASE_TEMPLATE("to and back: every element type and size", T, float, double, bfloat16,
                   std::int64_t, std::int32_t, std::uint8_t, bool) {
  for (const std::int64_t n : devices::sizes) {
    const Tensor<T> x = check::cast<T>(arange<double>(n));
    devices::each([&](Device device) {
      const Tensor<T> there = x.to(device);
      CHECK(there.device() == device);
      CHECK(check::same(there.to(Device::cpu()), x));
      CHECK(check::same(there, x));  // to_vector() fetches
    });
  }
}

namespace {

/// Numbers at and beyond the ends of the element types, NaN, infinities, ties of bfloat16.
template <class T>
Tensor<T> numbers_at_the_ends() {
  std::vector<double> values = {0, 1, 2, 200, 255, 256, 300, 65535, 2147483647.0, 1e9, 3.25, 257.5};
  if constexpr (FloatingElement<T>) {
    for (const double x : {-0.0, 0.5, -0.75, 1.00390625, 1.01171875, -1.0, -300.0, 2147483648.0,
                           -2147483648.0, -2147483649.0, 9.3e18, -9.3e18, 1e30, -1e30, 3.39e38})
      values.push_back(x);
    for (const double x : {NAN, INFINITY, -INFINITY}) values.push_back(x);
  } else if constexpr (std::is_signed_v<T>) {
    for (const double x : {-1.0, -128.0, -129.0, -65537.0, -2147483648.0}) values.push_back(x);
  }
  if constexpr (std::is_same_v<T, double>) values.push_back(1e300);
  while (values.size() < 801) values.push_back(static_cast<double>(values.size() % 251));
  return from_vector<double>(values, {9, 89}).to<T>();
}

template <class From>
void convert_as_on_the_cpu() {
  const Tensor<From> x = numbers_at_the_ends<From>();
  const auto equal = [&]<class To>(To) {
    const Tensor<To> expected = x.template to<To>();
    devices::each([&](Device device) {
      const Tensor<From> there = x.to(device);
      CHECK(there.template to<To>().device() == device);
      CHECK(check::same(there.template to<To>().to(Device::cpu()), expected));
      CHECK(check::same(there.transpose(0, 1).template to<To>().to(Device::cpu()),
                        expected.transpose(0, 1).contiguous()));
      CHECK(zeros<From>({0, 3}, device).template to<To>().shape() == Shape{0, 3});
    });
  };
  equal(float());
  equal(double());
  equal(bfloat16());
  equal(std::int64_t());
  equal(std::int32_t());
  equal(std::uint8_t());
  equal(bool());
}

}  // namespace

TEST_CASE_TEMPLATE("to another element type: the CPU's values on every device", T, float, double,
                   bfloat16, std::int64_t, std::int32_t, std::uint8_t, bool) {
  convert_as_on_the_cpu<T>();
}

TEST_CASE("to another element type: gradients are converted back, integers refuse them") {
  devices::each([](Device device) {
    Tensor<float> x = check::cast<float>(check::normal({3, 5}, 1)).to(device);
    x.requires_grad_();
    const Tensor<bfloat16> low = x.to<bfloat16>();
    CHECK(low.device() == device);
    low.to<double>().backward(check::normal({3, 5}, 2).to(device));
    CHECK(check::same(x.grad().to(Device::cpu()),
                      check::normal({3, 5}, 2).to<bfloat16>().to<float>()));
    CHECK(check::message([&] { x.to<std::int64_t>(); }).rfind("[to] has no backward", 0) == 0);
  });
}

TEST_CASE("to gives the tensor itself where it is already") {
  devices::each([](Device device) {
    const Tensor<float> x = zeros<float>({3}, device);
    CHECK(x.to(device).is_same(x));
  });
}

TEST_CASE("factories, fill_, zero_, item and print work on a device") {
  devices::each([](Device device) {
    CHECK(check::same(full<float>({3, 5}, 2.5F, device), full<float>({3, 5}, 2.5F)));
    CHECK(check::same(zeros<std::int64_t>({77}, device), zeros<std::int64_t>({77})));
    CHECK(check::same(ones<double>({}, device), ones<double>({})));
    const Tensor<float> x = zeros<float>({4, 6}, device);
    x.slice(1, 1, 6, 2).fill_(3);
    x.select(0, 2).zero_();
    const Tensor<float> expected = zeros<float>({4, 6});
    expected.slice(1, 1, 6, 2).fill_(3);
    expected.select(0, 2).zero_();
    CHECK(check::same(x, expected));
    CHECK(full<float>({1}, 7, device).item() == 7);
    CHECK(check::same(zeros<float>({0, 3}, device).to(Device::cpu()), zeros<float>({0, 3})));
    CHECK(to_string(full<float>({2}, 1, device)).find("1") != std::string::npos);
  });
}

TEST_CASE_TEMPLATE("views and strided copies on a device", T, float, double, bfloat16,
                   std::uint8_t) {
  const Tensor<T> host = check::cast<T>(arange<double>(5 * 7 * 3)).reshape({5, 7, 3});
  devices::each([&](Device device) {
    const Tensor<T> x = host.to(device);
    const auto both = [&](const auto& f) {
      const Tensor<T> there = f(x);
      CHECK(there.device() == device);
      CHECK(check::same(there, f(host)));
    };
    both([](const Tensor<T>& t) { return t.permute({2, 0, 1}).contiguous(); });
    both([](const Tensor<T>& t) { return t.slice(1, 1, 7, 2).clone(); });
    both([](const Tensor<T>& t) { return t.select(2, 1).transpose(0, 1); });
    both([](const Tensor<T>& t) { return t.slice(0, 1, 2).expand({4, 7, 3}).contiguous(); });
    both([](const Tensor<T>& t) { return t.transpose(0, 2).reshape({21, 5}); });
    both([](const Tensor<T>& t) { return t.slice(0, 0, 0).clone(); });
    // From the other device, broadcast and into a view.
    const Tensor<T> target = zeros<T>({2, 5, 7}, device);
    target.slice(2, 0, 7, 3).copy_(host.select(2, 0).slice(1, 0, 3));
    const Tensor<T> expected = zeros<T>({2, 5, 7});
    expected.slice(2, 0, 7, 3).copy_(host.select(2, 0).slice(1, 0, 3));
    CHECK(check::same(target, expected));
    const Tensor<T> back = zeros<T>({7, 5});
    back.copy_(x.select(2, 2).transpose(0, 1));
    CHECK(check::same(back, host.select(2, 2).transpose(0, 1).contiguous()));
  });
}

TEST_CASE("a copy of many rows on a device: more elements than one launch has threads at once") {
  const Tensor<float> host = check::cast<float>(check::normal({1031, 77}, 1));
  devices::each([&](Device device) {
    CHECK(check::same(host.to(device).transpose(0, 1).contiguous(),
                      host.transpose(0, 1).contiguous()));
  });
}

TEST_CASE("gradients arrive on the device of their tensor") {
  devices::each([](Device device) {
    Tensor<double> x = devices::normal({3, 4}, 1);
    x.requires_grad_();
    const Tensor<double> there = x.to(device);
    Tensor<double> w = devices::normal({3, 4}, 2).to(device);
    w.requires_grad_();
    const Tensor<double> cotangent = devices::normal({3, 4}, 3);
    const Tensor<double> y = add(there, w);
    CHECK(y.device() == device);
    y.backward(cotangent.to(device));
    CHECK(x.grad().device() == Device::cpu());
    CHECK(w.grad().device() == device);
    CHECK(check::same(x.grad(), cotangent));
    CHECK(check::same(w.grad(), cotangent));
    // A second backward accumulates, zero_grad forgets.
    add(x.to(device), w).backward(cotangent.to(device));
    CHECK(check::same(w.grad(), add(cotangent, cotangent)));
    w.zero_grad();
    CHECK_FALSE(w.grad().defined());
  });
}

TEST_CASE("gradients through views on a device") {
  devices::each([](Device device) {
    const auto f = [](const std::vector<Tensor<double>>& x) {
      const Tensor<double> a = x[0].transpose(0, 1);         // (5, 3)
      const Tensor<double> b = a.slice(0, 0, 4, 2).clone();  // (2, 3)
      const Tensor<double> c = a.slice(0, 1, 3);             // (2, 3), overlapping gradients
      const Tensor<double> d = x[0].select(1, 2).reshape({1, 3}).expand({2, 3});
      return add(add(b, c), add(d, b));
    };
    devices::gradients(device, f, {devices::normal({3, 5}, 1)});
  });
}

TEST_CASE("a module and its gradients stay where they are sent; anomaly mode looks there too") {
  devices::each([](Device device) {
    Tensor<float> w = full<float>({3}, 1, device);
    w.requires_grad_();
    const autograd::AnomalyMode anomaly;
    const Tensor<float> bad = full<float>({3}, __builtin_nanf(""), device);
    CHECK(check::message([&] { (void)add(w, bad); }) ==
          "[add] the result is NaN at element 0 of shape (3,)");
  });
}

TEST_CASE("what is on the wrong device is refused by name") {
  const Device device = Device::cuda();
  Tensor<float> there = zeros<float>({3}, device), here = zeros<float>({3});
  CHECK(check::message([&] { (void)there.data(); }) ==
        "[data] needs a tensor on the CPU, this one is on cuda:0: move it with .to(Device::cpu())");
  CHECK(check::message([&] { (void)there.mutable_data(); }) ==
        "[mutable_data] needs a tensor on the CPU, this one is on cuda:0: move it with "
        ".to(Device::cpu())");
  CHECK(check::message([&] { (void)there.at({0}); }) ==
        "[at] needs a tensor on the CPU, this one is on cuda:0: move it with .to(Device::cpu())");
  CHECK(check::message([&] { (void)add(there, here); }) ==
        "[add] inputs are on different devices: cuda:0 and cpu");
  there.requires_grad_();
  CHECK(check::message([&] { there.set_grad(here); }) ==
        "[set_grad] a gradient on cpu was given for a tensor on cuda:0");
  CHECK(check::message([&] { add(there, there).backward(here); }) ==
        "[backward] a gradient on cpu arrived at the result of 'add', which is on cuda:0");
  CHECK(check::message([&] { (void)here.to(Device::cuda(99)); }).substr(0, 26) ==
        "[to] there is no cuda:99: ");
}

TEST_CASE("two devices, where there are two") {
  if (cuda_interface().device_count() < 2) return;
  const Tensor<float> x = check::cast<float>(check::normal({5, 7}, 1)).to(Device::cuda(0));
  Tensor<float> y = x.to(Device::cuda(1));
  CHECK(y.device() == Device::cuda(1));
  CHECK(check::same(y, x));
  CHECK(check::same(add(y, y), add(x, x)));
  CHECK(check::message([&] { (void)add(x, y); }) ==
        "[add] inputs are on different devices: cuda:0 and cuda:1");
  const Tensor<float> wide = zeros<float>({7, 5}, Device::cuda(1));
  wide.copy_(x.transpose(0, 1));
  CHECK(check::same(wide, x.transpose(0, 1).contiguous()));
}

#include "tandem/ops/cross_entropy.hpp"

#include <limits>

#include "devices.hpp"
#include "tandem/ops/sigmoid.hpp"

using namespace tandem;

namespace {

/// Which targets, and whether some rows are ignored.
enum class Targets { ids, some_ids, probabilities };

/// Class ids below `classes`, some of them −1.
Tensor<std::int64_t> class_ids(std::int64_t rows, std::int64_t classes, bool some) {
  Tensor<std::int64_t> ids({rows});
  for (std::int64_t r = 0; r < rows; ++r)
    ids.mutable_data()[r] = some && r % 3 == 1 ? -1 : r * 7919 % classes;
  return ids;
}
/// σ of normal numbers, that float holds exactly; some are 0.
Tensor<double> class_weights(const Shape& shape, std::uint64_t seed) {
  Tensor<double> t = check::cast<double>(check::cast<float>(sigmoid(check::normal(shape, seed))));
  for (std::int64_t i = 0; i < t.numel(); i += 5) t.mutable_data()[i] = 0;
  return t;
}

template <class T>
Tensor<T> loss_of(const Tensor<T>& x, Targets targets, Reduction reduction) {
  const std::int64_t rows = x.size(0), classes = x.size(1);
  if (targets == Targets::probabilities) {
    const Tensor<T> t = check::cast<T>(class_weights(x.shape(), 2));
    return cross_entropy(x, t.to(x.device()), reduction);
  }
  const bool some = targets == Targets::some_ids;
  CrossEntropyOptions<T> options{.reduction = reduction};
  if (some) options.ignore_index = -1;
  return cross_entropy(x, class_ids(rows, classes, some).to(x.device()), options);
}

template <class T>
std::vector<Tensor<T>> loss_and_gradient(Device device, const Shape& shape, Targets targets,
                                         Reduction reduction) {
  Tensor<T> x = check::cast<T>(devices::normal(shape, 1)).to(device);
  x.requires_grad_();
  const Tensor<T> loss = loss_of(x, targets, reduction);
  loss.backward(check::cast<T>(devices::normal(loss.shape(), 3)).to(device));
  return {loss.detach(), x.grad()};
}

const std::vector<Targets> every_target = {Targets::ids, Targets::some_ids, Targets::probabilities};
const std::vector<Reduction> every_reduction = {Reduction::none, Reduction::mean, Reduction::sum};

}  // namespace

TEST_CASE("cross_entropy: float follows double on every device, every size, target, reduction") {
  std::vector<Shape> shapes;
  for (const std::int64_t n : devices::sizes) shapes.push_back({5, n});
  // Packs in a block; rows that stay in memory; more rows than one part of the losses' sum has.
  for (const Shape& shape : {Shape{3, 1028}, Shape{2, 16388}, Shape{4099, 3}})
    shapes.push_back(shape);
  for (const Shape& shape : shapes) {
    for (const Targets targets : every_target) {
      for (const Reduction reduction : every_reduction) {
        if (shape.numel() > 6000 && reduction == Reduction::sum) continue;
        CAPTURE(shape);
        CAPTURE(static_cast<int>(targets));
        const auto exact = loss_and_gradient<double>(Device::cpu(), shape, targets, reduction);
        devices::each([&](Device device) {
          const auto got = loss_and_gradient<float>(device, shape, targets, reduction);
          const double rows = static_cast<double>(shape[0]), n = static_cast<double>(shape[1]);
          // lse as that of logsumexp; its difference from x, below 20, is rounded. A weighted row
          // adds n of these with weights below 1.
          const double sum = n / 32 + 32 + 2 * devices::function_error, lse = sum + 12 + 2 * 15,
                       row = targets == Targets::probabilities ? n * (lse + 20 * (sum + 3))
                                                               : lse + 20,
                       largest = targets == Targets::probabilities ? 20 * n : 20;
          // The sum over rows: those of a thread, of the threads and of the parts.
          const double terms = reduction == Reduction::none ? 0 : rows / 256 + 300,
                       count = reduction == Reduction::sum ? rows : 1;
          CHECK(check::distance(got[0], exact[0]) <=
                count * (row + terms * largest) * devices::float_eps);
          // |dy| < 5; e^(x − lse) has lse's error and that of the difference, Σt its roundings.
          const double total = targets == Targets::probabilities ? n : 1;
          CHECK(check::distance(got[1], exact[1]) <=
                5 * total * (lse + 20 + sum + 6) * devices::float_eps);
        });
      }
    }
  }
}

TEST_CASE("cross_entropy: gradients on every device, every target and reduction") {
  devices::each([](Device device) {
    for (const Targets targets : every_target) {
      for (const Reduction reduction : every_reduction) {
        devices::gradients(device, [=](const auto& v) { return loss_of(v[0], targets, reduction); },
                           {check::normal({4, 7}, 4)});
      }
    }
    CHECK(cross_entropy(zeros<float>({0, 3}, device), zeros<std::int64_t>({0}, device)).item() ==
          0);
    CHECK(cross_entropy(zeros<float>({0, 3}, device), zeros<float>({0, 3}, device)).item() == 0);
    CHECK(check::same(
        cross_entropy(zeros<float>({2, 0}, device), zeros<float>({2, 0}, device), Reduction::none)
            .to(Device::cpu()),
        zeros<float>({2})));
    // Targets in other layouts than dense.
    const Tensor<float> x = check::cast<float>(devices::normal({3, 5}, 5)).to(device);
    const Tensor<float> t = check::cast<float>(class_weights({5, 3}, 6)).to(device);
    CHECK(check::same(cross_entropy(x, t.transpose(0, 1)).to(Device::cpu()),
                      cross_entropy(x, t.transpose(0, 1).contiguous()).to(Device::cpu())));
    const Tensor<std::int64_t> ids = tensor<std::int64_t>({{0, 4}, {1, 4}, {2, 4}}).to(device);
    CHECK(check::same(
        cross_entropy(x, ids.select(1, 0)).to(Device::cpu()),
        cross_entropy(x, tensor<std::int64_t>({0, 1, 2}).to(device)).to(Device::cpu())));
  });
}

TEST_CASE("cross_entropy: infinities, NaN and ignored rows mean the same on every device") {
  constexpr float inf = std::numeric_limits<float>::infinity(),
                  nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor<float> x = tensor<float>({{1e4F, 0, -1e4F},
                                         {nan, 1, 2},
                                         {-inf, 1, 2},
                                         {-inf, -inf, -inf},
                                         {inf, 1, 2},
                                         {1, nan, nan},
                                         {3, 3, 3}});
  const Tensor<std::int64_t> ids = tensor<std::int64_t>({1, 7, 0, 1, 0, 2, 7});
  const Tensor<float> weights = tensor<float>(
      {{0, 1, 0}, {1, 0, 0}, {0, 0.5F, 0.5F}, {1, 0, 0}, {0, 1, 0}, {1, 0, 0}, {nan, 0, 1}});
  for (const bool soft : {false, true}) {
    const auto run = [&](Device device) {
      Tensor<float> leaf = x.to(device).clone();
      leaf.requires_grad_();
      const Tensor<float> loss =
          soft ? cross_entropy(leaf, weights.to(device), Reduction::none)
               : cross_entropy(leaf, ids.to(device),
                               {.reduction = Reduction::none, .ignore_index = 7});
      loss.backward(full<float>({7}, 1.5, device));
      return std::vector{loss.detach().to(Device::cpu()), leaf.grad().to(Device::cpu())};
    };
    const auto expected = run(Device::cpu());
    devices::each([&](Device device) {
      const auto got = run(device);
      for (std::size_t i = 0; i < 2; ++i)  // numbers up to 2·10⁴
        CHECK(check::distance(got[i], expected[i]) <= 2e4 * devices::float_eps);
    });
  }
  devices::each([&](Device device) {
    // Every row ignored: 0, not 0/0.
    Tensor<float> leaf = x.to(device).clone();
    leaf.requires_grad_();
    const Tensor<float> none =
        cross_entropy(leaf, full<std::int64_t>({7}, 9, device), {.ignore_index = 9});
    CHECK(none.item() == 0);
    none.backward();
    CHECK(check::same(leaf.grad().to(Device::cpu()), zeros<float>({7, 3})));
  });
}

TEST_CASE("cross_entropy: ids that do not exist, devices that differ, no wait") {
  const Device gpu = Device::cuda();
  for (int order = 0; order < backend::orders; ++order) {
    backend::set_order(order);
    Tensor<float> x = ones<float>({3, 4}, gpu);
    x.requires_grad_();
    const std::int64_t before = waits();
    const Tensor<float> loss =
        cross_entropy(x, tensor<std::int64_t>({-1, 4, 2}).to(gpu), {.reduction = Reduction::none});
    loss.backward(ones<float>({3}, gpu));
    CHECK(waits() == before);
    const std::vector<float> each = loss.to(Device::cpu()).to_vector(),
                             dx = x.grad().to(Device::cpu()).to_vector();
    CHECK(std::isnan(each[0]));
    CHECK(std::isnan(each[1]));
    CHECK(each[2] == doctest::Approx(std::log(4.0)));
    for (std::size_t i = 0; i < 8; ++i) CHECK(std::isnan(dx[i]));
    CHECK(dx[10] == doctest::Approx(-0.75));
  }
  backend::set_order(0);
  CHECK(check::message([&] {
          (void)cross_entropy(ones<float>({3, 4}, gpu), zeros<std::int64_t>({3}));
        }) == "[cross_entropy] inputs are on different devices: cuda:0 and cpu");
  CHECK(check::message([&] {
          (void)cross_entropy(ones<float>({3, 4}, gpu), zeros<float>({3, 4}));
        }) == "[cross_entropy] inputs are on different devices: cuda:0 and cpu");
}

TEST_CASE("cross_entropy: the same bits in any order of the threads") {
  for (const Shape& shape : {Shape{9, 31}, Shape{9, 1031}, Shape{4099, 3}}) {
    for (const Targets targets : every_target) {
      devices::same_in_every_order([&](Device device) {
        return loss_and_gradient<float>(device, shape, targets, Reduction::mean);
      });
    }
  }
}

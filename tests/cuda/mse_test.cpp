#include "tandem/ops/mse.hpp"

#include "devices.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

TEST_CASE("mse: float follows double on every device, every size and reduction") {
  for (const std::int64_t n : {1, 33, 257, 4097}) {
    CAPTURE(n);
    for (const Reduction reduction : {Reduction::none, Reduction::mean, Reduction::sum}) {
      devices::each([&](Device device) {
        // Differences below 10, squares below 100; a sum adds those of a thread, of the threads and
        // of the parts.
        const double terms = reduction == Reduction::none ? 1 : static_cast<double>(n) / 256 + 300;
        const double largest = reduction == Reduction::sum ? static_cast<double>(n) : 1;
        devices::float_follows_double(
            device, [&](const auto& x) { return mse(x[0], x[1], reduction); },
            {devices::normal({n}, 1), devices::normal({n}, 2)},
            (10 + terms) * 100 * largest * devices::float_eps);
      });
    }
  }
}

TEST_CASE("mse: gradients on every device; the same bits in any order of the threads") {
  devices::each([](Device device) {
    for (const Reduction reduction : {Reduction::none, Reduction::mean, Reduction::sum}) {
      devices::gradients(device, [&](const auto& x) { return mse(x[0], x[1], reduction); },
                         {check::normal({3, 7}, 1), check::normal({3, 7}, 2)});
    }
    CHECK(mse(zeros<float>({0, 3}, device), zeros<float>({0, 3}, device)).item() == 0);
  });
  devices::same_in_every_order([](Device device) {
    return std::vector{mse(check::cast<float>(devices::normal({5000}, 1)).to(device),
                           zeros<float>({5000}, device))};
  });
  CHECK(check::message([] { (void)mse(ones<float>({5}, Device::cuda()), ones<float>({5})); }) ==
        "[mse] inputs are on different devices: cuda:0 and cpu");
}

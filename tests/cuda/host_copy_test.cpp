#include "tandem/cuda/host_copy.hpp"

#include "devices.hpp"
#include "tandem/cuda/graph.hpp"
#include "tandem/ops/arithmetic.hpp"

using namespace tandem;

TEST_CASE("HostCopy: the elements as they were when it was started; get() waits once") {
  devices::each([](Device device) {
    HostCopy<float> copy;
    CHECK(check::message([&] { (void)copy.get(); }) == "[host_copy] get() without a start()");
    const Tensor<float> x = full<float>({2, 3}, 1, device);
    std::int64_t before = waits();
    copy.start(x + x);
    CHECK(copy.started());
    x.fill_(7);  // put into the queue behind the copy
    const Tensor<float> more = x * x;
    CHECK(waits() == before);
    CHECK(copy.get() == std::vector<float>(6, 2.0F));
    CHECK(waits() == before + (device.is_cuda() ? 1 : 0));
    CHECK(!copy.started());
    // Longer, shorter, none at all, and one that nobody takes.
    copy.start(full<float>({1000}, 3, device));
    copy.start(full<float>({2}, 4, device));
    CHECK(copy.get() == std::vector<float>(2, 4.0F));
    copy.start(zeros<float>({0, 5}, device));
    CHECK(copy.get().empty());
    copy.start(full<float>({1000}, 3, device));
    CHECK(check::message([&] {
            copy.start(zeros<float>({3, 4}, device).transpose(0, 1));
          }) == "[host_copy] a tensor of shape (4, 3) is not dense");
  });
}

TEST_CASE("HostCopy: from another queue, and not while a graph is captured") {
  const Device gpu = Device::cuda();
  HostCopy<double> copy;
  copy.start(full<double>({5}, 1, gpu));
  const Queue side = new_queue(gpu);
  {
    const QueueScope scope(side);
    copy.start(full<double>({5}, 2, gpu));
  }
  CHECK(copy.get() == std::vector<double>(5, 2.0));
  const Tensor<double> x = full<double>({5}, 1, gpu);
  CHECK(check::message([&] { (void)Graph::capture(current_queue(gpu), [&] { copy.start(x); }); }) ==
        "[host_copy] nothing is copied to the host while a graph is captured");
}

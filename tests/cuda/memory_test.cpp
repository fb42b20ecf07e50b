/// Memory of a device: what is counted, what happens when there is none left, and when several
/// queues read a tensor.

#include "tandem/cuda/memory.hpp"

#include "devices.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

TEST_CASE("allocated, peak and reserved bytes") {
  const Device gpu = Device::cuda();
  const std::int64_t before = memory_stats(gpu).current;
  reset_peak_memory(gpu);
  CHECK(memory_stats(gpu).peak == before);
  {
    const Tensor<float> x = zeros<float>({1000}, gpu);
    CHECK(memory_stats(gpu).current == before + 4000);
    const Tensor<float> y = zeros<float>({77}, gpu);
    CHECK(memory_stats(gpu).current == before + 4308);
    CHECK(memory_stats(gpu).reserved() >= memory_stats(gpu).current);
  }
  CHECK(memory_stats(gpu).current == before);
  CHECK(memory_stats(gpu).peak == before + 4308);
  reset_peak_memory(gpu);
  CHECK(memory_stats(gpu).peak == before);
  { const Tensor<float> large = zeros<float>({3 << 20}, gpu); }
  release_kept_memory(gpu);
  CHECK(memory_stats(gpu).largest_kept < 12 << 20);
  CHECK(memory_stats(Device::cpu()).current == memory_stats().current);
  CHECK(check::message([] { (void)release_kept_memory(Device::cuda(99)); }).substr(0, 43) ==
        "[release_kept_memory] there is no cuda:99: ");
}

TEST_CASE("out of memory: what was asked, held and free; then work goes on") {
  const Device gpu = Device::cuda();
  const Tensor<float> held = ones<float>({3, 1 << 18}, gpu);
  const std::string message =
      check::message([&] { (void)zeros<double>({std::int64_t{1} << 47}, gpu); });
  CHECK(message.substr(0, 71) ==
        "[cuda] out of memory on cuda:0: 1048576.0 GiB were asked for, tensors h");
  for (const char* piece :
       {" that are reserved, the largest free block has ", ", the device has ", " left"}) {
    CHECK(message.find(piece) != std::string::npos);
  }
  CHECK(check::same(held + held, full<float>({3, 1 << 18}, 2)));
}

TEST_CASE("a tensor that another queue reads keeps its memory until that queue has come past") {
  const Device gpu = Device::cuda();
  const Queue usual = current_queue(gpu), side = new_queue(gpu);
  for (int order = 0; order < backend::orders; ++order) {
    backend::set_order(order);
    Tensor<float> sum;
    Event made, ready;
    {
      const Tensor<float> x = full<float>({1031}, 3, gpu);
      made.record(usual);
      made.wait(side);
      const QueueScope scope(side);
      sum = x + x;
      ready.record(side);
      record_use(x, side);
    }
    // Here the memory of x would be used again, and on the executor written before `side` has done
    // anything.
    const Tensor<float> other = full<float>({1031}, 7, gpu);
    CHECK(check::same(other, full<float>({1031}, 7)));
    ready.wait(usual);
    record_use(sum, usual);
    CHECK(check::same(sum + other, full<float>({1031}, 13)));
  }
  backend::set_order(0);
  const Tensor<float> here = ones<float>({2});
  record_use(here, Queue());
  record_use(zeros<float>({0}, gpu), side);
  CHECK(check::message([&] { record_use(here, side); }) ==
        "[record_use] the tensor is on cpu, the queue is one of cuda:0");
  CHECK(check::message([&] { cuda_interface().record_use(0, here.data(), side.stream); }) ==
        "[record_use] the pointer is not one that tandem allocated on cuda:0");
}

TEST_CASE("copies to a device do not wait, and the host may change its memory at once") {
  const Device gpu = Device::cuda();
  for (const std::int64_t n : {std::int64_t{1}, std::int64_t{1031}, std::int64_t{1} << 19}) {
    Tensor<float> host = full<float>({n}, 2);
    const std::int64_t before = waits();
    const Tensor<float> there = host.to(gpu);
    host.fill_(3);
    const Tensor<float> again = host.to(gpu);
    host.zero_();
    CHECK(waits() == before);  // 4 MiB are on the way, half of what the ring holds
    CHECK(check::same(there + again, full<float>({n}, 5)));
  }
  // More than the ring holds: it waits for its own oldest pieces.
  const Tensor<float> large = check::cast<float>(arange<double>((5 << 20) + 3));
  CHECK(check::same(large.to(gpu), large));
}

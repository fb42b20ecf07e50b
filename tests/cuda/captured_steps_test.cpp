/// Captured steps and forwards: each queue has its own, graphs share memory, go where it lacks, and
/// the oldest makes place for what comes.

#include "tandem/wtal/train/captured_steps.hpp"

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "devices.hpp"
#include "tandem/clip/captured_forwards.hpp"
#include "tandem/cuda/memory.hpp"
#include "tandem/nn/linear.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/mean.hpp"
#include "tandem/ops/square.hpp"
#include "tandem/optim/adam.hpp"
#include "tandem/wtal/train/step_report.hpp"

using namespace tandem;
namespace captured_steps_test {

using wtal::CapturedSteps;
using wtal::StepInputs;

namespace {

/// One parameter that follows the labels of batches, whose other tensors are undefined.
struct Follower {
  explicit Follower(std::int64_t width, Device device = Device::cuda())
      : device_(device), p(full<float>({width}, 0.5F, device)) {
    p.requires_grad_();
    adam = std::make_unique<optim::Adam<float>>(std::vector<Tensor<float>>{p},
                                                optim::AdamOptions{.learning_rate = 0.01});
  }
  StepInputs<float> inputs(std::int64_t videos, std::uint64_t number) const {
    StepInputs<float> out{.batch = {}};
    out.batch.labels = check::cast<float>(devices::normal({videos, p.size(0)}, number));
    return out;
  }
  Tensor<std::uint8_t> body(const StepInputs<float>& in) {
    ++bodies;
    Tensor<float> target = in.batch.labels;
    for (int i = 0; i < 12; ++i)
      target = target + target * -0.5F;  // two at a time, two dozen in all
    const Tensor<float> loss = mean(square(p - target));
    adam->zero_grad();
    loss.backward();
    adam->step();
    adam->zero_grad();
    return wtal::StepNumbers<float>{.total = loss.detach()}.packed();
  }
  /// The loss of a step.
  float step(std::int64_t videos, std::uint64_t number, int kind = 0) {
    const auto run = [this](const StepInputs<float>& in) { return body(in); };
    const Tensor<std::uint8_t> numbers = steps.step(
        kind, inputs(videos, number), device_, {p.device_data()}, *adam, Generator(number), run);
    return static_cast<float>(
        wtal::StepNumbers<float>::unpack(numbers.to(Device::cpu()).to_vector()).total);
  }
  /// The same without graphs.
  float usual(std::int64_t videos, std::uint64_t number) {
    return static_cast<float>(
        wtal::StepNumbers<float>::unpack(
            body(inputs(videos, number).to(device_)).to(Device::cpu()).to_vector())
            .total);
  }
  Device device_;
  Tensor<float> p;
  std::unique_ptr<optim::Adam<float>> adam;
  CapturedSteps<float> steps;
  int bodies = 0;
};

constexpr std::int64_t kib = 1 << 10;

/// The device has nothing left for tensors of these sizes but what `spare` of each takes.
struct Full {
  Full(const std::vector<std::int64_t>& sizes, int spare) {
    const Device gpu = Device::cuda();
    release_kept_memory(gpu);
    backend::leave_memory(12 * 1024 * kib);
    std::vector<Tensor<std::uint8_t>> free;
    for (const std::int64_t bytes : sizes) {
      for (int i = 0; i < spare; ++i) free.emplace_back(Shape{bytes}, gpu);
    }
    for (const std::int64_t bytes : sizes) {
      try {
        while (true) held.emplace_back(Shape{bytes}, gpu);
      } catch (const OutOfMemory&) {
      }
    }
  }
  ~Full() {
    held.clear();
    backend::leave_memory(-1);
  }
  std::vector<Tensor<std::uint8_t>> held;
};

}  // namespace

TEST_CASE("captured steps: of two queues in turn, in order and to the usual bits") {
  const Device gpu = Device::cuda();
  const Queue queues[2] = {new_queue(gpu), new_queue(gpu)};
  for (int order = 0; order < backend::orders; ++order) {
    backend::set_order(order);
    Follower eager(33), captured(33);
    Event there;
    there.record(current_queue(gpu));
    int last = 0;
    there.wait(queues[0]);
    std::uint64_t number = 0;
    for (const int which : {0, 0, 0, 1, 1, 1, 0, 1}) {
      if (which != last) {
        there.record(queues[last]);
        there.wait(queues[which]);
        last = which;
      }
      const float expected = eager.usual(3, ++number);
      Event done;  // eager works in the usual queue
      const QueueScope scope(queues[which]);
      CHECK(captured.step(3, number) == expected);
    }
    CHECK(captured.steps.size() == 2);
    CHECK(check::same(captured.p.detach().to(Device::cpu()), eager.p.detach().to(Device::cpu())));
  }
  backend::set_order(0);
}

TEST_CASE("captured forwards: a queue after another has its own graph, and reads its own input") {
  const Device gpu = Device::cuda();
  const Queue queues[2] = {new_queue(gpu), new_queue(gpu)};
  Generator random(3);
  nn::Linear<float> layer(7, 5, random);
  layer.to(gpu);
  clip::detail::CapturedForwards<float, int> forwards;
  std::uint64_t number = 0;
  for (const int which : {0, 0, 0, 1, 1, 1, 0, 1}) {
    const Tensor<float> x = check::cast<float>(devices::normal({4, 7}, ++number));
    const Tensor<float> expected = layer.forward(x.to(gpu)).detach().to(Device::cpu());
    const QueueScope scope(queues[which]);
    const Tensor<float> got = forwards.forward(
        layer, gpu, x, 0, [&](const Tensor<float>& in, int) { return layer.forward(in); });
    CHECK(check::same(got.to(Device::cpu()), expected));
  }
  CHECK(forwards.graphs() == 2);
}

TEST_CASE("captured steps: all graphs of a queue share their memory") {
  const Device gpu = Device::cuda();
  Follower steps(16 * kib);  // 64 KiB
  std::int64_t bytes[3];
  for (const std::int64_t videos : {3, 2, 1}) {
    for (int i = 0; i < 3; ++i) (void)steps.step(videos, 1);
    CHECK(steps.steps.size() == 4 - videos);
    bytes[3 - videos] = steps.steps.bytes();
  }
  CHECK(bytes[0] > 0);
  // In one memory each graph finds what the larger one before it took; on the executor tensors have
  // memory of their own, and each adds what it asks for
  const char* const pool = std::getenv("TANDEM_CUDA_POOL");
  if (pool == nullptr || std::string(pool) != "0") {
    CHECK(bytes[2] == bytes[0]);
  }
  const std::int64_t with = memory_stats(gpu).reserved();
  steps.steps = {};
  release_kept_memory(gpu);
  CHECK(memory_stats(gpu).reserved() <= with - bytes[2]);
}

TEST_CASE("captured steps: without memory for a graph the steps go on as usual, to the same bits") {
  Follower eager(16 * kib), captured(16 * kib);
  std::vector<float> expected, got;
  for (std::uint64_t i = 0; i < 6; ++i) expected.push_back(eager.usual(2, i));
  const Tensor<float> end = eager.p.detach().to(Device::cpu());
  got.push_back(captured.step(2, 0));
  {
    const Full full({128 * kib, 64 * kib}, 4);  // enough for a usual step
    for (std::uint64_t i = 1; i < 4; ++i) got.push_back(captured.step(2, i));
    CHECK(captured.steps.size() == 0);
  }
  for (std::uint64_t i = 4; i < 6; ++i) got.push_back(captured.step(2, i));
  CHECK(captured.steps.size() == 0);
  CHECK(got == expected);
  CHECK(check::same(captured.p.detach().to(Device::cpu()), end));
}

TEST_CASE("captured steps: a usual step that lacks memory has that of the graphs") {
  Follower eager(16 * kib), captured(16 * kib);
  std::vector<float> expected, got;
  for (std::uint64_t i = 0; i < 6; ++i) expected.push_back(eager.usual(2, i));
  for (std::uint64_t i = 0; i < 3; ++i) got.push_back(captured.step(2, i));
  CHECK(captured.steps.size() == 1);
  {
    const Full full({128 * kib, 64 * kib}, 0);
    got.push_back(captured.step(2, 3));  // a replay needs nothing
    CHECK(captured.steps.size() == 1);
    got.push_back(captured.step(2, 4, 1));  // another kind, which is not captured yet
    CHECK(captured.steps.size() == 0);
    got.push_back(captured.step(2, 5, 1));
    CHECK(captured.steps.size() == 0);
  }
  CHECK(got == expected);
  CHECK(check::same(captured.p.detach().to(Device::cpu()), eager.p.detach().to(Device::cpu())));
}

TEST_CASE("captured steps: many kinds; the one that has not come for longest makes place") {
  using Steps = CapturedSteps<float>;
  Follower steps(5);
  const auto many = static_cast<int>(Steps::most_uploading);
  for (int turn = 0; turn < 2; ++turn) {
    for (int kind = 0; kind < many + 3; ++kind) (void)steps.step(2, 1, kind);
  }
  CHECK(steps.steps.size() == many);  // in turn: none gives way to another
  const int before = steps.bodies;
  (void)steps.step(2, 1, many);
  (void)steps.step(2, 1, many);
  CHECK(steps.bodies == before + 2);  // as usual
  for (std::int64_t i = 0; i < Steps::patience; ++i) (void)steps.step(2, 1, 0);
  CHECK(steps.bodies == before + 2);
  for (int i = 0; i < 3; ++i) (void)steps.step(2, 1, many);
  CHECK(steps.bodies == before + 4);  // as usual, captured, replayed
  CHECK(steps.steps.size() == many);
  steps.steps.forget(0);
  CHECK(steps.steps.size() == many - 1);
}

TEST_CASE("captured forwards: the shape that has not come for longest makes place") {
  const Device gpu = Device::cuda();
  Generator random(3);
  nn::Linear<float> layer(7, 5, random);
  layer.to(gpu);
  using Forwards = clip::detail::CapturedForwards<float, int>;
  Forwards forwards;
  int calls = 0;
  const auto forward = [&](std::int64_t rows) {
    (void)forwards.forward(
        layer, gpu, ones<float>({rows, 7}), 0,
        [&](const Tensor<float>& in, int) { return ++calls, layer.forward(in); });
  };
  for (int turn = 0; turn < 2; ++turn) {
    for (std::int64_t rows = 1; rows <= 10; ++rows) forward(rows);
  }
  CHECK(forwards.graphs() == 8);
  for (std::int64_t i = 0; i <= Forwards::patience; ++i) forward(3);
  calls = 0;
  for (int i = 0; i < 4; ++i) forward(10);
  CHECK(calls == 2);
  CHECK(forwards.graphs() == 8);
}

TEST_CASE("captured forwards: without memory for a graph as usual, and with that of the graphs") {
  const Device gpu = Device::cuda();
  Generator random(3);
  nn::Linear<float> layer(1, 16 * kib, random);
  layer.to(gpu);
  clip::detail::CapturedForwards<float, int> forwards;
  const auto forward = [&](int key) {
    return forwards
        .forward(layer, gpu, ones<float>({1, 1}), key,
                 [&](const Tensor<float>& in, int) {
                   Tensor<float> y = layer.forward(in);
                   for (int i = 0; i < 12; ++i) y = y + y * -0.5F;
                   return y;
                 })
        .to(Device::cpu());
  };
  const Tensor<float> expected = forward(0);
  {
    const Full full({64 * kib}, 4);
    for (int i = 0; i < 3; ++i) CHECK(check::same(forward(0), expected));
    CHECK(forwards.graphs() == 0);
  }
  for (int i = 0; i < 3; ++i) CHECK(check::same(forward(1), expected));
  CHECK(forwards.graphs() == 1);
  {
    const Full full({64 * kib}, 0);
    CHECK(check::same(forward(1), expected));
    CHECK(forwards.graphs() == 1);
    CHECK(check::same(forward(2), expected));
    CHECK(forwards.graphs() == 0);
  }
}

}  // namespace captured_steps_test

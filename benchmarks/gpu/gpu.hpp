#pragma once
/// What the files of gpu_bench share: inputs that are made on the device, works that are put into
/// the queue several times a call, and sizes that are small where TANDEM_BENCH_SMALL=1 asks for it.

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "../harness.hpp"
#include "tandem/cpu/precision.hpp"
#include "tandem/cuda/queue.hpp"
#include "tandem/ops/to.hpp"
#include "tandem/tensor/random.hpp"

namespace bench::gpu {

using namespace tandem;

/// Whether the works are small, to see that they run.
inline bool small() {
  const char* const asked = std::getenv("TANDEM_BENCH_SMALL");
  return asked != nullptr && asked[0] == '1';
}
/// The usual size, or the small one.
inline std::int64_t sized(std::int64_t usual, std::int64_t less) { return small() ? less : usual; }

inline double real(std::int64_t n) { return static_cast<double>(n); }

/// f() `calls` times into the queue, then the wait for it: what is timed.
inline Suite::Call queued(std::function<void()> f, std::int64_t calls) {
  return [f = std::move(f), calls, done = std::make_shared<Event>()] {
    for (std::int64_t i = 0; i < calls; ++i) f();
    done->record(current_queue(Device::cuda()));
    done->synchronize();
  };
}

/// A work of gpu_bench: `cost` is that of one f(), of which a timed call has `calls`; setup() makes
/// f. Nothing is recorded for gradients unless f `learns`.
inline void add_work(Suite& suite, const std::string& name, Cost cost, std::int64_t calls,
                     std::function<std::function<void()>()> setup, bool learns = false) {
  if (small()) calls = 2;
  cost.calls = real(calls);
  cost.flops *= cost.calls;
  cost.bytes *= cost.calls;
  suite.add(name, cost, [setup = std::move(setup), calls, learns] {
    const std::function<void()> f = setup();
    if (learns) return queued(f, calls);
    return queued(
        [f] {
          const NoGrad no_grad;
          f();
        },
        calls);
  });
}

/// Normal numbers on the device. A block of 2²⁰ of them is made on the host and repeated there: the
/// host would take longer for the inputs than the GPU for all works.
inline Tensor<float> numbers(const Shape& shape, std::uint64_t seed = 1) {
  constexpr std::int64_t most = std::int64_t{1} << 20;
  Generator random(seed);
  const std::int64_t count = shape.numel(), block = count < most ? count : most;
  if (block == 0) return Tensor<float>(shape, Device::cuda());
  const Tensor<float> one = randn<float>({block}, random).to(Device::cuda());
  const std::int64_t blocks = (count + block - 1) / block;
  const Tensor<float> all({blocks, block}, Device::cuda());
  all.copy_(one);
  return all.view({blocks * block}).slice(0, 0, count).view(shape);
}

/// The precisions of products that rows are measured in, and how they are called there.
struct Kind {
  const char* name;
  Precision precision;
};
inline constexpr Kind kinds[] = {
    {"bf16", Precision::bfloat16}, {"tf32", Precision::tf32}, {"f32", Precision::full}};

/// What each file adds.
void add_limits(Suite& suite);
void add_kernels(Suite& suite);
void add_products(Suite& suite);
void add_attention(Suite& suite);
void add_models(Suite& suite);
void add_steps(Suite& suite);

}  // namespace bench::gpu

/// docs/threads.md: one module and one step, several threads. (Build with -fsanitize=thread to see
/// that nothing races.)

#include <thread>

#include "../ops/check.hpp"
#include "tandem/nn/dropout.hpp"
#include "tandem/nn/linear.hpp"
#include "tandem/ops/cross_entropy.hpp"
#include "tandem/optim/adam.hpp"

using namespace tandem;

namespace {

constexpr std::int64_t rows = 300, in = 40, width = 64, classes = 5;

struct SharedNet final : nn::Module<float> {
  explicit SharedNet(Generator& random)
      : hidden(in, width, random), drop(0.25), out(width, classes, random) {
    add("hidden", hidden);
    add("drop", drop);
    add("out", out);
  }
  Tensor<float> forward(const Tensor<float>& x) const {
    return out.forward(drop.forward(hidden.forward(x, Activation::gelu)));
  }
  nn::Linear<float> hidden;
  nn::Dropout<float> drop;
  nn::Linear<float> out;
};

struct Setup {
  explicit Setup(int parts)
      : random(7),
        net(random),
        x(randn<float>({parts * rows, in}, random)),
        labels(randint<std::int64_t>({parts * rows}, 0, classes, random)) {}
  /// Forward and backward of one part of the batch, and a forward that records nothing.
  void pass(int part, std::uint64_t step) {
    Generator own = Generator(step).split(static_cast<std::uint64_t>(part));
    const nn::RandomScope scope(own);
    const std::int64_t begin = part * rows, end = begin + rows;
    cross_entropy(net.forward(x.slice(0, begin, end)), labels.slice(0, begin, end)).backward();
    const NoGrad no_grad;
    (void)net.forward(x.slice(0, begin, end));
  }
  void passes(int parts, std::uint64_t step, bool on_threads) {
    std::vector<std::thread> threads;
    for (int part = 0; part < parts; ++part) {
      if (on_threads) {
        threads.emplace_back([this, part, step] { pass(part, step); });
      } else {
        pass(part, step);
      }
    }
    for (std::thread& thread : threads) thread.join();
  }
  Generator random;
  SharedNet net;
  Tensor<float> x;
  Tensor<std::int64_t> labels;
};

}  // namespace

TEST_CASE(
    "threads: two that share a module and its parameters train to the bits of one after the "
    "other") {
  const auto train = [](bool on_threads) {
    Setup setup(2);
    optim::Adam<float> adam(setup.net.named_parameters());
    for (std::uint64_t step = 0; step < 5; ++step) {
      adam.zero_grad();
      setup.passes(2, step, on_threads);
      adam.step();
    }
    return setup.net.parameters();
  };
  const auto expected = train(false);
  for (int round = 0; round < 5; ++round) {
    const auto got = train(true);
    for (std::size_t i = 0; i < expected.size(); ++i)
      CHECK(check::same(got[i].detach(), expected[i].detach()));
  }
}

TEST_CASE("threads: four add up the same gradients, in any order") {
  Setup setup(4);
  const std::vector<Tensor<float>> parameters = setup.net.parameters();
  std::vector<std::vector<Tensor<float>>> parts;
  for (int part = 0; part < 4; ++part) {
    setup.net.zero_grad();
    setup.pass(part, 0);
    parts.emplace_back();
    for (const Tensor<float>& p : parameters) parts.back().push_back(p.grad().clone());
  }
  setup.net.zero_grad();
  setup.passes(4, 0, true);
  for (std::size_t k = 0; k < parameters.size(); ++k) {
    const std::vector<float> got = parameters[k].grad().to_vector();
    std::vector<double> sum(got.size()), size(got.size());
    for (const auto& part : parts) {
      const std::vector<float> g = part[k].to_vector();
      for (std::size_t i = 0; i < g.size(); ++i) {
        sum[i] += static_cast<double>(g[i]);
        size[i] += std::fabs(static_cast<double>(g[i]));
      }
    }
    // Three additions of four terms, each off by half an ulp of at most their sizes' sum.
    for (std::size_t i = 0; i < got.size(); ++i) {
      REQUIRE(std::fabs(static_cast<double>(got[i]) - sum[i]) <= 3 * 0x1p-24 * size[i]);
    }
  }
}

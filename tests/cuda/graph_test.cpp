/// Graphs: what is captured happens at each replay, to the same bits, and without waiting.

#include "tandem/cuda/graph.hpp"

#include <memory>
#include <stdexcept>

#include "devices.hpp"
#include "tandem/cuda/memory.hpp"
#include "tandem/nn/layer_norm.hpp"
#include "tandem/nn/linear.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/layer_norm.hpp"
#include "tandem/ops/linear.hpp"
#include "tandem/ops/mean.hpp"
#include "tandem/ops/square.hpp"
#include "tandem/ops/sum.hpp"
#include "tandem/ops/to.hpp"
#include "tandem/optim/adam.hpp"
#include "tandem/optim/sgd.hpp"
#include "tandem/tensor/print.hpp"

using namespace tandem;

namespace {

/// A small network, its optimizer and a batch, all on Device::cuda().
struct Training {
  Training()
      : random(5),
        hidden(7, 33, random),
        out(33, 3, random),
        norm(33),
        x(zeros<float>({19, 7}, Device::cuda())),
        y(zeros<float>({19, 3}, Device::cuda())) {
    std::vector<Tensor<float>> parameters;
    for (nn::Module<float>* module :
         std::initializer_list<nn::Module<float>*>{&hidden, &norm, &out}) {
      module->to(Device::cuda());
      for (const Tensor<float>& p : module->parameters()) parameters.push_back(p);
    }
    adam =
        std::make_unique<optim::Adam<float>>(parameters, optim::AdamOptions{.learning_rate = 0.01});
  }
  void load(std::uint64_t number) const {
    x.copy_(check::cast<float>(check::normal({19, 7}, number)));
    y.copy_(check::cast<float>(check::normal({19, 3}, 100 + number)));
  }
  void step() {
    adam->zero_grad();
    const Tensor<float> h = norm.forward(hidden.forward(x, Activation::quick_gelu));
    loss = mean(square(out.forward(h) - y));
    loss.backward();
    adam->step();
  }
  std::vector<Tensor<float>> result() const {
    std::vector<Tensor<float>> out_{loss.detach()};
    for (const Tensor<float>& p : adam->parameters())
      out_.push_back(p.detach()), out_.push_back(p.grad());
    for (const auto& state : adam->state()) out_.push_back(state.tensor);
    for (Tensor<float>& tensor : out_) tensor = tensor.to(Device::cpu()).clone();
    return out_;
  }
  Generator random;
  nn::Linear<float> hidden, out;
  nn::LayerNorm<float> norm;
  Tensor<float> x, y, loss;
  std::unique_ptr<optim::Adam<float>> adam;
};

}  // namespace

TEST_CASE(
    "a training step that is captured and replayed gives the bits of the eager one, and does not "
    "wait") {
  const Device gpu = Device::cuda();
  for (int order = 0; order < backend::orders; ++order) {
    backend::set_order(order);
    CAPTURE(order);
    constexpr std::uint64_t steps = 6;
    std::vector<std::vector<Tensor<float>>> expected;
    {
      Training eager;
      for (std::uint64_t s = 0; s < steps; ++s) {
        eager.load(s);
        eager.adam->set_learning_rate(0.01 / static_cast<double>(s + 1));
        eager.step();
        expected.push_back(eager.result());
      }
    }
    Training training;
    const auto same_as_eager = [&](std::uint64_t s) {
      const auto got = training.result();
      REQUIRE(got.size() == expected[s].size());
      for (std::size_t i = 0; i < got.size(); ++i)
        CHECK_MESSAGE(check::same(got[i], expected[s][i]), "result ", i);
    };
    training.load(0);
    training.step();
    same_as_eager(0);
    training.adam->zero_grad();
    const std::int64_t before_capture = waits();
    const Graph graph = Graph::capture(current_queue(gpu), [&] { training.step(); });
    CHECK(graph.captured());
    CHECK(graph.bytes() > 0);
    CHECK(waits() == before_capture);
    for (std::uint64_t s = 1; s < steps; ++s) {
      const std::int64_t before = waits();
      training.load(s);
      training.adam->set_learning_rate(0.01 / static_cast<double>(s + 1));
      training.adam->prepare_replay();
      graph.replay();
      CHECK(waits() == before);
      same_as_eager(s);
      // What is allocated and freed between replays does not touch what the graph keeps.
      const Tensor<float> noise = full<float>({19, 33}, 1e30F, gpu);
      CHECK(check::same(noise + noise, full<float>({19, 33}, 2e30F)));
    }
    CHECK(training.adam->steps() == steps);
    // Eager steps go on from there.
    training.load(0);
    training.step();
    CHECK(training.adam->steps() == steps + 1);
  }
  backend::set_order(0);
}

TEST_CASE(
    "adam: two graphs of one step share its numbers; all parameters must be on their device") {
  const Device gpu = Device::cuda();
  const auto parameter = [](Device device) {
    Tensor<float> p = full<float>({33}, 1, device);
    p.requires_grad_();
    p.set_grad(full<float>({33}, 2, device));
    return p;
  };
  const Tensor<float> eager = parameter(gpu), p = parameter(gpu);
  optim::Adam<float> as_usual({eager}), adam({p});
  const Graph a = Graph::capture(current_queue(gpu), [&] { adam.step(); });
  const Graph b = Graph::capture(current_queue(gpu), [&] { adam.step(); });
  CHECK(adam.steps() == 0);
  for (int i = 0; i < 6; ++i) {
    as_usual.step();
    adam.prepare_replay();
    (i % 2 == 0 ? a : b).replay();
  }
  CHECK(check::same(p.detach(), eager.detach()));
  CHECK(adam.steps() == 6);
  optim::Adam<float> both({p, parameter(Device::cpu())});
  CHECK(check::message([&] { (void)Graph::capture(current_queue(gpu), [&] { both.step(); }); }) ==
        "[adam] a step while a graph is captured needs all parameters that have a gradient on the "
        "device of the graph");
}

TEST_CASE("adam and sgd: a captured step of groups, each with its own rate and decay") {
  const Device gpu = Device::cuda();
  const auto run = [&]<class Optimizer, class Options>(std::type_identity<Optimizer>,
                                                       const Options& options) {
    const auto parameter = [&](float value) {
      Tensor<float> p = full<float>({33}, value, gpu);
      p.requires_grad_();
      p.set_grad(full<float>({33}, 2, gpu));
      return p;
    };
    using Groups = std::vector<optim::ParameterGroup<float>>;
    const auto groups = [](const Tensor<float>& a, const Tensor<float>& b) {
      return Groups{{.parameters = {{"a", a}}, .learning_rate_factor = 0.25},
                    {.parameters = {{"b", b}}, .weight_decay = 0}};
    };
    const Tensor<float> a = parameter(1), b = parameter(2), c = parameter(1), d = parameter(2);
    Optimizer as_usual(groups(a, b), options), captured(groups(c, d), options);
    const Graph graph = Graph::capture(current_queue(gpu), [&] { captured.step(); });
    for (int i = 0; i < 4; ++i) {
      for (Optimizer* optimizer : {&as_usual, &captured}) {
        optimizer->set_learning_rate(0.1 / (i + 1));
      }
      as_usual.step();
      captured.prepare_replay();
      graph.replay();
    }
    CHECK(check::same(a.detach().to(Device::cpu()), c.detach().to(Device::cpu())));
    CHECK(check::same(b.detach().to(Device::cpu()), d.detach().to(Device::cpu())));
    CHECK(captured.steps() == 4);
  };
  run(std::type_identity<optim::AdamW<float>>(), optim::AdamOptions{.weight_decay = 0.3});
  run(std::type_identity<optim::Sgd<float>>(),
      optim::SgdOptions{.momentum = 0.9, .weight_decay = 0.3});
}

TEST_CASE("several replays in a row, without looking between them") {
  const Device gpu = Device::cuda();
  const Tensor<float> x = full<float>({1031}, 1, gpu);
  Tensor<float> y;
  const Graph graph = Graph::capture(current_queue(gpu), [&] {
    y = x + x;
    x.copy_(y + zeros<float>({1031}, gpu));
  });
  CHECK(check::same(x, ones<float>({1031})));  // nothing has happened
  for (int i = 0; i < 3; ++i) graph.replay();
  CHECK(check::same(x, full<float>({1031}, 8)));
  CHECK(check::same(y, x));
}

TEST_CASE("a graph of two queues") {
  const Device gpu = Device::cuda();
  const Queue usual = current_queue(gpu), side = new_queue(gpu);
  const Tensor<float> x = full<float>({257}, 2, gpu);
  Tensor<float> z;
  {
    const Graph graph = Graph::capture(usual, [&] {
      Event begin, end;
      begin.record(usual);
      begin.wait(side);
      Tensor<float> y;
      {
        const QueueScope scope(side);
        CHECK(capturing(side));
        y = x * x;
        end.record(side);
      }
      const Tensor<float> w = x + x;
      end.wait(usual);
      record_use(y, usual);
      z = y + w;
    });
    CHECK(!capturing(side));
    graph.replay();
    CHECK(check::same(z, full<float>({257}, 8)));
    x.fill_(3);
    graph.replay();
    CHECK(check::same(z, full<float>({257}, 15)));
  }
  CHECK(check::same(z, full<float>({257}, 15)));  // outlives the graph
}

TEST_CASE("memory of a graph is reserved as long as it lives") {
  const Device gpu = Device::cuda();
  const std::int64_t allocated = memory_stats(gpu).current;
  release_kept_memory(gpu);
  const std::int64_t reserved = memory_stats(gpu).reserved();
  {
    Tensor<float> before = full<float>({33}, 5, gpu), y;
    Graph graph = Graph::capture(current_queue(gpu), [&] {
      y = before * before;
      before = Tensor<float>();  // freed while it is captured, and read by every replay
      y = y + y;
    });
    const Tensor<float> other = full<float>({33}, 100, gpu);
    graph.replay();
    CHECK(check::same(y, full<float>({33}, 50)));
    y = Tensor<float>();
    release_kept_memory(gpu);
    CHECK(memory_stats(gpu).reserved() >= reserved + graph.bytes());
    Graph moved = std::move(graph);
    CHECK(!graph.captured());
    moved.replay();
    CHECK(check::same(other, full<float>({33}, 100)));
    graph = std::move(moved);
    graph.replay();
  }
  CHECK(memory_stats(gpu).current == allocated);
  release_kept_memory(gpu);
  CHECK(memory_stats(gpu).reserved() <= reserved);
}

TEST_CASE("graphs beside each other share memory, and each gives what it gives alone") {
  const Device gpu = Device::cuda();
  const Queue queue = current_queue(gpu);
  const Tensor<float> x = full<float>({3, 100}, 2, gpu);
  Tensor<float> y, z;
  const auto first = [&] { y = (x + x) * x; };
  const auto second = [&] { z = (x * x) + (x * x * x); };
  Graph a = Graph::capture(queue, first);
  const std::int64_t alone = a.bytes();
  Graph b = Graph::capture(queue, second, &a);
  CHECK(b.bytes() == a.bytes());
  for (int i = 0; i < 3; ++i) {
    a.replay();
    CHECK(check::same(y, full<float>({3, 100}, 8)));
    b.replay();
    CHECK(check::same(z, full<float>({3, 100}, 12)));
  }
  // One more that comes to nothing leaves the others what they have.
  CHECK_THROWS_AS((void)Graph::capture(
                      queue,
                      [&] {
                        (void)full<float>({1 << 20}, 1, gpu);
                        throw std::logic_error("f's own");
                      },
                      &b),
                  std::logic_error);
  CHECK(b.bytes() <= 3 * alone);
  const Tensor<float> other = full<float>({1 << 20}, 5, gpu);
  a = Graph();  // the memory is there as long as the other is
  b.replay();
  CHECK(check::same(z, full<float>({3, 100}, 12)));
  CHECK(check::same(other, full<float>({1 << 20}, 5)));
  CHECK(check::message([&] { (void)Graph::capture(new_queue(gpu), first, &b); }) ==
        "[graph] memory is shared with a graph of another queue, whose replays may come meanwhile");
  CHECK(!capturing(queue));
}

TEST_CASE("nothing is left of a graph that has gone, nor of one that came to nothing") {
  const Device gpu = Device::cuda();
  const Queue queue = current_queue(gpu);
  const Tensor<float> x = full<float>({5}, 2, gpu);
  const int before = backend::live_graphs();
  {
    const Graph graph = Graph::capture(queue, [&] { (void)(x + x); });
    graph.replay();
    CHECK(backend::live_graphs() - before <= 1);  // the recording itself is not kept
  }
  CHECK(backend::live_graphs() == before);
  CHECK_THROWS_AS((void)Graph::capture(queue,
                                       [&] {
                                         (void)(x + x);
                                         throw std::logic_error("f's own");
                                       }),
                  std::logic_error);
  CHECK(backend::live_graphs() == before);
}

TEST_CASE("what cannot be captured says so, and leaves everything as usable as before") {
  const Device gpu = Device::cuda();
  const Queue queue = current_queue(gpu);
  const Tensor<float> x = full<float>({5}, 2, gpu), host = ones<float>({5});
  const auto refused = [&](auto&& f) {
    const std::string message = check::message([&] { (void)Graph::capture(queue, f); });
    CHECK(!capturing(queue));
    CHECK(check::same(x + x, full<float>({5}, 4)));
    return message;
  };
  const std::string copied =
      "[graph] a copy to the host (item(), to(cpu), printing) waits for the GPU, and nothing may "
      "wait while a graph is "
      "captured";
  CHECK(refused([&] { (void)sum(x).item(); }) == copied);
  CHECK(refused([&] { (void)x.to(Device::cpu()); }) == copied);
  CHECK(refused([&] { (void)to_string(x + x); }) == copied);
  CHECK(refused([&] { (void)host.to(gpu); }) ==
        "[graph] a copy from the host while a graph is captured would repeat the same bytes: do it "
        "before the capture, "
        "into a tensor on the GPU");
  CHECK(refused([&] {
          Event event;
          event.record(queue);
          event.synchronize();
        }) ==
        "[graph] Event::synchronize() waits for the GPU, and nothing may wait while a graph is "
        "captured");
  CHECK(refused([&] { cuda_interface().synchronize(0); }) ==
        "[graph] nothing may wait for a whole device while a graph is captured");
  CHECK(refused([&] { release_kept_memory(gpu); }) ==
        "[release_kept_memory] waits for cuda:0, and nothing may wait while a graph is captured");
  CHECK(refused([&] { (void)Graph::capture(new_queue(gpu), [] {}); }) ==
        "[graph] this thread captures a graph already");
  const Graph graph = Graph::capture(queue, [&] { (void)(x + x); });
  CHECK(refused([&] { graph.replay(); }) == "[graph] replay while its queue is captured");
  CHECK(refused([&] {
          (void)zeros<double>({std::int64_t{1} << 47}, gpu);
        }).find("call release_kept_memory() before") != std::string::npos);
  CHECK_THROWS_AS(
      (void)Graph::capture(queue, [&] { (void)zeros<double>({std::int64_t{1} << 47}, gpu); }),
      OutOfMemory);
  CHECK_THROWS_AS((void)Graph::capture(queue, [&] { throw std::logic_error("f's own"); }),
                  std::logic_error);
  CHECK(!capturing(queue));
  CHECK(check::message([] { Graph().replay(); }) ==
        "[graph] replay of a graph that was not captured");
  CHECK(check::message([] { (void)Graph::capture(Queue(), [] {}); }) ==
        "[graph] only a GPU has graphs, the queue is one of cpu");
}

/// mlp — first contact: a network learns to tell two spirals apart.
///
///   build/release/examples/mlp

#include <cstdio>

#include "no_options.hpp"
#include "tandem/tandem.hpp"

using namespace tandem;

struct Net : nn::Module<float> {
  explicit Net(Generator& random)
      : hidden(2, 64, random), inner(64, 64, random), out(64, 2, random) {
    add("hidden", hidden);
    add("inner", inner);
    add("out", out);
  }
  Tensor<float> forward(const Tensor<float>& x) const {
    return out.forward(inner.forward(hidden.forward(x, Activation::relu), Activation::relu));
  }
  nn::Linear<float> hidden, inner, out;
};

int main(int argc, char** argv) {
  if (const auto status = cli::answer(argc, argv, "mlp", "A network learns two spirals."))
    return *status;
  Generator random(1);
  const std::int64_t n = 400;  // points: two arms, r = t, angle = 3πt (+ π for the second arm)
  const Tensor<float> t = rand<float>({n}, random), noise = randn<float>({n, 2}, random, 0, 0.02);
  Tensor<float> points(Shape{n, 2});
  Tensor<std::int64_t> labels(Shape{n});
  for (std::int64_t i = 0; i < n; ++i) {
    const float r = t.at({i}), angle = 9.42478F * r + 3.14159F * static_cast<float>(i % 2);
    points.set({i, 0}, r * __builtin_cosf(angle) + noise.at({i, 0}));
    points.set({i, 1}, r * __builtin_sinf(angle) + noise.at({i, 1}));
    labels.set({i}, i % 2);
  }

  Net net(random);
  optim::Adam<float> adam(net.parameters(), {.learning_rate = 5e-3});
  for (int step = 0; step <= 500; ++step) {
    const Tensor<float> logits = net.forward(points), loss = cross_entropy(logits, labels);
    if (step % 100 == 0) {
      const double right = mean(eq(argmax(logits.detach(), 1), labels).to<double>()).item();
      std::printf("step %3d   loss %.4f   accuracy %.1f %%\n", step, loss.item(), 100 * right);
    }
    adam.zero_grad();
    loss.backward();
    adam.step();
  }
  return cli::written("mlp");
}

// A network that learns: prints how well, so that two ways of building it can be compared. In four
// digits, since a compiler fuses products and sums by what it inlines.
#include <cstdio>

#include "tandem/tandem.hpp"

using namespace tandem;

int main() {
  Generator random(0);
  const Tensor<float> x = randn<float>({64, 10}, random), y = sum(square(x), {1}, true);
  nn::Linear<float> hidden(10, 32, random), out(32, 1, random);
  std::vector<Tensor<float>> parameters = hidden.parameters();
  for (const auto& p : out.parameters()) parameters.push_back(p);
  optim::Adam<float> adam(parameters, {.learning_rate = 1e-2});
  float first = 0, last = 0;
  for (int step = 0; step < 50; ++step) {
    const Tensor<float> loss = mse(out.forward(hidden.forward(x, Activation::gelu)), y);
    last = loss.item();
    if (step == 0) first = last;
    adam.zero_grad();
    loss.backward();
    adam.step();
  }
  std::printf("loss %.4g, then %.4g\n", static_cast<double>(first), static_cast<double>(last));
  return last < first ? 0 : 1;
}

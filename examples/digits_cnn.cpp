/// digits_cnn — a convolutional net learns to read digits, which are drawn here: no download.
///
///   build/release/examples/digits_cnn                     learns, tests, writes digits.safetensors

#include <cmath>
#include <iostream>

#include "common_cli.hpp"
#include "tandem/io.hpp"
#include "tandem/tandem.hpp"

using namespace tandem;

constexpr std::int64_t size = 20;  // pixels of a side

/// The digits as rows of five dots.
constexpr const char* glyphs[10] = {
    " ### #   ##  ### # ###  ##   # ### ", "  #   ##    #    #    #    #   ### ",
    " ### #   #    #   #   #   #   #####", "#####   #   #     #     ##   # ### ",
    "   #   ##  # # #  # #####   #    # ", "######    ####     #    ##   # ### ",
    "  ##  #   #    #### #   ##   # ### ", "#####    #   #   #   #    #    #   ",
    " ### #   ##   # ### #   ##   # ### ", " ### #   ##   # ####    #   #  ##  "};

/// Images (n, 1, size, size) of digits, turned, stretched, shifted and with noise; and which they
/// are.
std::pair<Tensor<float>, Tensor<std::int64_t>> draw(std::int64_t n, Generator& random) {
  Tensor<float> images = randn<float>({n, 1, size, size}, random, 0, 0.2);
  Tensor<std::int64_t> labels(Shape{n});
  for (std::int64_t i = 0; i < n; ++i) {
    const auto digit = static_cast<std::int64_t>(random.next_below(10));
    labels.set({i}, digit);
    const auto between = [&](double a, double b) { return a + (b - a) * random.next_double(); };
    const double angle = between(-0.35, 0.35), wide = between(1.6, 2.6), high = between(1.6, 2.6);
    const double x0 = between(-2, 2), y0 = between(-2, 2), light = between(0.6, 1.2);
    for (std::int64_t y = 0; y < size; ++y) {
      for (std::int64_t x = 0; x < size; ++x) {  // where in the glyph is this pixel?
        const double u = static_cast<double>(x) - size / 2 - x0,
                     v = static_cast<double>(y) - size / 2 - y0;
        const double column = std::floor((std::cos(angle) * u + std::sin(angle) * v) / wide + 2.5);
        const double row = std::floor((std::cos(angle) * v - std::sin(angle) * u) / high + 3.5);
        if (column < 0 || column > 4 || row < 0 || row > 6) continue;
        if (glyphs[digit][static_cast<int>(row) * 5 + static_cast<int>(column)] != '#') continue;
        images.set({i, 0, y, x}, images.at({i, 0, y, x}) + static_cast<float>(light));
      }
    }
  }
  return {images, labels};
}

struct Net : nn::Module<float> {
  explicit Net(Generator& random)
      : conv1(1, 16, 3, random, {.stride = 2, .padding = 1}),
        conv2(16, 32, 3, random, {.stride = 2, .padding = 1}),
        fc(32 * 5 * 5, 10, random) {
    add("conv1", conv1);
    add("conv2", conv2);
    add("fc", fc);
  }
  /// (N, 1, 20, 20) → logits (N, 10).
  Tensor<float> forward(const Tensor<float>& x) const {
    const auto features = relu(conv2.forward(relu(conv1.forward(x))));
    return fc.forward(features.reshape({x.size(0), -1}));
  }
  nn::Conv2d<float> conv1, conv2;
  nn::Linear<float> fc;
};

void learn(std::int64_t steps, const std::string& out) {
  Generator random(1), test_random(2);
  Net net(random);
  optim::Adam<float> adam(net.named_parameters(), {.learning_rate = 2e-3});
  for (std::int64_t step = 1; step <= steps; ++step) {
    const auto [images, labels] = draw(64, random);
    const auto loss = cross_entropy(net.forward(images), labels);
    adam.zero_grad();
    loss.backward();
    adam.step();
    if (step % 100 == 0) std::cout << "step " << step << "  loss " << loss.item() << "\n";
  }
  io::save_safetensors(out, net.state_dict());

  const NoGrad guard;
  const auto [images, labels] = draw(1000, test_random);  // digits that it has not seen
  const auto found = argmax(net.forward(images), 1);
  const double right = mean(eq(found, labels).to<double>()).item();
  for (std::int64_t y = 0; y < size; y += 2) {  // four of them, at half height
    for (std::int64_t x = 0; x < 4 * size; ++x)
      std::cout
          << " .:*#"[std::clamp(static_cast<int>(images.at({x / size, 0, y, x % size}) * 4), 0, 4)];
    std::cout << "\n";
  }
  std::cout << "read as";
  for (std::int64_t i = 0; i < 4; ++i) std::cout << " " << found.at({i});
  std::cout << "; " << 100 * right << " % of 1000 are right; the weights are in " << out << "\n";
}

int main(int argc, char** argv) {
  std::int64_t steps = 400;
  std::string out = "digits.safetensors";
  CLI::App app("A convolutional net learns to read digits that are drawn here.", "digits_cnn");
  app.add_option("--steps", steps, "Batches of 64 digits")
      ->capture_default_str()
      ->check(cli::non_negative());
  cli::add_output(app, "--out", out, "The weights, as PyTorch names them")->capture_default_str();
  return cli::run(app, argc, argv, [&] { learn(steps, out); });
}

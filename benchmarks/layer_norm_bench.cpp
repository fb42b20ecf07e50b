/// Layer normalisation over rows of 512 (the two branches) and 768 (ViT-B/16).

#include "harness.hpp"
#include "tandem/autograd.hpp"
#include "tandem/ops/layer_norm.hpp"

using tandem::Tensor;

int main(int argc, char** argv) {
  bench::Suite suite(argc, argv);
  struct Case {
    long rows, columns;
  };
  for (const Case c : {Case{10000, 512}, Case{1576, 768}}) {
    const std::string sizes = "/" + std::to_string(c.rows) + "x" + std::to_string(c.columns);
    const double bytes = 4.0 * static_cast<double>(c.rows) * static_cast<double>(c.columns);
    const auto inputs = [c] {
      tandem::Generator random(1);
      return std::vector<Tensor<float>>{tandem::randn<float>({c.rows, c.columns}, random),
                                        tandem::randn<float>({c.columns}, random),
                                        tandem::randn<float>({c.columns}, random),
                                        tandem::randn<float>({c.rows, c.columns}, random)};
    };
    // Forward reads x and writes y; backward reads x and dy and writes dx.
    suite.add("layer_norm_f32" + sizes, {.bytes = 5 * bytes}, [=] {
      const auto x = inputs();
      for (std::size_t i = 0; i < 3; ++i) x[i].requires_grad_();
      return [x] {
        for (std::size_t i = 0; i < 3; ++i) x[i].zero_grad();
        layer_norm(x[0], x[1], x[2]).backward(x[3]);
      };
    });
    suite.add("layer_norm_f32_forward" + sizes, {.bytes = 2 * bytes}, [=] {
      const auto x = inputs();
      return [x] { bench::keep(layer_norm(x[0], x[1], x[2])); };
    });
  }
  return suite.run();
}

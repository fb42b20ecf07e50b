/// Softmax over rows.

#include "harness.hpp"
#include "tandem/autograd.hpp"
#include "tandem/ops/softmax.hpp"

using tandem::Tensor;

int main(int argc, char** argv) {
  bench::Suite suite(argc, argv);
  struct Case {
    long rows, columns;
  };
  for (const Case c : {Case{10000, 512}, Case{10000, 20}}) {
    const std::string sizes = "/" + std::to_string(c.rows) + "x" + std::to_string(c.columns);
    const double bytes = 4.0 * static_cast<double>(c.rows) * static_cast<double>(c.columns);
    const auto inputs = [c] {
      tandem::Generator random(1);
      return std::vector<Tensor<float>>{tandem::randn<float>({c.rows, c.columns}, random),
                                        tandem::randn<float>({c.rows, c.columns}, random)};
    };
    // Forward reads x and writes y; backward reads y and dy and writes dx.
    suite.add("softmax_f32" + sizes, {.bytes = 5 * bytes}, [=] {
      const auto x = inputs();
      x[0].requires_grad_();
      return [x] {
        x[0].zero_grad();
        softmax(x[0]).backward(x[1]);
      };
    });
    suite.add("softmax_f32_forward" + sizes, {.bytes = 2 * bytes}, [=] {
      const auto x = inputs();
      return [x] { bench::keep(softmax(x[0])); };
    });
  }
  return suite.run();
}

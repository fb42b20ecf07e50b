/// Fused attention, forward and backward: the video branches (T = 1000), ViT-B/16 (T = 197) and the
/// causal text encoder (T = 45 and 77).

#include "harness.hpp"
#include "tandem/autograd.hpp"
#include "tandem/ops/attention.hpp"

using tandem::Precision, tandem::Tensor;

int main(int argc, char** argv) {
  bench::Suite suite(argc, argv);
  struct Case {
    long batch, heads, positions, width;
    bool causal;
  };
  for (const Case c : {Case{10, 8, 1000, 64, false}, Case{8, 12, 197, 64, false},
                       Case{20, 8, 77, 64, true}, Case{20, 8, 45, 64, true}}) {
    const std::string sizes = "/" + std::to_string(c.batch) + "x" + std::to_string(c.heads) + "x" +
                              std::to_string(c.positions) + "x" + std::to_string(c.width);
    const double pairs = static_cast<double>(c.batch * c.heads * c.positions) *
                         static_cast<double>(c.causal ? c.positions + 1 : 2 * c.positions) / 2;
    // Products of T × T × d: two forward, five backward (the scores are computed again).
    const double product = 2 * pairs * static_cast<double>(c.width);
    const auto inputs = [c] {
      tandem::Generator random(1);
      std::vector<Tensor<float>> x;
      for (int i = 0; i < 4; ++i) {
        x.push_back(tandem::randn<float>({c.batch, c.heads, c.positions, c.width}, random));
      }
      return x;
    };
    for (const Precision precision : {Precision::full, Precision::bfloat16}) {
      const std::string name = std::string(c.causal ? "attention_causal" : "attention") +
                               (precision == Precision::full ? "_f32" : "_bf16");
      suite.add(name + sizes, {.flops = 7 * product}, [=] {
        const auto x = inputs();
        for (int i = 0; i < 3; ++i) x[static_cast<std::size_t>(i)].requires_grad_();
        return [x, precision, causal = c.causal] {
          const tandem::PrecisionScope products(precision);
          for (int i = 0; i < 3; ++i) x[static_cast<std::size_t>(i)].zero_grad();
          scaled_dot_product_attention(x[0], x[1], x[2], {.causal = causal}).backward(x[3]);
        };
      });
      suite.add(name + "_forward" + sizes, {.flops = 2 * product}, [=] {
        const auto x = inputs();
        return [x, precision, causal = c.causal] {
          const tandem::PrecisionScope products(precision);
          bench::keep(scaled_dot_product_attention(x[0], x[1], x[2], {.causal = causal}));
        };
      });
    }
  }
  return suite.run();
}

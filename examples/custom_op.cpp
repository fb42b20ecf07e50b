/// custom_op — two ops of one's own, outside of the library: mish, an elementwise op from a
/// formula, and squared distances, an op with loops; checked, then trained in a network of radial
/// functions.
///
///   build/release/examples/custom_op

#include <cstdio>

#include "no_options.hpp"
#include "tandem/extend.hpp"
#include "tandem/formula/softplus.hpp"
#include "tandem/formula/tanh.hpp"
#include "tandem/tandem.hpp"

using namespace tandem;

/// mish — y = x·tanh(softplus(x)).                                              [Misra 2019, eq. 1]
/// One text for numbers and for SIMD vectors.
struct Mish {
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return x * formula::Tanh()(formula::Softplus()(x));
  }
};
///   dx = dy·(t + x·σ(x)·(1 − t²)),  t = tanh(softplus(x))
struct MishGradient {
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V x) const {
    const V t = formula::Tanh()(formula::Softplus()(x));
    return dy * (t + x * formula::Sigmoid()(x) * (V(extend::element_t<V>(1)) - t * t));
  }
};
template <FloatingElement T>
Tensor<T> mish(const Tensor<T>& x) {
  return extend::saving_input<MishGradient>("mish", Mish(), x);
}

/// squared_distances — y_ij = Σ_d (x_id − c_jd)²;  x (n, D), c (k, D) → (n, k).
///   dx_i = 2 Σ_j dy_ij (x_i − c_j),  dc_j = −2 Σ_i dy_ij (x_i − c_j)
template <FloatingElement T>
Tensor<T> squared_distances(const Tensor<T>& x, const Tensor<T>& c) {
  const char* const op = "squared_distances";
  extend::require_defined(op, "x", x, "c", c);  // the door
  extend::require_cpu(op, x, c);
  TANDEM_CHECK(x.rank() == 2 && c.rank() == 2 && x.size(1) == c.size(1), op,
               "x must be (n, D) and c (k, D), got ", x.shape(), " and ", c.shape());
  const Tensor<T> xs = x.detach().contiguous(), cs = c.detach().contiguous();  // dense rows
  const std::int64_t n = x.size(0), k = c.size(0), width = x.size(1);
  const Tensor<T> y = zeros<T>({n, k});
  T* out = y.mutable_data();
  const T* px = xs.data();
  const T* pc = cs.data();
  extend::parallel_for(n, 64, [&](std::int64_t begin, std::int64_t end) {  // the work
    for (std::int64_t i = begin; i < end; ++i) {
      for (std::int64_t j = 0; j < k; ++j) {
        for (std::int64_t d = 0; d < width; ++d) {
          const T difference = px[i * width + d] - pc[j * width + d];
          out[i * k + j] += difference * difference;
        }
      }
    }
  });
  return extend::record(  // the graph
      op, y,
      [xs = extend::save(xs), cs = extend::save(cs)](const Tensor<T>& dy, extend::Needs need) {
        // Σ_j dy_ij (x_i − c_j) = x_i Σ_j dy_ij − (dy c)_i: of ops that exist.
        const Tensor<T>& a = xs.get();
        const Tensor<T>& b = cs.get();
        Tensor<T> dx, dc;
        if (need[0]) dx = mul(sub(mul(a, sum(dy, {1}, true)), matmul(dy, b)), T(2));
        if (need[1]) {
          const Tensor<T> back = dy.transpose(0, 1);
          dc = mul(sub(mul(b, sum(back, {1}, true)), matmul(back, a)), T(2));
        }
        return std::tuple(dx, dc);
      },
      x, c);
}

int main(int argc, char** argv) {
  if (const auto status = cli::answer(argc, argv, "custom_op",
                                      "Two ops of one's own, checked, then trained in a network."))
    return *status;
  Generator random(1);
  // Wrong gradients throw here, with the element that differs.
  const auto a = randn<double>({3, 5}, random), b = randn<double>({4, 5}, random);
  extend::gradcheck([](const auto& in) { return mish(in[0]); }, {extend::make_strided(a)});
  extend::gradcheck([](const auto& in) { return squared_distances(in[0], in[1]); }, {a, b});
  std::printf("the gradients of mish and squared_distances agree with difference quotients\n");

  // Is a point in the ring 0.7 < ‖x‖ < 1.4? logits = W·mish(2 − ‖x − c_j‖²) + b, 16 learned centres
  // c.
  const std::int64_t n = 512;
  const auto points = randn<float>({n, 2}, random);
  const auto norms = sqrt(sum(square(points), {1}));
  const auto labels = lt(abs(norms - 1.05F), 0.35F).to<std::int64_t>();
  Tensor<float> centres = randn<float>({16, 2}, random);
  centres.requires_grad_();
  nn::Linear<float> out(16, 2, random);
  std::vector<Tensor<float>> parameters = out.parameters();
  parameters.push_back(centres);
  optim::Adam<float> adam(parameters, {.learning_rate = 2e-2});
  for (int step = 0; step <= 300; ++step) {
    const auto logits = out.forward(mish(2.0F - squared_distances(points, centres)));
    const auto loss = cross_entropy(logits, labels);
    if (step % 100 == 0) {
      const double right = mean(eq(argmax(logits.detach(), 1), labels).to<double>()).item();
      std::printf("step %3d   loss %.4f   accuracy %.1f %%\n", step, loss.item(), 100 * right);
    }
    adam.zero_grad();
    loss.backward();
    adam.step();
  }
  return cli::written("custom_op");
}

/// The ops on volumes as training uses them, at sizes of I3D for one clip of 16 × 224 × 224 (batch
/// 1): conv3d with TensorFlow's SAME padding and a bias, max_pool3d, batch_norm. Forward and
/// backward; the gradient of conv3d's input is left out where the input is the clip.

#include "harness.hpp"
#include "tandem/autograd.hpp"
#include "tandem/ops/batch_norm.hpp"
#include "tandem/ops/conv3d.hpp"
#include "tandem/ops/max_pool3d.hpp"

using tandem::Shape;
using tandem::Tensor;

namespace {

std::string sizes(std::initializer_list<long> list) {
  std::string out;
  for (long n : list) out += (out.empty() ? "/" : "x") + std::to_string(n);
  return out;
}

Tensor<float> normal(const Shape& shape, bool learns) {
  tandem::Generator random(1);
  const Tensor<float> x = tandem::randn<float>(shape, random);
  if (learns) x.requires_grad_();
  return x;
}

/// Adds `op`, forward and backward and forward alone, under name_f32 and name_f32_forward.
template <class Make, class F>
void add(bench::Suite& suite, const std::string& name, const std::string& at, bench::Cost both,
         bench::Cost forward, Make make, F op) {
  suite.add(name + "_f32" + at, both, [=] {
    const std::vector<Tensor<float>> inputs = make();
    const Tensor<float> dy = normal(op(inputs).shape(), false);
    return [=] {
      for (const Tensor<float>& x : inputs) x.zero_grad();
      op(inputs).backward(dy);
    };
  });
  suite.add(name + "_f32_forward" + at, forward, [=] {
    return [inputs = make(), op] {
      const tandem::NoGrad no_grad;
      bench::keep(op(inputs));
    };
  });
}

}  // namespace

int main(int argc, char** argv) {
  bench::Suite suite(argc, argv);
  struct Conv {
    long in, depth, size, out, kernel, stride;
  };
  for (const Conv c :
       {Conv{3, 16, 224, 64, 7, 2}, Conv{64, 8, 56, 64, 1, 1}, Conv{64, 8, 56, 192, 3, 1},
        Conv{96, 8, 28, 128, 3, 1}, Conv{160, 4, 14, 320, 3, 1}, Conv{192, 2, 7, 384, 3, 1}}) {
    const long volume = (c.depth / c.stride) * (c.size / c.stride) * (c.size / c.stride);
    const double products = 2.0 * static_cast<double>(volume * c.out * c.in) *
                            static_cast<double>(c.kernel * c.kernel * c.kernel);
    add(
        suite, "conv3d_train", sizes({c.in, c.depth, c.size, c.size, c.out, c.kernel, c.stride}),
        {.flops = products * (c.in == 3 ? 2 : 3)}, {.flops = products},
        [c] {
          return std::vector{normal({1, c.in, c.depth, c.size, c.size}, c.in != 3),
                             normal({c.out, c.in, c.kernel, c.kernel, c.kernel}, true),
                             normal({c.out}, true)};
        },
        [stride = c.stride](const std::vector<Tensor<float>>& x) {
          return conv3d(x[0], x[1], x[2], {tandem::Triple::all(stride), tandem::Padding3d::same()});
        });
  }
  struct Pool {
    long channels, depth, size, kernel_depth, kernel, stride_depth, stride;
  };
  for (const Pool p :
       {Pool{64, 8, 112, 1, 3, 1, 2}, Pool{192, 8, 28, 3, 3, 1, 1}, Pool{480, 8, 28, 3, 3, 2, 2}}) {
    const double in = 4.0 * static_cast<double>(p.channels * p.depth * p.size * p.size);
    const double out = in / static_cast<double>(p.stride_depth * p.stride * p.stride);
    add(
        suite, "max_pool3d",
        sizes({p.channels, p.depth, p.size, p.size, p.kernel_depth, p.kernel, p.kernel,
               p.stride_depth, p.stride, p.stride}),
        {.bytes = 2 * (in + out)}, {.bytes = in + out},
        [p] {
          return std::vector{normal({1, p.channels, p.depth, p.size, p.size}, true)};
        },
        [p](const std::vector<Tensor<float>>& x) {
          return max_pool3d(x[0], {{p.kernel_depth, p.kernel, p.kernel},
                                   {p.stride_depth, p.stride, p.stride},
                                   tandem::Padding3d::same(),
                                   0});
        });
  }
  // Forward reads x twice and writes y; backward reads x and dy twice and writes dx.
  const double bytes = 4.0 * 64 * 8 * 112 * 112;
  add(
      suite, "batch_norm", "/64x8x112x112", {.bytes = 8 * bytes}, {.bytes = 3 * bytes},
      [] {
        return std::vector{normal({1, 64, 8, 112, 112}, true), normal({64}, true),
                           normal({64}, true)};
      },
      [](const std::vector<Tensor<float>>& x) {
        return batch_norm(x[0], x[1], x[2], {}, {}, {.training = true});
      });
  return suite.run();
}

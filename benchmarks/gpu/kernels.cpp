/// The card's limits, and tandem's single kernels: those that memory bounds, products, attention,
/// convolution, preprocessing.

#include <vector>

#include "gpu.hpp"
#include "tandem/clip/preprocess.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/attention.hpp"
#include "tandem/ops/conv3d.hpp"
#include "tandem/ops/gelu.hpp"
#include "tandem/ops/layer_norm.hpp"
#include "tandem/ops/linear.hpp"
#include "tandem/ops/linear_bf16.hpp"
#include "tandem/ops/softmax.hpp"
#include "tandem/ops/sum.hpp"
#include "tandem/optim/adam.hpp"

namespace bench::gpu {

void add_limits(Suite& suite) {
  const std::int64_t elements = sized(std::int64_t{1} << 28, 1 << 12);  // 1 GiB
  add_work(suite, "gpu_limit_copy", {.bytes = 8 * real(elements)}, 20, [=] {
    return [from = numbers({elements}), to = Tensor<float>({elements}, Device::cuda())] {
      to.copy_(from);
    };
  });
  // The products alone, without what rounds their factors.
  const std::int64_t n = sized(8192, 32);
  const double flops = 2 * real(n) * real(n) * real(n);
  for (const Kind& kind : kinds) {
    add_work(
        suite, std::string("gpu_limit_") + kind.name, {.flops = flops, .unit = kind.name}, 10, [=] {
          const Tensor<float> a = numbers({n, n}, 1), b = numbers({n, n}, 2);
          const Tensor<float> c({n, n}, Device::cuda());
          if (kind.precision == Precision::bfloat16) {
            return std::function<void()>(
                [=, low_a = detail::rounded_rows(a), low_b = detail::rounded_rows(b)] {
                  detail::linear_bf16_product(Device::cuda(), cpu::Trans::no, cpu::Trans::yes, n, n,
                                              n, low_a.device_data(), n, low_b.device_data(), n,
                                              c.mutable_device_data(), n, {});
                });
          }
          return std::function<void()>([=] {
            detail::linear_product<float>(Device::cuda(), kind.precision, cpu::Trans::no,
                                          cpu::Trans::yes, n, n, n, a.device_data(), n,
                                          b.device_data(), n, c.mutable_device_data(), n, {});
          });
        });
  }
}

void add_kernels(Suite& suite) {
  const std::int64_t rows = sized(65536, 64), width = sized(768, 96);
  const double once = 4 * real(rows * width);  // bytes of a tensor
  const Shape shape{rows, width};
  add_work(suite, "gpu_softmax", {.bytes = 2 * once}, 20,
           [=] { return [x = numbers(shape)] { keep(softmax(x, -1)); }; });
  add_work(suite, "gpu_layer_norm", {.bytes = 2 * once}, 20, [=] {
    return [x = numbers(shape, 1), g = numbers({width}, 2), b = numbers({width}, 3)] {
      keep(layer_norm(x, g, b));
    };
  });
  add_work(suite, "gpu_gelu", {.bytes = 2 * once}, 20,
           [=] { return [x = numbers(shape)] { keep(gelu(x)); }; });
  add_work(suite, "gpu_add", {.bytes = 3 * once}, 20,
           [=] { return [x = numbers(shape, 1), y = numbers(shape, 2)] { keep(add(x, y)); }; });
  add_work(suite, "gpu_column_sums", {.bytes = once}, 20,
           [=] { return [x = numbers(shape)] { keep(sum(x, {0})); }; });
  add_work(suite, "gpu_to_bf16", {.bytes = 1.5 * once}, 20,
           [=] { return [x = numbers(shape)] { keep(x.to<bfloat16>()); }; });
  // Parameter, gradient and two moments read; parameter and moments written.
  add_work(suite, "gpu_adam", {.bytes = 7 * once}, 20, [=] {
    const Tensor<float> p = numbers(shape, 1);
    p.requires_grad_();
    p.set_grad(numbers(shape, 2));
    const auto adam = std::make_shared<optim::Adam<float>>(std::vector<Tensor<float>>{p});
    return [=] { adam->step(); };
  });
}

void add_products(Suite& suite) {
  const std::int64_t m = sized(8192, 128), width = sized(768, 96);
  const double flops = 2 * real(m * width) * 4 * real(width);
  // What crosses memory: x and y as float, W as float or bfloat16.
  const auto bytes = [=](double weight) {
    return 4 * 5 * real(m * width) + weight * 4 * real(width * width);
  };
  const auto add_one = [&](const std::string& name, const Kind& kind, bool kept) {
    add_work(suite, name, {.flops = flops, .bytes = bytes(kept ? 2 : 4), .unit = kind.name}, 20,
             [=] {
               const Tensor<float> x = numbers({m, width}, 1), w = numbers({4 * width, width}, 2),
                                   b = numbers({4 * width}, 3);
               if (kept) {
                 return std::function<void()>([=, low = detail::rounded_rows(w)] {
                   keep(linear_bf16(x, low, b, Activation::quick_gelu));
                 });
               }
               return std::function<void()>([=] {
                 const PrecisionScope scope(kind.precision);
                 keep(linear(x, w, b, Activation::quick_gelu));
               });
             });
  };
  add_one("gpu_linear_bf16_kept", kinds[0], true);  // W rounded once, as in inference
  for (const Kind& kind : kinds) add_one(std::string("gpu_linear_") + kind.name, kind, false);

  const std::int64_t side = sized(56, 6), in = sized(64, 4), out = sized(192, 8);
  const double taps = 27 * 8 * real(side * side);
  for (const Kind& kind : kinds) {
    if (kind.precision == Precision::tf32) continue;  // convolutions of several taps have none
    add_work(suite, std::string("gpu_conv3d_") + kind.name,
             {.flops = 2 * real(in * out) * taps,
              .bytes = 4 * real(in + out) * 8 * real(side * side),
              .unit = kind.name},
             20, [=] {
               return
                   [=, x = numbers({1, in, 8, side, side}, 1), w = numbers({out, in, 3, 3, 3}, 2)] {
                     const PrecisionScope scope(kind.precision);
                     keep(conv3d(x, w, {}, {.padding = Padding3d::same()}));
                   };
             });
  }

  const std::int64_t height = sized(720, 45), columns = sized(1280, 80), crop = sized(224, 14),
                     pictures = sized(16, 2);
  add_work(suite, "gpu_preprocess",
           {.bytes = 3 * real(pictures * height * columns) + 12 * real(pictures * crop * crop),
            .items = real(pictures),
            .item = "pictures"},
           20, [=] {
             return
                 [=, x = full<std::uint8_t>({pictures, height, columns, 3}, 99, Device::cuda())] {
                   keep(clip::preprocess(x, {.size = crop, .crop = crop}));
                 };
           });
}

void add_attention(Suite& suite) {
  struct Case {
    const char* name;
    std::int64_t batch, tokens, heads;
  };
  // Of CLIP's image encoder, a batch of 64; of the branches of DCL at THUMOS14's size.
  for (const Case& c : {Case{"197", sized(64, 2), sized(197, 19), sized(12, 2)},
                        Case{"1000", sized(10, 2), sized(1000, 50), sized(8, 2)}}) {
    for (const bool backward : {false, true}) {
      for (const Kind& kind : kinds) {
        if (kind.precision == Precision::tf32) continue;         // attention has none
        if (backward && c.name == std::string("197")) continue;  // images are not trained on
        const std::int64_t width = c.heads * 64;
        // Two products forward; the scores again and four backward.
        const double one = 2 * real(c.batch * c.heads) * real(c.tokens * c.tokens) * 64;
        add_work(
            suite, concat("gpu_attention_", c.name, backward ? "_training_" : "_", kind.name),
            {.flops = (backward ? 7 : 2) * one,
             .bytes = 4 * (backward ? 12 : 4) * real(c.batch * c.tokens * width),
             .unit = kind.name},
            10,
            [=]() -> std::function<void()> {
              const Tensor<float> qkv = numbers({c.batch, c.tokens, 3 * width}, 1);
              const Tensor<float> dy = numbers({c.batch, c.tokens, width}, 2);
              if (!backward) {
                return [=] {
                  const PrecisionScope scope(kind.precision);
                  keep(self_attention(qkv, c.heads));
                };
              }
              qkv.requires_grad_();
              return [=] {
                const PrecisionScope scope(kind.precision);
                self_attention(qkv, c.heads).backward(dy);
                qkv.zero_grad();
              };
            },
            backward);
      }
    }
  }
}

}  // namespace bench::gpu

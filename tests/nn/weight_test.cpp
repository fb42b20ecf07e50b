/// The forms of a weight, and which of the three linear ops each of them is multiplied by.

#include "tandem/nn/weight.hpp"

#include <memory>

#include "../ops/check.hpp"
#include "tandem/nn/embedding.hpp"
#include "tandem/nn/linear.hpp"

using namespace tandem;

namespace {

/// A layer whose weight has the shape of a convolution's.
struct Deep final : nn::Module<float> {
  explicit Deep(Generator& random) : weight(randn<float>({40, 2, 3, 4}, random)) {
    add("weight", weight);
  }
  nn::Weight<float> weight;
};

}  // namespace

TEST_CASE("weight: every form multiplies as its op does, bit for bit") {
  Generator random(3);
  // With more than 24 rows and columns a packed product has the bits of the others.
  const Tensor<float> x = randn<float>({2, 30, 24}, random), b = randn<float>({40}, random),
                      r = randn<float>({2, 30, 40}, random);
  Deep net(random);
  const auto product = [&] { return net.weight.multiply(x, b, Activation::gelu, r); };
  const Tensor<float> w = net.weight.tensor().detach().reshape({40, 24});
  const Tensor<float> full = linear(x, w, b, Activation::gelu, r);
  CHECK(check::same(product().detach(), full));
  CHECK(product().requires_grad());
  nn::pack_weights(net);
  CHECK(net.weight.is_packed());
  CHECK(check::same(product(), full));
  // What the packed copy cannot do: rounded factors, and a gradient.
  {
    const PrecisionScope scope(Precision::bfloat16);
    CHECK(check::same(product(), linear(x, w, b, Activation::gelu, r)));
    CHECK_FALSE(check::same(product(), full));
  }
  x.requires_grad_();
  CHECK(product().requires_grad());
  x.requires_grad_(false);

  nn::keep_bfloat16(net);
  CHECK(net.state_dict().empty());
  CHECK(net.weight.bf16().shape() == Shape{40, 2, 3, 4});
  const Tensor<float> low = linear_bf16(x, w.to<bfloat16>(), b, Activation::gelu, r);
  CHECK_FALSE(net.weight.is_packed());  // the copy was that of the tensor
  CHECK(check::same(product(), low));
  nn::pack_weights(net);
  CHECK(net.weight.is_packed());
  CHECK(check::same(product(), low));
}

TEST_CASE("weight: a packed copy is left alone once the weight is another") {
  Generator random(4);
  nn::Linear<double> layer(3, 40, random, false);
  const Tensor<double> x = randn<double>({30, 3}, random), nothing = zeros<double>({30, 40});
  const Tensor<double> y = layer.forward(x).detach();
  nn::pack_weights(layer);
  CHECK(layer.weight.is_packed());
  CHECK(check::same(layer.forward(x), y));
  layer.weight.tensor().zero_();
  CHECK_FALSE(layer.weight.is_packed());
  CHECK(check::same(layer.forward(x), nothing));
  nn::pack_weights(layer);
  layer.weight = ones<double>({40, 3});
  CHECK_FALSE(layer.weight.is_packed());
  CHECK(check::same(layer.forward(x), linear(x, ones<double>({40, 3}))));
  // What is no weight is the op's error.
  layer.weight = ones<double>({3});
  CHECK(check::message([&] { layer.forward(x); }) ==
        "[linear] x of shape (30, 3) does not fit a weight (out, in) of shape (3,)");
  layer.weight = Tensor<double>();
  CHECK(check::message([&] { layer.forward(x); }) ==
        "[linear] argument weight is an undefined tensor (default-constructed)");
}

TEST_CASE("weight: ties hold in every form; another tensor ends the form") {
  Generator random(5);
  nn::Embedding<float> table(6, 3, random);
  nn::Linear<float> a(3, 6, random, false), b(3, 6, random, false);
  nn::keep_bfloat16(table);
  nn::pack_weights(table);  // rows are looked up: there is nothing to pack
  CHECK_FALSE(table.weight.is_packed());
  a.weight = table.weight;
  CHECK(a.weight.bf16().is_same(table.weight.bf16()));
  CHECK_FALSE(a.weight.tensor().defined());
  CHECK(a.parameters().empty());
  nn::pack_weights(a);
  b.weight = a.weight;
  CHECK(b.weight.is_packed());
  b.weight = zeros<float>({6, 3});
  CHECK_FALSE(b.weight.is_bfloat16());
  CHECK(b.parameters().size() == 1);
}

TEST_CASE("weight: one that ends leaves its tensor to the module, a plain parameter from then on") {
  struct Net final : nn::Module<float> {
    Net() : weight(std::make_unique<nn::Weight<float>>(full<float>({1, 2}, 7))) {
      add("weight", *weight);
    }
    std::unique_ptr<nn::Weight<float>> weight;
  };
  Net net;
  CHECK(net.slots()[0].matrix == net.weight.get());
  net.weight.reset();
  CHECK(net.slots()[0].matrix == nullptr);
  CHECK(net.parameters()[0].at({0, 1}) == 7);
  nn::pack_weights(net);
  nn::keep_bfloat16(net);
  CHECK(net.parameters().size() == 1);
}

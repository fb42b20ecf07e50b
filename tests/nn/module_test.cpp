/// What a module knows of its members: variables that move or end, ties, and to(), which optimizers
/// survive.

#include "tandem/nn/module.hpp"

#include <memory>
#include <type_traits>

#include "../ops/check.hpp"
#include "copy_only_device.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/optim/sgd.hpp"

using namespace tandem;
using tandem_test::CopyOnlyDevice;

namespace {

using Values = std::vector<float>;

/// Registers the elements of a vector while it grows.
struct Grown final : nn::Module<float> {
  Grown() {
    for (int i = 0; i < 9; ++i) {
      weights.push_back(full<float>({2}, static_cast<float>(i)));
      add(std::to_string(i), weights.back());
      buffers.push_back(full<float>({1}, static_cast<float>(-i)));
      add_buffer("b" + std::to_string(i), buffers.back());
    }
    Tensor<float> local = full<float>({1}, 77);
    add("local", local);
  }
  std::vector<Tensor<float>> weights, buffers;
};

struct Leaf final : nn::Module<float> {
  Leaf() : w(ones<float>({2})) { add("w", w); }
  Tensor<float> w;
};

/// Three parameters, one of which two sub-modules share.
struct Tied final : nn::Module<float> {
  Tied() : own(zeros<float>({1})), view(zeros<float>({2})) {
    add("a", a);
    add("b", b);
    add("c", c);
    add("own", own);
    add_buffer("view", view);
    c.w = a.w;            // after the registration
    view = a.w.detach();  // the same memory under another name
  }
  Leaf a, b, c;
  Tensor<float> own, view;
};

}  // namespace

TEST_CASE("module: the elements of a vector that grows stay its parameters") {
  Grown net;
  CHECK(net.parameters().size() == 10);
  CHECK(net.state_dict().size() == 19);
  for (std::size_t i = 0; i < 9; ++i) {
    CHECK(net.parameters()[i].is_same(net.weights[i]));
    CHECK(net.slots()[2 * i].tensor == &net.weights[i]);
    CHECK(net.state_dict()[2 * i + 1].tensor.at({0}) == -static_cast<float>(i));
  }
  CHECK(net.parameters()[9].at({0}) == 77);  // the variable has ended, the parameter has not
  net.weights[4] = full<float>({2}, 44);     // another tensor in the same place
  CHECK(net.parameters()[4].at({1}) == 44);
  net.weights.clear();
  CHECK(net.parameters()[8].at({1}) == 8);
}

TEST_CASE("module: a sub-module that has ended is an error by name; modules do not move") {
  struct Parent final : nn::Module<float> {
    Parent() : child(std::make_unique<Leaf>()) { add("head", *child); }
    std::unique_ptr<Leaf> child;
  };
  Parent net;
  CHECK(net.parameters().size() == 1);
  net.child = std::make_unique<Leaf>();
  const std::string expected =
      "[module] the sub-module 'head' has ended: it must live as long as the module that it was "
      "added to";
  CHECK(check::message([&] { net.parameters(); }) == expected);
  CHECK(check::message([&] { net.slots(); }) == expected);
  CHECK(check::message([&] { net.eval(); }) == expected);
  CHECK(check::message([&] { net.to(Device::cpu()); }) == expected);
  static_assert(!std::is_copy_constructible_v<Leaf> && !std::is_move_constructible_v<Leaf>);
  static_assert(!std::is_copy_assignable_v<Leaf> && !std::is_move_assignable_v<Leaf>);
}

TEST_CASE(
    "Evaluating: eval mode and no graph for a scope; then each module has the mode that it had") {
  Tied net;
  Leaf other;
  Leaf* const missing = nullptr;
  net.b.eval();  // a part that its owner keeps from training
  const auto modes = [&] {
    return std::vector<bool>{net.training(), net.a.training(), net.b.training(), other.training()};
  };
  const std::vector<bool> before{true, true, false, true}, evaluated(4, false);
  {
    const nn::Evaluating<float> outer{&net, &other, missing};
    CHECK(modes() == evaluated);
    CHECK_FALSE(mul(net.a.w, 2).requires_grad());
    {
      const nn::Evaluating<float> inner{&net.a, &net};  // twice the same one
      CHECK(modes() == evaluated);
    }
    CHECK(modes() == evaluated);
    CHECK_FALSE(mul(net.a.w, 2).requires_grad());
  }
  CHECK(modes() == before);
  CHECK(mul(net.a.w, 2).requires_grad());
  CHECK_THROWS_AS(
      [&] {
        const nn::Evaluating<float> evaluating{&net};
        fail("test", "an evaluation that fails");
      }(),
      Error);
  CHECK(modes() == before);
  const nn::Evaluating<float> none{missing};
  static_assert(!std::is_copy_constructible_v<nn::Evaluating<float>>);
}

TEST_CASE("module: to() keeps ties, and an optimizer that was made before goes on") {
  Tied net;
  CHECK(net.parameters().size() == 3);
  const Tensor<float> shared = net.a.w;
  optim::Sgd<float> sgd(net.parameters(), {.learning_rate = 0.5});
  net.to(Device::cpu());
  CHECK(net.parameters().size() == 3);
  CHECK(net.a.w.is_same(shared));
  CHECK(net.c.w.is_same(shared));
  CHECK(net.view.storage() == shared.storage());
  net.c.w.set_grad(tensor<float>({2, 4}));
  sgd.step();
  CHECK(net.a.w.to_vector() == Values{0, -1});
  // What loaders do, who put the memory of a file in place of a tensor's own.
  for (const nn::Slot<float>& slot : net.slots())
    slot.tensor->replace_(full<float>(slot.tensor->shape(), 8));
  CHECK(net.parameters().size() == 3);
  sgd.step();
  CHECK(net.c.w.to_vector() == Values{7, 6});
}

TEST_CASE(
    "module: to() another device moves memory and gradients under the same tensors, and back") {
  const CopyOnlyDevice scope;
  Tied net;
  const Tensor<float> shared = net.a.w, alias = net.a.w.detach();
  const Tensor<float> y = net.b.w.slice(0, 1, 2);  // recorded before
  optim::Sgd<float> sgd(net.parameters(), {.learning_rate = 0.5});
  net.a.w.set_grad(tensor<float>({2, 4}));
  net.to(Device::cuda());
  CHECK(net.parameters().size() == 3);
  for (const auto& named : net.state_dict())
    CHECK_MESSAGE(named.tensor.device() == Device::cuda(), named.name);
  CHECK(net.c.w.is_same(shared));
  CHECK(net.view.storage() == shared.storage());
  CHECK(shared.requires_grad());
  CHECK(shared.grad().device() == Device::cuda());
  CHECK(alias.device() == Device::cpu());
  // A gradient that comes from before the move is not lost in silence.
  CHECK(check::message([&] { y.backward(); }) ==
        "[backward] a gradient on cpu arrived at the result of 'leaf', which is on cuda:0");
  net.to(Device::cpu());
  CHECK(net.c.w.is_same(shared));
  sgd.step();
  CHECK(net.a.w.to_vector() == Values{0, -1});
  CHECK(net.view.to_vector() == Values{0, -1});
  // What cannot be moved stops the others from being moved; what is not there does not.
  const Tensor<float> own = net.own;  // a leaf
  net.own = add(own, own);
  CHECK(check::message([&] { net.to(Device::cuda()); }) == "[to] 'own' is the result of an op");
  CHECK(net.a.w.device() == Device::cpu());
  net.own = {};
  net.to(Device::cuda());
  CHECK(net.a.w.device() == Device::cuda());
  net.to(Device::cpu());
}

TEST_CASE("module: a state dict of the module's own tensors under exchanged names exchanges them") {
  Tied net;
  net.a.w.replace_(tensor<float>({1, 2}));
  net.b.w.replace_(tensor<float>({3, 4}));
  const auto own = net.state_dict();
  std::vector<nn::Named<float>> exchanged;
  for (const auto& named : own) {
    const std::string from = named.name == "a.w" || named.name == "c.w" ? "b.w"
                             : named.name == "b.w"                      ? "a.w"
                                                                        : named.name;
    for (const auto& other : own) {
      if (other.name == from) exchanged.push_back({named.name, other.tensor});
    }
  }
  net.load_state_dict(exchanged);
  CHECK(net.a.w.to_vector() == Values{3, 4});
  CHECK(net.b.w.to_vector() == Values{1, 2});
}

/// The engine: accumulation, views, second backward, in-place changes, anomaly mode, gradcheck
/// itself.

#include "../ops/check.hpp"
#include "tandem/nn/module.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/log.hpp"
#include "tandem/ops/sum.hpp"

using namespace tandem;

namespace {

/// y = x², with a backward that is right for factor 2.
Tensor<double> square_with(const Tensor<double>& x, double factor) {
  const Tensor<double> y = mul(x.detach(), x.detach());
  return autograd::record(
      "square_with", y,
      [x = autograd::save(x), factor](const Tensor<double>& dy, autograd::Needs) {
        return std::tuple(mul(mul(x.get(), factor), dy));
      },
      x);
}

}  // namespace

TEST_CASE("gradcheck: accepts a right backward, fails a planted wrong one") {
  const Tensor<double> x = check::normal({3, 5}, 1);
  check::gradients([](const auto& in) { return square_with(in[0], 2); }, {x});
  CHECK(check::message([&] {
          gradcheck([](const auto& in) { return square_with(in[0], 2.001); }, {x});
        }).find("[gradcheck] input 0, element 0") == 0);
  CHECK(check::message([&] { gradcheck([](const auto& in) { return mul(in[0], 0.0); }, {x}); }) ==
        "[gradcheck] every gradient is zero, which proves nothing");
  CHECK(check::message([&] { gradcheck([](const auto& in) { return in[0].detach(); }, {x}); }) ==
        "[gradcheck] the result does not depend on any input");
  // NaN must not pass as "no difference".
  CHECK(check::message(
            [&] { gradcheck([](const auto& in) { return square_with(in[0], NAN); }, {x}); }) != "");
}

TEST_CASE("backward: gradients accumulate over uses and over calls; retain_graph") {
  const Tensor<double> x = tensor<double>({1, 2, 3});
  x.requires_grad_();
  const Tensor<double> y = add(mul(x, x), mul(x, 3.0));
  y.backward(ones<double>({3}), true);
  CHECK(x.grad().to_vector() == std::vector<double>{5, 7, 9});
  const Tensor<double> held = x.grad();
  y.backward(ones<double>({3}));
  CHECK(x.grad().to_vector() == std::vector<double>{10, 14, 18});
  CHECK(held.to_vector() == std::vector<double>{5, 7, 9});  // what was handed out does not change
  CHECK(
      check::message([&] { y.backward(ones<double>({3})); }) ==
      "[backward] the graph of 'add' was freed by an earlier backward: pass retain_graph = true to "
      "that one");
  x.zero_grad();
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("backward: all views, gradients by differences") {
  const Tensor<double> x = check::normal({2, 3, 4}, 2);
  const auto all = [](const auto& in) {
    const Tensor<double>& v = in[0];
    return add(add(v.permute({2, 0, 1}).reshape({4, 6}).slice(1, 1, 6, 2).expand({2, 4, 3}),
                   v.select(1, 2).transpose(0, 1).slice(1, 0, 1).expand({4, 3})),
               v.flatten().slice(0, 3, 6).unsqueeze(0));
  };
  check::gradients(all, {x});
}

TEST_CASE("backward: what cannot work is refused") {
  const Tensor<double> x = tensor<double>({1, 2});
  CHECK(check::message([&] { x.backward(x); }) ==
        "[backward] this tensor does not depend on anything that requires a gradient (or was "
        "computed "
        "under NoGrad)");
  x.requires_grad_();
  CHECK(check::message([&] { mul(x, x).backward(); }) ==
        "[backward] a tensor of shape (2,) is not one number: give the gradient to start from");
  CHECK(check::message([&] { mul(x, x).backward(ones<double>({3})); }) ==
        "[backward] the cotangent has shape (3,), the tensor (2,)");
  CHECK(check::message([&] { x.fill_(1); }).find("collects a gradient") != std::string::npos);
  CHECK(check::message([&] { mul(x, x).grad(); }).find("only leaves") != std::string::npos);
  CHECK(check::message([&] { tensor<std::int64_t>({1}).requires_grad_(); }) ==
        "[requires_grad_] a tensor of int64 cannot carry a gradient");
  const Tensor<double> y = mul(x, x);
  {
    const NoGrad no_grad;
    x.fill_(5);
  }
  CHECK(check::message([&] { y.backward(ones<double>({2})); }) ==
        "[mul] a tensor of shape (2,) that backward needs was changed in place after the forward "
        "pass");
  // A change through a view, or through a detached alias, is the same change.
  for (const int how : {0, 1}) {
    const Tensor<double> w = tensor<double>({3, 4});
    const Tensor<double> z = mul(x, w);
    if (how == 0) w[1].fill_(0);
    if (how == 1) w.detach().set({0}, 0);
    CHECK(check::message([&] {
            z.backward(ones<double>({2}));
          }).find("[mul] a tensor of shape (2,) that backward needs was changed in place") == 0);
  }
  const auto wrong = autograd::record(
      "wrong", zeros<double>({2}),
      [](const Tensor<double>&, autograd::Needs) { return std::tuple(zeros<double>({3})); }, x);
  CHECK(check::message([&] {
          wrong.backward(ones<double>({2}));
        }).find("a gradient of shape (3,)") != std::string::npos);
}

TEST_CASE("record: an input given as the result is refused, what shares its memory is not") {
  const auto reversed = [](const Tensor<double>& out, const Tensor<double>& x) {
    return autograd::record(
        "reversed", out,
        [](const Tensor<double>& dy, autograd::Needs) { return std::tuple(neg(dy)); }, x);
  };
  Tensor<double> w = check::normal({3}, 1);
  w.requires_grad_();
  const Tensor<double> x = mul(w, 2);
  CHECK(check::message([&] {
          reversed(x, x);
        }).find("[reversed] the result is one of the inputs itself") == 0);
  CHECK(check::message([&] {
          autograd::record_list(
              "first_of", x,
              [](const Tensor<double>& dy, autograd::Needs) { return std::vector{dy}; }, {x});
        }).find("[first_of] the result is one of the inputs itself") == 0);
  // Two uses of x: one as it is, one reversed, three times; 2·(1 − 3).
  sum(add(x, mul(reversed(x.detach(), x), 3))).backward();
  CHECK(w.grad().to_vector() == std::vector<double>{-4, -4, -4});
  const NoGrad guard;
  CHECK(reversed(x, x).is_same(x));  // nothing is recorded
}

TEST_CASE("record: a backward that gives gradients of a wrong shape is named") {
  const auto message = [](auto backward) {
    Tensor<float> x = ones<float>({3});
    x.requires_grad_();
    const Tensor<float> y = autograd::record("mine", x.detach().clone(), backward, x);
    return check::message([&] { y.backward(ones<float>({3})); });
  };
  CHECK(message([](const Tensor<float>&, autograd::Needs) {
          return std::tuple(ones<float>({2}));
        }) == "[mine] backward gave a gradient of shape (2,) for input 0, whose shape is (3,)");
  CHECK(message([](const Tensor<float>&, autograd::Needs) {
          return std::tuple(Tensor<float>());
        }) == "[mine] backward gave no gradient for input 0");
  const auto of_list = [](std::vector<Tensor<float>> gradients) {
    Tensor<float> x = ones<float>({3});
    x.requires_grad_();
    const Tensor<float> y = autograd::record_list(
        "list", x.detach().clone(),
        [gradients](const Tensor<float>&, autograd::Needs) { return gradients; }, {x, x});
    return check::message([&] { y.backward(ones<float>({3})); });
  };
  CHECK(of_list({ones<float>({3})}) == "[list] backward gave 1 gradients for 2 inputs");
  CHECK(of_list({ones<float>({3}), ones<float>({1})}) ==
        "[list] backward gave a gradient of shape (1,) for input 1, whose shape is (3,)");
}

TEST_CASE("NoGrad, EnableGrad, detach") {
  const Tensor<double> x = tensor<double>({2});
  x.requires_grad_();
  {
    const NoGrad no_grad;
    CHECK_FALSE(mul(x, x).requires_grad());
    CHECK_FALSE(x.view({1, 1}).requires_grad());
    const EnableGrad grad;
    CHECK(mul(x, x).requires_grad());
  }
  CHECK(mul(x, x).requires_grad());
  CHECK_FALSE(mul(x.detach(), 2.0).requires_grad());
}

TEST_CASE("anomaly mode names the op and the module, forward and backward") {
  const autograd::AnomalyMode anomaly;
  const Tensor<double> x = tensor<double>({1, 0});
  x.requires_grad_();
  {
    const nn::ModuleScope outer("head");
    const nn::ModuleScope inner("scale");
    CHECK(check::message([&] { log(x); }) ==
          "[log] the result is Inf at element 1 of shape (2,) (in module head.scale)");
  }
  const Tensor<double> y = autograd::record(
      "bad", zeros<double>({2}),
      [](const Tensor<double>&, autograd::Needs) {
        return std::tuple(tensor<double>({0, NAN}));
      },
      x);
  CHECK(check::message([&] { y.backward(ones<double>({2})); }) ==
        "[bad] the gradient is NaN at element 1 of shape (2,)");
}

TEST_CASE(
    "graphs: a long chain is freed and walked without recursion; memory goes as backward passes") {
  const Tensor<double> x = tensor<double>({1, 2});
  x.requires_grad_();
  {
    Tensor<double> y = x;
    for (int i = 0; i < 200000; ++i) y = y.view({2, 1}).view({2});
    y.backward(ones<double>({2}));
    CHECK(x.grad().to_vector() == std::vector<double>{1, 1});
    for (int i = 0; i < 200000; ++i) y = y.view({2, 1}).view({2});
  }
  const std::int64_t before = memory_stats().current;
  Tensor<double> y = add(zeros<double>({1 << 16}), x.slice(0, 0, 1));
  for (int i = 0; i < 8; ++i) y = mul(y, y);
  CHECK(memory_stats().current - before >= 8 * (8 << 16));
  const Tensor<double> loss = sum(y);
  y = Tensor<double>();
  loss.backward();
  CHECK(memory_stats().current - before < 8 << 16);  // loss is alive, its graph is not
}

/// backward() on several threads at once: graphs that share parameters, and graphs that share
/// results. (Build with -fsanitize=thread to see that nothing races.)

#include <thread>

#include "../ops/check.hpp"
#include "tandem/autograd.hpp"

using namespace tandem;

namespace {

/// y = factor·x·x, which may do something else on its way back.
template <class F>
Tensor<double> squared(const Tensor<double>& x, double factor, F on_the_way) {
  const auto times = [](const Tensor<double>& a, const Tensor<double>& b, double f) {
    const Tensor<double> left = a.contiguous(), right = b.contiguous();
    Tensor<double> out(a.shape());
    double* to = out.mutable_data();
    for (std::int64_t i = 0; i < a.numel(); ++i) to[i] = f * left.data()[i] * right.data()[i];
    return out;
  };
  return autograd::record(
      "squared", times(x.detach(), x.detach(), factor),
      [=, x = autograd::save(x)](const Tensor<double>& dy, autograd::Needs) {
        on_the_way();
        return std::tuple(times(x.get(), dy, 2 * factor));
      },
      x);
}
Tensor<double> squared(const Tensor<double>& x, double factor) {
  return squared(x, factor, [] {});
}

template <class F>
void on_threads(int count, const F& f) {
  std::vector<std::thread> threads;
  for (int t = 0; t < count; ++t) threads.emplace_back([&f, t] { f(t); });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

TEST_CASE(
    "backward: threads whose graphs share parameters add up what one thread after the other adds "
    "up") {
  // Whole numbers far below 2⁵³: their sum is the same in any order.
  constexpr int threads = 4, rounds = 200;
  const Tensor<double> w = arange<double>(24).view({4, 6}), b = arange<double>(6);
  w.requires_grad_();
  b.requires_grad_();
  const auto pass = [&](int t) {
    for (int round = 0; round < rounds; ++round) {
      const double factor = t + 1 + round % 3;
      // Two uses of each parameter in one graph, views among them, and the gradient of a part.
      const Tensor<double> rows = squared(w.slice(0, t, t + 1).expand({2, 6}), factor);
      rows.backward(ones<double>({2, 6}), true);
      rows.backward(ones<double>({2, 6}));
      squared(w.transpose(0, 1), factor).backward(ones<double>({6, 4}));
      squared(b.expand({3, 6}), factor).backward(ones<double>({3, 6}));
      b.backward(ones<double>({6}));
    }
  };
  for (int t = 0; t < threads; ++t) pass(t);
  const Tensor<double> dw = w.grad().clone(), db = b.grad().clone();
  w.zero_grad();
  b.zero_grad();
  on_threads(threads, pass);
  CHECK(check::same(w.grad(), dw));
  CHECK(check::same(b.grad(), db));
  CHECK(dw.at({0, 1}) != 0);
}

TEST_CASE(
    "backward: what one call brings is added whole, so two threads on fresh gradients give equal "
    "bits") {
  Generator random(4);
  const Tensor<double> w = randn<double>({1000}, random);
  w.requires_grad_();
  const auto pass = [&](int t) {
    squared(squared(w, 0.1 + t), 0.7).backward(ones<double>({1000}));
  };
  const auto sum_of = [&](auto run) {
    w.zero_grad();
    run();
    return w.grad().clone();
  };
  const Tensor<double> first = sum_of([&] { pass(0); }), second = sum_of([&] { pass(1); }),
                       expected(Shape{1000});
  for (std::int64_t i = 0; i < 1000; ++i) expected.set({i}, first.at({i}) + second.at({i}));
  for (int round = 0; round < 50; ++round) {
    const Tensor<double> sum = sum_of([&] { on_threads(2, pass); });
    REQUIRE(check::same(sum, expected));
  }
}

TEST_CASE("backward: a graph that another backward is in is refused, and that one goes on") {
  const Tensor<double> x = tensor<double>({1, 2, 3});
  x.requires_grad_();
  Tensor<double> y;
  std::string refused;
  const Tensor<double> middle = squared(x, 1);
  y = squared(middle, 1, [&] {
    std::thread([&] {
      refused = check::message([&] { squared(y, 1).backward(ones<double>({3}), true); });
    }).join();
  });
  y.backward(ones<double>({3}));
  CHECK(refused ==
        "[backward] another backward is at the result of 'squared' just now: graphs of several "
        "threads may "
        "share parameters, not results");
  CHECK(x.grad().to_vector() == std::vector<double>{4, 32, 108});  // (x⁴)' = 4x³: once
  y = Tensor<double>();
}

TEST_CASE("backward: one that begins inside another adds to the same parameter") {
  const Tensor<double> x = tensor<double>({1, 2});
  x.requires_grad_();
  const Tensor<double> y = squared(x, 1, [&] {
    const EnableGrad recording;
    squared(x, 3).backward(ones<double>({2}));
  });
  y.backward(ones<double>({2}));
  CHECK(x.grad().to_vector() == std::vector<double>{2 + 6, 4 + 12});
}

TEST_CASE("replace_: every variable of a tensor gets the new memory; it stays the same leaf") {
  const Tensor<double> w = tensor<double>({1, 2}), tied = w, part = w.slice(0, 0, 1);
  w.requires_grad_();
  w.set_grad(tensor<double>({5, 6}));
  const Tensor<double> y = squared(tied, 1);  // recorded before: its gradient arrives all the same
  const Tensor<double> wide = tensor<double>({7, 8, 9});
  w.replace_(wide.slice(0, 1, 3));
  CHECK(tied.to_vector() == std::vector<double>{8, 9});
  CHECK(tied.storage() == wide.storage());
  CHECK(part.at({0}) == 1);
  y.backward(ones<double>({2}));
  CHECK(tied.grad().to_vector() == std::vector<double>{5 + 2, 6 + 4});
  CHECK(check::message([&] { y.replace_(w); }) ==
        "[replace_] this tensor is the result of an op; detach() it first");
  CHECK(check::message([&] { w.replace_(wide); }) ==
        "[replace_] a tensor of shape (2,) cannot get the memory of one of shape (3,)");
}

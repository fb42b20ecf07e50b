#include "tandem/ops/compare.hpp"

#include <cmath>

#include "check.hpp"

using namespace tandem;
using Bits = std::vector<bool>;

TEST_CASE("comparisons of tensors, with NaN") {
  const Tensor<float> a = tensor<float>({1, 2, 3, NAN, NAN}), b = tensor<float>({2, 2, 2, 2, NAN});
  CHECK(eq(a, b).to_vector() == Bits{false, true, false, false, false});
  CHECK(ne(a, b).to_vector() == Bits{true, false, true, true, true});
  CHECK(lt(a, b).to_vector() == Bits{true, false, false, false, false});
  CHECK(le(a, b).to_vector() == Bits{true, true, false, false, false});
  CHECK(gt(a, b).to_vector() == Bits{false, false, true, false, false});
  CHECK(ge(a, b).to_vector() == Bits{false, true, true, false, false});
}

TEST_CASE("comparisons: broadcasting, layouts, scalars, types") {
  const Tensor<std::int64_t> row = tensor<std::int64_t>({1, 2, 3});
  const Tensor<std::int64_t> column = tensor<std::int64_t>({{2}, {3}});
  CHECK(lt(row, column).to_vector() == Bits{true, false, false, true, true, false});
  CHECK(lt(row, column).shape() == Shape{2, 3});
  const Tensor<double> x = check::normal({5, 33}, 1);
  CHECK(check::same(gt(autograd::make_strided(x), 0), gt(x, 0)));
  CHECK(check::same(gt(x.transpose(0, 1), 0.5), gt(x, 0.5).transpose(0, 1)));
  CHECK(ge(row, 1.5).to_vector() == Bits{false, true, true});  // not rounded to 1
  CHECK(lt(tensor<std::uint8_t>({0, 255}), 256).to_vector() == Bits{true, true});
  CHECK(gt(tensor<std::uint8_t>({0, 255}), -1).to_vector() == Bits{true, true});
  CHECK(eq(tensor<float>({0.1F}), 0.1).item());
  CHECK(eq(tensor<bool>({true, false}), tensor<bool>({true, true})).to_vector() ==
        Bits{true, false});
  CHECK(eq(zeros<float>({0, 3}), zeros<float>({3})).shape() == Shape{0, 3});
}

TEST_CASE("logical operations") {
  const Tensor<bool> a = tensor<bool>({false, false, true, true}),
                     b = tensor<bool>({false, true, false, true});
  CHECK(logical_and(a, b).to_vector() == Bits{false, false, false, true});
  CHECK(logical_or(a, b).to_vector() == Bits{false, true, true, true});
  CHECK(logical_not(a).to_vector() == Bits{true, true, false, false});
}

TEST_CASE("comparisons refuse to cut the graph") {
  const Tensor<float> x = zeros<float>({2});
  x.requires_grad_();
  CHECK(check::message([&] { gt(x, 0); }) ==
        "[gt] has no backward, but an input needs a gradient: detach() it or use NoGrad");
  CHECK(check::message([&] { eq(zeros<float>({2}), x); }).find("[eq] has no backward") == 0);
  CHECK(gt(x.detach(), -1).to_vector() == Bits{true, true});
  CHECK(check::message([&] { le(x.detach(), zeros<float>({3})); }) ==
        "[le] shapes do not broadcast: (2,) and (3,)");
}

namespace {
template <class A, class B>
concept comparable = requires(const A& a, const B& b) {
  a == b;
};
}  // namespace

TEST_CASE("operators: each is its function, numbers on either side, in any type") {
  const auto test = []<class T>(T) {
    Generator random(3);
    const Tensor<T> a = randint<T>({3, 7}, 0, 4, random), b = randint<T>({7}, 0, 4, random);
    CHECK(check::same(a == b, eq(a, b)));
    CHECK(check::same(a != b, ne(a, b)));
    CHECK(check::same(a < b, lt(a, b)));
    CHECK(check::same(a <= b, le(a, b)));
    CHECK(check::same(a > b, gt(a, b)));
    CHECK(check::same(a >= b, ge(a, b)));
    CHECK(check::same(a == 2, eq(a, 2)));
    CHECK(check::same(2 == a, eq(a, 2)));
    CHECK(check::same(a != 2.5, ne(a, 2.5)));
    CHECK(check::same(1 != a, ne(a, 1)));
    CHECK(check::same(2 < a, gt(a, 2)));
    CHECK(check::same(a < 2, lt(a, 2)));
    CHECK(check::same(2 <= a, ge(a, 2)));
    CHECK(check::same(a <= 1.5, le(a, 1.5)));
    CHECK(check::same(2 > a, lt(a, 2)));
    CHECK(check::same(a > 2, gt(a, 2)));
    CHECK(check::same(2 >= a, le(a, 2)));
    CHECK(check::same(a >= 2, ge(a, 2)));
  };
  test(float());
  test(double());
  test(std::int64_t());
  test(std::uint8_t());
  const Tensor<bool> p = tensor<bool>({false, false, true, true}),
                     q = tensor<bool>({false, true, false, true});
  CHECK((p & q).to_vector() == Bits{false, false, false, true});
  CHECK((p | q).to_vector() == Bits{false, true, true, true});
  CHECK((!p).to_vector() == Bits{true, true, false, false});
  CHECK((p == q).to_vector() == Bits{true, false, false, true});
  CHECK((p != true).to_vector() == Bits{true, true, false, false});
  // Other types that are compared stay as they were.
  const Tensor<float> x = zeros<float>({2}), same = x;
  CHECK(x.shape() == Shape{2});
  CHECK(x.is_same(same));
  CHECK((x == same).to_vector() == Bits{true, true});
  static_assert(comparable<Tensor<float>, Tensor<float>>);
  static_assert(!comparable<Tensor<float>, Tensor<double>>);
}

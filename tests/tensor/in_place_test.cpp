/// In-place changes of views: overlapping memory, expanded tensors, assignments that would do
/// nothing; and where the variables are that a module has registered.

#include <type_traits>
#include <vector>

#include "../ops/check.hpp"
#include "tandem/tensor.hpp"

using namespace tandem;

namespace {

using Values = std::vector<std::int64_t>;
Tensor<std::int64_t> counted(const Shape& shape) {
  return arange<std::int64_t>(shape.numel()).view(shape);
}

template <class Left>
concept TakesATensor = requires(Left left, const Tensor<float>& y) {
  static_cast<Left&&>(left) = y;
};

}  // namespace

TEST_CASE("copy_: a view of the same memory is read before it is written, as NumPy does") {
  const auto m = counted({3, 3});
  m.copy_(m.transpose(0, 1));
  CHECK(m.to_vector() == Values{0, 3, 6, 1, 4, 7, 2, 5, 8});
  for (const bool forward : {false, true}) {
    const auto x = counted({6});
    const auto low = x.slice(0, 0, 5), high = x.slice(0, 1, 6);
    (forward ? high : low).copy_(forward ? low : high);
    CHECK(x.to_vector() == (forward ? Values{0, 0, 1, 2, 3, 4} : Values{1, 2, 3, 4, 5, 5}));
  }
  const auto y = counted({2, 3});
  y.copy_(y[1]);  // a broadcast row of itself
  CHECK(y.to_vector() == Values{3, 4, 5, 3, 4, 5});
  y.copy_(y);
  CHECK(y.to_vector() == Values{3, 4, 5, 3, 4, 5});
}

TEST_CASE("copy_: any two views of one tensor give what a copy made before gives") {
  Generator random(3);
  const auto below = [&](std::int64_t n) {
    return static_cast<std::int64_t>(random.next_below(static_cast<std::uint64_t>(n)));
  };
  int met = 0;
  for (int round = 0; round < 500; ++round) {
    const auto x = counted({5, 5, 5});
    const auto part = [&] {
      Tensor<std::int64_t> v = x;
      for (int d = 0; d < 3; ++d) {
        const std::int64_t step = 1 + below(2), begin = below(3);
        v = v.slice(d, begin, begin + 1 + step, step);  // two of five
      }
      return v.transpose(below(3), below(3));
    };
    const auto to = part(), from = part();
    const auto before = x.clone();
    const auto expected = before.alias(to.layout());
    expected.copy_(from.clone());
    met += detail::may_share_memory(to, from) ? 1 : 0;
    to.copy_(from);
    REQUIRE(x.to_vector() == before.to_vector());
  }
  CHECK(met > 300);
}

TEST_CASE("in place: a view whose elements share memory is refused by every operation") {
  const auto column = tensor<float>({{1}, {2}});
  const auto wide = column.expand({2, 3});
  const std::string expected =
      "dimension 1 of shape (2, 3) was expanded, so its elements share memory: clone() it first";
  CHECK(check::message([&] { wide.copy_(ones<float>({2, 3})); }) == "[copy_] " + expected);
  CHECK(check::message([&] { wide.fill_(7); }) == "[fill_] " + expected);
  CHECK(check::message([&] { wide.zero_(); }) == "[fill_] " + expected);
  CHECK(check::message([&] { wide.set({0, 0}, 7); }) == "[set] " + expected);
  // Also behind further views, and in a layout that no view of a dense tensor has.
  CHECK(check::message([&] { wide.transpose(0, 1).slice(0, 0, 2).fill_(7); }) != "");
  const Tensor<float> windows(make_ref<Storage>(16, Device::cpu()), {{3, 2}, {1, 1}, 0});
  CHECK(check::message([&] { windows.fill_(7); }) ==
        "[fill_] the elements of a tensor of shape (3, 2) and strides (1, 1) share memory: clone() "
        "it first");
  CHECK(column.to_vector() == std::vector<float>{1, 2});
  // What repeats nothing may be changed: one row, no row, a part of the columns.
  wide.slice(1, 1, 2).fill_(5);
  CHECK(column.to_vector() == std::vector<float>{5, 5});
  wide.slice(1, 0, 0).fill_(6);
  tensor<float>({{1, 2}, {3, 4}}).transpose(0, 1).slice(1, 0, 2, 2).fill_(1);
}

TEST_CASE("copy_: a gradient that would be lost is refused") {
  const auto x = zeros<float>({2}), y = ones<float>({2});
  y.requires_grad_();
  CHECK(check::message([&] { x.copy_(y); }) ==
        "[copy_] has no backward, but what is copied needs a gradient: detach() it or use NoGrad");
  x.copy_(y.detach());
  const NoGrad guard;
  x.copy_(y);
  CHECK(x.at({1}) == 1);
}

TEST_CASE("assignment: a variable takes another tensor, a temporary does not compile") {
  static_assert(TakesATensor<Tensor<float>&>);
  static_assert(!TakesATensor<Tensor<float>>);  // x[0] = y, x.slice(…) = y, x.grad() = y
  static_assert(!TakesATensor<decltype(std::declval<const Tensor<float>&>()[0])>);
  static_assert(!std::is_assignable_v<Tensor<float>, Tensor<float>>);
  static_assert(std::is_nothrow_move_constructible_v<Tensor<float>>);
  static_assert(std::is_copy_assignable_v<Tensor<float>> &&
                std::is_move_assignable_v<Tensor<float>>);
  Tensor<float> x = ones<float>({2}), y = x;
  y = std::move(x);
  CHECK_FALSE(x.defined());
  x = y;
  CHECK(x.is_same(y));
}

TEST_CASE("place: follows a variable through moves, and keeps what it referred to when it ends") {
  std::vector<Tensor<float>> grows;
  std::vector<Ref<detail::TensorPlace<float>>> places;
  for (int i = 0; i < 9; ++i) {
    grows.push_back(full<float>({1}, static_cast<float>(i)));
    places.push_back(grows.back().place());
  }
  for (std::size_t i = 0; i < 9; ++i) CHECK(places[i]->home == &grows[i]);
  grows[3] = full<float>({1}, 33);  // seen: the place is the variable's
  CHECK(places[3]->home->at({0}) == 33);
  grows.clear();
  for (std::size_t i = 0; i < 9; ++i)
    CHECK(places[i]->home->at({0}) == (i == 3 ? 33.0F : static_cast<float>(i)));

  Tensor<float> w = ones<float>({1});
  const auto place = w.place();
  CHECK(w.place() == place);
  const auto doubled = [](Tensor<float> x) { return full<float>({1}, 2 * x.at({0})); };
  w = doubled(std::move(w));  // the same variable still
  CHECK(place->home == &w);
  CHECK(place->home->at({0}) == 2);
  const Tensor<float> copy = w;  // copies have no place
  {
    Tensor<float> other = std::move(w);
    CHECK(place->home == &w);
    w = other;
  }
  CHECK(place->home->is_same(copy));
}

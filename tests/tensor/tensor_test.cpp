/// Tensors: views, layouts, factories, in-place rules, borrowed memory, the allocator, printing.

#include "tandem/tensor.hpp"

#include <algorithm>
#include <sstream>

#include "../ops/check.hpp"

using namespace tandem;

namespace {
Tensor<std::int64_t> counted(const Shape& shape) {
  return arange<std::int64_t>(shape.numel()).view(shape);
}
using Values = std::vector<std::int64_t>;
}  // namespace

TEST_CASE("tensor: views share memory and read the right elements") {
  const auto x = counted({2, 3, 4});
  CHECK(x.select(1, 2).to_vector() == Values{8, 9, 10, 11, 20, 21, 22, 23});
  CHECK(x[1].shape() == Shape{3, 4});
  CHECK(x.slice(2, 1, 4, 2).to_vector() == Values{1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23});
  CHECK(x.slice(-1, -2, 4).shape() == Shape{2, 3, 2});
  CHECK(x.slice(0, 1, 1).numel() == 0);
  CHECK(x.slice(2, 2).shape() == Shape{2, 3, 2});
  CHECK(x.slice(1, -1).to_vector() == Values{8, 9, 10, 11, 20, 21, 22, 23});
  CHECK(x.slice(2, 1, to_end, 2).to_vector() == x.slice(2, 1, 4, 2).to_vector());
  CHECK(x.slice(0, 2, to_end).numel() == 0);
  CHECK(x.transpose(0, -1).shape() == Shape{4, 3, 2});
  CHECK(x.transpose(0, 2).at({3, 1, 1}) == x.at({1, 1, 3}));
  CHECK(x.permute({2, 0, 1}).at({3, 1, 2}) == x.at({1, 2, 3}));
  CHECK(x.flatten(1).shape() == Shape{2, 12});
  CHECK(x.unsqueeze(-1).shape() == Shape{2, 3, 4, 1});
  CHECK(x.unsqueeze(0).squeeze(0).shape() == x.shape());
  CHECK(tensor<float>({{1}, {2}}).expand({2, 3}).to_vector() ==
        std::vector<float>{1, 1, 1, 2, 2, 2});
  // Steps beyond the end: one element, or none, and no product that overflows.
  CHECK(x.slice(1, 1, 3, INT64_MAX).to_vector() == Values{4, 5, 6, 7, 16, 17, 18, 19});
  CHECK(x.slice(1, 2, 2, INT64_MAX).shape() == Shape{2, 0, 4});
  x.select(0, 1).slice(1, 0, 1).fill_(-7);
  CHECK(x.at({1, 2, 0}) == -7);
  CHECK(x.at({0, 0, 0}) == 0);
}

TEST_CASE("tensor: reshape sees when a copy is needed") {
  const auto x = counted({4, 6});
  CHECK(x.view({2, 2, -1}).shape() == Shape{2, 2, 6});
  const auto part = x.slice(1, 0, 4);
  CHECK_FALSE(part.is_contiguous());
  // Splitting a strided dimension is fine
  CHECK(part.view({2, 2, 4}).strides() == Strides{12, 6, 1});
  CHECK(part.view({4, 2, 2}).at({3, 1, 0}) == part.at({3, 2}));
  CHECK(
      check::message([&] { part.view({16}); }) ==
      "[view] a tensor of shape (4, 4) and strides (6, 1) cannot be seen as (16,) without a copy: "
      "use reshape()");
  CHECK(part.reshape({16}).at({15}) == part.at({3, 3}));
  const auto t = x.transpose(0, 1);
  CHECK(t.reshape({24}).to_vector()[1] == 6);
  CHECK(t.unsqueeze(1).view({6, 1, 4, 1}).at({2, 0, 3, 0}) == x.at({3, 2}));
  CHECK(counted({1, 5, 1}).transpose(0, 2).view({5}).at({4}) == 4);
  CHECK(check::message([&] {
          x.view({5, -1});
        }) == "[view] shape (4, 6) does not fit into (5, -1)");
  CHECK(check::message([&] { x.view({-1, -1}); }) == "[view] only one size may be -1: (-1, -1)");
  CHECK(check::message([&] { x.reshape({7}); }) ==
        "[reshape] shape (4, 6) has 24 elements, shape (7,) has 7");
}

/// Every way to read an element of a view must agree with index arithmetic on the original: random
/// chains of views against a model that keeps the coordinates.
TEST_CASE("tensor: random chains of views agree with a model") {
  Generator random(5);
  for (int round = 0; round < 300; ++round) {
    Tensor<std::int64_t> x = counted({2, 3, 4, 5});
    Values model = x.to_vector();
    Shape shape = x.shape();
    for (int step = 0; step < 6; ++step) {
      const auto dim =
          static_cast<int>(random.next_below(static_cast<std::uint64_t>(shape.rank())));
      if (random.next_below(2) == 0) {  // transpose, copied out in the model
        const auto other =
            static_cast<int>(random.next_below(static_cast<std::uint64_t>(shape.rank())));
        const Strides dense = contiguous_strides(shape);
        Strides strides = dense;
        std::swap(shape[dim], shape[other]);
        std::swap(strides[dim], strides[other]);
        Values next;
        const std::int64_t n = shape.numel();
        for (std::int64_t i = 0; i < n; ++i) {
          std::int64_t rest = i, at = 0;
          for (int d = shape.rank() - 1; d >= 0; --d) {
            at += rest % shape[d] * strides[d];
            rest /= shape[d];
          }
          next.push_back(model[static_cast<std::size_t>(at)]);
        }
        model = next;
        x = x.transpose(dim, other);
      } else if (shape[dim] > 1) {  // slice
        const std::int64_t begin = static_cast<std::int64_t>(random.next_below(2)),
                           size = shape[dim];
        const std::int64_t step_size = 1 + static_cast<std::int64_t>(random.next_below(2));
        x = x.slice(dim, begin, size, step_size);
        Values next;
        std::int64_t inner = 1;
        for (int d = dim + 1; d < shape.rank(); ++d) inner *= shape[d];
        for (std::size_t i = 0; i < model.size(); ++i) {
          const std::int64_t at = static_cast<std::int64_t>(i) / inner % size;
          if (at >= begin && (at - begin) % step_size == 0) next.push_back(model[i]);
        }
        shape[dim] = (size - begin + step_size - 1) / step_size;
        model = next;
      }
      REQUIRE(x.shape() == shape);
      REQUIRE(x.to_vector() == model);
      REQUIRE(x.contiguous().to_vector() == model);
    }
  }
}

TEST_CASE("tensor: shapes, sizes and indices are checked") {
  const auto x = counted({2, 3});
  CHECK(check::message([&] {
          (void)x.at({2, 0});
        }) == "[at] index 2 is out of range for dimension 0 of shape (2, 3)");
  CHECK(check::message([&] { (void)x.at({0}); }) == "[at] 1 indices were given for shape (2, 3)");
  CHECK(check::message([&] { x.slice(0, 2, 1); }) ==
        "[slice] range [2, 1) does not lie in dimension 0 of shape (2, 3)");
  CHECK(check::message([&] { x.select(3, 0); }) ==
        "[select] dimension 3 is out of range for a tensor of 2 dimensions");
  CHECK(check::message([&] {
          x.permute({0, 0});
        }) == "[permute] dimension 0 appears twice in (0, 0)");
  CHECK(check::message([&] {
          x.expand({3, 3});
        }) == "[expand] shapes do not broadcast: (2, 3) and (3, 3)");
  CHECK(check::message([&] { x.squeeze(0); }) == "[squeeze] dimension 0 of shape (2, 3) is not 1");
  CHECK(check::message([&] { Tensor<float>(Shape{-1}); }) ==
        "[shape] sizes must not be negative: (-1,)");
  CHECK(check::message([&] {
          Tensor<float>(Shape{1LL << 40, 1LL << 40});
        }) == "[shape] too many elements: (1099511627776, 1099511627776)");
  CHECK(check::message([&] {
          Tensor<float>(Shape{0, 1LL << 40, 1LL << 40});
        }) == "[shape] too many elements: (0, 1099511627776, 1099511627776)");
  CHECK(Tensor<float>(Shape{1LL << 40, 0}).numel() == 0);
  CHECK(check::message([&] { Tensor<float>(Shape{1LL << 62}); }) ==
        "[tensor] too many bytes for shape (4611686018427387904,)");
  CHECK(check::message([&] { (void)x.item(); }) ==
        "[item] a tensor of shape (2, 3) has 6 elements, not one");
  CHECK(check::message([&] { (void)Tensor<float>().shape(); }) ==
        "[shape] this tensor is undefined (default-constructed)");
  CHECK(check::message([&] {
          Shape({1, 1, 1, 1, 1, 1, 1, 1, 1});
        }) == "[shape] a tensor has at most 8 dimensions");
  CHECK(check::message([&] { Tensor<float>(Shape{2}, Device::cuda(0)); }).find("tandem::cuda") !=
        std::string::npos);
}

TEST_CASE("tensor: a layout outside its storage is refused") {
  const auto storage = make_ref<Storage>(40, Device::cpu());
  CHECK(Tensor<float>(storage, {{2, 5}, {5, 1}, 0}).numel() == 10);
  CHECK(check::message([&] { Tensor<float>(storage, {{2, 5}, {5, 1}, 1}); }) != "");
  CHECK(check::message([&] { Tensor<float>(storage, {{2}, {-1}, 0}); }) != "");
}

TEST_CASE("tensor: borrowed memory stays alive and may be read-only") {
  struct Owner final : RefCounted {
    explicit Owner(bool& gone) : gone_(gone) {}
    ~Owner() override { gone_ = true; }
    bool& gone_;
    float values[4] = {1, 2, 3, 4};
  };
  bool gone = false;
  Tensor<float> row;
  {
    const auto owner = make_ref<Owner>(gone);
    const Tensor<float> x(make_ref<Storage>(owner->values, 16, owner, false), {{2, 2}, {2, 1}, 0});
    row = x[1];
    CHECK(check::message([&] { x.fill_(0); }) ==
          "[tensor] this tensor borrows read-only memory: clone() it before changing it");
  }
  CHECK_FALSE(gone);
  CHECK(row.clone().fill_(9).at({0}) == 9);
  CHECK(row.at({0}) == 3);
  row = Tensor<float>();
  CHECK(gone);
}

TEST_CASE("factories") {
  CHECK(arange<float>(0, 1, 0.25).to_vector() == std::vector<float>{0, 0.25F, 0.5F, 0.75F});
  CHECK(arange<std::int64_t>(5, 0, -2).to_vector() == Values{5, 3, 1});
  CHECK(arange<float>(3, 3).numel() == 0);
  CHECK(linspace<double>(-1, 1, 5).to_vector() == std::vector<double>{-1, -0.5, 0, 0.5, 1});
  CHECK(linspace<double>(2, 3, 1).to_vector() == std::vector<double>{2});
  CHECK(eye<float>(2).to_vector() == std::vector<float>{1, 0, 0, 1});
  CHECK(check::message([] {
          tensor<float>({{1, 2}, {3}});
        }) == "[tensor] rows differ in length: 2 and 1");
  CHECK(check::message([] {
          from_vector<float>(std::vector<double>{1, 2}, Shape{3});
        }) == "[from_vector] shape (3,) needs 3 values, 2 were given");
  CHECK(tensor<double>(2.5).rank() == 0);
  CHECK(tensor<double>(2.5).item() == 2.5);
  CHECK(from_vector<bool>(std::vector<int>{0, 2, -1}, Shape{3}).to_vector() ==
        std::vector<bool>{false, true, true});
}

TEST_CASE("bfloat16: rounding to nearest even, NaN and infinities") {
  CHECK(bfloat16(1.0F).bits == 0x3f80);
  CHECK(bfloat16::from_bits(0x3f81) == 1.0078125F);
  CHECK(bfloat16(1.00390625F).bits == 0x3f80);  // halfway: to even
  CHECK(bfloat16(1.01171875F).bits == 0x3f82);  // halfway: to even, upwards
  CHECK(bfloat16(1.00390637F).bits == 0x3f81);  // just above halfway
  CHECK(bfloat16(3.4e38F).bits == 0x7f80);      // overflows to infinity
  CHECK(std::isnan(static_cast<float>(bfloat16(NAN))));
  CHECK(bfloat16(-INFINITY).bits == 0xff80);
  const Tensor<bfloat16> x = full<bfloat16>({3}, bfloat16(0.5F));
  CHECK(static_cast<float>(x.at({2})) == 0.5F);
}

TEST_CASE("conversion of elements: out of range and NaN become the nearest value") {
  using detail::convert_element;
  CHECK(convert_element<std::uint8_t>(300.0F) == 255);
  CHECK(convert_element<std::uint8_t>(-3.0) == 0);
  CHECK(convert_element<std::int32_t>(1e20) == 2147483647);
  CHECK(convert_element<std::int32_t>(-1e20) == -2147483647 - 1);
  CHECK(convert_element<std::int64_t>(1e30F) == INT64_MAX);
  CHECK(convert_element<std::int64_t>(-1e30F) == INT64_MIN);
  CHECK(convert_element<std::int64_t>(NAN) == 0);
  CHECK(convert_element<std::int32_t>(-2.9) == -2);
  CHECK(convert_element<bool>(0.1F));
}

TEST_CASE("random: Philox's published vectors, splitting, and moments") {
  const Philox zero = Philox::block(0, 0, 0);
  CHECK(zero.word[0] == 0x6627e8d5);
  CHECK(zero.word[3] == 0x9b00dbd8);
  const Philox ones = Philox::block(~0ull, ~0ull, ~0ull);
  CHECK(ones.word[0] == 0x408f276d);
  CHECK(ones.word[3] == 0x6d5451fd);
  Generator a(7), b(7);
  CHECK(check::same(rand<float>({9}, a), rand<float>({9}, b)));
  CHECK(a.position() == 3);
  CHECK_FALSE(check::same(rand<float>({9}, a), rand<float>({9}, b).fill_(0)));
  Generator left = a.split(1), right = a.split(2), again = a.split(1);
  CHECK(left.next_u64() == again.next_u64());
  CHECK(left.next_u64() != right.next_u64());
  // The mean of n draws has standard error σ/√n: five of them are enough for a fixed seed.
  const std::int64_t n = 100000;
  Generator random(11);
  double mean = 0, square = 0;
  for (double v : randn<double>({n}, random).to_vector()) {
    mean += v / n;
    square += v * v / n;
  }
  CHECK(std::fabs(mean) < 5 / std::sqrt(static_cast<double>(n)));
  CHECK(std::fabs(square - 1) < 5 * std::sqrt(2.0 / n));
  for (double v : rand<float>({1000}, random, 2, 3).to_vector()) REQUIRE((v >= 2 && v < 3));
  std::vector<std::int64_t> order = randperm(50, random);
  std::sort(order.begin(), order.end());
  for (std::size_t i = 0; i < order.size(); ++i) REQUIRE(order[i] == static_cast<std::int64_t>(i));
  for (std::int64_t v : randint<std::int64_t>({200}, -2, 3, random).to_vector())
    REQUIRE((v >= -2 && v < 3));
  bool negative = false, positive = false;  // a range longer than the largest int64
  for (std::int64_t v : randint<std::int64_t>({64}, INT64_MIN, INT64_MAX, random).to_vector()) {
    negative = negative || v < INT64_MIN / 2;
    positive = positive || v > INT64_MAX / 2;
  }
  CHECK(negative);
  CHECK(positive);
  CHECK(check::message([&] { randint<std::int64_t>({1}, 3, 3, random); }) ==
        "[randint] the range [3, 3) is empty");
}

TEST_CASE("allocator: bytes in use are counted and blocks come back") {
  const MemoryStats before = memory_stats();
  {
    const Tensor<float> x(Shape{1 << 20});
    CHECK(memory_stats().current - before.current == 4 << 20);
    reset_peak_memory();
    const void* place = nullptr;
    {
      const Tensor<float> y(Shape{1 << 18});
      place = y.data();
    }
    CHECK(memory_stats().peak - before.current == 5 << 20);
    CHECK(memory_stats().current - before.current == 4 << 20);
    const Tensor<float> z(Shape{1 << 18});
    if (TANDEM_ALLOCATOR_KEEPS) CHECK(z.data() == place);
  }
  CHECK(memory_stats().current == before.current);
  release_kept_memory();
  CHECK(memory_stats().kept == 0);
}

TEST_CASE("printing: as NumPy prints (values from numpy 2.4, precision 4)") {
  CHECK(to_string(tensor<float>({1, 2.5F, -3.25F})) == "[ 1.  ,  2.5 , -3.25]");
  CHECK(to_string(tensor<float>({{1, 2}, {3, 4}})) == "[[1., 2.],\n [3., 4.]]");
  CHECK(to_string(tensor<std::int64_t>({{1, 20}, {-3, 4}})) == "[[ 1, 20],\n [-3,  4]]");
  CHECK(to_string(tensor<bool>({true, false})) == "[ True, False]");
  CHECK(to_string(tensor<float>({1e-9F, 1})) == "[1.e-09, 1.e+00]");
  CHECK(to_string(tensor<double>({NAN, INFINITY, -1})) == "[nan, inf, -1.]");
  CHECK(to_string(tensor<double>({NAN, INFINITY, -1.5, 22.25})) == "[  nan,   inf, -1.5 , 22.25]");
  CHECK(to_string(tensor<double>({0.123456789, 1000})) == "[1.2346e-01, 1.0000e+03]");
  CHECK(to_string(Tensor<float>()) == "undefined");
  CHECK(to_string(zeros<float>({0, 3})) == "[]");
  CHECK(to_string(tensor<double>(0.5)) == "0.5");
  CHECK(to_string(arange<std::int64_t>(2000)) == "[   0,    1,    2, ..., 1997, 1998, 1999]");
  CHECK(to_string(counted({2, 1, 2})) == "[[[0, 1]],\n\n [[2, 3]]]");
  CHECK(to_string(counted({2, 3}).transpose(0, 1)) == "[[0, 3],\n [1, 4],\n [2, 5]]");
  std::ostringstream stream;
  stream << tensor<float>({0.5F});
  CHECK(stream.str() == "[0.5]");
}

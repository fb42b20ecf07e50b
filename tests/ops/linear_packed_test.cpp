#include "tandem/ops/linear_packed.hpp"

#include "check.hpp"
#include "tandem/cpu/isa.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

namespace {

template <class T>
Tensor<T> normal(const Shape& shape, std::uint64_t seed) {
  return check::cast<T>(check::normal(shape, seed));
}

/// linear_packed against the op that it stands for, at 30 rows (the same bits) and at 1 and 7,
/// where that op takes a dot product with another order of sums.
template <class T, class W, class Plain>
void compare(const Plain& plain) {
  constexpr Activation kinds[] = {Activation::none, Activation::relu, Activation::gelu,
                                  Activation::quick_gelu};
  for (const cpu::Isa isa : cpu::supported_isas()) {
    const cpu::IsaScope scope(isa);
    INFO("instruction set ", cpu::name(isa));
    for (const std::int64_t in : {1, 33, 700}) {
      const std::int64_t out = in == 33 ? 5 : 65;
      const Tensor<W> w = check::cast<float>(check::normal({out, in}, 1)).template to<W>();
      const PackedWeight<W> packed(w);
      const Tensor<T> b = normal<T>({out}, 2);
      for (const std::int64_t rows : {1, 7, 30}) {
        const Tensor<T> x = normal<T>({rows, in}, 3), r = normal<T>({rows, out}, 4);
        for (const Activation activation : kinds) {
          const Tensor<T> ours = linear_packed(x, packed, b, activation, r),
                          theirs = plain(x, w, b, activation, r);
          // k products of normal numbers, each rounded, as are the sums; slope at most 1.2.
          const double unit = std::is_same_v<T, double> ? 0x1p-53 : 0x1p-24;
          const double bound =
              rows > 24 && out > 24 ? 0 : 1.2 * 40 * unit * std::sqrt(double(in)) * 4;
          CHECK(check::distance(check::cast<double>(ours), check::cast<double>(theirs)) <= bound);
          CHECK(check::distance(check::cast<double>(ours), check::cast<double>(r)) > 0.01);
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("linear_packed is linear and linear_bf16") {
  compare<float, float>([](auto&&... all) { return linear(all...); });
  compare<double, double>([](auto&&... all) { return linear(all...); });
  compare<float, bfloat16>([](auto&&... all) { return linear_bf16(all...); });
}

TEST_CASE("linear_packed: leading dimensions, strided operands, thread counts, nothing") {
  const Tensor<float> x = normal<float>({300, 129}, 1), w = normal<float>({65, 129}, 2),
                      b = normal<float>({65}, 3);
  const PackedWeight<float> packed(w);
  check::any_thread_count(
      [&] { return std::vector{linear_packed(x, packed, b, Activation::gelu)}; });
  const Tensor<float> y = linear_packed(x, packed, b);
  CHECK(
      check::same(linear_packed(autograd::make_strided(x), packed, autograd::make_strided(b)), y));
  CHECK(check::same(linear_packed(x.view({3, 100, 129}), packed, b), y.view({3, 100, 65})));
  CHECK(linear_packed(zeros<float>({0, 129}), packed).shape() == Shape{0, 65});
  const PackedWeight<float> none(zeros<float>({3, 0}));
  CHECK(check::same(linear_packed(zeros<float>({2, 0}), none, ones<float>({3})),
                    ones<float>({2, 3})));
}

TEST_CASE("a packed weight knows of which tensor it is the copy") {
  const Tensor<float> w = normal<float>({6, 4}, 1), same_values = w.clone();
  const PackedWeight<float> packed(w);
  CHECK(packed.holds(w));
  CHECK(packed.holds(w.view({3, 2, 4})));
  CHECK_FALSE(packed.holds(same_values));
  CHECK_FALSE(packed.holds(w.slice(0, 0, 3)));
  CHECK_FALSE(packed.holds(w.transpose(0, 1)));
  CHECK_FALSE(packed.holds({}));
  w.fill_(1);
  CHECK_FALSE(packed.holds(w));
}

TEST_CASE("linear_packed says what is wrong") {
  const PackedWeight<float> packed(zeros<float>({3, 2}));
  CHECK(check::message([&] {
          linear_packed(zeros<float>({4, 3}), packed);
        }) == "[linear_packed] x of shape (4, 3) does not fit a weight (out, in) of shape (3, 2)");
  const Tensor<float> learns = zeros<float>({4, 2});
  learns.requires_grad_();
  CHECK(
      check::message([&] { linear_packed(learns, packed); }) ==
      "[linear_packed] has no backward, but an input needs a gradient: detach() it or use NoGrad");
  CHECK(check::message([&] { PackedWeight<float>(zeros<float>({3})); }) ==
        "[packed_weight] expected a dense weight (out, in), got shape (3,)");
  CHECK(check::message([&] {
          PackedWeight<float>(zeros<float>({3, 2}).transpose(0, 1));
        }) == "[packed_weight] expected a dense weight (out, in), got shape (2, 3)");
  const autograd::AnomalyMode anomalies;
  const Tensor<float> broken = full<float>({1, 2}, std::nanf(""));
  CHECK(check::message([&] { linear_packed(broken, packed); }).find("linear_packed") !=
        std::string::npos);
}

#include "tandem/ops/dropout.hpp"

#include "check.hpp"
#include "tandem/cpu/isa.hpp"

using namespace tandem;

TEST_CASE("dropout: gradients at odd sizes, with the same mask in forward and backward") {
  for (const Shape& shape : {Shape{1}, Shape{7}, Shape{33}, Shape{3, 31}, Shape{2, 3, 77}}) {
    check::gradients(
        [](const auto& x) {
          Generator random(1);  // keeps the first element
          return dropout(x[0], 0.3, random);
        },
        {check::normal(shape, 1)});
  }
}

TEST_CASE("dropout: an element goes when its word of Philox is below p, on every instruction set") {
  for (const cpu::Isa isa : cpu::supported_isas()) {
    const cpu::IsaScope scope(isa);
    for (const double p : {0.1, 0.5, 0.9}) {
      Generator random(6), words(6);
      random.seek(3);
      words.seek(3);
      const Tensor<double> y = dropout(ones<double>({1003}), p, random);
      std::int64_t wrong = 0;
      for_each_random_word(1003, words, [&](std::int64_t i, std::uint32_t word) {
        const bool kept = static_cast<double>(word) >= std::floor(p * 0x1p32);
        wrong += y.at({i}) != (kept ? 1 / (1 - p) : 0);
      });
      CHECK(wrong == 0);
      CHECK(random.position() == words.position());
    }
  }
}

TEST_CASE("dropout: the same mask for any thread count and layout; the mean stays") {
  const Tensor<double> x = ones<double>({50000});
  x.requires_grad_();
  check::any_thread_count([&] {
    Generator random(6);
    return std::vector<Tensor<double>>{dropout(x.detach(), 0.25, random)};
  });
  Generator random(6), again(6);
  const Tensor<double> y = dropout(x, 0.25, random);
  CHECK(check::same(dropout(autograd::make_strided(x.detach()), 0.25, again), y.detach()));
  y.backward(ones<double>({50000}));
  CHECK(check::same(x.grad(), y.detach()));  // both are mask/(1 − p)
  double total = 0;
  for (double v : y.detach().to_vector()) {
    REQUIRE((v == 0 || v == 1 / 0.75));
    total += v / 50000;
  }
  // One element has variance p/(1 − p) = 1/3.
  CHECK(std::fabs(total - 1) < 5 * std::sqrt(1.0 / 3 / 50000));
}

TEST_CASE("dropout: evaluation, p = 0, dropped NaN, messages") {
  Generator random(1);
  const Tensor<float> x = full<float>({1000}, NAN);
  CHECK(dropout(x, 0.5, random, false).is_same(x));
  CHECK(dropout(x, 0, random).is_same(x));
  CHECK(random.position() == 0);
  std::int64_t zeros_ = 0;
  for (float v : dropout(x, 0.5, random).to_vector()) zeros_ += v == 0;
  CHECK(zeros_ > 400);  // a dropped NaN is gone; 500 ± 16 are dropped
  CHECK(dropout(zeros<float>({0, 3}), 0.5, random).shape() == Shape{0, 3});
  CHECK(check::message([&] { dropout(x, 1, random); }) ==
        "[dropout] the probability must lie in [0, 1), it is 1");
  CHECK(check::message([&] { dropout(x, NAN, random); }).find("[dropout] the probability") == 0);
}

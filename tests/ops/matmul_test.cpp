#include "tandem/ops/matmul.hpp"

#include "golden.hpp"

using namespace tandem;

namespace {

/// The definition, one scalar at a time, for two-dimensional inputs.
Tensor<double> by_hand(const Tensor<double>& a, const Tensor<double>& b) {
  const Tensor<double> c = zeros<double>({a.size(0), b.size(1)});
  for (std::int64_t i = 0; i < a.size(0); ++i) {
    for (std::int64_t j = 0; j < b.size(1); ++j) {
      double sum = 0;
      for (std::int64_t l = 0; l < a.size(1); ++l) sum += a.at({i, l}) * b.at({l, j});
      c.set({i, j}, sum);
    }
  }
  return c;
}

Tensor<double> product(const std::vector<Tensor<double>>& x) { return matmul(x[0], x[1]); }

}  // namespace

TEST_CASE("matmul agrees with PyTorch") {
  for (const char* key :
       {"matmul.2d", "matmul.batched", "matmul.broadcast", "matmul.batched_by_2d"}) {
    golden::compare(key, {"a", "b"}, product);
  }
}

TEST_CASE("matmul equals the definition at odd sizes and in every layout") {
  for (const std::int64_t m : {1, 3, 7, 33}) {
    for (const std::int64_t k : {1, 7, 31, 77}) {
      for (const std::int64_t n : {1, 3, 31, 33}) {
        const Tensor<double> a = check::normal({m, k}, 1), b = check::normal({k, n}, 2);
        const Tensor<double> at = a.transpose(0, 1).contiguous().transpose(0, 1);
        const Tensor<double> bt = b.transpose(0, 1).contiguous().transpose(0, 1);
        const Tensor<double> as = autograd::make_strided(a), bs = autograd::make_strided(b);
        const Tensor<double> expected = by_hand(a, b);
        for (const Tensor<double>& left : {a, at, as}) {
          for (const Tensor<double>& right : {b, bt, bs}) {
            // Sums of k products of normal numbers, |sum| below 60: k roundings of 2⁻⁵³ each.
            CHECK(check::distance(matmul(left, right), expected) <
                  60 * 0x1p-53 * static_cast<double>(k + 1));
          }
        }
      }
    }
  }
}

TEST_CASE("matmul: gradients of vectors, matrices and batches, strided and transposed") {
  const auto normal = check::normal;
  check::gradients(product, {normal({3, 7}, 1), normal({7, 5}, 2)});
  check::gradients(product, {normal({7}, 1), normal({7}, 2)});
  check::gradients(product, {normal({7}, 1), normal({7, 3}, 2)});
  check::gradients(product, {normal({3, 7}, 1), normal({7}, 2)});
  check::gradients(product, {normal({2, 3, 4}, 1), normal({4}, 2)});
  check::gradients(product, {normal({4}, 1), normal({2, 4, 3}, 2)});
  check::gradients(product, {normal({2, 3, 4}, 1), normal({4, 5}, 2)});
  check::gradients(product, {normal({3, 4}, 1), normal({2, 4, 5}, 2)});
  check::gradients(product, {normal({2, 1, 3, 4}, 1), normal({3, 4, 1}, 2)});
  check::gradients(product, {normal({1, 1}, 1), normal({1, 1}, 2)});
  const auto transposed = [](const auto& x) {
    return matmul(x[0].transpose(-1, -2), x[1].transpose(-1, -2));
  };
  check::gradients(transposed, {normal({4, 3}, 1), normal({5, 4}, 2)});
  check::gradients(transposed, {normal({2, 4, 3}, 1), normal({2, 5, 4}, 2)});
  check::gradients(
      [](const auto& x) {
        return matmul(x[0].permute({1, 0, 2}), x[1].permute({1, 2, 0}));
      },
      {normal({3, 2, 4}, 1), normal({5, 2, 4}, 2)});
}

TEST_CASE("matmul of nothing") {
  CHECK(matmul(zeros<float>({0, 3}), zeros<float>({3, 2})).shape() == Shape{0, 2});
  CHECK(matmul(zeros<float>({2, 0}), zeros<float>({0, 3})).to_vector() == std::vector<float>(6, 0));
  CHECK(matmul(zeros<float>({0, 2, 3}), zeros<float>({3, 4})).shape() == Shape{0, 2, 4});
  CHECK(matmul(zeros<float>({0, 2, 3}), zeros<float>({0, 3, 4})).shape() == Shape{0, 2, 4});
}

TEST_CASE("matmul: float follows double, bfloat16 is exact products added in float") {
  const Tensor<double> a = check::normal({33, 300}, 3), b = check::normal({300, 31}, 4);
  // |aᵢ|·|bⱼ| over 300 terms is below 300; float rounds inputs, products and sums: 302 · 2⁻²⁴.
  const double bound = 300 * 302 * 0x1p-24;
  CHECK(check::distance(matmul(check::cast<float>(a), check::cast<float>(b)), matmul(a, b)) <
        bound);

  const Tensor<bfloat16> ha = detail::converted<bfloat16>(a), hb = detail::converted<bfloat16>(b);
  const Tensor<double> da = detail::converted<double>(ha), db = detail::converted<double>(hb);
  const Tensor<float> c = matmul(ha, hb);
  CHECK(check::distance(c, matmul(da, db)) < bound);

  ha.requires_grad_();
  hb.requires_grad_();
  matmul(ha, hb).backward(ones<float>({33, 31}));
  da.requires_grad_();
  db.requires_grad_();
  matmul(da, db).backward(ones<double>({33, 31}));
  // The gradients, sums of about 32 numbers below 100, are rounded to 8 bits.
  CHECK(check::distance(ha.grad(), da.grad()) < 100 * 0x1p-8);
  CHECK(check::distance(hb.grad(), db.grad()) < 100 * 0x1p-8);
}

TEST_CASE("matmul has the same bits for any thread count") {
  const Tensor<float> a = check::cast<float>(check::normal({3, 150, 200}, 5));
  const Tensor<float> b = check::cast<float>(check::normal({3, 200, 170}, 6));
  check::any_thread_count([&] {
    const Tensor<float> x = a.clone(), y = b.clone();
    x.requires_grad_();
    y.requires_grad_();
    const Tensor<float> c = matmul(x, y);
    c.backward(c.detach());
    return std::vector{c, x.grad(), y.grad()};
  });
}

TEST_CASE("matmul says what is wrong") {
  const auto said = [](const Shape& a, const Shape& b) {
    return check::message([&] { matmul(zeros<float>(a), zeros<float>(b)); });
  };
  CHECK(said({2, 3}, {4, 5}) == "[matmul] inner dimensions differ: a is (2, 3), b is (4, 5)");
  CHECK(said({3}, {4}) == "[matmul] inner dimensions differ: a is (3,), b is (4,)");
  CHECK(said({2, 2, 3}, {3, 3, 5}) == "[matmul] shapes do not broadcast: (2,) and (3,)");
  CHECK(said({}, {3}) == "[matmul] inputs must have at least one dimension: a is (), b is (3,)");
}

#include "tandem/ops/softmax.hpp"

#include <cmath>
#include <cstring>

#include "golden.hpp"

using namespace tandem;

TEST_CASE("softmax and log_softmax agree with PyTorch") {
  for (const bool log : {false, true}) {
    const std::string name = log ? "log_softmax" : "softmax";
    const auto op = [&](const auto& x, int dim, const Tensor<bool>& mask = {}) {
      return log ? log_softmax(x[0], dim, mask) : softmax(x[0], dim, mask);
    };
    golden::compare(name + ".last", {"x"}, [&](const auto& x) { return op(x, -1); });
    golden::compare(name + ".dim1", {"x"}, [&](const auto& x) { return op(x, 1); });
    golden::compare(name + ".large", {"x"}, [&](const auto& x) { return op(x, -1); });
  }
  const Tensor<bool> mask = golden::mask("softmax.masked.mask");
  golden::compare("softmax.masked", {"x"}, [&](const auto& x) { return softmax(x[0], -1, mask); });
}

TEST_CASE("masked log_softmax agrees with PyTorch, and is -inf where masked") {
  const std::string key = "log_softmax.masked.";
  const Tensor<double> x = golden::get(key + "x"), expected = golden::get(key + "out");
  const Tensor<bool> mask = golden::mask(key + "mask");
  x.requires_grad_();
  const Tensor<double> y = log_softmax(x, -1, mask);
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    if (mask.data()[i]) {
      CHECK(std::fabs(y.data()[i] - expected.data()[i]) < 1e-12);
    } else {
      CHECK(y.data()[i] == -INFINITY);  // the file has 0 here
    }
  }
  y.backward(golden::get(key + "cot"));
  CHECK(check::distance(x.grad(), golden::get(key + "d_x")) < 1e-12);
}

TEST_CASE("softmax: gradients on every dimension, odd lengths, masks") {
  for (const std::int64_t n : {2, 3, 7, 31, 33, 77}) {
    const Tensor<double> x = check::normal({2, n, 3}, static_cast<std::uint64_t>(n));
    Tensor<bool> mask(Shape{n, 1});
    for (std::int64_t i = 0; i < n; ++i) mask.mutable_data()[i] = n < 3 || i % 3 != 1;
    for (const int dim : {0, 1, 2}) {
      check::gradients([&](const auto& v) { return softmax(v[0], dim); }, {x});
      check::gradients([&](const auto& v) { return log_softmax(v[0], dim); }, {x});
    }
    check::gradients([&](const auto& v) { return softmax(v[0], 1, mask); }, {x});
    check::gradients(
        [&](const auto& v) { return softmax(v[0].transpose(1, 2), 2, mask.view({n})); }, {x});
  }
  // One entry: probability 1 whatever it is.
  CHECK(softmax(tensor<float>({7})).item() == 1);
  CHECK(log_softmax(tensor<float>({7})).item() == 0);
  CHECK(softmax(zeros<float>({0, 3})).shape() == Shape{0, 3});
  CHECK(softmax(zeros<float>({3, 0})).shape() == Shape{3, 0});
}

TEST_CASE("softmax down a dimension equals softmax of the transposed rows") {
  const Tensor<double> x = check::normal({3, 31, 70}, 1);
  // Equal up to the order of the sums of 31 numbers in (0, 1].
  for (const auto op : {softmax<double>, log_softmax<double>}) {
    CHECK(check::distance(op(x, 1, {}), op(x.transpose(1, 2), 2, {}).transpose(1, 2)) <
          40 * 0x1p-52);
  }
}

TEST_CASE("rows in which nothing takes part, on both kinds of dimension") {
  const Tensor<float> x = tensor<float>({{1, NAN, 3}, {4, 5, 6}});
  const Tensor<bool> mask = tensor<bool>({{false, false, false}, {true, false, true}});
  for (const bool down : {false, true}) {
    const Tensor<float> in = (down ? x.transpose(0, 1).contiguous() : x).clone();
    const Tensor<bool> keep = down ? mask.transpose(0, 1) : mask;
    in.requires_grad_();
    const Tensor<float> y = softmax(in, down ? 0 : 1, keep);
    y.backward(y.detach());
    const Tensor<float> p = down ? y.transpose(0, 1) : y;
    const Tensor<float> g = down ? in.grad().transpose(0, 1) : in.grad();
    const float e = std::exp(-2.0F), high = 1 / (1 + e), low = e / (1 + e);
    const float expected[] = {0, 0, 0, low, 0, high};
    for (std::int64_t i = 0; i < 6; ++i) {
      CHECK(p.at({i / 3, i % 3}) == doctest::Approx(expected[i]).epsilon(1e-6));
      if (expected[i] == 0) CHECK(g.at({i / 3, i % 3}) == 0);
    }
    in.zero_grad();
    const Tensor<float> l = log_softmax(in, down ? 0 : 1, keep);
    l.backward(ones_like(l));
    const Tensor<float> lp = down ? l.transpose(0, 1) : l;
    const Tensor<float> lg = down ? in.grad().transpose(0, 1) : in.grad();
    for (std::int64_t i = 0; i < 6; ++i) {
      if (expected[i] != 0) continue;
      CHECK(lp.at({i / 3, i % 3}) == -INFINITY);
      CHECK(lg.at({i / 3, i % 3}) == 0);
    }
  }
}

TEST_CASE(
    "softmax: a short row gives the same bits alone and beside others, on every instruction set") {
  for (const cpu::Isa isa : cpu::supported_isas()) {
    const cpu::IsaScope scope(isa);
    CAPTURE(cpu::name(isa));
    for (std::int64_t n = 1; n <= 70; ++n) {
      CAPTURE(n);
      const Tensor<double> x = check::normal({5, n}, static_cast<std::uint64_t>(n));
      if (n > 1) x.mutable_data()[n - 1] = -INFINITY;  // does not take part
      for (std::int64_t i = 0; i < n; ++i) x.mutable_data()[n + i] = -INFINITY;  // nothing does
      x.mutable_data()[2 * n + n / 2] = NAN;
      const Tensor<float> xf = check::cast<float>(x), together = softmax(xf);
      const Tensor<double> exact = softmax(check::cast<double>(xf));
      for (std::int64_t r = 0; r < 5; ++r) {
        const Tensor<float> alone = softmax(xf.slice(0, r, r + 1));
        const std::size_t bytes = sizeof(float) * static_cast<std::size_t>(n);
        CHECK(std::memcmp(alone.data(), together.data() + r * n, bytes) == 0);
        // x − m to half an ulp of 8, e to 2 ulp, a sum of 70 terms in 4 lanes to 20 roundings.
        for (std::int64_t i = 0; i < n; ++i) {
          if (r == 2) {
            CHECK(std::isnan(together.at({r, i})));
          } else {
            CHECK(std::fabs(together.at({r, i}) - exact.at({r, i})) < (8 + 2 + 20 + 2) * 0x1p-24);
          }
        }
      }
      if (n > 1) CHECK(together.at({0, n - 1}) == 0);
      CHECK(together.at({1, 0}) == 0);
    }
  }
}

TEST_CASE("softmax: float follows double, same bits for any thread count") {
  const Tensor<double> x = check::normal({97, 513}, 2);
  const Tensor<float> xf = check::cast<float>(x);
  const Tensor<double> same_x = check::cast<double>(xf);
  // y = e^(x−m)/Σ: x − m is exact to half an ulp of 8 and e to 2 ulp, the sum of 513 terms in
  // 16 lanes to 35 roundings, relative to y ≤ 1.
  CHECK(check::distance(softmax(xf), softmax(same_x)) < (8 + 2 + 35 + 2) * 0x1p-24);
  for (const int dim : {0, 1}) {
    check::any_thread_count([&] {
      const Tensor<float> leaf = xf.clone();
      leaf.requires_grad_();
      const Tensor<float> y = softmax(leaf, dim), z = log_softmax(leaf, dim);
      y.backward(xf);
      z.backward(xf);
      return std::vector{y, z, leaf.grad()};
    });
  }
}

TEST_CASE("softmax says what is wrong") {
  CHECK(check::message([] {
          softmax(zeros<float>({2, 3}), -1, zeros<bool>({2, 1, 3}));
        }) == "[softmax] a mask of shape (2, 1, 3) does not broadcast to (2, 3)");
  CHECK(check::message([] {
          log_softmax(zeros<float>({2, 3}), 2);
        }) == "[log_softmax] dimension 2 is out of range for a tensor of 2 dimensions");
}

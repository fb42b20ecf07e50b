#pragma once
/// What the tests of the ops share: closeness, layouts, thread counts and messages.

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "../cpu/shared.hpp"
#include "tandem/autograd.hpp"

namespace check {

using tandem::Tensor;

/// The largest |a − b|, or infinity when shapes differ or either holds NaN where the other does
/// not.
template <class A, class B>
double distance(const Tensor<A>& a, const Tensor<B>& b) {
  if (!(a.shape() == b.shape())) return INFINITY;
  const std::vector<A> x = a.to_vector();
  const std::vector<B> y = b.to_vector();
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double u = static_cast<double>(x[i]), v = static_cast<double>(y[i]);
    if (u == v || (u != u && v != v)) continue;
    const double d = std::fabs(u - v);
    if (!(d <= worst)) worst = d != d ? INFINITY : d;
  }
  return worst;
}

/// Same shape and same bits (NaN equals NaN).
template <class A>
bool same(const Tensor<A>& a, const Tensor<A>& b) {
  return distance(a, b) == 0;
}

template <class To, class From>
Tensor<To> cast(const Tensor<From>& x) {
  return tandem::from_vector<To>(x.to_vector(), x.shape());
}

/// Standard normal numbers from a seed.
inline Tensor<double> normal(const tandem::Shape& shape, std::uint64_t seed) {
  tandem::Generator random(seed);
  return tandem::randn<double>(shape, random);
}

/// The message of the Error that f throws; "" when it throws none.
template <class F>
std::string message(F&& f) {
  try {
    f();
  } catch (const tandem::Error& error) {
    return error.what();
  }
  return "";
}

using tandem_test::Threads;

/// Runs f (which returns a vector of tensors) with 1, 2 and 3 threads: all must have the same bits.
template <class F>
void any_thread_count(F&& f) {
  std::vector<decltype(f())> results;
  for (int threads : {1, 2, 3}) {
    const Threads scope(threads);
    results.push_back(f());
  }
  for (std::size_t run = 1; run < results.size(); ++run) {
    REQUIRE(results[run].size() == results[0].size());
    for (std::size_t i = 0; i < results[0].size(); ++i) {
      CHECK_MESSAGE(same(results[run][i], results[0][i]), "result ", i, " with ", run + 1,
                    " threads");
    }
  }
}

/// gradcheck on the inputs as they are and, each alone and all together, in a strided layout.
template <class F>
void gradients(const F& f, const std::vector<Tensor<double>>& inputs,
               const tandem::autograd::GradcheckOptions& options = {}) {
  tandem::gradcheck(f, inputs, options);
  const std::size_t n = inputs.size();
  for (std::size_t which = 0; which <= (n > 1 ? n : 0); ++which) {
    std::vector<Tensor<double>> strided = inputs;
    for (std::size_t i = 0; i < n; ++i) {
      if (inputs[i].rank() > 0 && (which == n || which == i)) {
        strided[i] = tandem::autograd::make_strided(inputs[i]);
      }
    }
    tandem::gradcheck(f, strided, options);
  }
}

}  // namespace check

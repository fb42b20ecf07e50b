#pragma once
/// Runs a test on the CPU and on Device::cuda(), whatever that is in this program (backend.hpp).

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "../ops/check.hpp"
#include "backend.hpp"
#include "tandem/ops/to.hpp"

namespace devices {

using tandem::Device;
using tandem::Tensor;

/// Lengths around warps and blocks, and primes.
inline const std::vector<std::int64_t> sizes = {1, 2, 31, 32, 33, 77, 197, 257, 1031};

/// The tensor inside of a larger one on `device`, between numbers that could as well be its own:
/// what is read or written beside it shows in the results, where the fence around an allocation
/// would not.
template <class T>
struct Inside {
  Tensor<T> whole, part;
  Inside(const Tensor<T>& x, Device device, T beside) {
    const std::int64_t n = x.numel();
    whole = tandem::full<T>({n + 2 * margin}, beside, device);
    part = whole.slice(0, margin, margin + n).reshape(x.shape());
    part.copy_(x.to(device));
    beside_ = beside;
  }
  /// Whether nothing was written beside it.
  bool margins_stand() const {
    const Tensor<T> now = whole.detach().to(Device::cpu());
    const std::int64_t n = now.numel();
    for (std::int64_t i = 0; i < margin; ++i) {
      if (!(now.at({i}) == beside_ && now.at({n - 1 - i}) == beside_)) return false;
    }
    return true;
  }

 private:
  static constexpr std::int64_t margin = 64;  // 16 bytes keep their place
  T beside_ = T(0);
};

/// f(device) on the CPU, and on Device::cuda() in every order of its threads.
template <class F>
void each(F&& f) {
  {
    INFO("on cpu");
    f(Device::cpu());
  }
  for (int order = 0; order < backend::orders; ++order) {
    backend::set_order(order);
    INFO("on ", std::string(backend::name), ", order ", order);
    f(Device::cuda());
  }
  backend::set_order(0);
}

/// What f(device), a vector of tensors, gives on Device::cuda(): the same bits in every order.
template <class F>
auto same_in_every_order(F&& f) {
  backend::set_order(0);
  auto first = f(Device::cuda());
  for (auto& tensor : first) tensor = tensor.to(Device::cpu());
  for (int order = 1; order < backend::orders + 1; ++order) {  // once more, also on a GPU
    backend::set_order(order);
    const auto again = f(Device::cuda());
    REQUIRE(again.size() == first.size());
    for (std::size_t i = 0; i < first.size(); ++i) {
      CHECK_MESSAGE(check::same(again[i].to(Device::cpu()), first[i]), "result ", i, " in order ",
                    order);
    }
  }
  backend::set_order(0);
  return first;
}

/// gradcheck of f, whose inputs and result are on `device`, as they are and strided.
template <class F>
void gradients(Device device, const F& f, const std::vector<Tensor<double>>& inputs) {
  check::gradients(
      [&](const std::vector<Tensor<double>>& x) {
        std::vector<Tensor<double>> there;
        for (const Tensor<double>& input : x) there.push_back(input.to(device));
        const Tensor<double> y = f(there);
        CHECK(y.device() == device);
        return y.to(Device::cpu());
      },
      inputs);
}

/// f on float tensors on `device` and its gradients, against f on the CPU in double: both within
/// `bound`. The first tensor is the result, the others are the gradients of the inputs for a random
/// cotangent.
template <class F>
void float_follows_double(Device device, const F& f, const std::vector<Tensor<double>>& inputs,
                          double bound) {
  const auto run = [&]<class T>(Device where, T) {
    std::vector<Tensor<T>> leaves;
    for (const Tensor<double>& input : inputs) {
      leaves.push_back(check::cast<T>(input).to(where));
      leaves.back().requires_grad_();
    }
    const Tensor<T> y = f(leaves);
    // Rounded to float first, so that both see the same numbers.
    const Tensor<T> cotangent = check::cast<T>(check::cast<float>(check::normal(y.shape(), 99)));
    y.backward(cotangent.to(where));
    std::vector<Tensor<T>> out{y.detach()};
    for (const Tensor<T>& leaf : leaves) {
      CHECK(leaf.grad().device() == where);
      out.push_back(leaf.grad());
    }
    return out;
  };
  const auto exact = run(Device::cpu(), double());
  const auto got = run(device, float());
  for (std::size_t i = 0; i < exact.size(); ++i) {
    CAPTURE(i);
    CHECK(check::distance(got[i], exact[i]) <= bound);
  }
}

/// Normal numbers that float holds exactly, so that float and double start from the same values.
inline Tensor<double> normal(const tandem::Shape& shape, std::uint64_t seed) {
  return check::cast<double>(check::cast<float>(check::normal(shape, seed)));
}

inline constexpr double float_eps = 0x1p-24;

/// How far exp, log, log1p, erf, tanh, sin, cos may be from their exact values, relative, in
/// roundings of their type: the larger of what cpu/vmath.hpp promises, an ulp, and of what CUDA
/// does, two ulps from the correctly rounded result.
/// [CUDA C++ Programming Guide, Mathematical Functions, tables of maximum ulp errors]
///
inline constexpr double function_error = 5;

}  // namespace devices

#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "tandem/autograd/backward.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/formula/clip_grad.hpp"
#include "tandem/ops/parts/common.hpp"
#include "tandem/optim/parameters.hpp"

TANDEM_NAMESPACE_BEGIN
namespace optim {
namespace detail {

using formula::GradientTensor;

template <class T>
void squares_on_cpu(double* total, const GradientTensor<const T>* gradients, std::int64_t count) {
  constexpr std::int64_t chunk = 4096;
  *total = 0;
  for (std::int64_t k = 0; k < count; ++k) {
    const T* data = gradients[k].data;
    const std::int64_t n = gradients[k].size;
    std::vector<double> partial(static_cast<std::size_t>((n + chunk - 1) / chunk));
    cpu::parallel_chunks(n, chunk, [&](std::int64_t index, std::int64_t begin, std::int64_t end) {
      double sum[8] = {};
      for (std::int64_t i = begin; i < end; ++i) {
        const double value = static_cast<double>(data[i]);
        sum[(i - begin) % 8] += value * value;
      }
      partial[static_cast<std::size_t>(index)] =
          ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
    });
    for (double value : partial) *total += value;
  }
}
template <class T>
void scale_on_cpu(const GradientTensor<T>* gradients, std::int64_t count, T factor) {
  for (std::int64_t k = 0; k < count; ++k) {
    T* const data = gradients[k].data;
    cpu::parallel_for(gradients[k].size, 1 << 15, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) data[i] = T(data[i] * factor);
    });
  }
}

/// *total = Σ g² over all elements of `count` gradients.
template <class T>
inline const Kernel<void(Queue&, double* total, const GradientTensor<const T>* gradients,
                         std::int64_t count)>
    gradient_squares{"gradient_squares", squares_on_cpu<T>};
/// g ← g·factor.
template <class T>
inline const Kernel<void(Queue&, const GradientTensor<T>* gradients, std::int64_t count, T factor)>
    scale_gradients{"scale_gradients", scale_on_cpu<T>};

/// Calls f(device, gradients, count) for the gradients on each device, in their order; P: T to
/// write, const T to read.
template <class P, FloatingElement T, class F>
void for_each_device(const std::vector<Tensor<T>>& gradients, F&& f) {
  std::vector<Device> devices;
  for (const Tensor<T>& g : gradients) {
    if (std::find(devices.begin(), devices.end(), g.device()) == devices.end())
      devices.push_back(g.device());
  }
  for (const Device device : devices) {
    std::vector<GradientTensor<P>> list;
    for (const Tensor<T>& g : gradients) {
      if (g.device() != device) continue;
      if constexpr (std::is_const_v<P>) {
        list.push_back({g.device_data(), g.numel()});
      } else {
        list.push_back({g.mutable_device_data(), g.numel()});
      }
    }
    f(device, list.data(), static_cast<std::int64_t>(list.size()));
  }
}

}  // namespace detail

/// The Euclidean norm of all gradients taken as one vector; 0 when there are none. On the CPU
/// partial sums of 4096 elements in double are added in order: any thread count gives the same
/// bits. On a GPU, which is waited for once, floats are squared and added in float, 16384 at a
/// time: a gradient above 1e19 gives infinity.  Errors: one tensor twice, which would count twice.
template <FloatingElement T>
double grad_norm(const std::vector<Tensor<T>>& parameters) {
  detail::refuse_shared("grad_norm", detail::numbered(parameters));
  std::vector<Tensor<T>> gradients;
  for (const Tensor<T>& p : parameters) {
    if (!p.grad().defined()) continue;
    tandem::detail::require_kernels("grad_norm", p, detail::gradient_squares<T>,
                                    detail::scale_gradients<T>);
    gradients.push_back(p.grad().contiguous());
  }
  std::vector<Tensor<double>> totals;
  detail::for_each_device<const T>(
      gradients, [&](Device device, const auto* list, std::int64_t count) {
        totals.push_back(Tensor<double>(Shape(), device));
        detail::gradient_squares<T>(device, totals.back().mutable_device_data(), list, count);
      });
  double sum = 0;
  for (const Tensor<double>& total : totals) sum += total.item();
  return __builtin_sqrt(sum);
}

/// clip_grad_norm — g ← g·min(1, max_norm/(‖g‖ + 1e-6)) for all gradients as one vector.
///                                                [Pascanu et al. 2013, algorithm 1; 1e-6: PyTorch]
/// Returns the norm before clipping; throws when it is not finite, and leaves the gradients alone.
/// A gradient that somebody else holds, as x.grad() or as another parameter's, does not change
/// under him.
template <FloatingElement T>
double clip_grad_norm(const std::vector<Tensor<T>>& parameters, double max_norm) {
  TANDEM_CHECK(max_norm > 0, "clip_grad_norm", "the largest norm must be positive, it is ",
               max_norm);
  const double norm = grad_norm(parameters);
  TANDEM_CHECK(norm - norm == 0, "clip_grad_norm", "the norm of the gradients is not finite");
  const double factor = max_norm / (norm + 1e-6);
  if (factor >= 1) return norm;
  std::vector<Tensor<T>> gradients;
  for (const Tensor<T>& p : parameters) {
    if (!p.grad().defined()) continue;
    Tensor<T> g = p.grad();
    p.zero_grad();
    if (!g.is_contiguous() || !g.is_unshared()) g = g.clone();
    p.set_grad(g);
    gradients.push_back(g);
  }
  detail::for_each_device<T>(gradients, [&](Device device, const auto* list, std::int64_t count) {
    detail::scale_gradients<T>(device, list, count, T(factor));
  });
  return norm;
}

}  // namespace optim
TANDEM_NAMESPACE_END

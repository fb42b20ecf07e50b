#pragma once
/// Gradients clipped by their common norm.

#include <algorithm>
#include <type_traits>
#include <vector>

#include "tandem/autograd/backward.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/formula/clip_grad.hpp"
#include "tandem/ops/parts/common.hpp"
#include "tandem/ops/to.hpp"
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
void scale_on_cpu(const GradientTensor<T>* gradients, std::int64_t count, const double* squares,
                  double max_norm) {
  const T factor = static_cast<T>(formula::clip_factor(*squares, max_norm));
  if (factor == T(1)) return;
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
/// g ← g·clip_factor(*squares, max_norm).
template <class T>
inline const Kernel<void(Queue&, const GradientTensor<T>* gradients, std::int64_t count,
                         const double* squares, double max_norm)>
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

/// The gradients that there are, dense.
template <FloatingElement T>
std::vector<Tensor<T>> dense_gradients(const char* op, const std::vector<Tensor<T>>& parameters) {
  refuse_shared(op, numbered(parameters));
  std::vector<Tensor<T>> gradients;
  for (const Tensor<T>& p : parameters) {
    if (!p.grad().defined()) continue;
    tandem::detail::require_kernels(op, p, gradient_squares<T>, scale_gradients<T>);
    gradients.push_back(p.grad().contiguous());
  }
  return gradients;
}
/// Σ g² over gradients on any devices, each of which is waited for once.
template <FloatingElement T>
double sum_of_squares(const char* op, const std::vector<Tensor<T>>& parameters) {
  std::vector<Tensor<double>> totals;
  for_each_device<const T>(
      dense_gradients(op, parameters), [&](Device device, const auto* list, std::int64_t count) {
        totals.push_back(Tensor<double>(Shape(), device));
        gradient_squares<T>(device, totals.back().mutable_device_data(), list, count);
      });
  double sum = 0;
  for (const Tensor<double>& total : totals) sum += total.item();
  return sum;
}
/// The gradients that there are, dense and held by nobody else, so that they can be written.
template <FloatingElement T>
std::vector<Tensor<T>> own_gradients(const std::vector<Tensor<T>>& parameters) {
  std::vector<Tensor<T>> gradients;
  for (const Tensor<T>& p : parameters) {
    if (!p.grad().defined()) continue;
    Tensor<T> g = p.grad();
    p.zero_grad();
    if (!g.is_contiguous() || !g.is_unshared()) g = g.clone();
    p.set_grad(g);
    gradients.push_back(g);
  }
  return gradients;
}

}  // namespace detail

/// Σ g² over all gradients, a tensor of shape () on their device; 0 on the CPU when there are none.
/// Nothing waits for a GPU, so that a step can go on, or be captured, without knowing it. The order
/// of the sum: on the CPU partial sums of 4096 elements in double are added in order, so that any
/// thread count gives the same bits; on a GPU floats are squared and added in float, 16384 at a
/// time, and a gradient above 1e19 gives infinity.  Errors: one tensor twice, which would count
/// twice; gradients on several devices.
template <FloatingElement T>
Tensor<double> squared_grad_norm(const std::vector<Tensor<T>>& parameters) {
  const char* const op = "grad_norm";
  const std::vector<Tensor<T>> gradients = detail::dense_gradients(op, parameters);
  if (gradients.empty()) return zeros<double>({});
  for (const Tensor<T>& g : gradients) tandem::detail::require_same_device(op, gradients[0], g);
  const Tensor<double> squares(Shape(), gradients[0].device());
  detail::for_each_device<const T>(
      gradients, [&](Device device, const auto* list, std::int64_t count) {
        detail::gradient_squares<T>(device, squares.mutable_device_data(), list, count);
      });
  return squares;
}

/// g ← g·min(1, max_norm/(√squares + 1e-6)), where the squares are those of squared_grad_norm: the
/// factor is computed where the gradients are, and nothing waits. Squares that are not finite leave
/// the gradients alone. A gradient that somebody else holds does not change under him.
template <FloatingElement T>
void clip_by_squared_norm(const std::vector<Tensor<T>>& parameters, double max_norm,
                          const Tensor<double>& squares) {
  TANDEM_CHECK(max_norm > 0, "clip_grad_norm", "the largest norm must be positive, it is ",
               max_norm);
  detail::for_each_device<T>(
      detail::own_gradients(parameters), [&](Device device, const auto* list, std::int64_t count) {
        const Tensor<double> here = squares.to(device);
        detail::scale_gradients<T>(device, list, count, here.device_data(), max_norm);
      });
}

/// The Euclidean norm of all gradients taken as one vector; 0 when there are none. As
/// squared_grad_norm, but gradients may be on several devices, each of which is waited for once.
template <FloatingElement T>
double grad_norm(const std::vector<Tensor<T>>& parameters) {
  return __builtin_sqrt(detail::sum_of_squares("grad_norm", parameters));
}

/// clip_grad_norm — g ← g·min(1, max_norm/(‖g‖ + 1e-6)) for all gradients as one vector.
///                                                [Pascanu et al. 2013, algorithm 1; 1e-6: PyTorch]
/// Returns the norm before clipping; throws when it is not finite, and leaves the gradients alone.
/// A gradient that somebody else holds, as x.grad() or as another parameter's, does not change
/// under him.
///
///   Tensor<float> w = tensor<float>({3, 4}).requires_grad_();
///   sum(square(w)).backward();
///   optim::clip_grad_norm<float>({w}, 1.0);   // → 10   before
///   w.grad();                                 // → [0.6, 0.8]
template <FloatingElement T>
double clip_grad_norm(const std::vector<Tensor<T>>& parameters, double max_norm) {
  TANDEM_CHECK(max_norm > 0, "clip_grad_norm", "the largest norm must be positive, it is ",
               max_norm);
  const double squares = detail::sum_of_squares("grad_norm", parameters);
  const double norm = __builtin_sqrt(squares);
  TANDEM_CHECK(norm - norm == 0, "clip_grad_norm", "the norm of the gradients is not finite");
  if (max_norm / (norm + 1e-6) < 1)
    clip_by_squared_norm(parameters, max_norm, tensor<double>(squares));
  return norm;
}

}  // namespace optim
TANDEM_NAMESPACE_END

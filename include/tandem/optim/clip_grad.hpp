#pragma once

#include <vector>

#include "tandem/cpu/threads.hpp"
#include "tandem/autograd/backward.hpp"
#include "tandem/ops/common.hpp"
#include "tandem/optim/parameters.hpp"

TANDEM_NAMESPACE_BEGIN
namespace optim {

/// The Euclidean norm of all gradients taken as one vector; 0 when there are none. Partial sums of
/// 4096 elements in double are added in order: any thread count gives the same bits.  Errors: one tensor
/// twice, which would count twice.
template <FloatingElement T>
double grad_norm(const std::vector<Tensor<T>>& parameters) {
  constexpr std::int64_t chunk = 4096;
  detail::refuse_shared("grad_norm", detail::numbered(parameters));
  double total = 0;
  for (const Tensor<T>& p : parameters) {
    if (!p.grad().defined()) continue;
    tandem::detail::require_cpu("grad_norm", p);
    const Tensor<T> g = p.grad().contiguous();
    const T* data = g.data();
    std::vector<double> partial(static_cast<std::size_t>((g.numel() + chunk - 1) / chunk));
    cpu::parallel_chunks(g.numel(), chunk,
                         [&](std::int64_t index, std::int64_t begin, std::int64_t end) {
                           double sum[8] = {};
                           for (std::int64_t i = begin; i < end; ++i) {
                             const double value = static_cast<double>(data[i]);
                             sum[(i - begin) % 8] += value * value;
                           }
                           partial[static_cast<std::size_t>(index)] =
                               ((sum[0] + sum[1]) + (sum[2] + sum[3])) +
                               ((sum[4] + sum[5]) + (sum[6] + sum[7]));
                         });
    for (double value : partial) total += value;
  }
  return __builtin_sqrt(total);
}

/// clip_grad_norm — g ← g·min(1, max_norm/(‖g‖ + 1e-6)) for all gradients as one vector.
///                                                   [Pascanu et al. 2013, algorithm 1; 1e-6: PyTorch]
/// Returns the norm before clipping; throws when it is not finite, and leaves the gradients alone. A gradient
/// that somebody else holds, as x.grad() or as another parameter's, does not change under him.
template <FloatingElement T>
double clip_grad_norm(const std::vector<Tensor<T>>& parameters, double max_norm) {
  TANDEM_CHECK(max_norm > 0, "clip_grad_norm", "the largest norm must be positive, it is ", max_norm);
  const double norm = grad_norm(parameters);
  TANDEM_CHECK(norm - norm == 0, "clip_grad_norm", "the norm of the gradients is not finite");
  const double factor = max_norm / (norm + 1e-6);
  if (factor >= 1) return norm;
  for (const Tensor<T>& p : parameters) {
    if (!p.grad().defined()) continue;
    Tensor<T> g = p.grad();
    p.zero_grad();
    if (!g.is_contiguous() || !g.is_unshared()) g = g.clone();
    T* data = g.mutable_data();
    cpu::parallel_for(g.numel(), 1 << 15, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) data[i] = T(data[i] * T(factor));
    });
    p.set_grad(g);
  }
  return norm;
}

}  // namespace optim
TANDEM_NAMESPACE_END

/// clamped_bce — mean of −[y·max(ln p, −100) + (1 − y)·max(ln(1 − p), −100)], and its gradient to
/// p, (p − y)/max(p·(1 − p), 1e-12)/n (include/tandem/wtal/rivals/losses.hpp). Both are formulas of
/// the engine of losses.
#include "losses.cuh"
#include "tandem/formula/clamped_bce.hpp"

namespace tandem_kernels {

namespace formula = tandem::formula;

template <class T>
struct ClampedBce {
  const T *p, *y;
  __device__ T operator()(std::int64_t i) const { return formula::ClampedBce()(p[i], y[i]); }
};
template <class T>
struct ClampedBceGradient {
  const T *p, *y;
  T count;
  __device__ T operator()(std::int64_t i) const {
    return formula::ClampedBceGradient()(p[i], y[i]) / count;
  }
};

template <class T>
void clamped_bce_forward(Queue& queue, T* loss, T* gradient, const T* p, const T* y,
                         std::int64_t n) {
  loss_forward(queue, ClampedBce<T>{p, y}, loss, n, Reduction::mean, nullptr, nullptr);
  loss_forward(queue, ClampedBceGradient<T>{p, y, static_cast<T>(n)}, gradient, n, Reduction::none,
               nullptr, nullptr);
}
TANDEM_KERNEL(clamped_bce_forward, float, double);

}  // namespace tandem_kernels

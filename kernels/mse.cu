/// mse — (x − t)², reduced;  dx = 2 (x − t)·g, dt = −dx.
#include "losses.cuh"

namespace tandem_kernels {
namespace {
using tandem::formula::MseLoss;
using tandem::formula::MseLossGradient;
template <class T>
bool register_mse() {
  return register_loss<T, MseLoss<T>, MseLossGradient<T, 2>, MseLossGradient<T, -2>>();
}
[[maybe_unused]] const bool registered = register_mse<float>() && register_mse<double>();
}  // namespace
}  // namespace tandem_kernels

/// bce_with_logits — w·(max(x, 0) − x·t + log(1 + e^−|x|)), reduced;  dx = w·(σ(x) − t)·g.
#include "losses.cuh"

namespace tandem_kernels {
namespace {
using tandem::formula::BceLoss;
using tandem::formula::BceLossGradient;
[[maybe_unused]] const bool registered =
    register_loss<float, BceLoss<float>, BceLossGradient<float>>() &&
    register_loss<double, BceLoss<double>, BceLossGradient<double>>();
}  // namespace
}  // namespace tandem_kernels

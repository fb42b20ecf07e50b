#pragma once
/// What attention.cu and attention_mma.cu know of each other.

#include "common.cuh"
#include "tandem/cpu/attention_problem.hpp"

namespace tandem_kernels {

using tandem::detail::AttentionProblem;
using tandem::detail::HeadView;

/// Whether attention_mma.cu computes this: factors are to be rounded, and a head has a tile.
inline bool on_tensor_cores(const AttentionProblem<float>& p) {
  return p.precision == tandem::Precision::bfloat16 && p.width <= 128;
}
void mma_attention_forward(Queue& queue, const AttentionProblem<float>& p,
                           const HeadView<const float>& q, const HeadView<const float>& k,
                           const HeadView<const float>& v, const HeadView<float>& out, float* lse);
void mma_attention_backward(Queue& queue, const AttentionProblem<float>& p,
                            const HeadView<const float>& q, const HeadView<const float>& k,
                            const HeadView<const float>& v, const HeadView<const float>& out,
                            const HeadView<const float>& dout, const float* lse,
                            const HeadView<float>& dq, const HeadView<float>& dk,
                            const HeadView<float>& dv);

}  // namespace tandem_kernels

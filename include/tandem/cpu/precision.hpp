#pragma once
/// Precision — how exactly linear layers, attention and, on a GPU, convolutions multiply floats,
/// for a scope of the program.
///
///   {
///     const PrecisionScope products(Precision::bfloat16);
///     loss = model.forward(x);       // linear, self_attention, scaled_dot_product_attention
///   }
///   loss.backward();                 // an op's backward multiplies as its forward did
///
/// bfloat16: the factors of each product are rounded to bfloat16 (7 bits of fraction), products and
/// sums are float, and so is everything between products: weights, activations, softmax, gradients.
/// So each element of a product of length k is off by at most 2⁻⁷·Σ|aᵢ·bᵢ| and some float
/// roundings. On CPUs with AVX512-BF16 that takes half the time, with AMX a fifth to a half; on
/// others the result is the same up to the order of sums, and nothing is gained. On a GPU both take
/// tensor cores.
///
/// tf32: on a GPU the factors of linear's products have 10 bits of fraction (kernels/matmul.cu), so
/// that an element is off by at most 2⁻¹⁰·Σ|aᵢ·bᵢ|; attention, and everything on the CPU, is full.
///
/// Convolutions take part on a GPU only, and forward only: bfloat16 on tensor cores, tf32 where the
/// kernel is one tap (kernels/conv3d.cu); their gradients are products of floats.
///
/// full: every factor is the float that it is, on a GPU too. Precision concerns float only: double,
/// matmul and all other ops are as ever.

#include "tandem/tensor/restore.hpp"

TANDEM_NAMESPACE_BEGIN

enum class Precision { full, tf32, bfloat16 };

/// What holds on this thread.
inline Precision& product_precision() {
  thread_local Precision precision = Precision::full;
  return precision;
}

class PrecisionScope {
 public:
  explicit PrecisionScope(Precision precision) : outer_(product_precision(), precision) {}

 private:
  const detail::Restore<Precision> outer_;
};

TANDEM_NAMESPACE_END

#pragma once
/// What tandem::compiled has compiled once: the ops, modules and optimizers for float and double.
///
/// tandem is header-only, so each source file of a program compiles what it uses anew, in four
/// instruction sets. A program that links tandem::compiled (CMake; it defines TANDEM_COMPILED)
/// finds the templates below in a library instead: tandem/tandem.hpp includes this header then, and
/// other includes work as ever. Nothing else changes, and what is not listed is compiled as before.
/// src/compiled/*.cpp instantiate one part each; tests/headers/check_compiled.py finds ops that are
/// not listed.

#include "tandem/autograd.hpp"
#include "tandem/nn.hpp"
#include "tandem/ops.hpp"
#include "tandem/optim.hpp"
#include "tandem/tensor.hpp"

// A source file that instantiates a part defines its word as `template`.
#ifndef TANDEM_TENSOR
#define TANDEM_TENSOR extern template
#endif
#ifndef TANDEM_AUTOGRAD
#define TANDEM_AUTOGRAD extern template
#endif
#ifndef TANDEM_GEMM
#define TANDEM_GEMM extern template
#endif
#ifndef TANDEM_ELEMENTWISE
#define TANDEM_ELEMENTWISE extern template
#endif
#ifndef TANDEM_SELECTIONS
#define TANDEM_SELECTIONS extern template
#endif
#ifndef TANDEM_REDUCTIONS
#define TANDEM_REDUCTIONS extern template
#endif
#ifndef TANDEM_ROWS
#define TANDEM_ROWS extern template
#endif
#ifndef TANDEM_ATTENTION
#define TANDEM_ATTENTION extern template
#endif
#ifndef TANDEM_PRODUCTS
#define TANDEM_PRODUCTS extern template
#endif
#ifndef TANDEM_VOLUMES
#define TANDEM_VOLUMES extern template
#endif
#ifndef TANDEM_NN
#define TANDEM_NN extern template
#endif
#ifndef TANDEM_OPTIM
#define TANDEM_OPTIM extern template
#endif

TANDEM_NAMESPACE_BEGIN

// tensor: storage, views, copies.
#define TANDEM_TENSOR_TEMPLATES(T) TANDEM_TENSOR class Tensor<T>;
TANDEM_TENSOR_TEMPLATES(float)
TANDEM_TENSOR_TEMPLATES(double)
TANDEM_TENSOR_TEMPLATES(bfloat16)
TANDEM_TENSOR_TEMPLATES(std::int64_t)
TANDEM_TENSOR_TEMPLATES(std::int32_t)
TANDEM_TENSOR_TEMPLATES(std::uint8_t)
TANDEM_TENSOR_TEMPLATES(bool)
#undef TANDEM_TENSOR_TEMPLATES

// autograd: the nodes of a graph.
namespace autograd {
#define TANDEM_AUTOGRAD_TEMPLATES(T)  \
  TANDEM_AUTOGRAD class TypedNode<T>; \
  TANDEM_AUTOGRAD class ViewNode<T>;
TANDEM_AUTOGRAD_TEMPLATES(float)
TANDEM_AUTOGRAD_TEMPLATES(double)
#undef TANDEM_AUTOGRAD_TEMPLATES
}  // namespace autograd

// gemm: the matrix product and its kernels.
namespace cpu::gemm_detail {
TANDEM_GEMM void multiply(Trans, Trans, std::int64_t, std::int64_t, std::int64_t, float,
                          const float*, std::int64_t, const float*, std::int64_t, float, float*,
                          std::int64_t, const Epilogue<float>&, int);
TANDEM_GEMM void multiply(Trans, Trans, std::int64_t, std::int64_t, std::int64_t, double,
                          const double*, std::int64_t, const double*, std::int64_t, double, double*,
                          std::int64_t, const Epilogue<double>&, int);
TANDEM_GEMM void multiply(Trans, Trans, std::int64_t, std::int64_t, std::int64_t, float,
                          const bfloat16*, std::int64_t, const bfloat16*, std::int64_t, float,
                          float*, std::int64_t, const Epilogue<float>&, int);
TANDEM_GEMM void multiply(Trans, Trans, std::int64_t, std::int64_t, std::int64_t, float,
                          const Rounded*, std::int64_t, const Rounded*, std::int64_t, float, float*,
                          std::int64_t, const Epilogue<float>&, int);
}  // namespace cpu::gemm_detail

// elementwise: one number at a time.
#define TANDEM_ELEMENTWISE_TEMPLATES(T)                                                        \
  TANDEM_ELEMENTWISE Tensor<T> exp(const Tensor<T>&);                                          \
  TANDEM_ELEMENTWISE Tensor<T> gelu(const Tensor<T>&);                                         \
  TANDEM_ELEMENTWISE Tensor<T> gelu(const Tensor<T>&, GeluForm);                               \
  TANDEM_ELEMENTWISE Tensor<T> leaky_relu(const Tensor<T>&, double);                           \
  TANDEM_ELEMENTWISE Tensor<T> log(const Tensor<T>&);                                          \
  TANDEM_ELEMENTWISE Tensor<T> log1p(const Tensor<T>&);                                        \
  TANDEM_ELEMENTWISE Tensor<T> quick_gelu(const Tensor<T>&);                                   \
  TANDEM_ELEMENTWISE Tensor<T> relu(const Tensor<T>&);                                         \
  TANDEM_ELEMENTWISE Tensor<T> rsqrt(const Tensor<T>&);                                        \
  TANDEM_ELEMENTWISE Tensor<T> sigmoid(const Tensor<T>&);                                      \
  TANDEM_ELEMENTWISE Tensor<T> silu(const Tensor<T>&);                                         \
  TANDEM_ELEMENTWISE Tensor<T> sin(const Tensor<T>&);                                          \
  TANDEM_ELEMENTWISE Tensor<T> cos(const Tensor<T>&);                                          \
  TANDEM_ELEMENTWISE Tensor<T> softplus(const Tensor<T>&);                                     \
  TANDEM_ELEMENTWISE Tensor<T> sqrt(const Tensor<T>&);                                         \
  TANDEM_ELEMENTWISE Tensor<T> tanh(const Tensor<T>&);                                         \
  TANDEM_ELEMENTWISE Tensor<T> abs(const Tensor<T>&);                                          \
  TANDEM_ELEMENTWISE Tensor<T> square(const Tensor<T>&);                                       \
  TANDEM_ELEMENTWISE Tensor<T> pow(const Tensor<T>&, double);                                  \
  TANDEM_ELEMENTWISE Tensor<T> add(const Tensor<T>&, const Tensor<T>&);                        \
  TANDEM_ELEMENTWISE Tensor<T> sub(const Tensor<T>&, const Tensor<T>&);                        \
  TANDEM_ELEMENTWISE Tensor<T> mul(const Tensor<T>&, const Tensor<T>&);                        \
  TANDEM_ELEMENTWISE Tensor<T> div(const Tensor<T>&, const Tensor<T>&);                        \
  TANDEM_ELEMENTWISE Tensor<T> neg(const Tensor<T>&);                                          \
  TANDEM_ELEMENTWISE Tensor<T> maximum(const Tensor<T>&, const Tensor<T>&);                    \
  TANDEM_ELEMENTWISE Tensor<T> minimum(const Tensor<T>&, const Tensor<T>&);                    \
  TANDEM_ELEMENTWISE Tensor<T> remainder(const Tensor<T>&, const Tensor<T>&);                  \
  TANDEM_ELEMENTWISE Tensor<bool> isnan(const Tensor<T>&);                                     \
  TANDEM_ELEMENTWISE Tensor<bool> isinf(const Tensor<T>&);                                     \
  TANDEM_ELEMENTWISE Tensor<bool> isfinite(const Tensor<T>&);                                  \
  TANDEM_ELEMENTWISE Tensor<bool> eq(const Tensor<T>&, const Tensor<T>&);                      \
  TANDEM_ELEMENTWISE Tensor<bool> ne(const Tensor<T>&, const Tensor<T>&);                      \
  TANDEM_ELEMENTWISE Tensor<bool> lt(const Tensor<T>&, const Tensor<T>&);                      \
  TANDEM_ELEMENTWISE Tensor<bool> le(const Tensor<T>&, const Tensor<T>&);                      \
  TANDEM_ELEMENTWISE Tensor<bool> gt(const Tensor<T>&, const Tensor<T>&);                      \
  TANDEM_ELEMENTWISE Tensor<bool> ge(const Tensor<T>&, const Tensor<T>&);                      \
  TANDEM_ELEMENTWISE Tensor<T> where(const Tensor<bool>&, const Tensor<T>&, const Tensor<T>&); \
  TANDEM_ELEMENTWISE Tensor<T> dropout(const Tensor<T>&, double, Generator&, bool);
TANDEM_ELEMENTWISE_TEMPLATES(float)
TANDEM_ELEMENTWISE_TEMPLATES(double)
#undef TANDEM_ELEMENTWISE_TEMPLATES

// selections: elements moved.
#define TANDEM_SELECTIONS_TEMPLATES(T)                                                           \
  TANDEM_SELECTIONS Tensor<T> cat(const std::vector<Tensor<T>>&, Dim);                           \
  TANDEM_SELECTIONS Tensor<T> stack(const std::vector<Tensor<T>>&, Dim);                         \
  TANDEM_SELECTIONS Tensor<T> embedding(const Tensor<std::int64_t>&, const Tensor<T>&);          \
  TANDEM_SELECTIONS Tensor<T> gather(const Tensor<T>&, Dim, const Tensor<std::int64_t>&);        \
  TANDEM_SELECTIONS Tensor<T> index_select(const Tensor<T>&, Dim, const Tensor<std::int64_t>&);  \
  TANDEM_SELECTIONS Tensor<T> scatter_add(const Tensor<T>&, Dim, const Tensor<std::int64_t>&,    \
                                          const Tensor<T>&);                                     \
  TANDEM_SELECTIONS TopK<T> topk(const Tensor<T>&, std::int64_t, Dim, bool);                     \
  TANDEM_SELECTIONS Tensor<T> pad(const Tensor<T>&, const std::vector<Margin>&, double);         \
  TANDEM_SELECTIONS std::vector<Tensor<T>> split(const Tensor<T>&,                               \
                                                 const std::vector<std::int64_t>&, Dim);         \
  TANDEM_SELECTIONS std::vector<Tensor<T>> split(const Tensor<T>&, std::int64_t, Dim);           \
  TANDEM_SELECTIONS std::vector<Tensor<T>> chunk(const Tensor<T>&, std::int64_t, Dim);           \
  TANDEM_SELECTIONS Tensor<T> repeat(const Tensor<T>&, const Shape&);                            \
  TANDEM_SELECTIONS Tensor<T> flip(const Tensor<T>&, const Shape&);                              \
  TANDEM_SELECTIONS Tensor<T> roll(const Tensor<T>&, std::int64_t, Dim);                         \
  TANDEM_SELECTIONS Tensor<T> roll(const Tensor<T>&, const Shape&, const Shape&);                \
  TANDEM_SELECTIONS Tensor<T> tril(const Tensor<T>&, std::int64_t);                              \
  TANDEM_SELECTIONS Tensor<T> triu(const Tensor<T>&, std::int64_t);                              \
  TANDEM_SELECTIONS Sorted<T> sort(const Tensor<T>&, Dim, bool);                                 \
  TANDEM_SELECTIONS Tensor<std::int64_t> argsort(const Tensor<T>&, Dim, bool);                   \
  TANDEM_SELECTIONS Tensor<std::int64_t> nonzero(const Tensor<T>&);                              \
  TANDEM_SELECTIONS Tensor<std::int64_t> multinomial(const Tensor<T>&, std::int64_t, Generator&, \
                                                     bool);                                      \
  TANDEM_SELECTIONS bool allclose(const Tensor<T>&, const Tensor<T>&, const Tolerance&);
TANDEM_SELECTIONS_TEMPLATES(float)
TANDEM_SELECTIONS_TEMPLATES(double)
#undef TANDEM_SELECTIONS_TEMPLATES

// reductions: along a dimension.
#define TANDEM_REDUCTIONS_TEMPLATES(T)                                                   \
  TANDEM_REDUCTIONS Tensor<std::int64_t> argmax(const Tensor<T>&, Dim, bool);            \
  TANDEM_REDUCTIONS Tensor<std::int64_t> argmin(const Tensor<T>&, Dim, bool);            \
  TANDEM_REDUCTIONS Extremum<T> max(const Tensor<T>&, Dim, bool);                        \
  TANDEM_REDUCTIONS Tensor<T> max(const Tensor<T>&);                                     \
  TANDEM_REDUCTIONS Extremum<T> min(const Tensor<T>&, Dim, bool);                        \
  TANDEM_REDUCTIONS Tensor<T> min(const Tensor<T>&);                                     \
  TANDEM_REDUCTIONS Tensor<detail::sum_t<T>> sum(const Tensor<T>&, const Shape&, bool);  \
  TANDEM_REDUCTIONS Tensor<detail::sum_t<T>> sum(const Tensor<T>&);                      \
  TANDEM_REDUCTIONS Tensor<T> mean(const Tensor<T>&, const Shape&, bool);                \
  TANDEM_REDUCTIONS Tensor<T> mean(const Tensor<T>&);                                    \
  TANDEM_REDUCTIONS Tensor<T> var(const Tensor<T>&, const Shape&, const VarOptions&);    \
  TANDEM_REDUCTIONS Tensor<T> var(const Tensor<T>&);                                     \
  TANDEM_REDUCTIONS Tensor<T> stddev(const Tensor<T>&, const Shape&, const VarOptions&); \
  TANDEM_REDUCTIONS Tensor<T> stddev(const Tensor<T>&);                                  \
  TANDEM_REDUCTIONS Tensor<T> norm(const Tensor<T>&, double, const Shape&, bool);        \
  TANDEM_REDUCTIONS Tensor<T> norm(const Tensor<T>&, double);                            \
  TANDEM_REDUCTIONS Tensor<detail::sum_t<T>> prod(const Tensor<T>&, Dim, bool);          \
  TANDEM_REDUCTIONS Tensor<detail::sum_t<T>> prod(const Tensor<T>&);                     \
  TANDEM_REDUCTIONS Tensor<T> cumsum(const Tensor<T>&, Dim);                             \
  TANDEM_REDUCTIONS Tensor<T> logsumexp(const Tensor<T>&, Dim, bool);                    \
  TANDEM_REDUCTIONS Tensor<T> normalize(const Tensor<T>&, Dim, double);
TANDEM_REDUCTIONS_TEMPLATES(float)
TANDEM_REDUCTIONS_TEMPLATES(double)
#undef TANDEM_REDUCTIONS_TEMPLATES
namespace cpu {
TANDEM_REDUCTIONS void sum_dims(const Shape&, const float*, const Strides&, unsigned, float*);
TANDEM_REDUCTIONS void sum_dims(const Shape&, const double*, const Strides&, unsigned, double*);
}  // namespace cpu

// rows: softmax, norms, losses.
#define TANDEM_ROWS_TEMPLATES(T)                                                                   \
  TANDEM_ROWS Tensor<T> softmax(const Tensor<T>&, Dim, const Tensor<bool>&);                       \
  TANDEM_ROWS Tensor<T> log_softmax(const Tensor<T>&, Dim, const Tensor<bool>&);                   \
  TANDEM_ROWS Tensor<T> layer_norm(const Tensor<T>&, const Tensor<T>&, const Tensor<T>&, double);  \
  TANDEM_ROWS Tensor<T> l1_loss(const Tensor<T>&, const Tensor<T>&, Reduction);                    \
  TANDEM_ROWS Tensor<T> huber_loss(const Tensor<T>&, const Tensor<T>&, double, Reduction);         \
  TANDEM_ROWS Tensor<T> smooth_l1_loss(const Tensor<T>&, const Tensor<T>&, double, Reduction);     \
  TANDEM_ROWS Tensor<T> kl_div(const Tensor<T>&, const Tensor<T>&, const KlDivOptions&);           \
  TANDEM_ROWS Tensor<T> nll_loss(const Tensor<T>&, const Tensor<std::int64_t>&,                    \
                                 const NllOptions<T>&);                                            \
  TANDEM_ROWS Tensor<T> cosine_similarity(const Tensor<T>&, const Tensor<T>&, Dim, double);        \
  TANDEM_ROWS Tensor<T> group_norm(const Tensor<T>&, std::int64_t, const Tensor<T>&,               \
                                   const Tensor<T>&, double);                                      \
  TANDEM_ROWS Tensor<T> rms_norm(const Tensor<T>&, const Tensor<T>&, std::optional<double>);       \
  TANDEM_ROWS Tensor<T> cross_entropy(const Tensor<T>&, const Tensor<std::int64_t>&,               \
                                      const CrossEntropyOptions<T>&);                              \
  TANDEM_ROWS Tensor<T> cross_entropy(const Tensor<T>&, const Tensor<T>&, Reduction);              \
  TANDEM_ROWS Tensor<T> bce_with_logits(const Tensor<T>&, const Tensor<T>&, const BceOptions<T>&); \
  TANDEM_ROWS Tensor<T> bce_with_logits(const Tensor<T>&, const Tensor<T>&, Reduction);            \
  TANDEM_ROWS Tensor<T> mse(const Tensor<T>&, const Tensor<T>&, Reduction);
TANDEM_ROWS_TEMPLATES(float)
TANDEM_ROWS_TEMPLATES(double)
#undef TANDEM_ROWS_TEMPLATES

// attention: attention.
#define TANDEM_ATTENTION_TEMPLATES(T)                                                            \
  TANDEM_ATTENTION Tensor<T> scaled_dot_product_attention(                                       \
      const Tensor<T>&, const Tensor<T>&, const Tensor<T>&, const AttentionOptions&);            \
  TANDEM_ATTENTION Tensor<T> biased_attention(const Tensor<T>&, const Tensor<T>&,                \
                                              const Tensor<T>&, const Tensor<T>&,                \
                                              const BiasedAttentionOptions&);                    \
  TANDEM_ATTENTION Tensor<T> rotary(const Tensor<T>&, const RotaryOptions&);                     \
  TANDEM_ATTENTION Tensor<T> self_attention(const Tensor<T>&, std::int64_t, const Tensor<bool>&, \
                                            bool, const Tensor<bool>&);
TANDEM_ATTENTION_TEMPLATES(float)
TANDEM_ATTENTION_TEMPLATES(double)
#undef TANDEM_ATTENTION_TEMPLATES

// products: matrix products.
#define TANDEM_PRODUCTS_TEMPLATES(T)                                                     \
  TANDEM_PRODUCTS Tensor<T> matmul(const Tensor<T>&, const Tensor<T>&);                  \
  TANDEM_PRODUCTS Tensor<T> linear(const Tensor<T>&, const Tensor<T>&, const Tensor<T>&, \
                                   Activation, const Tensor<T>&);                        \
  TANDEM_PRODUCTS Tensor<T> linear_packed(const Tensor<T>&, const PackedWeight<T>&,      \
                                          const Tensor<T>&, Activation, const Tensor<T>&);
TANDEM_PRODUCTS_TEMPLATES(float)
TANDEM_PRODUCTS_TEMPLATES(double)
#undef TANDEM_PRODUCTS_TEMPLATES
#define TANDEM_PRODUCTS_TEMPLATES(T)                                                       \
  TANDEM_PRODUCTS Tensor<T> linear_packed(const Tensor<T>&, const PackedWeight<bfloat16>&, \
                                          const Tensor<T>&, Activation, const Tensor<T>&);
TANDEM_PRODUCTS_TEMPLATES(float)
#undef TANDEM_PRODUCTS_TEMPLATES
namespace detail {
#define TANDEM_PRODUCTS_TEMPLATES(T)                                                  \
  TANDEM_PRODUCTS void activation_backward_on_cpu(Activation, const T*, const T*, T*, \
                                                  std::int64_t);                      \
  TANDEM_PRODUCTS void column_sums_on_cpu(T*, const T*, std::int64_t, std::int64_t);
TANDEM_PRODUCTS_TEMPLATES(float)
TANDEM_PRODUCTS_TEMPLATES(double)
#undef TANDEM_PRODUCTS_TEMPLATES
}  // namespace detail

// volumes: convolutions, pools, batch norm.
#define TANDEM_VOLUMES_TEMPLATES(T)                                                                \
  TANDEM_VOLUMES Tensor<T> conv1d(const Tensor<T>&, const Tensor<T>&, const Tensor<T>&,            \
                                  const Conv1dOptions&);                                           \
  TANDEM_VOLUMES Tensor<T> conv2d(const Tensor<T>&, const Tensor<T>&, const Tensor<T>&,            \
                                  const Conv2dOptions&);                                           \
  TANDEM_VOLUMES Tensor<T> conv3d(const Tensor<T>&, const Tensor<T>&, const Tensor<T>&,            \
                                  const Conv3dOptions&);                                           \
  TANDEM_VOLUMES Tensor<T> avg_pool1d(const Tensor<T>&, const AvgPool1dOptions&);                  \
  TANDEM_VOLUMES Tensor<T> avg_pool2d(const Tensor<T>&, const AvgPool2dOptions&);                  \
  TANDEM_VOLUMES Tensor<T> max_pool1d(const Tensor<T>&, const MaxPool1dOptions&);                  \
  TANDEM_VOLUMES Tensor<T> max_pool2d(const Tensor<T>&, const MaxPool2dOptions&);                  \
  TANDEM_VOLUMES Tensor<T> interpolate(const Tensor<T>&, const Shape&, const InterpolateOptions&); \
  TANDEM_VOLUMES Tensor<T> avg_pool3d(const Tensor<T>&, const AvgPool3dOptions&);                  \
  TANDEM_VOLUMES Tensor<T> max_pool3d(const Tensor<T>&, const MaxPool3dOptions&);                  \
  TANDEM_VOLUMES Tensor<T> batch_norm(const Tensor<T>&, const Tensor<T>&, const Tensor<T>&,        \
                                      const Tensor<T>&, const Tensor<T>&,                          \
                                      const BatchNormOptions&);
TANDEM_VOLUMES_TEMPLATES(float)
TANDEM_VOLUMES_TEMPLATES(double)
#undef TANDEM_VOLUMES_TEMPLATES

// nn: modules.
namespace nn {
#define TANDEM_NN_TEMPLATES(T)           \
  TANDEM_NN class MultiHeadAttention<T>; \
  TANDEM_NN class BatchNormBase<T, 1>;   \
  TANDEM_NN class BatchNormBase<T, 2>;   \
  TANDEM_NN class BatchNormBase<T, 3>;   \
  TANDEM_NN class Conv1d<T>;             \
  TANDEM_NN class Conv2d<T>;             \
  TANDEM_NN class Conv3d<T>;             \
  TANDEM_NN class Dropout<T>;            \
  TANDEM_NN class Embedding<T>;          \
  TANDEM_NN class LayerNorm<T>;          \
  TANDEM_NN class Linear<T>;             \
  TANDEM_NN class Module<T>;             \
  TANDEM_NN class Layer<T>;              \
  TANDEM_NN class GroupNorm<T>;          \
  TANDEM_NN class RMSNorm<T>;            \
  TANDEM_NN class MaxPool1d<T>;          \
  TANDEM_NN class AvgPool1d<T>;          \
  TANDEM_NN class MaxPool2d<T>;          \
  TANDEM_NN class AvgPool2d<T>;          \
  TANDEM_NN class MaxPool3d<T>;          \
  TANDEM_NN class AvgPool3d<T>;          \
  TANDEM_NN class Sequential<T>;         \
  TANDEM_NN class Mlp<T>;                \
  TANDEM_NN class TransformerBlock<T>;   \
  TANDEM_NN class Weight<T>;
TANDEM_NN_TEMPLATES(float)
TANDEM_NN_TEMPLATES(double)
#undef TANDEM_NN_TEMPLATES
}  // namespace nn

// optim: optimizers.
namespace optim::detail {
#define TANDEM_OPTIM_TEMPLATES(T)                                                            \
  TANDEM_OPTIM void adam_on_cpu(const AdamTensor<T>*, std::int64_t, const formula::Adam<T>&, \
                                const formula::Adam<T>*);                                    \
  TANDEM_OPTIM void sgd_on_cpu(const SgdTensor<T>*, std::int64_t, const formula::Sgd<T>&,    \
                               const formula::Sgd<T>*);                                      \
  TANDEM_OPTIM void squares_on_cpu(double*, const GradientTensor<const T>*, std::int64_t);   \
  TANDEM_OPTIM void scale_on_cpu(const GradientTensor<T>*, std::int64_t, const double*, double);
TANDEM_OPTIM_TEMPLATES(float)
TANDEM_OPTIM_TEMPLATES(double)
#undef TANDEM_OPTIM_TEMPLATES
}  // namespace optim::detail
namespace optim {
#define TANDEM_OPTIM_TEMPLATES(T)        \
  TANDEM_OPTIM class Optimizer<T>;       \
  TANDEM_OPTIM class Ema<T>;             \
  TANDEM_OPTIM class AdamBase<T, false>; \
  TANDEM_OPTIM class AdamBase<T, true>;  \
  TANDEM_OPTIM class Sgd<T>;
TANDEM_OPTIM_TEMPLATES(float)
TANDEM_OPTIM_TEMPLATES(double)
#undef TANDEM_OPTIM_TEMPLATES
}  // namespace optim

TANDEM_NAMESPACE_END

#undef TANDEM_TENSOR
#undef TANDEM_AUTOGRAD
#undef TANDEM_GEMM
#undef TANDEM_ELEMENTWISE
#undef TANDEM_SELECTIONS
#undef TANDEM_REDUCTIONS
#undef TANDEM_ROWS
#undef TANDEM_ATTENTION
#undef TANDEM_PRODUCTS
#undef TANDEM_VOLUMES
#undef TANDEM_NN
#undef TANDEM_OPTIM

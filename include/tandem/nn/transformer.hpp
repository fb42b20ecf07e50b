#pragma once
/// The block of a transformer and its perceptron.

#include "tandem/nn/attention.hpp"
#include "tandem/nn/dropout.hpp"
#include "tandem/nn/layer_norm.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/index_select.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// The two-layer perceptron of a transformer block: c_proj(act(c_fc(x))).
///
///   const nn::Mlp<float> mlp(16, 64, Activation::gelu, random);
///   mlp.forward(ones<float>({2, 5, 16}));   // → (2, 5, 16)
template <FloatingElement T>
class Mlp final : public Module<T> {
 public:
  Mlp(std::int64_t width, std::int64_t hidden, Activation activation, Generator& random)
      : c_fc(width, hidden, random), c_proj(hidden, width, random), activation_(activation) {
    this->add("c_fc", c_fc);
    this->add("c_proj", c_proj);
  }
  /// c_proj(act(c_fc(x))) + residual; the residual may be undefined.
  Tensor<T> forward(const Tensor<T>& x, const Tensor<T>& residual = {}) const {
    const ModuleScope scope = this->scope();
    return c_proj.forward(c_fc.forward(x, activation_), Activation::none, residual);
  }

  Linear<T> c_fc, c_proj;

 private:
  Activation activation_;
};

namespace detail {
/// The indices of the true elements of a mask, row-major.
inline Tensor<std::int64_t> true_positions(const Tensor<bool>& mask) {
  const Tensor<bool> dense = mask.contiguous();
  std::vector<std::int64_t> at;
  for (std::int64_t i = 0; i < dense.numel(); ++i) {
    if (dense.data()[i]) at.push_back(i);
  }
  return from_vector<std::int64_t>(at);
}
}  // namespace detail

/// The perceptron, dropout and ε of a block.
struct TransformerBlockOptions {
  std::int64_t mlp_ratio = 4;                ///< width inside the perceptron / width
  Activation activation = Activation::gelu;  ///< inside the perceptron
  double dropout = 0;                        ///< on both residual branches
  std::int64_t hidden = 0;                   ///< width inside the perceptron; 0: mlp_ratio·width
  double epsilon = 1e-5;                     ///< of both layer norms
};

/// TransformerBlock — pre-LN: x += attn(ln_1(x)); x += mlp(ln_2(x)).
///   x (B, T, width), key_mask (B, T) optional, causal → (B, T, width). Names are CLIP's
///   (ln_1, attn, ln_2, mlp.c_fc, mlp.c_proj).                 [Radford et al. 2021, released code]
///
///   const nn::TransformerBlock<float> block(16, 2, random);      // 2 heads of 8
///   block.forward(randn<float>({3, 7, 16}, random), {}, true);   // → (3, 7, 16)
template <FloatingElement T>
class TransformerBlock final : public Module<T> {
 public:
  TransformerBlock(std::int64_t width, std::int64_t heads, Generator& random,
                   const TransformerBlockOptions& options = {})
      : ln_1(width, options.epsilon),
        attn(width, heads, random),
        ln_2(width, options.epsilon),
        mlp(width, options.hidden > 0 ? options.hidden : width * options.mlp_ratio,
            options.activation, random),
        drop(options.dropout) {
    this->add("ln_1", ln_1);
    this->add("attn", attn);
    this->add("ln_2", ln_2);
    this->add("mlp", mlp);
    this->add("drop", drop);
  }
  /// The block on whole sequences.
  Tensor<T> forward(const Tensor<T>& x, const Tensor<bool>& key_mask = {},
                    bool causal = false) const {
    const ModuleScope scope = this->scope();
    if (drop.probability() > 0 && this->training()) {
      const Tensor<T> attended =
          add(x, drop.forward(attn.forward(ln_1.forward(x), key_mask, causal)));
      return add(attended, drop.forward(mlp.forward(ln_2.forward(attended))));
    }
    // Without dropout the residual sums ride in the epilogues of the output projections.
    const Tensor<T> attended = attn.forward(ln_1.forward(x), key_mask, causal, x);
    return mlp.forward(ln_2.forward(attended), attended);
  }

  /// forward() at some rows only: `wanted` (B, T) → (rows, width), the wanted rows in order. In a
  /// last block whose other rows nobody reads, queries, projection and perceptron of those rows are
  /// saved, forward and backward; keys and values are those of all rows, so the result is the same.
  /// How many rows there are must be known on the host: a mask on a GPU is brought there, which
  /// waits; one on the CPU may go with x on a GPU.
  Tensor<T> forward_rows(const Tensor<T>& x, const Tensor<bool>& wanted,
                         const Tensor<bool>& key_mask = {}, bool causal = false) const {
    const Tensor<std::int64_t> rows =
        detail::true_positions(wanted.to(Device::cpu())).to(x.device());
    return forward_selected(x, wanted, key_mask, causal, [&](const Tensor<T>& all) {
      return index_select(all.reshape({all.size(0) * all.size(1), all.size(2)}), 0, rows);
    });
  }
  /// forward_rows() of the first row of each sequence: → (B, width). Nothing comes from the host.
  Tensor<T> forward_first(const Tensor<T>& x, const Tensor<bool>& key_mask = {},
                          bool causal = false) const {
    const Tensor<bool> first = full<bool>({x.size(0), x.size(1)}, false, x.device());
    first.slice(1, 0, 1).fill_(true);
    return forward_selected(x, first, key_mask, causal,
                            [](const Tensor<T>& all) { return all.select(1, 0).contiguous(); });
  }

  /// forward() of packed causal sequences: x (rows, width) → (rows, width), or with `ends` the rows
  /// that end a sequence, (N, width).
  Tensor<T> forward_packed(const Tensor<T>& x, const PackedRows& packed, bool ends = false) const {
    TANDEM_CHECK(x.rank() == 2 && x.size(0) == packed.rows, "transformer_block", "expected ",
                 packed.rows, " packed rows, got ", x.shape());
    TANDEM_CHECK(drop.probability() == 0 || !this->training(), "transformer_block",
                 "rows that sequences share cannot be dropped for each sequence: packed rows need "
                 "dropout 0");
    const ModuleScope scope = this->scope();
    const Tensor<T> mixed = attn.mix_packed(ln_1.forward(x), packed, ends);
    const Tensor<T> from = ends ? index_select(x, 0, packed.last) : x;
    const Tensor<T> attended = attn.out_proj.forward(mixed, Activation::none, from);
    return mlp.forward(ln_2.forward(attended), attended);
  }

  LayerNorm<T> ln_1;
  MultiHeadAttention<T> attn;
  LayerNorm<T> ln_2;
  Mlp<T> mlp;
  Dropout<T> drop;  ///< on both residual branches

 private:
  template <class Select>
  Tensor<T> forward_selected(const Tensor<T>& x, const Tensor<bool>& wanted,
                             const Tensor<bool>& key_mask, bool causal,
                             const Select& select) const {
    // Dropout draws for whole tensors; what it draws must not depend on what is wanted.
    if (drop.probability() > 0 && this->training()) return select(forward(x, key_mask, causal));
    const ModuleScope scope = this->scope();
    const Tensor<T> mixed =
        select(attn.mix(ln_1.forward(x), key_mask, causal, wanted.to(x.device())));
    const Tensor<T> attended = attn.out_proj.forward(mixed, Activation::none, select(x));
    return mlp.forward(ln_2.forward(attended), attended);
  }
};

}  // namespace nn
TANDEM_NAMESPACE_END

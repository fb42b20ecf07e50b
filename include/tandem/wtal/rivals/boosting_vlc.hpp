#pragma once
/// VLC, the video-language completion of Boosting-WTAL: the frames that matter, weighted by their
/// attention, must be enough to complete a sentence about the video.             [method §11, P, C]

#include <cstdint>
#include <vector>

#include "tandem/nn/layer_norm.hpp"
#include "tandem/nn/linear.hpp"
#include "tandem/ops/attention.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/ops/gather.hpp"
#include "tandem/ops/log.hpp"
#include "tandem/ops/matmul.hpp"
#include "tandem/ops/mean.hpp"
#include "tandem/ops/relu.hpp"
#include "tandem/ops/softmax.hpp"
#include "tandem/ops/sum.hpp"
#include "tandem/ops/where.hpp"
#include "tandem/wtal/rivals/cross_modal.hpp"
#include "tandem/wtal/rivals/dropout.hpp"
#include "tandem/wtal/rivals/text_positions.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {
namespace rivals {

/// WeightedAttention — multi-head attention whose weights are multiplied by a weight g of each key
/// and made to sum to 1 again:                                                      [method §11, C]
///   A_ij = a_ij·(g_j + 1e-10)/Σ_k a_ik·(g_k + 1e-10),  a_i = softmax_j(q_i·k_j/√d)
/// x (B, T_q, width), source (B, T_k, width), g (B, T_k) or undefined: all 1 → (B, T_q, width).
/// A is the softmax of q_i·k_j/√d + ln(g_j + 1e-10), so the logarithm goes along as one more column
/// of k beside one of √d in q: the fused attention has A and the gradient to g, and no matrix of
/// T_q × T_k is made. Weights start Xavier-uniform, biases as 0.
template <FloatingElement T>
class WeightedAttention final : public nn::Module<T> {
 public:
  WeightedAttention(std::int64_t width, std::int64_t heads, Generator& random)
      : in_proj_weight(nn::xavier_uniform<T>({3 * width, width}, random)),
        in_proj_bias(zeros<T>({3 * width})),
        out_proj(width, width, random),
        width_(width),
        heads_(heads) {
    TANDEM_CHECK(heads >= 1 && width % heads == 0, "attention", "a width of ", width,
                 " does not divide into ", heads, " heads");
    if (!nn::SkipInit::active()) {
      const NoGrad no_grad;
      out_proj.weight.tensor().copy_(nn::xavier_uniform<T>({width, width}, random));
      out_proj.bias.zero_();
    }
    this->add("in_proj_weight", in_proj_weight);
    this->add("in_proj_bias", in_proj_bias);
    this->add("out_proj", out_proj);
  }

  /// `keys` (B, T_k): true where a key may be seen; undefined: everywhere. `causal`: query i sees
  /// keys 0 … i.
  Tensor<T> forward(const Tensor<T>& x, const Tensor<T>& source, const Tensor<T>& g,
                    const Tensor<bool>& keys, bool causal) const {
    const nn::ModuleScope scope = this->scope();
    Tensor<T> q = part(x, 0), k = part(source, 1), v = part(source, 2);
    const double root = __builtin_sqrt(static_cast<double>(width_ / heads_));
    if (g.defined()) {
      q = beside(q, full<T>({1, 1, 1, 1}, root, x.device()));
      k = beside(k, log(add(g, T(1e-10))).reshape({g.size(0), 1, g.size(1), 1}));
      v = beside(v, zeros<T>({1, 1, 1, 1}, x.device()));
    }
    const Tensor<T> mixed = scaled_dot_product_attention(
                                q, k, v, {.key_mask = keys, .causal = causal, .scale = 1 / root})
                                .slice(-1, 0, width_ / heads_);
    return out_proj.forward(mixed.permute({0, 2, 1, 3}).reshape({x.size(0), x.size(1), width_}));
  }

  /// A as a matrix, the mean over the heads (B, T_q, T_k): to look at.
  Tensor<T> weights(const Tensor<T>& x, const Tensor<T>& source, const Tensor<T>& g,
                    const Tensor<bool>& keys) const {
    const double root = __builtin_sqrt(static_cast<double>(width_ / heads_));
    Tensor<T> scores = mul(matmul(part(x, 0), part(source, 1).transpose(-1, -2)), T(1 / root));
    const std::int64_t batch = x.size(0), length = source.size(1);
    if (g.defined()) scores = add(scores, log(add(g, T(1e-10))).reshape({batch, 1, 1, length}));
    return mean(keys.defined() ? softmax(scores, -1, keys.reshape({batch, 1, 1, length}))
                               : softmax(scores, -1),
                1);
  }

  Tensor<T> in_proj_weight, in_proj_bias;  ///< (3·width, width), (3·width): W_q, W_k, W_v
  nn::Linear<T> out_proj;                  ///< width → width, after the heads

 private:
  /// Queries (0), keys (1) or values (2) of x, in heads: (B, heads, T, d).
  Tensor<T> part(const Tensor<T>& x, std::int64_t which) const {
    const Tensor<T> y = linear(x, in_proj_weight.slice(0, which * width_, (which + 1) * width_),
                               in_proj_bias.slice(0, which * width_, (which + 1) * width_));
    return y.reshape({x.size(0), x.size(1), heads_, width_ / heads_}).permute({0, 2, 1, 3});
  }
  /// A further column of each head.
  static Tensor<T> beside(const Tensor<T>& x, const Tensor<T>& column) {
    return cat(std::vector<Tensor<T>>{x, column.expand({x.size(0), x.size(1), x.size(2), 1})}, -1);
  }
  std::int64_t width_, heads_;
};

/// A layer of a decoder, post-norm:                                                 [method §11, C]
///   x = LN(x + SA(x)); with a source: x = LN(x + CA(x, source)); x = LN(x + W₂·ReLU(W₁x)).
/// The self-attention is causal. Weights of the frames enter the self-attention of frames and the
/// cross-attention from words to frames.
template <FloatingElement T>
class DecoderLayer final : public nn::Module<T> {
 public:
  DecoderLayer(std::int64_t width, std::int64_t heads, std::int64_t hidden, Generator& random)
      : self_attn(width, heads, random),
        encoder_attn(width, heads, random),
        fc1(width, hidden, random),
        fc2(hidden, width, random),
        self_norm(width),
        encoder_norm(width),
        final_norm(width) {
    this->add("self_attn", self_attn);
    this->add("self_attn_layer_norm", self_norm);
    this->add("encoder_attn", encoder_attn);
    this->add("encoder_attn_layer_norm", encoder_norm);
    this->add("fc1", fc1);
    this->add("fc2", fc2);
    this->add("final_layer_norm", final_norm);
  }
  /// x (B, T, width) with weights g (B, T) of its own rows, or none.
  Tensor<T> attend(const Tensor<T>& x, const Tensor<T>& g, const Tensor<bool>& valid) const {
    const nn::ModuleScope scope = this->scope();
    return self_norm.forward(add(x, self_attn.forward(x, x, g, valid, true)));
  }
  /// The same from words to a source, with weights g of the source's rows, or none.
  Tensor<T> ask(const Tensor<T>& x, const Tensor<T>& source, const Tensor<T>& g,
                const Tensor<bool>& valid) const {
    const nn::ModuleScope scope = this->scope();
    return encoder_norm.forward(add(x, encoder_attn.forward(x, source, g, valid, false)));
  }
  /// The perceptron.
  Tensor<T> think(const Tensor<T>& x) const {
    const nn::ModuleScope scope = this->scope();
    return final_norm.forward(add(x, fc2.forward(fc1.forward(x, Activation::relu))));
  }

  WeightedAttention<T> self_attn, encoder_attn;          ///< SA, CA
  nn::Linear<T> fc1, fc2;                                ///< W₁, W₂
  nn::LayerNorm<T> self_norm, encoder_norm, final_norm;  ///< the three LN
};

/// The sizes of VLC.
struct VlcOptions {
  CrossModalOptions streams = {.autoencoder = true, .init = ConvInit::standard};
  std::int64_t clip = 0;     ///< columns of CLIP, in the RGB stream (CrossModalPair); 0: none
  std::int64_t width = 512;  ///< of the two decoders
  std::int64_t heads = 4;
  std::int64_t layers = 3;  ///< of each decoder
  std::int64_t hidden = 1024;
  std::int64_t word_width = 300;   ///< of a word vector
  std::int64_t vocabulary = 8001;  ///< V: 0 and the frequent words
  double dropout = 0.1;            ///< of frames and words, before their projections
  /// The code draws words to mask, and then overwrites the masked sequence by the plain one: what
  /// it learns is the next word [C]. true: the masked sequence, with positions, is what the decoder
  /// reads  (reading of the text).
  bool real_masking = false;

  /// Columns of a row, RGB, flow and CLIP.
  std::int64_t columns() const { return 2 * streams.stream + clip; }
};

/// What VLC says. Logits (B, n, V): row j is about word j + 1.
template <FloatingElement T>
struct VlcOutput {
  Tensor<T> positive;             ///< frames weighted by g
  Tensor<T> easy;                 ///< easy negative: by 1 − g
  Tensor<T> hard;                 ///< hard negative: all frames alike
  Tensor<T> attention;            ///< g (B, T)
  Tensor<T> rgb, flow;            ///< d_v, d_f (B, T, stream), d_v with CLIP's: what was decoded
  Tensor<T> rgb_main, flow_main;  ///< and what they were to decode
};

/// VLC — the sentence of a video from its frames.                                  [method §11, C]
///   (a_v, r_v) = A(rgb, flow), (a_f, r_f) = A(flow, rgb), g = (a_v + a_f)/2
///   frames:  Linear(Drop(.1)([r_v; r_f])) → decoder1, causal, weighted by g
///   words:   Linear(Drop(.1)(start, words)) → decoder2, causal, asks the frames weighted by g
///   logits = Linear(words)
/// x (B, T, 2·stream + clip), columns RGB, flow, CLIP; with CLIP's the RGB stream is [rgb; clip]
/// (reading); valid (B, T); the first n of the n + 1 rows of a sentence are read, so that
/// row j sees words 1 … j and tells word j + 1. Three passes share the weights. The modules A know
/// no padding, as in the public code, whose sampler makes none; the decoders do. Public checkpoints
/// also have `trans_a`, which is run there and changes nothing: load them with strict = false.
template <FloatingElement T>
class Vlc final : public nn::Module<T> {
 public:
  Vlc(const VlcOptions& o, Generator& random)
      : rgb(CrossModalPair::of("vlc", o.streams, o.clip).rgb, random),
        flow(CrossModalPair::of("vlc", o.streams, o.clip).flow, random),
        frame_fc(o.columns(), o.width, random),
        word_fc(o.word_width, o.width, random),
        fc_rec(o.width, o.vocabulary, random),
        start_vec(zeros<T>({o.word_width})),
        mask_vec(zeros<T>({o.word_width})),
        drop(o.dropout),
        options_(o) {
    this->add("mask_vec", mask_vec);
    this->add("start_vec", start_vec);
    this->add("vAttn", rgb);
    this->add("fAttn", flow);
    this->add("frame_fc", frame_fc);
    this->add("word_fc", word_fc);
    for (std::int64_t i = 0; i < 2 * o.layers; ++i) {
      auto& decoder = i < o.layers ? decoder1_ : decoder2_;
      decoder.push_back(make_ref<DecoderLayer<T>>(o.width, o.heads, o.hidden, random));
      this->add(concat("trans.decoder", i < o.layers ? 1 : 2, ".decoder_layers.", i % o.layers),
                *decoder.back());
    }
    this->add("fc_rec", fc_rec);
    this->add("drop", drop);
  }

  /// `words` (B, n + 1, word_width), of which row 0 is replaced by the start vector; `read` (B, n)
  /// says which of the first n rows are words (or the start). `masked` (B, n + 1) hides words, and
  /// is asked for with options.real_masking only.
  VlcOutput<T> forward(const Tensor<T>& x, const Tensor<bool>& valid, const Tensor<T>& words,
                       const Tensor<bool>& read, const Tensor<bool>& masked = {}) const {
    const nn::ModuleScope scope("vlc");
    TANDEM_CHECK(x.rank() == 3 && x.size(2) == options_.columns() &&
                     valid.shape() == (Shape{x.size(0), x.size(1)}),
                 "vlc", "expected x (B, T, ", options_.columns(), ") and valid (B, T), got ",
                 x.shape(), " and ", valid.shape());
    TANDEM_CHECK(words.rank() == 3 && words.size(0) == x.size(0) &&
                     words.size(2) == options_.word_width &&
                     read.shape() == (Shape{words.size(0), words.size(1) - 1}),
                 "vlc", "expected words (B, n + 1, ", options_.word_width, ") and read (B, n) for ",
                 x.size(0), " videos, got ", words.shape(), " and ", read.shape());
    TANDEM_CHECK(masked.defined() == options_.real_masking, "vlc",
                 options_.real_masking ? "real masking needs the mask of the words"
                                       : "a mask of the words needs the option real_masking");
    VlcOutput<T> out;
    const Tensor<T> frames = look(x, out);
    const Tensor<T> sentence = embedded(words, masked);
    out.positive = complete(frames, valid, sentence, read, out.attention);
    out.easy =
        complete(frames, valid, sentence, read, sub(ones_like(out.attention), out.attention));
    out.hard = complete(frames, valid, sentence, read, {});
    return out;
  }

  /// What the words looked at in the last cross-attention of a pass with weights g (B, n, T): the
  /// mean over the heads. In evaluation, to look at.
  Tensor<T> attention_weights(const Tensor<T>& x, const Tensor<bool>& valid, const Tensor<T>& words,
                              const Tensor<bool>& read, const Tensor<bool>& masked = {}) const {
    const NoGrad no_grad;
    VlcOutput<T> out;
    const Tensor<T> frames = look(x, out);
    Tensor<T> seen;
    (void)complete(frames, valid, embedded(words, masked), read, out.attention, &seen);
    return seen;
  }

  /// Parameters of the two modules A, and all others: they learn in turn.
  std::vector<Tensor<T>> attention_parameters() const {
    std::vector<Tensor<T>> out = rgb.parameters();
    for (const Tensor<T>& p : flow.parameters()) out.push_back(p);
    return out;
  }
  std::vector<Tensor<T>> language_parameters() const {
    std::vector<Tensor<T>> out;
    const std::vector<Tensor<T>> attention = attention_parameters();
    for (const Tensor<T>& p : this->parameters()) {
      bool other = true;
      for (const Tensor<T>& a : attention) other = other && !a.is_same(p);
      if (other) out.push_back(p);
    }
    return out;
  }
  /// The options it was made with.
  const VlcOptions& options() const { return options_; }

  CrossModal<T> rgb, flow;  ///< vAttn, fAttn
  nn::Linear<T> frame_fc, word_fc, fc_rec;
  Tensor<T> start_vec, mask_vec;  ///< (word_width); mask_vec is read with real masking only

 private:
  /// What the decoders read of the frames (B, T, width); the rest goes into `out`.
  Tensor<T> look(const Tensor<T>& x, VlcOutput<T>& out) const {
    const auto in = Streams<T>::of(x, options_.streams.stream, options_.clip);
    const CrossModalOutput<T> from_rgb = rgb.forward(in.rgb, in.flow),
                              from_flow = flow.forward(in.flow, in.rgb);
    out.rgb = from_rgb.decoded;
    out.flow = from_flow.decoded;
    out.rgb_main = from_rgb.main;
    out.flow_main = from_flow.main;
    out.attention = mul(add(from_rgb.attention, from_flow.attention), T(0.5)).squeeze(2);
    return frame_fc.forward(
        drop.forward(cat(std::vector<Tensor<T>>{from_rgb.filtered, from_flow.filtered}, -1)));
  }
  /// The first n rows of the sentence at the decoders' width.
  Tensor<T> embedded(const Tensor<T>& words, const Tensor<bool>& masked) const {
    const std::int64_t batch = words.size(0), n = words.size(1) - 1;
    const Tensor<T> start = start_vec.view({1, 1, words.size(2)}).expand({batch, 1, words.size(2)});
    const Tensor<T> rows = cat(std::vector<Tensor<T>>{start, words.slice(1, 1, n)}, 1);
    const Tensor<T> w = word_fc.forward(drop.forward(rows));
    if (!options_.real_masking) return w;
    TANDEM_CHECK(masked.shape() == (Shape{batch, n + 1}), "vlc", "expected a mask of shape (",
                 batch, ", ", n + 1, "), got ", masked.shape());
    const Tensor<T> hidden = word_fc.forward(mask_vec.view({1, 1, words.size(2)}));
    return add(where(masked.slice(1, 0, n).unsqueeze(2), hidden, w),
               halves_sinusoid<T>(n, options_.width).to(words.device()));
  }
  /// The logits of a pass whose frames have the weights g. `seen`, where it is asked for: what the
  /// last cross-attention looks at.
  Tensor<T> complete(Tensor<T> frames, const Tensor<bool>& valid, Tensor<T> words,
                     const Tensor<bool>& read, const Tensor<T>& g,
                     Tensor<T>* seen = nullptr) const {
    for (const Ref<DecoderLayer<T>>& layer : decoder1_)
      frames = layer->think(layer->attend(frames, g, valid));
    for (const Ref<DecoderLayer<T>>& layer : decoder2_) {
      words = layer->attend(words, {}, read);
      if (seen != nullptr) *seen = layer->encoder_attn.weights(words, frames, g, valid);
      words = layer->think(layer->ask(words, frames, g, valid));
    }
    return fc_rec.forward(words);
  }

  Dropout<T> drop;
  VlcOptions options_;
  std::vector<Ref<DecoderLayer<T>>> decoder1_, decoder2_;
};

/// completion_nll — how badly the words of each sentence are told, with smoothed targets:
///   NLL_b = Σ_j m_j·[0.9·(−log p_j[id_j]) + (0.1/V)·Σ_v −log p_j[v]]/Σ_j m_j      [method §11, C]
///   logits (B, n, V), ids (B, n), counted m (B, n) → (B).
/// One position behind the last word is counted, with target 0.
template <FloatingElement T>
Tensor<T> completion_nll(const Tensor<T>& logits, const Tensor<std::int64_t>& ids,
                         const Tensor<bool>& counted) {
  TANDEM_CHECK(logits.rank() == 3 && ids.shape() == (Shape{logits.size(0), logits.size(1)}) &&
                   counted.shape() == ids.shape(),
               "completion_nll", "expected logits (B, n, V), ids and counted (B, n), got ",
               logits.shape(), ", ", ids.shape(), " and ", counted.shape());
  const double smoothing = 0.1;
  const Tensor<T> log_p = log_softmax(logits, -1);
  const Tensor<T> of_word = gather(log_p, -1, ids.unsqueeze(2)).squeeze(2);
  const Tensor<T> told =
      add(mul(of_word, T(smoothing - 1)),
          mul(sum(log_p, -1), T(-smoothing / static_cast<double>(logits.size(2)))));
  const Tensor<T> m = where(counted, ones<T>(counted.shape(), logits.device()), T(0));
  return div(sum(mul(told, m), 1), sum(m, 1));
}

/// The losses of VLC on the output of a pass.
template <FloatingElement T>
struct VlcLosses {
  Tensor<T> positive, hard_negative, easy_negative;  ///< mean_b NLL of the three passes
  Tensor<T> reconstruction;                          ///< L_rec = mean NLL⁺ + mean NLL^hard
  Tensor<T> hard, easy;                              ///< the two terms of L_ivc
  Tensor<T> contrast;  ///< L_ivc = mean max(NLL⁺ − NLL^hard + 0.1, 0)
                       ///<       + mean max(NLL⁺ − NLL^easy + 0.15, 0)
};
template <FloatingElement T>
VlcLosses<T> vlc_losses(const VlcOutput<T>& out, const Tensor<std::int64_t>& ids,
                        const Tensor<bool>& counted) {
  const Tensor<T> positive = completion_nll(out.positive, ids, counted),
                  hard = completion_nll(out.hard, ids, counted),
                  easy = completion_nll(out.easy, ids, counted);
  VlcLosses<T> l;
  l.positive = mean(positive);
  l.hard_negative = mean(hard);
  l.easy_negative = mean(easy);
  l.reconstruction = add(l.positive, l.hard_negative);
  l.hard = mean(relu(add(sub(positive, hard), T(0.1))));
  l.easy = mean(relu(add(sub(positive, easy), T(0.15))));
  l.contrast = add(l.hard, l.easy);
  return l;
}

}  // namespace rivals
}  // namespace wtal
TANDEM_NAMESPACE_END

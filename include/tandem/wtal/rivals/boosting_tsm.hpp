#pragma once
/// TSM, the text-segment mining of Boosting-WTAL: the text of each class is a query that is matched
/// with the frames.                                                              [method §11, P, C]

#include <cstdint>

#include "tandem/ops/attention.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/ops/gelu.hpp"
#include "tandem/ops/matmul.hpp"
#include "tandem/wtal/rivals/co2_loss.hpp"
#include "tandem/wtal/rivals/cross_modal.hpp"
#include "tandem/wtal/rivals/dropout.hpp"
#include "tandem/wtal/rivals/text_positions.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {
namespace rivals {

/// The sizes of TSM.
struct TsmOptions {
  CrossModalOptions streams = {.autoencoder = true};
  std::int64_t clip = 0;          ///< columns of CLIP, in the RGB stream (CrossModalPair); 0: none
  std::int64_t word_width = 300;  ///< of a word vector
  std::int64_t prompts = 9;       ///< n_p: learned vectors before the two words of a class
  std::int64_t heads = 8;         ///< of the attention among the tokens
  std::int64_t mlp_hidden = 8192;
  double stochastic_depth = 0.1;  ///< how often a class leaves a residual branch out, in training
  std::int64_t fusion_kernel = 3;
  double fusion_dropout = 0.7;       ///< of h0 and h1
  double added_deviation = 0.03125;  ///< of the table that is added to the tokens, at the start
  double position_scale = 1;         ///< of the sinusoid
  std::int64_t pool = 0;  ///< S and the attentions are means over so many frames; 0: as they are

  /// The numbers of its code for ActivityNet-1.3, for five words a class (the first of its name,
  /// and zeros) and 60 rows a video: encoders as wide as a stream, gated streams, an h0 of single
  /// rows.
  ///                                                                                           [C]
  static TsmOptions activity_net(std::int64_t stream = 1024, std::int64_t clip = 0) {
    TsmOptions o;
    o.streams.stream = stream;
    o.clip = clip;
    o.streams.encoded = stream;
    o.streams.gated_main = true;
    o.streams.attention_dropout = 0.7;
    o.prompts = 3;
    o.heads = 2;
    o.fusion_kernel = 1;
    o.fusion_dropout = 0.5;
    o.added_deviation = 0.01;
    o.position_scale = 1 / __builtin_sqrt(static_cast<double>(o.width()));
    o.pool = 13;
    return o;
  }

  /// D: columns of a row, RGB, flow and CLIP.
  std::int64_t width() const { return 2 * streams.stream + clip; }
};

/// What TSM says.
template <FloatingElement T>
struct TsmOutput {
  Tensor<T> features;                       ///< h0 (B, T, D): `feat`, of the pair loss
  Tensor<T> final_features;                 ///< h1 (B, T, D)
  Tensor<T> cas;                            ///< S (B, T, C + 1), the last column is the background
  Tensor<T> attention;                      ///< a (B, T, 1)
  Tensor<T> rgb_attention, flow_attention;  ///< a_v, a_f (B, T, 1)
  Tensor<T> rgb, flow;            ///< d_v, d_f (B, T, stream), d_v with CLIP's: what was decoded
  Tensor<T> rgb_main, flow_main;  ///< and what they were to decode
};

/// The tokens of the classes, (C + 1, n_p + 2, D): before, between and after their two residual
/// branches.
template <FloatingElement T>
struct TsmText {
  Tensor<T> before, attended, after;
};

/// Tsm — the network.                                                               [method §11, C]
///   (a_v, r_v) = A(rgb, flow), (a_f, r_f) = A(flow, rgb), a = (a_v + a_f)/2
///   h0 = Drop(.7)(LReLU(.2)(Conv₃([r_v; r_f]))), h1 = Drop(.7)(LReLU(.2)(Conv₃(h0)))
///   z = Drop(.5)(LReLU(.2)(Conv₁(prompts of the class, its two words))) + add_weight + sinusoid
///   z += s₁⊙MHA(z);  z += s₂⊙MLP(z)        no layer norm; s start at 1e-4
///   S_{t,c} = h1_t·z_c[token 0];  S and the attentions pooled over time where that is asked for
/// x (B, T, D) → S (B, T, C + 1), D = 2·stream + clip, columns RGB, flow, CLIP; with CLIP's the RGB
/// stream is [rgb; clip] (CrossModalPair), and all that is D wide follows (reading). The word
/// vectors of the classes are given and do not learn; those of the background class, as many, do,
/// and start as 0.
template <FloatingElement T>
class Tsm final : public nn::Module<T> {
 public:
  /// `words` (C, n, word_width): the vectors of the n words of each class, two on THUMOS14.
  Tsm(const TsmOptions& o, const Tensor<T>& words, Generator& random)
      : rgb(CrossModalPair::of("tsm", o.streams, o.clip).rgb, random),
        flow(CrossModalPair::of("tsm", o.streams, o.clip).flow, random),
        fusion(o.width(), o.width(), o.fusion_kernel, random, true, ConvInit::kaiming),
        fusion2(o.width(), o.width(), 3, random, true, ConvInit::kaiming),
        embed(o.word_width, o.width(), 1, random, true, ConvInit::kaiming),
        key(o.width(), o.width(), 1, random, true, ConvInit::kaiming),
        query(o.width(), o.width(), 1, random, true, ConvInit::kaiming),
        value(o.width(), o.width(), 1, random, true, ConvInit::kaiming),
        project(o.width(), o.width(), 1, random, true, ConvInit::kaiming),
        mlp0(o.width(), o.mlp_hidden, 1, random, true, ConvInit::kaiming),
        mlp3(o.mlp_hidden, o.width(), 1, random, true, ConvInit::kaiming),
        drop_fusion(o.fusion_dropout),
        drop_fusion2(o.fusion_dropout),
        words_(words.detach()),
        options_(o) {
    TANDEM_CHECK(words.rank() == 3 && words.size(1) >= 1 && words.size(2) == o.word_width, "tsm",
                 "expected the words of the classes as (C, n, ", o.word_width, "), got ",
                 words.shape());
    TANDEM_CHECK(o.prompts >= 1 && o.heads >= 1 && o.width() % o.heads == 0, "tsm", o.prompts,
                 " prompts and ", o.heads, " heads for a width of ", o.width(),
                 ": there must be a prompt, and the heads must divide the width");
    const std::int64_t classes = words.size(0) + 1, tokens = o.prompts + words.size(1);
    const double bound = __builtin_sqrt(6 / static_cast<double>(o.word_width * o.prompts));
    prompts = rand<T>({classes, o.word_width, o.prompts}, random, -bound, bound);
    background = zeros<T>({1, words.size(1), o.word_width});
    added = randn<T>({classes, o.width(), tokens}, random, 0, o.added_deviation);
    attention_scale = full<T>({1, o.width(), 1}, 1e-4);
    mlp_scale = full<T>({1, o.width(), 1}, 1e-4);
    positions_ = mul(halves_sinusoid<T>(tokens, o.width()), T(o.position_scale));
    this->add("weight", prompts);
    this->add("b_enc", background);
    this->add("add_weight", added);
    this->add("vAttn", rgb);
    this->add("fAttn", flow);
    this->add("fusion.0", fusion);
    this->add("fusion.2", drop_fusion);
    this->add("fusion2.0", fusion2);
    this->add("fusion2.2", drop_fusion2);
    this->add("txt_emb.0", embed);
    this->add("txt_emb.2", drop_embed);
    this->add("MHA.key", key);
    this->add("MHA.query", query);
    this->add("MHA.value", value);
    this->add("MHA.proj", project);
    this->add("mlp.0", mlp0);
    this->add("mlp.2", drop_mlp);
    this->add("mlp.3", mlp3);
    this->add("mlp.4", drop_mlp_out);
    this->add("drop_path_attn.scale", attention_scale);
    this->add("drop_path_mlp.scale", mlp_scale);
  }

  /// `valid` (B, T): rows that are no frames enter the convolutions as zeros.
  TsmOutput<T> forward(const Tensor<T>& x, const Tensor<bool>& valid) const {
    const nn::ModuleScope scope("tsm");
    TANDEM_CHECK(x.rank() == 3 && x.size(2) == options_.width() &&
                     valid.shape() == (Shape{x.size(0), x.size(1)}),
                 "tsm", "expected x (B, T, ", options_.width(), ") and valid (B, T), got ",
                 x.shape(), " and ", valid.shape());
    const auto in = Streams<T>::of(x, options_.streams.stream, options_.clip);
    const CrossModalOutput<T> from_rgb = rgb.forward(in.rgb, in.flow, valid),
                              from_flow = flow.forward(in.flow, in.rgb, valid);
    TsmOutput<T> out;
    const auto pool = [this](const Tensor<T>& y) { return pooled_over_time(y, options_.pool); };
    out.rgb_attention = pool(from_rgb.attention);
    out.flow_attention = pool(from_flow.attention);
    out.attention = mul(add(out.rgb_attention, out.flow_attention), T(0.5));
    out.rgb = from_rgb.decoded;
    out.flow = from_flow.decoded;
    out.rgb_main = from_rgb.main;
    out.flow_main = from_flow.main;
    out.features = drop_fusion.forward(leaky_relu(
        fusion.forward(cat(std::vector<Tensor<T>>{from_rgb.filtered, from_flow.filtered}, -1),
                       valid),
        0.2));
    out.final_features =
        drop_fusion2.forward(leaky_relu(fusion2.forward(out.features, valid), 0.2));
    out.cas = pool(matmul(out.final_features, text().after.select(1, 0).transpose(0, 1)));
    return out;
  }

  /// The tokens of all classes.
  TsmText<T> text() const {
    const Tensor<T> names =
        cat(std::vector<Tensor<T>>{words_.to(background.device()), background}, 0);
    const Tensor<T> tokens = cat(std::vector<Tensor<T>>{prompts.transpose(1, 2), names}, 1);
    TsmText<T> out;
    out.before =
        add(add(drop_embed.forward(leaky_relu(embed.forward(tokens), 0.2)), added.transpose(1, 2)),
            positions_.to(background.device()));
    out.attended = add(out.before, branch(attend(out.before), attention_scale));
    out.after = add(out.attended, branch(drop_mlp_out.forward(mlp3.forward(
                                             drop_mlp.forward(gelu(mlp0.forward(out.attended))))),
                                         mlp_scale));
    return out;
  }
  /// The options it was made with.
  const TsmOptions& options() const { return options_; }

  CrossModal<T> rgb, flow;                 ///< vAttn, fAttn
  TemporalConv<T> fusion, fusion2, embed;  ///< embed: txt_emb
  TemporalConv<T> key, query, value, project, mlp0, mlp3;
  Tensor<T> prompts;                     ///< `weight` (C + 1, word_width, n_p)
  Tensor<T> background;                  ///< `b_enc` (1, n, word_width)
  Tensor<T> added;                       ///< `add_weight` (C + 1, D, n_p + n)
  Tensor<T> attention_scale, mlp_scale;  ///< s₁, s₂ (1, D, 1)
  Dropout<T> drop_fusion, drop_fusion2, drop_embed{0.5}, drop_mlp{0.1}, drop_mlp_out{0.1};

 private:
  /// MHA over the tokens of a class, without a mask.
  Tensor<T> attend(const Tensor<T>& z) const {
    const std::int64_t heads = options_.heads, head = z.size(2) / heads;
    const auto split = [&](const Tensor<T>& y) {
      return y.reshape({z.size(0), z.size(1), heads, head}).permute({0, 2, 1, 3});
    };
    const Tensor<T> mixed = scaled_dot_product_attention(
        split(query.forward(z)), split(key.forward(z)), split(value.forward(z)));
    return project.forward(mixed.permute({0, 2, 1, 3}).reshape(z.shape()));
  }
  /// What a residual branch adds, scaled; in training a class leaves it out now and then, and the
  /// others take it so much the more.
  Tensor<T> branch(const Tensor<T>& y, const Tensor<T>& scale) const {
    const Tensor<T> scaled = mul(y, scale.transpose(1, 2));
    if (!this->training() || options_.stochastic_depth == 0) return scaled;
    TANDEM_CHECK(nn::current_generator() != nullptr, "tsm",
                 "training needs an nn::RandomScope, so that runs can be repeated");
    return mul(scaled, dropout(ones<T>({y.size(0), 1, 1}, y.device()), options_.stochastic_depth,
                               *nn::current_generator()));
  }

  Tensor<T> words_, positions_;
  TsmOptions options_;
};

/// autoencoder_loss — L_ae = MSE(d_v, rgb) + MSE(d_f, flow) over the frames: what is decoded from
/// flow is RGB and the other way round, both gated where the modules gate them. `out`: what TSM or
/// VLC says.                                                                        [method §11, C]
template <class Output>
auto autoencoder_loss(const Output& out, const Tensor<bool>& valid) {
  return add(masked_mean(square(sub(out.rgb, out.rgb_main)), valid),
             masked_mean(square(sub(out.flow, out.flow_main)), valid));
}

/// The weights of TSM's terms.
struct TsmLossOptions {
  Co2LossOptions co2 = {.mutual = 0};
  double autoencoder = 1.5;
  double attention = 1.5;  ///< of the MSE to VLC's attention

  /// The numbers of its code for ActivityNet-1.3.                                              [C]
  static TsmLossOptions activity_net() {
    return {.co2 = {.divisor = 5, .mutual = 0}, .autoencoder = 0.15, .attention = 0.25};
  }
};

/// The loss of TSM and its terms.
template <FloatingElement T>
struct TsmLosses {
  Co2Losses<T> co2;
  Tensor<T> autoencoder;  ///< L_ae
  Tensor<T> attention;    ///< 1.5·MSE(a, stop(a_vlc)), with its weight
  Tensor<T> total;
};

/// tsm_losses — CO2-Net's loss without L_mut + 1.5·L_ae + 1.5·MSE(a, stop(a_vlc)).  [method §11, C]
///   vlc_attention (B, T); undefined: without that term, TSM alone.
template <FloatingElement T>
TsmLosses<T> tsm_losses(const TsmOutput<T>& out, const Tensor<T>& y, const Tensor<bool>& valid,
                        const Tensor<T>& vlc_attention, const TsmLossOptions& o = {}) {
  TsmLosses<T> l;
  l.co2 = co2_losses<T>({.features = out.features,
                         .cas = out.cas,
                         .attention = out.attention,
                         .rgb_attention = out.rgb_attention,
                         .flow_attention = out.flow_attention},
                        y, valid, o.co2);
  l.autoencoder = autoencoder_loss(out, valid);
  l.total = add(l.co2.total, mul(l.autoencoder, T(o.autoencoder)));
  if (vlc_attention.defined()) {
    l.attention =
        mul(masked_mean(square(sub(out.attention, vlc_attention.detach().unsqueeze(2))), valid),
            T(o.attention));
    l.total = add(l.total, l.attention);
  }
  return l;
}

}  // namespace rivals
}  // namespace wtal
TANDEM_NAMESPACE_END

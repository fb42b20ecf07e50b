#pragma once
/// The cross-modal consensus module of CO2-Net and its variant with an auto-encoder, that of
/// Boosting-WTAL.                                                             [method §10, §11, C]

#include <cstdint>
#include <vector>

#include "tandem/ops/cat.hpp"
#include "tandem/ops/clamp.hpp"
#include "tandem/ops/mean.hpp"
#include "tandem/ops/sigmoid.hpp"
#include "tandem/ops/sqrt.hpp"
#include "tandem/ops/square.hpp"
#include "tandem/ops/sum.hpp"
#include "tandem/wtal/rivals/dropout.hpp"
#include "tandem/wtal/rivals/temporal_conv.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {
namespace rivals {

/// The sizes of a CrossModal.
struct CrossModalOptions {
  std::int64_t stream = 1024;  ///< columns of main
  std::int64_t aux = 0;        ///< columns of aux; 0: as many
  std::int64_t hidden = 512;   ///< inside the attention
  std::int64_t encoded = 512;  ///< e of the auto-encoder, where there is one
  bool autoencoder = false;    ///< Boosting-WTAL's module A; false: CO2-Net's module M
  /// Boosting-WTAL's code for ActivityNet: sigmoid(g)⊙main takes the place of main, in r and as
  /// what the auto-encoder must decode.
  bool gated_main = false;
  double dropout = 0.5;
  double attention_dropout = -1;  ///< of a's hidden layer and logit; below 0: dropout
  ConvInit init = ConvInit::kaiming;
};

/// The two modules of a method on rows with the columns RGB, flow, CLIP. CLIP's columns join the
/// RGB stream, rgb' = [rgb; clip], since both are of what is seen in a picture, and flow stays the
/// other modality; without CLIP's the two are alike.  (reading)
struct CrossModalPair {
  CrossModalOptions rgb;   ///< main [rgb; clip], aux flow
  CrossModalOptions flow;  ///< main flow, aux [rgb; clip]

  /// `o` says all but the widths that follow: `o.stream` columns of RGB and as many of flow, `clip`
  /// of CLIP. `method` is for messages.  Errors: clip < 0; an aux in `o`.
  static CrossModalPair of(const char* method, const CrossModalOptions& o, std::int64_t clip) {
    TANDEM_CHECK(clip >= 0 && o.aux == 0, method,
                 "expected clip >= 0 columns of CLIP and no streams.aux, which follows from them; ",
                 "got ", clip, " and ", o.aux);
    CrossModalPair out{.rgb = o, .flow = o};
    out.rgb.stream = out.flow.aux = o.stream + clip;
    out.rgb.aux = o.stream;
    return out;
  }
};

/// The streams of rows x (B, T, 2·stream + clip) with the columns RGB, flow, CLIP.
template <FloatingElement T>
struct Streams {
  Tensor<T> rgb;   ///< [rgb; clip] (B, T, stream + clip)
  Tensor<T> flow;  ///< (B, T, stream)

  /// Splits x. Without CLIP's columns nothing is copied.
  static Streams of(const Tensor<T>& x, std::int64_t stream, std::int64_t clip) {
    const Tensor<T> rgb = x.slice(2, 0, stream);
    return {.rgb = clip == 0
                       ? rgb
                       : cat(std::vector<Tensor<T>>{rgb, x.slice(2, 2 * stream, 2 * stream + clip)},
                             -1),
            .flow = x.slice(2, stream, 2 * stream)};
  }
};

/// What a CrossModal says.
template <FloatingElement T>
struct CrossModalOutput {
  Tensor<T> attention;      ///< a (B, T, 1)
  Tensor<T> raw;            ///< its logit, after the last dropout (B, T, 1)
  Tensor<T> filtered = {};  ///< r (B, T, stream)
  Tensor<T> decoded = {};   ///< d (B, T, stream), with an auto-encoder
  Tensor<T> main = {};      ///< what d is to be (B, T, stream): main, gated where that is asked for
};

/// CrossModal — the stream `main`, filtered by what `aux` has to say, and its attention.
///   g = Drop(.5)(LReLU(.2)(Conv₃(mean_t main)))        global: of the whole video
///   l = Drop(.5)(LReLU(.2)(Conv₃(aux)))                local
///   r = sigmoid(l⊙g)⊙main
///   a = sigmoid(Drop(.5)(Conv₁(LReLU(.2)(Conv₃(Drop(.5)(LReLU(.2)(Conv₃(r))))))))
/// With an auto-encoder (Boosting-WTAL):
///   e = Drop(.5)(LReLU(.2)(Conv₃(aux))), d = Drop(.5)(LReLU(.2)(Conv₃(e))), l is of e, and
///   r = sigmoid(l⊙cos(l_t, g))⊙main; with gated_main main is sigmoid(g)⊙main there and behind.
///   main (B, T, stream), aux (B, T, aux); a (B, T, 1), r and d (B, T, stream).
///                                                                             [method §10, §11, C]
/// The public codes have aux = stream; another number of columns is a reading.
/// Padded frames (valid (B, T) false) enter the convolutions as zeros and the mean over time not at
/// all; without `valid` all frames are real.  (reading)
/// The last dropout is on the attention's logit: in training half of the frames have a = ½ exactly
/// and the others a doubled logit. Names are those of the public checkpoints.
template <FloatingElement T>
class CrossModal final : public nn::Module<T> {
 public:
  CrossModal(const CrossModalOptions& o, Generator& random)
      : options_(o),
        encode(aux_columns(o), o.encoded, 3, random, true, o.init),
        decode(o.encoded, o.stream, 3, random, true, o.init),
        local(o.autoencoder ? o.encoded : aux_columns(o), o.stream, 3, random, true, o.init),
        global(o.stream, o.stream, 3, random, true, o.init),
        attention0(o.stream, o.hidden, 3, random, true, o.init),
        attention3(o.hidden, o.hidden, 3, random, true, o.init),
        attention5(o.hidden, 1, 1, random, true, o.init),
        drop_encode(o.dropout),
        drop_decode(o.dropout),
        drop_local(o.dropout),
        drop_global(o.dropout),
        drop_hidden(attention_dropout(o)),
        drop_logit(attention_dropout(o)) {
    TANDEM_CHECK(o.autoencoder || !o.gated_main, "cross_modal",
                 "only the module with an auto-encoder gates its main stream");
    if (o.autoencoder) {
      this->add("AE_e.0", encode);
      this->add("AE_e.2", drop_encode);
      this->add("AE_d.0", decode);
      this->add("AE_d.2", drop_decode);
    }
    this->add("bit_wise_attn.0", local);
    this->add("bit_wise_attn.2", drop_local);
    this->add("channel_conv.0", global);
    this->add("channel_conv.2", drop_global);
    this->add("attention.0", attention0);
    this->add("attention.2", drop_hidden);
    this->add("attention.3", attention3);
    this->add("attention.5", attention5);
    this->add("attention.6", drop_logit);
  }

  /// a, r and, with an auto-encoder, d.
  CrossModalOutput<T> forward(const Tensor<T>& main, const Tensor<T>& aux,
                              const Tensor<bool>& valid = {}) const {
    const nn::ModuleScope scope = this->scope();
    CrossModalOutput<T> out;
    const Tensor<T> g = drop_global.forward(activated(global.forward(time_mean(main, valid))));
    Tensor<T> l, gate;
    out.main = options_.gated_main ? mul(sigmoid(g), main) : main;
    if (options_.autoencoder) {
      const Tensor<T> e = drop_encode.forward(activated(encode.forward(aux, valid)));
      out.decoded = drop_decode.forward(activated(decode.forward(e, valid)));
      l = drop_local.forward(activated(local.forward(e, valid)));
      gate = mul(l, cosine(l, g));
    } else {
      l = drop_local.forward(activated(local.forward(aux, valid)));
      gate = mul(l, g);
    }
    out.filtered = mul(sigmoid(gate), out.main);
    const Tensor<T> hidden = activated(attention3.forward(
        drop_hidden.forward(activated(attention0.forward(out.filtered, valid))), valid));
    out.raw = drop_logit.forward(attention5.forward(hidden));
    out.attention = sigmoid(out.raw);
    return out;
  }

 private:
  static double attention_dropout(const CrossModalOptions& o) {
    return o.attention_dropout < 0 ? o.dropout : o.attention_dropout;
  }
  static std::int64_t aux_columns(const CrossModalOptions& o) {
    return o.aux > 0 ? o.aux : o.stream;
  }
  /// cos(l_t, g) of every frame, (B, T, 1); 0 where one of the two is 0  (reading).
  static Tensor<T> cosine(const Tensor<T>& l, const Tensor<T>& g) {
    const auto norm = [](const Tensor<T>& x) {
      return sqrt(clamp_min(sum(square(x), -1, true), T(1e-30)));
    };
    return div(sum(mul(l, g), -1, true), mul(norm(l), norm(g)));
  }
  /// The mean over the frames of each video, (B, 1, n).
  static Tensor<T> time_mean(const Tensor<T>& x, const Tensor<bool>& valid) {
    if (!valid.defined()) return mean(x, 1, true);
    const Tensor<T> real = valid.template to<T>().unsqueeze(2);
    return div(sum(mul(x, real), 1, true), sum(real, 1, true));
  }
  static Tensor<T> activated(const Tensor<T>& x) { return leaky_relu(x, 0.2); }
  CrossModalOptions options_;

 public:
  TemporalConv<T> encode, decode;  ///< of the auto-encoder
  TemporalConv<T> local, global, attention0, attention3, attention5;
  Dropout<T> drop_encode, drop_decode, drop_local, drop_global, drop_hidden, drop_logit;
};

}  // namespace rivals
}  // namespace wtal
TANDEM_NAMESPACE_END

#pragma once
/// What a training step of the methods in CBP's place needs of memory, by the layers of each
/// (layer_memory.hpp): the parameters that learn, and of each row what the backward keeps. `own`:
/// of its own loss, where that keeps more than its scores do. Dropout is on.

#include <cstdint>

#include "layer_memory.hpp"
#include "tandem/wtal/model/basnet.hpp"
#include "tandem/wtal/model/co2.hpp"
#include "tandem/wtal/model/um.hpp"
#include "tandem/wtal/model/wtalc.hpp"

namespace cli {

/// A CrossModal: its layers and what their dropout leaves of them, the gate and r. g is of the mean
/// row, so it counts in the parameters alone.
inline LayerMemory cross_modal_memory(const tandem::wtal::rivals::CrossModalOptions& o) {
  const std::int64_t aux = o.aux > 0 ? o.aux : o.stream, main = o.stream;
  LayerMemory out;
  if (o.autoencoder) {
    out.layer(aux, o.encoded, 3).layer(o.encoded, main, 3).layer(o.encoded, main, 3);
    out.keep(main);  // d
  } else {
    out.layer(aux, main, 3);
  }
  out.keep(3 * main);  // l, σ(l⊙g) and r
  out.parameters += LayerMemory().layer(main, main, 3).parameters;
  return out.layer(main, o.hidden, 3).layer(o.hidden, o.hidden, 3).layer(o.hidden, 1);
}

/// BaS-Net. Its own loss has two passes behind the products of conv_1, which they share.
inline LayerMemory basnet_memory(const tandem::wtal::BasNetOptions& o, bool own) {
  const std::int64_t scores = o.classes + 1;
  LayerMemory out;
  out.layer(o.input, o.filter_width).layer(o.filter_width, 1);
  LayerMemory pass;
  pass.layer(o.width, o.width, 3).keep(o.width).layer(o.width, scores, 1, false);
  const LayerMemory first = LayerMemory().layer(o.input, o.width, 3);
  out.parameters += first.parameters + pass.parameters;
  if (own) {
    out.keep(3 * o.width);  // the products
    out.per_row += 2 * (static_cast<double>(o.width) + pass.per_row);
  } else {
    out.per_row += first.per_row + pass.per_row;
  }
  return out;
}

/// CO2-Net.
inline LayerMemory co2_memory(const tandem::wtal::Co2Options& o) {
  const auto pair = tandem::wtal::rivals::CrossModalPair::of("co2", o.streams, o.clip);
  const std::int64_t width = 2 * o.streams.stream + o.clip;
  LayerMemory out = cross_modal_memory(pair.rgb);
  out += cross_modal_memory(pair.flow);
  out.layer(width, width).keep(width).layer(width, width, 3).keep(width);
  return out.layer(width, o.classes + 1);
}

/// UM.
inline LayerMemory um_memory(const tandem::wtal::UmOptions& o) {
  LayerMemory out;
  return out.layer(o.input, o.width, 3).keep(o.width).layer(o.width, o.classes, 1, false);
}

/// W-TALC, whose second layer takes no part.
inline LayerMemory wtalc_memory(const tandem::wtal::WtalcOptions& o) {
  LayerMemory out;
  out.layer(o.input, o.input).keep(o.input).layer(o.input, o.classes);
  out.parameters += LayerMemory().layer(o.input, o.input).parameters;
  return out;
}

}  // namespace cli

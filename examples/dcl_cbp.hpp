#pragma once
/// The methods that stand in CBP's place: one line each, by the word of --cbp.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "dcl_options.hpp"
#include "step_memory.hpp"
#include "tandem/wtal/model/basnet.hpp"
#include "tandem/wtal/model/wtalc.hpp"

namespace dcl {

/// A recipe with what the options say in its place.
inline rivals::Recipe recipe_of(const Options& o, rivals::Recipe recipe) {
  const MethodOptions& m = o.method;
  if (m.batch > 0) recipe.batch = m.batch;
  if (m.rows > 0) recipe.frames = m.rows;
  if (m.learning_rate > 0) recipe.learning_rate = m.learning_rate;
  if (m.weight_decay >= 0) recipe.weight_decay = m.weight_decay;
  return recipe;
}

/// The branch of --cbp for rows of `input` columns and `classes` classes.
inline std::unique_ptr<Branch<float>> make_cbp(const Options& o, std::int64_t input,
                                               std::int64_t classes, Generator& random) {
  const std::int64_t width = o.method.width;
  if (o.cbp_method == "basnet") {
    BasNetOptions b;
    b.input = input;
    b.classes = classes;
    if (width > 0) b.width = width;
    if (width > 0) b.filter_width = std::max<std::int64_t>(1, width / 4);  // as 512 of 2048
    b.base_frames = o.method.basnet_base_frames;
    b.recipe = recipe_of(o, b.recipe);
    b.precision = o.cbp.precision;
    return std::make_unique<BasNetBranch<float>>(b, random);
  }
  if (o.cbp_method == "wtalc") {
    WtalcOptions w;
    w.input = input;
    w.classes = classes;
    w.recipe = recipe_of(o, w.recipe);
    w.precision = o.cbp.precision;
    return std::make_unique<WtalcBranch<float>>(w, random);
  }
  CbpOptions c = o.cbp;
  c.input = input;
  c.classes = classes;
  return std::make_unique<CbpBranch<float>>(c, random);
}

/// The tensors of a checkpoint that say how many columns and classes a method has: dimension 1 of
/// the one, dimension 0 of the other, which counts a background class too.
struct CbpShape {
  const char *columns, *classes;
  std::int64_t background = 0;
};
inline CbpShape cbp_shape(const std::string& method) {
  if (method == "basnet") return {"cas_module.conv_1.0.weight", "cas_module.conv_3.0.weight", 1};
  if (method == "wtalc") return {"fc.weight", "classifier.weight"};
  return {"embed.weight", "head.bias"};
}

/// What a training step of --cbp needs of memory, in the terms of step_memory.hpp.
inline cli::StudentSize cbp_size(const Options& o, std::int64_t input, std::int64_t classes) {
  const bool transformer = o.cbp_method == "transformer";
  const std::int64_t width = o.cbp_method == "wtalc"    ? input
                             : o.method.width > 0       ? o.method.width
                             : o.cbp_method == "basnet" ? BasNetOptions().width
                                                        : o.cbp.width;
  return {.input = input,
          .classes = classes,
          .width = transformer ? o.cbp.width : width,
          .layers = transformer ? o.cbp.layers : 0,
          .mlp_ratio = transformer ? o.cbp.mlp_ratio : 1};
}

}  // namespace dcl

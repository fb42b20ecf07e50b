#pragma once
/// The methods that stand in CBP's place: one line each, by the word of --cbp.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "dcl_options.hpp"
#include "method_memory.hpp"
#include "step_memory.hpp"

namespace dcl {

/// A recipe with what the options say in its place.  Error: pairs that do not fit into the batch.
inline rivals::Recipe recipe_of(const Options& o, rivals::Recipe recipe) {
  const MethodOptions& m = o.method;
  if (m.batch > 0) recipe.batch = m.batch;
  if (m.rows > 0) recipe.frames = m.rows;
  if (m.learning_rate > 0) recipe.learning_rate = m.learning_rate;
  if (m.weight_decay >= 0) recipe.weight_decay = m.weight_decay;
  TANDEM_CHECK(2 * recipe.pairs <= recipe.batch, "options", "--method-batch ", recipe.batch,
               " is too small for --cbp ", o.cbp_method, ": ", recipe.pairs,
               " pairs do not fit into a batch of ", recipe.batch, ", give ", 2 * recipe.pairs,
               " or more");
  return recipe;
}
/// The recipe of the method in CBP's place; none: the transformer, which has no batches of its own.
inline std::optional<rivals::Recipe> recipe_of(const Options& o) {
  if (o.cbp_method == "basnet") return recipe_of(o, BasNetOptions().recipe);
  if (o.cbp_method == "wtalc") return recipe_of(o, WtalcOptions().recipe);
  if (o.cbp_method == "um") return recipe_of(o, UmOptions().recipe);
  if (o.cbp_method != "co2") return std::nullopt;
  return recipe_of(o,
                   (o.method.co2_activitynet ? Co2Options::activity_net() : Co2Options()).recipe);
}

/// The options of a method in CBP's place, as the program's say.
inline BasNetOptions basnet_options(const Options& o, std::int64_t input, std::int64_t classes) {
  const std::int64_t width = o.method.width;
  BasNetOptions b;
  b.input = input;
  b.classes = classes;
  if (width > 0) b.width = width;
  if (width > 0) b.filter_width = std::max<std::int64_t>(1, width / 4);  // as 512 of 2048
  b.base_frames = o.method.basnet_base_frames;
  b.recipe = recipe_of(o, b.recipe);
  b.precision = o.cbp.precision;
  return b;
}
inline WtalcOptions wtalc_options(const Options& o, std::int64_t input, std::int64_t classes) {
  WtalcOptions w;
  w.input = input;
  w.classes = classes;
  w.recipe = recipe_of(o, w.recipe);
  w.precision = o.cbp.precision;
  return w;
}
/// `clip`: the last columns, which are CLIP's.
inline Co2Options co2_options(const Options& o, std::int64_t input, std::int64_t clip,
                              std::int64_t classes) {
  const std::int64_t i3d = input - clip;
  TANDEM_CHECK(i3d % 2 == 0, "rows", "--cbp co2 reads RGB and flow, of equally many ",
               "columns each; the I3D rows have ", i3d);
  Co2Options n = o.method.co2_activitynet ? Co2Options::activity_net() : Co2Options();
  n.streams.stream = i3d / 2;
  n.clip = clip;
  if (o.method.width > 0) n.streams.hidden = o.method.width;
  n.classes = classes;
  n.suppressed_frames = o.method.co2_suppressed_frames;
  n.recipe = recipe_of(o, n.recipe);
  n.precision = o.cbp.precision;
  return n;
}
inline UmOptions um_options(const Options& o, std::int64_t input, std::int64_t classes) {
  UmOptions u;
  u.input = input;
  u.classes = classes;
  if (o.method.width > 0) u.width = o.method.width;
  u.relative_magnitudes = o.method.um_relative_magnitudes;
  u.recipe = recipe_of(o, u.recipe);
  u.precision = o.cbp.precision;
  return u;
}

/// The branch of --cbp for rows of `input` columns, of which the last `clip` are CLIP's, and
/// `classes` classes.
inline std::unique_ptr<Branch<float>> make_cbp(const Options& o, std::int64_t input,
                                               std::int64_t clip, std::int64_t classes,
                                               Generator& random) {
  if (o.cbp_method == "basnet")
    return std::make_unique<BasNetBranch<float>>(basnet_options(o, input, classes), random);
  if (o.cbp_method == "wtalc")
    return std::make_unique<WtalcBranch<float>>(wtalc_options(o, input, classes), random);
  if (o.cbp_method == "co2")
    return std::make_unique<Co2Branch<float>>(co2_options(o, input, clip, classes), random);
  if (o.cbp_method == "um")
    return std::make_unique<UmBranch<float>>(um_options(o, input, classes), random);
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
  /// A tensor whose dimension 0 is half the I3D columns, where the method must know which columns
  /// are CLIP's; null: it need not.
  const char* half_i3d = nullptr;
};
inline CbpShape cbp_shape(const std::string& method) {
  if (method == "basnet") return {"cas_module.conv_1.0.weight", "cas_module.conv_3.0.weight", 1};
  if (method == "co2")
    return {"fusion.0.weight", "classifier.4.weight", 1, "fAttn.channel_conv.0.weight"};
  if (method == "um") return {"cas_module.conv.0.weight", "cas_module.classifier.0.weight"};
  if (method == "wtalc") return {"fc.weight", "classifier.weight"};
  return {"embed.weight", "head.bias"};
}

/// What a training step of --cbp needs of memory, in the terms of step_memory.hpp.
struct CbpSize {
  cli::StudentSize scores;  ///< of a step by its scores
  /// Of a method's own loss, and its batches; none: the transformer.
  std::optional<cli::StudentSize> own = {};
  rivals::Recipe recipe = {};
};
inline CbpSize cbp_size(const Options& o, std::int64_t input, std::int64_t clip,
                        std::int64_t classes) {
  const auto method = [&](const cli::LayerMemory& scores, const cli::LayerMemory& own,
                          const rivals::Recipe& recipe) {
    return CbpSize{.scores = {.layers_of = scores},
                   .own = cli::StudentSize{.layers_of = own},
                   .recipe = recipe};
  };
  if (o.cbp_method == "basnet") {
    const BasNetOptions b = basnet_options(o, input, classes);
    return method(cli::basnet_memory(b, false), cli::basnet_memory(b, true), b.recipe);
  }
  if (o.cbp_method == "wtalc") {
    const WtalcOptions w = wtalc_options(o, input, classes);
    return method(cli::wtalc_memory(w), cli::wtalc_memory(w), w.recipe);
  }
  if (o.cbp_method == "co2") {
    const Co2Options n = co2_options(o, input, clip, classes);
    return method(cli::co2_memory(n), cli::co2_memory(n), n.recipe);
  }
  if (o.cbp_method == "um") {
    const UmOptions u = um_options(o, input, classes);
    return method(cli::um_memory(u), cli::um_memory(u), u.recipe);
  }
  return {.scores = {.input = input,
                     .classes = classes,
                     .width = o.cbp.width,
                     .layers = o.cbp.layers,
                     .mlp_ratio = o.cbp.mlp_ratio}};
}

}  // namespace dcl

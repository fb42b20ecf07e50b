#pragma once
/// Several ways of inference at once: every combination of the values that are to be tried.

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dcl_checkpoint.hpp"

namespace dcl {

/// One combination of values.
struct Combination {
  std::string name;  ///< "mean_loc0.3+0.45_cls0.85_sigma0.3": what it is, as a file may be called
  InferenceOptions how;
};

/// "weighted0.7_loc0.3+0.45_cls0.85_sigma0.3", with "_no-min-max" where scores are not normalised.
/// "own" where it is the method's own inference.
inline std::string combination_name(const InferenceOptions& how) {
  if (how.own) return "own";
  const LocalizationOptions& l = how.localization;
  std::string out(fusion_name(how.fusion));
  if (how.fusion == Fusion::weighted) out += cli::number_text(how.cbp_weight);
  out += "_loc";
  for (std::size_t i = 0; i < l.thresholds.size(); ++i)
    out += (i > 0 ? "+" : "") + cli::number_text(l.thresholds[i]);
  out += "_cls" + cli::number_text(l.class_threshold) + "_sigma" + cli::number_text(l.nms.sigma);
  return l.normalize ? out : out + "_no-min-max";
}

/// The options of inference of which several values may be tried, the one that changes slowest
/// first.
inline constexpr std::string_view tried_options[] = {"method-inference", "fusion",    "cbp-weight",
                                                     "theta-loc",        "theta-cls", "nms-sigma"};

/// All combinations of what was given to be tried in `table`; what was not is as in the checkpoint.
/// A weight counts with the fusion that has one. Errors: more than 10000; a fusion that the
/// checkpoint has no branches for.
inline std::vector<Combination> combinations(const Options& trained,
                                             const cli::OptionTable& table) {
  constexpr std::size_t most = 10000;
  std::vector<Values> all{{}};
  for (const std::string_view name : tried_options) {
    const std::vector<io::Json>& tried = table.find(name)->alternatives();
    if (tried.empty()) continue;
    std::vector<Values> longer;
    for (const Values& values : all) {
      for (const io::Json& value : tried) {
        longer.push_back(values);
        longer.back().emplace_back(name, value);
      }
      TANDEM_CHECK(longer.size() <= most, "detect", "there are more than ", most,
                   " combinations; try fewer values at once");
    }
    all = std::move(longer);
  }
  std::vector<Combination> out;
  for (const Values& values : all) {
    const InferenceOptions how = with_given(trained, table, values).inference;
    std::string name = combination_name(how);
    const bool known = std::any_of(out.begin(), out.end(),
                                   [&](const Combination& other) { return other.name == name; });
    if (!known) out.push_back({.name = std::move(name), .how = how});
  }
  return out;
}

}  // namespace dcl

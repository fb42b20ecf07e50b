#pragma once
/// Named settings of train_dcl's options, and what the paper published.

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "../dcl_options.hpp"

namespace reproduce {

using namespace tandem;
using namespace tandem::wtal;

/// An option of train_dcl and its value.
struct Setting {
  std::string name;
  io::Json value;
};
using Settings = std::vector<Setting>;

/// --name value, as train_dcl takes it, the last of each name; a flag that is off is not written.
inline std::string words(const Settings& settings) {
  std::string out;
  for (std::size_t i = 0; i < settings.size(); ++i) {
    const Setting& s = settings[i];
    const bool again =
        std::any_of(settings.begin() + static_cast<std::ptrdiff_t>(i) + 1, settings.end(),
                    [&](const Setting& later) { return later.name == s.name; });
    if (again || (s.value.is_boolean() && !s.value.get<bool>())) continue;
    std::string value = s.value.is_string() ? s.value.get<std::string>() : io::json_text(s.value);
    std::erase_if(value, [](char c) { return c == '[' || c == ']'; });
    out += (out.empty() ? "--" : " --") + s.name + (s.value.is_boolean() ? "" : " " + value);
  }
  return out;
}

/// Values by name, on top of what `o` has; all that follows from them.  Errors: an unknown name, a
/// value of another type or out of range, what does not go together.
inline void apply(dcl::Options& o, const Settings& settings) {
  cli::OptionTable table = dcl::option_table(o);
  for (const Setting& s : settings) {
    cli::TableOption* option = table.find(s.name);
    TANDEM_CHECK(option != nullptr, "reproduce", "train_dcl has no option --", s.name);
    option->set(s.value);
  }
}

struct Preset {
  const char *name, *help;
  Settings settings;
  /// Of other methods in CBP's place; none: as their authors published them.
  Settings methods = {};
  /// Of train_boosting; none: as its authors published them.
  Settings boosting = {};
};

/// What the paper says for crops of T rows: Adam's rate, the thresholds, λ, τ, prompts. The numbers
/// of steps are not published.                                                             [P]
inline Settings as_published(int rows, const Settings& more = {}) {
  Settings out{{"crop", rows},         {"learning-rate", 1e-4}, {"high", 0.3},
               {"low", 0.1},           {"lambda", 0.05},        {"contrast-temperature", 0.07},
               {"prompt-vectors", 16}, {"theta-loc", 0.45},     {"theta-cls", 0.85},
               {"cbp-weight", 0.7}};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

/// Boosting-WTAL for small worlds of 64 rows.
inline Settings small_boosting() {
  return {{"rows", 64}, {"width", 64}, {"decoder-hidden", 128}, {"learning-rate", 1e-3}};
}

inline const std::vector<Preset>& presets() {
  static const std::vector<Preset> all{
      {.name = "miniature",
       .help = "the miniature world: what make demo trains with, weights/mini/train.json",
       // Set on a world that is not reported (seed 101).
       .settings = {{"crop", 64},
                    {"batch", 16},
                    {"width", 128},
                    {"heads", 4},
                    {"temporal-layers", 1},
                    {"temporal-heads", 4},
                    {"prompt-vectors", 4},
                    {"vlp-scale", 0.21},  // of the mini CLIP's rows: to a mean norm of 2.4
                    {"learning-rate", 5e-4},
                    {"vlp-learning-rate", 2e-3},
                    {"warm-up-steps", 300},
                    {"first-b-steps", 150},
                    {"b-steps", 40},
                    {"f-steps", 40},
                    {"rounds", 4},
                    {"cbp-weight", 0.7}},
       .methods = {{"method-width", 128}, {"method-rows", 64}, {"method-learning-rate", 1e-3}},
       .boosting = small_boosting()},
      {.name = "simulated",
       .help = "simulated rows: the setting of docs/simulation.md",
       .settings = {{"warm-up-steps", 150},
                    {"b-steps", 300},
                    {"f-steps", 50},
                    {"rounds", 2},
                    {"batch", 10},
                    {"learning-rate", 1e-3},
                    {"width", 64},
                    {"heads", 4},
                    {"temporal-heads", 4},
                    {"prompt-vectors", 4},
                    {"cbp-weight", 0.7}},
       .methods = {{"method-width", 64}, {"method-rows", 64}, {"method-learning-rate", 1e-3}},
       .boosting = small_boosting()},
      {.name = "thumos14",
       .help = "THUMOS14: T = 1000 and all that is published",
       .settings = as_published(1000)},
      {.name = "activitynet12",
       .help = "ActivityNet1.2: T = 400 and all that is published",
       .settings = as_published(400, {{"protocol", "activitynet"}}),
       .boosting = {{"activitynet", true}}},
  };
  return all;
}
inline const Preset& find_preset(const std::string& name) {
  for (const Preset& preset : presets()) {
    if (name == preset.name) return preset;
  }
  fail("reproduce", "no preset is called '", name, "'");
}

/// What the paper says: its main numbers and the orders that it reports. The numbers of its single
/// tables are not known here.                                                             [P]
struct Published {
  /// What of ours stands beside it.
  enum class Measured {
    both,
    strategies,
    losses,
    concatenation,
    cbp_labels,
    vlp_labels,
    methods,
    basnet,
    co2,
    um,
    wtalc,
    boosting
  };
  const char *data, *claim, *value;
  const char* where;  ///< in the paper
  Measured measured;
};
inline const std::vector<Published>& published() {
  using M = Published::Measured;
  static const std::vector<Published> all{
      {"THUMOS14", "DCL, mAP averaged over tIoU 0.3 to 0.7", "40.8", "main result", M::both},
      {"ActivityNet1.2", "DCL, mAP averaged over tIoU 0.5 to 0.95", "29.6", "main result", M::both},
      {"THUMOS14", "strategies", "only F < only B < both", "ablation", M::strategies},
      {"THUMOS14", "losses", "each loss helps", "ablation", M::losses},
      {"THUMOS14", "CLIP features beside I3D's", "hurt", "naive combination", M::concatenation},
      {"ActivityNet1.2", "CLIP features beside I3D's", "help a little", "naive combination",
       M::concatenation},
      {"both", "pseudo-labels of CBP", "low foreground mIoU: incomplete", "mIoU of pseudo-labels",
       M::cbp_labels},
      {"both", "pseudo-labels of vanilla VLP", "low background mIoU: over-complete",
       "mIoU of pseudo-labels", M::vlp_labels},
      {"both", "other methods in CBP's place", "each gains", "other CBP branches", M::methods},
      // What their authors and those after them report, mostly the best of a run on the test videos
      {"THUMOS14", "BaS-Net, mAP averaged over tIoU 0.3 to 0.7", "27.3", "RSKP's list", M::basnet},
      {"THUMOS14", "CO2-Net, the same", "35.7", "RSKP's list", M::co2},
      {"THUMOS14", "UM, the same", "32.9", "RSKP's list", M::um},
      {"THUMOS14", "W-TALC, mAP at tIoU 0.5", "22.8", "RSKP's list", M::wtalc},
      {"THUMOS14", "Boosting-WTAL, mAP averaged over tIoU 0.3 to 0.7", "37.2", "its own log",
       M::boosting},
  };
  return all;
}

}  // namespace reproduce

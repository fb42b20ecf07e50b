#pragma once
/// What the command line may set beside a preset, and how the tables say it.

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "../option_table.hpp"
#include "../simulation_options.hpp"
#include "presets.hpp"

namespace reproduce {

/// Of train_dcl's options, those that belong to a row or to this program.
inline bool offered(const cli::TableOption& option) {
  static const std::set<std::string> own{"data",
                                         "variant",
                                         "pseudo-labels",
                                         "seed",
                                         "fusion",
                                         "concat-clip",
                                         "no-kd-foreground",
                                         "no-kd-background",
                                         "method-inference"};
  if (option.name() == "protocol" || option.name() == "data") return true;
  return option.part() != cli::Part::running && !own.contains(option.name());
}

/// Of other methods in CBP's place: they go to the rows that have such a method.
inline bool of_methods(const std::string& name) {
  return name.starts_with("method-") && name != "method-inference";
}

/// "1 seed", "3 seeds".
inline std::string counted(std::int64_t n, const char* what) {
  return concat(n, " ", what, n == 1 ? "" : "s");
}

/// Options of simulated worlds that are not as `usual`.
inline Settings changed(SimulationOptions usual, SimulationOptions now) {
  Settings before, out;
  cli::each_simulation_option(usual, [&](const char* name, auto& value, auto&&...) {
    before.push_back({name + 2, value});
  });
  std::size_t i = 0;
  cli::each_simulation_option(now, [&](const char* name, auto& value, auto&&...) {
    const Setting setting{name + 2, value};
    if (setting.value != before[i++].value) out.push_back(setting);
  });
  return out;
}

/// What the command line sets beside the preset, in sentences, so that the tables of two commands
/// say what differs. `every_row`: options of other methods go to all rows, for CBP is such a
/// method. `worlds`: changed() of simulated ones.
inline std::vector<std::string> beside_preset(const cli::OptionTable& given, bool every_row,
                                              double clip_norm, const Settings& worlds) {
  Settings all, of_other_methods;
  for (const auto& option : given.options()) {
    if (!option->given() || !option->decides()) continue;
    const bool methods_only = of_methods(option->name()) && !every_row;
    (methods_only ? of_other_methods : all).push_back({option->name(), option->json()});
  }
  if (clip_norm > 0) all.push_back({"clip-norm", clip_norm});
  std::vector<std::string> out;
  const auto say = [&out](const char* what, const Settings& settings) {
    if (!settings.empty()) out.push_back(concat(what, words(settings), "."));
  };
  say("Every row, beside the preset: ", all);
  say("Rows of other methods, beside the preset: ", of_other_methods);
  say("The worlds: --simulate ", worlds);
  return out;
}

}  // namespace reproduce

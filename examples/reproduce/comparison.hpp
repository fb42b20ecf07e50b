#pragma once
/// The paper's claims beside what was measured here.

#include <map>
#include <string>
#include <vector>

#include "output.hpp"

namespace reproduce {

/// Results of all tables that were run: by table and row.
using AllResults = std::map<std::string, std::map<std::string, RowResults>>;

class Comparison {
 public:
  Comparison(const AllResults& results, std::string stable)
      : results_(results), stable_(std::move(stable)) {}

  Rendered table() const {
    Rendered out{.name = "published",
                 .title = "The paper's claims beside what was measured here",
                 .header = {"the paper's data", "claim", "the paper", "where", "here"}};
    for (const Published& p : published())
      out.rows.push_back({p.data, p.claim, p.value, p.where, measured(p.measured)});
    out.notes = {
        "The numbers on the right are of other data than the paper's: which claims hold can be "
        "compared, how high the numbers are cannot.",
        "Numbers and orders are as the paper's text gives them; its other tables are not repeated "
        "here."};
    return out;
  }

 private:
  using Value = double (*)(const Measurement&);
  static double score(const Measurement& m, const char* fusion) {
    const Score* found = m.find(fusion);
    return found == nullptr ? std::nan("") : 100 * found->main();
  }
  static double cbp(const Measurement& m) { return score(m, "cbp"); }
  static double fused(const Measurement& m) { return score(m, "normalized-mean"); }
  static double cbp_foreground(const Measurement& m) {
    return m.cbp ? 100 * m.cbp->thresholds.foreground : std::nan("");
  }
  static double cbp_background(const Measurement& m) {
    return m.cbp ? 100 * m.cbp->thresholds.background : std::nan("");
  }
  static double vlp_foreground(const Measurement& m) {
    return m.vlp ? 100 * m.vlp->thresholds.foreground : std::nan("");
  }
  static double vlp_background(const Measurement& m) {
    return m.vlp ? 100 * m.vlp->thresholds.background : std::nan("");
  }

  /// "44.9 ± 5.3", or "not run".
  std::string number(const std::string& table, const std::string& row, Value value,
                     bool first = false) const {
    const auto found = results_.find(table);
    if (found == results_.end()) return "not run";
    const auto line = found->second.find(row);
    if (line == found->second.end()) return "not run";
    std::vector<double> values;
    for (const auto& rounds : line->second)
      values.push_back(value(first ? rounds.front() : rounds.back()));
    return text_of(estimate(values));
  }
  std::string of_both_rules(const std::string& table, const std::string& before,
                            const std::string& behind, Value value) const {
    return number(table, before + "published thresholds" + behind, value) + " (" + stable_ + " " +
           number(table, before + stable_ + behind, value) + ")";
  }

  std::string alone(const std::string& method) const {
    return number("methods", method + " alone", cbp);
  }

  std::string measured(Published::Measured what) const {
    using M = Published::Measured;
    switch (what) {
      case M::both:
        return concat("both, published thresholds: CBP ",
                      number("main", "both, published thresholds", cbp), ", fused ",
                      number("main", "both, published thresholds", fused), "; ", stable_, ": CBP ",
                      number("main", "both, " + stable_, cbp), ", fused ",
                      number("main", "both, " + stable_, fused));
      case M::strategies:
        return concat("fused: only F ", of_both_rules("main", "only F, ", "", fused), ", only B ",
                      of_both_rules("main", "only B, ", "", fused), ", both ",
                      of_both_rules("main", "both, ", "", fused));
      case M::losses: {
        std::string out = concat("CBP: all ", of_both_rules("losses", "both, ", "", cbp));
        for (const char* less :
             {", no L_kd foreground", ", no L_kd background", ", no L_kd", ", no L_fb"})
          out += concat(less, " ", of_both_rules("losses", "both, ", less, cbp));
        return out;
      }
      case M::concatenation:
        return concat("CBP after the warm-up: ", number("main", "warm-up", cbp), ", beside ",
                      number("main", "warm-up, I3D and CLIP side by side", cbp));
      case M::cbp_labels:
        return concat("after the warm-up: foreground ",
                      number("main", "warm-up", cbp_foreground, true), ", background ",
                      number("main", "warm-up", cbp_background, true));
      case M::vlp_labels:
        return concat("untrained: foreground ", number("main", "warm-up", vlp_foreground, true),
                      ", background ", number("main", "warm-up", vlp_background, true));
      case M::methods: {
        std::string out;
        for (const char* name : {"BaS-Net", "CO2-Net", "UM", "W-TALC"}) {
          out += concat(out.empty() ? "" : "; ", name, ": alone ", alone(name), ", in DCL fused ",
                        of_both_rules("methods", concat(name, " as CBP in DCL, "), "", fused));
        }
        return out;
      }
      case M::basnet:
        return "alone " + alone("BaS-Net");
      case M::co2:
        return "alone " + alone("CO2-Net");
      case M::um:
        return "alone " + alone("UM");
      case M::wtalc:
        return "alone, tIoU 0.3 to 0.7: " + alone("W-TALC");
      case M::boosting:
        return "alone " + alone("Boosting-WTAL");
    }
    return "";
  }

  const AllResults& results_;
  std::string stable_;
};

}  // namespace reproduce

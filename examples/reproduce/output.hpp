#pragma once
/// From the results of cells to tables: Markdown, CSV and JSON.

#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "../csv.hpp"
#include "catalogue.hpp"
#include "cell.hpp"
#include "statistics.hpp"

namespace reproduce {

/// A table as text. {"title", "header", "rows", "notes"} in JSON.
struct Rendered {
  std::string name, title;
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows = {};
  std::vector<std::string> notes = {};

  io::Json json() const {
    io::Json out = io::Json::object();
    out["title"] = title;
    out["header"] = header;
    out["rows"] = rows;
    out["notes"] = notes;
    return out;
  }
  /// GitHub's Markdown: first column to the left, the others to the right.
  std::string markdown() const {
    const auto line = [](const std::vector<std::string>& cells) {
      std::string text = "|";
      for (const std::string& cell : cells) text += " " + escaped(cell) + " |";
      return text + "\n";
    };
    std::string out = "## " + escaped(title) + "\n\n" + line(header) + "|---|";
    for (std::size_t i = 1; i < header.size(); ++i) out += "---:|";
    out += "\n";
    for (const auto& row : rows) out += line(row);
    for (const std::string& note : notes) out += "\n" + escaped(note) + "\n";
    return out + "\n";
  }

  /// Without characters that Markdown would read.
  static std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : cli::printable(text)) {
      if (c == '|' || c == '<' || c == '*' || c == '`' || c == '\\') out += '\\';
      out += c;
    }
    return out;
  }
};

/// Results of one row: of each pair of world and seed, its rounds.
using RowResults = std::vector<std::vector<Measurement>>;

/// "44.9 ± 5.3", "44.9" of one pair, "–" of none.
inline std::string text_of(const Estimate& e, int digits = 1) {
  if (e.count == 0 || !(e.mean == e.mean)) return "–";
  std::string out = cli::fixed(e.mean, digits);
  if (e.half == e.half) out += " ± " + cli::fixed(e.half, digits);
  return out;
}
/// "+12.3 ± 4.0 (10/10)": how many of the pairs are above.
inline std::string text_of(const PairedDifference& d) {
  if (d.difference.count == 0 || !(d.difference.mean == d.difference.mean)) return "–";
  return (d.difference.mean < 0 ? "" : "+") + text_of(d.difference) +
         concat(" (", d.above, "/", d.difference.count, ")");
}

/// A number of each measurement; NaN where there is none.
struct Column {
  std::string name;
  std::function<double(const Measurement&)> value;
};

/// What the best measurement of a run says beside its last one. The test videos choose the best, so
/// it is too good: the table is there to be read beside numbers of papers that are chosen so.
inline Rendered best_of_test_table(const Table& table, const std::vector<RowResults>& last,
                                   const std::vector<RowResults>& best, std::int64_t every,
                                   const std::vector<std::string>& notes) {
  Rendered out{.name = table.name + "-best-of-test",
               .title = table.title + ": CHOSEN BY THE TEST VIDEOS",
               .header = {"mAP in %", "scores", "last step", "best by the test videos",
                          "best − last", "best after step"}};
  for (std::size_t r = 0; r < best.size(); ++r) {
    for (const char* fusion : {"cbp", "vlp", "normalized-mean"}) {
      std::vector<double> ends, bests, steps;
      for (std::size_t i = 0; i < best[r].size(); ++i) {
        const Score *end = last[r][i].back().find(fusion), *top = best[r][i].back().find(fusion);
        if (end == nullptr || top == nullptr) continue;
        ends.push_back(100 * end->main());
        bests.push_back(100 * top->main());
        steps.push_back(static_cast<double>(top->step));
      }
      if (bests.empty() || bests.size() < best[r].size()) continue;
      out.rows.push_back({table.rows[r].name,
                          std::string(fusion) == "cbp"   ? "CBP"
                          : std::string(fusion) == "vlp" ? "VLP"
                                                         : "normalized mean",
                          text_of(estimate(ends)), text_of(estimate(bests)),
                          text_of(paired_difference(bests, ends)), text_of(estimate(steps), 0)});
    }
  }
  out.notes = {concat("best by the test videos: of measurements after every ", every,
                      " steps and after the last, the one with the highest mAP on the test videos, "
                      "as the published "
                      "codes of BaS-Net, UM, CO2-Net and Boosting-WTAL choose what they report. It "
                      "is no "
                      "result: who has no annotation of the test videos cannot choose so.")};
  out.notes.insert(out.notes.end(), notes.begin(), notes.end());
  return out;
}

/// Makes the tables of one Table.
class Renderer {
 public:
  Renderer(const Table& table, const std::vector<RowResults>& results, const std::string& baseline,
           double cbp_weight, std::vector<std::string> notes)
      : table_(table), results_(results), baseline_(baseline), notes_(std::move(notes)) {
    for (const std::string& fusion : fusion_names()) {
      std::string name = fusion == "cbp" ? "CBP" : fusion == "vlp" ? "VLP" : fusion;
      if (fusion == "weighted") name += concat(" ", cli::number_text(cbp_weight));
      std::replace(name.begin(), name.end(), '-', ' ');
      scores_.push_back({name, [fusion](const Measurement& m) {
                           const Score* score = m.find(fusion);
                           return score == nullptr ? std::nan("") : 100 * score->main();
                         }});
    }
  }

  std::vector<Rendered> render() {
    switch (table_.kind) {
      case Table::Kind::scores:
        return score_tables();
      case Table::Kind::rounds:
        return {by_round(scores_, "mAP in %")};
      case Table::Kind::labels:
        return {by_round(label_columns(), "%")};
      case Table::Kind::overlaps:
        return {overlap_table()};
    }
    return {};
  }
  /// One line for each number: table, row, column, after, mean, half width, pairs, difference, its
  /// half width, pairs above. Empty before render().
  const std::string& csv() const { return csv_; }

 private:
  static double last(const std::vector<Measurement>& rounds, const Column& column) {
    return column.value(rounds.back());
  }
  std::vector<double> values(std::size_t row, const Column& column) const {
    std::vector<double> out;
    for (const auto& rounds : results_[row]) out.push_back(last(rounds, column));
    return out;
  }
  /// Columns in which some row has a number.
  std::vector<Column> filled(const std::vector<Column>& columns) const {
    std::vector<Column> out;
    for (const Column& column : columns) {
      bool any = false;
      for (const RowResults& row : results_) {
        for (const auto& rounds : row) {
          for (const Measurement& m : rounds) any = any || !std::isnan(column.value(m));
        }
      }
      if (any) out.push_back(column);
    }
    return out;
  }
  static Estimate known(const std::vector<double>& values) {
    for (const double v : values) {
      if (std::isnan(v)) return {};
    }
    return estimate(values);
  }
  static std::string plain(double x) { return x == x ? cli::number_text(x) : std::string(); }
  void record(const std::string& row, const std::string& column, const std::string& after,
              const Estimate& e, const PairedDifference* d = nullptr) {
    if (csv_.empty()) {
      csv_ = cli::csv_line({"table", "row", "column", "after", "mean", "half_width", "pairs",
                            "difference", "difference_half_width", "pairs_above"});
    }
    csv_ += cli::csv_line({table_.name, row, column, after, plain(e.mean), plain(e.half),
                           concat(e.count), d == nullptr ? "" : plain(d->difference.mean),
                           d == nullptr ? "" : plain(d->difference.half),
                           d == nullptr ? std::string() : concat(d->above)});
  }
  Rendered empty(const std::string& suffix, const std::string& title,
                 std::vector<std::string> header) const {
    Rendered out{.name = table_.name + suffix, .title = title, .header = std::move(header)};
    out.notes = table_.notes;
    out.notes.insert(out.notes.end(), notes_.begin(), notes_.end());
    return out;
  }

  /// The row that row r is compared with, or none.
  std::optional<std::size_t> baseline_of(std::size_t r) const {
    std::string name = table_.rows[r].baseline;
    for (const Row& row : table_.rows) {
      if (!baseline_.empty() && row.name == baseline_) name = baseline_;
    }
    for (std::size_t b = 0; b < table_.rows.size(); ++b) {
      if (table_.rows[b].name == name && b != r) return b;
    }
    return std::nullopt;
  }

  std::vector<Rendered> score_tables() {
    const std::vector<Column> columns = filled(scores_);
    std::vector<std::string> header{"mAP in %"};
    for (const Column& column : columns) header.push_back(column.name);
    Rendered means = empty("", table_.title, header);
    header[0] = "difference in mAP";
    Rendered differences =
        empty("-differences", table_.title + ": differences, pair by pair", std::move(header));
    for (std::size_t r = 0; r < table_.rows.size(); ++r) {
      const std::string& name = table_.rows[r].name;
      const std::optional<std::size_t> baseline = baseline_of(r);
      std::vector<std::string> row{name}, difference{name};
      for (const Column& column : columns) {
        const std::vector<double> mine = values(r, column);
        const Estimate e = known(mine);
        row.push_back(text_of(e));
        PairedDifference d;
        if (baseline) {
          const std::vector<double> other =
              values(*baseline, table_.against_cbp ? scores_[0] : column);
          if (e.count > 0 && known(other).count > 0) d = paired_difference(mine, other);
        }
        difference.push_back(text_of(d));
        if (e.count > 0) record(name, column.name, "", e, baseline ? &d : nullptr);
      }
      means.rows.push_back(std::move(row));
      if (!baseline) continue;
      difference[0] += " − " + table_.rows[*baseline].name;
      differences.rows.push_back(std::move(difference));
    }
    if (differences.rows.empty()) return {std::move(means)};
    differences.notes.push_back(
        "In brackets: pairs of world and seed in which the difference is above 0.");
    return {std::move(means), std::move(differences)};
  }

  Rendered by_round(const std::vector<Column>& all, const std::string& unit) {
    const std::vector<Column> columns = filled(all);
    std::vector<std::string> header{unit, "after"};
    for (const Column& column : columns) header.push_back(column.name);
    Rendered out = empty("", table_.title, std::move(header));
    for (std::size_t r = 0; r < table_.rows.size(); ++r) {
      const std::size_t rounds = results_[r].front().size();
      for (std::size_t i = 0; i < rounds; ++i) {
        const std::int64_t round = results_[r].front()[i].round;
        const std::string after = round == 0 ? "warm-up" : concat("round ", round);
        std::vector<std::string> row{table_.rows[r].name, after};
        for (const Column& column : columns) {
          std::vector<double> values;
          for (const auto& pair : results_[r]) values.push_back(column.value(pair.at(i)));
          const Estimate e = known(values);
          row.push_back(text_of(e));
          if (e.count > 0) record(table_.rows[r].name, column.name, after, e);
        }
        out.rows.push_back(std::move(row));
      }
    }
    return out;
  }

  static std::vector<Column> label_columns() {
    std::vector<Column> out;
    for (const auto& [name, branch] :
         {std::pair("CBP", &Measurement::cbp), std::pair("VLP", &Measurement::vlp)}) {
      const auto add = [&out, name = std::string(name), branch = branch](const char* what,
                                                                         auto&& of) {
        out.push_back({name + " " + what, [branch, of](const Measurement& m) {
                         return m.*branch ? 100 * of(*(m.*branch)) : std::nan("");
                       }});
      };
      add("fg (δ)", [](const BranchLabels& l) { return l.thresholds.foreground; });
      add("bg (δ)", [](const BranchLabels& l) { return l.thresholds.background; });
      add("fg (rule)", [](const BranchLabels& l) { return l.taught.foreground; });
      add("bg (rule)", [](const BranchLabels& l) { return l.taught.background; });
      add("called", [](const BranchLabels& l) { return l.called; });
      add("all or none", [](const BranchLabels& l) { return l.all_or_none; });
    }
    out.push_back({"agreement", [](const Measurement& m) { return 100 * m.agreement; }});
    return out;
  }

  Rendered overlap_table() {
    std::vector<double> thresholds;
    for (const RowResults& row : results_) {
      for (const auto& rounds : row) {
        for (const Score& score : rounds.back().scores) thresholds = score.thresholds;
      }
    }
    std::vector<std::string> header{"mAP in %", "scores"};
    for (const double t : thresholds) header.push_back(cli::number_text(t));
    Rendered out = empty("", table_.title, std::move(header));
    for (std::size_t r = 0; r < table_.rows.size(); ++r) {
      for (const char* fusion : {"cbp", "normalized-mean"}) {
        std::vector<std::string> row{table_.rows[r].name,
                                     std::string(fusion) == "cbp" ? "CBP" : "normalized mean"};
        bool any = false;
        for (std::size_t i = 0; i < thresholds.size(); ++i) {
          const Column at{row[1], [fusion, i](const Measurement& m) {
                            const Score* score = m.find(fusion);
                            return score == nullptr ? std::nan("") : 100 * score->map.at(i);
                          }};
          const Estimate e = known(values(r, at));
          row.push_back(text_of(e));
          any = any || e.count > 0;
          if (e.count > 0) record(row[0], row[1] + " at " + cli::number_text(thresholds[i]), "", e);
        }
        if (any) out.rows.push_back(std::move(row));
      }
    }
    return out;
  }

  const Table& table_;
  const std::vector<RowResults>& results_;
  std::string baseline_;
  std::vector<std::string> notes_;
  std::vector<Column> scores_;
  std::string csv_;
};

}  // namespace reproduce

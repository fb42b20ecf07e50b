#pragma once
/// What metrics.jsonl tells of a run, as the page of a run wants it.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/io/file.hpp"
#include "tandem/io/json_reader.hpp"
#include "tandem/wtal/train/trainer.hpp"

namespace report {

using namespace tandem;

/// The lines of a run's metrics.jsonl.
struct TrainingRecord {
  struct Step {
    std::int64_t step = 0;
    std::vector<std::pair<std::string, double>> losses;  ///< "loss", "loss_cls" …
  };
  std::vector<Step> steps;
  io::Json::array_t labels;       ///< what follows "pseudo_labels_after_round"
  io::Json::array_t evaluations;  ///< {"round", "map", "averages"}
  std::string protocol;           ///< of the last evaluation, or ""
};

/// Reads metrics.jsonl; a last line that was cut short is left out. `rounds`: how many the run has,
/// the round of its final evaluation. Errors name the file and the line.
inline TrainingRecord read_training(const std::string& path, std::int64_t rounds) {
  TrainingRecord out;
  const std::string text = io::read_text(path);
  std::size_t line = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    if (end == text.npos) break;
    const io::JsonDocument document(concat(path, ":", ++line),
                                    io::parse_json(text.substr(at, end - at), path));
    const io::JsonRef root = document.root();
    at = end + 1;
    if (root.find("loss")) {
      TrainingRecord::Step& step = out.steps.emplace_back();
      step.step = root["step"].integer();
      for (const char* name : {"loss", "loss_cls", "loss_kd", "loss_fb"}) {
        if (const auto value = root.find(name); value && value->json().is_number())
          step.losses.emplace_back(name, value->number());
      }
    } else if (root.find("pseudo_labels_after_round")) {
      io::Json one = root.json();
      one["round"] = root["pseudo_labels_after_round"].integer();
      out.labels.push_back(std::move(one));
    } else if (root.find("evaluation") && root.find("map")) {
      out.protocol = root["protocol"].string();
      const std::string when = root["evaluation"].string();
      if (when.starts_with("step ")) continue;  // between rounds, to choose the best by
      io::Json one = io::Json::object();
      one["round"] = when == "final" ? rounds : std::atoll(when.c_str() + when.find(' ') + 1);
      one["map"] = root["map"].json();
      one["averages"] = root["average_map"].json();
      out.evaluations.push_back(std::move(one));
    }
  }
  return out;
}

/// "training" of the page's data. Of many steps the means of neighbours are drawn, `most` at most
/// for each loss; a bucket does not reach over the end of a phase.
inline io::Json training_json(const TrainingRecord& record, const std::vector<wtal::Phase>& phases,
                              std::size_t most = 400) {
  io::Json out = io::Json::object();
  const auto last = record.steps.empty() ? std::int64_t{0} : record.steps.back().step;
  out["steps"] = last;
  const std::int64_t bucket = std::max<std::int64_t>(
      1, (last + static_cast<std::int64_t>(most) - 1) / static_cast<std::int64_t>(most));
  out["bucket"] = bucket;
  io::Json::array_t bands;
  for (const wtal::Phase& phase : phases) {
    if (phase.begin >= last) break;
    io::Json band = io::Json::object();
    band["kind"] = phase.name();
    band["name"] = phase.round == 0 ? std::string(phase.name()) : concat(phase.name(), phase.round);
    band["begin"] = phase.begin;
    band["end"] = std::min(phase.end, last);
    bands.push_back(std::move(band));
  }
  out["phases"] = io::Json(std::move(bands));
  io::Json::array_t curves;
  for (const std::string name : {"loss", "loss_cls", "loss_kd", "loss_fb"}) {
    io::Json::array_t points;
    double sum = 0;
    std::int64_t count = 0, first = 0;
    std::size_t phase = 0;
    const auto close = [&] {
      if (count == 0) return;
      const double middle = static_cast<double>(first) + static_cast<double>(count - 1) / 2;
      points.push_back(io::Json({middle, sum / static_cast<double>(count)}));
      sum = 0, count = 0;
    };
    for (const TrainingRecord::Step& step : record.steps) {
      const auto found = std::find_if(step.losses.begin(), step.losses.end(),
                                      [&](const auto& one) { return one.first == name; });
      bool ends = found == step.losses.end() || count == bucket;
      while (phase < phases.size() && step.step > phases[phase].end) ++phase, ends = true;
      if (ends) close();
      if (found == step.losses.end()) continue;
      if (count++ == 0) first = step.step;
      sum += found->second;
    }
    close();
    if (points.empty()) continue;
    io::Json curve = io::Json::object();
    curve["name"] = name;
    curve["points"] = io::Json(std::move(points));
    curves.push_back(std::move(curve));
  }
  out["losses"] = io::Json(std::move(curves));
  out["labels"] = io::Json(record.labels);
  out["evaluations"] = io::Json(record.evaluations);
  return out;
}

}  // namespace report

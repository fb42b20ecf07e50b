#pragma once
/// What an evaluation found, for people (tables) and for programs (JSON).

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli_table.hpp"
#include "tandem/io/file.hpp"
#include "tandem/io/json.hpp"
#include "tandem/io/json_reader.hpp"
#include "tandem/wtal/detect/evaluation.hpp"

namespace results {

using namespace tandem;
using namespace tandem::wtal;

/// mAP by tIoU, and its averages.
inline void print_map(const Evaluation& e) {
  std::vector<std::string> header{"tIoU"}, values{"mAP %"};
  for (std::size_t t = 0; t < e.thresholds.size(); ++t) {
    header.push_back(concat(e.thresholds[t]));
    values.push_back(cli::percent(e.map[t]));
  }
  std::printf("\n");
  cli::Table(header).row(values).print();
  std::printf("\n");
  for (const AverageMap& average : e.averages) {
    std::printf("average mAP %-9s %s %%\n", average.range.c_str(),
                cli::percent(average.value).c_str());
  }
}

/// "map" and "average_map" of a line of metrics.jsonl.
inline void add_to_line(io::Json& line, const Evaluation& e) {
  line["protocol"] = std::string(protocol_name(e.protocol));
  io::Json map = io::Json::object(), averages = io::Json::object();
  for (std::size_t i = 0; i < e.map.size(); ++i) map[cli::fixed(e.thresholds[i], 2)] = e.map[i];
  for (const AverageMap& a : e.averages) averages[a.range] = a.value;
  line["map"] = std::move(map);
  line["average_map"] = std::move(averages);
}

/// The detections judged as the authors of a method judge on THUMOS14, where that is another
/// protocol than the one chosen: W-TALC and CO2-Net count in rows, BaS-Net, UM and Boosting-WTAL in
/// seconds. Nothing for DCL's own branch, on ActivityNet, and where rows are not equally long.
/// `method`: --cbp's name, or "boosting".
inline std::optional<Evaluation> by_authors(const std::string& method, const GroundTruth& truth,
                                            const DetectionSet& found, EvaluationOptions chosen) {
  const bool rows = method == "co2" || method == "wtalc";
  if (method == "transformer" || chosen.protocol == Protocol::activitynet) return std::nullopt;
  const Protocol theirs = rows ? Protocol::thumos_index : Protocol::thumos_seconds;
  if (theirs == chosen.protocol || (rows && chosen.seconds_per_row <= 0)) return std::nullopt;
  chosen.protocol = theirs;
  return evaluate(truth, found, chosen);
}
inline void print_by_authors(const Evaluation& e) {
  std::printf("\nas its authors judge, protocol %s:\n",
              std::string(protocol_name(e.protocol)).c_str());
  print_map(e);
}

/// The best of the evaluations in a run's metrics.jsonl, which the test videos choose, beside the
/// last. Prints nothing where there is only one.
inline void print_best(const std::string& path) {
  const std::string text = io::read_text(path);
  std::string range;
  double best = -1, last = 0;
  std::int64_t at = 0;
  std::size_t count = 0;
  for (std::size_t from = 0, end = 0; (end = text.find('\n', from)) != text.npos; from = end + 1) {
    const io::JsonDocument document(path, io::parse_json(text.substr(from, end - from), path));
    const auto averages = document.root().find("average_map");
    if (!averages) continue;
    // As papers report it: tIoU 0.3 to 0.7, or ActivityNet's only average.
    range = averages->find("0.3:0.7") ? "0.3:0.7" : averages->members().begin()->first;
    last = averages->at(range).number();
    ++count;
    if (last > best) best = last, at = document.root()["step"].integer();
  }
  if (count < 2) return;
  std::printf(
      "\nCHOSEN BY THE TEST VIDEOS, as many papers report: the best of %zu measurements, mAP@%s %s "
      "%% after step %lld; the last step, whose checkpoint this is, has %s %%\n",
      count, range.c_str(), cli::percent(best).c_str(), static_cast<long long>(at),
      cli::percent(last).c_str());
}

/// Instances, detections and AP of every class.
inline void print_classes(const Evaluation& e) {
  std::vector<std::string> header{"AP % by class", "instances", "detections"};
  for (const double threshold : e.thresholds) header.push_back(concat(threshold));
  cli::Table table(std::move(header));
  for (std::size_t c = 0; c < e.classes.size(); ++c) {
    std::vector<std::string> cells{e.classes[c], std::to_string(e.instances[c]),
                                   std::to_string(e.detections[c])};
    for (const std::vector<double>& ap : e.ap) cells.push_back(cli::percent(ap[c]));
    table.row(std::move(cells));
  }
  std::printf("\n");
  table.print();
}

/// "tiou", "map", "averages" and, by class, "instances", "detections" and "ap" (fractions).
inline void add_numbers(io::Json& root, const Evaluation& e) {
  using io::Json;
  root["tiou"] = e.thresholds;
  root["map"] = e.map;
  root["averages"] = Json::object();
  for (const AverageMap& average : e.averages) root["averages"][average.range] = average.value;
  root["classes"] = Json::array();
  for (std::size_t c = 0; c < e.classes.size(); ++c) {
    Json entry = Json::object();
    entry["name"] = e.classes[c];
    entry["instances"] = e.instances[c];
    entry["detections"] = e.detections[c];
    entry["ap"] = Json::array();
    for (const std::vector<double>& ap : e.ap) entry["ap"].push_back(ap[c]);
    root["classes"].push_back(std::move(entry));
  }
}

/// What was left out, decided by ties, or found where nothing is annotated.
inline void add_oddities(io::Json& root, const Evaluation& e) {
  root["tied_scores"] = e.tied_scores;
  root["tied_overlaps"] = e.tied_overlaps;
  root["map_with_ties_reversed"] = e.map_ties_first;
  root["empty_instances"] = e.empty_instances;
  root["empty_detections"] = e.empty_detections;
  root["reversed_instances"] = e.reversed_instances;
  root["reversed_detections"] = e.reversed_detections;
  root["ambiguous_removed"] = e.ambiguous_removed;
  root["detections_of_unknown_classes"] = e.unknown_class;
  root["unknown_videos"] = e.unknown_videos;
  root["unannotated_videos"] = e.instanceless_videos;
  root["undetected_videos"] = e.undetected_videos;
}

}  // namespace results

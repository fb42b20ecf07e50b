/// evaluate — mAP of a file of detections against a ground truth, by one of three protocols.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "common_cli.hpp"
#include "evaluation_results.hpp"
#include "tandem/wtal/data/annotations.hpp"
#include "tandem/wtal/data/datasets.hpp"
#include "tandem/wtal/data/detections_json.hpp"
#include "tandem/wtal/detect/evaluation.hpp"

namespace {

using namespace tandem::wtal;

struct Options {
  std::string ground_truth, detections, protocol, subset, json, ambiguous;
  std::vector<double> tiou;
  bool per_class = false;
  bool ignore_unannotated = false;
  double seconds_per_row = conventional_seconds_per_row;
};

void warn(const std::string& text) {
  std::fprintf(stderr, "warning: %s\n", cli::printable(text, true).c_str());
}

/// "a, b, c and 17 more".
std::string some(const std::vector<std::string>& names, std::size_t limit = 5) {
  std::string out;
  for (std::size_t i = 0; i < names.size() && i < limit; ++i) out += (i > 0 ? ", " : "") + names[i];
  if (names.size() > limit) out += " and " + std::to_string(names.size() - limit) + " more";
  return out;
}

std::string count(std::size_t n, const char* what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

/// "Clean and jerk" and "CleanAndJerk" → "cleanandjerk".
std::string letters(const std::string& name) {
  std::string out;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z') out += static_cast<char>(c - 'A' + 'a');
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) out += c;
  }
  return out;
}

std::string_view describe(Protocol protocol) {
  switch (protocol) {
    case Protocol::activitynet:
      return "seconds; the official ActivityNet evaluator";
    case Protocol::thumos_index:
      return "W-TALC family: rows of 16 frames at 25 per second, ground truth rounded half to "
             "even, "
             "detections touching ambiguous segments removed";
    case Protocol::thumos_seconds:
      return "BaS-Net family: seconds, no ambiguous segments";
  }
  return "";
}

GroundTruth load_ground_truth(const std::string& path) {
  std::vector<std::string> notes;
  GroundTruth truth = read_ground_truth(path, &notes);
  for (const std::string& note : notes) warn(note);
  return truth;
}

/// The subset to evaluate: the one asked for; else the only one there is; else the protocol's.
std::string choose_subset(const GroundTruth& truth, const Options& options, Protocol protocol) {
  if (options.subset == "all") return "";
  const std::vector<std::string> subsets = truth.subsets();
  const auto has = [&](const std::string& name) {
    return std::find(subsets.begin(), subsets.end(), name) != subsets.end();
  };
  std::string known;
  for (const std::string& name : subsets) known += (known.empty() ? "'" : ", '") + name + "'";
  if (!options.subset.empty()) {
    TANDEM_CHECK(has(options.subset), "evaluate", "the ground truth has no subset '",
                 options.subset, "'; it has ", known,
                 tandem::did_you_mean(options.subset, subsets));
    return options.subset;
  }
  if (subsets.size() == 1) return subsets[0];
  const std::string usual = protocol == Protocol::activitynet ? "validation" : "test";
  TANDEM_CHECK(has(usual), "evaluate", "the ground truth has the subsets ", known,
               "; choose one with --subset, or --subset all");
  return usual;
}

void report_mismatches(const GroundTruth& truth, const Evaluation& e, const Options& options) {
  const std::string fate = options.ignore_unannotated ? "are left out" : "are false positives";
  if (!e.unknown_videos.empty()) {
    warn(count(e.unknown_videos.size(), "detected video") +
         " not in this subset of the ground truth; their detections " + fate + ": " +
         some(e.unknown_videos));
  }
  if (!e.instanceless_videos.empty()) {
    warn(count(e.instanceless_videos.size(), "detected video") +
         " without any annotated instance; their detections " + fate + ": " +
         some(e.instanceless_videos));
  }
  if (!e.undetected_videos.empty()) {
    warn(count(e.undetected_videos.size(), "annotated video") +
         " missing from the detections; their instances are missed: " + some(e.undetected_videos));
  }
  if (e.unknown_class > 0) {
    std::vector<std::string> names;
    for (const std::string& name : e.unknown_classes) {
      std::string quoted = "\"" + name + "\"";
      for (const std::string& known : truth.classes) {
        if (known != name && letters(known) == letters(name)) {
          quoted += " (the ground truth writes \"" + known + "\")";
        }
      }
      names.push_back(std::move(quoted));
    }
    warn(count(e.unknown_class, "detection") +
         " left out: no instance of the class in this subset: " + some(names));
  }
}

/// What equal scores, equal overlaps and segments that hold nothing did to the numbers.
void print_ties_and_points(const Evaluation& e, Protocol protocol) {
  const std::size_t points = e.empty_instances - e.reversed_instances,
                    point_detections = e.empty_detections - e.reversed_detections;
  if (points + point_detections > 0) {
    std::printf(
        "no length     %s%s, counted as missed; %s, counted as false positives (the official\n"
        "              code divides 0 by 0 for two equal points and takes that for a match)\n",
        count(points, "instance").c_str(),
        protocol == Protocol::thumos_index ? " (rounded to rows)" : "",
        count(point_detections, "detection").c_str());
  }
  if (e.reversed_instances + e.reversed_detections > 0) {
    std::printf("end < start   %s, counted as missed; %s, counted as false positives\n",
                count(e.reversed_instances, "instance").c_str(),
                count(e.reversed_detections, "detection").c_str());
  }
  if (!e.ties_decide()) return;
  std::size_t most = 0;
  for (std::size_t t = 1; t < e.map.size(); ++t) {
    const auto gap = [&](std::size_t i) { return std::fabs(e.map[i] - e.map_ties_first[i]); };
    if (gap(t) > gap(most)) most = t;
  }
  std::printf(
      "ties          decide here: %s with a score that another one of the class has, %s with "
      "several instances\n              overlapped equally; the last in the file comes first, "
      "as in the official code; the other\n              order gives %s instead of %s %% at "
      "tIoU %s\n",
      count(e.tied_scores, "detection").c_str(), count(e.tied_overlaps, "detection").c_str(),
      cli::percent(e.map_ties_first[most]).c_str(), cli::percent(e.map[most]).c_str(),
      tandem::concat(e.thresholds[most]).c_str());
}

tandem::io::Json as_json(const Evaluation& e, const std::string& subset, const Options& options) {
  using tandem::io::Json;
  Json root = Json::object();
  root["protocol"] = protocol_name(e.protocol);
  if (e.protocol == Protocol::thumos_index) root["seconds_per_row"] = options.seconds_per_row;
  root["subset"] = subset.empty() ? "all" : subset;
  root["ground_truth"] = options.ground_truth;
  root["detections"] = options.detections;
  results::add_numbers(root, e);
  results::add_oddities(root, e);
  return root;
}

void evaluate_files(const Options& options) {
  const Protocol protocol = protocol_from_name(options.protocol);
  const bool other_rows = options.seconds_per_row != conventional_seconds_per_row;
  TANDEM_CHECK(!other_rows || protocol == Protocol::thumos_index, "evaluate",
               "--seconds-per-row is for --protocol thumos-index; ", options.protocol,
               " has no rows");
  GroundTruth truth = load_ground_truth(options.ground_truth);
  DetectionSet detected = read_detections(options.detections);
  std::vector<std::string> notes;
  note_detections(detected, notes, options.detections);
  if (!options.ambiguous.empty()) {
    add_ambiguous(truth, tandem::io::read_text(options.ambiguous), options.ambiguous, &notes);
  }
  for (const std::string& note : notes) warn(note);
  const IdAlignment ids = align_video_ids(truth, detected);
  const std::string subset = choose_subset(truth, options, protocol);

  std::printf("protocol      %s (%s)\n", options.protocol.c_str(),
              std::string(describe(protocol)).c_str());
  if (other_rows) {
    warn(tandem::concat("rows of ", options.seconds_per_row,
                        " s; published numbers of this protocol are of rows of ",
                        conventional_seconds_per_row, " s and must not be compared with these"));
  }
  if (ids.stripped) {
    std::printf(
        "note          video ids match only without the prefix \"v_\", which was removed: %s "
        "matched\n",
        count(ids.matched, "video").c_str());
  }
  const Evaluation e = evaluate(truth, detected,
                                {.protocol = protocol,
                                 .thresholds = options.tiou,
                                 .subset = subset,
                                 .ignore_videos_without_instances = options.ignore_unannotated,
                                 .seconds_per_row = options.seconds_per_row});
  std::size_t videos = 0, instances = 0, ambiguous = 0;
  for (const VideoTruth& video : truth.videos) {
    if (!subset.empty() && video.subset != subset) continue;
    ++videos;
    instances += video.instances.size();
    ambiguous += video.ambiguous.size();
  }
  std::printf("ground truth  %s, subset %s: %s, %s, %zu %s\n",
              cli::printable(options.ground_truth).c_str(),
              subset.empty() ? "all" : cli::printable(subset).c_str(),
              count(videos, "video").c_str(), count(instances, "instance").c_str(),
              e.classes.size(), e.classes.size() == 1 ? "class" : "classes");
  std::printf("detections    %s: %s, %s\n", cli::printable(options.detections).c_str(),
              count(detected.videos.size(), "video").c_str(),
              count(detected.size(), "detection").c_str());
  if (protocol == Protocol::thumos_index) {
    std::printf("index units   %s removed for touching one of %s\n",
                count(e.ambiguous_removed, "detection").c_str(),
                count(ambiguous, "ambiguous segment").c_str());
    if (ambiguous == 0) {
      warn(
          "the ground truth has no ambiguous segments, which this protocol filters by; THUMOS14 "
          "lists them in "
          "Ambiguous_test.txt (--ambiguous)");
    }
  }
  print_ties_and_points(e, protocol);
  std::fflush(stdout);
  report_mismatches(truth, e, options);
  results::print_map(e);
  if (options.per_class) results::print_classes(e);
  if (!options.json.empty()) {
    tandem::io::save_json(options.json, as_json(e, subset, options));
    std::printf("\nwritten to %s\n", cli::printable(options.json).c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Mean average precision of temporal action detections.", "evaluate");
  Options options;
  app.add_option(
         "--ground-truth", options.ground_truth,
         "The annotations: a W-TALC annotation folder (…-Annotations), BaS-Net's gt.json or "
         "its folder, ActivityNet JSON, mmaction2 JSON, or the THUMOS14 table (.csv)")
      ->required()
      ->type_name("PATH");
  app.add_option("--detections", options.detections,
                 "ActivityNet JSON: {\"results\": {id: [{\"label\", \"score\", \"segment\"}]}}")
      ->required()
      ->type_name("FILE");
  cli::add_choice(
      app, "--protocol", options.protocol, {"activitynet", "thumos-index", "thumos-seconds"},
      "How seconds become matches. activitynet: tIoU 0.5:0.05:0.95. thumos-index: the "
      "W-TALC family, in rows of 0.64 s, without detections on ambiguous segments. "
      "thumos-seconds: the BaS-Net family. The last two: tIoU 0.1:0.1:0.9; their numbers "
      "differ by up to 1.2 mAP and must not be compared")
      ->required();
  app.add_option(
         "--subset", options.subset,
         "Evaluate the videos of this subset, or 'all'; default: the only one there is, else "
         "validation (activitynet) or test (thumos)")
      ->type_name("NAME");
  app.add_option("--tiou", options.tiou, "Other thresholds, e.g. --tiou 0.3,0.5,0.7")
      ->delimiter(',');
  app.add_option("--ambiguous", options.ambiguous,
                 "Ambiguous_test.txt, for thumos-index with a ground truth that lacks it")
      ->type_name("FILE");
  app.add_option("--seconds-per-row", options.seconds_per_row,
                 "Length of thumos-index's rows, for features of another step; the numbers then "
                 "compare with "
                 "each other only")
      ->capture_default_str()
      ->check(cli::positive())
      ->type_name("S");
  cli::add_output(app, "--json", options.json, "Also write the result to this file")
      ->type_name("OUT");
  app.add_flag("--per-class", options.per_class, "Print the AP of every class");
  app.add_flag("--ignore-unannotated-videos", options.ignore_unannotated,
               "Leave out detections in videos without ground truth instead of counting them as "
               "false positives");
  app.footer(
      "Example:\n"
      "  evaluate --ground-truth Thumos14reduced-Annotations --detections detections.json \\\n"
      "           --protocol thumos-index --per-class\n\n"
      "Matching is that of the official ActivityNet evaluator: per class, detections by falling\n"
      "score take the free instance of their video with the highest tIoU, if it is at least the\n"
      "threshold; AP interpolates over all points; the mean is over the classes of the ground "
      "truth.\n"
      "Of equal scores and equal overlaps the last in the file comes first, as there; when that "
      "decides,\n"
      "it is said. Segments without length, or that end before they start, match nothing.");
  return cli::run(app, argc, argv, [&] { evaluate_files(options); });
}

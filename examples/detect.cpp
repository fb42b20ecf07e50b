/// detect — the detections of a whole subset or folder by a trained model, in one way or in many,
/// without training again.
///
///   detect --checkpoint run1/checkpoint.safetensors --data data/mine --out found
///       --fusion cbp,vlp,mean --theta-loc 0.3,0.45,0.3+0.45 --theta-cls 0.7,0.85
///
/// Writes into --out, for each combination of values, <combination>.json (ActivityNet format), and,
/// of all of them, evaluation.json and evaluation.csv. Branches are asked once a video, however
/// many combinations there are.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "csv.hpp"
#include "dcl_subset.hpp"
#include "evaluation_results.hpp"
#include "inference_cli.hpp"
#include "inference_grid.hpp"
#include "output_folder.hpp"
#include "tandem/wtal/data/detections_json.hpp"
#include "video_truth.hpp"

namespace {

using namespace tandem;
using namespace tandem::wtal;

struct Options : dcl::InferenceCli {
  std::string out = "detections", subset;
};

/// What was found, in every way, and what is true.
struct Results {
  std::vector<DetectionSet> sets;  ///< one of each combination
  std::string note;                ///< of the data or features, for the files
  std::string subset;              ///< "" where there are none
  std::optional<GroundTruth> truth;
  dcl::Judged judged;
};

class Session {
 public:
  Session(Options& o, dcl::Model& model, std::vector<dcl::Combination> combinations)
      : o_(o), model_(model), combinations_(std::move(combinations)) {
    for (const dcl::Combination& one : combinations_) ways_.push_back(one.how);
    o_.prepare(model_, ways_);
  }

  /// Returns 0, or 3 when some videos failed.
  int run() {
    std::vector<std::string> outputs;
    for (const dcl::Combination& one : combinations_) outputs.push_back(path_of(one));
    for (const char* name : {"evaluation.json", "evaluation.csv"})
      outputs.push_back(io::join_path(o_.out, name));
    cli::check_outputs("detect", outputs, o_.read_from());
    for (const std::string& note : model_.notes())
      std::printf("%s\n", cli::printable(note).c_str());
    const bool folder = !o_.inputs.empty() || !o_.features.empty();
    const std::string idle = o_.idle(model_, ways_, folder).sentence("what is found here");
    if (!idle.empty()) std::printf("note: %s\n", cli::printable(idle).c_str());
    Results results = folder ? detect_folder() : detect_subset();
    for (std::size_t i = 0; i < combinations_.size(); ++i)
      write_detections(path_of(combinations_[i]), results.sets[i], {.details = results.note});
    report(results);
    return failures_.print(videos_, "videos");
  }

 private:
  std::string path_of(const dcl::Combination& one) const {
    return io::join_path(o_.out, one.name + ".json");
  }

  /// The videos of a data set's subset, as train_dcl tests on them.
  Results detect_subset() {
    dcl::Options where = model_.options();
    for (const auto& option : o_.table.options()) {
      if (option->is_path() || option->name() == "protocol")
        dcl::option_table(where).find(option->name())->set(option->json());
    }
    const dcl::Need need = dcl::needed_rows(model_, ways_);
    const dcl::Data data =
        dcl::open_subset(where, need, o_.subset.empty() ? where.test_subset : o_.subset,
                         o_.options.seconds_per_row, model_);
    const dcl::Data& d = data;
    std::printf("%s\n", cli::printable(d.description, true).c_str());
    check_columns(*d.all, need);
    note_unknown_classes(d.test->truth());
    cli::flush_output();
    videos_ = d.test->size();
    cli::Progress progress("localizing", videos_);
    const ConcatSource rows(*d.test, model_.options().concat_clip && need.i3d);
    Results out;
    out.sets = cli::saying_what_takes_less("--device cpu does without it", [&] {
      return detect<float>(model_.cbp(), model_.vlp(), rows,
                           std::span<const InferenceOptions>(ways_),
                           [&](std::size_t done, std::size_t) { progress.update(done); });
    });
    progress.finish();
    for (DetectionSet& set : out.sets) set.classes = model_.classes();
    out.note = d.note;
    out.subset = d.test->truth().videos.empty() ? "" : d.test->truth().videos[0].subset;
    out.truth = d.test->truth();
    out.judged = d;
    return out;
  }

  /// The videos of a folder, or the feature files of one.
  Results detect_folder() {
    const std::vector<videos::Found> found =
        dcl::find_inputs(o_, dcl::needed_rows(model_, ways_), failures_, "detect");
    videos_ = found.size() + failures_.size();
    std::optional<GroundTruth> annotated;  // before the work: it may not fit
    if (!o_.annotations.empty()) annotated = read_annotations();
    dcl::RowReader reader = o_.open_rows(model_, ways_);
    std::printf("%zu video%s\n", found.size(), found.size() == 1 ? "" : "s");
    cli::flush_output();
    Results out;
    for (std::size_t i = 0; i < ways_.size(); ++i)
      out.sets.push_back({.classes = model_.classes(), .videos = {}});
    std::optional<cli::Progress> progress;  // an extraction has a bar of each video
    if (!reader.extracting()) progress.emplace("localizing", found.size());
    std::vector<std::string> warnings;
    RowLengths lengths;
    for (std::size_t v = 0; v < found.size(); ++v) {
      const std::string& id = found[v].id;
      try {
        const dcl::Rows rows = reader.read(id, found[v].path);
        const BranchScores scores = model_.score(rows.i3d, rows.clip, ways_);
        auto detections = model_.localize(rows.i3d, rows.clip, scores, ways_, rows.seconds_per_row);
        for (std::size_t i = 0; i < ways_.size(); ++i)
          out.sets[i].videos.push_back({.id = id, .detections = std::move(detections[i])});
        lengths.seconds.push_back(rows.seconds_per_row);
        for (const std::string& warning : rows.warnings) {
          if (std::find(warnings.begin(), warnings.end(), warning) == warnings.end())
            warnings.push_back(warning);
        }
      } catch (const std::exception& error) {
        failures_.add(id, error.what());
      }
      if (progress) progress->update(v + 1);
    }
    if (progress) progress->finish();
    TANDEM_CHECK(!lengths.seconds.empty(), "detect", "no video could be read: ", failures_.last());
    for (const std::string& warning : warnings) {
      std::printf("%s\n", cli::printable(warning).c_str());
      out.note += (out.note.empty() ? "" : " ") + warning;
    }
    if (annotated) add_truth(*annotated, found, lengths, out);
    return out;
  }

  GroundTruth read_annotations() const {
    std::vector<std::string> notes;
    GroundTruth out = read_ground_truth(o_.annotations, &notes);
    for (const std::string& note : notes) std::printf("note: %s\n", cli::printable(note).c_str());
    note_unknown_classes(out);
    return out;
  }

  /// What annotations say of the videos of a folder; those without an annotation are not judged.
  void add_truth(const GroundTruth& all, const std::vector<videos::Found>& found,
                 const RowLengths& lengths, Results& out) {
    GroundTruth truth;
    truth.classes = all.classes;
    std::size_t unknown = 0;
    for (const videos::Found& video : found) {
      const VideoTruth* one = truth::find_annotation(all, video.id, video.path);
      if (one == nullptr || (!o_.subset.empty() && one->subset != o_.subset)) {
        ++unknown;
        continue;
      }
      truth.videos.push_back(*one);
      truth.videos.back().id = video.id;
    }
    if (unknown > 0) {
      std::printf("note: %zu of %zu videos are not annotated%s, and not judged\n", unknown,
                  found.size(), o_.subset.empty() ? "" : " in this subset");
    }
    dcl::choose_protocol(o_.options.protocol, truth, lengths, out.judged);
    for (const std::string& note : dcl::test_notes(truth, out.judged))
      std::printf("note: %s\n", cli::printable(note).c_str());
    out.subset = o_.subset;
    out.truth = std::move(truth);
  }

  void check_columns(const Dataset& all, const dcl::Need& need) const {
    if (!need.i3d) return;
    const std::int64_t columns =
        all.i3d_columns() + (model_.options().concat_clip ? all.clip_columns() : 0);
    TANDEM_CHECK(columns == model_.input(), "detect", "the rows have ", columns,
                 " columns, the model reads ", model_.input());
  }

  /// Says which annotated classes the model does not know; refuses annotations that share none.
  void note_unknown_classes(const GroundTruth& truth) const {
    const auto& known = model_.classes();
    const auto knows = [&known](const std::string& name) {
      return std::find(known.begin(), known.end(), name) != known.end();
    };
    const bool shared = std::any_of(truth.classes.begin(), truth.classes.end(), knows);
    TANDEM_CHECK(truth.classes.empty() || shared, "detect", "the model knows none of the ",
                 truth.classes.size(), " annotated classes ('", truth.classes[0],
                 "' …): its own are ", known.size(), " others ('", known[0],
                 "' …), so nothing that it finds could be right");
    for (const std::string& name : truth.classes) {
      if (knows(name)) continue;
      std::printf("note: '%s' is annotated, which the model does not know%s\n",
                  cli::printable(name).c_str(), did_you_mean(name, known).c_str());
    }
  }

  /// The numbers of a combination as words: for the table and the CSV.
  static std::vector<std::string> words_of(const InferenceOptions& how) {
    if (how.own) return {"own", "", "", "", "", ""};
    const LocalizationOptions& l = how.localization;
    std::string thresholds;
    for (const double t : l.thresholds)
      thresholds += (thresholds.empty() ? "" : "+") + cli::number_text(t);
    return {std::string(fusion_name(how.fusion)),
            how.fusion == Fusion::weighted ? cli::number_text(how.cbp_weight) : "",
            thresholds,
            cli::number_text(l.class_threshold),
            cli::number_text(l.nms.sigma),
            l.normalize ? "yes" : "no"};
  }

  io::Json json_of(const dcl::Combination& one, const DetectionSet& set) const {
    const LocalizationOptions& l = one.how.localization;
    io::Json out = io::Json::object();
    out["name"] = one.name;
    out["file"] = one.name + ".json";
    out["fusion"] = std::string(fusion_name(one.how.fusion));
    out["method-inference"] = one.how.own ? "own" : "dcl";
    if (one.how.fusion == Fusion::weighted) out["cbp-weight"] = one.how.cbp_weight;
    if (!one.how.own) {
      out["theta-loc"] = l.thresholds;
      out["theta-cls"] = l.class_threshold;
      out["nms-sigma"] = l.nms.sigma;
      out["no-min-max"] = !l.normalize;
    }
    out["detections"] = set.size();
    return out;
  }

  /// The detections in the videos that are judged. Elsewhere nobody said that there is nothing.
  static DetectionSet judged_part(const DetectionSet& set, const GroundTruth& truth) {
    std::unordered_set<std::string_view> ids;
    for (const VideoTruth& video : truth.videos) ids.insert(video.id);
    DetectionSet out{.classes = set.classes, .videos = {}};
    for (const VideoDetections& video : set.videos) {
      if (ids.contains(video.id)) out.videos.push_back(video);
    }
    return out;
  }

  /// Writes what each combination is worth, where that is known, in the order of the options.
  void report(const Results& results) const {
    io::Json root = io::Json::object();
    root["version"] = TANDEM_VERSION_STRING;
    root["checkpoint"] = model_.path();
    root["step"] = model_.steps();
    const bool known = results.truth && results.judged.no_map.empty();
    if (results.truth) {
      root["protocol"] = std::string(protocol_name(results.judged.protocol));
      if (!results.subset.empty()) root["subset"] = results.subset;
      if (!known) root["no_map"] = results.judged.no_map;
    }
    root["videos"] = results.sets[0].videos.size();
    root["combinations"] = io::Json::array();

    std::vector<std::string> header{"fusion",    "cbp-weight", "theta-loc",
                                    "theta-cls", "nms-sigma",  "min-max"},
        columns = header;
    columns.insert(columns.begin(), "name");
    header.pop_back();
    for (std::vector<std::string>* list : {&header, &columns}) list->emplace_back("detections");
    std::optional<cli::Table> table;
    std::string csv;
    for (std::size_t i = 0; i < combinations_.size(); ++i) {
      const dcl::Combination& one = combinations_[i];
      const DetectionSet& set = results.sets[i];
      io::Json entry = json_of(one, set);
      std::vector<std::string> shown = words_of(one.how), cells = shown;
      cells.insert(cells.begin(), one.name);
      shown.pop_back();
      for (std::vector<std::string>* list : {&shown, &cells})
        list->push_back(std::to_string(set.size()));
      if (known) {
        const Evaluation e =
            evaluate(*results.truth, judged_part(set, *results.truth), results.judged.options());
        results::add_numbers(entry, e);
        for (const AverageMap& average : e.averages) {
          if (i == 0) header.push_back("mAP " + average.range);
          if (i == 0) columns.push_back("average_map." + average.range);
          shown.push_back(cli::percent(average.value));
          cells.push_back(cli::number_text(average.value));
        }
        for (std::size_t t = 0; t < e.map.size(); ++t) {
          if (i == 0) columns.push_back("map." + cli::fixed(e.thresholds[t], 2));
          cells.push_back(cli::number_text(e.map[t]));
        }
      }
      root["combinations"].push_back(std::move(entry));
      if (i == 0) {
        table.emplace(header);
        csv = cli::csv_line(columns);
      }
      table->row(std::move(shown));
      csv += cli::csv_line(cells);
    }
    std::printf("\n");
    if (known) {
      std::printf("protocol %s%s%s; mAP in %%\n",
                  std::string(protocol_name(results.judged.protocol)).c_str(),
                  results.note.empty() ? "" : " — ", cli::printable(results.note).c_str());
    }
    table->print();
    if (known && combinations_.size() > 1)
      std::printf(
          "in the order of the options, none is picked; numbers to choose by are those of other "
          "videos than the reported ones\n");
    io::save_json(io::join_path(o_.out, "evaluation.json"), root);
    io::write_text(io::join_path(o_.out, "evaluation.csv"), csv);
    std::printf("\ndetections: %zu file%s, with evaluation.json and evaluation.csv, in %s\n",
                combinations_.size(), combinations_.size() == 1 ? "" : "s",
                cli::printable(o_.out).c_str());
  }

  Options& o_;
  dcl::Model& model_;
  std::vector<dcl::Combination> combinations_;
  std::vector<InferenceOptions> ways_;
  outputs::Failures failures_;
  std::size_t videos_ = 0;
};

int run(Options& o) {
  o.finish();
  const dcl::Options& given = o.options;
  const bool data = !given.data.empty() || !given.i3d.empty() || !given.clip.empty() ||
                    (!given.annotations.empty() && o.inputs.empty() && o.features.empty());
  TANDEM_CHECK(o.inputs.empty() || given.i3d.empty(), "detect",
               "--i3d goes with --annotations; rows of videos are in --features");
  if (o.inputs.empty() && o.features.empty() && !data) {
    TANDEM_CHECK(dcl::take_places_of_run(o.table, o.checkpoint), "detect",
                 "name what to look into: --data, --features, or videos; there is no options.json "
                 "beside ",
                 o.checkpoint, " that says what it was trained with");
  }
  o.annotations = given.annotations;
  dcl::Model model = o.open_model();
  std::vector<dcl::Combination> combinations = dcl::combinations(model.options(), o.table);
  const cli::OutputFolder output(o.out, "detect");
  Session session(o, model, std::move(combinations));
  return session.run();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Detections of a whole subset by a checkpoint of train_dcl or train_boosting, for one or "
      "several\n"
      "ways of inference at once, without training again.\n\n"
      "  detect --checkpoint run1/checkpoint.safetensors                     # as train_dcl did\n"
      "  detect --checkpoint run1/checkpoint.safetensors --data thumos --out found \\\n"
      "      --fusion cbp,vlp,mean --theta-loc 0.3,0.45,0.3+0.45 --theta-cls 0.7,0.85\n"
      "  detect --checkpoint run1/checkpoint.safetensors --features data --out found\n"
      "  detect videos/ --checkpoint run1/checkpoint.safetensors --out found \\\n"
      "      --i3d-rgb i3d_rgb.safetensors --i3d-flow i3d_flow.safetensors\n\n"
      "The videos are a subset of a data set (--data, as train_dcl reads it), all that a folder "
      "has "
      "features of\n"
      "(--features), or video files, whose rows are made first. Every combination of the values of "
      "--fusion,\n"
      "--cbp-weight, --theta-loc, --theta-cls and --nms-sigma becomes a file of its own. Where "
      "segments are\n"
      "annotated, each has its mAP; none is picked.\n"
      "Exit status: 0, 1 for an error, 2 for a wrong command line, 3 when some videos failed.",
      "detect");
  Options o;
  o.add_to(app, dcl::tried_options);
  app.add_option("--out", o.out, "Folder to write")->capture_default_str();
  app.add_option("--features", o.features,
                 "The --out folder of extract_features, or one of <id>.npy: every video in it")
      ->check(CLI::ExistingDirectory);
  o.table.add_to(app, {"annotations", "i3d", "clip", "protocol"});
  app.add_option("--subset", o.subset,
                 "The subset to look into (default: the one that train_dcl tests on)");
  o.add_config(app);
  int status = 0;
  const int ran = cli::run(app, argc, argv, [&] { status = run(o); });
  return ran != 0 ? ran : status;
}

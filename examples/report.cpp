/// report — one page over a whole run of train_dcl or train_boosting: results, videos with
/// timelines, training, errors.
///
///   report --run run1 --page run1.html
///   report --run run1 --data thumos --videos thumos_videos --page run1.html --table ablation.md
///   report --run run1 --beside run2 --page both.html

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dcl_checkpoint.hpp"
#include "report/beside.hpp"
#include "report/pair_html.hpp"  // made of report/pair.html by the build
#include "report/run_html.hpp"
#include "report/run_options.hpp"
#include "report/run_page.hpp"
#include "report/run_training.hpp"
#include "report/run_videos.hpp"
#include "report/tables.hpp"
#include "report/video_url.hpp"
#include "report/written_detections.hpp"

namespace {

using namespace tandem;
using namespace tandem::wtal;

struct Options {
  std::string run, beside, data, videos, page;
  std::vector<std::string> tables;
  std::int64_t show_videos = 60, show_classes = 6, embed_kib = 1024, threads = 0;
  double tiou = 0.5;
};

/// What the page is made of, as far as it is there.
class Report {
 public:
  explicit Report(const Options& o)
      : o_(o),
        model_(io::join_path(o.run, "checkpoint.safetensors"), {}),
        run_(report::read_run_options(o.run, model_, o.data)),
        no_data_(report::no_data(o.run, run_)),
        files_(o.videos, o.page, o.embed_kib << 10),
        trained_(model_.data()) {
    for (std::size_t v = 0; trained_ && v < trained_->videos.size(); ++v)
      trained_at_.emplace(trained_->videos[v].id, v);
  }

  void write() {
    const io::Json page = made();
    const std::string text = report::run_page(page, files_.embedded(), report::run_html);
    io::write_text(o_.page, text);
    say();
    say_page(page, text);
  }

  /// One page over this run and another on the same data, whose videos this one shows.
  void write_beside(Report& other) {
    const report::ComparedRun a = compared(), b = other.compared();
    report::check_same_data(a, b);
    tests_only_ = other.tests_only_ = true;
    const auto [mine, its] = report::names_of(a, b);
    const io::Json page =
        report::pair_json({.name = mine, .page = made()}, {.name = its, .page = other.made()},
                          report::differences(a, b));
    const std::string text = report::run_page(page, files_.embedded(), report::pair_html);
    io::write_text(o_.page, text);
    for (const Report* one : {this, &other}) {
      std::printf("%s\n", cli::printable(one == this ? mine : its).c_str());
      one->say();
    }
    say_page(page, text);
  }

 private:
  report::ComparedRun compared() {
    std::string protocol = run_.protocol;
    const std::string metrics = io::join_path(o_.run, "metrics.jsonl");
    if (protocol.empty() && io::is_file(metrics))  // by the data: what the run found out
      protocol = report::read_training(metrics, run_.train.rounds).protocol;
    return {.folder = o_.run, .model = model_, .options = run_, .protocol = protocol};
  }
  /// The data of the page.
  io::Json made() {
    open_branches();
    open_data();
    judge();
    return page_json();
  }
  void say() const {
    for (const std::string& warning : warnings_)
      std::printf("note: %s\n", cli::printable(warning).c_str());
    report::print_map(results_, report::method_alone(model_));
  }
  void say_page(const io::Json& page, const std::string& text) const {
    std::printf("page: %s (%s MB, %zu videos, %zu with a player)\n",
                cli::printable(o_.page).c_str(),
                cli::fixed(static_cast<double>(text.size()) / 1e6, 1).c_str(),
                page.at("videos").size(), files_.shown());
  }
  /// The branches that can speak, and in which ways.
  void open_branches() {
    for (const std::string& note : model_.notes()) warnings_.push_back(note);
    cbp_ = model_.has_cbp() && run_.variant != "vanilla-vlp";
    const bool vlp_learned = run_.variant != "warm-up" || run_.inference.fusion != Fusion::cbp;
    if (!no_data_.empty()) warnings_.push_back(no_data_);
    if (vlp_learned) {
      try {
        TANDEM_CHECK(no_data_.empty() || run_.random_text_encoder, "report",
                     "it is not known where the text encoder is");
        model_.open_vlp({.data = run_.data,
                         .clip_weights = run_.clip_weights,
                         .vocabulary = run_.vocabulary,
                         .tokens = run_.tokens});
        vlp_ = true;
      } catch (const Error& error) {
        warnings_.push_back(concat("VLP's scores are missing: ", error.what()));
      }
    }
    for (const std::string& name : fusion_names()) {
      InferenceOptions way = run_.inference;
      way.fusion = fusion_from_name(name);
      way.own = way.own && way.fusion == run_.inference.fusion;
      if ((asks_cbp(way.fusion) && !cbp_) || (asks_vlp(way.fusion) && !vlp_)) continue;
      // With a weight of one half it is the mean.
      const bool trained = way.fusion == run_.inference.fusion;
      if (way.fusion == Fusion::weighted && way.cbp_weight == 0.5 && !trained) continue;
      ways_.push_back(way);
    }
  }

  /// Annotations and, if they are there, features; without these, what the run wrote of its test
  /// videos.
  void open_data() {
    dcl::Options wanted = run_;
    if (cbp_ && vlp_) wanted.inference.fusion = Fusion::mean;  // reads the rows of both
    try {
      TANDEM_CHECK(no_data_.empty(), "report", "it is not known where the data are");
      TANDEM_CHECK(!ways_.empty(), "report", "no branch of the checkpoint can speak");
      data_ = dcl::open_data(wanted);
      truth_ = data_->all->truth();
      test_ = data_->test->truth();
      options_ = {.protocol = data_->protocol, .seconds_per_row = data_->index_seconds};
      no_map_ = data_->no_map;
      check_annotations(truth_);
      detect();
    } catch (const Error& error) {
      if (!other_data_.empty()) throw;
      data_.reset();
      warnings_.push_back(
          concat("Frame scores of test videos are missing, since their features or the branches "
                 "are: ",
                 error.what()));
      read_detections_of_run();
    }
  }

  /// Data that are not those of the run are refused: what it found says nothing about them.
  void check_annotations(const GroundTruth& truth) {
    refuse(trained_ ? trained_->annotation_difference(truth)
                    : DataFingerprint::class_difference(model_.classes(), truth.classes));
  }
  /// The same of the rows of test video v, where the run read them and they are read here.
  void check_rows(std::size_t v, const Tensor<float>& i3d, const Tensor<float>& clip) {
    const auto was = trained_at_.find(test_.videos[v].id);
    if (was == trained_at_.end()) return;
    const VideoFingerprint& before = trained_->videos[was->second];
    const auto check = [&](const char* kind, const std::string& sum, const Tensor<float>& now) {
      const bool same =
          sum.empty() || !now.defined() || sum == io::hexadecimal(tensor_checksum(now));
      refuse(same ? "" : concat("the ", kind, " rows of '", before.id, "' are not what they were"));
    };
    check("I3D", before.i3d, i3d);
    check("CLIP", before.clip, clip);
  }
  void refuse(const std::string& difference) {
    other_data_ = difference;
    TANDEM_CHECK(difference.empty(), "report", "the data are not those of the run in ", o_.run,
                 ": ", difference, "; detect --data finds and judges on other data");
  }

  void detect() {
    for (const InferenceOptions& way : ways_) {
      report::FusionResult& one = results_.emplace_back();
      one.fusion = way.fusion;
      one.detections.classes = test_.classes;
    }
    const std::vector<std::size_t> shown =
        report::spread(test_.videos.size(), static_cast<std::size_t>(o_.show_videos));
    cli::Progress progress("scoring test videos", test_.videos.size());
    for (std::size_t v = 0; v < test_.videos.size(); ++v) {
      const Tensor<float> i3d = cbp_ ? data_->test->i3d(v) : Tensor<float>(),
                          clip = vlp_ || run_.concat_clip ? data_->test->clip(v) : Tensor<float>();
      check_rows(v, i3d, clip);
      const BranchScores scores = model_.score(i3d, clip, ways_);
      const std::vector<std::vector<Detection>> found =
          model_.localize(i3d, clip, scores, ways_, data_->test->seconds_per_row(v));
      for (std::size_t w = 0; w < ways_.size(); ++w)
        results_[w].detections.videos.push_back({test_.videos[v].id, found[w]});
      if (std::find(shown.begin(), shown.end(), v) != shown.end()) scores_.emplace(v, scores);
      progress.update(v + 1);
    }
    progress.finish();
    compare_with_run();
  }

  /// Says so when the detections that the run wrote are others.
  void compare_with_run() {
    const report::FusionResult* trained = find_result(run_.inference.fusion);
    if (trained == nullptr) return;
    const std::optional<DetectionSet> wrote = report::read_written(o_.run, model_.classes());
    if (!wrote || report::same_detections(*wrote, trained->detections)) return;
    warnings_.push_back(concat(report::detections_file(o_.run),
                               " holds other detections than the checkpoint gives on these data: "
                               "the checkpoint is not that of its last evaluation, or videos "
                               "came in"));
  }

  void read_detections_of_run() {
    results_.clear();
    scores_.clear();
    ways_.clear();
    no_map_ = "there are no annotations";
    truth_.classes = model_.classes();
    const std::string annotations = run_.annotations.empty() ? run_.data : run_.annotations;
    try {
      TANDEM_CHECK(no_data_.empty(), "report", "it is not known where they are");
      GroundTruth read = read_ground_truth(annotations);
      check_annotations(read);
      note_segments(read, warnings_, annotations);
      truth_ = std::move(read);
      const SubsetNames subsets = find_subsets(truth_);
      const std::string& named = run_.test_subset.empty() ? subsets.test : run_.test_subset;
      test_ = truth_.only(named);
    } catch (const Error& error) {
      if (!other_data_.empty()) throw;
      warnings_.push_back(concat("Annotations are missing: ", error.what()));
      test_ = {.classes = model_.classes(), .videos = {}};
    }
    std::optional<DetectionSet> wrote = report::read_written(o_.run, model_.classes());
    if (wrote) note_detections(*wrote, warnings_, report::detections_file(o_.run));
    if (!wrote) {
      warnings_.push_back(
          concat("Detections are missing: there is no ", report::detections_file(o_.run)));
      return;
    }
    report::FusionResult& one = results_.emplace_back();
    one.fusion = run_.inference.fusion;
    one.detections.classes = model_.classes();
    ways_ = {run_.inference};
    std::map<std::string, std::vector<Detection>> by_id;
    for (VideoDetections& video : wrote->videos) by_id[video.id] = std::move(video.detections);
    if (test_.videos.empty()) {
      for (const auto& [id, list] : by_id) test_.videos.push_back({.id = id, .subset = "test"});
    }
    for (const VideoTruth& video : test_.videos) {
      no_map_ = video.instances.empty() ? no_map_ : "";
      one.detections.videos.push_back({video.id, by_id[video.id]});
    }
  }

  const report::FusionResult* find_result(Fusion fusion) const {
    for (const report::FusionResult& one : results_) {
      if (one.fusion == fusion) return &one;
    }
    return nullptr;
  }

  /// mAP and kinds of errors of every fusion, where test videos are annotated.
  void judge() {
    const std::string metrics = io::join_path(o_.run, "metrics.jsonl");
    if (io::is_file(metrics)) {
      record_ = report::read_training(metrics, run_.train.rounds);
    } else {
      warnings_.push_back(concat("Training curves are missing: there is no ", metrics));
    }
    // Without features it is not known how long rows are, and what the run said holds.
    if (!data_ && !record_.protocol.empty())
      options_.protocol = protocol_from_name(record_.protocol);
    if (!no_map_.empty()) {
      warnings_.push_back(concat("There is no mAP: ", no_map_));
      return;
    }
    for (report::FusionResult& one : results_) {
      one.evaluation = evaluate(test_, one.detections, options_);
      one.errors = find_false_positives(test_, one.detections, options_, {.tiou = o_.tiou});
    }
  }

  io::Json page_json() {
    io::Json page = io::Json::object();
    page["title"] = report::name_of(o_.run);
    page["classes"] = model_.classes();
    io::Json::array_t fusions;
    for (const InferenceOptions& way : ways_)
      fusions.emplace_back(std::string(fusion_name(way.fusion)));
    const bool speaks = find_result(run_.inference.fusion) != nullptr || ways_.empty();
    page["trained"] =
        std::string(fusion_name(speaks ? run_.inference.fusion : ways_.front().fusion));
    if (!speaks)
      warnings_.push_back(concat("The run's own scores, --fusion ", run_.fusion, ", are missing"));
    page["fusions"] = io::Json(std::move(fusions));
    page["cbpWeight"] = run_.inference.cbp_weight;
    report::name_scores(page, model_);
    report::say_thresholds(page, ways_);
    page["rule"] = run_.pseudo_labels;
    page["high"] = run_.train.pseudo.high;
    page["low"] = run_.train.pseudo.low;
    page["kinds"] = io::Json(io::Json::array_t());
    for (int k = 0; k <= static_cast<int>(DetectionKind::left_out); ++k)
      page["kinds"].push_back(std::string(kind_name(static_cast<DetectionKind>(k))));
    page["testVideos"] = test_.videos.size();
    page["instances"] = test_.instance_count();
    io::Json results = io::Json::object();
    page["protocol"] = std::string(protocol_name(options_.protocol));
    page["tiou"] = io::Json(io::Json::array_t());
    for (const report::FusionResult& one : results_) {
      if (!one.evaluation) continue;
      page["tiou"] = one.evaluation->thresholds;
      results[std::string(fusion_name(one.fusion))] = report::result_json(one);
    }
    page["results"] = std::move(results);
    page["training"] = report::training_json(
        record_, model_.is_boosting() ? std::vector<Phase>() : training_phases(run_.train));
    page["tables"] = report::tables_json(o_.tables);
    page["videos"] = videos_json();
    page["hidden"] = hidden_;
    page["facts"] = facts_json();
    page["warnings"] = warnings_;
    return page;
  }

  io::Json videos_json() {
    io::Json::array_t out;
    const auto most = static_cast<std::size_t>(o_.show_videos);
    const std::vector<std::size_t> shown = report::spread(test_.videos.size(), most);
    for (const std::size_t v : shown) {
      const auto scores = scores_.find(v);
      const bool scored = scores != scores_.end();
      const VideoTruth& video = test_.videos[v];
      const double seconds = data_ ? data_->test->seconds_per_row(v) : 0;
      out.push_back(report::test_video_json(
          video, v, scored ? data_->test->rows(v) : 0,
          seconds > 0 ? seconds : conventional_seconds_per_row,
          scored ? scores->second : BranchScores{}, results_, model_.classes().size(),
          static_cast<std::size_t>(o_.show_classes), files_.find(video.id)));
    }
    hidden_ = test_.videos.size() - shown.size();
    if (tests_only_ || model_.is_boosting()) return io::Json(std::move(out));
    const std::vector<dcl::RecordedRound> rounds = dcl::read_rounds(o_.run);
    if (rounds.empty()) {
      warnings_.push_back(concat("Pseudo-labels of the rounds are missing: ", o_.run,
                                 " has no folder rounds, which train_dcl writes unless it is "
                                 "started with --record-videos 0"));
      return io::Json(std::move(out));
    }
    const std::vector<dcl::RecordedRound::Video>& recorded = rounds.back().videos;
    for (const std::size_t v : report::spread(recorded.size(), most)) {
      const std::string& id = recorded[v].id;
      out.push_back(report::training_video_json(id, rounds, truth_, files_.find(id)));
    }
    return io::Json(std::move(out));
  }

  io::Json facts_json() const {
    io::Json::array_t out;
    const auto add = [&](const char* name, const std::string& value) {
      if (!value.empty()) out.push_back(io::Json({name, value}));
    };
    add("run", o_.run);
    add("steps", concat(model_.steps()));
    add("data", run_.data);
    if (data_) add("rows", data_->all->row_lengths().description());
    add("method", model_.method());
    if (run_.inference.own) add("inference", "the method's own");
    if (!model_.is_boosting()) {
      add("variant", run_.variant);
      add("pseudo-labels", run_.pseudo_labels);
      add("rounds", concat(run_.train.rounds));
    }
    add("batch", concat(run_.train.batch));
    add("learning rate", concat(run_.train.learning_rate));
    if (run_.train.vlp_learning_rate > 0)
      add("VLP's learning rate", concat(run_.train.vlp_learning_rate));
    add("seed", concat(run_.train.seed));
    return io::Json(std::move(out));
  }

  const Options& o_;
  dcl::Model model_;
  dcl::Options run_;
  std::string no_data_;  // why it is not known where the data are
  report::VideoFolder files_;
  std::optional<DataFingerprint> trained_;  // the data of the run; nothing in older checkpoints
  std::map<std::string_view, std::size_t> trained_at_;  // id → its video
  std::string other_data_;                              // in what other data differ
  std::vector<std::string> warnings_;
  bool cbp_ = false, vlp_ = false, tests_only_ = false;
  std::vector<InferenceOptions> ways_;
  std::optional<dcl::Data> data_;
  GroundTruth truth_, test_;  // of all videos, of the test videos
  EvaluationOptions options_;
  std::string no_map_;
  std::vector<report::FusionResult> results_;
  std::map<std::size_t, BranchScores> scores_;  // of the test videos that are shown
  report::TrainingRecord record_;
  std::size_t hidden_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "One page over a run of train_dcl or train_boosting: mAP by the scores of either branch and "
      "fused,\n"
      "test videos with annotation, frame scores and detections on timelines, training videos with "
      "the "
      "pseudo-labels "
      "of\n"
      "each round, losses, AP by class, and what kind of mistakes false positives are.\n\n"
      "  report --run run1 --page run1.html\n"
      "  report --run run1 --data thumos --videos thumos_videos --page run1.html\n"
      "  report --run run1 --beside run2 --page both.html\n\n"
      "Scores and detections are computed here, by the checkpoint on the features of the data. "
      "What "
      "is not\n"
      "there, features, annotations or videos, is left out, and the page says so. The page is one "
      "file\n"
      "that loads nothing but videos that are too large to lie inside.",
      "report");
  Options o;
  app.add_option("--run", o.run, "The --out folder of train_dcl or train_boosting")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--beside", o.beside,
                 "Another run on the same data: the page shows both side by side, videos, tables, "
                 "curves")
      ->check(CLI::ExistingDirectory);
  app.add_option("--data", o.data, "The folder of the data, where it is not where the run read it")
      ->check(CLI::ExistingDirectory);
  app.add_option("--videos", o.videos, "Folder of the videos, <id>.mp4 …, for the player")
      ->check(CLI::ExistingDirectory);
  cli::add_output(app, "--page", o.page, "The page, HTML")->required();
  app.add_option(
         "--table", o.tables,
         "Tables for the page: JSON {\"title\", \"header\", \"rows\"}, or Markdown; once or "
         "more")
      ->check(CLI::ExistingFile);
  app.add_option("--show-videos", o.show_videos, "Most videos on the page, of each subset")
      ->capture_default_str()
      ->check(cli::range(0, 100000));
  app.add_option("--show-classes", o.show_classes, "Most classes of a test video")
      ->capture_default_str()
      ->check(cli::range(1, 1000));
  app.add_option("--embed-below", o.embed_kib,
                 "Videos of at most so many KiB lie inside the page, 24 MiB in all; others beside "
                 "it")
      ->capture_default_str()
      ->check(cli::range(0, 24576));
  app.add_option("--tiou", o.tiou, "Overlap at which detections are told apart by kind")
      ->capture_default_str()
      ->check(cli::range(0.1, 1));
  app.add_option("--threads", o.threads, "Threads; 0: all that the machine offers")
      ->check(cli::range(0, cpu::max_threads));
  cli::add_config(app);
  return cli::run(app, argc, argv, [&] {
    std::vector<std::string> read = report::paths_of_run(o.run);
    for (std::string& path : report::paths_of_run(o.beside)) read.push_back(std::move(path));
    cli::check_outputs("report", {o.page}, read);
    if (o.threads > 0) cpu::set_num_threads(static_cast<int>(o.threads));
    if (o.beside.empty()) return Report(o).write();
    TANDEM_CHECK(o.tables.empty(), "report", "--table is of the page of one run, not of --beside");
    Options other = o;
    other.run = o.beside;
    other.videos.clear();  // the first run shows them
    Report beside(other);
    Report(o).write_beside(beside);
  });
}

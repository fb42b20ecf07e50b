/// train_boosting — trains Boosting-WTAL (text-segment mining and video-language completion) from
/// I3D features and a GloVe text file, evaluates it, and writes detections.
///
///   train_boosting --data DIR --glove glove.6B.300d.txt --out run1
///   train_boosting --out run1 --resume                          # after a kill
///
/// Writes into --out: checkpoint.safetensors (replaced atomically), metrics.jsonl (one JSON object
/// per step and evaluation), detections.json (ActivityNet format) and options.json (all options;
/// the checkpoint has those that decide the result, so where the data lie is not in its bytes).

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "boosting_run.hpp"
#include "dcl_identity.hpp"
#include "dcl_metrics.hpp"
#include "evaluation_results.hpp"
#include "output_folder.hpp"
#include "resumed_options.hpp"
#include "run_start.hpp"
#include "tandem/io/checkpoint.hpp"
#include "tandem/wtal/data/detections_json.hpp"
#include "tandem/wtal/detect/evaluation.hpp"

namespace {

using namespace tandem;
using namespace tandem::wtal;
using boosting::Options, boosting::option_table, boosting::take_activity_net;

/// Gives a resumed run its options; what decides the result cannot change, but for more steps.
std::vector<cli::Change> take_options(const Options& o, cli::OptionTable& table,
                                      const io::Checkpoint<float>& saved, const std::string& path) {
  Options old, checked;
  cli::OptionTable before = option_table(old);
  before.read(io::JsonDocument::parse(saved.options, path + " (options)").root());
  const cli::RunPlace run{"train_boosting", o.out, path};
  cli::check_options_file(run, !o.data.data.empty() || !o.data.annotations.empty());
  io::Json written = io::Json::object();
  if (io::is_file(run.options_file())) {
    const auto document = io::JsonDocument::load(run.options_file());
    option_table(checked).read(document.root());
    written = document.json();
  }
  return cli::resume_options(table, before, written, run);
}

/// One run, in a folder that belongs to this process.
class Session {
 public:
  /// `saved`: of a resumed run, whose data must be these; `changes`: that it makes.
  Session(const Options& o, const cli::OptionTable& table, const io::FolderLock& lock,
          const io::Checkpoint<float>* saved, std::vector<cli::Change> changes)
      : o_(o),
        table_(table),
        lock_(lock),
        changes_(std::move(changes)),
        data_(boosting::open_data(o)),
        fingerprint_(checked(dcl::check_features(boosting::reading_options(o), data_), saved)),
        run_(o, data_) {
    if (saved == nullptr) return;
    TANDEM_CHECK(saved->counters.size() == 1, "train_boosting", checkpoint(),
                 " is no checkpoint of this program: it has ", saved->counters.size(), " counters");
    const auto words = saved->notes.find("words_fingerprint");
    TANDEM_CHECK(words == saved->notes.end() || words->second == run_.words_fingerprint(), "glove",
                 checkpoint(), " was trained with other word vectors than those of ",
                 boosting::glove_path(o), ": a run goes on with the words that it began with");
    run_.trainer().load(saved->tensors, saved->counters[0]);
  }

  void run() {
    const std::string lines = io::join_path(o_.out, "metrics.jsonl");
    io::write_text(io::join_path(o_.out, "options.json"), io::json_text(table_.json(), 2) + "\n");
    dcl::Metrics metrics(lines, o_.resume, run_.trainer().steps(), false, changes_);
    std::printf("%s\nTSM %lld, VLC %lld parameters; %lld steps; %d thread(s)\n",
                cli::printable(data_.description, true).c_str(),
                static_cast<long long>(run_.tsm().parameter_count()),
                static_cast<long long>(run_.vlc().parameter_count()),
                static_cast<long long>(o_.train.steps), cpu::num_threads());
    if (!changes_.empty()) {
      std::printf("resumed at step %lld with %s\n", static_cast<long long>(run_.trainer().steps()),
                  cli::printable(cli::list_changes(changes_), true).c_str());
    }
    if (!metrics.note().empty()) std::printf("note: %s\n", cli::printable(metrics.note()).c_str());
    cli::flush_output();
    stop_.emplace();
    // Of the run that was here before nothing is left that --resume or a reader could take for
    // this.
    if (o_.fresh) {
      save(metrics);
      std::filesystem::remove(io::join_path(o_.out, "detections.json"));
    }
    train(metrics);
    try {
      evaluate_now(metrics, true);
    } catch (const cli::Stopped& stop) {
      throw cli::Stopped(stop.signal(), concat("training is finished and saved in ", checkpoint(),
                                               "; the same command with --resume evaluates it"));
    }
    lock_.check();
  }

 private:
  DataFingerprint checked(DataFingerprint now, const io::Checkpoint<float>* saved) const {
    if (saved != nullptr) dcl::check_data(saved->notes, now, checkpoint());
    return now;
  }
  std::string checkpoint() const { return io::join_path(o_.out, "checkpoint.safetensors"); }

  void train(dcl::Metrics& metrics) {
    if (run_.trainer().finished()) return save(metrics);
    cli::Progress progress("training", static_cast<std::size_t>(o_.train.steps),
                           static_cast<std::size_t>(run_.trainer().steps()));
    try {
      while (!run_.trainer().finished()) {
        stop_->check();
        const BoostingReport report = run_.step();
        io::Json line = io::Json::object();
        line["step"] = run_.trainer().steps();
        line["loss"] = report.tsm;
        line["loss_reconstruction"] = report.reconstruction;
        line["loss_contrast"] = report.contrast;
        line["loss_vlc_attention"] = report.vlc_attention;
        line["grad_norm_language"] = report.language_norm;
        line["grad_norm_attention"] = report.attention_norm;
        metrics.add(std::move(line));
        progress.update(static_cast<std::size_t>(run_.trainer().steps()),
                        concat("TSM ", cli::fixed(report.tsm, 4), ", sentences ",
                               cli::fixed(report.reconstruction, 4)));
        const bool due = o_.best_of_test > 0 && run_.trainer().steps() % o_.best_of_test == 0;
        if (due && !run_.trainer().finished()) evaluate_now(metrics, false);
        if (run_.trainer().steps() % o_.checkpoint_every == 0 || run_.trainer().finished())
          save(metrics);
      }
    } catch (const cli::Stopped& stop) {
      save(metrics);
      throw cli::Stopped(
          stop.signal(),
          concat("step ", run_.trainer().steps(), " of ", o_.train.steps, " is saved in ",
                 checkpoint(), "; the same command with --resume goes on from there"));
    }
    progress.finish();
  }

  void save(const dcl::Metrics& metrics) const {
    lock_.check();
    metrics.sync();
    std::vector<nn::Named<float>> tensors = run_.trainer().state();
    tensors.push_back({boosting::class_words_name, run_.class_words_tensor()});
    io::Metadata notes = dcl::data_notes(data_);
    notes["method"] = boosting::method_name;
    notes["data_fingerprint"] = fingerprint_.json();
    notes["words_fingerprint"] = run_.words_fingerprint();
    io::save_checkpoint<float>(checkpoint(), {.tensors = std::move(tensors),
                                              .counters = {run_.trainer().steps()},
                                              .options = io::json_text(table_.json(true), 2),
                                              .notes = std::move(notes)});
  }

  /// `final`: the end of the run, whose detections are written.
  void evaluate_now(dcl::Metrics& metrics, bool final) {
    const GroundTruth& truth = data_.test->truth();
    std::optional<cli::Progress> progress;
    if (final) progress.emplace("localizing", data_.test->size());
    const DetectionSet found = run_.detect([&](std::size_t v) {
      if (!progress) return;  // not stopped: a saved step has its measurement
      stop_->check();
      progress->update(v);
    });
    if (progress) {
      progress->update(data_.test->size());
      progress->finish();
    }
    if (!final && !data_.no_map.empty()) return;
    const std::string path = io::join_path(o_.out, "detections.json");
    if (final) write_detections(path, found, {.details = data_.note});
    io::Json line = io::Json::object();
    line["step"] = run_.trainer().steps();
    line["evaluation"] = final ? std::string("final") : concat("step ", run_.trainer().steps());
    if (!data_.no_map.empty()) {
      line["no_map"] = data_.no_map;
      metrics.add(std::move(line));
      std::printf("\n%s, so there is no mAP\n", cli::printable(data_.no_map, true).c_str());
    } else {
      const Evaluation result = evaluate(truth, found, data_.options());
      results::add_to_line(line, result);
      std::optional<Evaluation> by_authors;
      if (final) by_authors = results::by_authors("boosting", truth, found, data_.options());
      if (by_authors) results::add_to_line(line["by_authors"] = io::Json::object(), *by_authors);
      metrics.add(std::move(line));
      if (!final) return;
      std::printf("\nprotocol %s, %zu test videos%s\n",
                  std::string(protocol_name(result.protocol)).c_str(), data_.test->size(),
                  data_.note.empty() ? "" : (" — " + cli::printable(data_.note, true)).c_str());
      results::print_map(result);
      if (by_authors) results::print_by_authors(*by_authors);
      results::print_best(io::join_path(o_.out, "metrics.jsonl"));
    }
    std::printf("\ndetections: %s\n", cli::printable(path).c_str());
  }

  const Options& o_;
  const cli::OptionTable& table_;
  const io::FolderLock& lock_;
  std::vector<cli::Change> changes_;
  dcl::Data data_;
  DataFingerprint fingerprint_;
  boosting::Run run_;
  std::optional<cli::StopSignals> stop_;
};

void start(Options& o, cli::OptionTable& table) {
  cli::check_start("train_boosting", o.out, o.resume, o.fresh);
  const cli::OutputFolder output(o.out, "train_boosting");
  const std::string checkpoint = io::join_path(o.out, "checkpoint.safetensors");
  cli::check_run_folder("train_boosting", o.out, o.resume, o.fresh);
  cli::check_inputs_stay("train_boosting", table, o.out);
  cli::make_paths_absolute(table);
  std::optional<io::Checkpoint<float>> saved;
  std::vector<cli::Change> changes;
  if (o.resume) {
    saved = io::load_checkpoint<float>(checkpoint);
    const auto method = saved->notes.find("method");
    TANDEM_CHECK(method != saved->notes.end() && method->second == boosting::method_name,
                 "train_boosting", checkpoint, " is not of Boosting-WTAL, so it cannot go on here",
                 method == saved->notes.end() ? ": train_dcl --resume goes on with its own" : "");
    changes = take_options(o, table, *saved, checkpoint);
  }
  if (o.activitynet && !o.resume) take_activity_net(table);
  if (o.threads > 0) cpu::set_num_threads(static_cast<int>(o.threads));
  Session(o, table, output.lock(), saved ? &*saved : nullptr, std::move(changes)).run();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Trains weakly-supervised temporal action localization by Boosting-WTAL: text-segment mining "
      "and\n"
      "video-language completion, two networks that learn in turn.\n\n"
      "  train_boosting --data thumos --glove glove.6B.300d.txt --out run1\n"
      "  train_boosting --out run1 --resume\n\n"
      "The folder --data is that of train_dcl (docs/data.md); of its features I3D is enough, but "
      "for --concat-clip.\n"
      "Word vectors are read from a text file and never fetched.",
      "train_boosting");
  Options o;
  cli::OptionTable table = option_table(o);
  table.add_to(app);
  cli::add_config(app, [&](const tandem::io::JsonRef& root) { return table.translated(root); });
  return cli::run(app, argc, argv, [&] { start(o, table); });
}

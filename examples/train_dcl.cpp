/// train_dcl — trains DCL from feature files, evaluates it, and writes detections.
///
///   train_dcl --data DIR --out run1
///   train_dcl --out run1 --resume                     # after a kill
///
/// Writes into --out: checkpoint.safetensors (replaced atomically), metrics.jsonl (one JSON object
/// per step, round and evaluation) and metrics.csv (the same as a table), detections.json
/// (ActivityNet format), options.json (all options of the run; what --config reads), and
/// rounds/NN.safetensors (how both branches score and label some training videos after each round;
/// the program report shows them).

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dcl_branches.hpp"
#include "dcl_identity.hpp"
#include "dcl_metrics.hpp"
#include "dcl_rounds.hpp"
#include "dcl_start.hpp"
#include "evaluation_results.hpp"
#include "output_folder.hpp"
#include "tandem/io/checkpoint.hpp"
#include "tandem/wtal/data/detections_json.hpp"
#include "tandem/wtal/detect/evaluation.hpp"

namespace dcl {
namespace {

/// Branches, trainer and data of one run, in a folder that belongs to this process.
class Session {
 public:
  Session(Options& o, Start start, const io::FolderLock& lock)
      : o_(o),
        lock_(lock),
        start_(std::move(start)),
        data_(open_data(o)),
        train_rows_(*data_.train, o.concat_clip),
        test_rows_(*data_.test, o.concat_clip),
        rounds_(train_rows_, data_.train_lengths, o.record_videos),
        random_(o.train.seed),
        branches_(o, data_, random_),
        trainer_(o.train, branches_.cbp(), branches_.vlp()),
        sampler_(trainer_.sampler(data_.train_lengths, train_rows_.truth())) {}

  void run() {
    const std::string checkpoint = io::join_path(o_.out, "checkpoint.safetensors");
    const DataFingerprint data = check_features(o_, data_);
    identity_["data_fingerprint"] = data.json();
    identity_["text_fingerprint"] = text_fingerprint(branches_.text());
    if (start_.saved) {
      resume(*start_.saved, data, checkpoint);
      start_.saved.reset();
    }
    io::write_text(io::join_path(o_.out, "options.json"), start_.file_options);
    const std::string lines = io::join_path(o_.out, "metrics.jsonl"),
                      columns = io::join_path(o_.out, "metrics.csv");
    Metrics metrics(lines, o_.resume, trainer_.steps(), unjudged_ >= 0, start_.changes);
    rounds_.prepare(o_.out, unjudged_ >= 0        ? unjudged_
                            : trainer_.finished() ? o_.train.rounds + 1
                                                  : trainer_.current_phase().round);
    describe();
    if (const std::string note =
            trainer_.finished() ? "" : trainer_.keep_rows(train_rows_, data_.train_lengths);
        !note.empty())
      std::printf("note: %s\n", note.c_str());
    if (!start_.idle.empty()) std::printf("note: %s\n", cli::printable(start_.idle).c_str());
    if (!metrics.note().empty()) std::printf("note: %s\n", cli::printable(metrics.note()).c_str());
    cli::flush_output();
    stop_.emplace();
    // Of the run that was here before nothing is left that --resume or a reader could take for
    // this.
    if (o_.fresh) {
      save(checkpoint, metrics);
      std::filesystem::remove(io::join_path(o_.out, "detections.json"));
    }
    try {
      train(checkpoint, metrics);
    } catch (const cli::Stopped&) {
      write_metrics_csv(lines, columns);
      throw;
    }
    try {
      const std::optional<Evaluation> result = evaluate_now(metrics, "final", When::end);
      write_metrics_csv(lines, columns);
      print(result);
    } catch (const cli::Stopped& stop) {
      write_metrics_csv(lines, columns);
      throw cli::Stopped(stop.signal(), concat("training is finished and saved in ", checkpoint,
                                               "; the same command with --resume evaluates it"));
    }
    io::check_mapped_files();
    lock_.check();
    for (const std::string& path : {checkpoint, io::join_path(o_.out, "options.json")}) {
      TANDEM_CHECK(io::is_file(path), "train_dcl", path, " was removed during the run");
    }
  }

 private:
  /// What an evaluation is for: the best step, a round, the result.
  enum class When { step, round, end };

  /// A resumed run must be of the same data and class texts, and in a state that the schedule
  /// knows.
  void resume(const io::Checkpoint<float>& saved, const DataFingerprint& data,
              const std::string& path) {
    check_data(saved.notes, data, path);
    check_text(saved.notes, branches_.text(), path);
    trainer_.load(saved.tensors, saved.counters);
    if (const auto round = saved.notes.find("unjudged_round"); round != saved.notes.end()) {
      unjudged_ = io::JsonDocument::parse(round->second, path + " (unjudged_round)")
                      .root()
                      .integer(0, o_.train.rounds);
    }
    if (const auto found = saved.notes.find("labels_after_warm_up"); found != saved.notes.end()) {
      const io::JsonDocument document =
          io::JsonDocument::parse(found->second, path + " (labels_after_warm_up)");
      after_warm_up_ = {document.root()[0].number(), document.root()[1].number()};
    }
    if (const std::string note = io::untested_note(saved, path); !note.empty())
      std::printf("note: %s\n", note.c_str());
  }

  void describe() const {
    std::printf("%s\n", cli::printable(data_.description, true).c_str());
    if (!start_.changes.empty()) {
      std::printf("resumed at step %lld with %s\n", static_cast<long long>(trainer_.steps()),
                  cli::printable(list_changes(start_.changes), true).c_str());
    }
    std::printf("%s; %lld steps in all; %s scores; %d thread(s)%s\n",
                cli::printable(branches_.description(), true).c_str(),
                static_cast<long long>(trainer_.total_steps()), o_.fusion.c_str(),
                cpu::num_threads(), o_.device == "cpu" ? "" : (", " + o_.device).c_str());
    if (const std::string labels = labels_sentence(o_); !labels.empty())
      std::printf("pseudo-labels: %s\n", labels.c_str());
    if (!branches_.text().note.empty())
      std::printf("%s\n", cli::printable(branches_.text().note, true).c_str());
  }

  /// Steps until the schedule ends. Asked to stop by a signal, it saves what is there and leaves:
  /// what a resumed run does from there has the same bits.
  void train(const std::string& checkpoint, Metrics& metrics) {
    if (trainer_.finished() && unjudged_ < 0) {
      if (!o_.resume || !start_.changes.empty())
        save(checkpoint, metrics);  // a run without steps has a checkpoint too
      return;
    }
    cli::Progress progress("training", static_cast<std::size_t>(trainer_.total_steps()),
                           static_cast<std::size_t>(trainer_.steps()));
    try {
      if (unjudged_ >= 0) {
        close_round(metrics, progress, unjudged_);
        save(checkpoint, metrics);
      }
      while (!trainer_.finished()) {
        stop_->check();
        if (trainer_.needs_calibration()) trainer_.calibrate(train_rows_);
        const Phase phase = trainer_.current_phase();
        take_step(metrics, progress, phase);
        const bool round_over =
            trainer_.finished() || trainer_.current_phase().round != phase.round;
        const bool saves = trainer_.steps() % o_.checkpoint_every == 0 || trainer_.finished();
        if (trainer_.device().is_cpu() || round_over || saves || measures())
          report_step(metrics, progress);
        if (measures()) evaluate_now(metrics, concat("step ", trainer_.steps()), When::step);
        if (round_over) close_round(metrics, progress, phase.round);
        if (saves) save(checkpoint, metrics);
      }
    } catch (const cli::Stopped& stop) {
      report_step(metrics, progress);
      save(checkpoint, metrics);
      throw cli::Stopped(
          stop.signal(),
          concat("step ", trainer_.steps(), " of ", trainer_.total_steps(), " is saved in ",
                 checkpoint, "; the same command with --resume goes on from there"));
    }
    progress.finish();
  }

  /// Starts the next step and says what the step before it did, which a GPU has done by then.
  void take_step(Metrics& metrics, cli::Progress& progress, const Phase& phase) {
    const Clock::time_point begin = Clock::now();
    const Trainer<float>::Rates rates = trainer_.learning_rates(trainer_.steps());
    const std::vector<Crop> crops = sampler_.crops(trainer_.steps());
    std::int64_t frames = 0;
    for (const Crop& crop : crops) frames += crop.rows;
    PendingReport<float> report = trainer_.start_step(train_rows_, crops);
    report_step(metrics, progress);
    started_ = {.report = report,
                .phase = phase,
                .step = trainer_.steps(),
                .frames = frames,
                .learning_rate = phase.kind == Phase::Kind::b ? rates.vlp : rates.cbp,
                .begin = begin};
  }

  /// Says what the step did that was started last, where that was not said.
  void report_step(Metrics& metrics, cli::Progress& progress) {
    if (!started_) return;
    Started s = *std::exchange(started_, std::nullopt);
    const StepReport report = s.report.get();
    const Clock::time_point now = Clock::now();
    const std::chrono::duration<double> spent = now - std::max(s.begin, reported_);
    reported_ = now;
    io::Json line = io::Json::object();
    line["step"] = s.step;
    line["phase"] = s.phase.name();
    line["round"] = s.phase.round;
    line["loss"] = report.total;
    if (s.phase.kind == Phase::Kind::warm_up) {
      line["loss_cls"] = report.cls;
    } else {
      line["loss_kd"] = report.kd;
      line["loss_fb"] = report.fb;
    }
    line["grad_norm"] = report.grad_norm;
    line["learning_rate"] = s.learning_rate;
    line["frames_per_second"] =
        rounded(static_cast<double>(s.frames) / std::max(spent.count(), 1e-9), 1);
    metrics.add(std::move(line));
    progress.update(
        static_cast<std::size_t>(s.step),
        concat(s.phase.name(), s.phase.round > 0 ? concat(" (round ", s.phase.round, ")") : "",
               ", loss ", cli::fixed(report.total, 4)));
  }

  /// For the best by the test videos: whether they are asked after this step. Before the end of a
  /// round, so that a saved step has it.
  bool measures() const {
    return o_.best_of_test > 0 && trainer_.steps() % o_.best_of_test == 0 && !trainer_.finished() &&
           data_.no_map.empty();
  }

  /// Judges the pseudo-labels after a round and, where that is due, evaluates.
  void close_round(Metrics& metrics, cli::Progress& progress, std::int64_t round) {
    unjudged_ = round;  // until all of this is done
    judge(metrics, progress, round);
    const bool due =
        o_.evaluate_every > 0 && round % o_.evaluate_every == 0 && data_.no_map.empty();
    if (due && !trainer_.finished()) {
      const std::optional<Evaluation> result =
          evaluate_now(metrics, concat("round ", round), When::round);
      progress.print(concat("after round ", round, ": ", summary(*result)));
    }
    unjudged_ = -1;
  }

  void save(const std::string& checkpoint, const Metrics& metrics) const {
    io::check_mapped_files();
    lock_.check();
    metrics.sync();
    io::save_checkpoint<float>(checkpoint, {.tensors = trainer_.state(),
                                            .counters = trainer_.counters(),
                                            .options = start_.checkpoint_options,
                                            .notes = notes()});
  }

  /// How both branches label the training videos and, where these are annotated, how good their
  /// pseudo-labels are. A round changes each branch in one of its phases, so that this is what
  /// there was after either.
  void judge(Metrics& metrics, cli::Progress& progress, std::int64_t round) {
    const auto visit = [this](std::size_t) { stop_->check(); };
    const Tensor<float>& shares = trainer_.calibration();
    std::vector<std::vector<RecordedCurve>> cbp, vlp;
    const bool due = rounds_.due(round);
    const auto record = [&](std::vector<std::vector<RecordedCurve>>& to) {
      return [&, this](std::size_t video, const Tensor<float>& p, const PseudoLabelOptions& rule) {
        if (due) rounds_.add(to, video, p, rule, shares);
      };
    };
    const std::optional<Branches::Judgement> c = branches_.judge_cbp(train_rows_, shares, visit,
                                                                     record(cbp)),
                                             v = branches_.judge_vlp(train_rows_, shares, visit,
                                                                     record(vlp));
    if (!c && !v) return;
    if (due) rounds_.write(o_.out, round, trainer_.steps(), cbp, vlp);
    io::Json line = io::Json::object();
    line["step"] = trainer_.steps();
    line["pseudo_labels_after_round"] = round;
    std::string quality, called, all_or_none;
    const auto add_branch = [&](const char* key, const char* name,
                                const std::optional<Branches::Judgement>& j) {
      if (!j) return;
      io::Json branch = io::Json::object();
      const auto append = [&](std::string& said, const std::string& text) {
        said += concat(said.empty() ? "" : "; ", name, " ", text);
      };
      if (const PseudoLabelQuality& q = j->quality; q.pairs() > 0) {
        branch["foreground_miou"] = q.foreground();
        branch["background_miou"] = q.background();
        branch["decided"] = q.decided();
        append(quality,
               concat(cli::percent(q.foreground(), 1), ", ", cli::percent(q.background(), 1)));
      }
      branch["called_foreground"] = j->census.foreground();
      branch["all_or_none"] = j->census.all_or_none();
      append(called, cli::percent(j->census.foreground(), 1));
      append(all_or_none, cli::percent(j->census.all_or_none(), 1));
      line[key] = std::move(branch);
    };
    add_branch("cbp", "CBP", c);
    add_branch("vlp", "VLP", v);
    const double agreement = c && v ? c->census.agreement(v->census) : std::nan("");
    if (agreement == agreement) line["agreement"] = agreement;
    metrics.add(line);
    const std::string when =
        round == 0 ? std::string("after the warm-up") : concat("after round ", round);
    if (!quality.empty())
      progress.print(concat(when, ": pseudo-label mIoU in % (foreground, background): ", quality));
    progress.print(
        concat(when, ": called foreground in %: ", called, "; videos all or none: ", all_or_none,
               agreement == agreement ? concat("; agreement ", cli::percent(agreement, 1)) : ""));
    if (c && round == 0) after_warm_up_ = {c->census.foreground(), c->census.all_or_none()};
    // The other rules do not look at the level that runs away.
    if (c && round > 0 && after_warm_up_ && o_.train.pseudo.rule == PseudoLabelRule::thresholds &&
        c->census.ran_away_since(after_warm_up_->first, after_warm_up_->second)) {
      progress.print(concat(
          "warning: CBP's labels run away: it calls ", cli::percent(c->census.foreground(), 1),
          " % of the frames foreground and ", cli::percent(c->census.all_or_none(), 1),
          " % of the videos all or none, after the warm-up ",
          cli::percent(after_warm_up_->first, 1), " % and ",
          cli::percent(after_warm_up_->second, 1),
          " %; --pseudo-labels ranked or calibrated "
          "hold a video's level"));
    }
  }

  /// Detections of the test videos and, where these have segments, what they are worth.
  std::optional<Evaluation> evaluate_now(Metrics& metrics, const std::string& name, When when) {
    std::optional<cli::Progress> progress;
    if (when != When::step) progress.emplace("localizing", data_.test->size());
    const DetectionSet detections =
        branches_.detect(test_rows_, [&](std::size_t done, std::size_t) {
          if (!progress) return;  // not stopped: a saved step has its measurement
          stop_->check();
          progress->update(done);
        });
    if (progress) progress->finish();
    if (when == When::end)
      write_detections(io::join_path(o_.out, "detections.json"), detections,
                       {.details = data_.note});
    io::Json line = io::Json::object();
    line["step"] = trainer_.steps();
    line["evaluation"] = name;
    if (!data_.no_map.empty()) {
      line["no_map"] = data_.no_map;
      metrics.add(line);
      return std::nullopt;
    }
    const Evaluation result = evaluate(data_.test->truth(), detections, data_.options());
    results::add_to_line(line, result);
    if (when == When::end && branches_.cbp() != nullptr) {
      by_authors_ =
          results::by_authors(o_.cbp_method, data_.test->truth(), detections, data_.options());
      if (by_authors_) results::add_to_line(line["by_authors"] = io::Json::object(), *by_authors_);
    }
    metrics.add(line);
    return result;
  }

  static std::string summary(const Evaluation& result) {
    std::string out = "mAP in %:";
    for (const AverageMap& a : result.averages)
      out += concat(" ", a.range, " ", cli::percent(a.value));
    return out;
  }
  void print(const std::optional<Evaluation>& evaluation) const {
    if (!evaluation) {
      std::printf("\n%s, so there is no mAP\n\ndetections of %zu videos: %s\n",
                  cli::printable(data_.no_map, true).c_str(), data_.test->size(),
                  io::join_path(o_.out, "detections.json").c_str());
      return;
    }
    const Evaluation& result = *evaluation;
    std::printf("\nprotocol %s, %zu test videos%s\n",
                std::string(protocol_name(result.protocol)).c_str(), data_.test->size(),
                data_.note.empty() ? "" : (" — " + cli::printable(data_.note, true)).c_str());
    results::print_map(result);
    if (by_authors_) results::print_by_authors(*by_authors_);
    results::print_classes(result);
    results::print_best(io::join_path(o_.out, "metrics.jsonl"));
    std::printf("\ndetections: %s\n",
                cli::printable(io::join_path(o_.out, "detections.json")).c_str());
  }

  /// What localize needs to name what it finds, and to say what the numbers are worth.
  io::Metadata notes() const {
    io::Metadata out = data_notes(data_);
    out.insert(identity_.begin(), identity_.end());
    if (unjudged_ >= 0) out["unjudged_round"] = concat(unjudged_);
    if (after_warm_up_) {
      out["labels_after_warm_up"] =
          io::json_text(io::Json({after_warm_up_->first, after_warm_up_->second}));
    }
    if (!branches_.text().note.empty()) out["text"] = branches_.text().note;
    return out;
  }

  using Clock = std::chrono::steady_clock;
  /// A step whose report has not been taken: on a GPU it is taken when the next one is queued.
  struct Started {
    PendingReport<float> report;
    Phase phase;
    std::int64_t step, frames;
    double learning_rate;
    Clock::time_point begin;
  };

  Options& o_;
  const io::FolderLock& lock_;
  Start start_;
  io::Metadata identity_;       // of the data and the class texts
  std::int64_t unjudged_ = -1;  // the round whose end is reached but not judged
  // What CBP called foreground then, and the share of its videos that were all or none
  std::optional<std::pair<double, double>> after_warm_up_;
  std::optional<Evaluation> by_authors_;  // of the last step, where they judge otherwise
  std::optional<cli::StopSignals> stop_;
  std::optional<Started> started_;
  Clock::time_point reported_ = {};  // when the last report was taken
  Data data_;
  ConcatSource train_rows_, test_rows_;  // what the branches read of the data
  RoundRecorder rounds_;
  Generator random_;
  Branches branches_;
  Trainer<float> trainer_;
  TrainingSampler sampler_;
};

}  // namespace
}  // namespace dcl

int main(int argc, char** argv) {
  CLI::App app(
      "Trains weakly-supervised temporal action localization by distillation and collaboration "
      "(DCL):\n"
      "two branches, on I3D and on CLIP features, teach each other in alternating B and F "
      "steps.\n\n"
      "  train_dcl --data thumos --out run1\n"
      "  train_dcl --out run1 --resume\n"
      "  train_dcl --out run1 --resume --rounds 4\n"
      "  train_dcl --data thumos --out ablation --variant only-b --lambda 0\n\n"
      "With --device cuda it trains on a GPU, from the same start and on the same batches; a run "
      "goes on\n"
      "anywhere: --resume takes another --device as well.\n\n"
      "What a variant does not read need not exist: --variant warm-up reads no CLIP rows and no "
      "text encoder,\n"
      "vanilla-vlp no I3D rows. Labels of whole videos are enough; test videos need none.\n\n"
      "The folder --data holds gt.json or a W-TALC annotation folder, I3D features, "
      "clip/<id>.npy,\n"
      "clip.safetensors and bpe_simple_vocab_16e6.txt.gz; docs/data.md describes all layouts, and\n"
      "simulate_features makes such a folder to try the program on.",
      "train_dcl");
  dcl::Options o;
  cli::OptionTable table = dcl::option_table(o);
  table.add_to(app);
  cli::add_config(app, [&](const tandem::io::JsonRef& root) {
    table.command_line_ends();
    return table.translated(root);
  });
  return cli::run(app, argc, argv, [&] {
    cli::check_start("train_dcl", o.out, o.resume, o.fresh);
    const cli::OutputFolder output(o.out, "train_dcl");
    dcl::Start start = dcl::start_run(o, table);
    if (o.threads > 0) tandem::cpu::set_num_threads(static_cast<int>(o.threads));
    cli::saying_what_takes_less("a smaller --batch, --crop, --width or --layers takes less", [&] {
      dcl::Session session(o, std::move(start), output.lock());
      session.run();
    });
  });
}

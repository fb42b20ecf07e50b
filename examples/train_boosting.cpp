/// train_boosting — trains Boosting-WTAL (text-segment mining and video-language completion) from
/// I3D features and a GloVe text file, evaluates it, and writes detections.
///
///   train_boosting --data DIR --glove glove.6B.300d.txt --out run1
///   train_boosting --out run1 --resume                          # after a kill
///
/// Writes into --out: checkpoint.safetensors (replaced atomically), metrics.jsonl (one JSON object
/// per step and evaluation), detections.json (ActivityNet format) and options.json (all options).

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "boosting_options.hpp"
#include "dcl_data.hpp"
#include "dcl_identity.hpp"
#include "dcl_metrics.hpp"
#include "evaluation_results.hpp"
#include "tandem/io/checkpoint.hpp"
#include "tandem/io/lock.hpp"
#include "tandem/wtal/data/detections_json.hpp"
#include "tandem/wtal/data/glove.hpp"
#include "tandem/wtal/detect/evaluation.hpp"
#include "tandem/wtal/model/tsm.hpp"
#include "tandem/wtal/train/boosting_trainer.hpp"

namespace {

using namespace tandem;
using namespace tandem::wtal;
using boosting::Options, boosting::option_table, boosting::take_activity_net;

/// Gives a resumed run the options of its checkpoint; what decides the result cannot change, but for
/// more steps.
void take_options(cli::OptionTable& table, const io::Checkpoint<float>& saved,
                  const std::string& path) {
  Options old;
  cli::OptionTable before = option_table(old);
  before.read(io::JsonDocument::parse(saved.options, path + " (options)").root());
  for (const auto& option : table.options()) {
    if (!option->recorded()) continue;
    const io::Json value = before.find(option->name())->json();
    if (!option->given()) {
      option->set(value);
      continue;
    }
    const bool same = option->json() == value, more = option->grows() && option->json() > value;
    TANDEM_CHECK(same || more || !option->decides() || option->part() == cli::Part::inference,
                 "train_boosting", "the run cannot go on with another --", option->name(),
                 ": it had ", io::json_text(value),
                 ". Leave it out to resume, or start another with --out");
  }
}

/// Networks, trainer and data of one run, in a folder that belongs to this process.
class Session {
 public:
  Session(const Options& o, const cli::OptionTable& table, const io::FolderLock& lock)
      : o_(o), table_(table), lock_(lock), data_(open(o)), random_(o.train.seed) {
    const std::vector<std::string>& classes = data_.train->truth().classes;
    TANDEM_CHECK(data_.all->i3d_columns() % 2 == 0, "train_boosting", "the I3D rows have ",
                 data_.all->i3d_columns(), " columns; two streams of equal width are needed");
    std::vector<std::string> words;
    for (const std::string& name : classes) {
      for (std::string& word : o.activitynet ? class_words(name) : class_word_pair(name))
        words.push_back(std::move(word));
    }
    glove_ = GloveVectors::load(glove_path(), words, o.frequent);
    const std::int64_t stream = data_.all->i3d_columns() / 2;
    const rivals::TsmOptions tsm = boosting::tsm_options(o, stream, glove_.width());
    class_words_ = o.activitynet ? class_words_vectors<float>(glove_, classes, 5)
                                 : class_word_vectors<float>(glove_, classes);
    tsm_ = std::make_unique<TsmBranch<float>>(tsm, class_words_, random_);
    rivals::CrossModalOptions of_vlc = tsm.streams;
    of_vlc.init = rivals::ConvInit::standard;
    vlc_ = make_ref<rivals::Vlc<float>>(rivals::VlcOptions{.streams = of_vlc,
                                                           .width = o.width,
                                                           .hidden = o.decoder_hidden,
                                                           .word_width = glove_.width(),
                                                           .vocabulary = o.frequent + 1,
                                                           .real_masking = o.real_masking},
                                        random_);
    BoostingOptions train = o.train;
    if (o.activitynet) {
      const BoostingOptions published = BoostingOptions::activity_net();
      train.tsm = published.tsm;
      train.vlc_autoencoder = published.vlc_autoencoder;
      train.vlc_attention = published.vlc_attention;
    }
    train.tsm.co2.pairs = o.recipe.pairs;
    trainer_.emplace(train, tsm_->tsm, *vlc_);
    std::vector<std::vector<int>> labels;
    for (const VideoTruth& video : data_.train->truth().videos) labels.push_back(video.labels);
    sampler_.emplace(o.recipe, data_.train_lengths, labels, random_.split(crop_stream));
    fingerprint_.add(Rows{*data_.train});
    fingerprint_.add(Rows{*data_.test});
  }

  void run(const std::optional<io::Checkpoint<float>>& saved) {
    const std::string checkpoint = io::join_path(o_.out, "checkpoint.safetensors"),
                      lines = io::join_path(o_.out, "metrics.jsonl");
    if (saved) {
      dcl::check_data(saved->notes, fingerprint_, checkpoint);
      TANDEM_CHECK(saved->counters.size() == 1, "train_boosting", checkpoint,
                   " is no checkpoint of this program: it has ", saved->counters.size(),
                   " counters");
      trainer_->load(saved->tensors, saved->counters[0]);
    }
    io::write_text(io::join_path(o_.out, "options.json"), io::json_text(table_.json(), 2) + "\n");
    dcl::Metrics metrics(lines, o_.resume, trainer_->steps(), false, {});
    std::printf("%s\nTSM %lld, VLC %lld parameters; %lld steps; %d thread(s)\n",
                cli::printable(data_.description, true).c_str(),
                static_cast<long long>(tsm_->parameter_count()),
                static_cast<long long>(vlc_->parameter_count()),
                static_cast<long long>(o_.train.steps), cpu::num_threads());
    cli::flush_output();
    stop_.emplace();
    train(checkpoint, metrics);
    evaluate_now(metrics, true);
    lock_.check();
  }

 private:
  static constexpr std::uint64_t crop_stream = 5;
  /// The training of this program reads I3D rows only.
  struct Rows {
    const dcl::SubsetSource& source;
    const GroundTruth& truth() const { return source.truth(); }
    Tensor<float> i3d(std::size_t v) const { return source.i3d(v); }
    Tensor<float> clip(std::size_t) const { return {}; }
  };
  static dcl::Data open(const Options& o) {
    dcl::Options of = o.data;
    of.train.variant = Variant::warm_up;  // a run that reads I3D rows alone
    return dcl::open_data(of);
  }
  std::string glove_path() const {
    if (!o_.glove.empty()) return o_.glove;
    const std::string path = o_.data.data.empty() ? "" : io::join_path(o_.data.data, "glove.txt");
    TANDEM_CHECK(!path.empty() && io::is_file(path), "train_boosting",
                 "there are no word vectors: name a GloVe text file with --glove, or put glove.txt "
                 "into --data");
    return path;
  }
  Sentences<float> sentences(const std::vector<Crop>& crops) const {
    std::vector<std::vector<int>> labels;
    for (const Crop& crop : crops) labels.push_back(data_.train->truth().videos[crop.video].labels);
    return make_sentences<float>(
        glove_, data_.train->truth().classes, labels,
        {.longest = o_.longest, .joined_names = !o_.blank_joined, .whole_names = o_.activitynet});
  }

  void train(const std::string& checkpoint, dcl::Metrics& metrics) {
    cli::Progress progress("training", static_cast<std::size_t>(o_.train.steps),
                           static_cast<std::size_t>(trainer_->steps()));
    try {
      if (trainer_->finished()) save(checkpoint, metrics);
      while (!trainer_->finished()) {
        stop_->check();
        const std::vector<Crop> crops = sampler_->crops(trainer_->steps());
        const Batch<float> batch = make_batch<float>(*data_.train, crops);
        const BoostingReport report =
            trainer_->step(batch.i3d, batch.labels, batch.valid, sentences(crops));
        io::Json line = io::Json::object();
        line["step"] = trainer_->steps();
        line["loss"] = report.tsm;
        line["loss_reconstruction"] = report.reconstruction;
        line["loss_contrast"] = report.contrast;
        line["loss_vlc_attention"] = report.vlc_attention;
        line["grad_norm_language"] = report.language_norm;
        line["grad_norm_attention"] = report.attention_norm;
        metrics.add(std::move(line));
        progress.update(static_cast<std::size_t>(trainer_->steps()),
                        concat("TSM ", cli::fixed(report.tsm, 4), ", sentences ",
                               cli::fixed(report.reconstruction, 4)));
        const bool due = o_.best_of_test > 0 && trainer_->steps() % o_.best_of_test == 0;
        if (due && !trainer_->finished()) evaluate_now(metrics, false);
        if (trainer_->steps() % o_.checkpoint_every == 0 || trainer_->finished())
          save(checkpoint, metrics);
      }
    } catch (const cli::Stopped& stop) {
      save(checkpoint, metrics);
      throw cli::Stopped(stop.signal(),
                         concat("step ", trainer_->steps(), " of ", o_.train.steps, " is saved in ",
                                checkpoint, "; the same command with --resume goes on from there"));
    }
    progress.finish();
  }

  void save(const std::string& checkpoint, const dcl::Metrics& metrics) const {
    lock_.check();
    metrics.sync();
    std::vector<nn::Named<float>> tensors = trainer_->state();
    tensors.push_back({boosting::class_words_name, class_words_});
    io::Metadata notes = dcl::data_notes(data_);
    notes["method"] = boosting::method_name;
    notes["data_fingerprint"] = fingerprint_.json();
    io::save_checkpoint<float>(checkpoint, {.tensors = std::move(tensors),
                                            .counters = {trainer_->steps()},
                                            .options = io::json_text(table_.json(), 2),
                                            .notes = std::move(notes)});
  }

  /// TSM alone speaks, by CO2-Net's rule. `final`: the end of the run, whose detections are written.
  ///                                                                                    [rivals §5, C]
  void evaluate_now(dcl::Metrics& metrics, bool final) {
    const nn::Evaluating<float> evaluating{tsm_.get()};
    const GroundTruth& truth = data_.test->truth();
    DetectionSet found;
    found.classes = truth.classes;
    std::optional<cli::Progress> progress;
    if (final) progress.emplace("localizing", data_.test->size());
    for (std::size_t v = 0; v < data_.test->size(); ++v) {
      if (final) stop_->check();  // a saved step has its measurement
      double seconds = data_.test->seconds_per_row(v);
      if (seconds == 0) seconds = conventional_seconds_per_row;
      found.videos.push_back({.id = truth.videos[v].id,
                              .detections = tsm_->own_detections(data_.test->i3d(v), seconds)});
      if (progress) progress->update(v + 1);
    }
    if (progress) progress->finish();
    if (!final && !data_.no_map.empty()) return;
    const std::string path = io::join_path(o_.out, "detections.json");
    if (final) write_detections(path, found, {.details = data_.note});
    io::Json line = io::Json::object();
    line["step"] = trainer_->steps();
    line["evaluation"] = final ? std::string("final") : concat("step ", trainer_->steps());
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
  dcl::Data data_;
  Generator random_;
  GloveVectors glove_;
  Tensor<float> class_words_;
  std::unique_ptr<TsmBranch<float>> tsm_;
  Ref<rivals::Vlc<float>> vlc_;
  std::optional<BoostingTrainer<float>> trainer_;
  std::optional<rivals::RecipeSampler> sampler_;
  DataFingerprint fingerprint_;
  std::optional<cli::StopSignals> stop_;
};

void start(Options& o, cli::OptionTable& table) {
  TANDEM_CHECK(!(o.resume && o.fresh), "train_boosting", "--resume and --fresh exclude each other");
  TANDEM_CHECK(!o.resume || io::is_directory(o.out), "train_boosting", "there is no checkpoint in ",
               o.out, " to resume from; leave --resume out to start");
  io::make_directories(o.out);
  const io::FolderLock lock(o.out, "train_boosting");
  const std::string checkpoint = io::join_path(o.out, "checkpoint.safetensors");
  const bool exists = io::is_file(checkpoint);
  TANDEM_CHECK(exists || !o.resume, "train_boosting", "there is no checkpoint in ", o.out,
               " to resume from; leave --resume out to start");
  TANDEM_CHECK(!exists || o.resume || o.fresh, "train_boosting", o.out,
               " holds a run already: --resume continues it, --fresh starts anew, --out names "
               "another folder");
  for (const auto& option : table.options()) {
    if (!option->is_path() || option->json() == "") continue;
    // A resumed run may be started from another folder.
    option->set(io::Json(
        std::filesystem::absolute(option->json().get<std::string>()).lexically_normal().string()));
  }
  std::optional<io::Checkpoint<float>> saved;
  if (o.resume) {
    saved = io::load_checkpoint<float>(checkpoint);
    const auto method = saved->notes.find("method");
    TANDEM_CHECK(method != saved->notes.end() && method->second == boosting::method_name,
                 "train_boosting", checkpoint, " is not of Boosting-WTAL, so it cannot go on here",
                 method == saved->notes.end() ? ": train_dcl --resume goes on with its own" : "");
    take_options(table, *saved, checkpoint);
  }
  if (o.activitynet && !o.resume) take_activity_net(table);
  if (o.threads > 0) cpu::set_num_threads(static_cast<int>(o.threads));
  Session(o, table, lock).run(saved);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Trains weakly-supervised temporal action localization by Boosting-WTAL: text-segment mining "
      "and\n"
      "video-language completion, two networks that learn in turn.\n\n"
      "  train_boosting --data thumos --glove glove.6B.300d.txt --out run1\n"
      "  train_boosting --out run1 --resume\n\n"
      "The folder --data is that of train_dcl (docs/data.md); of its features I3D is enough. Word "
      "vectors are\n"
      "read from a text file and never fetched.",
      "train_boosting");
  Options o;
  cli::OptionTable table = option_table(o);
  table.add_to(app);
  cli::add_config(app, [&](const tandem::io::JsonRef& root) { return table.translated(root); });
  return cli::run(app, argc, argv, [&] { start(o, table); });
}

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
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dcl_data.hpp"
#include "dcl_identity.hpp"
#include "dcl_metrics.hpp"
#include "evaluation_results.hpp"
#include "tandem/io/checkpoint.hpp"
#include "tandem/io/lock.hpp"
#include "tandem/wtal/data/detections_json.hpp"
#include "tandem/wtal/data/glove.hpp"
#include "tandem/wtal/detect/evaluation.hpp"
#include "tandem/wtal/model/co2.hpp"
#include "tandem/wtal/train/boosting_trainer.hpp"

namespace {

using namespace tandem;
using namespace tandem::wtal;

struct Options {
  dcl::Options data;  ///< its options of the data are read, no others
  std::string glove, out = "out";
  bool resume = false, fresh = false, blank_joined = false, real_masking = false,
       activitynet = false;
  std::int64_t checkpoint_every = 100, evaluate_every = 0, threads = 0;
  std::int64_t frequent = 8000, longest = 14, hidden = 0, encoded = 0, mlp_hidden = 0, prompts = 9,
               width = 512, decoder_hidden = 1024;
  rivals::Recipe recipe = {.videos = rivals::VideoOrder::pairs,
                           .rows = rivals::RowChoice::stratified,
                           .batch = 10,
                           .pairs = 3,
                           .frames = 320};
  BoostingOptions train;
};

cli::OptionTable option_table(Options& o) {
  using cli::Part;
  cli::OptionTable t;
  t.part(Part::data);
  t.add("data", o.data.data, "Folder with annotations and I3D features").path();
  t.add("annotations", o.data.annotations,
        "Annotations elsewhere: a W-TALC folder, or a JSON file (gt.json)")
      .path();
  t.add("i3d", o.data.i3d, "I3D features elsewhere: an object array .npy, or a folder of <id>.npy")
      .path();
  t.add("glove", o.glove,
        "Word vectors: a text file with a line per word, such as glove.6B.300d.txt; else glove.txt "
        "in --data")
      .path();
  t.add("train-subset", o.data.train_subset, "Subset to train on; empty: found by its name");
  t.add("test-subset", o.data.test_subset, "Subset to test on; empty: found by its name");
  t.add("seconds-per-row", o.data.seconds_per_row, "Length of a row; 0: as the features say")
      .from(0, 1e6);
  t.part(Part::model);
  t.add(
      "activitynet", o.activitynet,
      "Its code for ActivityNet-1.3: gated streams, encoders as wide as a stream, five words a "
      "class, whole names in sentences, scores pooled over time; and that code's numbers, where "
      "no others are given: 3 prompt vectors, 10 words a sentence, 60 rows, 50001 steps, learning "
      "rate 3e-5, weight decay 5e-4");
  t.add("hidden", o.hidden, "Width inside the attentions; 0: half a stream, 512").from(0, 65536);
  t.add("encoded", o.encoded,
        "Width of the auto-encoders; 0: half a stream, 512, with --activitynet a whole one")
      .from(0, 65536);
  t.add("mlp-hidden", o.mlp_hidden, "TSM: width of the perceptron; 0: 4 times both streams, 8192")
      .from(0, 1e6);
  t.add("prompt-vectors", o.prompts, "TSM: learned vectors before the words of a class")
      .from(1, 1000);
  t.add("width", o.width, "VLC: width of the decoders, a multiple of 4").from(4, 65536);
  t.add("decoder-hidden", o.decoder_hidden, "VLC: width of their perceptrons").from(1, 1e6);
  t.add("frequent-words", o.frequent, "VLC: words of the file that sentences know, from its top")
      .from(1, 1e7);
  t.add("sentence-words", o.longest, "VLC: most words of a sentence").from(1, 1000);
  t.add("blank-joined-names", o.blank_joined,
        "VLC: two class names in a sentence have blanks around their \"and\"; the public code has "
        "none, and loses a word");
  t.add("real-masking", o.real_masking,
        "VLC: a third of the words is hidden, as its paper says; the public code reads them all");
  t.part(Part::training);
  t.add("steps", o.train.steps, "Steps").from(0, 1e9).may_grow();
  t.add("batch", o.recipe.batch, "Videos per step").from(1, 1e6);
  t.add("pairs", o.recipe.pairs, "Pairs of one class among them").from(1, 1e6);
  t.add("rows", o.recipe.frames, "Rows of a video").from(1, 1e6);
  t.add("learning-rate", o.train.tsm_learning_rate, "TSM: Adam's learning rate").from(0, 1);
  t.add("weight-decay", o.train.tsm_weight_decay, "TSM: L2 weight decay").from(0, 1);
  t.add("vlc-learning-rate", o.train.vlc_learning_rate, "VLC: highest learning rate").from(0, 1);
  t.add("vlc-warm-up", o.train.vlc_warmup, "VLC: updates until then").from(1, 1e9);
  t.add("seed", o.train.seed, "Everything random follows from it");
  t.part(Part::inference);
  t.add("protocol", o.data.protocol,
        "thumos-index, thumos-seconds or activitynet; empty: by the data")
      .words({"", "thumos-index", "thumos-seconds", "activitynet"});
  t.part(Part::running);
  t.add("out", o.out, "Folder for checkpoint, metrics, detections").not_recorded();
  t.add("resume", o.resume, "Continue the run in --out, with its options").not_recorded();
  t.add("fresh", o.fresh, "Start anew although --out holds a run").not_recorded();
  t.add("checkpoint-every", o.checkpoint_every, "Steps between checkpoints").from(1, 1e9);
  t.add("evaluate-every", o.evaluate_every,
        "Steps between evaluations on the test videos, of which the best is told at the end beside "
        "the last, as the published code reports it; 0: none but the last")
      .from(0, 1e9);
  t.add("threads", o.threads, "Threads; 0: all that the machine offers").from(0, cpu::max_threads);
  return t;
}

/// What --activitynet sets of the options that are not given.
void take_activity_net(cli::OptionTable& table) {
  const BoostingOptions b = BoostingOptions::activity_net();
  const rivals::TsmOptions t = rivals::TsmOptions::activity_net();
  const std::vector<std::pair<const char*, io::Json>> values{{"prompt-vectors", t.prompts},
                                                             {"sentence-words", 10},
                                                             {"rows", 60},
                                                             {"steps", b.steps},
                                                             {"learning-rate", b.tsm_learning_rate},
                                                             {"weight-decay", b.tsm_weight_decay}};
  for (const auto& [name, value] : values) {
    cli::TableOption* option = table.find(name);
    if (!option->given()) option->set(value);
  }
}

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
    rivals::TsmOptions tsm =
        o.activitynet ? rivals::TsmOptions::activity_net(stream) : rivals::TsmOptions();
    tsm.streams.stream = stream;
    tsm.streams.hidden = o.hidden > 0 ? o.hidden : half(stream);
    if (o.encoded > 0 || !o.activitynet)
      tsm.streams.encoded = o.encoded > 0 ? o.encoded : half(stream);
    tsm.word_width = glove_.width();
    tsm.prompts = o.prompts;
    tsm.mlp_hidden = o.mlp_hidden > 0 ? o.mlp_hidden : 8 * stream;
    tsm_ =
        make_ref<rivals::Tsm<float>>(tsm,
                                     o.activitynet ? class_words_vectors<float>(glove_, classes, 5)
                                                   : class_word_vectors<float>(glove_, classes),
                                     random_);
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
    trainer_.emplace(train, *tsm_, *vlc_);
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
  static std::int64_t half(std::int64_t n) { return std::max<std::int64_t>(1, n / 2); }
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
        const bool due = o_.evaluate_every > 0 && trainer_->steps() % o_.evaluate_every == 0;
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
    io::save_checkpoint<float>(checkpoint, {.tensors = trainer_->state(),
                                            .counters = {trainer_->steps()},
                                            .options = io::json_text(table_.json(), 2),
                                            .notes = {{"method", "Boosting-WTAL"},
                                                      {"data_fingerprint", fingerprint_.json()}}});
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
      stop_->check();
      const Tensor<float> x = data_.test->i3d(v).unsqueeze(0);
      const rivals::TsmOutput<float> out = tsm_->forward(x, ones<bool>({1, x.size(1)}));
      const auto doubles = [](const Tensor<float>& t) {
        return t.contiguous().to<double>().to_vector();
      };
      VideoDetections video{
          .id = truth.videos[v].id,
          .detections = co2_detections(doubles(out.cas), doubles(out.attention), Co2Options())};
      double seconds = data_.test->seconds_per_row(v);
      if (seconds == 0) seconds = conventional_seconds_per_row;
      for (Detection& d : video.detections) {
        d.segment.start *= seconds;
        d.segment.end *= seconds;
      }
      found.videos.push_back(std::move(video));
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
      line["protocol"] = std::string(protocol_name(result.protocol));
      io::Json averages = io::Json::object();
      for (const AverageMap& a : result.averages) averages[a.range] = a.value;
      line["average_map"] = std::move(averages);
      metrics.add(std::move(line));
      if (!final) return;
      std::printf("\nprotocol %s, %zu test videos\n",
                  std::string(protocol_name(result.protocol)).c_str(), data_.test->size());
      results::print_map(result);
      tell_best();
    }
    std::printf("\ndetections: %s\n", cli::printable(path).c_str());
  }

  /// The best of the evaluations in metrics.jsonl, which the test videos choose.
  void tell_best() const {
    if (o_.evaluate_every == 0) return;
    const std::string path = io::join_path(o_.out, "metrics.jsonl"), text = io::read_text(path);
    std::string range;
    double best = -1, last = 0;
    std::int64_t at = 0;
    for (std::size_t from = 0, end = 0; (end = text.find('\n', from)) != text.npos;
         from = end + 1) {
      const io::JsonDocument document(path, io::parse_json(text.substr(from, end - from), path));
      const auto averages = document.root().find("average_map");
      if (!averages) continue;
      // As papers report it: tIoU 0.3 to 0.7, or ActivityNet's only average.
      range = averages->find("0.3:0.7") ? "0.3:0.7" : averages->members().begin()->first;
      last = averages->at(range).number();
      if (last > best) best = last, at = document.root()["step"].integer();
    }
    if (best < 0) return;
    std::printf(
        "\nCHOSEN BY THE TEST VIDEOS, as the published code reports: the best of the evaluations "
        "every %lld steps, mAP@%s %s %% after step %lld; the last one has %s %%\n",
        static_cast<long long>(o_.evaluate_every), range.c_str(), cli::percent(best).c_str(),
        static_cast<long long>(at), cli::percent(last).c_str());
  }

  const Options& o_;
  const cli::OptionTable& table_;
  const io::FolderLock& lock_;
  dcl::Data data_;
  Generator random_;
  GloveVectors glove_;
  Ref<rivals::Tsm<float>> tsm_;
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
    TANDEM_CHECK(saved->notes.contains("method") && saved->notes.at("method") == "Boosting-WTAL",
                 "train_boosting", checkpoint, " is not of Boosting-WTAL, so it cannot go on here");
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

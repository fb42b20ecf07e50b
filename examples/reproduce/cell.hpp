#pragma once
/// A cell: one run of train_dcl on one world with one seed, judged in one way; what determines its
/// result, and the file that keeps it.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../boosting_run.hpp"
#include "../dcl_cbp.hpp"
#include "../dcl_identity.hpp"
#include "measure.hpp"
#include "presets.hpp"
#include "tandem/io/checksum.hpp"
#include "tandem/io/json.hpp"

namespace reproduce {

/// Where videos come from: a data set with its options, opened once to know what it is.
struct World {
  std::string name;                  ///< of the folder, for the reader
  dcl::Options options = {};         ///< the preset's and the command line's, on this data
  std::string data = {}, text = {};  ///< fingerprints
  std::string glove = {};            ///< the file of word vectors, or ""
  std::string words = {};            ///< its checksum
  std::string note = {};             ///< "simulated data", or ""
  std::string protocol = {};         ///< how detections are judged
  double row_seconds = 0;            ///< of Protocol::thumos_index
  std::int64_t most_prompts = 0;
};

/// Options that a trained branch does not depend on.
inline bool judges_only(const std::string& name) {
  for (const char* one : {"fusion", "cbp-weight", "theta-loc", "theta-cls", "no-min-max",
                          "nms-sigma", "method-inference"}) {
    if (name == one) return true;
  }
  return false;
}
/// Options that the warm-up does not depend on.
inline bool after_warm_up_only(const std::string& name) {
  for (const char* one : {"variant",
                          "warm-up-steps",
                          "rounds",
                          "b-steps",
                          "first-b-steps",
                          "f-steps",
                          "vlp-learning-rate",
                          "lambda",
                          "no-kd-foreground",
                          "no-kd-background",
                          "kd-every-entry",
                          "pseudo-labels",
                          "high",
                          "low",
                          "ranked-foreground",
                          "ranked-background",
                          "min-max-high",
                          "min-max-low",
                          "contrast-temperature",
                          "contrast-same-video",
                          "vlp-reading"}) {
    if (name == one) return true;
  }
  return false;
}

/// The name of what a JSON object determines.
inline std::string digest(const io::Json& key) {
  const std::string text = io::json_text(key);
  return io::hexadecimal(io::checksum(text, io::checksum(text)));
}

/// What is asked of a cell beside its options.
struct Judging {
  bool chance = false;  ///< each video gets what was found in another
  /// Steps between measurements of which the best one counts, which the test videos choose; 0: what
  /// the last step has counts.
  std::int64_t best_every = 0;
};

struct Cell {
  std::size_t world = 0;
  std::uint64_t seed = 0;
  dcl::Options options = {};                       ///< complete
  std::optional<boosting::Options> boosting = {};  ///< of a run of train_boosting instead
  io::Json key = {};                               ///< all that determines the result
  std::string training = {};                       ///< digest of what determines the branches
  std::string file = {};                           ///< digest of the key
  /// Judged in another way than the preset's: after the last round only, without its labels.
  bool judged_elsewise = false;
  Judging judging = {};
};

/// What determines the branches after training. Paths say where something is, not what.
inline io::Json training_key(const World& world, dcl::Options o) {
  io::Json out = io::Json::object();
  out["version"] = TANDEM_VERSION_STRING;
  out["data"] = world.data;
  out["text"] = world.text;
  const cli::OptionTable table = dcl::option_table(o);
  for (const auto& option : table.options()) {
    if (option->decides() && !judges_only(option->name())) out[option->name()] = option->json();
  }
  return out;
}

/// What determines the state after `steps` steps of warm-up. A learning rate that is not constant
/// depends on the length of the whole run.
inline io::Json warm_up_key(const World& world, const dcl::Options& o, std::int64_t steps) {
  const io::Json all = training_key(world, o);
  io::Json out = io::Json::object();
  for (const auto& [key, value] : all.get_ref<const io::Json::object_t&>()) {
    if (!after_warm_up_only(key)) out[key] = value;
  }
  out["warm-up-steps"] = steps;
  if (o.schedule != "constant") out["steps"] = o.train.schedule.total;
  return out;
}

/// The ways in which a run is judged: those that its branches allow.
inline std::vector<InferenceOptions> ways_of(const dcl::Options& o) {
  const dcl::Reads read = dcl::reads(o);
  std::vector<InferenceOptions> out;
  for (const std::string& name : fusion_names()) {
    InferenceOptions way = o.inference;
    way.fusion = fusion_from_name(name);
    way.own = way.own && way.fusion == Fusion::cbp;
    if ((read.cbp || !asks_cbp(way.fusion)) && (read.vlp || !asks_vlp(way.fusion)))
      out.push_back(way);
  }
  return out;
}

/// What determines the result of a cell beside its training and its own options of judging.
inline void add_judging(io::Json& judged, const World& world, const Judging& judging) {
  judged["protocol"] = world.protocol;
  judged["row_seconds"] = world.row_seconds;
  if (judging.chance) judged["chance_draws"] = chance_draws;
  if (judging.best_every > 0) judged["best_of_test_every"] = judging.best_every;
}
/// Names a cell by what determines it.
inline void seal(Cell& cell, const io::Json& training, io::Json judged) {
  cell.training = digest(training);
  cell.judged_elsewise = cell.judged_elsewise || cell.judging.chance || cell.judging.best_every > 0;
  cell.key = io::Json::object();
  cell.key["format"] = 2;  // 1 had no checksum: those cells are made again
  cell.key["training"] = training;
  cell.key["judged"] = std::move(judged);
  cell.file = digest(cell.key);
}

/// A run of train_boosting.
inline Cell make_boosting_cell(const std::vector<World>& worlds, std::size_t world,
                               std::uint64_t seed, const Settings& settings,
                               const Judging& judging) {
  Cell cell{.world = world, .seed = seed, .options = worlds[world].options, .judging = judging};
  boosting::Options& o = cell.boosting.emplace();
  o.data = cell.options;
  o.glove = worlds[world].glove;
  o.train.seed = seed;
  cli::OptionTable table = boosting::option_table(o);
  const auto set = [&](const Setting& s) {
    cli::TableOption* option = table.find(s.name);
    TANDEM_CHECK(option != nullptr, "reproduce", "train_boosting has no option --", s.name);
    option->set(s.value);
  };
  for (const Setting& s : settings) {
    if (s.name == "activitynet") set(s);
  }
  if (o.activitynet) boosting::take_activity_net(table);
  for (const Setting& s : settings) set(s);
  io::Json training = io::Json::object();
  training["version"] = TANDEM_VERSION_STRING;
  training["method"] = boosting::method_name;
  training["data"] = worlds[world].data;
  training["words"] = worlds[world].words;
  for (const auto& option : table.options()) {
    if (option->decides() && option->name() != "protocol")
      training[option->name()] = option->json();
  }
  io::Json judged = io::Json::object();
  add_judging(judged, worlds[world], judging);
  seal(cell, training, std::move(judged));
  return cell;
}

inline Cell make_cell(const std::vector<World>& worlds, std::size_t world, std::uint64_t seed,
                      const Settings& settings, const Judging& judging = {}) {
  Cell cell{.world = world, .seed = seed, .options = worlds[world].options, .judging = judging};
  apply(cell.options, settings);
  cell.options.train.seed = seed;
  dcl::finish_options(cell.options);
  if (dcl::reads(cell.options).cbp) (void)dcl::recipe_of(cell.options);  // refused before it runs
  io::Json judged = io::Json::object();
  dcl::Options usual = worlds[world].options;
  const cli::OptionTable table = dcl::option_table(cell.options),
                         usual_table = dcl::option_table(usual);
  for (const auto& option : table.options()) {
    if (!judges_only(option->name()) || option->name() == "fusion") continue;
    judged[option->name()] = option->json();
    if (option->json() != usual_table.find(option->name())->json()) cell.judged_elsewise = true;
  }
  for (const InferenceOptions& way : ways_of(cell.options))
    judged["fusions"].push_back(std::string(fusion_name(way.fusion)));
  add_judging(judged, worlds[world], judging);
  seal(cell, training_key(worlds[world], cell.options), std::move(judged));
  return cell;
}

// ---------------------------------------------------------------- files

inline io::Json number_or_null(double x) { return x == x ? io::Json(x) : io::Json(); }
inline double number_or_nan(const io::JsonRef& ref, std::string_view key) {
  const auto found = ref.find(key);
  return found ? found->number() : std::nan("");
}

inline io::Json to_json(const Measurement& m) {
  io::Json out = io::Json::object();
  out["round"] = m.round;
  const auto branch = [&](const char* name, const std::optional<BranchLabels>& labels) {
    if (!labels) return;
    io::Json one = io::Json::object();
    one["foreground"] = number_or_null(labels->thresholds.foreground);
    one["background"] = number_or_null(labels->thresholds.background);
    one["rule_foreground"] = number_or_null(labels->taught.foreground);
    one["rule_background"] = number_or_null(labels->taught.background);
    one["called"] = number_or_null(labels->called);
    one["all_or_none"] = number_or_null(labels->all_or_none);
    out[name] = std::move(one);
  };
  branch("cbp", m.cbp);
  branch("vlp", m.vlp);
  out["agreement"] = number_or_null(m.agreement);
  io::Json scores = io::Json::object();
  for (const Score& score : m.scores) {
    io::Json one = io::Json::object();
    one["thresholds"] = score.thresholds;
    one["map"] = score.map;
    io::Json averages = io::Json::object();
    for (const AverageMap& a : score.averages) averages[a.range] = a.value;
    one["averages"] = std::move(averages);
    if (score.step >= 0) one["step"] = score.step;
    scores[score.fusion] = std::move(one);
  }
  out["map"] = std::move(scores);
  return out;
}

inline Measurement measurement_from(const io::JsonRef& from) {
  Measurement out;
  out.round = from.at("round").integer(0);
  const auto branch = [&](const char* name) -> std::optional<BranchLabels> {
    const auto found = from.find(name);
    if (!found) return std::nullopt;
    const io::JsonRef& one = *found;
    return BranchLabels{
        .thresholds = {number_or_nan(one, "foreground"), number_or_nan(one, "background")},
        .taught = {number_or_nan(one, "rule_foreground"), number_or_nan(one, "rule_background")},
        .called = number_or_nan(one, "called"),
        .all_or_none = number_or_nan(one, "all_or_none")};
  };
  out.cbp = branch("cbp");
  out.vlp = branch("vlp");
  out.agreement = number_or_nan(from, "agreement");
  const io::JsonRef scores = from.at("map");
  for (const auto& [name, value] : scores.members()) {
    const io::JsonRef one = scores.of(value), map = one.at("map"), at = one.at("thresholds"),
                      averages = one.at("averages");
    Score score{.fusion = name};
    if (const auto step = one.find("step")) score.step = step->integer(0);
    for (const auto& x : map.array()) score.map.push_back(map.of(x).number());
    for (const auto& x : at.array()) score.thresholds.push_back(at.of(x).number());
    for (const auto& [range, x] : averages.members())
      score.averages.push_back({range, averages.of(x).number()});
    out.scores.push_back(std::move(score));
  }
  return out;
}

/// The files of a folder: cells by their digest, the states after warm-ups, branches that are
/// judged again.
class Store {
 public:
  explicit Store(std::string folder) : folder_(std::move(folder)) {}
  /// Makes the folders, once it is known that something will be written.
  void prepare() const {
    for (const char* name : {"cells", "warm-ups", "models", "tables"})
      io::make_directories(io::join_path(folder_, name));
  }
  std::string cell(const Cell& cell) const { return path("cells", cell.file + ".json"); }
  std::string warm_up(const io::Json& key) const {
    return path("warm-ups", digest(key) + ".safetensors");
  }
  std::string model(const Cell& cell) const {
    return path("models", cell.training + ".safetensors");
  }
  std::string table(const std::string& name) const { return path("tables", name); }
  /// What `read` makes of a file of the folder.  Error: what read() says, the file, and that it may
  /// be removed.
  template <class Read>
  static auto whole(const std::string& path, Read&& read) {
    try {
      return read(path);
    } catch (const Error& error) {
      fail("reproduce", path, " cannot be used (", error.what(),
           "): remove it, and the same command makes it again");
    }
  }

  /// Whether a cell is measured already.  Errors: those of read(), now and not after the others.
  bool has(const Cell& cell) const {
    if (!io::is_file(this->cell(cell))) return false;
    (void)read(cell);
    return true;
  }

  /// `diverged`: what the training that ended early said; the rounds that it did not reach have no
  /// scores.
  void write(const Cell& cell, const std::vector<Measurement>& rounds, double seconds,
             const std::string& diverged = {}) const {
    io::Json root = io::Json::object();
    root["key"] = cell.key;
    if (!diverged.empty()) root["diverged"] = diverged;
    io::Json list = io::Json::array();
    for (const Measurement& m : rounds) list.push_back(to_json(m));
    root["rounds"] = std::move(list);
    root["seconds"] = seconds;  // what it took; no table shows it
    root["checksum"] = digest(root);
    io::save_json(this->cell(cell), root);
  }
  /// Errors: a file that is no cell, one that was changed after it was written, or one of another
  /// key. Each says that the file may be removed.
  std::vector<Measurement> read(const Cell& cell) const {
    return whole(this->cell(cell), [&](const std::string& path) {
      const auto document = undamaged(path);
      std::vector<Measurement> out;
      const io::JsonRef key = document.root().at("key"), rounds = document.root().at("rounds");
      for (const auto& one : rounds.array()) out.push_back(measurement_from(rounds.of(one)));
      if (key.json() != cell.key) throw Error("it is of another run than its name says");
      if (out.empty()) throw Error("it has no result");
      return out;
    });
  }

  /// What the training of a cell said when it diverged; "" where it did not.
  std::string diverged(const Cell& cell) const {
    return whole(this->cell(cell), [](const std::string& path) {
      const auto document = undamaged(path);
      const auto found = document.root().find("diverged");
      return found ? found->string() : std::string();
    });
  }

 private:
  /// The JSON of a cell, whose "checksum" is that of everything else in it.
  static io::JsonDocument undamaged(const std::string& path) {
    io::JsonDocument out = io::JsonDocument::load(path);
    io::Json rest = out.root().json();
    const std::string said = out.root().at("checksum").string();
    rest.erase("checksum");
    if (digest(rest) != said) throw Error("its checksum is not that of what it holds");
    return out;
  }
  std::string path(const char* part, const std::string& name) const {
    return io::join_path(io::join_path(folder_, part), name);
  }
  std::string folder_;
};

}  // namespace reproduce

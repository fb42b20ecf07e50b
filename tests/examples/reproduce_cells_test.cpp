/// What determines a cell of reproduce, and what two cells share.

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "../../examples/reproduce/catalogue.hpp"
#include "../../examples/reproduce/cell.hpp"

using namespace reproduce;

namespace {

std::vector<World> worlds() {
  dcl::Options o;
  o.fusion = "mean";
  apply(o, find_preset("miniature").settings);
  dcl::finish_options(o);
  std::vector<World> out;
  for (const char* data : {"aaaa", "bbbb"})
    out.push_back(
        {.name = data, .options = o, .data = data, .text = "t", .protocol = "thumos-seconds"});
  return out;
}
Cell cell(const Settings& settings, std::size_t world = 0, std::uint64_t seed = 0) {
  return make_cell(worlds(), world, seed, settings);
}
std::string warm_up_of(const Settings& settings, std::size_t world = 0, std::uint64_t seed = 0) {
  const auto all = worlds();
  const Cell c = make_cell(all, world, seed, settings);
  return digest(warm_up_key(all[world], c.options, 300));
}

}  // namespace

TEST_CASE("cells: everything that determines the result is in the digest, and nothing else") {
  const Settings both{{"variant", "both"}};
  const std::string file = cell(both).file;
  CHECK(cell(both).file == file);
  CHECK(cell(both, 0, 1).file != file);  // the seed
  CHECK(cell(both, 1, 0).file != file);  // the data
  // Each option that decides a run of train_dcl gives another cell.
  dcl::Options o = worlds()[0].options;
  const cli::OptionTable table = dcl::option_table(o);
  std::set<std::string> files{file};
  std::size_t options = 0;
  for (const auto& option : table.options()) {
    const io::Json now = option->json();
    if (!option->decides() || option->name() == "fusion" || option->name() == "seed") continue;
    io::Json other;
    if (now.is_boolean()) other = !now.get<bool>();
    if (now.is_number_integer()) other = now == 1 ? 2 : 1;
    if (now.is_number_float()) other = now == 0.5 ? 0.25 : 0.5;
    if (option->is_list()) other = io::Json::array({0.2, 0.6});
    if (other.is_null()) continue;  // words
    Settings settings = both;
    // What must go with it
    if (option->name() == "ranked-foreground") settings.push_back({"ranked-background", 0});
    if (option->name() == "ranked-background") settings.push_back({"ranked-foreground", 0});
    if (option->name() == "low") settings.push_back({"high", 1});
    if (option->name() == "min-max-low") settings.push_back({"min-max-high", 1});
    if (option->name() == "width" || option->name() == "heads")
      settings.push_back({"width", 8}),
          settings.push_back({"heads", option->name() == "width" ? 8 : 1});
    // What only some methods in CBP's place have
    const std::string& name = option->name();
    for (const char* method : {"basnet", "co2", "um"}) {
      if (name.starts_with(method)) settings.push_back({"cbp", method});
    }
    if (name.starts_with("method-") || name == "no-background-labels" ||
        name == "teach-attention" || name == "keep-regularisers")
      settings.push_back({"cbp", "basnet"});
    if (option->name() != "width") settings.push_back({option->name(), other});
    INFO(option->name());
    CHECK(files.insert(cell(settings).file).second);
    ++options;
  }
  CHECK(options > 40);
  // Where the data lie does not.
  auto elsewhere = worlds();
  elsewhere[0].options.data = "/another/place";
  elsewhere[0].name = "moved";
  CHECK(make_cell(elsewhere, 0, 0, both).file == file);
}

TEST_CASE("cells: how a run is judged is not what trains it") {
  const Cell plain = cell({{"variant", "both"}}), judged = cell({{"theta-cls", 0.5}}),
             same = cell({{"theta-cls", 0.85}}), alone = cell({{"fusion", "cbp"}});
  CHECK(judged.training == plain.training);
  CHECK(judged.file != plain.file);
  CHECK(judged.judged_elsewise);
  CHECK(same.file == plain.file);
  CHECK_FALSE(same.judged_elsewise);
  CHECK_FALSE(plain.judged_elsewise);
  CHECK(alone.training == plain.training);
  CHECK(cell({{"lambda", 0}}).training != plain.training);
  const auto all = worlds();
  const Cell chance = make_cell(all, 0, 0, {{"variant", "both"}}, {.chance = true}),
             best = make_cell(all, 0, 0, {{"variant", "both"}}, {.best_every = 10}),
             seldom = make_cell(all, 0, 0, {{"variant", "both"}}, {.best_every = 20});
  for (const Cell* other : {&chance, &best, &seldom}) {
    CHECK(other->training == plain.training);
    CHECK(other->judged_elsewise);
  }
  CHECK(std::set<std::string>{plain.file, chance.file, best.file, seldom.file}.size() == 4);
}

TEST_CASE("measurements: chance gives each video what was found in another") {
  DetectionSet found;
  for (int v = 0; v < 7; ++v) {
    found.videos.push_back({.id = concat("v", v), .detections = {}});
    found.videos.back().detections.push_back({{0, 1}, 0, static_cast<double>(v)});
  }
  Generator random(3);
  std::set<std::string> seen;
  for (int draw = 0; draw < 5; ++draw) {
    const DetectionSet others = of_other_videos(found, random);
    std::set<double> given;
    std::string order;
    for (std::size_t v = 0; v < 7; ++v) {
      CHECK(others.videos[v].id == found.videos[v].id);
      REQUIRE(others.videos[v].detections.size() == 1);
      const double from = others.videos[v].detections[0].score;
      CHECK(from != static_cast<double>(v));
      given.insert(from);
      order += concat(from, " ");
    }
    CHECK(given.size() == 7);
    seen.insert(order);
  }
  CHECK(seen.size() > 1);
}

TEST_CASE("measurements: the best of a run is that of one step, each way by itself") {
  const auto at = [](double a, double b) {
    Measurement m;
    m.scores = {{.fusion = "cbp", .map = {a}, .averages = {{"0.3:0.7", a}}},
                {.fusion = "vlp", .map = {b}, .averages = {{"0.3:0.7", b}}}};
    return m;
  };
  Measurement best;
  keep_best(best, at(0.2, 0.5), 10);
  keep_best(best, at(0.4, 0.3), 20);
  keep_best(best, at(0.4, 0.5), 30);  // no better: the first one stays
  CHECK(best.find("cbp")->main() == 0.4);
  CHECK(best.find("cbp")->step == 20);
  CHECK(best.find("vlp")->map == std::vector<double>{0.5});
  CHECK(best.find("vlp")->step == 10);
  const io::JsonDocument document("cell", to_json(best));
  CHECK(measurement_from(document.root()).find("vlp")->step == 10);
}

TEST_CASE("cells: strategies of one world and seed share their warm-up") {
  const std::string shared = warm_up_of({});
  for (const Settings& s : std::vector<Settings>{{{"variant", "only-f"}},
                                                 {{"variant", "self-training"}, {"fusion", "cbp"}},
                                                 {{"pseudo-labels", "ranked"}},
                                                 {{"lambda", 0}},
                                                 {{"warm-up-steps", 610}},
                                                 {{"vlp-reading", "softmax"}},
                                                 {{"theta-loc", 0.2}}})
    CHECK(warm_up_of(s) == shared);
  for (const Settings& s : std::vector<Settings>{{{"cbp-reading", "softmax"}},
                                                 {{"concat-clip", true}},
                                                 {{"prompt-vectors", 8}},
                                                 {{"learning-rate", 1e-3}},
                                                 {{"batch", 8}},
                                                 {{"schedule", "cosine"}}})
    CHECK(warm_up_of(s) != shared);
  CHECK(warm_up_of({}, 0, 1) != shared);
  CHECK(warm_up_of({}, 1) != shared);
  // A rate that falls over the whole run: runs of other lengths have other warm-ups.
  CHECK(warm_up_of({{"schedule", "cosine"}}) !=
        warm_up_of({{"schedule", "cosine"}, {"variant", "only-b"}}));
}

TEST_CASE(
    "preset miniature: what make demo trains with, weights/mini/train.json, option by option") {
  dcl::Options demo, preset;
  cli::OptionTable of_demo = dcl::option_table(demo);
  const std::string path = TANDEM_SOURCE_DIR "/weights/mini/train.json";
  const auto document = io::JsonDocument::load(path);
  const io::JsonRef root = document.root();
  for (const auto& [name, value] : root.members()) {
    INFO(name);
    REQUIRE(of_demo.find(name) != nullptr);
    of_demo.find(name)->set(root.of(value));
  }
  apply(preset, find_preset("miniature").settings);
  const cli::OptionTable of_preset = dcl::option_table(preset);
  // A row says its rule and its fusion itself.
  const std::set<std::string> elsewhere{"pseudo-labels", "fusion"};
  std::size_t compared = 0;
  for (const auto& option : of_demo.options()) {
    if (!option->decides() || elsewhere.contains(option->name())) continue;
    INFO(option->name());
    CHECK(io::json_text(option->json()) == io::json_text(of_preset.find(option->name())->json()));
    ++compared;
  }
  CHECK(compared > 40);
}

TEST_CASE("catalogue: rows have names of their own, options that train_dcl takes, and baselines") {
  const auto all = worlds();
  for (const char* stable : {"calibrated", "ranked", "min-max"}) {
    const Settings methods{{"method-width", 8}, {"method-rows", 12}};
    const Settings words{{"rows", 12}, {"width", 8}};
    const Catalogue catalogue(all[0].options, stable, 16, &methods, &words);
    std::set<std::string> tables;
    for (const Table& table : catalogue.tables()) {
      INFO(table.name);
      CHECK(tables.insert(table.name).second);
      std::set<std::string> rows;
      for (const Row& row : table.rows) {
        INFO(row.name);
        CHECK(rows.insert(row.name).second);
        const auto make = row.boosting ? make_boosting_cell : make_cell;
        CHECK_NOTHROW(make(all, 0, 0, row.settings, {.chance = row.chance}));
      }
      for (const Row& row : table.rows)
        CHECK((row.baseline.empty() || rows.contains(row.baseline)));
    }
    CHECK(tables.contains("main"));
    CHECK(tables.contains("methods"));
  }
}

TEST_CASE("cells: a run of Boosting-WTAL is named by its data, its words and its own options") {
  const std::vector<World> all = worlds();
  const Settings settings{{"steps", 5}, {"width", 8}};
  const Cell cell = make_boosting_cell(all, 0, 3, settings, {}),
             chance = make_boosting_cell(all, 0, 3, settings, {.chance = true});
  REQUIRE(cell.boosting);
  CHECK(cell.boosting->train.steps == 5);
  CHECK(cell.boosting->train.seed == 3);
  CHECK(chance.training == cell.training);
  CHECK(chance.file != cell.file);
  CHECK(make_boosting_cell(all, 0, 4, settings, {}).file != cell.file);
  CHECK(make_boosting_cell(all, 0, 3, {{"steps", 6}, {"width", 8}}, {}).file != cell.file);
  std::vector<World> elsewhere = all;
  elsewhere[0].glove = "elsewhere/glove.txt";  // where a file is says nothing
  CHECK(make_boosting_cell(elsewhere, 0, 3, settings, {}).file == cell.file);
  elsewhere[0].words = "others";
  CHECK(make_boosting_cell(elsewhere, 0, 3, settings, {}).file != cell.file);
  const Cell published = make_boosting_cell(all, 0, 0, {{"steps", 9}, {"activitynet", true}}, {});
  CHECK(published.boosting->recipe.frames == 60);
  CHECK(published.boosting->train.steps == 9);
  CHECK_THROWS_WITH_AS(make_boosting_cell(all, 0, 0, {{"crop", 5}}, {}),
                       doctest::Contains("train_boosting has no option --crop"), Error);
}

TEST_CASE("cells: a measurement comes back from its file as it was") {
  Measurement m{.round = 2};
  m.cbp = BranchLabels{.thresholds = {0.1, 1.0 / 3}, .called = 0.25};
  m.scores.push_back(
      {.fusion = "cbp", .thresholds = {0.3}, .map = {0.7}, .averages = {{"0.3:0.7", 0.1}}});
  const io::JsonDocument document("cell", to_json(m));
  const Measurement back = measurement_from(document.root());
  CHECK(io::json_text(to_json(back)) == io::json_text(to_json(m)));
  CHECK(back.cbp->thresholds.background == 1.0 / 3);
  CHECK(std::isnan(back.cbp->taught.foreground));
  CHECK_FALSE(back.vlp.has_value());
  CHECK(std::isnan(back.agreement));
  CHECK(back.find("cbp")->main() == 0.1);
  CHECK(back.find("vlp") == nullptr);
}

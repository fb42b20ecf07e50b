/// reproduce — every table of the paper in one command: strategies, losses, features, sweeps, on
/// prepared worlds, on simulated rows or on THUMOS14 and ActivityNet.
///
///   reproduce --world world0 world1 world2 --seeds 10 --out study
///   reproduce --simulate --worlds 3 --tables main,losses
///   reproduce --data thumos --preset thumos14 --seeds 3
///
/// A table is made of cells: one run of train_dcl on one world with one seed. The result of each is
/// a small file in --out, named by a checksum of everything that determines it; the same command
/// after an interruption goes on with the cells that are missing, and ends with the same tables.

#include <cstdio>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "option_table.hpp"
#include "output_folder.hpp"
#include "reproduce/beside_preset.hpp"
#include "reproduce/comparison.hpp"
#include "reproduce/runner.hpp"
#include "reproduce/worlds.hpp"

namespace reproduce {
namespace {

struct Options {
  std::vector<std::string> folders, tables{"main"}, rows;
  std::string out = "reproduction", preset, stable = "ranked", baseline, glove;
  bool simulate = false, list = false;
  std::int64_t seeds = 3, first_seed = 0, worlds = 1, first_world = 0, jobs = 0, threads = 0,
               best_of_test = 0;
  double clip_norm = 0;  // 0: VLP's rows are scaled as the preset or --vlp-scale says
  SimulationOptions simulation{.i3d_width = 128, .clip_width = 64};
  dcl::Options train;  // what is given of train_dcl's
};

/// Where a table's cells are.
struct Planned {
  Table table;                                       ///< with the rows that are asked for
  std::vector<std::vector<std::size_t>> cells = {};  ///< of each row, by pair of world and seed
  /// The same, of the best measurement of the run; empty where that is not asked for.
  std::vector<std::vector<std::size_t>> best = {};
};

class Program {
 public:
  Program(Options& o, const cli::OptionTable& given) : o_(o), given_(given) {}

  void run() {
    // A list leaves nothing behind, and looks into a folder that another process may be writing.
    std::optional<cli::OutputFolder> output;
    if (!o_.list) output.emplace(o_.out, "reproduce");
    store_.emplace(o_.out);
    const Preset& preset = find_preset(
        !o_.preset.empty() ? o_.preset : std::string(o_.simulate ? "simulated" : "miniature"));
    const int threads = o_.threads > 0 ? static_cast<int>(o_.threads) : cpu::num_threads();
    const Device device = cli::open_device("reproduce", o_.train.device);
    (void)cli::open_precision("reproduce", o_.train.precision, false, device);
    TANDEM_CHECK(device.is_cpu() || o_.jobs <= 1, "reproduce",
                 "on a GPU trainings are done one at a time: --jobs ", o_.jobs,
                 " goes with --device cpu");
    const int workers = o_.jobs > 0 ? static_cast<int>(o_.jobs) : device.is_cpu() ? threads : 1;
    cpu::set_num_threads(std::max(1, threads / workers));
    open_worlds(preset);
    std::int64_t most_prompts = worlds_[0].most_prompts;
    for (const World& world : worlds_) most_prompts = std::min(most_prompts, world.most_prompts);
    const bool transformer = worlds_[0].options.cbp_method == "transformer";
    const bool words = std::all_of(worlds_.begin(), worlds_.end(),
                                   [](const World& world) { return !world.glove.empty(); });
    const Catalogue catalogue(worlds_[0].options, o_.stable, most_prompts,
                              transformer ? &methods_ : nullptr,
                              words ? &preset.boosting : nullptr);
    plan(catalogue);
    const std::vector<Job> jobs = missing(catalogue);
    Runner runner(worlds_, *store_, worlds_[0].options.train.warm_up_steps);
    const Work work = runner.work(jobs);
    if (o_.list) return list(catalogue, runner, work, jobs.size(), workers);
    store_->prepare();
    std::printf("%s, %s, preset %s; %s, %s to do, %s\n", count(worlds_, "world").c_str(),
                counted(o_.seeds, "seed").c_str(), preset.name, count(cells_, "cell").c_str(),
                count(jobs, "training").c_str(), counted(work.steps, "step").c_str());
    cli::flush_output();
    if (!jobs.empty()) {
      cli::Progress progress("cells", static_cast<std::size_t>(work.units()));
      std::size_t done = 0;
      try {
        runner.run(jobs, static_cast<std::size_t>(workers),
                   [&](std::int64_t units, const std::string& note) {
                     progress.update(done += static_cast<std::size_t>(units), note);
                   });
      } catch (const cli::Stopped& stop) {
        throw cli::Stopped(stop.signal(), concat("finished cells are kept in ", o_.out,
                                                 "; the same command goes on from there"));
      }
      progress.finish();
    }
    output->lock().check();
    write(preset);
  }

 private:
  template <class List>
  static std::string count(const List& list, const char* what) {
    return counted(static_cast<std::int64_t>(list.size()), what);
  }

  // ---------------------------------------------------------------- data

  void open_worlds(const Preset& preset) {
    dcl::Options base;
    base.pseudo_labels = "thresholds";  // a row that makes labels names its rule
    apply(base, preset.settings);
    base.device = o_.train.device;
    if (o_.simulate) base.train.crop = o_.simulation.rows_high;  // whole videos
    cli::OptionTable table = dcl::option_table(base);
    const bool transformer =
        !given_.given("cbp") || given_.find("cbp")->json() == io::Json("transformer");
    methods_ = preset.methods;
    for (const auto& option : given_.options()) {
      if (!option->given() || !of_methods(option->name())) continue;
      std::erase_if(methods_, [&](const Setting& s) { return s.name == option->name(); });
      methods_.push_back({option->name(), option->json()});
    }
    if (!transformer) {  // every table has that method: these settings are every row's
      table.find("cbp")->set(given_.find("cbp")->json());
      for (const Setting& s : methods_) {
        // W-TALC is as wide as its rows: the preset's width is not for it, a given one is refused.
        if (s.name != "method-width" || base.cbp_method != "wtalc" || given_.given(s.name))
          table.find(s.name)->set(s.value);
      }
    }
    for (const auto& option : given_.options()) {
      if (option->given() && !of_methods(option->name()))
        table.find(option->name())->set(option->json());
    }
    TANDEM_CHECK(o_.clip_norm == 0 || !given_.given("vlp-scale"), "reproduce",
                 "--clip-norm and --vlp-scale both say how VLP's rows are scaled: give one");
    const bool files = !o_.train.data.empty() || !o_.train.annotations.empty();
    TANDEM_CHECK((o_.simulate ? 1 : 0) + (o_.folders.empty() ? 0 : 1) + (files ? 1 : 0) == 1,
                 "reproduce",
                 "give one of --world FOLDERS, --data FOLDER (or --annotations, --i3d "
                 "and --clip) and --simulate");
    check_before_worlds(base, transformer);
    std::vector<std::string> folders = o_.folders;
    if (o_.simulate) {
      if (o_.list) scratch_.emplace("reproduce");
      folders = simulated_worlds(io::join_path(o_.out, "worlds"), scratch_, o_.simulation,
                                 o_.first_world, o_.worlds, base.prompts.vectors);
    }
    if (files) folders.push_back(o_.train.data);
    for (const std::string& folder : folders) {
      dcl::Options here = base;
      if (!folder.empty()) here.data = folder;
      const std::string name =
          std::filesystem::path(folder.empty() ? o_.train.annotations : folder + "/.")
              .lexically_normal()
              .parent_path()
              .filename()
              .string();
      worlds_.push_back(open_world(name.empty() ? folder : name, here, o_.clip_norm, o_.glove));
      for (std::size_t w = 0; w + 1 < worlds_.size(); ++w) {
        TANDEM_CHECK(
            worlds_[w].data != worlds_.back().data || worlds_[w].text != worlds_.back().text,
            "reproduce", "the worlds '", worlds_[w].name, "' and '", name,
            "' are the same data: their runs would be counted twice");
      }
    }
  }

  /// Refuses what can be seen to be wrong before data are made or read.
  void check_before_worlds(dcl::Options base, bool transformer) {
    base.fusion = "mean";
    dcl::finish_options(base);
    const std::vector<std::string> names =
        Catalogue(base, o_.stable, 0, transformer ? &methods_ : nullptr).names();
    if (o_.tables == std::vector<std::string>{"all"}) o_.tables = names;
    bool other_methods = !transformer;
    for (const std::string& name : o_.tables) {
      other_methods = other_methods || name == "methods";
      TANDEM_CHECK(std::find(names.begin(), names.end(), name) != names.end(), "reproduce",
                   "no table is called '", name, "'", did_you_mean(name, names),
                   "; --list shows all, --tables all makes all");
    }
    for (const auto& option : given_.options()) {
      TANDEM_CHECK(other_methods || !option->given() || !of_methods(option->name()), "reproduce",
                   "--", option->name(), " is of other methods in CBP's place: it goes with the ",
                   "table methods, or with --cbp METHOD");
    }
  }

  // ---------------------------------------------------------------- cells

  Cell cell_for(std::size_t world, std::uint64_t seed, const Row& row,
                const Judging& judging) const {
    return (row.boosting ? make_boosting_cell : make_cell)(worlds_, world, seed, row.settings,
                                                           judging);
  }
  std::size_t add_cell(std::size_t world, std::uint64_t seed, const Row& row,
                       const Judging& judging) {
    Cell cell;
    try {
      cell = cell_for(world, seed, row, judging);
    } catch (const Error& error) {
      fail("reproduce", "the row '", row.name, "' cannot be made: ", error.what());
    }
    const auto [found, fresh] = cell_of_.emplace(cell.file, cells_.size());
    if (fresh) cells_.push_back(std::move(cell));
    return found->second;
  }

  void plan(const Catalogue& catalogue) {
    const std::vector<std::string>& wanted = o_.tables;
    bool known_baseline = o_.baseline.empty();
    std::vector<std::string> rows;
    for (const Table& table : catalogue.tables()) {
      if (std::find(wanted.begin(), wanted.end(), table.name) == wanted.end()) continue;
      Planned planned{.table = table};
      if (!o_.rows.empty()) {
        std::erase_if(planned.table.rows, [this](const Row& row) {
          return std::none_of(o_.rows.begin(), o_.rows.end(), [&](const std::string& text) {
            return row.name.find(text) != row.name.npos;
          });
        });
      }
      TANDEM_CHECK(!planned.table.rows.empty(), "reproduce", "the table '", table.name,
                   "' has no row with what --rows names in its name; --list shows all",
                   worlds_[0].glove.empty()
                       ? " (those of Boosting-WTAL need word vectors: --glove, or glove.txt in "
                         "every world)"
                       : "");
      for (const Row& row : planned.table.rows) {
        known_baseline = known_baseline || row.name == o_.baseline;
        rows.push_back(row.name);
        const auto add_row = [&](std::vector<std::size_t>& to, const Judging& judging) {
          for (std::size_t w = 0; w < worlds_.size(); ++w) {
            for (std::int64_t s = 0; s < o_.seeds; ++s)
              to.push_back(
                  add_cell(w, static_cast<std::uint64_t>(o_.first_seed + s), row, judging));
          }
        };
        add_row(planned.cells.emplace_back(), {.chance = row.chance});
        const bool scores = table.kind == Table::Kind::scores;
        if (o_.best_of_test > 0 && scores) {
          std::vector<std::size_t>& best = planned.best.emplace_back();
          if (!row.chance) add_row(best, {.best_every = o_.best_of_test});
        }
      }
      planned_.push_back(std::move(planned));
    }
    TANDEM_CHECK(known_baseline, "reproduce", "no row of these tables is called '", o_.baseline,
                 "'", did_you_mean(o_.baseline, rows));
  }

  /// The trainings whose cells are not all there. Branches are kept where any table of the
  /// catalogue judges them in another way.
  std::vector<Job> missing(const Catalogue& catalogue) const {
    std::set<std::string> judged_again;
    for (const Table& table : catalogue.tables()) {
      for (const Row& row : table.rows) {
        if (row.boosting) continue;  // trained anew: its rows are judged together
        for (std::size_t w = 0; w < worlds_.size(); ++w) {
          const Cell cell = make_cell(worlds_, w, 0, row.settings, {.chance = row.chance});
          // The same for every seed, which is part of the digest
          if (!cell.judged_elsewise) continue;
          for (std::int64_t s = 0; s < o_.seeds; ++s) {
            judged_again.insert(
                make_cell(worlds_, w, static_cast<std::uint64_t>(o_.first_seed + s), row.settings)
                    .training);
          }
        }
      }
    }
    std::vector<Job> jobs;
    std::map<std::string, std::size_t> job_of;
    for (const Cell& cell : cells_) {
      if (store_->has(cell)) continue;
      const std::int64_t every = cell.judging.best_every;
      const auto [found, fresh] = job_of.emplace(every > 0 ? cell.file : cell.training,
                                                 jobs.size());  // measured on the way: by itself
      if (fresh) jobs.emplace_back();
      Job& job = jobs[found->second];
      job.cells.push_back(&cell);
      job.keep = every == 0 && judged_again.contains(cell.training);
    }
    return jobs;
  }

  // ---------------------------------------------------------------- what is shown

  void list(const Catalogue& catalogue, const Runner& runner, const Work& work, std::size_t jobs,
            int workers) const {
    std::printf("tables, for --tables:\n");
    for (const Table& table : catalogue.tables())
      std::printf("  %-11s %s\n", table.name.c_str(), table.title.c_str());
    for (const Planned& planned : planned_) {
      const Table& table = planned.table;
      std::printf("\n%s: %s\n", table.name.c_str(), table.title.c_str());
      cli::Table lines({"  row", "beside every row's"});
      for (const Row& row : table.rows) {
        lines.row({"  " + row.name, (row.boosting ? "train_boosting " : "") + words(row.settings)});
      }
      lines.print();
    }
    std::printf(
        "\nevery row, where it does not say otherwise: train_dcl --data WORLD --seed N %s\n",
        words(set_everywhere()).c_str());
    const Runner::Pace pace = runner.probe(worlds_[0]);
    const double seconds =
        (static_cast<double>(jobs) * pace.start + static_cast<double>(work.steps) * pace.step +
         static_cast<double>(work.measurements) * pace.measurement) /
        workers;
    // Other rows may be slower than the one that was timed, and threads get in each other's way.
    std::printf(
        "\nchosen: %s, %s to do, %s and %s, at least %s "
        "(%s a training before its first step, %s a step, %s a measurement, %d at a time)\n",
        count(cells_, "cell").c_str(), counted(static_cast<std::int64_t>(jobs), "training").c_str(),
        counted(work.steps, "step").c_str(), counted(work.measurements, "measurement").c_str(),
        cli::duration(seconds).c_str(), cli::duration(pace.start).c_str(),
        cli::duration(pace.step).c_str(), cli::duration(pace.measurement).c_str(), workers);
  }

  /// What preset and command line set in all rows, where train_dcl by itself would not.
  Settings set_everywhere() const {
    dcl::Options usual, ours = worlds_[0].options;
    const cli::OptionTable from = dcl::option_table(usual), to = dcl::option_table(ours);
    Settings out;
    for (const auto& option : to.options()) {
      const bool of_rows = option->name() == "pseudo-labels";
      if (option->decides() && !of_rows && option->json() != from.find(option->name())->json())
        out.push_back({option->name(), option->json()});
    }
    return out;
  }

  std::vector<std::string> notes(const Preset& preset) const {
    std::string worlds, origin;
    for (const World& world : worlds_) {
      worlds += (worlds.empty() ? "" : ", ") + world.name;
      if (!world.note.empty()) origin = world.note;
    }
    const std::size_t pairs = worlds_.size() * static_cast<std::size_t>(o_.seeds);
    std::vector<std::string> out;
    if (!origin.empty())
      out.push_back("On " + origin + ": these numbers say nothing about real videos.");
    std::string average = worlds_[0].protocol == "activitynet" ? "0.5 to 0.95" : "0.3 to 0.7";
    out.push_back(
        concat("mAP averaged over tIoU ", average, " (", worlds_[0].protocol, "), mean over ",
               pairs, " pair", pairs == 1 ? "" : "s", " of world and seed",
               pairs > 1 ? " ± half the 95 % interval (Student's t)" : "",
               worlds_.size() == 1 ? ". World: " : ". Worlds: ", worlds,
               o_.seeds == 1 ? "; seed " : "; seeds ", o_.first_seed,
               o_.seeds == 1 ? std::string() : concat(" to ", o_.first_seed + o_.seeds - 1),
               "; preset ", preset.name, "."));
    const SimulationOptions usual = Options().simulation;
    const std::vector<std::string> more =
        beside_preset(given_, worlds_[0].options.cbp_method != "transformer", o_.clip_norm,
                      o_.simulate ? changed(usual, o_.simulation) : Settings());
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }

  void write(const Preset& preset) {
    const std::vector<std::string> notes = this->notes(preset);
    std::string report = "# Reproduction of the paper's tables\n\n";
    for (const std::string& note : notes) report += Rendered::escaped(note) + "\n\n";
    AllResults all;
    const auto put = [&](const Rendered& table, bool show) {
      const std::string text = table.markdown();
      io::write_text(store_->table(table.name + ".md"), text);
      io::save_json(store_->table(table.name + ".json"), table.json());
      report += text;
      if (!show) return;
      std::printf("\n%s\n", table.title.c_str());
      cli::Table lines(table.header);
      for (const auto& row : table.rows) lines.row(row);
      lines.print();
      for (const std::string& note : table.notes)
        std::printf("%s\n", cli::printable(note, true).c_str());
    };
    for (const Planned& planned : planned_) {
      std::vector<RowResults> results;
      std::vector<std::string> here = notes;
      for (std::size_t r = 0; r < planned.cells.size(); ++r) {
        RowResults& row = results.emplace_back();
        for (const std::size_t c : planned.cells[r]) {
          row.push_back(store_->read(cells_[c]));
          const std::string diverged = store_->diverged(cells_[c]);
          if (diverged.empty()) continue;
          here.push_back(concat("No number: ", planned.table.rows[r].name, " diverged on ",
                                worlds_[cells_[c].world].name, ", seed ", cells_[c].seed, ": ",
                                diverged));
        }
        all[planned.table.name][planned.table.rows[r].name] = row;
      }
      Renderer renderer(planned.table, results, o_.baseline,
                        worlds_[0].options.inference.cbp_weight, here);
      for (const Rendered& table : renderer.render()) put(table, true);
      io::write_text(store_->table(planned.table.name + ".csv"), renderer.csv());
      if (planned.best.empty()) continue;
      std::vector<RowResults> best;
      for (const std::vector<std::size_t>& row : planned.best) {
        RowResults& to = best.emplace_back();
        for (const std::size_t c : row) to.push_back(store_->read(cells_[c]));
      }
      put(best_of_test_table(planned.table, results, best, o_.best_of_test, here), true);
    }
    Rendered comparison = Comparison(all, o_.stable).table();
    comparison.notes.insert(comparison.notes.end(), notes.begin(), notes.end());
    put(comparison, true);
    const std::string path = io::join_path(o_.out, "report.md");
    io::write_text(path, report);
    std::printf("\n%s\n", cli::printable(path).c_str());
  }

  Options& o_;
  const cli::OptionTable& given_;
  std::optional<Store> store_;
  std::optional<cli::ScratchFolder> scratch_;  // of the worlds that are only listed
  std::vector<World> worlds_;
  Settings methods_;  // of the rows that have another method in CBP's place
  std::vector<Cell> cells_;
  std::map<std::string, std::size_t> cell_of_;
  std::vector<Planned> planned_;
};

}  // namespace
}  // namespace reproduce

int main(int argc, char** argv) {
  CLI::App app(
      "Every table of the paper: strategies with the published thresholds and with rules that hold "
      "a\n"
      "video's level, losses, features, sweeps, over several worlds and seeds, with 95 % "
      "intervals\n"
      "and paired differences. Interrupted, the same command goes on.\n\n"
      "  reproduce --world world0 world1 world2 --seeds 10 --out study\n"
      "  reproduce --simulate --worlds 3 --tables main,losses --out simulated\n"
      "  reproduce --simulate --list\n"
      "  reproduce --data thumos --preset thumos14 --seeds 3 --out thumos_study\n\n"
      "Of train_dcl's options below, what is not given is the preset's.",
      "reproduce");
  reproduce::Options o;
  std::vector<std::string> presets;
  std::string help = "Settings: ";
  for (const reproduce::Preset& preset : reproduce::presets()) {
    presets.emplace_back(preset.name);
    help += tandem::concat(presets.size() > 1 ? "; " : "", preset.name, " (", preset.help, ")");
  }
  app.add_option("--world", o.folders, "Data folders as train_dcl reads them, one world each")
      ->type_name("PATH")
      ->delimiter(',');
  app.add_flag("--simulate", o.simulate, "Simulated rows instead, made in --out");
  app.add_option("--worlds", o.worlds, "Simulated worlds")
      ->capture_default_str()
      ->check(cli::range(1, 1e4));
  app.add_option("--first-world", o.first_world, "Seed of the first simulated world")
      ->capture_default_str()
      ->check(cli::range(0, 1e9));
  app.add_option("--seeds", o.seeds, "Runs of each world")
      ->capture_default_str()
      ->check(cli::range(1, 1e4));
  app.add_option("--first-seed", o.first_seed, "Seed of the first run")
      ->capture_default_str()
      ->check(cli::range(0, 1e9));
  app.add_option("--tables", o.tables, "Tables to make, or all; --list shows them")
      ->type_name("NAMES")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--rows", o.rows, "Of the tables only rows whose names hold one of these texts")
      ->type_name("TEXTS")
      ->delimiter(',')
      ->default_str("all");
  app.add_flag("--list", o.list,
               "Show the tables, the rows of the chosen ones as commands, and how long these take; "
               "writes nothing");
  app.add_option("--out", o.out, "Folder for cells, tables and report.md")->capture_default_str();
  cli::add_choice(app, "--preset", o.preset, presets, help)
      ->default_str("miniature, or simulated with --simulate");
  app.add_option(
         "--best-of-test", o.best_of_test,
         "Beside the last step's numbers also the best of measurements every so many steps, "
         "chosen by the test videos as many papers do, in tables of their own; 0: not")
      ->capture_default_str()
      ->check(cli::range(0, 1e9));
  cli::add_choice(app, "--stable", o.stable, {"calibrated", "ranked", "min-max"},
                  "Rule that stands beside the published thresholds in every table")
      ->capture_default_str();
  app.add_option("--baseline", o.baseline, "Row that all others are compared with")
      ->default_str("each table's own");
  app.add_option("--glove", o.glove,
                 "Word vectors for Boosting-WTAL in the table methods, a text file such as "
                 "glove.6B.300d.txt")
      ->default_str("glove.txt of each world, if it is there")
      ->check(CLI::ExistingFile);
  app.add_option("--clip-norm", o.clip_norm,
                 "Mean norm that the rows of VLP are scaled to, in each world by its own; 0: by "
                 "--vlp-scale")
      ->capture_default_str()
      ->check(cli::range(0, 1e6));
  app.add_option("--jobs", o.jobs,
                 "Trainings at a time; 0: as many as there are threads, on a GPU one")
      ->capture_default_str()
      ->check(cli::range(0, 1e3));
  app.add_option("--device", o.train.device, cli::device_help)->capture_default_str();
  app.add_option("--threads", o.threads, "Threads of all together; 0: all that the machine offers")
      ->capture_default_str()
      ->check(cli::range(0, tandem::cpu::max_threads));
  cli::OptionTable table = dcl::option_table(o.train);
  for (const auto& option : table.options()) {
    if (!reproduce::offered(*option)) continue;
    CLI::Option* added = option->add_to(app);
    if (!option->is_flag()) added->default_str("");
  }
  cli::add_simulation_options(app, o.simulation);
  cli::add_config(app);
  return cli::run(app, argc, argv, [&] {
    cli::saying_what_takes_less("a smaller --batch, --crop, --width or --layers takes less",
                                [&] { reproduce::Program(o, table).run(); });
  });
}

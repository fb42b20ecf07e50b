#pragma once
/// Runs the cells that have no result yet, several at a time. What cells share is done once: the
/// warm-up of a world and seed, and the training of those that only differ in how they are judged.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "../dcl_branches.hpp"
#include "cell.hpp"
#include "tandem/io/checkpoint.hpp"

namespace reproduce {

/// Cells of one training.
struct Job {
  std::vector<const Cell*> cells;
  bool keep = false;  ///< the branches: some table judges them in several ways

  const Cell& first() const { return *cells.front(); }
  /// Steps between the measurements of which the best one counts; 0: the end counts.
  std::int64_t best_every() const { return first().judging.best_every; }
  /// The cell that is measured after every round, null where all are of the end only.
  const Cell* followed() const {
    for (const Cell* cell : cells) {
      if (!cell->judged_elsewise) return cell;
    }
    return nullptr;
  }
};

/// How much there is to do: training steps, and measurements, of which each counts as ten steps.
struct Work {
  std::int64_t steps = 0, measurements = 0;
  std::int64_t units() const { return steps + 10 * measurements; }
};

/// Data and branches of a training, as train_dcl makes them.
class Run {
 public:
  Run(const dcl::Options& o)
      : options_(o),
        data_(dcl::open_data(options_)),
        train_(*data_.train, o.concat_clip),
        test_(*data_.test, o.concat_clip),
        random_(o.train.seed),
        branches_(options_, data_, random_),
        trainer_(options_.train, branches_.cbp(), branches_.vlp()) {}
  Trainer<float>& trainer() { return trainer_; }

  template <class Visit>
  Measurement measure(const Cell& cell, std::int64_t round, bool labels, Visit&& visit) {
    Measurement out = reproduce::measure(
        branches_.cbp(), branches_.vlp(), train_, test_,
        {.train = options_.train,
         .ways = ways_of(cell.options),
         .evaluation = {.protocol = data_.protocol, .seconds_per_row = data_.index_seconds},
         .labels = labels,
         .chance = cell.judging.chance},
        trainer_.calibration(), std::forward<Visit>(visit));
    out.round = round;
    return out;
  }
  /// finish_training().
  template <class Tick, class Closed>
  void finish(Tick&& tick, Closed&& closed, std::int64_t every = 0) {
    finish_training(trainer_, train_, data_.train_lengths, every, tick, closed);
  }

 private:
  dcl::Options options_;
  dcl::Data data_;
  ConcatSource train_, test_;
  Generator random_;
  dcl::Branches branches_;
  Trainer<float> trainer_;
};

class Runner {
 public:
  /// `base_warm_up`: steps after which runs with a longer warm-up go on from the shared state.
  Runner(const std::vector<World>& worlds, const Store& store, std::int64_t base_warm_up)
      : worlds_(worlds), store_(store), base_warm_up_(base_warm_up) {}

  /// Steps of warm-up that a cell shares with others; 0: it has none.
  std::int64_t shared_steps(const Cell& cell) const {
    const TrainerOptions& t = cell.options.train;
    if (t.variant == Variant::vanilla_vlp) return 0;
    return t.warm_up_steps >= base_warm_up_ ? base_warm_up_ : t.warm_up_steps;
  }

  /// What the jobs of these cells will cost, warm-ups that are missing included.
  Work work(const std::vector<Job>& jobs) const {
    Work out;
    std::set<std::string> warm_ups;
    for (const Job& job : jobs) {
      const Cell& first = job.first();
      out.measurements += static_cast<std::int64_t>(job.cells.size());
      if (first.boosting) {
        const std::int64_t every = job.best_every(), steps = first.boosting->train.steps;
        out.steps += steps;
        if (every > 0) out.measurements += steps / every;
        continue;
      }
      if (trained(job)) continue;
      const std::vector<Phase> phases = training_phases(first.options.train);
      if (phases.empty()) continue;
      if (const std::int64_t every = job.best_every(); every > 0) {
        out.steps += phases.back().end;
        out.measurements += phases.back().end / every;
        continue;
      }
      const std::int64_t shared = shared_steps(first);
      out.steps += phases.back().end - shared;
      if (job.followed() != nullptr) out.measurements += phases.back().round;
      if (shared == 0) continue;
      const std::string path = store_.warm_up(key(first));
      if (!io::is_file(path) && warm_ups.insert(path).second) out.steps += shared;
    }
    return out;
  }

  /// Runs all jobs, `workers` at a time. `advance(units, note)` from any thread, one at a time.
  /// Stops at a signal: what is finished is kept, the rest is for the next call.
  void run(const std::vector<Job>& jobs, std::size_t workers,
           const std::function<void(std::int64_t, const std::string&)>& advance) {
    advance_ = advance;
    // Warm-ups first, so that nobody waits for one; each job finds it done, or does it.
    std::vector<const Cell*> warm_ups;
    std::set<std::string> seen;
    for (const Job& job : jobs) {
      const Cell& first = job.first();
      if (!first.boosting && shared_steps(first) > 0 && !trained(job) && job.best_every() == 0 &&
          seen.insert(store_.warm_up(key(first))).second)
        warm_ups.push_back(&first);
    }
    std::atomic<std::size_t> next = 0;
    std::atomic<bool> failed = false;
    const std::size_t all = warm_ups.size() + jobs.size();
    std::vector<std::future<void>> threads;
    for (std::size_t i = 0; i < std::min(workers, all); ++i) {
      threads.push_back(std::async(std::launch::async, [&] {
        try {
          for (std::size_t n = next++; n < all && !failed; n = next++) {
            if (n < warm_ups.size()) {
              try {
                warm_up(*warm_ups[n]);
              } catch (const Diverged&) {  // as will be seen by whoever goes on from there
              }
            } else {
              run(jobs[n - warm_ups.size()]);
            }
          }
        } catch (...) {
          failed = true;
          throw;
        }
      }));
    }
    std::exception_ptr first;
    for (std::future<void>& thread : threads) {
      try {
        thread.get();
      } catch (...) {
        if (!first) first = std::current_exception();
      }
    }
    if (first) std::rethrow_exception(first);
  }

  /// Seconds, on one thread: of a run before its first step, of a step, the mean of the three
  /// kinds, and of a measurement.
  struct Pace {
    double start, step, measurement;
  };
  Pace probe(const World& world) const {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point opened = Clock::now();
    dcl::Options o = world.options;
    o.train.warm_up_steps = o.train.b_steps = o.train.f_steps = 2;
    o.train.first_b_steps = 0;
    o.train.rounds = 1;
    dcl::finish_options(o);
    Run run(o);
    const Cell cell{.options = o};
    double judging = 0;
    const Clock::time_point begin = Clock::now();
    run.finish([this](std::int64_t, const Phase&, const StepReport&) { stop_.check(); },
               [&](std::int64_t round) {
                 const Clock::time_point before = Clock::now();
                 (void)run.measure(cell, round, true, [this] { stop_.check(); });
                 judging += std::chrono::duration<double>(Clock::now() - before).count();
               });
    const double all = std::chrono::duration<double>(Clock::now() - begin).count();
    const double start = std::chrono::duration<double>(begin - opened).count();
    return {start, (all - judging) / 6, judging / 2};
  }

 private:
  io::Json key(const Cell& cell) const {
    return warm_up_key(worlds_[cell.world], cell.options, shared_steps(cell));
  }
  /// Whether the branches are there, which is enough where nothing is measured on the way.
  bool trained(const Job& job) const {
    return job.followed() == nullptr && job.best_every() == 0 &&
           io::is_file(store_.model(job.first()));
  }

  std::string note(const Cell& cell, const std::string& what) const {
    return concat(worlds_[cell.world].name, ", seed ", cell.seed, ": ", what);
  }
  void advance(std::int64_t units, const std::string& note) {
    const std::scoped_lock lock(mutex_);
    advance_(units, note);
  }
  std::mutex& mutex_of(const std::string& path) {
    const std::scoped_lock lock(mutex_);
    std::unique_ptr<std::mutex>& one = warm_up_mutexes_[path];
    if (!one) one = std::make_unique<std::mutex>();
    return *one;
  }

  /// Makes sure that the state after the warm-up is there.
  void warm_up(const Cell& cell) {
    const io::Json warm_key = key(cell);
    const std::string path = store_.warm_up(warm_key);
    const std::scoped_lock lock(mutex_of(path));
    if (io::is_file(path)) return;
    dcl::Options o = cell.options;
    const std::int64_t total = o.train.schedule.total;
    o.train.variant = Variant::warm_up;
    o.train.warm_up_steps = shared_steps(cell);
    // Both branches, though the cell may need one: whatever goes on from here finds its own.
    o.inference.fusion = Fusion::mean;
    o.train.schedule.total = total;
    Run run(o);
    run.finish(
        [&](std::int64_t, const Phase&, const StepReport& report) {
          stop_.check();
          advance(1, note(cell, concat("warm-up, loss ", cli::fixed(report.total, 3))));
        },
        [](std::int64_t) {});
    io::save_checkpoint<float>(path, {.tensors = run.trainer().state(),
                                      .counters = run.trainer().counters(),
                                      .options = io::json_text(warm_key)});
  }

  static void load(Run& run, const std::string& from, const io::Json& expected) {
    Store::whole(from, [&](const std::string& path) {
      const io::Checkpoint<float> saved = io::load_checkpoint<float>(path);
      if (saved.options != io::json_text(expected))
        throw Error("it is of another run than its name says");
      run.trainer().load(saved.tensors, saved.counters);
    });
  }

  /// A training that diverges is a result, and does not keep the others from theirs.
  void run(const Job& job) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point begin = Clock::now();
    const auto seconds = [&] {
      return std::chrono::duration<double>(Clock::now() - begin).count();
    };
    std::vector<Measurement> rounds;
    try {
      run(job, rounds, seconds);
    } catch (const Diverged& diverged) {
      for (const Cell* cell : job.cells) {
        const std::int64_t last = last_round(*cell);
        std::vector<Measurement> reached;
        if (cell == job.followed()) reached = rounds;
        for (std::int64_t r = cell == job.followed() ? std::int64_t(reached.size()) : last;
             r <= last; ++r) {
          reached.emplace_back();
          reached.back().round = r;
        }
        store_.write(*cell, reached, seconds(), diverged.what());
        advance(0, note(*cell, "diverged"));
      }
    }
  }

  template <class Seconds>
  void run(const Job& job, std::vector<Measurement>& rounds, const Seconds& seconds) {
    const Cell& first = job.first();
    if (first.boosting) return boosting_run(job, seconds);
    const Cell* const followed = job.followed();
    const auto visit = [this] { stop_.check(); };
    Run run(first.options);
    if (job.best_every() > 0) return best_of_run(job, run, seconds);
    const io::Json training = training_key(worlds_[first.world], first.options);
    if (trained(job)) {
      load(run, store_.model(first), training);
    } else {
      const auto close = [&](std::int64_t round) {
        if (followed == nullptr) return;
        rounds.push_back(run.measure(*followed, round, true, visit));
        advance(10, note(first, concat("after round ", round)));
      };
      const std::int64_t shared = shared_steps(first);
      if (shared > 0) {
        warm_up(first);
        load(run, store_.warm_up(key(first)), key(first));
      }
      const bool warm = first.options.train.variant == Variant::vanilla_vlp ||
                        shared == first.options.train.warm_up_steps;
      if (warm) close(0);
      run.finish(
          [&](std::int64_t, const Phase& phase, const StepReport& report) {
            stop_.check();
            advance(1, note(first, concat(phase.name(), " of round ", phase.round, ", loss ",
                                          cli::fixed(report.total, 3))));
          },
          close);
      if (job.keep && run.trainer().total_steps() > 0) {
        io::save_checkpoint<float>(store_.model(first), {.tensors = run.trainer().state(),
                                                         .counters = run.trainer().counters(),
                                                         .options = io::json_text(training)});
      }
      if (followed != nullptr) store_.write(*followed, rounds, seconds());
    }
    for (const Cell* cell : job.cells) {
      if (cell == followed) continue;
      store_.write(*cell, {run.measure(*cell, last_round(*cell), false, visit)}, seconds());
      advance(10, note(*cell, "judged in another way"));
    }
  }
  /// Measures on the test videos every few steps of the whole run, warm-up included, and keeps the
  /// best. A run of its own: shared warm-ups were not measured on the way.
  template <class Seconds>
  void best_of_run(const Job& job, Run& run, const Seconds& seconds) {
    const Cell& cell = job.first();
    Measurement best;
    const auto judge = [&] {
      const Measurement now = run.measure(cell, last_round(cell), false, [this] { stop_.check(); });
      keep_best(best, now, run.trainer().steps());
      advance(10, note(cell, concat("after step ", run.trainer().steps())));
    };
    if (run.trainer().finished()) judge();  // nothing to train: the only step is none
    run.finish(
        [&](std::int64_t step, const Phase&, const StepReport& report) {
          stop_.check();
          advance(1, note(cell, concat("loss ", cli::fixed(report.total, 3))));
          if (step % job.best_every() == 0 || step == run.trainer().total_steps()) judge();
        },
        [](std::int64_t) {}, job.best_every());
    store_.write(cell, {best}, seconds());
  }
  /// A training of Boosting-WTAL, judged at its end in every way that is asked for, or on the way.
  template <class Seconds>
  void boosting_run(const Job& job, const Seconds& seconds) {
    const Cell& first = job.first();
    const dcl::Data data = boosting::open_data(*first.boosting);
    boosting::Run run(*first.boosting, data);
    const auto measured = [&](const Cell& cell) {
      const DetectionSet found = run.detect([this](std::size_t) { stop_.check(); });
      Measurement out;
      out.scores.push_back(
          judge("cbp", found, data.test->truth(), data.options(), cell.judging.chance));
      return out;
    };
    Measurement best;
    const std::int64_t every = job.best_every();
    while (!run.trainer().finished()) {
      stop_.check();
      const BoostingReport report = run.step();
      const std::int64_t step = run.trainer().steps();
      advance(1, note(first, concat("Boosting-WTAL, loss ", cli::fixed(report.tsm, 3))));
      if (every == 0 || (step % every != 0 && !run.trainer().finished())) continue;
      keep_best(best, measured(first), step);
      advance(10, note(first, concat("after step ", step)));
    }
    for (const Cell* cell : job.cells) {
      store_.write(*cell, {every > 0 ? best : measured(*cell)}, seconds());
      if (every == 0) advance(10, note(*cell, "Boosting-WTAL"));
    }
  }
  static std::int64_t last_round(const Cell& cell) {
    if (cell.boosting) return 0;
    const std::vector<Phase> phases = training_phases(cell.options.train);
    return phases.empty() ? 0 : phases.back().round;
  }

  const std::vector<World>& worlds_;
  const Store& store_;
  std::int64_t base_warm_up_;
  std::function<void(std::int64_t, const std::string&)> advance_;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<std::mutex>> warm_up_mutexes_;
  cli::StopSignals stop_;
};

}  // namespace reproduce

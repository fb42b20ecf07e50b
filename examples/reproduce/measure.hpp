#pragma once
/// A run of the trainer from where it stands to its end, and what its branches are worth on the
/// way.

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/wtal/detect/evaluation.hpp"
#include "tandem/wtal/detect/inference.hpp"
#include "tandem/wtal/detect/label_census.hpp"
#include "tandem/wtal/train/trainer.hpp"

namespace reproduce {

using namespace tandem;
using namespace tandem::wtal;

/// IoU of pseudo-labels with the annotation, means over (video, class); NaN without any.
struct LabelQuality {
  double foreground = std::numeric_limits<double>::quiet_NaN();
  double background = std::numeric_limits<double>::quiet_NaN();
};

/// How a branch labels the training videos.
struct BranchLabels {
  LabelQuality thresholds = {};  ///< by δ_h and δ_l
  LabelQuality taught = {};      ///< by the rule that teaches the other branch
  double called = 0;             ///< share of the frames called foreground, p > δ_h
  double all_or_none = 0;        ///< share of the videos in which none or nearly all are
};

/// mAP of the test videos by one way of inference, as fractions.
struct Score {
  std::string fusion;
  std::vector<double> thresholds = {}, map = {};  ///< tIoU and mAP there
  std::vector<AverageMap> averages = {};
  std::int64_t step = -1;  ///< after which step; -1: after the round's last one
  /// What papers report: the mean over tIoU 0.3 to 0.7 (THUMOS14) or over all (ActivityNet).
  double main() const {
    for (const AverageMap& a : averages) {
      if (a.range == "0.3:0.7" || a.range == "0.5:0.95") return a.value;
    }
    return averages.at(0).value;
  }
};

/// A run after its warm-up (round 0) or after a round.
struct Measurement {
  std::int64_t round = 0;
  std::optional<BranchLabels> cbp = {}, vlp = {};
  double agreement = std::numeric_limits<double>::quiet_NaN();
  std::vector<Score> scores = {};

  const Score* find(std::string_view fusion) const {
    for (const Score& score : scores) {
      if (score.fusion == fusion) return &score;
    }
    return nullptr;
  }
};

/// What is measured, and how.
struct Measure {
  const TrainerOptions& train;
  std::vector<InferenceOptions> ways;  ///< one score each
  EvaluationOptions evaluation;
  bool labels = true;   ///< of the training videos too
  bool chance = false;  ///< each video gets what was found in another
};

/// Chance: what was found in each video is said of another, in a random circle through all of them.
/// The scores are those of the method, as many and as long, and know nothing of the video; a class
/// that is frequent stays frequent.
inline DetectionSet of_other_videos(const DetectionSet& found, Generator& random) {
  const auto count = static_cast<std::int64_t>(found.videos.size());
  const std::vector<std::int64_t> order = randperm(count, random);
  DetectionSet out{.classes = found.classes, .videos = found.videos};
  for (std::size_t i = 0; i < order.size(); ++i) {
    out.videos[static_cast<std::size_t>(order[i])].detections =
        found.videos[static_cast<std::size_t>(order[(i + 1) % order.size()])].detections;
  }
  return out;
}

/// Draws of of_other_videos(), of which a chance is the mean.
inline constexpr int chance_draws = 10;

/// The mean mAP of evaluations by the same protocol.
inline Score mean_score(std::string name, const std::vector<Evaluation>& all) {
  Score out{.fusion = std::move(name),
            .thresholds = all.at(0).thresholds,
            .map = std::vector<double>(all[0].map.size()),
            .averages = all[0].averages};
  for (AverageMap& a : out.averages) a.value = 0;
  const auto count = static_cast<double>(all.size());
  for (const Evaluation& e : all) {
    for (std::size_t i = 0; i < e.map.size(); ++i) out.map[i] += e.map[i] / count;
    for (std::size_t i = 0; i < e.averages.size(); ++i)
      out.averages[i].value += e.averages[i].value / count;
  }
  return out;
}

/// What detections are worth; by chance: as those of other videos, the mean of several draws.
inline Score judge(std::string name, const DetectionSet& found, const GroundTruth& truth,
                   const EvaluationOptions& options, bool chance) {
  std::vector<Evaluation> all;
  Generator random(0);
  for (int draw = 0; draw < (chance ? chance_draws : 1); ++draw)
    all.push_back(evaluate(truth, chance ? of_other_videos(found, random) : found, options));
  return mean_score(std::move(name), all);
}

/// Measures branches, of which one may be null where none of the ways asks it. `shares` is what
/// calibrated pseudo-labels keep, undefined before. `visit()` before each video.
template <class Visit>
Measurement measure(Branch<float>* cbp, Branch<float>* vlp, const VideoSource& train,
                    const VideoSource& test, const Measure& what, const Tensor<float>& shares,
                    Visit&& visit) {
  const nn::Evaluating<float> evaluating{cbp, vlp};
  const TrainerOptions& t = what.train;
  const PseudoLabelOptions taught = t.pseudo.judging(shares.defined());
  PseudoLabelOptions thresholds = t.pseudo;
  thresholds.rule = PseudoLabelRule::thresholds;
  Measurement out;
  std::vector<LabelCensus> censuses;
  const auto labels = [&](const Branch<float>& branch, Reading reading, auto&& rows) {
    PseudoLabelQuality fixed, own;
    LabelCensus census(t.pseudo.high, t.pseudo.low);
    const auto read = [&](std::size_t v) { return visit(), rows(v); };
    for_each_scored(branch, train, read, reading, [&](std::size_t v, const Tensor<float>& p) {
      const VideoTruth& truth = train.truth().videos[v];
      census.add(p, truth);
      if (truth.instances.empty()) return;
      judge_video(fixed, train, v, p, thresholds);
      judge_video(own, train, v, p, taught, shares);
    });
    censuses.push_back(census);
    return BranchLabels{.thresholds = {fixed.foreground(), fixed.background()},
                        .taught = {own.foreground(), own.background()},
                        .called = census.foreground(),
                        .all_or_none = census.all_or_none()};
  };
  if (what.labels && cbp != nullptr)
    out.cbp = labels(*cbp, t.cbp_reading, [&](std::size_t v) { return train.i3d(v); });
  if (what.labels && vlp != nullptr)
    out.vlp = labels(*vlp, t.vlp_reading, [&](std::size_t v) { return train.clip(v); });
  if (censuses.size() == 2) out.agreement = censuses[0].agreement(censuses[1]);

  const std::vector<DetectionSet> found =
      detect<float>(cbp, vlp, test, std::span(what.ways.data(), what.ways.size()),
                    [&](std::size_t, std::size_t) { visit(); });
  for (std::size_t i = 0; i < found.size(); ++i) {
    out.scores.push_back(judge(std::string(fusion_name(what.ways[i].fusion)), found[i],
                               test.truth(), what.evaluation, what.chance));
  }
  return out;
}

/// Keeps of each way the score with the higher mAP: the best of a run by the test videos.
inline void keep_best(Measurement& best, const Measurement& now, std::int64_t step) {
  best.round = now.round;
  for (const Score& score : now.scores) {
    Score candidate = score;
    candidate.step = step;
    bool known = false;
    for (Score& kept : best.scores) {
      if (kept.fusion != score.fusion) continue;
      known = true;
      if (score.main() > kept.main()) kept = candidate;
    }
    if (!known) best.scores.push_back(std::move(candidate));
  }
}

/// Makes the steps that are left. `tick(step, phase, report)` for every step, counted from 1: on a
/// GPU when the next one is under way, but at once where `step` is a multiple of `every` (0: none).
/// `closed(round)` when the warm-up (round 0) or a round is over.
template <class Tick, class Closed>
void finish_training(Trainer<float>& trainer, const VideoSource& train,
                     const std::vector<std::int64_t>& lengths, std::int64_t every, Tick&& tick,
                     Closed&& closed) {
  const TrainingSampler sampler = trainer.sampler(lengths, train.truth());
  if (!trainer.finished()) {
    if (const std::string note = trainer.keep_rows(train, lengths); !note.empty())
      warn("reproduce", note);
  }
  std::optional<std::pair<Phase, PendingReport<float>>> started;  // of the step before the next
  const auto take = [&](std::int64_t step) {
    if (!started) return;
    auto [phase, report] = *std::exchange(started, std::nullopt);
    tick(step, phase, report.get());
  };
  while (!trainer.finished()) {
    const Phase phase = trainer.current_phase();
    if (trainer.needs_calibration()) trainer.calibrate(train);
    const PendingReport<float> now = trainer.start_step(train, sampler.crops(trainer.steps()));
    const std::int64_t step = trainer.steps();
    take(step - 1);
    started.emplace(phase, now);
    const bool over = trainer.finished() || trainer.current_phase().round != phase.round;
    if (trainer.device().is_cpu() || over || (every > 0 && step % every == 0)) take(step);
    if (over) closed(phase.round);
  }
}

}  // namespace reproduce

#pragma once
/// The length of every row of a data set in seconds, and whether the annotation agrees with it.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tandem/features/provenance.hpp"
#include "tandem/tensor/finite.hpp"
#include "tandem/wtal/data/types.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// Seconds per row of the videos of a data set.
struct RowLengths {
  std::vector<double> seconds;  ///< per video
  RowLengthSource source = RowLengthSource::convention;
  bool random_weights = false;  ///< of the encoders, says the provenance

  /// The length that all videos share; 0 when they differ (features at the videos' own frame
  /// rates).
  double uniform() const {
    if (seconds.empty()) return 0;
    const auto [low, high] = std::minmax_element(seconds.begin(), seconds.end());
    return same_row_length(*low, *high) ? seconds[0] : 0;
  }
  /// "rows of 0.32 s, as extract_features wrote beside the features"
  std::string description() const {
    if (seconds.empty()) return "no rows";
    const auto [low, high] = std::minmax_element(seconds.begin(), seconds.end());
    return concat("rows of ", *low, uniform() > 0 ? std::string() : concat(" to ", *high), " s, ",
                  row_length_source(source));
  }
};

/// find_row_lengths — per video what extract_features wrote; else `given`, if above 0; else the
/// convention.
///
/// `rows[v]` and `features` (paths of feature files or folders) belong to truth.videos[v]. Errors:
/// a provenance that `given`, another provenance of the video, or the number of its rows
/// contradicts; some videos with a provenance that is not the convention's and others without,
/// unless `given` says what these have.
inline RowLengths find_row_lengths(const GroundTruth& truth, const std::vector<std::int64_t>& rows,
                                   const std::vector<std::string>& features, double given = 0,
                                   std::int64_t max_row_difference = 4) {
  TANDEM_CHECK(given >= 0 && is_finite(given), "dataset", "a row lasts longer than 0 seconds, got ",
               given);
  RowLengths out;
  std::string known, unknown;  // a video with and one without
  std::size_t without = 0;
  for (std::size_t v = 0; v < truth.videos.size(); ++v) {
    std::optional<RowProvenance> found;
    for (const std::string& path : features) {
      const std::optional<RowProvenance> here = read_provenance(path, truth.videos[v].id);
      if (!here) continue;
      TANDEM_CHECK(!found || same_row_length(found->seconds_per_row, here->seconds_per_row),
                   "dataset", found->path, " has rows of ", found->seconds_per_row, " s, ",
                   here->path, " of ", here->seconds_per_row,
                   " s: I3D and CLIP rows must be of the same frames");
      TANDEM_CHECK(
          here->rows == 0 || std::abs(here->rows - rows[v]) <= max_row_difference, "dataset",
          here->path, " describes ", here->rows, " rows, the features of video ",
          truth.videos[v].id, " have ", rows[v],
          ": they are of different runs; extract them again, or remove what is not theirs");
      found = here;
    }
    if (!found) {
      ++without;
      if (unknown.empty()) unknown = truth.videos[v].id;
      out.seconds.push_back(given > 0 ? given : conventional_seconds_per_row);
      continue;
    }
    TANDEM_CHECK(given == 0 || same_row_length(found->seconds_per_row, given), "dataset",
                 found->path, " says that a row lasts ", found->seconds_per_row,
                 " s, --seconds-per-row says ", given,
                 " s; leave the option out, or remove the file if it is not of these features");
    if (known.empty()) known = found->path;
    out.seconds.push_back(found->seconds_per_row);
    out.random_weights = out.random_weights || found->random_weights;
  }
  out.source = !known.empty() ? RowLengthSource::provenance
               : given > 0    ? RowLengthSource::option
                              : RowLengthSource::convention;
  if (!known.empty() && without > 0 && given == 0) {
    TANDEM_CHECK(same_row_length(out.uniform(), conventional_seconds_per_row), "dataset", known,
                 " says how long a row is, for ", without, " videos nothing does (", unknown,
                 "); say it with --seconds-per-row, or extract them alike");
  }
  return out;
}

namespace detail {

/// How the rows of some videos go with their annotation.
struct RowLengthTally {
  /// Of the videos that do not fit: seconds of the rows / seconds annotated
  std::vector<double> factors;
  std::size_t timed = 0;  ///< videos with a duration
  std::size_t ended = 0,
              short_of = 0;  ///< those without, and of these with segments behind the end
  std::string example, cut;  ///< the first of each that does not fit

  void add(const VideoTruth& video, std::int64_t rows, double row) {
    const double seconds = row * static_cast<double>(rows);
    if (video.duration > 0) {
      ++timed;
      if (std::fabs(seconds - video.duration) <= 0.1 * video.duration + 2 * row) return;
      factors.push_back(seconds / video.duration);
      if (example.empty()) {
        example = concat(video.id, ": ", rows, " rows of ", row, " s are ", seconds,
                         " s, the annotation says ", video.duration, " s");
      }
      return;
    }
    double last = 0;
    for (const Instance& instance : video.instances) last = std::max(last, instance.segment.end);
    if (last <= 0) return;
    ++ended;
    if (last <= 1.1 * seconds + 2 * row) return;
    ++short_of;
    if (cut.empty()) {
      cut = concat(video.id, ": ", rows, " rows of ", row, " s are ", seconds,
                   " s, its last segment ends at ", last, " s");
    }
  }

  /// Throws where most do not fit in the same way, and at least `least` of them. `of` says which
  /// videos these are.
  void check(const std::string& of, std::size_t least, const RowLengths& lengths) const {
    const std::string advice =
        concat(" (", lengths.description(),
               "); --seconds-per-row says how long a row is, if the "
               "features are not of another cut of the videos or the times not seconds");
    TANDEM_CHECK(2 * short_of <= ended || short_of < least, "dataset", short_of, " of ", ended, of,
                 " videos have segments behind the end of their features; ", cut, advice);
    if (2 * factors.size() <= timed) return;
    std::vector<double> sorted = factors;
    std::sort(sorted.begin(), sorted.end());
    const double middle = sorted[sorted.size() / 2];
    const auto alike =
        static_cast<std::size_t>(std::count_if(factors.begin(), factors.end(), [&](double f) {
          return std::fabs(f / middle - 1) <= 0.1;
        }));
    TANDEM_CHECK(2 * alike <= timed ||
                         alike<least, "dataset", alike, " of ", timed, of,
                               " videos have features that last ", std::round(middle * 1000) / 1000,
                               " times as long as their annotation says; ", example, advice,
                               lengths.uniform()> 0
                     ? concat("; with ", std::round(lengths.uniform() / middle * 1000) / 1000,
                              " s a row they would agree")
                     : "");
  }
};

}  // namespace detail

/// check_row_lengths — holds rows × seconds against what is annotated: a video's duration, or else
/// the end of its last segment, which the rows must reach.
///
/// A video fits when both agree within a tenth and two rows. Error, naming both: of all videos, or
/// of those of one subset (two or more), more than half of those with a duration do not fit, and
/// most of these by one factor (rows of another length, durations in frames …); or more than half
/// of those without end before their last segment. `notes` gets a sentence where a quarter or more
/// do not fit, each by its own factor, and where no segment reaches beyond half of its video's
/// rows.
inline void check_row_lengths(const GroundTruth& truth, const std::vector<std::int64_t>& rows,
                              const RowLengths& lengths, std::vector<std::string>& notes) {
  detail::RowLengthTally all;
  std::vector<std::pair<std::string, detail::RowLengthTally>> subsets;
  for (const std::string& name : truth.subsets())
    subsets.emplace_back(name, detail::RowLengthTally());
  std::size_t reach = 0;
  double furthest = 0;
  for (std::size_t v = 0; v < truth.videos.size(); ++v) {
    const VideoTruth& video = truth.videos[v];
    const double row = lengths.seconds[v], seconds = row * static_cast<double>(rows[v]);
    double last = 0;
    for (const Instance& instance : video.instances) last = std::max(last, instance.segment.end);
    if (last > 0) {
      furthest = std::max(furthest, last / seconds);
      ++reach;
    }
    all.add(video, rows[v], row);
    for (auto& [name, tally] : subsets) {
      if (name == video.subset) tally.add(video, rows[v], row);
    }
  }
  all.check("", 1, lengths);
  // Two alike: that a single video is cut otherwise is nothing systematic.
  for (const auto& [name, tally] : subsets) tally.check(concat(" '", name, "'"), 2, lengths);
  if (4 * all.factors.size() >= all.timed && !all.factors.empty()) {
    notes.push_back(concat(all.factors.size(), " of ", all.timed,
                           " videos have features that are longer or shorter than the "
                           "annotation says; ",
                           all.example));
  }
  if (reach >= 10 && furthest < 0.5) {
    notes.push_back(concat("no segment reaches beyond ", std::round(furthest * 100),
                           " % of its video's rows (", lengths.description(),
                           "): is a row that long?"));
  }
}

}  // namespace wtal
TANDEM_NAMESPACE_END

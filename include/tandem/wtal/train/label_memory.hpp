#pragma once
/// What a frozen teacher said before.
///
/// A teacher stands still for a whole phase, so its pseudo-labels of a crop are the same whenever
/// the crop comes again; and a video shorter than T is always the same crop. The teacher's forward,
/// a third of a step's work, is then done once per phase instead of once per epoch. Exact: the
/// scores of a video do not depend on the other videos of its batch, and its H is a function of
/// them.

#include <cstdint>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "tandem/tensor/factory.hpp"
#include "tandem/wtal/data/batch.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// H of crops, a byte per frame and class of the label; h = 0 in all other classes.
class LabelMemory {
 public:
  void clear() { entries_.clear(); }

  /// Whether H of exactly these rows is known.
  bool knows(const Crop& crop) const { return entries_.count(key(crop)) > 0; }

  /// Keeps row `b` of h (B, T, C) as the labels of `crop`, of whose video `labels` (C) are the
  /// classes.
  template <FloatingElement T>
  void keep(const Crop& crop, const Tensor<std::int32_t>& h, std::int64_t b, const T* labels) {
    const std::int64_t frames = h.size(1), classes = h.size(2);
    const std::int32_t* from = h.data() + b * frames * classes;
    Entry entry;
    for (std::int64_t c = 0; c < classes; ++c) {
      if (labels[c] > T(0)) entry.classes.push_back(c);
    }
    for (std::int64_t t = 0; t < crop.rows; ++t) {
      for (std::int64_t c : entry.classes)
        entry.h.push_back(static_cast<std::int8_t>(from[t * classes + c]));
    }
    entries_[key(crop)] = std::move(entry);
  }

  /// H (B, T, C) of a batch whose crops are all known; padded frames are −1 in every class.
  Tensor<std::int32_t> recall(const std::vector<Crop>& crops, std::int64_t frames,
                              std::int64_t classes) const {
    const auto videos = static_cast<std::int64_t>(crops.size());
    Tensor<std::int32_t> h = zeros<std::int32_t>({videos, frames, classes});
    std::int32_t* to = h.mutable_data();
    for (const Crop& crop : crops) {
      TANDEM_CHECK(knows(crop), "label_memory", "nothing is known of rows ", crop.begin, " to ",
                   crop.begin + crop.rows, " of video ", crop.video);
      const Entry& entry = entries_.at(key(crop));
      const std::int8_t* from = entry.h.data();
      for (std::int64_t t = 0; t < frames; ++t, to += classes) {
        if (t < crop.rows) {
          for (std::int64_t c : entry.classes) to[c] = *from++;
        } else {
          for (std::int64_t c = 0; c < classes; ++c) to[c] = -1;
        }
      }
    }
    return h;
  }

 private:
  using Key = std::tuple<std::size_t, std::int64_t, std::int64_t>;
  static Key key(const Crop& crop) { return {crop.video, crop.begin, crop.rows}; }
  struct Entry {
    std::vector<std::int64_t> classes;
    std::vector<std::int8_t> h;  // (rows, classes)
  };
  std::map<Key, Entry> entries_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END

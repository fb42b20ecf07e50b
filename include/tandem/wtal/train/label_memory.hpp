#pragma once
/// What a frozen teacher said before.
///
/// A teacher stands still for a whole phase, so its pseudo-labels of a crop are the same whenever
/// the crop comes again; and a video shorter than T is always the same crop. The teacher's forward,
/// a third of a step's work, is then done once per phase instead of once per epoch. Exact: the
/// scores of a video do not depend on the other videos of its batch, and its H is a function of
/// them.

#include <algorithm>
#include <cstdint>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "tandem/ops/parts/common.hpp"
#include "tandem/tensor/factory.hpp"
#include "tandem/wtal/data/batch.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// H of crops, a byte per frame and class of the label; h = 0 in all other classes.
class LabelMemory {
 public:
  /// Forgets everything: the teacher has changed.
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

namespace detail {

template <class T>
void keep_labels_on_cpu(std::uint8_t* memory, const T* h, const std::int64_t* places,
                        std::int64_t videos, std::int64_t frames, std::int64_t classes,
                        std::int64_t room) {
  for (std::int64_t b = 0; b < videos; ++b) {
    if (places[b] < 0) continue;
    for (std::int64_t i = 0; i < frames * classes; ++i) {
      memory[places[b] * room * classes + i] =
          static_cast<std::uint8_t>(h[b * frames * classes + i] + 1);
    }
  }
}
template <class T>
void recall_labels_on_cpu(T* h, const std::uint8_t* memory, const std::int64_t* places,
                          const bool* valid, std::int64_t videos, std::int64_t frames,
                          std::int64_t classes, std::int64_t room) {
  for (std::int64_t i = 0; i < videos * frames * classes; ++i) {
    const std::int64_t b = i / (frames * classes), at = i % (frames * classes);
    h[i] = valid[i / classes] ? T(memory[places[b] * room * classes + at]) - 1 : T(-1);
  }
}

/// memory (…, room, classes) at places[b] = h + 1 (videos, frames, classes) of video b; nothing
/// where the place is negative.
template <class T>
inline const Kernel<void(Queue&, std::uint8_t* memory, const T* h, const std::int64_t* places,
                         std::int64_t videos, std::int64_t frames, std::int64_t classes,
                         std::int64_t room)>
    keep_labels{"keep_labels", keep_labels_on_cpu<T>};
/// And back; −1 on padding.
template <class T>
inline const Kernel<void(Queue&, T* h, const std::uint8_t* memory, const std::int64_t* places,
                         const bool* valid, std::int64_t videos, std::int64_t frames,
                         std::int64_t classes, std::int64_t room)>
    recall_labels{"recall_labels", recall_labels_on_cpu<T>};

}  // namespace detail

/// The same for a GPU, whose labels stay there: which crops are known is the host's to say, since
/// it has drawn them, before a step begins. Room for a fixed number of crops, so that its place
/// does not change; those behind are not remembered.
class DeviceLabelMemory {
 public:
  static constexpr std::int64_t most_bytes = std::int64_t{1} << 26;  ///< of GPU memory

  /// Forgets everything: the teacher has changed.
  void clear() { known_.clear(); }

  /// What a step on these crops does: recall() where all are known, else keep() what it has found.
  struct Plan {
    bool recalls = false;
    Tensor<std::int64_t> places;  ///< (B) on the host: of each crop; −1: is not kept
    std::vector<Crop> crops;
  };
  /// `frames`: the longest crop. Makes room on `device` where there is none of this kind.
  Plan plan(const std::vector<Crop>& crops, std::int64_t frames, std::int64_t classes,
            Device device) {
    if (!memory_.defined() || memory_.device() != device || memory_.size(1) < frames ||
        memory_.size(2) != classes) {
      const std::int64_t crop_bytes = std::max<std::int64_t>(1, frames * classes);
      memory_ = Tensor<std::uint8_t>(
          Shape{std::min<std::int64_t>(4096, most_bytes / crop_bytes), frames, classes}, device);
      clear();
    }
    Plan plan{.recalls = true, .places = {}, .crops = crops};
    for (const Crop& crop : crops) plan.recalls = plan.recalls && known_.count(key(crop)) > 0;
    std::vector<std::int64_t> places;
    auto next = static_cast<std::int64_t>(known_.size());
    std::map<Key, std::int64_t> fresh;
    for (const Crop& crop : crops) {
      const auto found = known_.find(key(crop));
      if (plan.recalls) {
        places.push_back(found->second);
        continue;
      }
      const bool keep =
          found == known_.end() && next < memory_.size(0) && fresh.emplace(key(crop), next).second;
      places.push_back(keep ? next++ : -1);
    }
    plan.places = from_vector<std::int64_t>(places);
    return plan;
  }
  /// Call when the step has been put into the queue: its crops are known from now on.
  void know(const Plan& plan) {
    for (std::size_t b = 0; b < plan.crops.size() && !plan.recalls; ++b) {
      const std::int64_t place = plan.places.at({static_cast<std::int64_t>(b)});
      if (place >= 0) known_[key(plan.crops[b])] = place;
    }
  }

  /// places is on the memory's device from here on.
  template <Element T>
  void keep(const Tensor<T>& h, const Tensor<std::int64_t>& places) const {
    detail::keep_labels<T>(memory_.device(), memory_.mutable_device_data(), h.device_data(),
                           places.device_data(), h.size(0), h.size(1), h.size(2), memory_.size(1));
  }
  /// H (B, T, C) of known crops; valid (B, T).
  template <Element T>
  Tensor<T> recall(const Tensor<std::int64_t>& places, const Tensor<bool>& valid) const {
    const Tensor<T> h(Shape{valid.size(0), valid.size(1), memory_.size(2)}, memory_.device());
    detail::recall_labels<T>(memory_.device(), h.mutable_device_data(), memory_.device_data(),
                             places.device_data(), valid.device_data(), h.size(0), h.size(1),
                             h.size(2), memory_.size(1));
    return h;
  }
  /// Where it is, which graphs have by address; null while there is none.
  const void* address() const { return memory_.defined() ? memory_.device_data() : nullptr; }

 private:
  using Key = std::tuple<std::size_t, std::int64_t, std::int64_t>;
  static Key key(const Crop& crop) { return {crop.video, crop.begin, crop.rows}; }

  Tensor<std::uint8_t> memory_;  // (crops, frames, C), h + 1
  std::map<Key, std::int64_t> known_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END

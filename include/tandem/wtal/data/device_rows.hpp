#pragma once
/// DeviceRows — the rows of all videos of a source on a GPU, from which the batch of a step is
/// gathered there: what comes from the host are two numbers a crop.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "tandem/cuda/memory.hpp"
#include "tandem/ops/parts/common.hpp"
#include "tandem/wtal/data/batch.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {
namespace detail {

template <class T>
void gather_crops_on_cpu(T* i3d, T* clip, bool* valid, const T* i3d_rows, const T* clip_rows,
                         const std::int64_t* crops, std::int64_t videos, std::int64_t frames,
                         std::int64_t i3d_columns, std::int64_t clip_columns) {
  const auto gather = [&](T* to, const T* from, std::int64_t b, std::int64_t columns) {
    const std::int64_t n = crops[2 * b + 1] * columns;
    T* const end = std::copy(from + crops[2 * b] * columns, from + crops[2 * b] * columns + n,
                             to + b * frames * columns);
    std::fill(end, to + (b + 1) * frames * columns, T(0));
  };
  for (std::int64_t b = 0; b < videos; ++b) {
    for (std::int64_t t = 0; t < frames; ++t) valid[b * frames + t] = t < crops[2 * b + 1];
    if (i3d_columns > 0) gather(i3d, i3d_rows, b, i3d_columns);
    if (clip_columns > 0) gather(clip, clip_rows, b, clip_columns);
  }
}

/// Crop b of i3d and clip (videos, frames, columns) = crops[2b + 1] rows, at most `frames`, of all
/// rows from crops[2b] on, and zeros behind; valid (videos, frames). 0 columns: not that kind.
template <class T>
inline const Kernel<void(Queue&, T* i3d, T* clip, bool* valid, const T* i3d_rows,
                         const T* clip_rows, const std::int64_t* crops, std::int64_t videos,
                         std::int64_t frames, std::int64_t i3d_columns, std::int64_t clip_columns)>
    gather_crops{"gather_crops", gather_crops_on_cpu<T>};

}  // namespace detail

/// Which kinds of rows somebody reads.
struct Kinds {
  bool i3d = false, clip = false;  ///< one flag for each kind
};

template <FloatingElement T>
class DeviceRows {
 public:
  /// Takes the rows of `source`, whose videos are `lengths` long, to `device`, where they take half
  /// of the memory that is left at most, and waits until they are there. The source must not change
  /// or go. Returns "" or, in a sentence,
  /// why they stay where they are. Errors: a video of another length than `lengths` says.
  std::string keep(const VideoSource& source, const std::vector<std::int64_t>& lengths,
                   Device device, Kinds kinds) {
    *this = {};
    TANDEM_CHECK(lengths.size() == source.size(), "device_rows", "there are ", source.size(),
                 " videos and ", lengths.size(), " lengths");
    if (lengths.empty() || device.is_cpu()) return "";
    const auto columns = [](const Tensor<float>& rows) {
      return rows.defined() && rows.rank() == 2 ? rows.size(1) : std::int64_t{0};
    };
    const std::int64_t i3d = kinds.i3d ? columns(source.i3d(0)) : 0,
                       clip = kinds.clip ? columns(source.clip(0)) : 0;
    std::vector<std::int64_t> first;
    std::int64_t rows = 0;
    for (const std::int64_t length : lengths) {
      first.push_back(rows);
      rows += length;
    }
    release_kept_memory(device);  // of work before this one
    const std::int64_t bytes = rows * (i3d + clip) * static_cast<std::int64_t>(sizeof(T)),
                       left = free_memory(device);
    if (bytes > left / 2) return refusal(bytes, left, device);
    try {
      if (i3d > 0) i3d_ = Tensor<T>({rows, i3d}, device);
      if (clip > 0) clip_ = Tensor<T>({rows, clip}, device);
    } catch (const OutOfMemory&) {
      *this = {};
      return refusal(bytes, left, device);
    }
    for (std::size_t v = 0; v < lengths.size(); ++v) {
      const auto take = [&](const Tensor<T>& to, const Tensor<float>& from, const char* what) {
        TANDEM_CHECK(from.defined() && from.shape() == Shape({lengths[v], to.size(1)}),
                     "device_rows", "video '", source.truth().videos[v].id, "' has ", what,
                     " of shape ", from.defined() ? from.shape() : Shape{}, ", ",
                     Shape({lengths[v], to.size(1)}), " was expected");
        to.slice(0, first[v], first[v] + lengths[v]).copy_(from.template to<T>());
      };
      if (i3d > 0) take(i3d_, source.i3d(v), "I3D features");
      if (clip > 0) take(clip_, source.clip(v), "CLIP features");
    }
    Event there;
    there.record(current_queue(device));
    there.synchronize();  // other queues may read them, too
    source_ = &source;
    device_ = device;
    first_ = std::move(first);
    lengths_ = lengths;
    return "";
  }
  /// Whether these crops of `source` can be gathered on `device`: all but lists of rows.
  bool serves(const VideoSource& source, const std::vector<Crop>& crops, Device device) const {
    return source_ == &source && device_ == device &&
           std::all_of(crops.begin(), crops.end(), [](const Crop& c) { return c.index.empty(); });
  }
  /// What gather() takes of crops, on the host: (B, 2), first row and rows of each. Errors: there
  /// are none; rows that a video does not have.
  Tensor<std::int64_t> places(const std::vector<Crop>& crops) const {
    TANDEM_CHECK(!crops.empty(), "device_rows", "a batch needs at least one video");
    std::vector<std::int64_t> out;
    for (const Crop& crop : crops) {
      TANDEM_CHECK(crop.video < lengths_.size(), "device_rows", "there are ", lengths_.size(),
                   " videos, number ", crop.video, " was asked for");
      TANDEM_CHECK(
          crop.begin >= 0 && crop.rows >= 0 && crop.begin + crop.rows <= lengths_[crop.video],
          "device_rows", "video ", crop.video, " has ", lengths_[crop.video], " rows; ", crop.begin,
          " to ", crop.begin + crop.rows, " were asked for");
      out.push_back(first_[crop.video] + crop.begin);
      out.push_back(crop.rows);
    }
    return from_vector<std::int64_t>(out).reshape({static_cast<std::int64_t>(crops.size()), 2});
  }
  /// The rows of a batch of places(…), which are on the device now, and `valid`; `frames`: at least
  /// the longest crop. One launch.
  Batch<T> gather(const Tensor<std::int64_t>& places, std::int64_t frames, Kinds kinds) const {
    const std::int64_t videos = places.size(0);
    Batch<T> batch;
    batch.valid = Tensor<bool>({videos, frames}, device_);
    const auto room = [&](Tensor<T>& to, const Tensor<T>& from, bool wanted) {
      if (wanted && from.defined()) to = Tensor<T>({videos, frames, from.size(1)}, device_);
      return to.defined() ? from.size(1) : std::int64_t{0};
    };
    const std::int64_t i3d = room(batch.i3d, i3d_, kinds.i3d),
                       clip = room(batch.clip, clip_, kinds.clip);
    const auto at = [](const Tensor<T>& x) { return x.defined() ? x.device_data() : nullptr; };
    const auto into = [](Tensor<T>& x) { return x.defined() ? x.mutable_device_data() : nullptr; };
    detail::gather_crops<T>(device_, into(batch.i3d), into(batch.clip),
                            batch.valid.mutable_device_data(), at(i3d_), at(clip_),
                            places.device_data(), videos, frames, i3d, clip);
    return batch;
  }
  /// Where the rows are, which graphs have by address.
  std::vector<const void*> addresses() const {
    std::vector<const void*> out;
    for (const Tensor<T>* rows : {&i3d_, &clip_}) {
      if (rows->defined()) out.push_back(rows->device_data());
    }
    return out;
  }

 private:
  static std::string refusal(std::int64_t bytes, std::int64_t left, Device device) {
    const auto mib = [](std::int64_t n) { return concat(n / (std::int64_t{1} << 20), " MiB"); };
    return concat("the rows of the training videos, ", mib(bytes),
                  ", would take more than half of the ", mib(left), " that ", device,
                  " has left: each step uploads its own");
  }

  const VideoSource* source_ = nullptr;
  Device device_;
  Tensor<T> i3d_, clip_;  // (rows of all videos, columns)
  std::vector<std::int64_t> first_, lengths_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END

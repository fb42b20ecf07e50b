#pragma once
/// CapturedSteps — the training steps of a GPU as graphs (cuda/graph.hpp): the first step of a kind
/// and batch shape runs as usual, the second is captured, and from then on a step is a few copies
/// and one replay, whose bits are those of the usual step.

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "tandem/cuda/graph.hpp"
#include "tandem/nn/module.hpp"
#include "tandem/optim/optimizer.hpp"
#include "tandem/tensor/random.hpp"
#include "tandem/wtal/data/batch.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

template <FloatingElement T>
class CapturedSteps {
 public:
  /// Frames are padded to a multiple of this, so that few shapes occur, but not beyond the longest
  /// crop, which positions are made for.
  static constexpr std::int64_t frame_unit = 128;
  static std::int64_t padded_frames(std::int64_t frames, std::int64_t crop) {
    const std::int64_t padded = (frames + frame_unit - 1) / frame_unit * frame_unit;
    return padded <= crop ? padded : frames < crop ? crop : frames;
  }
  /// Each graph keeps memory of its own; steps of further shapes run as usual.
  static constexpr std::size_t most_graphs = 8;

  /// One step on `batch`, which is on the host and has been padded: body(inputs) puts it into the queue, with inputs on
  /// `device`, and gives a tensor with its numbers, which is given back. `random` is what the step
  /// draws from. body reads nothing that varies between steps but these and the optimizer's numbers.
  template <class F>
  Tensor<std::uint8_t> step(int kind, const Batch<T>& batch, Device device,
                            optim::Optimizer<T>& optimizer, Generator& random, F&& body) {
    Entry* entry = find(kind, batch, device, optimizer);
    if (entry == nullptr) {
      const nn::RandomScope scope(random);
      const Batch<T> inputs = batch.to(device);
      const Tensor<std::uint8_t> numbers = body(inputs);
      if (entries_.size() < most_graphs) {
        entries_.push_back(
            {kind, device, addresses(optimizer), inputs, zeros<std::int64_t>({2}, device), {}, {}});
      }
      return numbers;
    }
    const auto update = [](const auto& to, const auto& from) {
      if (to.defined()) to.copy_(from);
    };
    update(entry->inputs.i3d, batch.i3d);
    update(entry->inputs.clip, batch.clip);
    update(entry->inputs.labels, batch.labels);
    update(entry->inputs.valid, batch.valid);
    entry->inputs.crops = batch.crops;
    entry->key.copy_(from_vector<std::int64_t>(
        {static_cast<std::int64_t>(random.seed()), static_cast<std::int64_t>(random.stream())}));
    if (!entry->graph.captured()) {
      Generator keyed = random;
      keyed.read_key_from(entry->key.device_data());
      const nn::RandomScope scope(keyed);
      entry->graph =
          Graph::capture(current_queue(device), [&] { entry->numbers = body(entry->inputs); });
    }
    optimizer.prepare_replay();
    entry->graph.replay();
    return entry->numbers;
  }
  /// Graphs that exist.
  std::int64_t size() const {
    std::int64_t count = 0;
    for (const Entry& entry : entries_) count += entry.graph.captured() ? 1 : 0;
    return count;
  }

 private:
  struct Entry {
    int kind;
    Device device;
    std::vector<const T*> addresses;  ///< of the parameters, which the graph has by address
    Batch<T> inputs;
    Tensor<std::int64_t> key;  ///< seed and stream of the step's random numbers
    Tensor<std::uint8_t> numbers;
    Graph graph;
  };

  static std::vector<const T*> addresses(const optim::Optimizer<T>& optimizer) {
    std::vector<const T*> out;
    for (const Tensor<T>& p : optimizer.parameters()) out.push_back(p.device_data());
    return out;
  }
  Entry* find(int kind, const Batch<T>& batch, Device device,
              const optim::Optimizer<T>& optimizer) {
    const auto same = [](const auto& a, const auto& b) {
      return a.defined() == b.defined() && (!a.defined() || a.shape() == b.shape());
    };
    const std::vector<const T*> now = addresses(optimizer);
    for (std::size_t i = 0; i < entries_.size();) {
      Entry& e = entries_[i];
      if (e.kind == kind && (e.device != device || e.addresses != now)) {
        entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));  // the branch has moved
        continue;
      }
      if (e.kind == kind && same(e.inputs.i3d, batch.i3d) && same(e.inputs.clip, batch.clip) &&
          same(e.inputs.labels, batch.labels) && same(e.inputs.valid, batch.valid)) {
        return &e;
      }
      ++i;
    }
    return nullptr;
  }

  std::vector<Entry> entries_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END

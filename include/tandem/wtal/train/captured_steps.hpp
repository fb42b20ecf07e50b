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

/// What a step reads: a batch and what the host knows of its pseudo-labels.
template <FloatingElement T>
struct StepInputs {
  Batch<T> batch;
  Tensor<T> shares = {};             ///< (B, C), where the rule is `calibrated`
  Tensor<std::int32_t> h = {};       ///< (B, T, C), where the labels are made on the host
  Tensor<std::int64_t> places = {};  ///< (B), where labels are kept or recalled (label_memory.hpp)
  bool recalls = false;              ///< the labels are in memory

  /// On another device.
  StepInputs to(Device device) const {
    const auto there = [&](const auto& x) { return x.defined() ? x.to(device) : x; };
    return {batch.to(device), there(shares), there(h), there(places), recalls};
  }
};

template <FloatingElement T>
class CapturedSteps {
 public:
  /// Frames are padded to a multiple of this, so that few shapes occur, but not beyond the longest
  /// crop, which positions are made for.
  static constexpr std::int64_t frame_unit = 128;
  /// How long a batch is whose longest crop has `frames` rows; `crop` is T.
  static std::int64_t padded_frames(std::int64_t frames, std::int64_t crop) {
    const std::int64_t padded = (frames + frame_unit - 1) / frame_unit * frame_unit;
    return padded <= crop ? padded : frames < crop ? crop : frames;
  }
  /// Each graph keeps memory of its own; steps of further shapes run as usual.
  static constexpr std::size_t most_graphs = 8;

  /// One step on `given`, which is on the host and has been padded: body(inputs) puts it into the
  /// queue, with inputs on `device`, and gives a tensor with its numbers, which is given back.
  /// `random` is what the step draws from. body reads nothing that varies between steps but these,
  /// the optimizer's numbers and what lies at `addresses`, those of weights and labels.
  template <class F>
  Tensor<std::uint8_t> step(int kind, const StepInputs<T>& given, Device device,
                            const std::vector<const void*>& addresses,
                            optim::Optimizer<T>& optimizer, Generator& random, F&& body) {
    const Batch<T>& batch = given.batch;
    Entry* entry = find(kind, given, device, addresses);
    if (entry == nullptr) {
      const nn::RandomScope scope(random);
      const StepInputs<T> inputs = given.to(device);
      const Tensor<std::uint8_t> numbers = body(inputs);
      if (entries_.size() < most_graphs) {
        entries_.push_back(
            {kind, device, addresses, inputs, zeros<std::int64_t>({2}, device), {}, {}});
      }
      return numbers;
    }
    const auto update = [](const auto& to, const auto& from) {
      if (to.defined()) to.copy_(from);
    };
    update(entry->inputs.batch.i3d, batch.i3d);
    update(entry->inputs.batch.clip, batch.clip);
    update(entry->inputs.batch.labels, batch.labels);
    update(entry->inputs.batch.valid, batch.valid);
    update(entry->inputs.shares, given.shares);
    update(entry->inputs.h, given.h);
    update(entry->inputs.places, given.places);
    entry->inputs.batch.crops = batch.crops;
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
  /// Lets the graphs of a kind of step go, and their memory.
  void forget(int kind) {
    std::erase_if(entries_, [kind](const Entry& e) { return e.kind == kind; });
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
    std::vector<const void*> addresses;  ///< of what the graph has by address
    StepInputs<T> inputs;
    Tensor<std::int64_t> key;  ///< seed and stream of the step's random numbers
    Tensor<std::uint8_t> numbers;
    Graph graph;
  };

  Entry* find(int kind, const StepInputs<T>& given, Device device,
              const std::vector<const void*>& addresses) {
    const auto same = [](const auto& a, const auto& b) {
      return a.defined() == b.defined() && (!a.defined() || a.shape() == b.shape());
    };
    const Batch<T>& batch = given.batch;
    for (std::size_t i = 0; i < entries_.size();) {
      Entry& e = entries_[i];
      if (e.kind == kind && (e.device != device || e.addresses != addresses)) {
        entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));  // the branch has moved
        continue;
      }
      const Batch<T>& known = e.inputs.batch;
      if (e.kind == kind && same(known.i3d, batch.i3d) && same(known.clip, batch.clip) &&
          same(known.labels, batch.labels) && same(known.valid, batch.valid) &&
          same(e.inputs.shares, given.shares) && same(e.inputs.h, given.h) &&
          same(e.inputs.places, given.places) && e.inputs.recalls == given.recalls) {
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

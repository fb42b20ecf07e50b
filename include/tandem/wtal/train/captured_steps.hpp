#pragma once
/// CapturedSteps — the training steps of a GPU as graphs (cuda/graph.hpp): the first step of a kind
/// and batch shape runs as usual, the second is captured, and from then on a step is a few copies
/// and one replay, whose bits are those of the usual step.

#include <algorithm>
#include <cstdint>
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
  /// (B, 2), where the rows are gathered on the GPU (DeviceRows); those of the batch are undefined.
  Tensor<std::int64_t> crops = {};
  std::int64_t frames = 0;  ///< T

  /// On another device.
  StepInputs to(Device device) const {
    const auto there = [&](const auto& x) { return x.defined() ? x.to(device) : x; };
    return {batch.to(device), there(shares), there(h), there(places),
            recalls,          there(crops),  frames};
  }
  /// Whether a step of `other` does the same on tensors of the same shapes.
  bool same_kind(const StepInputs& other) const {
    const auto same = [](const auto& a, const auto& b) {
      return a.defined() == b.defined() && (!a.defined() || a.shape() == b.shape());
    };
    return same(batch.i3d, other.batch.i3d) && same(batch.clip, other.batch.clip) &&
           same(batch.labels, other.batch.labels) && same(batch.valid, other.batch.valid) &&
           same(shares, other.shares) && same(h, other.h) && same(places, other.places) &&
           same(crops, other.crops) && recalls == other.recalls && frames == other.frames;
  }
  /// Copies what `other`, of the same kind, reads into these tensors.
  void update(const StepInputs& other) {
    const auto copy = [](const auto& to, const auto& from) {
      if (to.defined()) to.copy_(from);
    };
    copy(batch.i3d, other.batch.i3d), copy(batch.clip, other.batch.clip);
    copy(batch.labels, other.batch.labels), copy(batch.valid, other.batch.valid);
    copy(shares, other.shares), copy(h, other.h), copy(places, other.places);
    copy(crops, other.crops);
    batch.crops = other.batch.crops;
  }
};

/// Steps of a queue are graphs of that queue. All graphs of a queue share their memory: together
/// they take what the largest needs. Where that is not there, steps run as usual: a step that could
/// not be captured for the lack of it, and all of them once a usual step had to have the graphs'
/// memory.
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
  /// Kinds and shapes of steps that are kept: crops of 1000 rows have 8 lengths, and of each B and
  /// F steps, asking and recalling. A graph whose rows are uploaded keeps room for them, so that
  /// there are fewer of those. Where there is no place, the one goes that has not been used for
  /// longest, and not in the last `patience` steps; else the step runs as usual.
  static constexpr std::size_t most_graphs = 32, most_uploading = 8;
  static constexpr std::int64_t patience = 64;

  /// One step on `given`, which is on the host and has been padded: body(inputs) puts it into the
  /// queue, with inputs on `device`, and gives a tensor with its numbers, which is given back, to
  /// be read before the next step. `random` is what the step draws from. body reads nothing that
  /// varies between steps but these, the optimizer's numbers and what lies at `addresses`, those of
  /// weights and labels.
  template <class F>
  Tensor<std::uint8_t> step(int kind, const StepInputs<T>& given, Device device,
                            const std::vector<const void*>& addresses,
                            optim::Optimizer<T>& optimizer, const Generator& random, F&& body) {
    const Queue queue = current_queue(device);
    ++steps_;
    if (no_memory_) return usual([&] { return given.to(device); }, optimizer, random, body);
    Entry* const entry = find(kind, given, queue, addresses);
    if (entry == nullptr) {
      StepInputs<T> inputs;
      const Tensor<std::uint8_t> numbers =
          usual([&] { return inputs = given.to(device); }, optimizer, random, body);
      if (!no_memory_ && make_place(given)) {
        entries_.push_back({.kind = kind,
                            .queue = queue,
                            .addresses = addresses,
                            .inputs = inputs,
                            .used = steps_});
      }
      return numbers;
    }
    entry->used = steps_;
    entry->inputs.update(given);
    if (!entry->as_usual && !entry->graph.captured()) {
      try {
        entry->key = zeros<std::int64_t>({2}, device);
        Generator keyed = random;
        keyed.read_key_from(entry->key.device_data());
        const nn::RandomScope scope(keyed);
        entry->graph = Graph::capture(
            queue, [&] { entry->numbers = body(entry->inputs); }, graph_of(queue));
      } catch (const OutOfMemory&) {
        entry->as_usual = true;
      }
    }
    if (entry->as_usual) {
      const StepInputs<T> inputs = entry->inputs;
      return usual([&] { return inputs; }, optimizer, random, body);
    }
    entry->key.copy_(from_vector<std::int64_t>(
        {static_cast<std::int64_t>(random.seed()), static_cast<std::int64_t>(random.stream())}));
    optimizer.prepare_replay();
    entry->graph.replay();
    return entry->numbers;
  }
  /// Lets the graphs of a kind of step go.
  void forget(int kind) {
    std::erase_if(entries_, [kind](const Entry& e) { return e.kind == kind; });
  }
  /// Graphs that exist, and what the memory of those of one queue is, in bytes.
  std::int64_t size() const {
    return std::count_if(entries_.begin(), entries_.end(),
                         [](const Entry& e) { return e.graph.captured(); });
  }
  std::int64_t bytes() const {
    for (const Entry& e : entries_) {
      if (e.graph.captured()) return e.graph.bytes();
    }
    return 0;
  }

 private:
  struct Entry {
    int kind;
    Queue queue;
    std::vector<const void*> addresses;  ///< of what the graph has by address
    StepInputs<T> inputs;
    std::int64_t used = 0;          ///< the last step of this kind
    bool as_usual = false;          ///< there was no memory for its graph
    Tensor<std::int64_t> key = {};  ///< seed and stream of the step's random numbers
    Tensor<std::uint8_t> numbers = {};
    Graph graph = {};
  };

  /// A step that is not replayed, on the inputs that make() gives. Where the memory of the graphs
  /// is what it lacks, they go, and no more are made. Nothing has changed then: the optimizer comes
  /// last.
  template <class Make, class F>
  Tensor<std::uint8_t> usual(Make&& make, const optim::Optimizer<T>& optimizer,
                             const Generator& random, F&& body) {
    const auto run = [&] {
      Generator drawn = random;
      const nn::RandomScope scope(drawn);
      return body(make());
    };
    const std::int64_t updates = optimizer.steps();
    try {
      return run();
    } catch (const OutOfMemory&) {
      if (size() == 0 || optimizer.steps() != updates) throw;
    }
    entries_.clear();
    no_memory_ = true;
    return run();
  }

  /// The steps of this kind on these shapes, or null.
  Entry* find(int kind, const StepInputs<T>& given, const Queue& queue,
              const std::vector<const void*>& addresses) {
    std::erase_if(entries_, [&](const Entry& e) {  // the branch has moved
      return e.kind == kind && (e.queue.device != queue.device || e.addresses != addresses);
    });
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) {
      return e.kind == kind && e.queue == queue && e.inputs.same_kind(given);
    });
    return found == entries_.end() ? nullptr : &*found;
  }
  /// Whether one more can be kept.
  bool make_place(const StepInputs<T>& given) {
    if (entries_.size() < (given.crops.defined() ? most_graphs : most_uploading)) return true;
    const auto oldest =
        std::min_element(entries_.begin(), entries_.end(),
                         [](const Entry& a, const Entry& b) { return a.used < b.used; });
    if (steps_ - oldest->used <= patience) return false;
    entries_.erase(oldest);
    return true;
  }
  /// One whose memory further graphs of the queue share, or null.
  const Graph* graph_of(const Queue& queue) const {
    for (const Entry& e : entries_) {
      if (e.graph.captured() && e.queue == queue) return &e.graph;
    }
    return nullptr;
  }

  std::int64_t steps_ = 0;
  bool no_memory_ = false;  // for graphs
  std::vector<Entry> entries_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END

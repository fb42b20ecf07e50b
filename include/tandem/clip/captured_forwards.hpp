#pragma once
/// What CapturedEncoder and CapturedTextEncoder have in common: an encoder's inference on a GPU
/// with fixed buffers and graphs (cuda/graph.hpp), a copy of the input and one replay each time.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "tandem/cpu/precision.hpp"
#include "tandem/cuda/graph.hpp"
#include "tandem/nn/module.hpp"
#include "tandem/ops/to.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {
namespace detail {

/// The graphs of an encoder: one for each shape of its input, Key, precision and queue.
template <FloatingElement T, class Key>
class CapturedForwards {
 public:
  /// Each graph keeps memory of its own. Where there is no place, the one goes that has not been
  /// used for longest, and not in the last `patience` calls; else the call runs as usual.
  static constexpr std::size_t most_graphs = 8;
  static constexpr std::int64_t patience = 64;

  /// f(input there, key) → features, on `device`, where the parameters of `encoder` are: the first
  /// time as usual, the second captured, then replayed. As usual also on the CPU, while another
  /// graph is captured, where every result is looked at (AnomalyMode), and what there was no memory
  /// to capture.
  template <class F>
  Tensor<T> forward(nn::Module<T>& encoder, Device device, const Tensor<T>& input, const Key& key,
                    const F& f) {
    const NoGrad no_grad;
    if (device.is_cpu() || capturing(current_queue(device)) || autograd::anomaly_mode())
      return f(device.is_cpu() ? input : input.to(device), key);
    std::vector<const void*> addresses;
    for (const nn::Slot<T>& slot : encoder.slots()) {
      if (slot.tensor->defined()) addresses.push_back(slot.tensor->device_data());
      if (slot.matrix != nullptr && slot.matrix->is_bfloat16())
        addresses.push_back(slot.matrix->bf16().device_data());
    }
    if (addresses != addresses_) entries_.clear();
    addresses_ = std::move(addresses);
    const Queue queue = current_queue(device);
    const Precision precision = product_precision();
    ++calls_;
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) {
      return e.input.shape() == input.shape() && e.key == key && e.precision == precision &&
             e.queue == queue;
    });
    if (found == entries_.end()) {
      const Tensor<T> features = usual([&] { return input.to(device); }, key, f);
      if (input.size(0) > 0 && make_place()) {
        try {
          const Tensor<T> room(input.shape(), device);
          entries_.push_back(
              {.key = key, .precision = precision, .queue = queue, .input = room, .used = calls_});
        } catch (const OutOfMemory&) {  // the next one asks again
        }
      }
      return features;
    }
    found->used = calls_;
    found->input.copy_(input);
    if (!found->as_usual && !found->graph.captured()) {
      try {
        found->graph =
            Graph::capture(queue, [&] { found->features = f(found->input, found->key); });
      } catch (const OutOfMemory&) {
        found->as_usual = true;
      }
    }
    if (found->as_usual) return usual([there = found->input] { return there; }, key, f);
    found->graph.replay();
    return found->features;
  }
  /// Graphs that exist, and what their memory is, in bytes.
  std::int64_t graphs() const {
    std::int64_t count = 0;
    for (const Entry& entry : entries_) count += entry.graph.captured() ? 1 : 0;
    return count;
  }
  std::int64_t graph_bytes() const {
    std::int64_t bytes = 0;
    for (const Entry& entry : entries_) bytes += entry.graph.bytes();
    return bytes;
  }

 private:
  struct Entry {
    Key key;
    Precision precision;
    Queue queue;  ///< where input, graph and features are in order
    Tensor<T> input;
    std::int64_t used = 0;  ///< the last call
    bool as_usual = false;  ///< there was no memory for its graph
    Tensor<T> features = {};
    Graph graph = {};
  };
  /// A forward that is not replayed, of what make() gives; it may have the memory of the graphs.
  template <class Make, class F>
  Tensor<T> usual(const Make& make, const Key& key, const F& f) {
    try {
      return f(make(), key);
    } catch (const OutOfMemory&) {
      if (graphs() == 0) throw;
    }
    entries_.clear();
    return f(make(), key);
  }
  /// Whether one more can be kept.
  bool make_place() {
    if (entries_.size() < most_graphs) return true;
    const auto oldest =
        std::min_element(entries_.begin(), entries_.end(),
                         [](const Entry& a, const Entry& b) { return a.used < b.used; });
    if (calls_ - oldest->used <= patience) return false;
    entries_.erase(oldest);
    return true;
  }

  std::int64_t calls_ = 0;
  std::vector<const void*> addresses_;
  std::vector<Entry> entries_;
};

}  // namespace detail

}  // namespace clip
TANDEM_NAMESPACE_END

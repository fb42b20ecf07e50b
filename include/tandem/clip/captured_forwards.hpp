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

/// The graphs of an encoder: one for each shape of its input, Key and precision.
template <FloatingElement T, class Key>
class CapturedForwards {
 public:
  /// Each graph keeps memory of its own; what comes beyond them runs as usual.
  static constexpr std::size_t most_graphs = 8;

  /// f(input there, key) → features, on `device`, where the parameters of `encoder` are: the first
  /// time as usual, the second captured, then replayed. As usual also on the CPU, while another
  /// graph is captured and where every result is looked at (AnomalyMode).
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
    const Precision precision = product_precision();
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) {
      return e.input.shape() == input.shape() && e.key == key && e.precision == precision;
    });
    if (found == entries_.end()) {
      const Tensor<T> features = f(input.to(device), key);
      if (entries_.size() < most_graphs && input.size(0) > 0) {
        const Tensor<T> room(input.shape(), device);
        entries_.push_back({key, precision, room, {}, {}});
      }
      return features;
    }
    found->input.copy_(input);
    if (!found->graph.captured()) {
      found->graph = Graph::capture(current_queue(device),
                                    [&] { found->features = f(found->input, found->key); });
    }
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
    Tensor<T> input;
    Tensor<T> features;
    Graph graph;
  };
  std::vector<const void*> addresses_;
  std::vector<Entry> entries_;
};

}  // namespace detail

}  // namespace clip
TANDEM_NAMESPACE_END

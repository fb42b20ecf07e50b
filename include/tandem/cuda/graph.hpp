#pragma once
/// Graph: the work that a function puts into a queue, recorded once and started again and again by
/// one call.
///
///   adam.step();                                         // a few as usual: all memory exists
///   const Graph step = Graph::capture(queue, [&] {
///     adam.zero_grad();
///     loss = mse(model.forward(x), y);
///     loss.backward();
///     adam.step();
///   });
///   for (const auto& batch : batches) {
///     const QueueScope scope(queue);
///     x.copy_(batch.x);                                  // into the same tensors
///     y.copy_(batch.y);
///     adam.prepare_replay();                             // the step's numbers
///     step.replay();
///   }
///
/// Capturing records what kernels are given (addresses, sizes, numbers) and does none of the work;
/// a replay does all of it, on what lies at the same addresses then. Hence
///   - every tensor that exists before and that the function reads or writes must outlive the
///     graph;
///   - tensors that the function makes and leaves (the loss, gradients) hold, after each replay,
///     what it gave; their memory has other uses earlier in a replay, so nothing comes into a
///     replay through them;
///   - what differs between replays must lie in the GPU's memory, in tensors from before (or
///     OutsideGraphPool). Numbers of the host are recorded as they are. The optimizer keeps such
///     tensors, and must outlive the graph.
/// The function allocates from a pool of the graph, which is reserved as long as the graph lives.
/// Graphs of one queue, whose replays come one after another, may share a pool: all of them
/// together then take what the largest needs, and what one leaves holds until another is replayed.
/// What it frees of other memory (gradients of an earlier step, say) is kept as long, because the
/// graph may read it: free it before.
///
/// Nothing may wait while a graph is captured, and nothing is copied from or to the host: item(),
/// to(Device::cpu()), x.to(Device::cuda()), printing and Event::synchronize() throw. Further queues
/// take part when they wait for an event of the captured one, which must wait for an event of each
/// of them in the end. Other threads go on as usual.

#include <utility>

#include "tandem/cuda/queue.hpp"

TANDEM_NAMESPACE_BEGIN

class Graph {
 public:
  Graph() = default;
  Graph(Graph&& other) noexcept
      : queue_(other.queue_), graph_(std::exchange(other.graph_, nullptr)) {}
  Graph& operator=(Graph&& other) noexcept {
    std::swap(queue_, other.queue_);
    std::swap(graph_, other.graph_);
    return *this;
  }
  ~Graph() {
    if (graph_ != nullptr) cuda_interface().destroy_graph(graph_);
  }

  /// The work of f(), which is called once, with `queue` as the current one; `beside`, where given,
  /// is a graph of the queue whose pool it shares. What f throws ends the capture. Errors: the
  /// queue is the CPU's or is captured already; f did what cannot be captured; `beside` is of
  /// another queue; OutOfMemory, after which all is as before.
  template <class F>
  static Graph capture(const Queue& queue, F&& f, const Graph* beside = nullptr) {
    TANDEM_CHECK(queue.device.is_cuda(), "graph", "only a GPU has graphs, the queue is one of ",
                 queue.device);
    require_device("graph", queue.device);
    const DeviceInterface& table = cuda_interface();
    void* const graph = table.begin_capture(queue.device.index(), queue.stream,
                                            beside != nullptr ? beside->graph_ : nullptr);
    try {
      const QueueScope scope(queue);
      std::forward<F>(f)();
    } catch (...) {
      table.abandon_capture(graph);
      throw;
    }
    table.end_capture(graph);
    return Graph(queue, graph);
  }

  /// Puts the work into queue() once more, whatever the current queue is.
  void replay() const {
    TANDEM_CHECK(graph_ != nullptr, "graph", "replay of a graph that was not captured");
    cuda_interface().launch_graph(graph_);
  }
  /// Whether there is a graph to replay.
  bool captured() const { return graph_ != nullptr; }
  /// The queue that it replays into.
  const Queue& queue() const { return queue_; }
  /// What its pool has reserved, in bytes, for all graphs that share it.
  std::int64_t bytes() const {
    return graph_ != nullptr ? cuda_interface().graph_bytes(graph_) : 0;
  }

 private:
  Graph(const Queue& queue, void* graph) : queue_(queue), graph_(graph) {}
  Queue queue_;
  void* graph_ = nullptr;
};

TANDEM_NAMESPACE_END

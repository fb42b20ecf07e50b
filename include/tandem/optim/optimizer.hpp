#pragma once
/// What all optimizers share: the parameters, their state tensors, and saving both.

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tandem/autograd/backward.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/nn/module.hpp"
#include "tandem/ops/parts/common.hpp"
#include "tandem/optim/parameters.hpp"

TANDEM_NAMESPACE_BEGIN
namespace optim {

namespace detail {
/// Calls update(k, begin, end) for pieces of `count` tensors, tensor k with size(k) elements, on
/// several threads.
template <class Size, class F>
void for_each_piece(std::int64_t count, Size&& size, F&& update) {
  constexpr std::int64_t piece = 1 << 15;
  struct Piece {
    std::int64_t k, begin, end;
  };
  std::vector<Piece> pieces;
  for (std::int64_t k = 0; k < count; ++k) {
    const std::int64_t n = size(k);
    for (std::int64_t at = 0; at < n; at += piece) {
      pieces.push_back({k, at, at + piece < n ? at + piece : n});
    }
  }
  cpu::parallel_for(static_cast<std::int64_t>(pieces.size()), 1,
                    [&](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t i = begin; i < end; ++i) {
                        const Piece& p = pieces[static_cast<std::size_t>(i)];
                        update(p.k, p.begin, p.end);
                      }
                    });
}
}  // namespace detail

/// Base of SGD, Adam and AdamW. Parameters without a gradient are left alone by step(), and each
/// counts its own steps: one whose first gradient comes late starts as all did.
///
/// Given as named_parameters(), the parameters keep their names in state() and in messages; given
/// as parameters(), they are called 0, 1, …. An empty list is an error. Groups (ParameterGroup)
/// have factors of the learning rate and weight decays of their own; the state is the same as of a
/// list.
///
/// One step is one pass over all parameters: they are cut into pieces of `piece` elements, and the
/// pieces of all tensors together are shared among the threads, so that many small tensors cost no
/// more than one large one. Each element is updated on its own: any thread count gives the same
/// bits.
template <FloatingElement T>
class Optimizer {
 public:
  Optimizer(const std::vector<nn::Named<T>>& parameters, double learning_rate)
      : Optimizer(std::vector<ParameterGroup<T>>{{.parameters = parameters}}, learning_rate) {}
  Optimizer(const std::vector<ParameterGroup<T>>& groups, double learning_rate)
      : learning_rate_(learning_rate) {
    std::vector<nn::Named<T>> parameters;
    for (const ParameterGroup<T>& group : groups) {
      detail::require_number("optimizer", "a factor of the learning rate",
                             group.learning_rate_factor);
      detail::require_number("optimizer", "a weight decay", group.weight_decay.value_or(0));
      for (const nn::Named<T>& p : group.parameters) {
        parameters.push_back(
            {p.name.empty() ? std::to_string(parameters.size()) : p.name, p.tensor});
        group_of_.push_back(numbers_.size());
      }
      numbers_.push_back({group.learning_rate_factor, group.weight_decay});
    }
    detail::require_number("optimizer", "the learning rate", learning_rate);
    TANDEM_CHECK(
        !parameters.empty(), "optimizer",
        "no parameters: the list is empty, so no step would change anything (a module that "
        "is frozen, or has registered none?)");
    for (const auto& [name, p] : parameters) {
      tandem::detail::require_defined("optimizer", name, p);
      TANDEM_CHECK(p.requires_grad() && p.is_leaf(), "optimizer", "parameter ", name, " of shape ",
                   p.shape(), " does not collect a gradient");
      TANDEM_CHECK(p.is_contiguous(), "optimizer", "parameter ", name, " of shape ", p.shape(),
                   " is not dense");
      for (const std::string& other : names_) {
        TANDEM_CHECK(other != name, "optimizer", "two parameters are called ", name);
      }
      names_.push_back(name);
      parameters_.push_back(p);
      steps_.push_back(zeros<T>({}));
    }
    detail::refuse_shared("optimizer", parameters);
  }
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// Applies one update with the gradients that the parameters hold.
  virtual void step() = 0;
  /// What must happen before each replay of a graph that has captured step() (cuda/graph.hpp).
  /// Errors: the optimizer's steps cannot be captured.
  virtual void prepare_replay() {
    fail("optimizer",
         "the steps of this optimizer cannot be replayed: their numbers do not lie in a GPU's "
         "memory");
  }
  /// Forgets the gradients of the parameters.
  void zero_grad() const {
    for (const Tensor<T>& p : parameters_) p.zero_grad();
  }
  /// What the next step takes; set it before each, as a schedule says.  Errors: a rate that is
  /// negative or not finite.
  double learning_rate() const { return learning_rate_; }
  void set_learning_rate(double value) {
    detail::require_number("optimizer", "the learning rate", value);
    learning_rate_ = value;
  }
  /// The parameters, in the order given.
  const std::vector<Tensor<T>>& parameters() const { return parameters_; }
  /// Updates done so far: those of the parameter that has had the most.
  std::int64_t steps() const {
    std::int64_t most = 0;
    for (const Tensor<T>& count : steps_) {
      const auto steps = static_cast<std::int64_t>(static_cast<double>(count.item()));
      if (steps > most) most = steps;
    }
    return most;
  }
  /// Says that every parameter has had `steps` updates (for states that were saved without them).
  void set_steps(std::int64_t steps) {
    TANDEM_CHECK(steps >= 0, "optimizer", "the number of steps must not be negative, it is ",
                 steps);
    for (const Tensor<T>& count : steps_) set_count(count, steps);
  }

  /// The state tensors for a checkpoint: for every parameter its number of updates ("0.step", of
  /// shape ()) and what the method keeps ("0.exp_avg" …). They share memory with the optimizer. All
  /// of them exist from the start, so that a loaded state always finds its place.
  virtual std::vector<nn::Named<T>> state() const {
    std::vector<nn::Named<T>> out;
    name_state(out, "step", steps_);
    return out;
  }
  /// Copies a saved state in, by name, in any order.  Errors, which change nothing: a name that is
  /// missing, unknown or there twice; another shape; a step that is no count.
  void load_state(const std::vector<nn::Named<T>>& saved) {
    const std::vector<nn::Named<T>> own = state();
    std::vector<const nn::Named<T>*> sources(own.size(), nullptr);
    for (const nn::Named<T>& from : saved) {
      std::size_t i = 0;
      while (i < own.size() && own[i].name != from.name) ++i;
      TANDEM_CHECK(i < own.size(), "optimizer", "the saved state has '", from.name,
                   "', which this optimizer does not have");
      TANDEM_CHECK(sources[i] == nullptr, "optimizer", "the saved state has '", from.name,
                   "' twice");
      tandem::detail::require_defined("optimizer", concat("'", from.name, "'"), from.tensor);
      TANDEM_CHECK(from.tensor.shape() == own[i].tensor.shape(), "optimizer", "'", from.name,
                   "' has shape ", own[i].tensor.shape(), " here and ", from.tensor.shape(),
                   " in the saved state");
      sources[i] = &from;
    }
    for (std::size_t i = 0; i < own.size(); ++i) {
      TANDEM_CHECK(sources[i] != nullptr, "optimizer", "the saved state has no '", own[i].name,
                   "'");
      if (i >= steps_.size()) continue;
      const auto count = static_cast<double>(sources[i]->tensor.item());
      TANDEM_CHECK(count >= 0 && count < 0x1p62 && count == __builtin_floor(count), "optimizer",
                   "'", own[i].name, "' is ", count, ", not a number of steps");
    }
    std::vector<std::pair<Tensor<T>, Tensor<T>>> copies;
    for (std::size_t i = 0; i < own.size(); ++i)
      copies.emplace_back(own[i].tensor, sources[i]->tensor);
    nn::detail::copy_all(std::move(copies));
  }

 protected:
  /// Takes the dense gradients of this step.
  void collect_gradients() {
    gradients_.clear();
    bool any = false;
    for (const Tensor<T>& p : parameters_) {
      const Tensor<T> g = p.grad();
      gradients_.push_back(g.defined() ? g.contiguous() : g);
      any = any || g.defined();
    }
    if (any || std::exchange(warned_, true)) return;
    warn("step", "no parameter of ", parameters_.size(),
         " has a gradient, so nothing changes: is backward() called before step(), on a "
         "loss that depends on them? (This is said once.)");
  }
  /// A tensor of zeros for each parameter: how the state of a method begins.
  std::vector<Tensor<T>> zeros_like_parameters() const {
    std::vector<Tensor<T>> out;
    for (const Tensor<T>& p : parameters_) out.push_back(zeros_like(p.detach()));
    return out;
  }
  /// Appends such tensors to `out` as NAME.what.
  void name_state(std::vector<nn::Named<T>>& out, const char* what,
                  const std::vector<Tensor<T>>& tensors) const {
    for (std::size_t k = 0; k < tensors.size(); ++k)
      out.push_back({concat(names_[k], ".", what), tensors[k]});
  }
  /// How many updates parameter k has had. (Kept as T, which counts to 2²⁴ as float: by then every
  /// correction that depends on it has become 1.)
  std::int64_t steps_of(std::size_t k) const {
    return static_cast<std::int64_t>(static_cast<double>(steps_[k].item()));
  }
  /// Writes a count of updates into its tensor.
  static void set_count(const Tensor<T>& count, std::int64_t steps) {
    count.fill_(tandem::detail::convert_element<T>(static_cast<double>(steps)));
  }
  /// Call at the end of step(): the parameters with a gradient have had one update more.
  void count_step() {
    for (std::size_t k = 0; k < parameters_.size(); ++k) {
      if (gradients_[k].defined()) set_count(steps_[k], steps_of(k) + 1);
    }
  }

  /// Updates the parameters that have a gradient by `slot`, one call for all of a device and a
  /// group that have had equally many steps: as a rule all. item(k) is what the slot takes of
  /// parameter k, number(t, group) are the numbers of the t-th update of a parameter of that group.
  /// While a graph is captured the update is recorded only, and reads its numbers, which vary, from
  /// a small tensor on the GPU.
  template <class Item, class Numbers, class MakeItem, class NumbersOf>
  void update_groups(
      const char* op,
      const Kernel<void(Queue&, const Item*, std::int64_t, const Numbers&, const Numbers*)>& slot,
      MakeItem&& item, NumbersOf&& number) {
    struct Group {
      Device device;
      std::int64_t t;
      std::size_t group;
      std::vector<Item> items;
      std::vector<std::size_t> members;
    };
    collect_gradients();
    std::vector<Group> groups;
    for (std::size_t k = 0; k < parameters_.size(); ++k) {
      if (!gradients_[k].defined()) continue;
      tandem::detail::require_kernels(op, parameters_[k], slot);
      const Device device = parameters_[k].device();
      const std::int64_t t = steps_of(k) + 1;
      std::size_t i = 0;
      while (i < groups.size() &&
             !(groups[i].device == device && groups[i].t == t && groups[i].group == group_of_[k])) {
        ++i;
      }
      if (i == groups.size()) groups.push_back({device, t, group_of_[k], {}, {}});
      groups[i].members.push_back(k);
      groups[i].items.push_back(item(k));
    }
    const auto update = [&](const Group& group, const Numbers& given, const Numbers* in_memory) {
      slot(group.device, group.items.data(), static_cast<std::int64_t>(group.items.size()), given,
           in_memory);
    };
    std::size_t captured = 0;
    for (const Group& group : groups) {
      if (capturing(current_queue(group.device))) ++captured;
    }
    if (captured == 0) {
      for (const Group& group : groups) update(group, number(group.t, group.group), nullptr);
      count_step();
      return;
    }
    TANDEM_CHECK(captured == groups.size(), op,
                 "a step while a graph is captured needs all parameters that have a gradient on "
                 "the device of the graph");
    replayed_.clear();
    for (const Group& group : groups) {
      const Tensor<std::uint8_t> numbers =
          numbers_of(group.members, group.device, static_cast<std::int64_t>(sizeof(Numbers)));
      replayed_.push_back({group.members, numbers});
      update(group, {}, reinterpret_cast<const Numbers*>(numbers.device_data()));
    }
  }
  /// prepare_replay() of an optimizer that steps by update_groups: counts the step and writes its
  /// numbers, for what is put into the current queue from now on. Does not wait.
  template <class NumbersOf>
  void write_numbers(const char* op, NumbersOf&& number) {
    TANDEM_CHECK(!replayed_.empty(), op,
                 "prepare_replay() without a step() that a graph has captured");
    for (const Replayed& group : replayed_) {
      for (const std::size_t k : group.members) {
        TANDEM_CHECK(steps_of(k) == steps_of(group.members[0]), op,
                     "the captured step updates parameters ", names_[group.members[0]], " and ",
                     names_[k], " with the same numbers, but they have had ",
                     steps_of(group.members[0]), " and ", steps_of(k), " steps: capture it again");
      }
    }
    for (const Replayed& group : replayed_) {
      const std::int64_t t = steps_of(group.members[0]) + 1;
      const auto numbers = number(t, group_of_[group.members[0]]);
      std::vector<std::uint8_t> bytes(sizeof numbers);
      std::memcpy(bytes.data(), &numbers, sizeof numbers);
      group.numbers.copy_(from_vector<std::uint8_t>(bytes));
      for (const std::size_t k : group.members) {
        set_count(steps_[k], t);
        parameters_[k].storage()->bump_version();  // the replay changes it
      }
    }
  }

  /// What a group's parameters are updated with.
  double rate_of(std::size_t group) const {
    return learning_rate_ * numbers_[group].learning_rate_factor;
  }
  double decay_of(std::size_t group, double common) const {
    return numbers_[group].weight_decay.value_or(common);
  }

  /// Names, parameters, gradients of this step and counts of updates, in one order.
  std::vector<std::string> names_;
  std::vector<Tensor<T>> parameters_;
  std::vector<Tensor<T>> gradients_;
  bool warned_ = false;           // that no parameter had a gradient
  std::vector<Tensor<T>> steps_;  // of shape (), on the CPU
  /// The present one.
  double learning_rate_;

 private:
  struct GroupNumbers {
    double learning_rate_factor;
    std::optional<double> weight_decay;
  };
  std::vector<std::size_t> group_of_;  // of each parameter
  std::vector<GroupNumbers> numbers_;  // of each group

  /// Parameters that a captured step updates with the same numbers, whose bytes lie on the GPU.
  struct Replayed {
    std::vector<std::size_t> members;
    Tensor<std::uint8_t> numbers;
  };
  /// The same tensor for the same parameters, so that all graphs of a step (of several batch sizes,
  /// say) can be replayed in turn.
  Tensor<std::uint8_t> numbers_of(const std::vector<std::size_t>& members, Device device,
                                  std::int64_t bytes) {
    for (const Replayed& known : known_) {
      if (known.members == members && known.numbers.device() == device) return known.numbers;
    }
    // What prepare_replay() writes must be there until the replay comes to it.
    const OutsideGraphPool scope;
    known_.push_back({members, Tensor<std::uint8_t>({bytes}, device)});
    return known_.back().numbers;
  }

  std::vector<Replayed> replayed_;  // the groups of the last step that was captured
  std::vector<Replayed> known_;
};

}  // namespace optim
TANDEM_NAMESPACE_END

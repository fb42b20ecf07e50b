#pragma once
/// The learned prompts that VLP gives to CLIP's text encoder.                        [method §3, P]

#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "tandem/nn/embedding.hpp"
#include "tandem/nn/packed_rows.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/ops/index_select.hpp"
#include "tandem/ops/to.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// The learned prompt: [SOS, n vectors, tokens of the class name, n vectors, EOT].   [method §3, P]
/// The vectors are shared by all classes (reading) or each class has its own (option).
template <FloatingElement T>
class PromptLearner final : public nn::Module<T> {
 public:
  /// The learned vectors and how they start.
  struct Options {
    std::int64_t vectors = 16;  ///< before, and as many after the name  [P]
    double deviation = 0.01;    ///< standard deviation of the initial values  [P, R]
    bool per_class = false;     ///< (reading: shared)
    std::int64_t start_token = 49406, end_token = 49407;  ///< SOS, EOT
  };
  /// `names` are the token ids of each class name, without SOS and EOT.
  PromptLearner(std::vector<std::vector<std::int64_t>> names, std::int64_t width,
                const Options& options, Generator& random)
      : names_(std::move(names)), options_(options) {
    TANDEM_CHECK(!names_.empty(), "prompts", "there are no class names");
    const std::int64_t sets = options.per_class ? static_cast<std::int64_t>(names_.size()) : 1;
    before = randn<T>({sets, options.vectors, width}, random, 0, options.deviation);
    after = randn<T>({sets, options.vectors, width}, random, 0, options.deviation);
    this->add("before", before);
    this->add("after", after);
    for (const auto& ids : names_)
      TANDEM_CHECK(!ids.empty(), "prompts", "a class name has no tokens");
  }
  /// The embedded prompts as the rows of packed(): what all begin with once, then the rest of each.
  Tensor<T> forward(const nn::Embedding<T>& tokens) const {
    const nn::ModuleScope scope = this->scope();
    if (!before.device().is_cpu()) {
      // A selection of all rows instead of a copy for each part
      const OnDevice at = on_device();
      const std::int64_t width = before.size(2);
      return index_select(
          cat(std::vector<Tensor<T>>{tokens.forward(at.ids), before.reshape({-1, width}),
                                     after.reshape({-1, width})},
              0),
          0, at.order);
    }
    const Tensor<T> start = tokens.forward(from_vector<std::int64_t>({options_.start_token})),
                    stop = tokens.forward(from_vector<std::int64_t>({options_.end_token}));
    std::vector<Tensor<T>> parts{start};
    if (!options_.per_class) parts.push_back(before.select(0, 0));
    for (std::size_t c = 0; c < names_.size(); ++c) {
      const std::int64_t set = options_.per_class ? static_cast<std::int64_t>(c) : 0;
      if (options_.per_class) parts.push_back(before.select(0, set));
      parts.push_back(tokens.forward(from_vector<std::int64_t>(names_[c])));
      parts.push_back(after.select(0, set));
      parts.push_back(stop);
    }
    return cat(parts, 0);
  }
  /// Where the rows of forward() stand in the prompts.
  nn::PackedRows packed() const {
    if (!before.device().is_cpu()) return on_device().packed;
    return packed_on_cpu();
  }

  Tensor<T> before, after;  ///< (1 or C, n, width)

 private:
  nn::PackedRows packed_on_cpu() const {
    std::vector<std::int64_t> lengths;
    for (const auto& ids : names_) {
      lengths.push_back(static_cast<std::int64_t>(ids.size()) + 2 * options_.vectors + 2);
    }
    return {lengths, options_.per_class ? 1 : 1 + options_.vectors};
  }
  /// What a GPU reads of it, made once: nothing is copied from the host while a graph is captured.
  struct OnDevice {
    Device device;
    Tensor<std::int64_t> ids;    ///< SOS, EOT, then the tokens of all names
    Tensor<std::int64_t> order;  ///< of the rows of ids, `before` and `after`
    nn::PackedRows packed;
  };
  OnDevice on_device() const {
    const Device device = before.device();
    const std::lock_guard<std::mutex> guard(mutex_);
    for (const OnDevice& known : kept_) {
      if (known.device == device) return known;
    }
    std::vector<std::int64_t> ids{options_.start_token, options_.end_token}, order{0};
    for (const auto& name : names_) ids.insert(ids.end(), name.begin(), name.end());
    const std::int64_t n = options_.vectors, sets = before.size(0);
    std::int64_t token = 2;
    const auto rows = [&](std::int64_t begin, std::int64_t count) {
      for (std::int64_t i = 0; i < count; ++i) order.push_back(begin + i);
    };
    const auto first = static_cast<std::int64_t>(ids.size());
    if (!options_.per_class) rows(first, n);
    for (std::size_t c = 0; c < names_.size(); ++c) {
      const std::int64_t set = options_.per_class ? static_cast<std::int64_t>(c) : 0;
      const auto length = static_cast<std::int64_t>(names_[c].size());
      if (options_.per_class) rows(first + set * n, n);
      rows(token, length);
      rows(first + (sets + set) * n, n);
      rows(1, 1);
      token += length;
    }
    kept_.push_back({device, from_vector<std::int64_t>(ids).to(device),
                     from_vector<std::int64_t>(order).to(device), packed_on_cpu().to(device)});
    return kept_.back();
  }

  std::vector<std::vector<std::int64_t>> names_;
  Options options_;
  mutable std::mutex mutex_;
  mutable std::vector<OnDevice> kept_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END

#pragma once
/// What every step of a run is made of: a method's own training first, then DCL's phases.

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "tandem/wtal/data/batch.hpp"
#include "tandem/wtal/rivals/sampling.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// The crops of a step: by a recipe in a warm-up that has one, else by DCL's sampler. A function of
/// (seed, step).
class TrainingSampler {
 public:
  TrainingSampler(Sampler sampler, std::optional<rivals::RecipeSampler> own,
                  std::int64_t warm_up_steps)
      : sampler_(std::move(sampler)), own_(std::move(own)), warm_up_steps_(warm_up_steps) {}

  std::vector<Crop> crops(std::int64_t step) const {
    return own_ && step < warm_up_steps_ ? own_->crops(step) : sampler_.crops(step);
  }

 private:
  Sampler sampler_;
  std::optional<rivals::RecipeSampler> own_;
  std::int64_t warm_up_steps_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END

#pragma once
/// TSM of Boosting-WTAL as a branch: what the programs that score and localize ask of a method.
///     [Li, Yang, Wang, Li, Gao: "Boosting Weakly-Supervised Temporal Action Localization with Text
///      Information", CVPR 2023; marks: docs/method.md, C: as its public code does it]

#include <cstdint>
#include <vector>

#include "tandem/wtal/model/co2.hpp"
#include "tandem/wtal/rivals/boosting_tsm.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// TsmBranch — TSM (rivals/boosting_tsm.hpp), which alone speaks at test.
///   P_c = a·softmax_{C+1}(S)_c, the background has the rest; f = h0          (reading, as CO2-Net)
///   Its own inference is CO2-Net's, by S and a.                                             [C]
/// It has no recipe and no loss of its own here: TSM learns together with VLC (BoostingTrainer).
/// x (B, T, 2·stream + clip), columns RGB, flow, CLIP.
template <FloatingElement T>
class TsmBranch final : public Branch<T> {
 public:
  /// `words` (C, n, word_width): the vectors of the words of each class. `precision`: of the
  /// products in forward() and own_detections(), not of what is asked of `tsm` itself  (ours).
  TsmBranch(const rivals::TsmOptions& options, const Tensor<T>& words, Generator& random,
            Precision precision = Precision::full)
      : tsm(options, words, random), precision_(precision) {
    this->add("tsm", tsm);
  }

  BranchOutput<T> forward(const Tensor<T>& x, const Tensor<bool>& valid,
                          const Tensor<bool>& wanted = {}) const override {
    static_cast<void>(wanted);  // the frames beside the wanted ones are read by convolutions
    const PrecisionScope products(precision_);
    const rivals::TsmOutput<T> out = tsm.forward(x, valid);
    const Tensor<T> odds = rivals::log_odds(rivals::attended_logits(
        out.cas, out.attention, sub(ones_like(out.attention), out.attention)));
    const std::int64_t c = odds.size(2) - 1;
    return {.features = out.features,
            .logits = odds.slice(2, 0, c),
            .background = odds.slice(2, c, c + 1),
            .attention = out.attention};
  }

  bool localizes() const override { return true; }
  std::vector<Detection> own_detections(const Tensor<float>& x,
                                        double seconds_per_row) const override {
    const NoGrad no_grad;
    const PrecisionScope products(precision_);
    const Device device = tsm.background.device();
    const Tensor<T> rows = x.template to<T>().unsqueeze(0).to(device);
    const rivals::TsmOutput<T> out = tsm.forward(rows, ones<bool>({1, rows.size(1)}, device));
    return co2_detections(out.cas, out.attention, Co2Options(), seconds_per_row);
  }

  rivals::Tsm<T> tsm;  ///< the network

 private:
  Precision precision_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END

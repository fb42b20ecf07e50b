#pragma once
/// What pseudo-labels say to a method that has a background class or a foreground filter.
///                                                                            [method §10, reading]

#include <cstdint>
#include <vector>

#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/index_select.hpp"
#include "tandem/tensor/factory.hpp"
#include "tandem/wtal/rivals/losses.hpp"
#include "tandem/wtal/train/pseudo_labels.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// background_labels — h_b = 1 on confident background frames, 0 on foreground frames, −1
/// elsewhere.
///   h (B, T, C) in {1, 0, −1}, valid (B, T) → (B, T, 1). Made on the CPU; of a GPU's labels, which
///   it waits for, too.
inline Tensor<std::int32_t> background_labels(const Tensor<std::int32_t>& h,
                                              const Tensor<bool>& valid) {
  const Tensor<std::int32_t> out(Shape{h.size(0), h.size(1), 1});
  std::int32_t* to = out.mutable_data();
  const Device cpu = Device::cpu();
  for (const FrameState state : frame_states(h.to(cpu), valid.to(cpu))) {
    *to++ = state == FrameState::background ? 1 : state == FrameState::foreground ? 0 : -1;
  }
  return out.to(h.device());
}

/// attention_loss — mean BCE(w, 1 − h_b) over the frames with h_b ≠ −1; 0 where there is none.
///   w (B, T, 1) in (0, 1), h_b (B, T, 1) → ().
template <FloatingElement T>
Tensor<T> attention_loss(const Tensor<T>& attention, const Tensor<std::int32_t>& h_b) {
  TANDEM_CHECK(attention.shape() == h_b.shape(), "attention_loss",
               "expected attention and labels of one shape, got ", attention.shape(), " and ",
               h_b.shape());
  std::vector<std::int64_t> frames;
  std::vector<T> foreground;
  const Tensor<std::int32_t> labels = h_b.to(Device::cpu());
  for (std::int64_t i = 0; i < labels.numel(); ++i) {
    if (labels.data()[i] == -1) continue;
    frames.push_back(i);
    foreground.push_back(T(1 - labels.data()[i]));
  }
  if (frames.empty()) return mul(sum(attention), T(0));
  const Tensor<T> chosen = index_select(attention.reshape({attention.numel()}), 0,
                                        from_vector<std::int64_t>(frames).to(attention.device()));
  return rivals::clamped_bce(chosen, from_vector<T>(foreground).to(attention.device()));
}

}  // namespace wtal
TANDEM_NAMESPACE_END

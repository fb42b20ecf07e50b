#include "tandem/features/flow_stage.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <vector>

using namespace tandem;
using namespace tandem::wtal;

namespace {

/// A smooth pattern, moved by `shift` pixels to the right.
Tensor<std::uint8_t> pattern(double shift) {
  const std::int64_t h = 36, w = 44;
  const Tensor<std::uint8_t> out({h, w});
  for (std::int64_t y = 0; y < h; ++y) {
    for (std::int64_t x = 0; x < w; ++x) {
      const double u = static_cast<double>(x) - shift, v = static_cast<double>(y);
      out.mutable_data()[y * w + x] =
          static_cast<std::uint8_t>(128 + 60 * std::sin(u / 3) + 50 * std::cos(v / 4 + u / 7));
    }
  }
  return out;
}

ExtractionOptions small() {
  ExtractionOptions o{.snippets = {.stack = 2, .step = 3}};
  o.i3d.size = 36;
  o.i3d.crop = 32;
  o.tvl1.scales = 2;
  o.tvl1.warps = 2;
  return o;
}

template <class T>
bool same(const Tensor<T>& a, const Tensor<T>& b) {
  return a.shape() == b.shape() && std::equal(a.data(), a.data() + a.numel(), b.data());
}

/// A frame whose flow is `value` everywhere, and `value` + 0.5 in the second channel.
ExtractionFrame flowing(float value) {
  ExtractionFrame frame;
  frame.flow = Tensor<float>({2, 1, 2, 2});
  for (int i = 0; i < 8; ++i) frame.flow.mutable_data()[i] = i < 4 ? value : value + 0.5F;
  return frame;
}

}  // namespace

TEST_CASE("flow_stage: the flow is that of tvl1 between the two grey frames, as I3D takes it") {
  const ExtractionOptions o = small();
  StageClock clock;
  const FlowStage stage(o, clock);
  ExtractionFrame frame;
  frame.index = 1;
  frame.gray = pattern(0);
  frame.next_gray = pattern(0.7);
  const Tensor<float> field = flow::tvl1(frame.gray, frame.next_gray, o.tvl1);
  const ExtractionFrame out = stage(frame);
  CHECK(same(out.flow, i3d::preprocess_flow(field.unsqueeze(0), o.i3d)));
  CHECK(out.flow.shape() == Shape{2, 1, 32, 32});
  CHECK(!out.gray.defined());
  CHECK(!out.next_gray.defined());
  CHECK(out.index == 1);
  CHECK(clock.read().flow > 0);
  // It moves to the right: 0.7 pixels, of which 20 are 1.
  double sum = 0;
  for (std::int64_t i = 0; i < 32 * 32; ++i) sum += static_cast<double>(out.flow.data()[i]);
  CHECK(std::fabs(sum / (32 * 32) - 0.7 / 20) < 0.1 / 20);
}

TEST_CASE("flow_stage: frames that need no flow get none, frames that repeat get zeros") {
  StageClock clock;
  const FlowStage stage(small(), clock);
  ExtractionFrame unused, last, alone;
  unused.index = 2;  // in no row: two frames of three are
  unused.gray = unused.next_gray = pattern(0);
  last.gray = pattern(0);
  for (const ExtractionFrame* one : {&unused, &last, &alone}) {
    const ExtractionFrame out = stage(*one);
    CHECK(!out.flow.defined());
    CHECK(!out.gray.defined());
    CHECK(!out.next_gray.defined());
  }
  CHECK(clock.read().flow == 0);
  ExtractionFrame repeated;
  repeated.gray = pattern(0);
  repeated.next_gray = pattern(0);
  const ExtractionFrame out = stage(repeated);
  REQUIRE(out.flow.shape() == Shape{2, 1, 32, 32});
  for (std::int64_t i = 0; i < out.flow.numel(); ++i) REQUIRE(out.flow.data()[i] == 0);
}

TEST_CASE("flow_stage: the flow of a row; where a frame has none, the one before it once more") {
  RowAssembler<ExtractionFrame> rows({.stack = 3, .step = 3, .tail = Tail::repeat});
  std::vector<Tensor<float>> made;
  const auto emit = [&](const FrameRow<ExtractionFrame>& row) { made.push_back(row_flow(row, 2)); };
  // The last frame has no flow; the second row repeats it.
  rows.add(flowing(1), 0, 1, false, emit);
  rows.add(flowing(2), 1, 2, false, emit);
  rows.add(flowing(3), 2, 3, false, emit);
  rows.add(flowing(4), 3, 4, false, emit);
  rows.add({}, 4, 5, true, emit);
  rows.finish(emit);
  REQUIRE(made.size() == 2);
  const std::vector<float> expected[] = {{1, 2, 3}, {4, 4, 4}};
  for (std::size_t r = 0; r < 2; ++r) {
    REQUIRE(made[r].shape() == Shape{1, 2, 3, 2, 2});
    for (std::int64_t i = 0; i < made[r].numel(); ++i) {
      const float flow = expected[r][static_cast<std::size_t>(i / 4 % 3)];
      CHECK(made[r].data()[i] == (i < 12 ? flow : flow + 0.5F));
    }
  }
}

TEST_CASE(
    "flow_stage: a row of one frame takes the flow of the frame before, at the beginning zeros") {
  std::vector<float> first;
  const auto emit = [&](const FrameRow<ExtractionFrame>& row) {
    first.push_back(row_flow(row, 2).data()[0]);
  };
  RowAssembler<ExtractionFrame> rows({.stack = 1, .step = 1});
  rows.add({}, 0, 1, false, emit);
  rows.add(flowing(5), 1, 2, false, emit);
  rows.add({}, 2, 3, true, emit);
  CHECK(first == std::vector<float>{0, 5, 5});
}

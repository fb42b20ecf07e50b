/// The stages of extraction before the networks on a GPU: what those of the CPU give, frame by
/// frame.

#include "tandem/features/device_frames.hpp"

#include <optional>
#include <vector>

#include "../image/picture.hpp"
#include "devices.hpp"
#include "tandem/features/flow_stage.hpp"
#include "tandem/features/frame_source.hpp"

using namespace tandem;
namespace device_frames_test {
using namespace tandem::wtal;
namespace {

#if defined(__x86_64__) && !defined(__FMA__)
constexpr bool equal_bits = true;  // as tvl1_test.cpp has it
#else
constexpr bool equal_bits = false;
#endif

/// Smooth frames that move, 40 × 56; frame 4 is frame 3 once more.
std::vector<io::VideoFrame> video(std::int64_t count) {
  std::vector<io::VideoFrame> frames;
  for (std::int64_t i = 0; i < count; ++i) {
    const Tensor<std::uint8_t> picture({40, 56, 3});
    const double t = static_cast<double>(i == 4 ? 3 : i);
    std::uint8_t* p = picture.mutable_data();
    for (std::int64_t y = 0; y < 40; ++y) {
      for (std::int64_t x = 0; x < 56; ++x) {
        for (int c = 0; c < 3; ++c) {
          const double u = static_cast<double>(x) - 0.8 * t, v = static_cast<double>(y) + 0.4 * t;
          *p++ = static_cast<std::uint8_t>(120 + 55 * std::sin(u / 4 + c) + 45 * std::cos(v / 5));
        }
      }
    }
    const double seconds = static_cast<double>(i) / 25;
    frames.push_back({.rgb = picture, .index = i, .seconds = seconds, .source_seconds = seconds});
  }
  return frames;
}

std::vector<ExtractionFrame> frames_of(const ExtractionOptions& o, Streams streams,
                                       std::int64_t count, FrameSource::Pictures pictures) {
  const std::vector<io::VideoFrame> decoded = video(count);
  std::size_t next = 0;
  StageClock clock;
  FrameSource source(
      o, streams, 25, clock,
      [&](io::VideoFrame& frame) {
        if (next == decoded.size()) return false;
        frame = decoded[next++];
        return true;
      },
      pictures);
  std::vector<ExtractionFrame> out;
  while (std::optional<ExtractionFrame> frame = source.next()) out.push_back(std::move(*frame));
  return out;
}

/// The same, in flow what another instruction set may give.
template <class T>
void same(const Tensor<T>& got, const Tensor<T>& expected, double bound) {
  REQUIRE(got.defined() == expected.defined());
  if (!got.defined()) return;
  CHECK(got.device().is_cuda());
  const Tensor<T> here = got.to(Device::cpu()).contiguous();
  REQUIRE(here.shape() == expected.shape());
  if constexpr (std::is_same_v<T, float>) {
    if (bound > 0) {
      CHECK(check::distance(here, check::cast<double>(expected)) < bound);
      return;
    }
  }
  // −0 and 0 are one: of a frame that repeats, the CPU does not ask where it has gone
  bool equal = true;
  for (std::int64_t i = 0; i < here.numel(); ++i)
    equal = equal && here.data()[i] == expected.contiguous().data()[i];
  CHECK(equal);
}

ExtractionOptions small(SnippetOptions snippets) {
  ExtractionOptions o{.snippets = snippets, .flow_size = 36};
  o.i3d.size = 36;
  o.i3d.crop = 32;
  o.clip.size = o.clip.crop = 28;
  o.tvl1.scales = 2;
  o.tvl1.warps = 2;
  o.tvl1.outer_iterations = 2;
  o.tvl1.inner_iterations = 6;
  return o;
}

void follows_the_cpu(const ExtractionOptions& o, Streams streams, std::int64_t count,
                     const std::vector<std::size_t>& batches) {
  const cpu::IsaScope scope(cpu::Isa::portable);
  StageClock clock;
  const FlowStage flow(o, clock);
  std::vector<ExtractionFrame> expected =
      frames_of(o, streams, count, FrameSource::Pictures::prepared);
  for (ExtractionFrame& frame : expected) frame = flow(std::move(frame));
  for (int order = 0; order < backend::orders; ++order) {
    backend::set_order(order);
    CAPTURE(order);
    DeviceFrames stage(o, streams, Device::cuda());
    std::vector<ExtractionFrame> whole = frames_of(o, streams, count, FrameSource::Pictures::whole);
    std::vector<ExtractionFrame> got;
    std::size_t at = 0, turn = 0;
    while (at < whole.size()) {
      const std::size_t end = std::min(whole.size(), at + batches[turn++ % batches.size()]);
      std::vector<ExtractionFrame> some(whole.begin() + static_cast<std::ptrdiff_t>(at),
                                        whole.begin() + static_cast<std::ptrdiff_t>(end));
      for (ExtractionFrame& frame : stage.add(std::move(some))) got.push_back(std::move(frame));
      // All but the last, whose flow is not known
      CHECK(got.size() == end - (streams.flow && end < whole.size() ? 1 : 0));
      at = end;
    }
    CHECK(stage.add({}).empty());
    REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      CAPTURE(i);
      CHECK(got[i].index == expected[i].index);
      CHECK(got[i].seconds == expected[i].seconds);
      CHECK(got[i].next_seconds == expected[i].next_seconds);
      CHECK(got[i].last == expected[i].last);
      CHECK(!got[i].picture.defined());
      CHECK(!got[i].gray.defined());
      same(got[i].crop, expected[i].crop, 0);
      same(got[i].clip, expected[i].clip, 0);
      same(got[i].flow, expected[i].flow, equal_bits ? 0 : 0.05);
    }
  }
  backend::set_order(0);
}

}  // namespace

TEST_CASE("device_frames: crops, CLIP's images and flow are the CPU's, in batches of any size") {
  const Streams all{.rgb = true, .flow = true, .clip = true};
  follows_the_cpu(small({.stack = 4, .step = 4}), all, 9, {16});
  follows_the_cpu(small({.stack = 4, .step = 4}), all, 9, {5, 1, 3});
}
TEST_CASE("device_frames: frames that lie in no row, repeated ends, flow of another size") {
  const Streams all{.rgb = true, .flow = true, .clip = true};
  ExtractionOptions o = small({.stack = 2, .step = 3, .tail = Tail::repeat});
  o.clip_frames = 2;
  o.flow_size = 40;  // resized to I3D's
  follows_the_cpu(o, all, 7, {4});
  follows_the_cpu(o, all, 1, {4});
}
TEST_CASE("device_frames: only what the streams need; nothing waits but flow") {
  const ExtractionOptions o = small({.stack = 3, .step = 3});
  follows_the_cpu(o, {.rgb = true}, 4, {3});
  follows_the_cpu(o, {.clip = true}, 5, {3});
  DeviceFrames stage(o, {.rgb = true, .clip = true}, Device::cuda());
  const std::int64_t waited = waits();
  (void)stage.add(frames_of(o, {.rgb = true, .clip = true}, 6, FrameSource::Pictures::whole));
  CHECK(waits() == waited);
  DeviceFrames flowing(o, {.flow = true}, Device::cuda());
  (void)flowing.add(frames_of(o, {.flow = true}, 6, FrameSource::Pictures::whole));
  CHECK(waits() - waited == 4);  // two scales of two warps, of all pairs together
}

TEST_CASE("row_flow: the flow of a row is put together where it is") {
  std::vector<Tensor<float>> here, there;
  for (const bool gpu : {false, true}) {
    RowAssembler<ExtractionFrame> assembler({.stack = 3, .step = 3, .tail = Tail::repeat});
    const auto emit = [&](const FrameRow<ExtractionFrame>& row) {
      (gpu ? there : here).push_back(row_flow(row, 2));
    };
    for (int i = 0; i < 5; ++i) {
      ExtractionFrame frame;
      if (i < 4)
        frame.flow = check::cast<float>(check::normal({2, 1, 2, 2}, 7 + static_cast<unsigned>(i)))
                         .to(gpu ? Device::cuda() : Device::cpu());
      assembler.add(std::move(frame), i, i + 1, i == 4, emit);
    }
    assembler.finish(emit);
  }
  REQUIRE(here.size() == 2);
  REQUIRE(there.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) same(there[i], here[i], 0);
}

}  // namespace device_frames_test

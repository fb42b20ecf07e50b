/// Frames and flow on their way into I3D against Pillow (tests/golden/generate_i3d_preprocess.py).

#include "tandem/i3d/preprocess.hpp"

#include <cmath>
#include <cstring>

#include "../image/picture.hpp"
#include "../ops/check.hpp"
#include "tandem/io/npz.hpp"

using namespace tandem;
using namespace tandem_test;
using Bytes = Tensor<std::uint8_t>;

namespace {

const io::Npz& golden() {
  static const auto npz = io::Npz::open(TANDEM_GOLDEN_DIR "/i3d_preprocess.npz");
  return npz;
}

/// The bytes from which preprocess_rgb made x (3, 1, crop, crop), as (crop, crop, 3).
Bytes bytes_of(const Tensor<float>& x) {
  const Tensor<float> last = x.select(1, 0).permute({1, 2, 0}).contiguous();
  Bytes out(last.shape());
  std::size_t wrong = 0;
  for (std::int64_t i = 0; i < last.numel(); ++i) {
    const double byte = std::round((static_cast<double>(last.data()[i]) + 1) * 255 / 2);
    out.mutable_data()[i] = static_cast<std::uint8_t>(byte);
    wrong += last.data()[i] != static_cast<float>(byte * 2 / 255 - 1);
  }
  CHECK(wrong == 0);
  return out;
}

}  // namespace

TEST_CASE("preprocess_rgb and preprocess_flow: the bytes and bits of Pillow for 80 sizes") {
  const auto sizes = golden().at("sizes").tensor<std::int64_t>();
  const auto rgb = golden().at("rgb").tensor<std::int64_t>();
  const auto flow = golden().at("flow").tensor<std::int64_t>();
  REQUIRE(sizes.shape() == Shape{80, 4});
  for (std::int64_t i = 0; i < sizes.size(0); ++i) {
    CAPTURE(i);
    const std::int64_t h = sizes.at({i, 0}), w = sizes.at({i, 1});
    const i3d::PreprocessOptions options{.size = sizes.at({i, 2}), .crop = sizes.at({i, 3})};
    const auto seed = static_cast<std::uint32_t>(i);
    const Tensor<float> x = i3d::preprocess_rgb(picture(h, w, 3, seed).unsqueeze(0), options);
    REQUIRE(x.shape() == Shape{3, 1, options.crop, options.crop});
    const Bytes frame = bytes_of(x);
    const Bytes levels = picture(h, w, 2, seed + 1);
    Tensor<float> vectors({1, h, w, 2});
    for (std::int64_t k = 0; k < vectors.numel(); ++k) {
      vectors.mutable_data()[k] = (static_cast<float>(levels.data()[k]) - 127.0F) / 4;
    }
    Tensor<float> motion = i3d::preprocess_flow(vectors, options);
    REQUIRE(motion.shape() == Shape{2, 1, options.crop, options.crop});
    motion = motion.select(1, 0).contiguous();
    for (std::int64_t k = 0; k < motion.numel(); ++k)
      motion.mutable_data()[k] += 0.0F;  // −0 becomes 0
    if (i < 4) {
      CHECK(check::same(frame, golden().at(concat(i, ".rgb")).tensor<std::uint8_t>()));
      CHECK(check::same(motion, golden().at(concat(i, ".flow")).tensor<float>()));
    }
    CHECK(checksum(frame) == rgb.at({i}));
    CHECK(checksum(motion) == flow.at({i}));
  }
}

TEST_CASE("preprocess: frames stay in order, channels come first, any thread count") {
  const Bytes frames = picture(5 * 20, 24, 3, 4).view({5, 20, 24, 3});
  const i3d::PreprocessOptions options{.size = 16, .crop = 12};
  check::any_thread_count(
      [&] { return std::vector<Tensor<float>>{i3d::preprocess_rgb(frames, options)}; });
  const Tensor<float> all = i3d::preprocess_rgb(frames, options);
  REQUIRE(all.shape() == Shape{3, 5, 12, 12});
  const Tensor<float> flow = check::cast<float>(frames.slice(3, 1, 3));
  const Tensor<float> motion = i3d::preprocess_flow(flow, options);
  for (std::int64_t t = 0; t < 5; ++t) {
    CHECK(check::same(all.slice(1, t, t + 1),
                      i3d::preprocess_rgb(frames.slice(0, t, t + 1), options)));
    CHECK(check::same(motion.slice(1, t, t + 1),
                      i3d::preprocess_flow(flow.slice(0, t, t + 1), options)));
  }
  // Pictures of the right size are only cropped, and vectors keep their length.
  const Tensor<float> same = i3d::preprocess_flow(flow.slice(1, 0, 16), {.size = 16, .crop = 16});
  CHECK(same.at({0, 2, 3, 5}) == std::min(flow.at({2, 3, 9, 0}), 20.0F) / 20);
  CHECK(i3d::preprocess_rgb(frames.slice(0, 0, 0)).shape() == Shape{3, 0, 224, 224});
}

TEST_CASE("preprocess says what is wrong") {
  const Bytes frames({2, 8, 8, 3});
  CHECK(check::message([&] { i3d::preprocess_rgb(frames.slice(3, 0, 2)); }) ==
        "[preprocess_rgb] expected frames (T, H, W, 3), got (2, 8, 8, 2)");
  CHECK(check::message([&] { i3d::preprocess_rgb(frames, {.size = 8, .crop = 9}); }) ==
        "[preprocess_rgb] expected a crop of at least 1 and at most the size, below 2^14, got 9 "
        "and 8");
  CHECK(check::message([&] {
          i3d::preprocess_flow(zeros<float>({2, 8, 8, 3}));
        }) == "[preprocess_flow] expected flow (T, H, W, 2), got (2, 8, 8, 3)");
  CHECK(check::message([&] {
          i3d::preprocess_flow(zeros<float>({2, 0, 8, 2}));
        }) == "[preprocess_flow] the flow (2, 0, 8, 2) has no pixels");
  Tensor<float> flow = zeros<float>({2, 8, 8, 2});
  flow.set({1, 4, 4, 1}, NAN);
  CHECK(check::message([&] { i3d::preprocess_flow(flow); }) ==
        "[preprocess_flow] the flow of frame 1 holds NaN");
  flow.set({1, 4, 4, 1}, -INFINITY);
  CHECK(i3d::preprocess_flow(flow, {.size = 8, .crop = 8}).at({1, 1, 4, 4}) == -1);
}

// The convolution against a naive loop in double: shapes × strides × padding × every instruction
// set of this machine, and AMX on emulated tiles.
//
// Tolerance of the direct method: as for the matrix product (see gemm_test.cpp), a sum of k
// products differs from the exact one by at most γ·Σ|w||x| with γ = (k + 2)u, and adding the bias
// rounds once more. A result in bfloat16 is rounded once more, by at most 2⁻⁸ of itself.
//
// Tolerance of Winograd's: the transforms multiply by exact numbers. Each transform rounds at most
// 2n times in a row (n terms along each axis, a product each), U = G g Gᵀ once (it is computed in
// double), the sum over k = (kd, channel, phase) as above, alpha once. So the error is at most γ·m
// with γ = (k + 4n + 4)u and the magnitude m = |A|ᵀ [ Σ_k (|G| |g| |G|ᵀ) ⊙ (|B|ᵀ |d| |B|) ] |A|,
// which the reference computes from the matrices' definition.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "conv3d_reference.hpp"

using namespace tandem;
using namespace tandem::cpu;
using namespace tandem_test;

namespace {

constexpr double sentinel = 12345;

/// What a case does besides its shape.
struct Form {
  bool bias = true, relu = false, packed = false;
  std::int64_t before = 0, after = 0;  // channels of y that are not the convolution's
  Conv3dMethod method = Conv3dMethod::direct;
};

template <class T>
using Kernels = gemm_detail::Kernels<T, Accumulator<T>>;

/// Runs one convolution and counts the elements of y outside their error bound, or touched though
/// they belong to others.
template <class T, class Out>
std::int64_t wrong_elements(const Conv3dShape& s, Form form, std::uint32_t seed,
                            const Kernels<T>* kernels = nullptr) {
  using Acc = Accumulator<T>;
  Random random(seed);
  const auto x = numbers<T>(s.n * s.channels * s.in_positions(), random);
  const auto w = numbers<T>(s.out_channels * s.fan_in(), random);
  const auto bias = numbers<Acc>(s.out_channels, random);
  const Acc* b = form.bias ? bias.data() : nullptr;
  const std::int64_t total = form.before + s.out_channels + form.after,
                     positions = s.out_positions();
  std::vector<Out> y(static_cast<std::size_t>(s.n * total * positions),
                     Out(static_cast<Acc>(sentinel)));
  const ChannelSlice slice =
      form.before + form.after > 0 ? ChannelSlice{total, form.before} : ChannelSlice{};
  using conv3d_detail::TileKind;
  TileKind tile = TileKind::none;
  if (kernels != nullptr) {
    conv3d_forward(s, x.data(), Conv3dWeights<T>(s, w.data(), *kernels), b, form.relu, y.data(),
                   slice);
  } else {
    const Conv3dWeights<T> packed(s, w.data(), form.method);
    tile = packed.winograd().kind();
    if (form.method == Conv3dMethod::automatic && !form.packed) {
      conv3d_forward(s, x.data(), w.data(), b, form.relu, y.data(), slice);
      tile =
          conv3d_detail::choose_tile<T>(s, form.method, gemm_detail::kernels<T, Acc>(isa()), false);
    } else {
      conv3d_forward(s, x.data(), packed, b, form.relu, y.data(), slice);
    }
  }
  std::vector<double> magnitudes;
  double roundings = static_cast<double>(s.fan_in()) + 2;
  if (tile != TileKind::none) {
    magnitudes = tile == TileKind::f23   ? tile_magnitudes<conv3d_detail::Toom<2, 3>>(s, x, w)
                 : tile == TileKind::f43 ? tile_magnitudes<conv3d_detail::Toom<4, 3>>(s, x, w)
                                         : tile_magnitudes<conv3d_detail::Toom<4, 4>>(s, x, w);
    const std::int64_t points = tile == TileKind::f23 ? 4 : tile == TileKind::f43 ? 6 : 7;
    roundings =
        static_cast<double>(s.channels * s.kernel[0] * s.stride[1] * s.stride[1] + 4 * points + 4);
  }

  const auto exact = reference(s, x, w);
  const double u = std::numeric_limits<Acc>::epsilon() / 2;
  std::int64_t wrong = 0;
  const Exact* e = exact.data();
  const Out* out = y.data();
  for (std::int64_t n = 0; n < s.n; ++n) {
    for (std::int64_t o = -form.before; o < s.out_channels + form.after; ++o) {
      const bool ours = o >= 0 && o < s.out_channels;
      for (std::int64_t p = 0; p < positions; ++p, ++out) {
        if (!ours) {
          wrong += as_double(*out) != as_double(Out(static_cast<Acc>(sentinel)));
          continue;
        }
        const double magnitude = magnitudes.empty()
                                     ? e->magnitude
                                     : magnitudes[static_cast<std::size_t>(e - exact.data())];
        double want = e->sum, bound = roundings * u * magnitude;
        ++e;
        if (b != nullptr) want += as_double(b[o]);
        bound += u * std::fabs(want);
        if (form.relu) want = want > 0 ? want : 0;
        if (std::is_same_v<Out, bfloat16>) bound += 0x1p-8 * (std::fabs(want) + bound);
        bound *= 1 + 1e-9;  // the reference's own rounding, in double
        if constexpr (std::is_same_v<Acc, double>) bound *= 2;
        wrong += !(std::fabs(as_double(*out) - want) <= bound);
      }
    }
  }
  return wrong;
}

/// A spread of shapes: sizes, channels, kernels, strides and padding take turns.
std::vector<Conv3dShape> shapes() {
  const std::int64_t sizes[] = {1, 3, 7, 13, 14, 28}, channels[] = {1, 2, 3, 5, 17, 33};
  const std::int64_t kernels[][3] = {{1, 1, 1}, {3, 3, 3}, {7, 7, 7}, {1, 3, 3},
                                     {3, 1, 1}, {2, 2, 2}, {2, 3, 5}};
  const std::int64_t strides[][3] = {{1, 1, 1}, {2, 2, 2}, {1, 2, 2},
                                     {1, 1, 2}, {2, 1, 3}, {1, 1, 1}};
  std::vector<Conv3dShape> all;
  Random random(3);
  for (const auto& kernel : kernels) {
    for (const auto& stride : strides) {
      for (int repeat = 0; repeat < 2; ++repeat) {
        Conv3dShape s;
        s.n = 1 + random() % 2;
        s.channels = channels[random() % 6];
        s.out_channels = channels[random() % 6];
        std::int64_t* size[3] = {&s.depth, &s.height, &s.width};
        for (int i = 0; i < 3; ++i) {
          *size[i] = i == 0 ? 1 + random() % 4 : sizes[random() % 6];
          s.kernel[i] = kernel[i];
          s.stride[i] = stride[i];
          s.pad_front[i] = random() % 3 == 0 ? 0 : random() % static_cast<std::uint32_t>(kernel[i]);
          s.pad_back[i] =
              random() % 3 == 0 ? s.pad_front[i] : random() % static_cast<std::uint32_t>(kernel[i]);
          const std::int64_t missing = kernel[i] - (*size[i] + s.pad_front[i] + s.pad_back[i]);
          if (missing > 0) s.pad_back[i] += missing;  // a kernel longer than the image
        }
        if (s.fan_in() > 2000) s.channels = 3;
        if (s.flops() > 2e7) s.out_channels = 2;
        all.push_back(s);
      }
    }
  }
  return all;
}

template <class T, class Out>
void check_all(const std::vector<Conv3dShape>& all, Conv3dMethod method,
               const Kernels<T>* kernels = nullptr) {
  std::uint32_t seed = 1;
  for (const Conv3dShape& s : all) {
    ++seed;
    const Form form{seed % 2 == 0, seed % 3 == 0, seed % 5 < 2, seed % 4, seed % 7, method};
    CAPTURE(seed);
    CAPTURE(s.channels);
    CAPTURE(s.out_channels);
    CAPTURE(s.depth);
    CAPTURE(s.height);
    CAPTURE(s.width);
    CAPTURE(sizeof(Out));
    REQUIRE(wrong_elements<T, Out>(s, form, seed, kernels) == 0);
  }
}

/// Shapes that Winograd's tiles fit: 3 × 3 with stride 1 and, for tiles of 4 × 4, 4 × 4 … 8 × 8
/// with stride 1 or 2.
std::vector<Conv3dShape> winograd_shapes(bool four) {
  const std::int64_t sizes[] = {1, 3, 7, 13, 14, 28, 37}, channels[] = {1, 2, 3, 5, 17, 33};
  const std::int64_t kernels[][2] = {{3, 1}, {3, 1}, {5, 2}, {6, 2}, {4, 1}, {7, 2}, {8, 2}};
  std::vector<Conv3dShape> all;
  Random random(5);
  for (int i = 0; i < (four ? 28 : 16); ++i) {
    const auto& kernel = kernels[four ? i % 7 : i % 4];
    Conv3dShape s;
    s.n = 1 + random() % 2;
    s.channels = channels[random() % 6];
    s.out_channels = channels[random() % 6];
    s.depth = 1 + random() % 4;
    s.height = sizes[random() % 7];
    s.width = sizes[random() % 7];
    s.kernel[0] = 1 + random() % 3;
    s.stride[0] = 1 + random() % 2;
    s.pad_front[0] = random() % 3;
    s.pad_back[0] = s.kernel[0];
    for (int axis = 1; axis < 3; ++axis) {
      s.kernel[axis] = kernel[0];
      s.stride[axis] = kernel[1];
      s.pad_front[axis] = random() % 3;
      s.pad_back[axis] = random() % 3;
      const std::int64_t missing =
          s.kernel[axis] - (s.in(axis) + s.pad_front[axis] + s.pad_back[axis]);
      if (missing > 0) s.pad_back[axis] += missing;
    }
    if (s.flops() > 1e7) s.out_channels = 3;
    if (s.flops() > 1e7) s.channels = 2;
    all.push_back(s);
  }
  return all;
}

}  // namespace

TEST_CASE("conv3d: as a matrix product, float and double") {
  on_each_isa([] {
    check_all<float, float>(shapes(), Conv3dMethod::direct);
    check_all<double, double>(shapes(), Conv3dMethod::direct);
  });
}

TEST_CASE("conv3d: as a matrix product, bfloat16 to float and to bfloat16") {
  on_each_isa([] {
    check_all<bfloat16, float>(shapes(), Conv3dMethod::direct);
    check_all<bfloat16, bfloat16>(shapes(), Conv3dMethod::direct);
  });
}

TEST_CASE("conv3d: AMX on emulated tiles") {
  const auto kernels = gemm_detail::amx::make_emulated_kernels<bfloat16>();
  check_all<bfloat16, float>(shapes(), Conv3dMethod::direct, &kernels);
}

TEST_CASE("conv3d: Winograd's tiles") {
  on_each_isa([] {
    for (Conv3dMethod method : {Conv3dMethod::winograd2, Conv3dMethod::winograd4}) {
      const auto all = winograd_shapes(method == Conv3dMethod::winograd4);
      check_all<float, float>(all, method);
      check_all<double, double>(all, method);
      check_all<bfloat16, float>(all, method);
      check_all<bfloat16, bfloat16>(all, method);
    }
  });
}

TEST_CASE("conv3d: the method chosen by itself, packed or not") {
  check_all<float, float>(shapes(), Conv3dMethod::automatic);
  check_all<bfloat16, bfloat16>(winograd_shapes(true), Conv3dMethod::automatic);
}

TEST_CASE("conv3d: an image in several blocks") {
  // Products of one tile row of all frames take more than Winograd's 8 MB, then one of a frame
  // each.
  const Threads threads(2);
  Conv3dShape s{.n = 2,
                .channels = 2,
                .depth = 9,
                .height = 7,
                .width = 70,
                .out_channels = 130,
                .kernel = {3, 3, 3},
                .pad_front = {1, 1, 1},
                .pad_back = {1, 1, 1}};
  CHECK(wrong_elements<float, float>(s, {.method = Conv3dMethod::winograd4}, 1) == 0);
  // Two k blocks and more than one group of columns.
  s = {.channels = 70,
       .depth = 3,
       .height = 20,
       .width = 19,
       .out_channels = 30,
       .kernel = {3, 3, 3},
       .pad_front = {1, 1, 1},
       .pad_back = {1, 1, 1}};
  CHECK(wrong_elements<float, float>(s, {}, 2) == 0);
  CHECK(wrong_elements<bfloat16, bfloat16>(s, {}, 3) == 0);
}

TEST_CASE("conv3d: the same bits for every number of threads") {
  Random random(7);
  for (const Conv3dShape& s :
       {Conv3dShape{.n = 2,
       .channels = 33,
       .depth = 4,
       .height = 14,
       .width = 15,
       .out_channels = 70,
       .kernel = {3, 3, 3},
       .pad_front = {1, 1, 1},
       .pad_back = {1, 1, 1}},
        Conv3dShape{.channels = 3,
        .depth = 9,
        .height = 40,
        .width = 40,
        .out_channels = 40,
        .kernel = {7, 7, 7},
        .stride = {2, 2, 2},
        .pad_front = {2, 2, 2},
        .pad_back = {3, 3, 3}},
        Conv3dShape{.channels = 130, .depth = 2, .height = 7, .width = 7, .out_channels = 300}}) {
    const auto x = numbers<float>(s.n * s.channels * s.in_positions(), random);
    const auto w = numbers<float>(s.out_channels * s.fan_in(), random);
    const auto bias = numbers<float>(s.out_channels, random);
    for (Conv3dMethod method : {Conv3dMethod::automatic, Conv3dMethod::direct}) {
      std::vector<float> first;
      for (int count : {1, 2, 3, 5}) {
        const Threads threads(count);
        CAPTURE(count);
        std::vector<float> y(static_cast<std::size_t>(s.n * s.out_channels * s.out_positions()), 7);
        conv3d_forward(s, x.data(), Conv3dWeights<float>(s, w.data(), method), bias.data(), true,
                       y.data());
        if (first.empty()) first = y;
        REQUIRE(y == first);
      }
    }
  }
}

TEST_CASE(
    "conv3d: packed weights serve other image sizes and outlive a change of instruction set") {
  Random random(11);
  Conv3dShape s{.channels = 5,
                .depth = 2,
                .height = 9,
                .width = 9,
                .out_channels = 20,
                .kernel = {3, 3, 3},
                .pad_front = {1, 1, 1},
                .pad_back = {1, 1, 1}};
  const auto w = numbers<float>(s.out_channels * s.fan_in(), random);
  for (Conv3dMethod method :
       {Conv3dMethod::direct, Conv3dMethod::winograd2, Conv3dMethod::winograd4}) {
    for (Isa packed_on : supported_isas()) {
      const auto weights = [&] {
        const IsaScope scope(packed_on);
        return std::make_unique<Conv3dWeights<float>>(s, w.data(), method);
      }();
      for (Isa run_on : supported_isas()) {
        const IsaScope scope(run_on);
        Conv3dShape other = s;
        other.depth = 3;
        other.height = 14;
        other.width = 11;
        other.n = 2;
        other.pad_front[0] = 0;
        const auto x = numbers<float>(other.n * other.channels * other.in_positions(), random);
        std::vector<float> y(
            static_cast<std::size_t>(other.n * other.out_channels * other.out_positions()));
        conv3d_forward(other, x.data(), *weights, nullptr, false, y.data());
        const auto exact = reference(other, x, w);
        double worst = 0;
        for (std::size_t i = 0; i < y.size(); ++i)
          worst = std::max(worst, std::fabs(y[i] - exact[i].sum));
        CHECK(worst <
              1e-4);  // an index that is wrong is off by about 1; the bounds are tested above
      }
    }
  }
}

TEST_CASE("conv3d: NaN and infinity arrive, nothing else is touched by them") {
  const float inf = std::numeric_limits<float>::infinity(),
              nan = std::numeric_limits<float>::quiet_NaN();
  on_each_isa([=] {
    const Conv3dShape s{.channels = 2,
                        .depth = 1,
                        .height = 20,
                        .width = 20,
                        .out_channels = 3,
                        .kernel = {1, 3, 3},
                        .pad_front = {0, 1, 1},
                        .pad_back = {0, 1, 1}};
    for (Conv3dMethod method : {Conv3dMethod::direct, Conv3dMethod::winograd4}) {
      for (float bad : {inf, nan}) {
        std::vector<float> x(2 * 400, 1), w(3 * 18, 1), y(3 * 400);
        x[9 * 20 + 9] = bad;
        conv3d_forward(s, x.data(), Conv3dWeights<float>(s, w.data(), method), nullptr, true,
                       y.data());
        CHECK(!std::isfinite(y[9 * 20 + 9]));
        CHECK(y[20 + 2] == doctest::Approx(18));
        CHECK(y[17 * 20 + 17] == doctest::Approx(18));
      }
    }
  });
}

TEST_CASE("conv3d: empty sizes and sums") {
  float y[2] = {5, 5};
  const float bias[2] = {1, -1}, one = 1;
  conv3d_forward<float, float>({.n = 0}, nullptr, &one, nullptr, false, nullptr);
  conv3d_forward<float, float>({.out_channels = 0}, &one, static_cast<const float*>(nullptr),
                               nullptr, false, nullptr);
  CHECK(y[0] == 5);
  // No channels, or only padding: the bias.
  conv3d_forward<float, float>({.channels = 0, .out_channels = 2}, nullptr,
                               static_cast<const float*>(nullptr), bias, true, y);
  CHECK(y[0] == 1);
  CHECK(y[1] == 0);
  const Conv3dShape padding{.depth = 0,
                            .out_channels = 2,
                            .kernel = {3, 3, 3},
                            .pad_front = {1, 1, 1},
                            .pad_back = {2, 1, 1}};
  const std::vector<float> w(2 * 27, 1);
  for (Conv3dMethod method :
       {Conv3dMethod::direct, Conv3dMethod::winograd2, Conv3dMethod::winograd4}) {
    conv3d_forward<float, float>(padding, nullptr, Conv3dWeights<float>(padding, w.data(), method),
                                 bias, false, y);
    CHECK(y[0] == 1);
    CHECK(y[1] == -1);
  }
}

TEST_CASE("conv3d: what does not fit is refused") {
  const std::vector<float> x(64), w(64);
  std::vector<float> y(64);
  const auto forward = [&](const Conv3dShape& s, ChannelSlice slice = {}) {
    conv3d_forward(s, x.data(), w.data(), nullptr, false, y.data(), slice);
  };
  CHECK_THROWS_AS(forward({.n = -1}), Error);
  CHECK_THROWS_AS(forward({.kernel = {1, 0, 1}}), Error);
  CHECK_THROWS_AS(forward({.stride = {1, 1, 0}}), Error);
  CHECK_THROWS_AS(forward({.pad_back = {0, -1, 0}}), Error);
  CHECK_THROWS_AS(forward({.kernel = {2, 1, 1}}), Error);  // longer than the image
  CHECK_THROWS_AS(forward({.out_channels = 2}, {.total = 3, .first = 2}), Error);
  CHECK_THROWS_AS(forward({}, {.total = 3, .first = -1}), Error);
  const Conv3dShape s{.channels = 2, .height = 4, .width = 4};
  CHECK_THROWS_AS(Conv3dWeights<float>(s, w.data(), Conv3dMethod::winograd2), Error);
  CHECK_THROWS_AS(
      Conv3dWeights<float>({.height = 8, .width = 8, .kernel = {1, 7, 7}, .stride = {1, 2, 2}},
                           w.data(), Conv3dMethod::winograd2),
      Error);
  const Conv3dWeights<float> packed(s, w.data());
  Conv3dShape other = s;
  other.channels = 1;
  CHECK_THROWS_AS(conv3d_forward(other, x.data(), packed, nullptr, false, y.data()), Error);
  other = s;
  other.stride[2] = 2;
  CHECK_THROWS_AS(conv3d_forward(other, x.data(), packed, nullptr, false, y.data()), Error);
}

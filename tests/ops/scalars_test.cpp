// A number beside a tensor: what it means is its value. An op that would need it as an element
// refuses one that the element type does not hold; comparisons and clamp need none.
#include <cmath>
#include <cstdint>
#include <limits>

#include "check.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/clamp.hpp"
#include "tandem/ops/compare.hpp"
#include "tandem/ops/pad.hpp"
#include "tandem/ops/where.hpp"

using namespace tandem;

namespace {

constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                       most = std::numeric_limits<std::int64_t>::max();

/// All six comparisons of x with s, against `less`, `equal` as known by exact reasoning.
template <class T, class S>
bool compares(T x, S s, bool less, bool equal) {
  const Tensor<T> t = full<T>({1}, x);
  const bool greater = !less && !equal;
  return lt(t, s).item() == less && le(t, s).item() == (less || equal) &&
         eq(t, s).item() == equal && ne(t, s).item() == !equal && gt(t, s).item() == greater &&
         ge(t, s).item() == (greater || equal);
}

template <class F>
std::string refusal(F&& f) {
  return check::message(f);
}

}  // namespace

TEST_CASE("comparisons with a number: its value counts, held by the element type or not") {
  constexpr std::uint64_t all = std::numeric_limits<std::uint64_t>::max();
  for (const std::int64_t x : {least, std::int64_t{-1}, std::int64_t{0}, std::int64_t{5}, most}) {
    CHECK(compares(x, all, true, false));
    CHECK(compares(x, std::uint64_t{1} << 63, true, false));
    CHECK(compares(x, 0x1p63, true, false));
    CHECK(compares(x, 1e300, true, false));
    CHECK(compares(x, -1e300, false, false));
    CHECK(compares(x, -0x1p63, false, x == least));
    CHECK(compares(x, INFINITY, true, false));
    CHECK(compares(x, -INFINITY, false, false));
    CHECK(compares(x, 4.5, x < 5, false));
    CHECK(compares(x, -0.5, x < 0, false));
    CHECK(compares(x, 5.0, x < 5, x == 5));
  }
  // 2⁵³ + 1 is no double.
  CHECK(compares((std::int64_t{1} << 53) + 1, 0x1p53, false, false));
  CHECK(compares((std::int64_t{1} << 53) - 1, 0x1p53, true, false));
  CHECK(compares(std::int64_t{16777217}, 16777216.0F, false, false));
  CHECK(compares(std::uint8_t{255}, -1, false, false));
  CHECK(compares(std::uint8_t{255}, all, true, false));
  CHECK(compares(std::int32_t{-1}, all, true, false));
  CHECK(compares(std::int32_t{-1}, 4294967295U, true, false));
  CHECK(compares(true, 2, true, false));
  // Floating elements.
  CHECK(compares(INFINITY, 1e300, false, false));  // float: 1e300 would be rounded to infinity
  CHECK(compares(std::numeric_limits<float>::max(), 1e300, true, false));
  CHECK(compares(-INFINITY, -1e300, true, false));
  CHECK(compares(0.1F, 0.1, false, true));
  CHECK(compares(1.0, all, true, false));
  // NaN: false, except ne.
  for (const std::int64_t x : {least, std::int64_t{0}, most}) {
    const Tensor<std::int64_t> t = full<std::int64_t>({1}, x);
    CHECK(ne(t, NAN).item());
    CHECK(!(lt(t, NAN).item() || le(t, NAN).item() || eq(t, NAN).item() || gt(t, NAN).item() ||
            ge(t, NAN).item()));
  }
  CHECK(lt(arange<std::int64_t>(3).view({3, 1}).expand({3, 2}), all).to_vector() ==
        std::vector<bool>(6, true));
}

TEST_CASE("arithmetic, full, fill_, set, where and pad refuse a number that is no element") {
  const Tensor<std::int64_t> i = arange<std::int64_t>(3);
  const Tensor<std::uint8_t> b = full<std::uint8_t>({3}, 1);
  const Tensor<float> f = ones<float>({3});
  const Tensor<bool> mask = full<bool>({3}, true);
  constexpr std::uint64_t all = std::numeric_limits<std::uint64_t>::max();
  CHECK(refusal([&] { i + all; }) ==
        "[add] the scalar 18446744073709551615 is not a value of int64");
  CHECK(refusal([&] { i / all; }) ==
        "[div] the scalar 18446744073709551615 is not a value of int64");
  CHECK(refusal([&] { all - i; }) ==
        "[sub] the scalar 18446744073709551615 is not a value of int64");
  CHECK(refusal([&] { i * 0x1p63; }) ==
        "[mul] the scalar 9.223372036854776e+18 is not a value of int64");
  CHECK(refusal([&] { i += NAN; }) == "[add in place] the scalar nan is not a value of int64");
  CHECK(refusal([&] { b + 256; }) == "[add] the scalar 256 is not a value of uint8");
  CHECK(refusal([&] { b - -1; }) == "[sub] the scalar -1 is not a value of uint8");
  CHECK(refusal([&] { f * 1e300; }) == "[mul] the scalar 1e+300 is too large for float32");
  CHECK(refusal([&] { f - -1e39; }) == "[sub] the scalar -1e+39 is too large for float32");
  CHECK(refusal([&] { f -= 1e300; }) ==
        "[sub in place] the scalar 1e+300 is too large for float32");
  CHECK(refusal([&] { full<std::uint8_t>({2}, 300); }) ==
        "[full] the scalar 300 is not a value of uint8");
  CHECK(refusal([&] { full<std::int64_t>({2}, all); }) ==
        "[full] the scalar 18446744073709551615 is not a value of int64");
  CHECK(refusal([&] { full<float>({2}, 1e39); }) ==
        "[full] the scalar 1e+39 is too large for float32");
  CHECK(refusal([&] { full<bfloat16>({2}, 3.4e38F); }).find("too large for bfloat16") !=
        std::string::npos);
  CHECK(refusal([&] { b.fill_(-1); }) == "[fill_] the scalar -1 is not a value of uint8");
  CHECK(refusal([&] { i.fill_(0.5); }) == "[fill_] the scalar 0.5 is not a value of int64");
  CHECK(refusal([&] { b.set({0}, 999); }) == "[set] the scalar 999 is not a value of uint8");
  CHECK(refusal([&] { where(mask, i, 0.5); }) == "[where] the scalar 0.5 is not a value of int64");
  CHECK(refusal([&] { where(mask, -1, b); }) == "[where] the scalar -1 is not a value of uint8");
  CHECK(refusal([&] { where(mask, f, -1e300); }) ==
        "[where] the scalar -1e+300 is too large for float32");
  CHECK(refusal([&] { pad(b, {{1, 1}}, 256); }) == "[pad] the scalar 256 is not a value of uint8");
  CHECK(refusal([&] { arange<std::uint8_t>(0, 300); }) ==
        "[arange] the scalar 299 is not a value of uint8");
  CHECK(refusal([&] { linspace<std::uint8_t>(-1, 5, 3); }) ==
        "[linspace] the scalar -1 is not a value of uint8");
  // Nothing was changed on the way.
  CHECK(b.to_vector() == std::vector<std::uint8_t>{1, 1, 1});
  CHECK(i.to_vector() == std::vector<std::int64_t>{0, 1, 2});
  // And what the type holds goes through, rounded where it is floating.
  CHECK((i + least).at({0}) == least);
  CHECK((b * 255).at({0}) == 255);
  CHECK((f * 0.1).at({0}) == 0.1F);
  CHECK((f * INFINITY).at({0}) == INFINITY);
  CHECK(std::isnan((f * NAN).at({0})));
  CHECK(full<float>({1}, all).item() == 0x1p64F);
  CHECK(full<float>({1}, 3).item() == 3);
  CHECK(full<bool>({1}, 2).item());
  CHECK(where(mask, i, -1e9).at({2}) == 2);
  CHECK(arange<std::uint8_t>(256).numel() == 256);
}

TEST_CASE("clamp of integers: the bounds mean what they say") {
  const Tensor<std::uint8_t> b = arange<std::uint8_t>(256);
  CHECK(check::same(clamp(b, -5, 300), b));
  CHECK(clamp(b, 0.5, 2.5).at({0}) == 1);
  CHECK(clamp(b, 0.5, 2.5).at({200}) == 2);
  CHECK(clamp(b, -0.5, 254.5).at({255}) == 254);
  const Tensor<std::int64_t> i = tensor<std::int64_t>({least, -3, 0, 3, most});
  constexpr std::uint64_t all = std::numeric_limits<std::uint64_t>::max();
  CHECK(check::same(clamp(i, -1e300, all), i));
  CHECK(check::same(clamp(i, -INFINITY, INFINITY), i));
  CHECK(clamp(i, -2.5, 0x1p62).to_vector() ==
        std::vector<std::int64_t>{-2, -2, 0, 3, std::int64_t{1} << 62});
  CHECK(clamp_max(i, -2.5).to_vector() == std::vector<std::int64_t>{least, -3, -3, -3, -3});
  CHECK(refusal([&] { clamp_min(b, 300); }) == "[clamp_min] uint8 has no value at or above 300");
  CHECK(refusal([&] { clamp_max(b, -0.5); }) == "[clamp_max] uint8 has no value at or below -0.5");
  CHECK(refusal([&] { clamp_min(b, 255.5); }) ==
        "[clamp_min] uint8 has no value at or above 255.5");
  CHECK(refusal([&] { clamp(i, 0.2, 0.8); }) ==
        "[clamp] no value of int64 lies between the bounds 0.2 and 0.8");
  CHECK(refusal([&] { clamp(i, 0, NAN); }) == "[clamp] a bound is NaN");
  const Tensor<float> f = tensor<float>({-INFINITY, -1, INFINITY});
  CHECK(check::same(clamp(f, -1e300, 1e300), clamp(f, -INFINITY, INFINITY)));
  CHECK(refusal([&] { clamp_min(f, 1e300); }) ==
        "[clamp_min] float32 has no value at or above 1e+300");
}

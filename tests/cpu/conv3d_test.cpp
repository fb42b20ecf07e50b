// The convolution against a naive loop in double: shapes × strides × padding × every instruction set
// of this machine, and AMX on emulated tiles.
//
// Tolerance of the direct method: as for the matrix product (see gemm_test.cpp), a sum of k products
// differs from the exact one by at most γ·Σ|w||x| with γ = (k + 2)u, and adding the bias rounds once
// more. A result in bfloat16 is rounded once more, by at most 2⁻⁸ of itself.

#include "tandem/cpu/conv3d.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

using namespace tandem;
using namespace tandem::cpu;

namespace {

constexpr double sentinel = 12345;

template <class T>
double as_double(T x) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    return static_cast<double>(static_cast<float>(x));
  } else {
    return static_cast<double>(x);
  }
}

/// A linear congruential generator: cheap, also under a sanitizer.      [Knuth, TAOCP 2, section 3.3.4]
struct Random {
  uint64_t state;
  explicit Random(uint64_t seed) : state(seed) {}
  uint32_t operator()() {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return static_cast<uint32_t>(state >> 32);
  }
  double number() { return (*this)() * 0x1p-31 - 1; }  // in [−1, 1)
};

template <class T>
std::vector<T> numbers(int64_t count, Random& random) {
  std::vector<T> data(static_cast<size_t>(count));
  for (T& x : data) x = T(static_cast<Accumulator<T>>(random.number()));
  return data;
}

/// The sum at one output element and the sum of its terms' magnitudes.
struct Exact {
  double sum = 0, magnitude = 0;
};

template <class T>
std::vector<Exact> reference(const Conv3dShape& s, const std::vector<T>& x, const std::vector<T>& w) {
  std::vector<double> xd(x.size()), wd(w.size());
  for (size_t i = 0; i < x.size(); ++i) xd[i] = as_double(x[i]);
  for (size_t i = 0; i < w.size(); ++i) wd[i] = as_double(w[i]);
  std::vector<Exact> y(static_cast<size_t>(s.n * s.out_channels * s.out_positions()));
  Exact* out = y.data();
  const double* taps = wd.data();
  for (int64_t n = 0; n < s.n; ++n) {
    for (int64_t o = 0; o < s.out_channels; ++o) {
      for (int64_t d = 0; d < s.out(0); ++d) {
        for (int64_t h = 0; h < s.out(1); ++h) {
          for (int64_t w0 = 0; w0 < s.out(2); ++w0, ++out) {
            for (int64_t c = 0; c < s.channels; ++c) {
              for (int64_t kd = 0; kd < s.kernel[0]; ++kd) {
                const int64_t id = d * s.stride[0] + kd - s.pad_front[0];
                if (id < 0 || id >= s.depth) continue;
                for (int64_t kh = 0; kh < s.kernel[1]; ++kh) {
                  const int64_t ih = h * s.stride[1] + kh - s.pad_front[1];
                  if (ih < 0 || ih >= s.height) continue;
                  for (int64_t kw = 0; kw < s.kernel[2]; ++kw) {
                    const int64_t iw = w0 * s.stride[2] + kw - s.pad_front[2];
                    if (iw < 0 || iw >= s.width) continue;
                    const double term =
                        taps[(((o * s.channels + c) * s.kernel[0] + kd) * s.kernel[1] + kh) *
                                 s.kernel[2] + kw] *
                        xd[static_cast<size_t>(
                            (((n * s.channels + c) * s.depth + id) * s.height + ih) * s.width + iw)];
                    out->sum += term;
                    out->magnitude += std::fabs(term);
                  }
                }
              }
            }
          }
        }
      }
    }
  }
  return y;
}

/// What a case does besides its shape.
struct Form {
  bool bias = true, relu = false, packed = false;
  int64_t before = 0, after = 0;  // channels of y that are not the convolution's
};

template <class T>
using Kernels = gemm_detail::Kernels<T, Accumulator<T>>;

/// Runs one convolution and counts the elements of y outside their error bound, or touched though
/// they belong to others.
template <class T, class Out>
int64_t wrong_elements(const Conv3dShape& s, Form form, uint32_t seed, const Kernels<T>* kernels = nullptr) {
  using Acc = Accumulator<T>;
  Random random(seed);
  const auto x = numbers<T>(s.n * s.channels * s.in_positions(), random);
  const auto w = numbers<T>(s.out_channels * s.fan_in(), random);
  const auto bias = numbers<Acc>(s.out_channels, random);
  const Acc* b = form.bias ? bias.data() : nullptr;
  const int64_t total = form.before + s.out_channels + form.after, positions = s.out_positions();
  std::vector<Out> y(static_cast<size_t>(s.n * total * positions), Out(static_cast<Acc>(sentinel)));
  const ChannelSlice slice = form.before + form.after > 0 ? ChannelSlice{total, form.before} : ChannelSlice{};
  if (kernels != nullptr) {
    conv3d_forward(s, x.data(), Conv3dWeights<T>(s, w.data(), *kernels), b, form.relu, y.data(), slice);
  } else if (form.packed) {
    conv3d_forward(s, x.data(), Conv3dWeights<T>(s, w.data()), b, form.relu, y.data(), slice);
  } else {
    conv3d_forward(s, x.data(), w.data(), b, form.relu, y.data(), slice);
  }

  const auto exact = reference(s, x, w);
  const double u = std::numeric_limits<Acc>::epsilon() / 2;
  int64_t wrong = 0;
  const Exact* e = exact.data();
  const Out* out = y.data();
  for (int64_t n = 0; n < s.n; ++n) {
    for (int64_t o = -form.before; o < s.out_channels + form.after; ++o) {
      const bool ours = o >= 0 && o < s.out_channels;
      for (int64_t p = 0; p < positions; ++p, ++out) {
        if (!ours) {
          wrong += as_double(*out) != as_double(Out(static_cast<Acc>(sentinel)));
          continue;
        }
        double want = e->sum, bound = (static_cast<double>(s.fan_in()) + 2) * u * e->magnitude;
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
  const int64_t sizes[] = {1, 3, 7, 13, 14, 28}, channels[] = {1, 2, 3, 5, 17, 33};
  const int64_t kernels[][3] = {{1, 1, 1}, {3, 3, 3}, {7, 7, 7}, {1, 3, 3}, {3, 1, 1}, {2, 2, 2}, {2, 3, 5}};
  const int64_t strides[][3] = {{1, 1, 1}, {2, 2, 2}, {1, 2, 2}, {1, 1, 2}, {2, 1, 3}, {1, 1, 1}};
  std::vector<Conv3dShape> all;
  Random random(3);
  for (const auto& kernel : kernels) {
    for (const auto& stride : strides) {
      for (int repeat = 0; repeat < 2; ++repeat) {
        Conv3dShape s;
        s.n = 1 + random() % 2;
        s.channels = channels[random() % 6];
        s.out_channels = channels[random() % 6];
        int64_t* size[3] = {&s.depth, &s.height, &s.width};
        for (int i = 0; i < 3; ++i) {
          *size[i] = i == 0 ? 1 + random() % 4 : sizes[random() % 6];
          s.kernel[i] = kernel[i];
          s.stride[i] = stride[i];
          s.pad_front[i] = random() % 3 == 0 ? 0 : random() % static_cast<uint32_t>(kernel[i]);
          s.pad_back[i] = random() % 3 == 0 ? s.pad_front[i] : random() % static_cast<uint32_t>(kernel[i]);
          const int64_t missing = kernel[i] - (*size[i] + s.pad_front[i] + s.pad_back[i]);
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
void check_all(const Kernels<T>* kernels = nullptr) {
  uint32_t seed = 1;
  for (const Conv3dShape& s : shapes()) {
    ++seed;
    const Form form{seed % 2 == 0, seed % 3 == 0, seed % 5 < 2, seed % 4, seed % 7};
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

template <class F>
void on_each_isa(F f) {
  for (Isa isa : supported_isas()) {
    const IsaScope scope(isa);
    INFO(std::string(name(isa)));
    f();
  }
}

}  // namespace

TEST_CASE("conv3d: float") {
  on_each_isa([] { check_all<float, float>(); });
}

TEST_CASE("conv3d: double") {
  on_each_isa([] { check_all<double, double>(); });
}

TEST_CASE("conv3d: bfloat16 to float and to bfloat16") {
  on_each_isa([] {
    check_all<bfloat16, float>();
    check_all<bfloat16, bfloat16>();
  });
}

TEST_CASE("conv3d: AMX on emulated tiles") {
  const auto kernels = gemm_detail::amx::make_emulated_kernels();
  check_all<bfloat16, float>(&kernels);
}

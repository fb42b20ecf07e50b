/// The convolutions of I3D (Inception-v1 inflated) for one clip of 16 × 224 × 224, weights packed
/// once. Speaks the contract of benchmarks/README.md; works:
///
///     conv3d_<f32|bf16>/<channels>-<out channels>-k<kernel>s<stride>-<frames>x<size>
///
/// and a table of its own with every layer's time, its share of the FMA peak counting the
/// operations of the direct sum (Winograd needs fewer and may exceed 100 %), and the total:
///
///     conv3d_bench --table [threads] [samples] [f32|bf16|all]
///     [automatic|direct|winograd2|winograd4]

#include <chrono>
#include <memory>

#include "harness.hpp"
#include "tandem/cpu/conv3d.hpp"

namespace {

using namespace tandem::cpu;
using tandem::bfloat16;

struct Layer {
  std::string name;
  Conv3dShape shape;
};

Conv3dShape cube(std::int64_t from, std::int64_t to, std::int64_t depth, std::int64_t size,
                 std::int64_t kernel) {
  const std::int64_t pad = kernel / 2;
  return {.channels = from,
          .depth = depth,
          .height = size,
          .width = size,
          .out_channels = to,
          .kernel = {kernel, kernel, kernel},
          .pad_front = {pad, pad, pad},
          .pad_back = {pad, pad, pad}};
}

/// [Carreira & Zisserman 2017, figure 3; Szegedy et al. 2015, table 1]
std::vector<Layer> layers() {
  std::vector<Layer> all;
  all.push_back({"conv1",
                 {.channels = 3,
                  .depth = 16,
                  .height = 224,
                  .width = 224,
                  .out_channels = 64,
                  .kernel = {7, 7, 7},
                  .stride = {2, 2, 2},
                  .pad_front = {2, 2, 2},
                  .pad_back = {3, 3, 3}}});
  all.push_back({"2b-64", cube(64, 64, 8, 56, 1)});
  all.push_back({"2c-192", cube(64, 192, 8, 56, 3)});
  struct Block {
    const char* name;
    std::int64_t depth, size, from, b0, b1_reduce, b1, b2_reduce, b2, b3;
  };
  constexpr Block blocks[] = {{"3b", 8, 28, 192, 64, 96, 128, 16, 32, 32},
                              {"3c", 8, 28, 256, 128, 128, 192, 32, 96, 64},
                              {"4b", 4, 14, 480, 192, 96, 208, 16, 48, 64},
                              {"4c", 4, 14, 512, 160, 112, 224, 24, 64, 64},
                              {"4d", 4, 14, 512, 128, 128, 256, 24, 64, 64},
                              {"4e", 4, 14, 512, 112, 144, 288, 32, 64, 64},
                              {"4f", 4, 14, 528, 256, 160, 320, 32, 128, 128},
                              {"5b", 2, 7, 832, 256, 160, 320, 32, 128, 128},
                              {"5c", 2, 7, 832, 384, 192, 384, 48, 128, 128}};
  for (const Block& b : blocks) {
    const auto add = [&](std::int64_t from, std::int64_t to, std::int64_t kernel) {
      all.push_back({std::string(b.name) + "-" + std::to_string(from) + "-" + std::to_string(to),
                     cube(from, to, b.depth, b.size, kernel)});
    };
    add(b.from, b.b0, 1);
    add(b.from, b.b1_reduce, 1);
    add(b.b1_reduce, b.b1, 3);
    add(b.from, b.b2_reduce, 1);
    add(b.b2_reduce, b.b2, 3);
    add(b.from, b.b3, 1);
  }
  return all;
}

template <class T>
class Work {
 public:
  Work(const Conv3dShape& shape, Conv3dMethod method)
      : shape_(shape),
        x_(random(shape.channels * shape.in_positions())),
        y_(static_cast<std::size_t>(shape.out_channels * shape.out_positions())),
        bias_(static_cast<std::size_t>(shape.out_channels), 0.1F),
        weights_(shape, random(shape.out_channels * shape.fan_in()).data(),
                 method_for(shape, method)) {}

  void operator()() {
    conv3d_forward(shape_, x_.data(), weights_, bias_.data(), true, y_.data());
    bench::keep(y_[0]);
  }

  const char* method() const {
    switch (weights_.winograd().kind()) {
      case conv3d_detail::TileKind::none:
        break;
      case conv3d_detail::TileKind::f23:
        return "F(2, 3)";
      case conv3d_detail::TileKind::f43:
        return "F(4, 3)";
      case conv3d_detail::TileKind::f44:
        return "F(4, 4)";
    }
    return "direct";
  }

 private:
  /// The method asked for where it fits the kernel.
  static Conv3dMethod method_for(const Conv3dShape& s, Conv3dMethod method) {
    const std::int64_t taps = conv3d_detail::winograd_taps(s);
    const bool fits = taps == 3 || (taps == 4 && method == Conv3dMethod::winograd4);
    return fits || method == Conv3dMethod::automatic ? method : Conv3dMethod::direct;
  }
  static std::vector<T> random(std::int64_t count) {
    std::vector<T> data(static_cast<std::size_t>(count));
    std::uint32_t state = 1;
    for (T& x : data) {
      state = state * 1664525U + 1013904223U;
      x = T(static_cast<float>(state >> 8) * 0x1p-23F - 1);
    }
    return data;
  }

  Conv3dShape shape_;
  std::vector<T> x_, y_;
  std::vector<float> bias_;
  Conv3dWeights<T> weights_;
};

template <class T>
void add_all(bench::Suite& suite, const char* type) {
  std::vector<std::string> names;  // blocks repeat some shapes
  for (const Layer& layer : layers()) {
    const Conv3dShape& s = layer.shape;
    const auto number = [](std::int64_t value) { return std::to_string(value); };
    const std::string name = std::string("conv3d_") + type + "/" + number(s.channels) + "-" +
                             number(s.out_channels) + "-k" + number(s.kernel[0]) + "s" +
                             number(s.stride[0]) + "-" + number(s.depth) + "x" + number(s.height);
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    names.push_back(name);
    const double elements = static_cast<double>(s.channels * s.in_positions() +
                                                s.out_channels * (s.fan_in() + s.out_positions()));
    suite.add(name, {.flops = s.flops(), .bytes = elements * sizeof(T), .unit = type}, [s] {
      auto work = std::make_shared<Work<T>>(s, Conv3dMethod::automatic);
      return [=] { (*work)(); };
    });
  }
}

/// Multiply-adds that never leave the registers: 12 chains hide a latency of 4 to 6 cycles.
struct Peak {
  static constexpr std::int64_t rounds = 1'000'000;
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(float* out) {
    V a[12];
    for (int j = 0; j < 12; ++j) a[j] = V(static_cast<float>(j));
    const V x(0.999F), y(0.5F);
    for (std::int64_t i = 0; i < rounds; ++i) {
      TANDEM_UNROLL for (int j = 0; j < 12; ++j) a[j] = fma(a[j], x, y);
    }
    V sum = a[0];
    for (int j = 1; j < 12; ++j) sum += a[j];
    out[0] = reduce_sum(sum);
    out[1] = static_cast<float>(V::size);
  }
};

template <class F>
double seconds(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// All layers take turns, so that each finds the caches as the others left them.
template <class T>
void print_table(int threads, int samples, Conv3dMethod method, const char* type) {
  set_num_threads(threads);
  float sink[2];
  double peak_seconds = 1e9;
  for (int i = 0; i < 5; ++i) {
    peak_seconds = std::min(peak_seconds, seconds([&] { simd_dispatch<Peak, float>(sink); }));
  }
  const double peak =
      2.0 * 12 * static_cast<double>(Peak::rounds) * static_cast<double>(sink[1]) / peak_seconds;
  std::printf("%s, %d thread(s), %s, FMA peak of one %.1f GFLOP/s (float)\n", type, threads,
              name(isa()), 1e-9 * peak);
  const std::vector<Layer> all = layers();
  std::vector<std::unique_ptr<Work<T>>> works;
  for (const Layer& layer : all) works.push_back(std::make_unique<Work<T>>(layer.shape, method));
  std::vector<double> best(all.size(), 1e9);
  for (int i = 0; i < samples; ++i) {
    for (std::size_t j = 0; j < all.size(); ++j) best[j] = std::min(best[j], seconds(*works[j]));
  }
  double total = 0, flops = 0;
  const auto line = [&](const char* name, double work, double time, const char* how) {
    std::printf("  %-12s %8.3f GFLOP %8.3f ms %6.1f %%  %s\n", name, 1e-9 * work, 1e3 * time,
                100 * work / time / (peak * threads), how);
  };
  for (std::size_t j = 0; j < all.size(); ++j) {
    line(all[j].name.c_str(), all[j].shape.flops(), best[j], works[j]->method());
    total += best[j];
    flops += all[j].shape.flops();
  }
  line("total", flops, total, "");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--table") == 0) {
    const int threads = argc > 2 ? std::atoi(argv[2]) : 1,
              samples = argc > 3 ? std::atoi(argv[3]) : 5;
    const std::string type = argc > 4 ? argv[4] : "all", how = argc > 5 ? argv[5] : "automatic";
    const Conv3dMethod method = how == "direct"      ? Conv3dMethod::direct
                                : how == "winograd2" ? Conv3dMethod::winograd2
                                : how == "winograd4" ? Conv3dMethod::winograd4
                                                     : Conv3dMethod::automatic;
    if (type != "bf16") print_table<float>(threads, samples, method, "f32");
    if (type != "f32") print_table<bfloat16>(threads, samples, method, "bf16");
    return 0;
  }
  bench::Suite suite(argc, argv);
  add_all<float>(suite, "f32");
  add_all<bfloat16>(suite, "bf16");
  return suite.run();
}

/// Conv3d, BatchNorm3d and the pools as modules: names, modes, buffers in files, gradients
/// everywhere.

#include "tandem/nn/conv3d.hpp"

#include "../io/temp_dir.hpp"
#include "../ops/check.hpp"
#include "tandem/io/safetensors.hpp"
#include "tandem/nn/batch_norm.hpp"
#include "tandem/nn/pool3d.hpp"
#include "tandem/nn/sequential.hpp"

using namespace tandem;

namespace {

struct Unit final : nn::Module<float> {
  explicit Unit(Generator& random)
      : conv(3, 5, {1, 3, 3}, random,
             {.stride = {1, 2, 1}, .padding = Padding3d::same(), .relu = true}),
        bn(5, {.epsilon = 1e-3}),
        pool({.kernel = Triple::all(2), .stride = Triple::all(1), .padding = Padding3d::same()}),
        mean({.kernel = {2, 1, 1}}) {
    add("conv3d", conv);
    add("bn", bn);
    add("pool", pool);
    add("mean", mean);
  }
  Tensor<float> forward(const Tensor<float>& x) const {
    return mean.forward(pool.forward(bn.forward(conv.forward(x))));
  }
  nn::Conv3d<float> conv;
  nn::BatchNorm3d<float> bn;
  nn::MaxPool3d<float> pool;
  nn::AvgPool3d<float> mean;
};

}  // namespace

TEST_CASE("3-d modules: PyTorch's names, every parameter learns, freezing") {
  Generator random(1);
  Unit unit(random);
  std::vector<std::string> names, all;
  for (const auto& p : unit.named_parameters()) names.push_back(p.name);
  for (const auto& p : unit.state_dict()) all.push_back(p.name);
  CHECK(names == std::vector<std::string>{"conv3d.weight", "conv3d.bias", "bn.weight", "bn.bias"});
  CHECK(all == std::vector<std::string>{"conv3d.weight", "conv3d.bias", "bn.weight", "bn.bias",
                                        "bn.running_mean", "bn.running_var",
                                        "bn.num_batches_tracked"});
  CHECK(unit.conv.weight.shape() == Shape{5, 3, 1, 3, 3});
  // Kaiming-uniform: ±1/√27 for both.
  for (const auto& p : {unit.conv.weight, unit.conv.bias}) {
    for (const float v : p.to_vector()) CHECK(std::fabs(v) <= 1 / std::sqrt(27.0F));
  }
  const Tensor<float> x = randn<float>({2, 3, 4, 5, 6}, random);
  const Tensor<float> y = unit.forward(x);
  CHECK(y.shape() == Shape{2, 5, 2, 3, 6});
  y.backward(randn<float>(y.shape(), random));
  for (const auto& p : unit.named_parameters()) {
    INFO(p.name);
    double largest = 0;
    for (const float g : p.tensor.grad().to_vector()) {
      REQUIRE(std::isfinite(g));
      largest = std::max(largest, static_cast<double>(std::fabs(g)));
    }
    CHECK(largest > 0);
  }
  unit.freeze();
  CHECK_FALSE(unit.forward(x).requires_grad());
  nn::Conv3d<float> bare(3, 5, {}, random, {}, false);
  CHECK(bare.named_parameters().size() == 1);
}

TEST_CASE(
    "BatchNorm3d: training follows the batches, evaluation uses what it saw; files keep buffers") {
  Generator random(2);
  Unit unit(random);
  const Tensor<float> x = randn<float>({2, 3, 4, 5, 6}, random);
  const auto state = [&] {
    std::vector<Tensor<float>> out{unit.bn.running_mean.clone(), unit.bn.running_var.clone()};
    return out;
  };
  const auto before = state();
  unit.forward(x);
  unit.forward(x);
  CHECK(unit.bn.num_batches_tracked.item() == 2);
  const auto after = state();
  CHECK_FALSE(check::same(before[0], after[0]));
  CHECK_FALSE(check::same(before[1], after[1]));
  const Tensor<float> training = unit.forward(x);
  const auto trained = state();
  unit.eval();
  const Tensor<float> y = unit.forward(x);
  CHECK_FALSE(check::same(y, training));
  CHECK(check::same(trained[0], unit.bn.running_mean));
  CHECK(unit.bn.num_batches_tracked.item() == 3);

  const tandem_test::TempDir folder;
  const std::string path = folder.path("unit.safetensors");
  io::SafetensorsWriter out;
  for (const auto& named : unit.state_dict()) out.add(named.name, named.tensor);
  out.save(path);
  Unit other(random);
  other.eval();
  CHECK_FALSE(check::same(other.forward(x), y));
  const io::SafetensorsFile file(path);
  std::vector<nn::Named<float>> loaded;
  for (const std::string& name : file.names())
    loaded.push_back({name, file.get<float>(name).clone()});
  CHECK(other.load_state_dict(loaded).used.size() == 7);
  CHECK(check::same(other.forward(x), y));
  CHECK(other.bn.num_batches_tracked.item() == 3);
}

TEST_CASE("3-d modules: errors name the module; Sequential takes them") {
  Generator random(3);
  nn::Sequential<float> net;
  net.push(make_ref<nn::Conv3d<float>>(2, 3, Triple::all(1), random));
  net.push(make_ref<nn::BatchNorm3d<float>>(4));
  const Tensor<float> x = zeros<float>({1, 2, 2, 2, 2});
  CHECK(check::message([&] { net.forward(x); }).find("(in module 1)") != std::string::npos);
  CHECK(check::message([&] {
          nn::BatchNorm3d<float>(3).forward(zeros<float>({2, 3}));
        }).find("expected x of shape (N, C, depth, height, width), got (2, 3)") !=
        std::string::npos);
}

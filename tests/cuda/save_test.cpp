/// What is on a GPU goes into files as if it were on the CPU, and comes back to either.

#include <string>
#include <vector>

#include "../io/temp_dir.hpp"
#include "devices.hpp"
#include "tandem/io/checkpoint.hpp"
#include "tandem/io/file.hpp"
#include "tandem/io/npz.hpp"
#include "tandem/io/pickle_writer.hpp"
#include "tandem/io/safetensors.hpp"
#include "tandem/nn/batch_norm.hpp"
#include "tandem/nn/linear.hpp"
#include "tandem/nn/state_dict.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/mean.hpp"
#include "tandem/optim/adam.hpp"

using namespace tandem;

namespace save_test {

/// A module with a count of batches, and its optimizer.
struct Training final : nn::Module<float> {
  Generator random{1};
  nn::Linear<float> first{5, 7, random}, second{7, 2, random};
  nn::BatchNorm1d<float> norm{7};
  Training() {
    this->add("first", first);
    this->add("norm", norm);
    this->add("second", second);
  }
  void step(optim::Adam<float>& adam, const Tensor<float>& x) const {
    adam.zero_grad();
    const Tensor<float> y = second.forward(norm.forward(first.forward(x)));
    mean(y * y).backward();
    adam.step();
  }
};
std::vector<nn::Named<float>> state_of(const Training& net, const optim::Adam<float>& adam) {
  std::vector<nn::Named<float>> out = nn::with_prefix("net.", net.state_dict());
  for (const nn::Named<float>& named : nn::with_prefix("adam.", adam.state())) out.push_back(named);
  return out;
}
void same_state(const std::vector<nn::Named<float>>& a, const std::vector<nn::Named<float>>& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CAPTURE(a[i].name);
    CHECK(a[i].name == b[i].name);
    CHECK(check::same(a[i].tensor.detach().to(Device::cpu()),
                      b[i].tensor.detach().to(Device::cpu())));
  }
}

TEST_CASE("files: a module and its optimizer are saved where they are, and go on anywhere") {
  const tandem_test::TempDir dir;
  const Tensor<float> x = check::cast<float>(devices::normal({11, 5}, 3));
  devices::each([&](Device device) {
    Training net;
    net.to(device);
    optim::Adam<float> adam(net.parameters(), {});
    for (int step = 0; step < 2; ++step) net.step(adam, x.to(device));
    const auto state = state_of(net, adam);

    // The same bytes as from the CPU, the count of batches as PyTorch has it.
    std::vector<nn::Named<float>> here = state;
    for (nn::Named<float>& named : here) named.tensor = named.tensor.detach().to(Device::cpu());
    io::save_safetensors(dir.path("there.safetensors"), state);
    io::save_safetensors(dir.path("here.safetensors"), here);
    CHECK(io::read_text(dir.path("there.safetensors")) ==
          io::read_text(dir.path("here.safetensors")));
    CHECK(io::SafetensorsFile(dir.path("there.safetensors"))
              .get<std::int64_t>("net.norm.num_batches_tracked")
              .item() == 2);
    io::Checkpoint<float> kept;
    kept.tensors = state;
    io::save_checkpoint(dir.path("checkpoint"), kept);

    for (const Device where : {Device::cpu(), device}) {
      for (const bool checkpoint : {false, true}) {
        const auto found = checkpoint ? io::load_checkpoint<float>(dir.path("checkpoint")).tensors
                                      : io::load_safetensors<float>(dir.path("there.safetensors"));
        Training again;
        again.to(where);
        optim::Adam<float> goes_on(again.parameters(), {});
        again.load_state_dict(nn::without_prefix("net.", found));
        goes_on.load_state(nn::without_prefix("adam.", found));
        CHECK(again.parameters()[0].device() == where);
        same_state(state_of(again, goes_on), state);
        if (where != device) continue;
        Training other;
        other.to(device);
        optim::Adam<float> expected(other.parameters(), {});
        for (int step = 0; step < 3; ++step) other.step(expected, x.to(device));
        again.step(goes_on, x.to(device));
        same_state(state_of(again, goes_on), state_of(other, expected));
      }
    }
  });
}

TEST_CASE("files: what was changed in place before it is saved is saved as it is then") {
  const tandem_test::TempDir dir;
  devices::each([&](Device device) {
    const Tensor<float> x = ones<float>({3}, device);
    io::SafetensorsWriter out;
    out.add("x", x);
    x.fill_(2);
    out.save(dir.path("x.safetensors"));
    CHECK(check::same(io::SafetensorsFile(dir.path("x.safetensors")).get<float>("x"),
                      full<float>({3}, 2)));
  });
}

TEST_CASE("files: arrays of NumPy are the CPU's, whatever their layout on a device") {
  const tandem_test::TempDir dir;
  const Tensor<float> x = check::cast<float>(devices::normal({5, 7}, 4));
  const auto written = [&](const Tensor<float>& y) {
    io::save_npy(dir.path("x.npy"), y);
    io::NpzWriter all(dir.path("x.npz"));
    all.add("x", y);
    all.commit();
    io::save_npy_objects(dir.path("objects.npy"), std::vector{y});
    return io::npy_bytes(y) + io::read_text(dir.path("x.npy")) + io::read_text(dir.path("x.npz")) +
           io::read_text(dir.path("objects.npy"));
  };
  devices::each([&](Device device) {
    CHECK(written(x.to(device)) == written(x));
    CHECK(written(x.to(device).transpose(0, 1)) == written(x.transpose(0, 1)));
  });
}

}  // namespace save_test

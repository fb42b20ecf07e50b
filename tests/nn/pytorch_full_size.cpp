// A model of torchvision in its full size: its state is loaded strictly by name, saved again, and
// run.
//   pytorch_full_size resnet18|vit_b_16 STATE INPUT OUTPUT SAVED
// INPUT has x and cot; OUTPUT gets y and, of the loss Σ y·cot, the gradients dx and "grad." + name.
#include <chrono>
#include <cstdio>
#include <map>
#include <string>

#include "pytorch_models.hpp"
#include "tandem/io/safetensors.hpp"

using namespace tandem;

namespace {

template <class Model>
void run(char** files) {
  Generator random(0);
  Model model(random);
  const nn::LoadReport report = model.load_state_dict(io::load_safetensors<float>(files[0]));
  std::printf("%s, %lld parameters", report.str().c_str(),
              static_cast<long long>(model.parameter_count()));
  model.eval();
  const io::SafetensorsFile input(files[1]);
  const Tensor<float> x = input.get_as<float>("x");
  x.requires_grad_();
  const auto begin = std::chrono::steady_clock::now();
  const Tensor<float> y = model.forward(x);
  y.backward(input.get_as<float>("cot"));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::printf(", %.1f s\n", seconds.count());
  std::map<std::string, Tensor<float>> out{{"y", y.detach()}, {"dx", x.grad()}};
  for (const auto& named : model.named_parameters())
    out.emplace("grad." + named.name, named.tensor.grad());
  io::save_safetensors(files[2], out);
  io::save_safetensors(files[3], model.state_dict());
}

}  // namespace

int main(int count, char** words) {
  try {
    const std::string name = count == 6 ? words[1] : "";
    if (name == "resnet18") {
      run<pytorch_models::ResNet18>(words + 2);
    } else if (name == "vit_b_16") {
      run<pytorch_models::VisionTransformer>(words + 2);
    } else {
      std::fprintf(stderr, "usage: pytorch_full_size resnet18|vit_b_16 STATE INPUT OUTPUT SAVED\n");
      return 2;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}

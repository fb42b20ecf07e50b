// A program that links tandem::cuda: the kernels register themselves, and where there is no GPU a
// tensor that is sent to one says so.
#include <cstdio>
#include <string>

#include "tandem/ops.hpp"

int main() {
  using namespace tandem;
  if (cuda_interface().allocate == nullptr ||
      !detail::layer_norm_forward<float>.runs_on(Device::cuda())) {
    std::puts("tandem::cuda is linked, but its kernels are not registered");
    return 1;
  }
  if (cuda_available()) {
    const Tensor<float> there = full<float>({77}, 2, Device::cuda());
    const float sum = add(there, there).to(Device::cpu()).at({76});
    std::printf("2 + 2 = %g on the GPU\n", static_cast<double>(sum));
    return sum == 4 ? 0 : 1;
  }
  try {
    (void)zeros<float>({2}, Device::cuda());
  } catch (const Error& error) {
    std::printf("no GPU here: %s\n", error.what());
    return std::string(error.what()).find("there is no cuda:0: this machine has 0") ==
           std::string::npos;
  }
  std::puts("a tensor was made on a GPU that does not exist");
  return 1;
}

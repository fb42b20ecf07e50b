// Device::cuda() is a GPU, where tandem::cuda is linked and sees one; otherwise everything is
// skipped.

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <utility>

#include "backend.hpp"
#include "tandem/cuda/kernel.hpp"

namespace backend {

const char* const name = "cuda (GPU)";
const int orders = 3;
void set_order(int order) {
  tandem::cuda::grid_cap() = order == 2 ? 3 : 65535;
  tandem::cuda::narrow_below() = order == 1 ? 0 : std::int64_t{1} << 31;
}  // threads have an order of their own
void leave_memory(std::int64_t bytes) {
  static void* held = nullptr;
  static std::int64_t held_bytes = 0;
  const tandem::DeviceInterface& table = tandem::cuda_interface();
  if (held != nullptr) table.deallocate(0, std::exchange(held, nullptr), held_bytes);
  if (bytes < 0) return table.release_kept_memory(0);
  held_bytes = table.free_memory(0) - bytes;
  if (held_bytes > 0) held = table.allocate(0, held_bytes);
}
int live_graphs() { return 0; }

}  // namespace backend

int main(int argc, char** argv) {
  if (!tandem::cuda_available()) {
    std::puts(
        tandem::cuda_interface().device_count == nullptr
            ? "skipped: the CUDA kernels are not built here (no nvcc), so nothing ran on a GPU"
            : "skipped: there is no GPU here, so nothing ran on one");
    return 77;
  }
  return doctest::Context(argc, argv).run();
}

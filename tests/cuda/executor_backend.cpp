// Device::cuda() is the executor of tests/simt. With TANDEM_KERNELS_FILE the names of all kernels
// that were launched are written there, and those registered ones that no slot asked for.

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "../simt/runtime.hpp"
#include "backend.hpp"
#include "tandem/cuda/kernel.hpp"

namespace backend {

const char* const name = "cuda (executor)";
const int orders = 3;
void set_order(int order) {
  simt::set_seed(static_cast<std::uint64_t>(order) + 1);
  tandem::cuda::grid_cap() = order == 2 ? 3 : 65535;
  tandem::cuda::narrow_below() = order == 1 ? 0 : std::int64_t{1} << 31;
}
void leave_memory(std::int64_t bytes) { simt::leave_memory(bytes); }
int live_graphs() { return simt::live_graphs(); }

}  // namespace backend

namespace {
/// Each tensor has memory of its own, fenced and poisoned, unless the environment says otherwise.
[[maybe_unused]] const int no_pool = setenv("TANDEM_CUDA_POOL", "0", 0);

struct WriteKernels {
  ~WriteKernels() {
    const char* const path = std::getenv("TANDEM_KERNELS_FILE");
    if (path == nullptr) return;
    if (std::FILE* const file = std::fopen(path, "w")) {
      std::fputs(simt::launched_kernels().c_str(), file);
      for (const auto* e = tandem_kernel_registry::first(); e != nullptr; e = e->next) {
        Dl_info info;
        const bool named =
            dladdr(reinterpret_cast<void*>(e->function), &info) != 0 && info.dli_sname != nullptr;
        if (!e->found) std::fprintf(file, "unused %s %s\n", e->name, named ? info.dli_sname : "");
      }
      std::fclose(file);
    }
  }
} const write_kernels;
}  // namespace

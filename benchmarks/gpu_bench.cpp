/// What tandem takes on a GPU, for the share of the card's own limits, which are measured first: a
/// copy on the device, and large products of each precision. peers/gpu_peer.py does the same works
/// in PyTorch, and gpu_table.py puts both side by side.
///
/// A timed call puts a work into the queue several times (`calls`) and waits once. Without a GPU
/// there are no works; with TANDEM_BENCH_SMALL=1 they are small, to see that they run. What matters
/// most comes first, so that a run that is stopped has it.

#include <cstdio>
#include <string>

#include "gpu/gpu.hpp"

int main(int argc, char** argv) {
  bench::Suite suite(argc, argv);
  bool list = false;
  for (int i = 1; i < argc; ++i) list = list || std::string(argv[i]) == "--list";
  if (!tandem::cuda_available()) {
    if (!list) std::fprintf(stderr, "gpu_bench: skipped: there is no GPU here, or no kernels\n");
    return list ? 0 : 77;
  }
  bench::gpu::add_limits(suite);
  bench::gpu::add_steps(suite);
  bench::gpu::add_models(suite);
  bench::gpu::add_attention(suite);
  bench::gpu::add_kernels(suite);
  bench::gpu::add_products(suite);
  return suite.run();
}

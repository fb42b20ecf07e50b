/// --device without kernels, and what out of memory adds. device_test.py has the programs.

#include "../../examples/device_cli.hpp"

#include <doctest/doctest.h>

#include "../ops/check.hpp"

using namespace tandem;

TEST_CASE("open_device: the CPU, words that are none, and a program without kernels") {
  CHECK(cli::open_device("x", "cpu").is_cpu());
  for (const char* wrong :
       {"", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:00000", "CUDA", "cpu:0"}) {
    CAPTURE(wrong);
    CHECK(check::message([&] { (void)cli::open_device("x", wrong); }) ==
          concat("[x] --device is cpu, cuda or cuda:i, not '", wrong, "'"));
  }
  if (cuda_interface().device_count != nullptr) return;
  CHECK(check::message([] { (void)cli::open_device("x", "cuda:3"); }) ==
        "[x] --device cuda:3: this program was built without the CUDA kernels; where nvcc is, "
        "configure with -DTANDEM_CUDA=ON and build it again");
}

TEST_CASE("open_device: how many GPUs there are") {
  static int count = 0;
  DeviceInterface table = cuda_interface();
  table.device_count = [] { return count; };
  const detail::Restore before(cuda_interface(), table);
  CHECK(check::message([] { (void)cli::open_device("x", "cuda"); }) ==
        "[x] --device cuda: no GPU was found here; nvidia-smi shows whether the driver sees one");
  count = 1;
  CHECK(cli::open_device("x", "cuda") == Device::cuda(0));
  CHECK(check::message([] { (void)cli::open_device("x", "cuda:1"); }) ==
        "[x] --device cuda:1: there is 1 GPU here, counted from cuda:0");
  count = 3;
  CHECK(cli::open_device("x", "cuda:2") == Device::cuda(2));
  CHECK(check::message([] { (void)cli::open_device("x", "cuda:3"); }) ==
        "[x] --device cuda:3: there are 3 GPUs here, counted from cuda:0");
}

TEST_CASE("products_on: what is asked on a GPU; on the CPU bfloat16 is in the weights") {
  for (const Precision asked : {Precision::full, Precision::tf32, Precision::bfloat16})
    CHECK(cli::products_on(Device::cuda(1), asked) == asked);
  CHECK(cli::products_on(Device::cpu(), Precision::bfloat16) == Precision::full);
}

TEST_CASE("open_device: kernels of another version are told of") {
  DeviceInterface table = cuda_interface();
  table.version = "0.0.9";
  table.device_count = [] { return 1; };
  const detail::Restore before(cuda_interface(), table);
  CHECK(check::message([] { (void)cli::open_device("x", "cuda"); }) ==
        "[cuda] the kernels that are linked into this program are those of tandem 0.0.9, its "
        "headers those of " TANDEM_VERSION_STRING ": build tandem::cuda from the same version");
}

TEST_CASE(
    "saying_what_takes_less: out of memory says it, other errors and results are left alone") {
  CHECK(cli::saying_what_takes_less("a smaller --batch takes less", [] { return 7; }) == 7);
  const auto told = [](const char* message) {
    return check::message([&] {
      cli::saying_what_takes_less("a smaller --batch takes less", [&] { throw Error(message); });
    });
  };
  CHECK(told("[cuda] out of memory on cuda:0: 11.0 MiB were asked for") ==
        "[cuda] out of memory on cuda:0: 11.0 MiB were asked for; a smaller --batch takes less");
  CHECK(told("[softmax] something else") == "[softmax] something else");
}

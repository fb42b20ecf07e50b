#pragma once
/// --device: where a program computes, and what can be said when that cannot be.

#include <string>

#include "tandem/tensor/device.hpp"

namespace cli {

inline constexpr const char* device_help =
    "Where it computes: cpu, cuda (the first GPU) or cuda:i; a GPU needs a program built with the "
    "CUDA kernels";

/// The device that --device names, which is there. Errors: another word; a program without kernels;
/// no such GPU.
inline tandem::Device open_device(const char* program, const std::string& given) {
  if (given == "cpu") return tandem::Device::cpu();
  const std::string digits = given.starts_with("cuda:") ? given.substr(5) : "";
  const bool number = !digits.empty() && digits.size() <= 4 &&
                      digits.find_first_not_of("0123456789") == std::string::npos;
  TANDEM_CHECK(given == "cuda" || number, program, "--device is cpu, cuda or cuda:i, not '", given,
               "'");
  const tandem::DeviceInterface& table = tandem::cuda_interface();
  TANDEM_CHECK(table.device_count != nullptr, program, "--device ", given,
               ": this program was built without the CUDA kernels; where nvcc is, configure with "
               "-DTANDEM_CUDA=ON and build it again");
  const int count = table.device_count(), index = number ? std::stoi(digits) : 0;
  TANDEM_CHECK(count > 0, program, "--device ", given,
               ": no GPU was found here; nvidia-smi shows whether the driver sees one");
  TANDEM_CHECK(index < count, program, "--device ", given, ": there ",
               count == 1 ? "is 1 GPU" : tandem::concat("are ", count, " GPUs"),
               " here, counted from cuda:0");
  return tandem::Device::cuda(index);
}

/// f(); where a GPU's memory is not enough, the error also says what takes less.
///   cli::saying_what_takes_less("a smaller --batch takes less", [&] { … });
template <class F>
auto saying_what_takes_less(const char* what, const F& f) {
  try {
    return f();
  } catch (const tandem::Error& error) {
    const std::string message = error.what();
    if (message.find("out of memory on cuda:") == std::string::npos) throw;
    throw tandem::Error(message + "; " + what);
  }
}

}  // namespace cli

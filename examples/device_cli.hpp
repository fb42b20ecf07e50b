#pragma once
/// --device and --precision: where a program computes and how exactly, and what can be said when
/// that cannot be.

#include <string>

#include "common_cli.hpp"
#include "tandem/cpu/precision.hpp"
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
  tandem::detail::require_own_version(table.version);
  const int count = table.device_count(), index = number ? std::stoi(digits) : 0;
  TANDEM_CHECK(count > 0, program, "--device ", given,
               ": no GPU was found here; nvidia-smi shows whether the driver sees one");
  TANDEM_CHECK(index < count, program, "--device ", given, ": there ",
               count == 1 ? "is 1 GPU" : tandem::concat("are ", count, " GPUs"),
               " here, counted from cuda:0");
  return tandem::Device::cuda(index);
}

/// --precision bf16 by another name, of programs that had only this.
inline constexpr const char* bfloat16_help = "The same as --precision bf16";

/// Declares --precision for a program that infers; `bf16` says what that does there. Empty: not
/// given.
inline CLI::Option* add_precision(CLI::App& app, std::string& precision, const char* bf16,
                                  const char* otherwise = "fp32") {
  return add_choice(
             app, "--precision", precision, {"fp32", "tf32", "bf16"},
             tandem::concat("Products of the networks: fp32 (float), tf32 (on a GPU, factors "
                            "of linear layers with 10 bits of fraction), or bf16: ",
                            bf16))
      ->default_str(otherwise);
}

/// What --precision says; `bfloat16`: --bfloat16 was given. Errors: both, but not the same; tf32 on
/// the CPU.
inline tandem::Precision open_precision(const char* program, const std::string& given,
                                        bool bfloat16, tandem::Device device) {
  using tandem::Precision;
  TANDEM_CHECK(!bfloat16 || given.empty() || given == "bf16", program,
               "--bfloat16 is --precision bf16 and cannot go with --precision ", given);
  TANDEM_CHECK(given != "tf32" || !device.is_cpu(), program,
               "--precision tf32 is of GPUs: with --device cpu products are fp32 or bf16");
  return bfloat16 || given == "bf16" ? Precision::bfloat16
         : given == "tf32"           ? Precision::tf32
                                     : Precision::full;
}

/// The precision of the products (PrecisionScope) of networks that keep their weights as bfloat16
/// where --precision is bf16: on a GPU as asked, which attention then is, too; on the CPU it is the
/// weights that say it.
inline tandem::Precision products_on(tandem::Device device, tandem::Precision asked) {
  return device.is_cpu() ? tandem::Precision::full : asked;
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

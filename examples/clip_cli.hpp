#pragma once
/// What the programs around CLIP share: their options, and images from files and folders.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common_cli.hpp"
#include "device_cli.hpp"
#include "tandem/clip/captured_encoder.hpp"
#include "tandem/clip/load.hpp"
#include "tandem/cuda/host_copy.hpp"
#include "tandem/image/image.hpp"
#include "tandem/ops/stack.hpp"

namespace clip_cli {

using namespace tandem;

struct Options {
  std::string weights, activation, precision;
  bool bfloat16 = false;
  std::int64_t threads = 0;
};

inline void add_options(CLI::App& app, Options& o) {
  app.add_option(
         "--weights", o.weights,
         "CLIP weights: a file of weights/convert.py, or the safetensors file or folder of an "
         "open_clip or Hugging Face model")
      ->required();
  cli::add_choice(app, "--activation", o.activation, {"quick_gelu", "gelu"},
                  "What the model was trained with, where its files do not say");
  cli::add_precision(app, o.precision,
                     "weights are kept as bfloat16, half the memory, features within 2 % of float");
  app.add_flag("--bfloat16", o.bfloat16, cli::bfloat16_help);
  app.add_option("--threads", o.threads, "Threads; 0: all that the machine offers")
      ->check(cli::range(0, cpu::max_threads));
}

inline clip::LoadOptions load_options(const Options& o, Precision precision) {
  if (o.threads > 0) cpu::set_num_threads(static_cast<int>(o.threads));
  return {.bfloat16 = precision == Precision::bfloat16,
          .activation = clip::activation_named(o.activation)};
}

/// The images of a folder in the order of their names, numbers in them by value: f9.jpg before
/// f10.jpg. Hidden files are left out. Errors: no image; a picture of a kind that is not read,
/// which would leave a gap in the rows.
inline std::vector<std::string> images_in(const std::string& folder) {
  constexpr const char* unread[] = {".bmp", ".gif", ".tif",  ".tiff", ".webp",
                                    ".ppm", ".pgm", ".heic", ".avif", ".jp2"};
  std::vector<std::string> out;
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    const std::filesystem::path& path = entries->path();
    if (path.filename().string().starts_with('.')) continue;
    std::string extension = path.extension().string();
    for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (extension == ".png" || extension == ".jpg" || extension == ".jpeg") {
      out.push_back(path.string());
    }
    for (const char* other : unread) {
      TANDEM_CHECK(extension != other, "images", path.string(),
                   ": images are read as PNG and JPEG; convert it, or move "
                   "it out of the folder");
    }
  }
  TANDEM_CHECK(!error, "images", folder, ": the folder cannot be read: ", error.message());
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto before = [&](const std::string& a, const std::string& b) {
    std::size_t i = 0, j = 0;
    while (i < a.size() && j < b.size()) {
      if (!is_digit(a[i]) || !is_digit(b[j])) {
        if (a[i] != b[j]) return a[i] < b[j];
        ++i;
        ++j;
        continue;
      }
      while (i < a.size() && a[i] == '0') ++i;
      while (j < b.size() && b[j] == '0') ++j;
      std::size_t m = 0, n = 0;
      while (i + m < a.size() && is_digit(a[i + m])) ++m;
      while (j + n < b.size() && is_digit(b[j + n])) ++n;
      if (m != n) return m < n;
      if (const int order = a.compare(i, m, b, j, n); order != 0) return order < 0;
      i += m;
      j += n;
    }
    return a.size() - i < b.size() - j || (a.size() - i == b.size() - j && a < b);
  };
  std::sort(out.begin(), out.end(), before);
  TANDEM_CHECK(!out.empty(), "images", folder, ": the folder holds no .png, .jpg or .jpeg file");
  return out;
}

/// Refuses by its first bytes what is no PNG or JPEG, whatever its name says: before any image is
/// computed.
inline void check_image(const std::string& path) {
  TANDEM_CHECK(io::is_file(path), "images", path, ": is not a file that can be read");
  std::ifstream file(path, std::ios::binary);
  unsigned char start[8] = {};
  file.read(reinterpret_cast<char*>(start), sizeof start);
  constexpr unsigned char png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  const bool jpeg = start[0] == 0xFF && start[1] == 0xD8 && start[2] == 0xFF;
  TANDEM_CHECK(jpeg || std::equal(std::begin(png), std::end(png), start), "images", path,
               file.gcount() == 0 ? ": the file is empty or cannot be read"
                                  : ": is neither PNG nor JPEG, whatever its name says");
}

/// Declares --device; those that infer have it.
inline void add_device(CLI::App& app, std::string& device) {
  app.add_option("--device", device, cli::device_help)->capture_default_str();
}

/// Features (N, output) of image files on the CPU, not normalised, `batch` of them at a time,
/// preprocessed and encoded where the encoder is.
template <class Report>
Tensor<float> encode_images(const Ref<clip::ImageEncoder<float>>& encoder,
                            const clip::PreprocessOptions& preprocessing,
                            const std::vector<std::string>& paths, std::int64_t batch,
                            Report&& report) {
  const NoGrad no_grad;
  const auto count = static_cast<std::int64_t>(paths.size());
  const std::int64_t columns = encoder->options().output;
  const Tensor<float> out({count, columns});
  const Device device = encoder->class_embedding.device();
  clip::CapturedEncoder<float> captured(encoder);
  HostCopy<float> features;
  for (std::int64_t first = 0; first < count; first += batch) {
    const std::int64_t last = std::min(count, first + batch);
    std::vector<Tensor<float>> pixels;
    for (std::int64_t i = first; i < last; ++i) {
      pixels.push_back(clip::preprocess(
          io::read_image(paths[static_cast<std::size_t>(i)], {.alpha = true}).to(device),
          preprocessing));
    }
    features.start(captured.forward(stack(pixels, 0)).contiguous());
    const std::vector<float>& rows = features.get();
    std::copy(rows.begin(), rows.end(), out.mutable_data() + first * columns);
    report(static_cast<std::size_t>(last));
  }
  return out;
}

}  // namespace clip_cli

/// CLIP ViT-B/16 with random weights, which cost what trained ones do.
///
///     clip_image_f32/B      B preprocessed images (3, 224, 224) to features, nothing recorded,
///     with weights from
///                           a mapped file that were packed once (nn::pack_weights), as the
///                           programs do
///     clip_image_bf16/B     the same with the matrices kept as bfloat16
///     clip_text_f32/20xL    features of 20 prompts with 32 learned vectors, L positions long, and
///     the
///                           gradient of their sum of squares by those vectors
///     clip_text_bf16/20xL   the same with the matrices kept as bfloat16
///     clip_load/…           a weight file, which is in the page cache, to a model and one feature
///     of each
///                           encoder's last matrix read: openai and hugging_face as float, and both
///                           converted to bfloat16

#include <filesystem>
#include <memory>

#include "harness.hpp"
#include "tandem/clip/load.hpp"
#include "tandem/ops/square.hpp"
#include "tandem/ops/sum.hpp"
#include "tandem/wtal/model/branches.hpp"

namespace {

using namespace tandem;

/// Multiply-adds of the matrix products, times two. Of the last block only one row per image or
/// text is needed behind the keys and values.
double block_flops(double rows, double positions, double width) {
  return rows * (24 * width * width + 4 * positions * width);
}
double last_block_flops(double rows, double read, double positions, double width) {
  return rows * 4 * width * width + read * (20 * width * width + 4 * positions * width);
}
double image_flops(double images) {
  const double width = 768, positions = 197, rows = images * positions;
  return images * 196 * 2 * 768 * width + 11 * block_flops(rows, positions, width) +
         last_block_flops(rows, images, positions, width) + images * 2 * width * 512;
}

/// Both encoders' parameters under the names of OpenAI's release or of a Hugging Face model.
void write_weights(const std::string& path, bool hugging_face);

/// A file of random weights in OpenAI's layout (or Hugging Face's) in the temporary folder, gone
/// with its owner.
class WeightFile {
 public:
  explicit WeightFile(bool hugging_face)
      : path(
            (std::filesystem::temp_directory_path() /
             concat("tandem_clip_bench_", hugging_face ? "hugging_face" : "openai", ".safetensors"))
                .string()) {
    write_weights(path, hugging_face);
  }
  ~WeightFile() { std::filesystem::remove(path); }
  WeightFile(const WeightFile&) = delete;
  WeightFile& operator=(const WeightFile&) = delete;

  const std::string path;
};

void add_image(bench::Suite& suite, std::int64_t images, bool bf16) {
  const std::string name = concat("clip_image_", bf16 ? "bf16" : "f32", "/", images);
  const double flops = image_flops(static_cast<double>(images));
  suite.add(name, {.flops = flops, .unit = bf16 ? "bf16" : "f32"}, [=] {
    const WeightFile file(false);
    bench::prepared();
    const auto encoder = clip::load_image_encoder<float>(file.path, {.bfloat16 = bf16});
    nn::pack_weights(*encoder);
    Generator random(1);
    const auto x = randn<float>({images, 3, 224, 224}, random);
    return [=] {
      const NoGrad no_grad;
      bench::keep(encoder->forward(x));
    };
  });
}

void add_text(bench::Suite& suite, bool bf16) {
  // The 17 rows that all prompts begin with once, and 17 and 1 to 4 others of each. Forward, and
  // backward by the input; causal, so that a query behind the common rows sees 27 positions on
  // average.
  const double width = 512, length = 38, rows = 17 + 20 * 19.5;
  const double flops =
      2 * (11 * block_flops(rows, 27, width) + last_block_flops(rows, 20, length, width));
  suite.add(concat("clip_text_", bf16 ? "bf16" : "f32", "/20x38"),
            {.flops = flops, .unit = bf16 ? "bf16" : "f32"}, [=] {
              Generator random(1);
              const auto encoder =
                  make_ref<clip::TextEncoder<float>>(clip::TextEncoderOptions{}, random);
              encoder->freeze();
              if (bf16) nn::keep_bfloat16(*encoder);
              std::vector<std::vector<std::int64_t>> names(20);
              for (std::int64_t c = 0; c < 20; ++c) {
                for (std::int64_t i = 0; i <= c % 4; ++i) {
                  names[static_cast<std::size_t>(c)].push_back(100 + 10 * c + i);
                }
              }
              using Prompts = wtal::PromptLearner<float>;
              const auto prompts = make_ref<Prompts>(names, 512, Prompts::Options{}, random);
              return [=] {
                prompts->zero_grad();
                const Tensor<float> features = encoder->forward_packed(
                    prompts->forward(encoder->token_embedding), prompts->packed());
                sum(square(features)).backward();
                bench::keep(prompts->before.grad());
              };
            });
}

void write_weights(const std::string& path, bool hugging_face) {
  Generator random(1);
  clip::ImageEncoder<float> image({}, random);
  clip::TextEncoder<float> text({}, random);
  io::SafetensorsWriter out;
  out.metadata["activation"] = "quick_gelu";
  const auto add = [&](const std::string& name, const Tensor<float>& x) {
    if (!hugging_face) return out.add(name, x);
    const clip::Pieces pieces = clip::hugging_face_pieces(name);
    const auto parts = static_cast<std::int64_t>(pieces.names.size());
    const std::int64_t rows = x.size(0) / parts;
    for (std::int64_t i = 0; i < parts; ++i) {
      const Tensor<float> piece = parts > 1 ? x.slice(0, i * rows, (i + 1) * rows) : x;
      out.add(pieces.names[static_cast<std::size_t>(i)],
              pieces.transposed ? piece.transpose(0, 1) : piece);
    }
  };
  for (const auto& [name, x] : image.state_dict()) add("visual." + name, x);
  for (const auto& [name, x] : text.state_dict()) add(name, x);
  out.save(path);
}

void add_load(bench::Suite& suite, const std::string& layout, bool bf16) {
  const double bytes = 149.6e6 * (bf16 ? 4 + 2 : 0);  // mapped weights are not read
  suite.add(concat("clip_load/", layout, bf16 ? "_to_bf16" : "_f32"), {.bytes = bytes}, [=] {
    const auto file = std::make_shared<const WeightFile>(layout == "hugging_face");
    bench::prepared();
    return [=] { bench::keep(clip::load<float>(file->path, {.bfloat16 = bf16})); };
  });
}

}  // namespace

int main(int argc, char** argv) {
  bench::Suite suite(argc, argv);
  for (const bool bf16 : {false, true}) {
    for (const std::int64_t images : {1, 8}) add_image(suite, images, bf16);
  }
  for (const bool bf16 : {false, true}) add_text(suite, bf16);
  for (const char* layout : {"openai", "hugging_face"}) {
    for (const bool bf16 : {false, true}) add_load(suite, layout, bf16);
  }
  return suite.run();
}

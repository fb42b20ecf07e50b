/// zero_shot — which of some class names fits an image, by CLIP.
///                                                               [Radford et al. 2021, section 3.1]
///   p = softmax(s · cos(image feature, text feature of "a photo of a {}."))
///
///   zero_shot --weights ViT-B-16.safetensors --vocabulary bpe_simple_vocab_16e6.txt.gz
///       --classes "cat,dog,throw discus" pictures/

#include <string>
#include <vector>

#include "clip_cli.hpp"
#include "tandem/clip/class_names.hpp"
#include "tandem/clip/tokenizer.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/matmul.hpp"
#include "tandem/ops/normalize.hpp"
#include "tandem/ops/softmax.hpp"

namespace {

using namespace tandem;

struct Options : clip_cli::Options {
  std::vector<std::string> inputs, classes;
  std::string vocabulary, pattern = "a photo of a {}.", device = "cpu";
  std::int64_t batch = 16, top = 5;
};

void run(const Options& o) {
  const Device device = cli::open_device("zero_shot", o.device);
  const Precision precision = cli::open_precision("zero_shot", o.precision, o.bfloat16, device);
  const auto tokenizer = clip::Tokenizer::load(o.vocabulary);
  const PrecisionScope products(cli::products_on(device, precision));
  const auto model = clip::load<float>(o.weights, clip_cli::load_options(o, precision));
  std::printf("%s: %s\n", cli::printable(o.weights).c_str(),
              cli::printable(model.report.str(), true).c_str());
  TANDEM_CHECK(tokenizer.vocabulary() == model.text->options().vocabulary, "zero_shot",
               o.vocabulary, " has ", tokenizer.vocabulary(), " tokens, the text encoder ",
               model.text->options().vocabulary);
  const std::size_t hole = o.pattern.find("{}");
  TANDEM_CHECK(hole != std::string::npos, "zero_shot", "the pattern \"", o.pattern, "\" has no {}");

  std::vector<std::vector<std::int64_t>> texts;
  std::vector<std::string> names;
  for (const std::string& name : o.classes) {
    names.push_back(clip::readable_class_name(name));
    if (const std::string note = clip::mojibake_note(name); !note.empty()) {
      std::fprintf(stderr, "zero_shot: %s\n", cli::printable(note).c_str());
    }
    std::vector<std::int64_t> ids =
        tokenizer.encode(o.pattern.substr(0, hole) + names.back() + o.pattern.substr(hole + 2));
    ids.insert(ids.begin(), tokenizer.start_token());
    ids.push_back(tokenizer.end_token());
    texts.push_back(std::move(ids));
  }
  std::vector<std::string> paths;
  for (const std::string& input : o.inputs) {
    const auto found = io::is_directory(input) ? clip_cli::images_in(input) : std::vector{input};
    paths.insert(paths.end(), found.begin(), found.end());
  }

  if (paths.size() >= 8 && device.is_cpu())
    nn::pack_weights(*model.image);  // takes as long as it saves on a few images
  model.image->to(device);
  model.text->to(device);
  const NoGrad no_grad;
  const Tensor<float> text = normalize(model.text->encode(texts), -1).to(Device::cpu());
  const Tensor<float> image = normalize(
      clip_cli::encode_images(model.image, model.preprocessing, paths, o.batch, [](std::size_t) {}),
      -1);
  const Tensor<float> p = softmax(mul(matmul(image, text.transpose(0, 1)), model.logit_scale), -1);
  cli::Table table({"image", "class", "p %"});
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const std::vector<float> row = p[static_cast<std::int64_t>(i)].to_vector();
    std::vector<std::size_t> order(row.size());
    for (std::size_t c = 0; c < order.size(); ++c) order[c] = c;
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return row[a] > row[b]; });
    for (std::size_t k = 0; k < order.size() && k < static_cast<std::size_t>(o.top); ++k) {
      table.row({k == 0 ? paths[i] : "", names[order[k]],
                 cli::percent(static_cast<double>(row[order[k]]))});
    }
  }
  table.print();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Probabilities of class names for images, without training: CLIP's cosine between each image "
      "and\n"
      "\"a photo of a <class>.\".\n\n"
      "  zero_shot --weights ViT-B-16.safetensors --vocabulary bpe_simple_vocab_16e6.txt.gz \\\n"
      "      --classes \"cat,dog,ThrowDiscus\" pictures/ one_more.jpg",
      "zero_shot");
  Options o;
  clip_cli::add_options(app, o);
  app.add_option("inputs", o.inputs, "Images or folders of images")
      ->required()
      ->check(CLI::ExistingPath);
  app.add_option("--vocabulary", o.vocabulary,
                 "The tokenizer's merges: bpe_simple_vocab_16e6.txt.gz or merges.txt")
      ->required();
  app.add_option("--classes", o.classes, "Class names, separated by commas")
      ->required()
      ->delimiter(',');
  app.add_option("--pattern", o.pattern, "The text of a class; {} stands for its name")
      ->capture_default_str();
  app.add_option("--top", o.top, "Classes per image")
      ->capture_default_str()
      ->check(cli::positive());
  clip_cli::add_device(app, o.device);
  app.add_option("--batch", o.batch, "Images per pass")
      ->capture_default_str()
      ->check(cli::range(1, 4096));
  return cli::run(app, argc, argv, [&] {
    cli::saying_what_takes_less("a smaller --batch and --precision bf16 take less",
                                [&] { run(o); });
  });
}

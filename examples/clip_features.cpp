/// clip_features — CLIP features of images, or of the frames of videos, as npy (T, 512).
///
///   clip_features --weights ViT-B-16.safetensors --out clip frames/video_1 frames/video_2
///   clip_features --weights ViT-B-16.safetensors --out photos.npy a.jpg b.png

#include <string>
#include <vector>

#include "clip_cli.hpp"
#include "tandem/io/npy.hpp"
#include "tandem/ops/normalize.hpp"

namespace {

using namespace tandem;

struct Options : clip_cli::Options {
  std::vector<std::string> inputs;
  std::string out;
  std::int64_t batch = 16;
  bool normalise = false;
};

/// "frames/video_1/" → "video_1".
std::string last_name(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

void run(const Options& o) {
  clip::WeightsReport report;
  const clip::WeightFile file(o.weights);
  const clip::LoadOptions how = clip_cli::load_options(o);
  const auto encoder = clip::load_image_encoder<float>(o.weights, how, &report);
  nn::pack_weights(*encoder);
  const clip::PreprocessOptions images = file.preprocessing(encoder->options().resolution);
  std::printf("%s: %s\n", file.path().c_str(), report.str().c_str());

  struct Target {
    std::string path;
    std::vector<std::string> images;
  };
  std::vector<Target> targets;
  const bool one_file = o.out.ends_with(".npy");
  if (one_file) targets.push_back({o.out, {}});
  for (const std::string& input : o.inputs) {
    const bool folder = io::is_directory(input);
    TANDEM_CHECK(folder || one_file, "clip_features", input,
                 " is not a folder of frames; images go into ", "one array, --out FILE.npy");
    const std::vector<std::string> paths = folder ? clip_cli::images_in(input) : std::vector{input};
    if (!one_file) targets.push_back({io::join_path(o.out, last_name(input) + ".npy"), {}});
    targets.back().images.insert(targets.back().images.end(), paths.begin(), paths.end());
  }
  if (!one_file) io::make_directories(o.out);
  for (const Target& target : targets) {
    cli::Progress progress(last_name(target.path), target.images.size());
    Tensor<float> features =
        clip_cli::encode_images(*encoder, images, target.images, o.batch,
                                [&](std::size_t done) { progress.update(done, "images"); });
    if (o.normalise) features = normalize(features, -1);
    io::save_npy(target.path, features);
    progress.finish();
    std::printf("%s: (%lld, %lld)\n", target.path.c_str(), static_cast<long long>(features.size(0)),
                static_cast<long long>(features.size(1)));
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "CLIP features of images, or of the frames of videos, as npy arrays (rows, 512).\n\n"
      "  clip_features --weights ViT-B-16.safetensors --out clip frames/video_1 frames/video_2\n"
      "  clip_features --weights ViT-B-16.safetensors --out photos.npy a.jpg b.png\n\n"
      "A folder gives a row per .png, .jpg or .jpeg in the order of their names. With --out "
      "FILE.npy all\n"
      "rows go into one array, else every folder becomes --out/<its name>.npy.",
      "clip_features");
  Options o;
  clip_cli::add_options(app, o);
  app.add_option("inputs", o.inputs, "Images or folders of frames")
      ->required()
      ->check(CLI::ExistingPath);
  app.add_option("--out", o.out, "The array, FILE.npy, or a folder for one array per input folder")
      ->required();
  app.add_option("--batch", o.batch, "Images per pass")
      ->capture_default_str()
      ->check(cli::range(1, 4096));
  app.add_flag("--normalize", o.normalise, "Rows of length 1; train_dcl normalises by itself");
  return cli::run(app, argc, argv, [&] { run(o); });
}

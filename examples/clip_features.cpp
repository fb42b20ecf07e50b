/// clip_features — CLIP features of images, or of folders of frames, as npy (T, 512).
///
///   clip_features --weights ViT-B-16.safetensors --out clip frames/video_1 frames/video_2
///   clip_features --weights ViT-B-16.safetensors --out photos.npy a.jpg b.png

#include <filesystem>
#include <string>
#include <vector>

#include "clip_cli.hpp"
#include "feature_outputs.hpp"
#include "tandem/features/feature_folder.hpp"
#include "tandem/io/file_record.hpp"
#include "tandem/io/npy.hpp"
#include "tandem/ops/normalize.hpp"

namespace {

using namespace tandem;

struct Options : clip_cli::Options {
  std::vector<std::string> inputs;
  std::string out, device = "cpu";
  std::int64_t batch = 16;
  bool normalise = false, overwrite = false;
};

/// An array and what it is made of.
struct Target {
  std::string name, path, record;  ///< input, array, what is written down about both
  std::vector<std::string> images = {};
};

/// "frames/video_1/" → "video_1".
std::string last_name(const std::string& folder) {
  return io::safe_name(std::filesystem::canonical(folder).filename().string());
}

/// The arrays that the command line asks for; folders that cannot be taken are failures.
std::vector<Target> find_targets(const Options& o, outputs::Failures& failures) {
  std::vector<Target> targets;
  if (o.out.ends_with(".npy")) {
    Target all{.name = o.out, .path = o.out, .record = o.out + ".json"};
    for (const std::string& input : o.inputs) {
      const auto paths = io::is_directory(input) ? clip_cli::images_in(input) : std::vector{input};
      all.images.insert(all.images.end(), paths.begin(), paths.end());
    }
    return {all};
  }
  for (const std::string& input : o.inputs) {
    try {
      TANDEM_CHECK(io::is_directory(input), "clip_features", input,
                   " is not a folder of frames; images go into one array, --out FILE.npy");
      const std::string id = last_name(input);
      const std::string path = io::join_path(o.out, id + ".npy");
      for (const Target& other : targets) {
        TANDEM_CHECK(other.path != path, "clip_features", other.name, " has made ", path,
                     " its own; give the folders "
                     "different names or --out folders");
      }
      targets.push_back({.name = input,
                         .path = path,
                         .record = io::join_path(o.out, concat("sources/", id, ".json")),
                         .images = clip_cli::images_in(input)});
    } catch (const std::exception& error) {
      failures.add(input, error.what());
    }
  }
  return targets;
}

/// True if the array is there, of these images. `otherwise` receives what other options it was made
/// with.
bool is_finished(const Target& target, const io::Json& settings, std::string& otherwise) {
  std::string why;
  const auto document = io::load_record(target.record, why);
  if (!document) return false;
  io::Json renewed = document->json();
  const io::JsonRef root = document->root();
  io::Same images, array;
  try {
    images = io::compare_record(root.at("images"), target.images);
    if (images == io::Same::no || !io::is_file(target.path)) return false;
    array = io::compare_record(root.at("written"), {target.path});
    if (array == io::Same::no) return false;
    for (const auto& [key, value] : settings.items()) {
      const io::Json& was = root.at("settings").at(key).json();
      if (was != value)
        otherwise = concat(target.path, " was made with ", key, " ", io::json_text(was), ", not ",
                           io::json_text(value));
    }
  } catch (const std::exception&) {
    return false;  // a record of another program or version: made again
  }
  if (!otherwise.empty()) return false;
  if (images == io::Same::touched || array == io::Same::touched) {
    renewed["images"]["stamp"] = io::stamp_of(target.images).text;
    renewed["written"]["stamp"] = io::stamp_of({target.path}).text;
    try {
      io::save_json(target.record, renewed);
    } catch (const std::exception&) {  // then they are read once more next time
    }
  }
  return true;
}

/// Returns 0, or 3 when some folders failed.
int run(const Options& o) {
  std::vector<std::string> read = o.inputs;
  read.push_back(o.weights);
  for (const std::string& input : read) {  // an image may have any name
    TANDEM_CHECK(!io::is_file(input) || !cli::same_file(input, o.out), "clip_features", "--out ",
                 o.out, " is read as well: it would be overwritten");
  }
  const Device device = cli::open_device("clip_features", o.device);
  clip::WeightsReport report;
  const clip::WeightFile file(o.weights);
  const Precision precision = cli::open_precision("clip_features", o.precision, o.bfloat16, device);
  const PrecisionScope products(cli::products_on(device, precision));
  const clip::LoadOptions how = clip_cli::load_options(o, precision);
  const auto encoder = clip::load_image_encoder<float>(o.weights, how, &report);
  encoder->freeze();
  if (device.is_cpu()) nn::pack_weights(*encoder);
  cli::saying_what_takes_less("--precision bf16 and --device cpu take less",
                              [&] { encoder->to(device); });
  const clip::PreprocessOptions images = file.preprocessing(encoder->options().resolution);
  std::printf("%s: %s\n", cli::printable(file.path()).c_str(),
              cli::printable(report.str()).c_str());

  io::Json settings = io::Json::object();
  settings["weights"] = io::content_of({file.path()});
  settings["activation"] = o.activation;
  settings["bfloat16"] = how.bfloat16;
  if (precision == Precision::tf32) settings["precision"] = "tf32";
  settings["resize"] = images.size;
  settings["crop"] = images.crop;
  settings["normalize"] = o.normalise;

  // Everything that can be judged before the first image is.
  outputs::Failures failures;
  std::vector<Target> todo;
  std::size_t finished = 0, different = 0;
  std::string example;
  std::vector<Target> targets = find_targets(o, failures);
  const std::size_t all = targets.size() + failures.size();
  for (Target& target : targets) {
    try {
      for (const std::string& image : target.images) clip_cli::check_image(image);
      std::string otherwise;
      if (!o.overwrite && is_finished(target, settings, otherwise)) {
        ++finished;
      } else if (!otherwise.empty()) {
        if (different++ == 0) example = otherwise;
      } else {
        io::check_writable(target.path);
        io::check_writable(target.record);
        todo.push_back(std::move(target));
      }
    } catch (const std::exception& error) {
      failures.add(target.name, error.what());
    }
  }
  TANDEM_CHECK(different == 0, "clip_features", different,
               different == 1 ? " array was" : " arrays were", " made otherwise: ", example,
               "; --overwrite makes them again, another --out keeps both");
  for (const Target& target : todo) {
    try {
      cli::Progress progress(target.name, target.images.size());
      io::Json root = io::Json::object();
      root["program"] = "clip_features";
      root["version"] = TANDEM_VERSION_STRING;
      root["source"] = io::safe_name(target.name);
      root["images"] = io::record_of(target.images);
      Tensor<float> features =
          cli::saying_what_takes_less("a smaller --batch and --precision bf16 take less", [&] {
            return clip_cli::encode_images(
                encoder, images, target.images, o.batch,
                [&](std::size_t done) { progress.update(done, "images"); });
          });
      wtal::check_finite_rows("CLIP", features);
      if (o.normalise) features = normalize(features, -1);
      TANDEM_CHECK(io::stamp_of(target.images).text == root["images"]["stamp"].get<std::string>(),
                   "clip_features",
                   "the images were changed while they were read; nothing was saved");
      io::save_npy(target.path, features);
      root["rows"] = features.size(0);
      root["settings"] = settings;
      root["written"] = io::record_of({target.path});
      io::save_json(target.record, root);
      progress.finish();
      std::printf("%s: (%lld, %lld)\n", cli::printable(target.path).c_str(),
                  static_cast<long long>(features.size(0)),
                  static_cast<long long>(features.size(1)));
    } catch (const std::exception& error) {
      failures.add(target.name, error.what());
    }
  }
  std::printf("%zu made, %zu finished before, %zu failed\n", all - finished - failures.size(),
              finished, failures.size());
  return failures.print(all, o.out.ends_with(".npy") ? "arrays" : "folders");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "CLIP features of images, or of folders of frames, as npy arrays (rows, 512).\n\n"
      "  clip_features --weights ViT-B-16.safetensors --out clip frames/video_1 frames/video_2\n"
      "  clip_features --weights ViT-B-16.safetensors --out photos.npy a.jpg b.png\n\n"
      "A folder gives a row per .png, .jpg or .jpeg in the order of their names. With --out "
      "FILE.npy all\n"
      "rows go into one array, else every folder becomes --out/<its name>.npy.\n\n"
      "Run again, it makes what is missing or whose images have changed. A folder that fails does "
      "not stop the\n"
      "others. Exit status: 0, 1 for an error, 2 for a wrong command line, 3 when some folders "
      "failed.",
      "clip_features");
  Options o;
  clip_cli::add_options(app, o);
  app.add_option("inputs", o.inputs, "Images or folders of frames")
      ->required()
      ->check(outputs::existing_entry);
  app.add_option("--out", o.out, "The array, FILE.npy, or a folder for one array per input folder")
      ->required();
  app.add_option("--batch", o.batch, "Images per pass")
      ->capture_default_str()
      ->check(cli::range(1, 4096));
  clip_cli::add_device(app, o.device);
  app.add_flag("--normalize", o.normalise, "Rows of length 1; train_dcl normalises by itself");
  app.add_flag("--overwrite", o.overwrite, "Make arrays again although they are there");
  int status = 0;
  const int ran = cli::run(app, argc, argv, [&] { status = run(o); });
  return ran != 0 ? ran : status;
}

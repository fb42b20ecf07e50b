#pragma once
/// Mutation-based fuzzing of every file reader: inputs that our own writers, tests/golden/io and
/// tests/fuzz/corpus give are damaged at random and read. A reader may give a value or throw tandem::Error; anything else
/// (another exception, a crash, a hang, memory that the input does not justify) is a bug.
///
/// Everything about iteration i follows from (seed, i), so a failure is repeated by its two numbers.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "../../examples/common_cli.hpp"
#include "../io/temp_dir.hpp"
#include "tandem/io/checkpoint.hpp"
#include "tandem/io/npz.hpp"
#include "tandem/io/pickle_writer.hpp"
#include "tandem/wtal/datasets.hpp"
#include "tandem/wtal/detections_json.hpp"

namespace fuzz {

using namespace tandem;

using Random = std::mt19937_64;

inline std::size_t below(Random& random, std::size_t n) { return n == 0 ? 0 : random() % n; }

/// Damages `text` in one to six places.
inline std::string mutate(std::string text, const std::vector<std::string>& corpus, Random& random) {
  static const std::uint64_t numbers[] = {0, 1, 2, 7, 8, 127, 128, 255, 256, 0x7FFF, 0xFFFF, 0x10000,
                                          0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 0x100000000,
                                          0x7FFFFFFFFFFFFFFF, 0x8000000000000000, ~std::uint64_t{0}};
  static const char* words[] = {"-1", "0", "99999999999999999999", "9223372036854775807", "1e999", "nan",
                                "{", "}", "[", "]", "\"", "\\u", "null", ",", ":", "(", ")", "'", ".", "N",
                                "cos\nsystem\n", "R", "b", "e", "t", "q\1", "h\1", "\x85", "\x94", "]q\1h\1a"};
  for (std::size_t count = 1 + below(random, 1 + below(random, 6)); count > 0; --count) {
    const std::size_t at = below(random, text.size() + 1);
    const std::size_t length = below(random, 1 + below(random, 64));
    switch (below(random, 9)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ 1 << below(random, 8));
        break;
      case 1:
        if (at < text.size()) text[at] = static_cast<char>(random());
        break;
      case 2: {  // a number, little-endian, 1 to 8 bytes
        const std::uint64_t number = numbers[below(random, 20)] + below(random, 3) - 1;
        const std::size_t width = std::size_t{1} << below(random, 4);
        if (at + width <= text.size()) std::memcpy(text.data() + at, &number, width);
        break;
      }
      case 3: text.erase(at, length); break;
      case 4: text.insert(at, text.substr(below(random, text.size() + 1), length)); break;
      case 5: text.insert(at, words[below(random, sizeof words / sizeof *words)]); break;
      case 6:
        if (below(random, 4) == 0) text.resize(at);
        break;
      case 7: {  // a piece of another input
        const std::string& other = corpus[below(random, corpus.size())];
        const std::string piece = other.substr(below(random, other.size() + 1), length);
        text.replace(at, std::min(length, text.size() - at), piece);
        break;
      }
      case 8:  // the same byte many times: depth, long numbers
        text.insert(at, below(random, 8) == 0 ? 5000 : length, at < text.size() ? text[at] : '[');
        break;
    }
  }
  return text;
}

/// Writes without the fsync of AtomicFile, which would be most of the time.
inline void put(const std::string& path, const std::string& bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd < 0 || ::write(fd, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    std::perror(path.c_str());
    std::abort();
  }
  ::close(fd);
}

// --- reading everything that an input offers ----------------------------------------------------

template <class F>
void attempt(F&& f) {
  try {
    f();
  } catch (const Error&) {
  }
}

inline void use(const io::Array& array) {
  attempt([&] { array.tensor<float>(); });
  attempt([&] { array.tensor<bool>(); });
  attempt([&] { array.tensor<std::int64_t>(); });
  attempt([&] { array.tensor_as<float>(); });
  attempt([&] { array.tensor_as<std::uint8_t>(); });
  attempt([&] { array.tensor_as<bfloat16>(); });
  attempt([&] { array.strings(); });
}

inline void use(const io::PickleValue& value, std::size_t& budget) {
  if (budget == 0) return;
  --budget;
  attempt([&] { (void)value.number(); });
  attempt([&] { (void)value.string(); });
  if (value.is_array()) use(value.array());
  if (!value.is_list() && !value.is_object_array()) return;
  for (std::size_t i = 0; i < value.size(); ++i) use(value[i], budget);
}

inline void read_npy(const std::string& bytes) {
  auto owner = make_ref<io::OwnedBytes>(bytes);
  const unsigned char* data = owner->data();
  const io::Array array = io::parse_npy(data, bytes.size(), "fuzz.npy", std::move(owner));
  if (array.kind != io::ElementKind::object) return use(array);
  std::size_t budget = 10000;
  use(io::parse_npy_objects(array)->root(), budget);
}

inline void read_pickle(const std::string& bytes) {
  auto owner = make_ref<io::OwnedBytes>(bytes);
  const unsigned char* data = owner->data();
  const auto pickle = make_ref<io::Pickle>(data, bytes.size(), "fuzz", std::size_t{0}, std::move(owner));
  std::size_t budget = 10000;
  use(pickle->root(), budget);
}

inline void read_config(const std::string& path) {
  CLI::App app("", "fuzz");
  int epochs = 0;
  double rate = 0;
  std::vector<double> thresholds;
  std::string kind;
  bool quiet = false;
  app.add_option("--epochs", epochs, "");
  app.add_option("--learning-rate", rate, "");
  app.add_option("--thresholds", thresholds, "");
  cli::add_choice(app, "--kind", kind, {"mean", "sum"}, "");
  app.add_flag("--quiet", quiet, "");
  cli::add_config(app);
  try {
    app.parse(std::vector<std::string>{path, "--config"});  // back to front, as CLI11 wants it
  } catch (const CLI::Error& e) {
    fail("config", e.what());
  }
}

// --- targets ---------------------------------------------------------------------------------------

struct Target {
  std::string name;
  std::vector<std::string> corpus;
  std::function<void(const std::string&)> read;
  std::size_t allowed_growth;  ///< bytes of memory per byte of input, beyond a fixed 4 MiB
};

class Fuzzer {
 public:
  /// `tests` is the folder tests of the sources.
  explicit Fuzzer(const std::string& tests) {
    const std::string golden = tests + "/golden/io";
    const auto file = [&](const char* name) { return io::read_text(golden + "/" + name); };
    std::vector<std::string> pickles;
    for (const char* name : {"protocol0.npy", "protocol1.npy", "protocol2.npy", "protocol3.npy",
                             "protocol4.npy", "protocol5.npy", "python2_features.npy", "python2_lists.npy"}) {
      pickles.push_back(file(name));
    }
    std::vector<std::string> npy = pickles;
    for (const char* name : {"f4.npy", "i8.npy", "b1.npy", "scalar.npy", "bytes.npy", "version2.npy",
                             "version3.npy"}) {
      npy.push_back(file(name));
    }
    for (std::string& pickle : pickles) pickle.erase(0, 128);
    pickles.push_back("(lp0\n(lp1\nF0.5\naI3\naL4L\naS'x\\x00'\np2\nag2\naVcaf\\u00e9\np3\naa.");

    const std::string json =
        R"({"version": "1", "database": {"v1": {"subset": "test", "duration": 12.5, "annotations":
           [{"segment": ["1.5", 2.5e0], "label": "Diving"}]}}, "results": {"v1": [{"label": "Diving",
           "score": -1.5e-3, "segment": [0, 1]}]}, "u": "\u00e9\ud83d\ude00 \n", "x": [true, false, null]})";
    const std::string csv =
        "video-name,t-init,t-end,f-init,f-end,video-duration,frame-rate,video-frames,label-idx\n"
        "video_test_1,0.0,1.4,0,42,215.1,30.0,6455,-1\r\nvideo_test_1,2,3,0,42,215.1,30.0,6455,3\n";
    const std::string ambiguous = "video_test_1  0.5 1.5\r\nvideo_test_2  1 2\n";

    io::SafetensorsWriter weights;
    weights.add("w", arange<float>(6).view({2, 3}));
    weights.add("b", tensor<bfloat16>(bfloat16(1.0f)));
    weights.add("m", tensor<bool>({true, false}));
    weights.metadata["note"] = "fuzz";
    weights.save(dir_.path("seed"));
    const std::string own_weights = io::read_text(dir_.path("seed"));
    io::save_checkpoint<float>(dir_.path("seed"), {{{"cbp.weight", arange<float>(6)}}, {1, 2}, "{}"});
    const std::string checkpoint = io::read_text(dir_.path("seed"));
    io::NpzWriter arrays(dir_.path("seed"));
    arrays.add("x", arange<float>(6));
    arrays.commit();
    const std::string own_npz = io::read_text(dir_.path("seed"));

    const std::string path = dir_.path("input");
    targets_ = {
        {"json", {json, "[1]", "[[[[]]]]", "{\"a\":{\"b\":[0.1,-1e-9,12345678901234567890]}}"},
         [](const std::string& s) { io::parse_json(s, "fuzz"); }, 128},
        {"config", {R"({"epochs": 20, "learning_rate": 0.25, "thresholds": [0.3, 0.45], "kind": "mean",
                        "quiet": true})"},
         [path](const std::string& s) {
           put(path, s);
           read_config(path);
         },
         512},
        {"annotations", {json, csv, ambiguous},
         [](const std::string& s) {
           const auto document = [&] { return io::JsonDocument::parse(s, "fuzz"); };
           attempt([&] { wtal::annotations_from_json(document()); });
           attempt([&] { wtal::detections_from_json(document()); });
           attempt([&] { wtal::annotations_from_csv(s, "fuzz"); });
           wtal::GroundTruth truth;
           truth.videos.push_back({.id = "video_test_1"});
           attempt([&] { wtal::add_ambiguous(truth, s, "fuzz"); });
         },
         512},
        {"npy", npy, read_npy, 256},
        {"pickle", pickles, read_pickle, 512},
        {"inflate", {deflated(file("deflated.npz")), std::string("\5\0\0\0\x4B\x4C\x04\x02\0", 9)},
         [](const std::string& s) {
           std::uint32_t size = 0;
           std::memcpy(&size, s.data(), std::min<std::size_t>(4, s.size()));
           io::inflate(std::string_view(s).substr(std::min<std::size_t>(4, s.size())), size, "fuzz");
         },
         1100},
        {"npz", {file("stored.npz").substr(0, 1 << 16), file("deflated.npz"), own_npz},
         [path](const std::string& s) {
           put(path, s);
           const auto npz = io::Npz::open(path);
           for (const std::string& name : npz.names()) {
             const io::Array array = npz.at(name);
             if (array.kind != io::ElementKind::object) use(array);
           }
         },
         // Inflated bytes (at most 1032 per byte), as strings of one character each at worst.
         50000},
        {"safetensors", {file("numpy.safetensors"), own_weights},
         [path](const std::string& s) {
           put(path, s);
           const io::SafetensorsFile weights_file(path);
           for (const std::string& name : weights_file.names()) use(weights_file.at(name));
         },
         512},
        {"checkpoint", {checkpoint, own_weights},
         [path](const std::string& s) {
           put(path, s);
           io::load_checkpoint<float>(path);
         },
         512}};
    add_wtalc();
    namespace fs = std::filesystem;
    for (const auto& entry : fs::recursive_directory_iterator(tests + "/fuzz/corpus")) {
      if (!entry.is_regular_file()) continue;
      const std::string folder = entry.path().parent_path().filename(), name = entry.path().filename();
      const auto target = std::find_if(targets_.begin(), targets_.end(),
                                       [&](const Target& t) { return t.name == folder; });
      TANDEM_CHECK(target != targets_.end(), "fuzz", entry.path().string(), " belongs to no reader");
      corpus_.push_back({folder + "/" + name, static_cast<std::size_t>(target - targets_.begin()),
                         io::read_text(entry.path())});
    }
    // In an order of our own: inputs must not depend on the file system.
    std::sort(corpus_.begin(), corpus_.end(), [](const File& a, const File& b) { return a.name < b.name; });
    for (const File& one : corpus_) targets_[one.target].corpus.push_back(one.bytes);
  }

  std::size_t corpus_size() const { return corpus_.size(); }
  std::size_t size() const { return targets_.size(); }
  const Target& target(std::uint64_t iteration) const { return targets_[iteration % targets_.size()]; }
  /// The input of an iteration.
  std::string input(std::uint64_t seed, std::uint64_t iteration) const {
    Random random(seed * 0x9E3779B97F4A7C15u + iteration);
    const Target& t = target(iteration);
    return mutate(t.corpus[below(random, t.corpus.size())], t.corpus, random);
  }
  /// Undamaged inputs must be read, and files of the corpus named bad_… refused; returns those of which
  /// this is not true.
  std::vector<std::string> broken_seeds() const {
    std::vector<std::string> out;
    for (const Target& t : targets_) {
      try {
        t.read(t.corpus[0]);
      } catch (const Error& e) {
        out.push_back(t.name + ": " + e.what());
      }
    }
    for (const File& file : corpus_) {
      std::string problem;
      try {
        targets_[file.target].read(file.bytes);
      } catch (const Error& e) {
        problem = e.what();
      }
      const bool bad = file.name.find("/bad_") != std::string::npos;
      if (bad == problem.empty()) out.push_back(file.name + ": " + (bad ? "it is accepted" : problem));
    }
    return out;
  }

 private:
  /// The largest entry of an npz file: four bytes of its size, then the raw DEFLATE data.
  static std::string deflated(const std::string& npz) {
    std::string best;
    for (std::size_t at = npz.find("PK\x01\x02"); at != std::string::npos;
         at = npz.find("PK\x01\x02", at + 4)) {
      const auto number = [&](std::size_t offset, std::size_t bytes) {
        std::uint32_t value = 0;
        std::memcpy(&value, npz.data() + offset, bytes);
        return value;
      };
      const std::size_t header = number(at + 42, 4);
      const std::size_t data = header + 30 + number(header + 26, 2) + number(header + 28, 2);
      const std::string entry = npz.substr(at + 24, 4) + npz.substr(data, number(at + 20, 4));
      if (entry.size() > best.size()) best = entry;
    }
    return best;
  }

  /// A W-TALC folder with one damaged file at a time.
  void add_wtalc() {
    const std::string folder = dir_.path("wtalc");
    wtal::GroundTruth truth;
    truth.classes = {"CliffDiving", "Diving"};
    for (const char* id : {"video_test_1", "video_test_2"}) {
      wtal::VideoTruth video{.id = id, .subset = "test", .duration = 5};
      video.instances = {{{0.5, 1.5}, 0}, {{0.5, 1.5}, 1}};
      video.labels = {0, 1};
      video.ambiguous = {{2, 3}};
      truth.videos.push_back(video);
    }
    wtal::write_wtalc(folder, truth);
    for (const char* name : {"classlist.npy", "videoname.npy", "subset.npy", "duration.npy", "segments.npy",
                             "labels.npy", "labels_all.npy"}) {
      const std::string path = folder + "/" + name, good = io::read_text(path);
      targets_.push_back({std::string("wtalc/") + name, {good},
                          [=](const std::string& s) {
                            put(path, s);
                            try {
                              wtal::read_wtalc(folder);
                            } catch (const Error&) {
                              put(path, good);
                              throw;
                            }
                            put(path, good);
                          },
                          512});
    }
    const std::string path = dir_.path("joint.npy");
    io::save_npy_objects<float>(path, {zeros<float>({3, 4}), zeros<float>({2, 4})});
    targets_.push_back({"features", {io::read_text(path)},
                        [=](const std::string& s) {
                          put(path, s);
                          const wtal::FeatureFiles features(path, truth);
                          for (std::size_t v = 0; v < features.size(); ++v) features.read(v);
                        },
                        512});
  }

  struct File {
    std::string name;
    std::size_t target;
    std::string bytes;
  };

  tandem_test::TempDir dir_;
  std::vector<Target> targets_;
  std::vector<File> corpus_;
};

}  // namespace fuzz

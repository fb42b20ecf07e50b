/// Readers of plain formats: JSON, npy, pickle, npz, DEFLATE, gzip, safetensors, checkpoints,
/// config files.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../../examples/common_cli.hpp"
#include "../../examples/option_table.hpp"
#include "tandem/io/checkpoint.hpp"
#include "tandem/io/gzip.hpp"
#include "tandem/io/npz.hpp"
#include "tandem/io/pickle.hpp"
#include "targets.hpp"

namespace fuzz {

void put(const std::string& path, const std::string& bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd < 0 || ::write(fd, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    std::perror(path.c_str());
    std::abort();
  }
  ::close(fd);
}

namespace {

void use(const io::Array& array) {
  attempt([&] { array.tensor<float>(); });
  attempt([&] { array.tensor<bool>(); });
  attempt([&] { array.tensor<std::int64_t>(); });
  attempt([&] { array.tensor_as<float>(); });
  attempt([&] { array.tensor_as<std::uint8_t>(); });
  attempt([&] { array.tensor_as<bfloat16>(); });
  attempt([&] { array.strings(); });
}

void use(const io::PickleValue& value, std::size_t& budget) {
  if (budget == 0) return;
  --budget;
  attempt([&] { (void)value.number(); });
  attempt([&] { (void)value.string(); });
  if (value.is_array()) use(value.array());
  if (!value.is_list() && !value.is_object_array()) return;
  for (std::size_t i = 0; i < value.size(); ++i) use(value[i], budget);
}

void read_npy(const std::string& bytes) {
  auto owner = make_ref<io::OwnedBytes>(bytes);
  const unsigned char* data = owner->data();
  const io::Array array = io::parse_npy(data, bytes.size(), "fuzz.npy", std::move(owner));
  if (array.kind != io::ElementKind::object) return use(array);
  std::size_t budget = 1000;  // of elements: each costs exceptions, the dearest thing here
  use(io::parse_npy_objects(array)->root(), budget);
}

void read_pickle(const std::string& bytes) {
  auto owner = make_ref<io::OwnedBytes>(bytes);
  const unsigned char* data = owner->data();
  const auto pickle =
      make_ref<io::Pickle>(data, bytes.size(), "fuzz", std::size_t{0}, std::move(owner));
  std::size_t budget = 1000;  // of elements: each costs exceptions, the dearest thing here
  use(pickle->root(), budget);
}

void read_json(const std::string& text) {
  const io::Json value = io::parse_json(text, "fuzz");
  promise(io::parse_json(io::json_text(value), "again") == value,
          "JSON that is written is read again");
}

/// A program whose options are in a table: every kind of value.
struct Program {
  CLI::App app{"", "fuzz"};
  bool quiet = false, normalize = true;
  std::int64_t epochs = 20;
  std::uint64_t seed = 0;
  double rate = 1e-3;
  std::string kind = "mean", name, data;
  std::vector<double> thresholds{0.45};
  cli::OptionTable table;

  Program() {
    table.part(cli::Part::training);
    table.add("epochs", epochs, "").from(0, 1e9).may_grow();
    table.add("learning-rate", rate, "").from(0, 1e6);
    table.add("seed", seed, "");
    table.add("quiet", quiet, "");
    table.part(cli::Part::inference);
    table.add("no-min-max", normalize, "").opposite();
    table.add("kind", kind, "").words({"mean", "sum", ""});
    table.add("thresholds", thresholds, "").from(0, 1);
    table.add("name", name, "");
    table.add("data", data, "").path();
  }
};

/// As a program reads its config file: through the command line, and as a checkpoint's options.
void read_config(const std::string& path) {
  Program program;
  program.table.add_to(program.app);
  cli::add_config(program.app,
                  [&](const io::JsonRef& root) { return program.table.translated(root); });
  try {
    cli::make_strict(program.app);
    // Back to front, as CLI11 wants it
    program.app.parse(std::vector<std::string>{path, "--config"});
  } catch (const CLI::Error& e) {
    fail("config", e.what());
  }
  const io::Json used = program.table.json();
  Program again;
  const io::JsonDocument written = io::JsonDocument::parse(io::json_text(used), "again");
  again.table.read(written.root());
  promise(again.table.json() == used, "options that are written are read again");
}

void read_options(const std::string& text) {
  Program program;
  const io::JsonDocument document = io::JsonDocument::parse(text, "fuzz");
  const io::JsonDocument typed("fuzz", program.table.translated(document.root()));
  program.table.read(typed.root());
}

/// The largest entry of an npz file: four bytes of its size, then the raw DEFLATE data.
std::string deflated(const std::string& npz) {
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

}  // namespace

void add_io_targets(Targets& targets, const Places& places) {
  const std::string golden = places.tests + "/golden/io";
  const auto file = [&](const char* name) { return io::read_text(golden + "/" + name); };
  std::vector<std::string> pickles;
  for (const char* name :
       {"protocol0.npy", "protocol1.npy", "protocol2.npy", "protocol3.npy", "protocol4.npy",
        "protocol5.npy", "python2_features.npy", "python2_lists.npy"}) {
    pickles.push_back(file(name));
  }
  std::vector<std::string> npy = pickles;
  for (const char* name :
       {"f4.npy", "i8.npy", "b1.npy", "scalar.npy", "bytes.npy", "version2.npy", "version3.npy"}) {
    npy.push_back(file(name));
  }
  for (std::string& pickle : pickles) pickle.erase(0, 128);
  pickles.push_back("(lp0\n(lp1\nF0.5\naI3\naL4L\naS'x\\x00'\np2\nag2\naVcaf\\u00e9\np3\naa.");

  const std::string seed = places.scratch + "/seed";
  io::SafetensorsWriter weights;
  weights.add("w", arange<float>(6).view({2, 3}));
  weights.add("b", tensor<bfloat16>(bfloat16(1.0f)));
  weights.add("m", tensor<bool>({true, false}));
  weights.metadata["note"] = "fuzz";
  weights.save(seed);
  const std::string own_weights = io::read_text(seed);
  io::save_checkpoint<float>(seed, {{{"cbp.weight", arange<float>(6)}}, {1, 2}, "{}"});
  const std::string checkpoint = io::read_text(seed);
  io::NpzWriter arrays(seed);
  arrays.add("x", arange<float>(6));
  arrays.commit();
  const std::string own_npz = io::read_text(seed);

  const std::string path = places.scratch + "/input";
  targets.push_back(
      {"json",
       {R"({"version": "1", "u": "\u00e9\ud83d\ude00 \n", "x": [true, false, null, -1.5e-3]})",
        "[1]", "[[[[]]]]", R"({"a":{"b":[0.1,-1e-9,12345678901234567890]}})"},
       read_json,
       256});
  const char* const options =
      R"({"epochs": 20, "learning_rate": 0.25, "thresholds": [0.3, 0.45], "kind": "mean", "quiet": true,
          "seed": 18446744073709551615, "no-min-max": false, "name": "a b", "version": "0.1.0"})";
  targets.push_back({"config",
                     {options},
                     [path](const std::string& s) {
                       put(path, s);
                       read_config(path);
                     },
                     1024});
  const char* const as_text =
      R"({"epochs": "20", "learning-rate": "0.25", "thresholds": "[0.3,0.45]", "quiet": "",
    "no-min-max": "true", "kind": "sum"})";
  targets.push_back({"options", {options, as_text}, read_options, 1024});
  targets.push_back({"npy", npy, read_npy, 256});
  targets.push_back({"pickle", pickles, read_pickle});
  targets.push_back({"inflate",
                     {deflated(file("deflated.npz")), std::string("\5\0\0\0\x4B\x4C\x04\x02\0", 9)},
                     [](const std::string& s) {
                       std::uint32_t size = 0;
                       std::memcpy(&size, s.data(), std::min<std::size_t>(4, s.size()));
                       io::inflate(std::string_view(s).substr(std::min<std::size_t>(4, s.size())),
                                   size, "fuzz");
                     },
                     1100});
  targets.push_back(
      {"gunzip",
       // gzip of "a b\n", by Python's gzip.compress(…, mtime=0)
       {std::string(
           "\x1f\x8b\x08\0\0\0\0\0\x02\x03\x4b\x54\x48\xe2\x02\0\xa1\xe9\x8d\x2d\x04\0\0\0", 24)},
       [](const std::string& s) { io::gunzip(s, 1 << 20, "fuzz"); },
       1100});
  targets.push_back({"npz",
                     {file("stored.npz").substr(0, 1 << 16), file("deflated.npz"), own_npz},
                     [path](const std::string& s) {
                       put(path, s);
                       const auto npz = io::Npz::open(path);
                       for (const std::string& name : npz.names()) {
                         const io::Array array = npz.at(name);
                         if (array.kind != io::ElementKind::object) use(array);
                       }
                     },
                     // Inflated bytes (at most 1032 per byte), as strings of one character each at
                     // worst.
                     50000});
  targets.push_back(
      {"safetensors", {file("numpy.safetensors"), own_weights}, [path](const std::string& s) {
         put(path, s);
         const io::SafetensorsFile weights_file(path);
         for (const std::string& name : weights_file.names()) {
           attempt([&] { use(weights_file.at(name)); });
         }
       }});
  put(places.scratch + "/part.safetensors", own_weights);
  const std::string index = places.scratch + "/model.safetensors.index.json";
  targets.push_back({"safetensors_index",
                     {R"({"metadata": {"total_size": 32}, "weight_map": {"w": "part.safetensors",
                          "b": "part.safetensors", "m": "part.safetensors"}})"},
                     [index](const std::string& s) {
                       put(index, s);
                       const io::SafetensorsFile weights_file(index);
                       for (const std::string& name : weights_file.names())
                         use(weights_file.at(name));
                     }});
  targets.push_back({"checkpoint", {checkpoint, own_weights}, [path](const std::string& s) {
                       put(path, s);
                       io::load_checkpoint<float>(path);
                     }});
}

}  // namespace fuzz

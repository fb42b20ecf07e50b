// A program that reads and writes files: consumer_io FOLDER.
#include "tandem/io.hpp"

#include <cstdio>
#include <string>

#include "tandem/tensor.hpp"

int main(int argc, char** argv) {
  using namespace tandem;
  if (argc != 2) return 2;
  const std::string folder = argv[1];

  io::SafetensorsWriter weights;
  weights.add("w", arange<float>(6).view({2, 3}));
  weights.save(folder + "/w.safetensors");
  if (io::SafetensorsFile(folder + "/w.safetensors").get<float>("w").at({1, 2}) != 5.0f) return 1;

  io::Json options = io::Json::object();
  options["rate"] = 0.1;
  io::save_json(folder + "/o.json", options);
  if (io::JsonDocument::load(folder + "/o.json").root()["rate"].number() != 0.1) return 1;
  try {
    io::parse_json("{]", "bad.json");
    return 1;
  } catch (const Error& error) {
    std::printf("consumer_io works: %s\n", error.what());
  }

  if (io::inflate(std::string("\x4b\x4c\x04\x02\0", 5), 5, "a") != "aaaaa") return 1;
  return 0;
}

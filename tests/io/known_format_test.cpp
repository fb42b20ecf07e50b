#include "tandem/io/known_format.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>

#include "tandem/io/npz.hpp"
#include "tandem/io/safetensors.hpp"
#include "tandem/nn/linear.hpp"
#include "temp_dir.hpp"
#include "util.hpp"

using namespace tandem;
using namespace tandem_test;

TEST_CASE("a reader that was given another format says which") {
  const TempDir dir;
  io::save_npy(dir.path("x.npy"), arange<float>(6));
  io::save_safetensors(dir.path("x.safetensors"),
                       std::vector<nn::Named<float>>{{"w", arange<float>(6)}});
  const auto write = [&](const char* name, const std::string& bytes) {
    std::ofstream(dir.path(name), std::ios::binary) << bytes;
    return dir.path(name);
  };
  using namespace std::string_literals;
  const auto as_safetensors = [](const std::string& path) {
    return error_of([&] { io::load_safetensors<float>(path); });
  };
  const std::pair<std::string, std::string> cases[] = {
      {dir.path("x.npy"), "an npy file, which io::load_npy reads"},
      {write("t.pt",
             "PK\x03\x04"s + std::string(26, '\0') + "archive/data.pkl" + std::string(60, '\0')),
       "what torch.save writes: save_file(model.state_dict(), …)"},
      {write("a.npz", "PK\x03\x04"s + std::string(26, '\0') + "x.npy" + std::string(60, '\0')),
       "an npz archive, which io::Npz::open reads"},
      {write("z.zip", "PK\x03\x04"s + std::string(90, '\0')), "a zip archive"},
      {write("o.pth", "\x80\x02}q\0"s + std::string(90, '\0')), "a Python pickle"},
      {write("g.gguf", "GGUF"s + std::string(90, '\1')), "a GGUF file"},
      {write("h.h5", "\x89HDF\r\n\x1a\n"s + std::string(90, '\1')), "an HDF5 file"},
      {write("c.gz", "\x1f\x8b\x08"s + std::string(90, '\1')), "something compressed by gzip"},
      {write("p.html", "<!DOCTYPE html><html>"s), "an HTML page: was the download refused?"},
      {write("lfs", "version https://git-lfs.github.com/spec/v1\n"s),
       "a pointer of Git LFS: `git lfs pull`"},
      {write("labels.txt", "0 walk\n1 run\n2 jump\n"s), "a text file"},
  };
  for (const auto& [path, what] : cases) {
    CAPTURE(path);
    const std::string message = as_safetensors(path);
    CHECK(contains(message, "[safetensors] " + path + ": "));
    CHECK(contains(message, "; it looks like " + what));
  }
  CHECK_FALSE(contains(as_safetensors(write("x", std::string(90, '\1'))), "looks like"));
  CHECK(
      contains(as_safetensors(write("x", std::string(90, 'x'))), ", so it is no safetensors file"));
  CHECK(contains(as_safetensors(write("e", "short")), "the file has 5 bytes, expected at least 8"));
  CHECK(contains(error_of([&] { io::load_npy(dir.path("x.safetensors")); }),
                 "; it looks like a safetensors file, which io::load_safetensors reads"));
  CHECK(contains(error_of([&] { io::Npz::open(dir.path("x.npy")); }),
                 "; it looks like an npy file, which io::load_npy reads"));
  CHECK(contains(error_of([&] { io::Npz::open(dir.path("a.npz")); }), "; was it copied whole?"));
}

TEST_CASE("load_safetensors: a file's floating tensors in one call, converted, without a prefix") {
  const TempDir dir;
  Generator random(1);
  nn::Linear<float> saved(3, 2, random), loaded(3, 2, random);
  io::SafetensorsWriter out;
  for (const auto& [name, tensor] : saved.state_dict()) out.add("head." + name, tensor);
  out.add("head.half", tensor<bfloat16>({bfloat16(0.5F), bfloat16(2)}));
  out.add("head.count", tensor<std::int64_t>({7}));
  out.add("body.weight", arange<double>(4));
  out.save(dir.path("x.safetensors"));

  auto state = io::load_safetensors<float>(dir.path("x.safetensors"), "head.");
  REQUIRE(state.size() == 3);  // bias, half, weight: alphabetical; no count
  CHECK(state[1].name == "half");
  CHECK(state[1].tensor.to_vector() == std::vector<float>{0.5F, 2});
  state.erase(state.begin() + 1);
  loaded.load_state_dict(state);
  CHECK(loaded.weight.tensor().to_vector() == saved.weight.tensor().to_vector());
  state[0].tensor.fill_(3);  // its own memory
  CHECK(io::load_safetensors<double>(dir.path("x.safetensors")).size() == 4);
  CHECK(error_of([&] { io::load_safetensors<float>(dir.path("x.safetensors"), "haed."); }) ==
        "[load_safetensors] " + dir.path("x.safetensors") +
            " has no floating tensor whose name starts with \"haed.\"");
  io::SafetensorsWriter integers;
  integers.add("n", tensor<std::int64_t>({7}));
  integers.save(dir.path("n.safetensors"));
  CHECK(error_of([&] { io::load_safetensors<float>(dir.path("n.safetensors")); }) ==
        "[load_safetensors] " + dir.path("n.safetensors") + " has no floating tensor");
}

TEST_CASE(
    "counts of batch norms are int64 in files and elements of T here, as other integers are not") {
  const TempDir dir;
  io::SafetensorsWriter out;
  out.add("bn.num_batches_tracked", full<std::int64_t>({}, 70'000));
  out.add("num_batches_tracked", full<std::int64_t>({}, 3));
  out.add("my_num_batches_tracked", full<std::int64_t>({}, 4));
  out.add("position_ids", arange<std::int64_t>(4));
  out.save(dir.path("counts"));
  CHECK(error_of([&] { io::load_safetensors<float>(dir.path("counts")); }) ==
        "[load_safetensors] " + dir.path("counts") + " has no floating tensor");
  out.add("bn.weight", ones<float>({2}));
  out.save(dir.path("counts"));
  const auto state = io::load_safetensors<float>(dir.path("counts"));
  REQUIRE(state.size() == 3);
  CHECK(state[0].name == "bn.num_batches_tracked");
  CHECK(state[0].tensor.shape() == Shape{});
  CHECK(state[0].tensor.item() == 70'000);
  CHECK(state[2].name == "num_batches_tracked");
  CHECK(io::load_safetensors<double>(dir.path("counts"), "bn.")[0].tensor.item() == 70'000);

  io::save_safetensors(dir.path("back"), state);
  const io::SafetensorsFile back(dir.path("back"));
  CHECK(back.get<std::int64_t>("bn.num_batches_tracked").item() == 70'000);
  CHECK(back.get<std::int64_t>("num_batches_tracked").item() == 3);
  CHECK(back.at("bn.num_batches_tracked").shape.empty());
  CHECK(back.get<float>("bn.weight").numel() == 2);
  // What is no count stays as it is, and a file of floats is read as ever.
  const float nan = std::nanf("");
  io::save_safetensors(dir.path("odd"), std::vector<nn::Named<float>>{
                                            {"a.num_batches_tracked", full<float>({}, 0.5F)},
                                            {"b.num_batches_tracked", full<float>({}, -1.0F)},
                                            {"c.num_batches_tracked", full<float>({}, nan)},
                                            {"d.num_batches_tracked", full<float>({1}, 2.0F)},
                                            {"e_num_batches_tracked", full<float>({}, 2.0F)}});
  const auto odd = io::load_safetensors<float>(dir.path("odd"));
  REQUIRE(odd.size() == 5);
  CHECK(odd[0].tensor.item() == 0.5F);
  CHECK(odd[1].tensor.item() == -1);
  CHECK(std::isnan(odd[2].tensor.item()));
  for (const auto& named : odd) {
    CHECK(io::SafetensorsFile(dir.path("odd")).is_floating(named.name));
  }
}

TEST_CASE("load_state_dict suggests what was meant") {
  Generator random(1);
  nn::Linear<float> net(3, 2, random);
  auto state = net.state_dict();
  state[0].name = "weigth";
  CHECK(contains(
      error_of([&] { net.load_state_dict(state); }),
      "1 missing: weight, 1 unused: weigth; is \"weigth\" there what is \"weight\" here?"));
  state[0].name = "module.model.weight";
  state[1].name = "module.model.bias";
  CHECK(contains(error_of([&] { net.load_state_dict(state); }),
                 "; is the \"module.model.\" in front of names there too much?"));
  state[0].name = "something else";
  state.pop_back();
  CHECK(contains(error_of([&] { net.load_state_dict(state); }), "1 unused: something else"));
  CHECK_FALSE(contains(error_of([&] { net.load_state_dict(state); }), "?"));
}

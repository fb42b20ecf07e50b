#include "tandem/io/safetensors.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "tandem/io/npy.hpp"
#include "tandem/io/npz.hpp"
#include "tandem/tensor/factory.hpp"
#include "temp_dir.hpp"
#include "util.hpp"

using namespace tandem;
using namespace tandem_test;

namespace {

std::string file_bytes(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + header + data;
}

std::string open_error(const std::string& bytes) {
  const TempDir dir;
  std::ofstream(dir.path("x"), std::ios::binary) << bytes;  // thousands of files: no fsync
  return error_of([&] {
    const io::SafetensorsFile file(dir.path("x"));
    for (const std::string& name : file.names()) file.at(name);
  });
}

std::string header_error(const std::string& header, std::size_t data = 8) {
  return open_error(file_bytes(header, std::string(data, '\0')));
}

template <class T>
Tensor<T> ramp(std::initializer_list<T> values) {
  return from_vector<T>(std::vector<T>(values), {2, 3});
}

/// Kilobytes of physical memory behind the mapping that `address` lies in, as /proc/self/smaps
/// says.
long resident_kb(const void* address) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0, end = 0;
    long kb = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2)
      inside = begin <= wanted && wanted < end;
    if (inside && std::sscanf(line.c_str(), "Rss: %ld kB", &kb) == 1) return kb;
  }
  return -1;
}

}  // namespace

TEST_CASE("safetensors: a mapped tensor gives its pages back and stays what it is") {
  const TempDir dir;
  const Tensor<float> x = arange<float>(0, 1 << 20);  // 4 MiB
  io::SafetensorsWriter out;
  out.add("x", x);
  out.save(dir.path("x"));
  const io::SafetensorsFile file(dir.path("x"));
  const Tensor<float> mapped = file.at("x").tensor<float>();
  REQUIRE_FALSE(mapped.storage()->writable());
  CHECK(mapped.to_vector() == x.to_vector());
  CHECK(resident_kb(mapped.data()) >= 4096);
  mapped.storage()->give_back_pages();
  CHECK(resident_kb(mapped.data()) <
        256);  // the pages at both ends, and what the kernel maps around them
  CHECK(mapped.to_vector() == x.to_vector());
  x.storage()->give_back_pages();  // memory of its own: stays
  CHECK(x.at({1000}) == 1000);
}

TEST_CASE("safetensors: a file that the Python package wrote") {
  const io::SafetensorsFile file(golden("numpy.safetensors"));
  CHECK(file.names() == std::vector<std::string>{"bias", "empty", "ids", "image", "mask", "scalar",
                                                 "steps", "weight"});
  CHECK(file.metadata() == io::Metadata{{"made by", "safetensors \xC3\xA9\""}});
  CHECK(file.get<float>("weight").shape() == Shape{2, 3});
  CHECK(file.get<float>("weight").to_vector() == std::vector<float>{0, 0.5, 1, 1.5, 2, 2.5});
  CHECK(file.at("weight").shareable<float>());
  CHECK(file.get<double>("bias").to_vector()[5] == 2.5);
  CHECK(file.get<std::int64_t>("steps").to_vector()[0] == -3);
  CHECK(file.get<bool>("mask").at({0, 1}));
  CHECK(file.get<float>("empty").shape() == Shape{0, 2});
  CHECK(file.get<float>("scalar").item() == 1.5f);
  CHECK(file.get_as<float>("bias").to_vector()[5] == 2.5f);
  CHECK(contains(error_of([&] { file.get<double>("weight"); }),
                 "expected float64 elements, found float32"));
  CHECK(contains(error_of([&] { file.at("wieght"); }),
                 "there is no tensor \"wieght\"; did you mean \"weight\"?"));
}

TEST_CASE("safetensors: written byte for byte as the Python package writes") {
  const TempDir dir;
  io::SafetensorsWriter out;
  out.add("empty", zeros<float>({0, 2}));
  out.add("mask", tensor<bool>({{false, true, false}, {true, false, true}}));
  out.add("weight", ramp<float>({0, 0.5, 1, 1.5, 2, 2.5}));
  out.add("bias", ramp<double>({0, 0.5, 1, 1.5, 2, 2.5}));
  out.add("steps", ramp<std::int64_t>({-3, -2, -1, 0, 1, 2}));
  out.add("ids", ramp<std::int32_t>({-3, -2, -1, 0, 1, 2}));
  out.add("image", ramp<std::uint8_t>({0, 1, 2, 3, 4, 5}));
  out.add("scalar", tensor<float>(1.5f));
  out.metadata["made by"] = "safetensors \xC3\xA9\"";
  out.save(dir.path("x"));
  CHECK(io::read_text(dir.path("x")) == io::read_text(golden("numpy.safetensors")));
  CHECK_THROWS_AS(out.add("mask", tensor<float>(1)), Error);
  CHECK_THROWS_AS(out.add("__metadata__", tensor<float>(1)), Error);
}

TEST_CASE("safetensors: round trips, views, bfloat16, and rewriting a file that is being read") {
  const TempDir dir;
  const Tensor<float> x = arange<float>(12).view({3, 4});
  const std::vector<std::pair<std::string, Tensor<float>>> named{{"t", x.transpose(0, 1)},
                                                                 {"x", x}};
  io::save_safetensors(dir.path("f"), named, {{"epoch", "3"}});
  const io::SafetensorsFile first(dir.path("f"));
  const Tensor<float> t = first.get<float>("t");
  CHECK(t.shape() == Shape{4, 3});
  CHECK(t.to_vector() == x.transpose(0, 1).to_vector());
  CHECK_THROWS_AS(t.mutable_data(), Error);
  CHECK(first.metadata().at("epoch") == "3");
  io::SafetensorsWriter out;
  out.add("b", from_vector<bfloat16>(std::vector<float>{1.0f, -0.5f}, {2}));
  out.save(dir.path("f"));
  CHECK(t.at({1, 0}) == 1.0f);  // still the old file
  CHECK(io::SafetensorsFile(dir.path("f")).get_as<float>("b").to_vector() ==
        std::vector<float>{1.0f, -0.5f});
}

TEST_CASE("safetensors: a header that lies is refused with the tensor's name") {
  const char* good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  CHECK(header_error(good) == "no error");
  CHECK(header_error("{}", 0) == "no error");
  CHECK(contains(header_error(good, 9), "cover 8 bytes of data, the file has 9"));
  CHECK(
      contains(header_error(good, 7), "tensor \"a\" lies at data offsets 0 to 8, the file has 7"));
  CHECK(contains(header_error(R"({"a":{"dtype":"F8","shape":[2],"data_offsets":[0,8]}})"),
                 "a: the tensor has the type \"F8\", which is not read here"));
  CHECK(contains(header_error(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})"),
                 "needs 12 bytes, its data offsets give 8"));
  CHECK(contains(header_error(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})"),
                 "a.shape[0]: expected an integer from 0"));
  CHECK(contains(
      header_error(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}})"),
      "more than 2^63"));
  CHECK(contains(header_error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})"),
                 "\"a\" lies at"));
  CHECK(contains(header_error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}})"),
                 "expected [begin, end]"));
  CHECK(contains(header_error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})"),
                 "expected [begin"));
  CHECK(contains(header_error(R"({"a":{"dtype":"F32","shape":[2]}})"),
                 "\"data_offsets\" is missing"));
  CHECK(contains(header_error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})"),
                 "unknown key \"x\""));
  CHECK(contains(header_error(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                              R"("b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})"),
                 "tensors overlap"));
  CHECK(contains(header_error(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                              R"("b":{"dtype":"U8","shape":[3],"data_offsets":[5,8]}})"),
                 "tensor \"b\" starts at data offset 5, expected 4 (a gap between tensors)"));
  CHECK(contains(header_error(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},)"
                              R"("a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})"),
                 "\"a\" appears twice"));
  CHECK(contains(header_error(R"({"__metadata__":{"k":1}})", 0),
                 "__metadata__.k: expected a string"));
  CHECK(contains(header_error(R"({"__metadata__":[]})", 0), "expected an object"));
  CHECK(contains(header_error("[1]", 0), "expected '{' at offset 8"));
  CHECK(contains(header_error(R"({"a":[[[[[[[[]]]]]]]]})", 0), "nested deeper"));
  CHECK(contains(
      header_error("{\"a\":", 0),
      "(header):1:6 (byte 5): syntax error while parsing value - unexpected end of input"));
  CHECK(contains(open_error("1234567"), "expected at least 8"));
  CHECK(contains(open_error(std::string(8, '\xff') + "{}"), "runs past the end of the file"));
  std::string nine = "[";
  for (int i = 0; i < 33; ++i) nine += "1,";
  nine.back() = ']';
  CHECK(contains(
      header_error(R"({"a":{"dtype":"U8","shape":)" + nine + R"(,"data_offsets":[0,1]}})", 1),
      "33 dimensions"));
}

TEST_CASE("safetensors: every truncation is an error, every changed byte an error or a file") {
  const std::string whole = io::read_text(golden("numpy.safetensors"));
  for (std::size_t n = 1; n < whole.size(); ++n) {
    CAPTURE(n);
    CHECK(open_error(whole.substr(0, n)) != "no error");
  }
  for (std::size_t n = 0; n < whole.size(); ++n) {
    std::string changed = whole;
    changed[n] = static_cast<char>(changed[n] ^ 0x11);
    open_error(changed);
  }
}

TEST_CASE("safetensors: a tensor of a type that is not read does not hide the others") {
  const TempDir dir;
  for (const char* type : {"F8_E4M3", "F8_E5M2", "C64", "F4", "", "whatever"}) {
    CAPTURE(type);
    const std::string header =
        concat(R"({"a":{"dtype":")", type, R"(","shape":[3],"data_offsets":[0,3]},)",
               R"("b":{"dtype":"F32","shape":[1],"data_offsets":[3,7]}})");
    std::ofstream(dir.path("x"), std::ios::binary)
        << file_bytes(header, std::string("abc\0\0\x80?", 7));
    const io::SafetensorsFile file(dir.path("x"));
    CHECK(file.names() == std::vector<std::string>{"a", "b"});
    CHECK(file.contains("a"));
    CHECK(file.get_as<float>("b").to_vector() == std::vector<float>{1});
    const std::string message = error_of([&] { file.get_as<float>("a"); });
    CHECK(contains(message, "/x: a: the tensor has the type \""));
    CHECK(contains(message, "which is not read here; these are: U64, I64, F64, F32"));
  }
  // Its place in the data still counts.
  CHECK(contains(header_error(R"({"a":{"dtype":"C64","shape":[1],"data_offsets":[0,9]}})"),
                 "\"a\" lies at"));
  CHECK(contains(header_error(R"({"a":{"dtype":"C64","shape":[1],"data_offsets":[1,8]}})"),
                 "a gap between"));
  CHECK(contains(header_error(R"({"a":{"dtype":"C64","shape":[-1],"data_offsets":[0,8]}})"),
                 "from 0"));
}

TEST_CASE("safetensors: metadata that is null is none") {
  CHECK(header_error(R"({"__metadata__":null})", 0) == "no error");
  CHECK(header_error(
            R"({"__metadata__":null,"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})") ==
        "no error");
}

TEST_CASE("safetensors: a model in several files is read through its index") {
  const TempDir dir;
  io::SafetensorsWriter one, two;
  one.add("a", tensor<float>(1.5f));
  one.add("b", tensor<float>(2.5f));
  one.metadata["format"] = "pt";
  two.add("c", tensor<std::int64_t>({3, 4}));
  one.save(dir.path("m-00001-of-00002.safetensors"));
  two.save(dir.path("m-00002-of-00002.safetensors"));
  const std::string path = dir.path("m.safetensors.index.json");
  const auto with = [&](const std::string& map) {
    io::write_text(path, R"({"metadata":{"total_size":24},"weight_map":{)" + map + "}}");
    return error_of([&] { const io::SafetensorsFile file(path); });
  };
  const std::string a = R"("a":"m-00001-of-00002.safetensors",)",
                    b = R"("b":"m-00001-of-00002.safetensors",)",
                    c = R"("c":"m-00002-of-00002.safetensors")";
  CHECK(with(a + b + c) == "no error");
  const io::SafetensorsFile file(path);
  CHECK(file.path() == path);
  CHECK(file.names() == std::vector<std::string>{"a", "b", "c"});
  CHECK(file.get<float>("b").item() == 2.5f);
  CHECK(file.at("b").shareable<float>());
  CHECK(file.get<std::int64_t>("c").to_vector() == std::vector<std::int64_t>{3, 4});
  CHECK(file.metadata().at("format") == "pt");
  CHECK(contains(error_of([&] { file.at("d"); }), "there is no tensor \"d\""));

  CHECK(contains(
      with(a + c),
      "m-00001-of-00002.safetensors holds the tensor \"b\", which the index does not have"));
  CHECK(contains(with(a + b + R"("x":"m-00001-of-00002.safetensors",)" + c),
                 "tensor \"x\" is not in m-00001-of-00002.safetensors, where the index has it"));
  CHECK(contains(with(R"("a":"gone.safetensors")"), "gone.safetensors: cannot open the file"));
  CHECK(contains(with(R"("a":"../m-00001-of-00002.safetensors")"),
                 "weight_map.a: expected the name of a file beside"));
  CHECK(contains(with(R"("a":"/etc/passwd")"), "expected the name of a file beside"));
  CHECK(contains(with(R"("a":"")"), "expected the name of a file beside"));
  CHECK(contains(with(R"("a":7)"), "weight_map.a: expected a string"));
  CHECK(contains(with(""), "the index names no tensors"));
  io::write_text(path, "{}");
  CHECK(contains(error_of([&] { const io::SafetensorsFile none(path); }),
                 "the key \"weight_map\" is missing"));
  // The same tensor in both files.
  one.save(dir.path("m-00002-of-00002.safetensors"));
  CHECK(contains(with(a + b + c), "is also in"));
}

TEST_CASE("safetensors: a name that is all prefix, and an undefined tensor") {
  const TempDir dir;
  const std::string path = dir.path("x.safetensors");
  io::save_safetensors(path, std::vector<nn::Named<float>>{{"head", ones<float>({1})},
                                                           {"head.w", ones<float>({2})}});
  CHECK(io::load_safetensors<float>(path, "head.").size() == 1);
  CHECK(io::load_safetensors<float>(path).size() == 2);
  CHECK(contains(error_of([&] { io::load_safetensors<float>(path, "head"); }),
                 ": a tensor is called \"head\", which is all prefix: no name is left"));
  CHECK(error_of([&] {
          io::save_safetensors(path, std::vector<nn::Named<float>>{{"w", Tensor<float>()}});
        }) == "[safetensors] argument 'w' is an undefined tensor (default-constructed)");
  CHECK(error_of([&] { io::save_npy(dir.path("x.npy"), Tensor<float>()); }) ==
        "[save_npy] argument x is an undefined tensor (default-constructed)");
  CHECK(error_of([] { (void)io::npy_bytes(Tensor<float>()); }) ==
        "[npy_bytes] argument x is an undefined tensor (default-constructed)");
  io::NpzWriter npz(dir.path("x.npz"));
  CHECK(error_of([&] { npz.add("w", Tensor<float>()); }) ==
        "[npz] argument 'w' is an undefined tensor (default-constructed)");
}

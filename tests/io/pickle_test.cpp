#include "tandem/io/pickle.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include "tandem/io/json.hpp"
#include "tandem/io/pickle_writer.hpp"
#include "tandem/tensor/factory.hpp"
#include "temp_dir.hpp"
#include "util.hpp"

using namespace tandem;
using namespace tandem_test;
using namespace std::string_literals;
using io::PickleValue;
using Kind = io::Pickle::Kind;

namespace {

Ref<io::Pickle> load(const std::string& pickle) {
  auto owner = make_ref<io::OwnedBytes>(pickle);
  const unsigned char* data = owner->data();
  return make_ref<io::Pickle>(data, pickle.size(), "p", std::size_t{0}, std::move(owner));
}
std::string load_error(const std::string& pickle) {
  return error_of([&] { load(pickle); });
}
std::string le(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 255);
  return out;
}

const std::string kReconstruct =
    "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R"s;

/// An array with this shape (opcodes of a tuple), type name, and data opcodes.
std::string array(const std::string& shape, const std::string& type, const std::string& data) {
  return kReconstruct + "(K\1" + shape + "cnumpy\ndtype\nU" + static_cast<char>(type.size()) +
         type + "K\0K\1\x87R(K\3U\1<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89"s + data + "tb";
}

}  // namespace

TEST_CASE("pickle: every protocol gives the same values") {
  for (int protocol = 0; protocol <= 5; ++protocol) {
    CAPTURE(protocol);
    const auto pickle =
        io::load_npy_objects(golden("protocol" + std::to_string(protocol) + ".npy"));
    const PickleValue root = pickle->root();
    REQUIRE(root.size() == 8);
    const PickleValue list = root[0];
    REQUIRE(list.size() == 12);
    CHECK(list[0].number() == 0.5);
    CHECK(list[1].integer() == -2);
    CHECK(list[2].kind() == Kind::boolean);
    CHECK(list[2].integer() == 1);
    CHECK(list[3].kind() == Kind::none);
    CHECK(list[4].string() == "caf\xC3\xA9 \xF0\x9F\x98\x80 \\u n\n");
    CHECK(list[4].kind() == Kind::text);
    CHECK(list[5].string() == "raw\xff\0"s);
    CHECK(list[5].kind() == Kind::bytes);
    CHECK(list[6].kind() == Kind::tuple);
    CHECK(list[6][1][0].integer() == 2);
    CHECK(list[7].integer() == std::int64_t{1} << 40);
    CHECK(list[8].integer() == -(std::int64_t{1} << 40));
    CHECK(list[9].size() == 0);
    CHECK(list[10].integer() == 300);
    CHECK(list[11].integer() == 70000);
    const std::vector<double> ramp{0, 1, 2, 3, 4, 5};
    CHECK(root[1].array().tensor<float>().shape() == Shape{2, 3});
    CHECK(root[1].array().to_vector<double>() == ramp);
    CHECK(root[2].array().swapped);
    CHECK(root[2].array().to_vector<double>() == ramp);
    CHECK(root[3].array().column_major);
    CHECK(root[3].array().to_vector<double>() == ramp);
    CHECK(root[4].array().strings() == std::vector<std::string>{"a", "b\xC3\xA9"});
    CHECK(root[5].array().strings() == std::vector<std::string>{"x", "yz"});
    CHECK(root[6].array().tensor<bool>().at({0, 0}));
    CHECK_FALSE(root[6].array().tensor<bool>().at({0, 1}));
    CHECK(root[7].is_object_array());
    CHECK(root[7][0][0].number() == 1.0);
    CHECK(root[7][1].array().to_vector<double>() == ramp);
  }
}

TEST_CASE("pickle: files of Python 2") {
  const auto lists = io::load_npy_objects(golden("python2_lists.npy"));
  const PickleValue root = lists->root();
  REQUIRE(root.size() == 4);
  CHECK(root[0][0][1].number() == 1.25);
  CHECK(root[0][1][1].integer() == -4);
  CHECK(root[2][0].string() == "Diving");
  CHECK(root[2][1].string() == "caf\xC3\xA9");
  CHECK(root[2][2].string() == "raw\xff\0"s);
  CHECK(root[3][3].integer() == std::int64_t{1} << 40);
  const auto features = io::load_npy_objects(golden("python2_features.npy"));
  REQUIRE(features->root().size() == 4);
  for (std::size_t i = 0; i < 3; ++i) {
    const Tensor<float> x = features->root()[i].array().tensor<float>();
    for (std::int64_t t = 0; t < x.size(0); ++t) {
      for (std::int64_t d = 0; d < 4; ++d) {
        CHECK(x.at({t, d}) == static_cast<float>(100 * static_cast<int>(i) + 10 * t + d));
      }
    }
  }
  CHECK(features->root()[3].array().tensor<double>().shape() == Shape{2, 4});
}

TEST_CASE("pickle: array data stays in the mapped file and outlives the pickle") {
  const auto file = io::load_npy(golden("python2_features.npy"));
  io::Array array;
  {
    const auto pickle = io::parse_npy_objects(file);
    array = pickle->root()[1].array();
  }
  CHECK(array.data > file.data);
  CHECK(array.data + array.bytes < file.data + file.bytes);
  CHECK(array.to_vector<float>()[11] == 123.0f);
}

TEST_CASE("pickle: what we write, we read, and it is what Python 2 writes up to the memo") {
  const TempDir dir;
  const io::Json lists = io::parse_json(
      "[[[0.5, 1.25], [3, -4]], [], [\"Diving\", \"\"], [true, false, null, 1099511627776, "
      "-3000000000]]");
  io::save_npy_objects(dir.path("lists.npy"), lists);
  const auto pickle = io::load_npy_objects(dir.path("lists.npy"));
  const PickleValue root = pickle->root();
  CHECK(root.size() == 4);
  CHECK(root[0][1][1].integer() == -4);
  CHECK(root[2][0].string() == "Diving");
  CHECK(root[3][3].integer() == 1099511627776);
  CHECK(root[3][4].integer() == -3000000000);
  CHECK(root[0][0][1].number() == 1.25);
  const std::vector<Tensor<float>> features{arange<float>(6).view({2, 3}), zeros<float>({0, 3}),
                                            arange<float>(300).view({100, 3})};
  io::save_npy_objects(dir.path("features.npy"), features);
  const auto back = io::load_npy_objects(dir.path("features.npy"));
  REQUIRE(back->root().size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(back->root()[i].array().tensor<float>().to_vector() == features[i].to_vector());
    CHECK(back->root()[i].array().tensor<float>().shape() == features[i].shape());
  }
}

TEST_CASE("pickle: a pickle is a program, and these are refused by name") {
  CHECK(load_error("cos\nsystem\n(S'echo x'\ntR.") ==
        "[pickle] p: opcode GLOBAL at offset 0: global os.system is not allowed");
  CHECK(load_error("\x80\4\x8c\5posix\x8c\6system\x93."s) ==
        "[pickle] p: opcode STACK_GLOBAL at offset 17: global posix.system is not allowed");
  CHECK(contains(load_error("c__builtin__\neval\n."), "global __builtin__.eval is not allowed"));
  CHECK(contains(load_error("cnumpy\nload\n."), "global numpy.load is not allowed"));
  CHECK(contains(load_error("(ios\nsystem\n."),
                 "opcode INST at offset 1: this opcode is not allowed"));
  CHECK(contains(load_error("}."), "opcode EMPTY_DICT at offset 0: this opcode is not allowed"));
  CHECK(contains(load_error("(dp0\n."), "opcode DICT"));
  CHECK(contains(load_error("Pid\n."), "opcode PERSID"));
  CHECK(contains(load_error("\x82\1."), "opcode EXT1"));
  CHECK(contains(load_error("\xff."), "opcode 0xff at offset 0: this opcode is not allowed"));
  CHECK(contains(load_error("cnumpy\nndarray\n(tR."), "numpy.ndarray is not called"));
  CHECK(contains(
      load_error("cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\0\x85U\1b\x87R."s),
      "only allowed for numpy.ndarray"));
  CHECK(contains(load_error("K\1)R."), "only the allowed globals can be called"));
  CHECK(contains(load_error("c_codecs\nencode\n(Vabc\nS'rot13'\ntR."), "encode(text, 'latin1')"));
  CHECK(contains(load_error("K\1K\2\x86"
                            "b."),
                 "the stack is empty"));
  CHECK(contains(load_error("]K\1K\2\x86"
                            "b."),
                 "only arrays and their types have a state"));
  CHECK(contains(load_error("\x80\6N."), "protocol 6 is unknown"));
}

TEST_CASE("pickle: stack, memo and lengths are checked") {
  for (const char* bad : {"",
                          ".",
                          "N",
                          "a.",
                          "e.",
                          "(e.",
                          "]e.",
                          "(Na.",
                          "t.",
                          "\x85.",
                          "R.",
                          "b.",
                          "(.",
                          "q\1.",
                          "NN.",
                          "(N.",
                          "h\1.",
                          "gx\n.",
                          "p.",
                          "I\n.",
                          "Ix\n.",
                          "I99999999999999999999\n.",
                          "F\n.",
                          "Fx\n.",
                          "S\n.",
                          "S'a\n.",
                          "S'a\\'\n.",
                          "S'\\q'\n.",
                          "S'\\x1'\n.",
                          "V\\u12\n.",
                          "V\\ud800\n.",
                          "L5",
                          "U\5abc.",
                          "\x8a\x09"
                          "123456789.",
                          "\x93.",
                          "N."
                          "N"}) {
    CAPTURE(bad);
    CHECK(load_error(bad).starts_with("[pickle] p: "));
  }
  CHECK(contains(load_error("T"s + le(0xFFFFFFF0u, 4) + "abc."),
                 "opcode BINSTRING at offset 0: needs 4294967280 more bytes, the file has 4 left"));
  CHECK(contains(load_error("X"s + le(0x7FFFFFFF, 4) + "."), "needs 2147483647 more bytes"));
  CHECK(
      contains(load_error("\x8e"s + le(~std::uint64_t{0}, 8) + "."), "needs 18446744073709551615"));
  CHECK(contains(load_error("\x95"s + le(~std::uint64_t{0}, 8) + "N."), "a frame of"));
  CHECK(contains(load_error("X\2\0\0\0\xff\xff."s), "not valid UTF-8"));
  CHECK(contains(load_error("N.extra"), "but 5 bytes follow"));
  CHECK(load("\x8a\1\xff."s)->root().integer() == -1);
  CHECK(load("\x8a\0."s)->root().integer() == 0);
  CHECK(load("L-12L\n.")->root().integer() == -12);
  CHECK(load("I01\n.")->root().kind() == Kind::boolean);
  CHECK(load("F-2.5e3\n.")->root().number() == -2500.0);
  CHECK(load("S'a\\n\\x41\\\\'\n.")->root().string() == "a\nA\\");
}

TEST_CASE("pickle: arrays must be what their description says") {
  const std::string pair = "K\2\x85";
  const std::string eight = "U\10" + std::string(8, '\0');
  CHECK(load(array(pair, "f4", eight) + ".")->root().array().to_vector<float>().size() == 2);
  CHECK(contains(load_error(array(pair, "f8", eight) + "."), "needs 16 bytes, the file gives 8"));
  CHECK(contains(load_error(array("J\xff\xff\xff\xff\x85", "f4", eight) + "."), "negative"));
  CHECK(contains(
      load_error(array("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\2\x86"s, "f4", eight) + "."),
      "more than 2^63"));
  CHECK(contains(load_error(array("N", "f4", eight) + "."), "not a tuple"));
  CHECK(contains(load_error(array("N\x85", "f4", eight) + "."), "not an integer"));
  CHECK(contains(load_error(array(pair, "c8", eight) + "."), "is not supported"));
  CHECK(contains(load_error(array(pair, "f4", "]") + "."), "not a byte string"));
  CHECK(contains(load_error(array(pair, "O8", eight) + "."), "not a list"));
  CHECK(contains(load_error(array(pair, "O8", "](NNNe") + "."),
                 "object array of shape (2,) holds 3 items"));
  CHECK(load(array(pair, "O8", "](NNe") + ".")->root().size() == 2);
  CHECK(contains(load_error(kReconstruct + "."), "never given its data"));
  CHECK(contains(load_error(array(pair, "f4", eight) + "(K\1)NK\0Ntb."s), "has a state already"));
  CHECK(contains(load_error("cnumpy\ndtype\nU\2f4\x85R."), "where data is expected"));
  CHECK(contains(load_error("]cnumpy\nndarray\na."), "where data is expected"));
}

TEST_CASE("pickle: nesting is limited and cycles are refused") {
  CHECK(contains(load_error("]q\0h\0a."s), "a list holds itself"));
  CHECK(contains(load_error("]q\0(h\0tq\1a."s), "a list holds itself"));
  std::string deep;
  for (int i = 0; i < 200000; ++i) deep += "](";
  std::string close;
  for (int i = 0; i < 200000; ++i) close += "e";
  CHECK(contains(load_error(deep + close + "."), "nested deeper than 64 levels"));
  std::string tuples = "N";
  for (int i = 0; i < 200000; ++i) tuples += "\x85";
  CHECK(contains(load_error(tuples + "."), "nested deeper than 64 levels"));
  CHECK(contains(load_error(std::string(100000, '(') + "]."), "expected one value on the stack"));
}

TEST_CASE("pickle: shared references stay shared") {
  // Ten items ten times over, forty times: 10^40 values in 900 bytes.
  std::string bomb = "](NNNNNNNNNNe";
  for (int level = 0; level < 40; ++level) {
    const std::string slot(1, static_cast<char>(level));
    bomb += "q" + slot + "](";
    for (int i = 0; i < 10; ++i) bomb += "h" + slot;
    bomb += "e";
  }
  // The lists below the last one stay on the stack: wrap the whole stack in a tuple.
  const auto pickle = load("(" + bomb + "t.");
  CHECK(pickle->expanded_size() == ~std::uint64_t{0} - 1);
  const auto small = load("](](NNe](NNee.");
  CHECK(small->expanded_size() == 7);
  // A megabyte encoded a thousand times is one megabyte.
  std::string text =
      "(c_codecs\nencode\nq\1X" + le(1 << 20, 4) + std::string(1 << 20, 'x') + "q\2U\6latin1\x86R";
  for (int i = 1; i < 1000; ++i) text += "h\1h\2U\6latin1\x86R";
  const auto shared = load(text + "t.");
  REQUIRE(shared->root().size() == 1000);
  CHECK(shared->root()[999].string().data() == shared->root()[0].string().data());
}

TEST_CASE("pickle: every truncation is an error, every changed byte an error or a value") {
  for (const char* name : {"protocol0.npy", "protocol2.npy", "protocol5.npy",
                           "python2_features.npy", "python2_lists.npy"}) {
    const std::string whole = io::read_text(golden(name)).substr(128);
    for (std::size_t n = 0; n < whole.size(); ++n) {
      CAPTURE(n);
      CHECK(load_error(whole.substr(0, n)) != "no error");
      std::string changed = whole;
      for (const int flip : {1, 0x80, 0x55}) {
        changed[n] = static_cast<char>(whole[n] ^ flip);
        load_error(changed);
      }
    }
  }
}

TEST_CASE("pickle: the npy header and the pickle must agree") {
  const std::string whole = io::read_text(golden("python2_lists.npy"));
  const auto parse = [&](const std::string& bytes) {
    auto owner = make_ref<io::OwnedBytes>(bytes);
    const unsigned char* data = owner->data();
    return io::parse_npy_objects(io::parse_npy(data, bytes.size(), "x", std::move(owner)));
  };
  CHECK(parse(whole)->root().size() == 4);
  std::string other = whole;
  other[other.find("(4,)") + 1] = '5';
  CHECK(contains(error_of([&] { parse(other); }), "promises an object array of shape (5,)"));
  CHECK(contains(error_of([&] { parse(whole.substr(0, 128) + "]."); }), "the pickle holds a list"));
  CHECK(contains(error_of([&] { io::load_npy_objects(golden("f4.npy")); }),
                 "expected an array of objects"));
}

// Names in modules and state dictionaries are unique, and a load that fails has changed nothing.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tandem/nn/module.hpp"

using namespace tandem;

namespace {

template <class F>
std::string message(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

struct NamedLeaf final : nn::Module<float> {
  explicit NamedLeaf(float value) : weight(full<float>({2}, value)) { add("weight", weight); }
  Tensor<float> weight;
};

struct Free final : nn::Module<float> {
  using Module::add;
  using Module::add_buffer;
};

struct Net final : nn::Module<float> {
  Net() {
    add("a", a);
    add("b", b);
    add_buffer("mean", mean);
  }
  std::vector<float> all() const {
    std::vector<float> out;
    for (const auto& named : state_dict()) {
      for (const float x : named.tensor.to_vector()) out.push_back(x);
    }
    return out;
  }
  Tensor<float> mean = full<float>({2}, 3);
  NamedLeaf a{1}, b{2};
};

}  // namespace

TEST_CASE("modules: a name is registered once, whatever it names") {
  NamedLeaf one(1), two(2);
  Tensor<float> w = ones<float>({2}), v = ones<float>({2}), none;
  nn::Matrix<float> matrix(v);
  const std::string taken = "[add] the name 'x' is registered already";
  Free children, entries, mixed, buffers;
  children.add("x", one);
  CHECK(message([&] { children.add("x", two); }) == taken);
  entries.add("x", w);
  CHECK(message([&] { entries.add("x", v); }) == taken);
  CHECK(message([&] { entries.add("x", matrix); }) == taken);
  mixed.add("x", one);
  CHECK(message([&] { mixed.add("x", w); }) == taken);
  CHECK(message([&] { mixed.add_buffer("x", w); }) == taken);
  buffers.add_buffer("x", w);
  CHECK(message([&] { buffers.add("x", one); }) == taken);
  CHECK(message([&] { buffers.add("", one); }) == "[add] a name must not be empty");
  CHECK(message([&] { buffers.add("y", none); }) ==
        "[add] argument 'y' is an undefined tensor (default-constructed)");
  CHECK(message([&] { buffers.add("y", buffers); }) == "[add] 'y' is the module itself");
  CHECK(children.named_parameters().size() == 1);
  CHECK(entries.named_parameters().size() == 1);
  // Equal only once they are complete.
  Free hidden;
  hidden.add("x", one);
  hidden.add("x.weight", w);
  CHECK(message([&] { (void)hidden.state_dict(); }) ==
        "[state_dict] the module has the name 'x.weight' twice");
}

TEST_CASE("load_state_dict: what fails has loaded nothing and says so") {
  Net net;
  const std::vector<float> before = net.all();
  const auto changed = [&] {
    std::vector<nn::Named<float>> state = net.state_dict();
    for (auto& named : state) named.tensor = full<float>({2}, 9);
    return state;
  };
  const auto refused = [&](const std::vector<nn::Named<float>>& state,
                           const std::string& expected) {
    CHECK(message([&] { net.load_state_dict(state); }) == "[load_state_dict] " + expected);
    CHECK(net.all() == before);
  };
  auto state = changed();
  state.pop_back();
  refused(state, "the names do not match, so nothing was loaded: 2 tensors agree, 1 missing: " +
                     changed().back().name);
  state = changed();
  state.push_back(state[0]);
  refused(state, "the state dict has the name '" + state[0].name + "' twice");
  state = changed();
  state.back().tensor = Tensor<float>();
  refused(state,
          "argument '" + state.back().name + "' is an undefined tensor (default-constructed)");
  state = changed();
  state.back().tensor = zeros<float>({3});
  refused(state, "'" + state.back().name + "' has shape (2,) here and (3,) in the state dict");
  // The last target lies in memory that must not be written: the others stay as well.
  static float fixed[2] = {5, 6};
  const Tensor<float> owned = net.b.weight;
  net.b.weight =
      Tensor<float>(make_ref<Storage>(fixed, 8, Ref<RefCounted>(), false), {{2}, {1}, 0});
  const std::vector<float> now = net.all();
  CHECK(message([&] { net.load_state_dict(changed()); }) ==
        "[load_state_dict] 'b.weight' lies in read-only memory, such as a mapped file: nothing was "
        "loaded");
  CHECK(net.all() == now);
  net.b.weight = owned;
  // What is right is loaded, also where it comes from the module itself.
  state = net.state_dict();
  std::vector<nn::Named<float>> swapped;
  for (const auto& named : state) {
    const std::string& name = named.name;
    swapped.push_back({name == "a.weight"   ? "b.weight"
                       : name == "b.weight" ? "a.weight"
                                            : name,
                       named.tensor});
  }
  CHECK(net.load_state_dict(swapped).str() == "3 tensors loaded");
  CHECK(net.a.weight.at({0}) == 2);
  CHECK(net.b.weight.at({0}) == 1);
  state = changed();
  state.erase(state.begin(), state.begin() + 2);
  CHECK(net.load_state_dict(state, false).str().find("1 tensor loaded, 2 missing: ") == 0);
}

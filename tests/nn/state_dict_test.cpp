// Names of state dicts are changed part by part, and back.
#include "tandem/nn/state_dict.hpp"

#include <doctest/doctest.h>

#include "tandem/tensor/factory.hpp"

using namespace tandem;

namespace {

using Parts = std::vector<std::pair<std::string, std::string>>;

/// The names joined by spaces, or the message of what renamed() throws.
std::string renamed(const std::vector<std::string>& names, const Parts& parts) {
  std::vector<nn::Named<float>> state;
  for (const std::string& name : names) state.push_back({name, zeros<float>({1})});
  try {
    std::string out;
    const auto result = nn::renamed(state, parts);
    REQUIRE(result.size() == state.size());
    for (std::size_t i = 0; i < result.size(); ++i) {
      CHECK(result[i].tensor.is_same(state[i].tensor));
      out += concat(i > 0 ? " " : "", result[i].name);
    }
    return out;
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("renamed: whole words between dots, at every place, the first of the list") {
  CHECK(renamed({"layers.0.norm1.weight", "norm1.bias", "norm10.weight", "a.norm1", "norm1"},
                {{"norm1", "ln_1"}}) == "layers.0.ln_1.weight ln_1.bias norm10.weight a.ln_1 ln_1");
  CHECK(renamed({"x.linear1.weight", "norm1.norm1.b"}, {{"linear1", "mlp.c_fc"}, {"norm1", "n"}}) ==
        "x.mlp.c_fc.weight n.n.b");
  // Not looked at again: two names change places.
  CHECK(renamed({"a.w", "b.w", "a.b.a"}, {{"a", "b"}, {"b", "a"}}) == "b.w a.w b.a.b");
  CHECK(renamed({"mlp.0.weight", "mlp.10.weight", "mlp.w", "other.0.mlp"},
                {{"mlp.0", "first"}, {"mlp", "rest"}}) ==
        "first.weight rest.10.weight rest.w other.0.rest");
  CHECK(renamed({"mlp.c_fc.weight", "c_fc.mlp.c_fc"}, {{"mlp.c_fc", "linear1"}}) ==
        "linear1.weight c_fc.linear1");
  CHECK(renamed({"unlike"}, {}) == "unlike");
  CHECK(renamed({}, {}) == "");
}

TEST_CASE("renamed: parts with their dots") {
  CHECK(renamed({"self_attn.in", "x.self_attn.out.w", "self_attn", "my_self_attn.in"},
                {{"self_attn.", "attn."}}) == "attn.in x.attn.out.w self_attn my_self_attn.in");
  CHECK(renamed({"module.module.fc.weight", "fc.module.bias"}, {{"module.", ""}}) ==
        "fc.weight fc.bias");
}

TEST_CASE("renamed: what cannot be meant is said") {
  CHECK(renamed({"norm1.weight"}, {{"norm2", "ln"}}) ==
        "[renamed] no name of the state has the part \"norm2\"");
  CHECK(renamed({"norm1.weight"}, {{"norm1", "a"}, {"norm", "b"}}) ==
        "[renamed] no name of the state has the part \"norm\"");
  CHECK(renamed({"a.b"}, {{"", "x"}}) == "[renamed] the part to be renamed \"x\" is empty");
  const std::string dots = "[renamed] a part and its new name end in a dot both or neither, got ";
  CHECK(renamed({"a.b"}, {{"a.", "x"}}) == dots + "\"a.\" and \"x\"");
  CHECK(renamed({"a.b"}, {{"a", "x."}}) == dots + "\"a\" and \"x.\"");
  CHECK(renamed({"a.b"}, {{"a", ""}}) == dots + "\"a\" and \"\"");
}

TEST_CASE("with_prefix, without_prefix: one is the other backwards; a name that is all prefix") {
  const std::vector<nn::Named<float>> state{{"w", zeros<float>({1})}, {"a.b", zeros<float>({2})}};
  const auto all = nn::with_prefix("net.", state);
  CHECK(all[1].name == "net.a.b");
  const auto back = nn::without_prefix("net.", all);
  REQUIRE(back.size() == 2);
  CHECK(back[0].name == "w");
  CHECK(nn::without_prefix("other.", all).empty());
  CHECK(nn::without_prefix("", state).size() == 2);
  try {
    (void)nn::without_prefix("net.w", all);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(std::string(error.what()) ==
          "[without_prefix] a tensor is called \"net.w\", which is all prefix: no name is left");
  }
}

/// Modules against PyTorch in float64 (tests/golden/generate_nn.py), and what a module promises.

#include "tandem/nn.hpp"

#include "../ops/check.hpp"
#include "tandem/clip/text_encoder.hpp"
#include "tandem/io/npz.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/ops/relu.hpp"
#include "tandem/ops/stack.hpp"

using namespace tandem;

namespace {

const io::Npz& golden() {
  static const io::Npz file = io::Npz::open(TANDEM_GOLDEN_DIR "/nn.npz");
  return file;
}
Tensor<double> get(const std::string& key) { return golden().at(key).tensor_as<double>().clone(); }

std::vector<nn::Named<double>> state(const std::string& prefix) {
  std::vector<nn::Named<double>> out;
  for (const std::string& name : golden().names()) {
    if (name.starts_with(prefix)) out.push_back({name.substr(prefix.size()), get(name)});
  }
  return out;
}

/// Double on both sides; a block is a few hundred roundings deep.
constexpr double tolerance = 1e-12;

template <class M>
void compare_gradients(const M& module, const std::string& prefix) {
  for (const nn::Named<double>& p : module.named_parameters()) {
    INFO(p.name);
    REQUIRE(p.tensor.grad().defined());
    CHECK(check::distance(p.tensor.grad(), get(prefix + p.name)) < tolerance);
  }
}

/// Rows of padding are nobody's business: zero on both sides.
Tensor<double> real_rows(const Tensor<double>& y) { return mul(y, get("mask").unsqueeze(2)); }

Tensor<bool> mask() { return from_vector<bool>(get("mask").to_vector(), get("mask").shape()); }

}  // namespace

TEST_CASE("MultiHeadAttention: torch.nn.MultiheadAttention with a padding mask") {
  Generator random(0);
  nn::MultiHeadAttention<double> module(8, 2, random);
  module.load_state_dict(state("mha.state."));
  const Tensor<double> x = get("mha.x");
  x.requires_grad_();
  const Tensor<double> y = module.forward(x, mask());
  CHECK(check::distance(real_rows(y.detach()), real_rows(get("mha.out"))) < tolerance);
  y.backward(get("mha.cot"));
  CHECK(check::distance(x.grad(), get("mha.d_x")) < tolerance);
  compare_gradients(module, "mha.grad.");
}

TEST_CASE("TransformerBlock: PyTorch, both activations") {
  for (const bool quick : {false, true}) {
    const std::string key = quick ? "block_quick_gelu." : "block_gelu.";
    Generator random(0);
    nn::TransformerBlock<double> block(
        8, 2, random, {.activation = quick ? Activation::quick_gelu : Activation::gelu});
    block.load_state_dict(state(key + "state."));
    const Tensor<double> x = get(key + "x");
    x.requires_grad_();
    const Tensor<double> y = block.forward(x, mask());
    CHECK(check::distance(real_rows(y.detach()), real_rows(get(key + "out"))) < tolerance);
    y.backward(get(key + "cot"));
    CHECK(check::distance(x.grad(), get(key + "d_x")) < tolerance);
    compare_gradients(block, key + "grad.");
  }
}

TEST_CASE("TextEncoder: CLIP's names, features, and gradients to vectors in place of tokens") {
  Generator random(0);
  clip::TextEncoder<double> text(
      {.vocabulary = 50, .context = 12, .width = 32, .layers = 2, .heads = 4, .output = 24},
      random);
  text.load_state_dict(state("text.state."));
  text.freeze();
  const auto ids = [](const std::string& key) {
    return golden().at(key).tensor_as<std::int64_t>();
  };
  const std::int64_t sos = ids("text.sos").item(), eot = ids("text.eot").item();
  const Tensor<double> before = get("text.before"), after = get("text.after");
  before.requires_grad_();
  after.requires_grad_();
  std::vector<std::int64_t> end = ids("text.eot_index").to_vector();
  std::int64_t longest = 0;
  for (std::int64_t e : end) longest = std::max(longest, e + 1);
  std::vector<Tensor<double>> rows;
  for (int c = 0; c < 3; ++c) {
    const Tensor<std::int64_t> name = ids("text.name" + std::to_string(c));
    std::vector<Tensor<double>> parts{text.token_embedding.forward(tensor<std::int64_t>({sos})),
                                      before, text.token_embedding.forward(name), after,
                                      text.token_embedding.forward(tensor<std::int64_t>({eot}))};
    const std::int64_t rest = longest - end[static_cast<std::size_t>(c)] - 1;
    if (rest > 0) parts.push_back(zeros<double>({rest, 32}));
    rows.push_back(cat(parts, 0));
  }
  const Tensor<double> y = text.forward(stack(rows, 0), end);
  CHECK(check::distance(y.detach(), get("text.out")) < tolerance);
  y.backward(get("text.cot"));
  CHECK(check::distance(before.grad(), get("text.d_before")) < tolerance);
  CHECK(check::distance(after.grad(), get("text.d_after")) < tolerance);
  for (const auto& p : text.named_parameters()) CHECK_FALSE(p.tensor.requires_grad());

  // The same with what all texts begin with once, and no padding.
  const Tensor<double> shared = before.detach().clone(), own = after.detach().clone();
  shared.requires_grad_();
  own.requires_grad_();
  std::vector<Tensor<double>> parts{text.token_embedding.forward(tensor<std::int64_t>({sos})),
                                    shared};
  std::vector<std::int64_t> lengths;
  for (int c = 0; c < 3; ++c) {
    parts.push_back(text.token_embedding.forward(ids("text.name" + std::to_string(c))));
    parts.push_back(own);
    parts.push_back(text.token_embedding.forward(tensor<std::int64_t>({eot})));
    lengths.push_back(end[static_cast<std::size_t>(c)] + 1);
  }
  const nn::PackedRows packed(lengths, 1 + shared.size(0));
  CHECK(packed.rows < longest * 3);
  const Tensor<double> z = text.forward_packed(cat(parts, 0), packed);
  CHECK(check::distance(z.detach(), get("text.out")) < tolerance);
  z.backward(get("text.cot"));
  CHECK(check::distance(shared.grad(), get("text.d_before")) < tolerance);
  CHECK(check::distance(own.grad(), get("text.d_after")) < tolerance);

  const Tensor<std::int64_t> plain = ids("text.plain.ids");
  std::vector<std::vector<std::int64_t>> texts;
  for (std::int64_t i = 0; i < plain.size(0); ++i) {
    std::vector<std::int64_t> row = plain[i].to_vector();
    // CLIP reads at the first EOT, the largest id; what follows is padding.
    row.resize(static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin()) +
               1);
    texts.push_back(row);
  }
  CHECK(check::distance(text.encode(texts), get("text.plain.out")) < tolerance);
}

TEST_CASE("PackedRows: where rows stand, and what cannot be packed") {
  const nn::PackedRows packed({4, 3, 6}, 2);  // rows: 0 1 | 2 3 | 4 | 5 6 7 8
  CHECK(packed.rows == 9);
  CHECK(packed.longest == 6);
  CHECK(packed.position.to_vector() == std::vector<std::int64_t>{0, 1, 2, 3, 2, 2, 3, 4, 5});
  CHECK(packed.place.to_vector() == std::vector<std::int64_t>{0, 1, 2, 3, 8, 14, 15, 16, 17});
  CHECK(packed.last.to_vector() == std::vector<std::int64_t>{3, 4, 8});
  CHECK(packed.last_place.to_vector() == std::vector<std::int64_t>{3, 8, 17});
  CHECK(packed.spread.to_vector() ==
        std::vector<std::int64_t>{0, 1, 2, 3, 3, 3, 0, 1, 4, 4, 4, 4, 0, 1, 5, 6, 7, 8});
  for (const std::int64_t n : {1, 2, 5}) {  // nothing in common, and texts that end at once
    const nn::PackedRows apart(std::vector<std::int64_t>(static_cast<std::size_t>(n), 1), 0);
    CHECK(apart.rows == n);
  }
  CHECK(check::message([] { nn::PackedRows({}, 0); }) ==
        "[packed_rows] expected at least one sequence and a prefix of 0 or more rows, got 0 and 0");
  CHECK(check::message([] {
          nn::PackedRows({3, 2}, 2);
        }) == "[packed_rows] a sequence of 2 rows has none behind the common 2");
  Generator random(1);
  const nn::TransformerBlock<float> block(8, 2, random);
  CHECK(check::message([&] {
          static_cast<void>(block.forward_packed(zeros<float>({8, 8}), packed));
        }) == "[transformer_block] expected 9 packed rows, got (8, 8)");
}

TEST_CASE(
    "TransformerBlock: packed rows give what padded sequences give, at every row and at the ends") {
  Generator random(2);
  const nn::TransformerBlock<double> block(12, 3, random);
  const std::vector<std::int64_t> lengths{5, 3, 7, 4};
  const nn::PackedRows packed(lengths, 2);
  const Tensor<double> rows = randn<double>({packed.rows, 12}, random);
  const Tensor<double> padded = index_select(rows, 0, packed.spread).reshape({4, 7, 12});
  const Tensor<double> expected = block.forward(padded, {}, true).reshape({28, 12});
  CHECK(check::distance(block.forward_packed(rows, packed).detach(),
                        index_select(expected, 0, packed.place).detach()) < 1e-12);
  CHECK(check::distance(block.forward_packed(rows, packed, true).detach(),
                        index_select(expected, 0, packed.last_place).detach()) < 1e-12);
  for (const bool ends : {false, true}) {
    gradcheck([&](const auto& in) { return block.forward_packed(in[0], packed, ends); }, {rows});
  }
}

TEST_CASE("modules: names, state dicts, freezing, every parameter learns") {
  Generator random(1);
  nn::TransformerBlock<float> block(8, 2, random);
  std::vector<std::string> names;
  for (const auto& p : block.named_parameters()) names.push_back(p.name);
  CHECK(names == std::vector<std::string>{
                     "ln_1.weight", "ln_1.bias", "attn.in_proj_weight", "attn.in_proj_bias",
                     "attn.out_proj.weight", "attn.out_proj.bias", "ln_2.weight", "ln_2.bias",
                     "mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias"});
  CHECK(block.parameter_count() == 12 * 8 * 8 + 13 * 8);
  const Tensor<float> x = randn<float>({2, 5, 8}, random);
  const Tensor<float> y = block.forward(x);
  y.backward(randn<float>(y.shape(), random));
  for (const auto& p : block.named_parameters()) {
    INFO(p.name);
    double largest = 0;
    for (float g : p.tensor.grad().to_vector()) {
      REQUIRE(std::isfinite(g));
      largest = std::max(largest, static_cast<double>(std::fabs(g)));
    }
    CHECK(largest > 0);
  }
  auto incomplete = block.state_dict();
  incomplete.pop_back();
  incomplete.push_back({"stranger", zeros<float>({1})});
  CHECK(check::message([&] { block.load_state_dict(incomplete); }) ==
        "[load_state_dict] the names do not match, so nothing was loaded: 11 tensors agree, 1 "
        "missing: mlp.c_proj.bias, 1 "
        "unused: stranger");
  CHECK(block.load_state_dict(incomplete, false).missing ==
        std::vector<std::string>{"mlp.c_proj.bias"});
  incomplete.back() = {"mlp.c_proj.bias", zeros<float>({9})};
  CHECK(check::message([&] { block.load_state_dict(incomplete); }) ==
        "[load_state_dict] 'mlp.c_proj.bias' has shape (8,) here and (9,) in the state dict");
  block.freeze();
  CHECK(block.trainable_parameters().empty());
  CHECK_FALSE(block.forward(x).requires_grad());
}

TEST_CASE("modules: a shared parameter is learned once and saved under every name") {
  struct Tied final : nn::Module<float> {
    explicit Tied(Generator& random) : table(5, 3, random), out(3, 5, random, false) {
      add("table", table);
      add("out", out);
      out.weight = table.weight;
    }
    nn::Embedding<float> table;
    nn::Linear<float> out;
  };
  Generator random(2);
  Tied net(random);
  CHECK(net.named_parameters().size() == 1);
  CHECK(net.named_parameters()[0].name == "table.weight");
  CHECK(net.parameter_count() == 15);
  CHECK(net.state_dict().size() == 2);
  net.load_state_dict({{"table.weight", ones<float>({5, 3})}, {"out.weight", ones<float>({5, 3})}});
  CHECK(net.out.weight.tensor().at({4, 2}) == 1);
  // Both uses arrive in one gradient: Σ over the looked-up row and over the product with ones.
  const Tensor<float> y = net.out.forward(net.table.forward(tensor<std::int64_t>({2})));
  y.backward(ones<float>({1, 5}));
  CHECK(net.table.weight.tensor().grad().at({0, 0}) == 1);
  CHECK(net.table.weight.tensor().grad().at({2, 0}) == 1 + 5);
  nn::keep_bfloat16(net);  // also as another element type it is one matrix
  CHECK_FALSE(net.out.weight.tensor().defined());
  CHECK(net.out.weight.bf16().is_same(net.table.weight.bf16()));
}

TEST_CASE("modules: errors name the module; dropout needs a generator and follows train/eval") {
  Generator random(1);
  nn::Sequential<float> net;
  net.push(make_ref<nn::Linear<float>>(3, 4, random));
  net.push(nn::make_function<float>([](const Tensor<float>& x) { return relu(x); }));
  net.push(make_ref<nn::Linear<float>>(5, 2, random));
  const std::string message = check::message([&] { net.forward(zeros<float>({1, 3})); });
  CHECK(message.find("(in module 2)") != std::string::npos);
  CHECK(detail::module_path().empty());

  nn::Dropout<float> drop(0.5);
  const Tensor<float> x = ones<float>({1000});
  CHECK(check::message([&] { drop.forward(x); }).find("RandomScope") != std::string::npos);
  Generator a(3), b(3);
  const auto run = [&](Generator& generator) {
    const nn::RandomScope scope(generator);
    return drop.forward(x);
  };
  const Tensor<float> first = run(a);
  CHECK(check::same(first, run(b)));
  double kept = 0;
  for (float v : first.to_vector()) kept += v / 2000;
  CHECK(std::fabs(kept - 0.5) < 5 * 0.5 / std::sqrt(1000.0));
  drop.eval();
  CHECK(check::same(drop.forward(x), x));
}

// What is not a tensor is named at the door of every op: never given one, moved from, or the
// gradient of a tensor that has none yet. One table of all ops and their arguments (those of one
// tensor come from the headers, by list_unary_ops.py), and one of the members of Tensor.
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "check.hpp"
#include "tandem/io/file.hpp"
#include "tandem/ops.hpp"

using namespace tandem;

namespace {

enum class Kind { undefined, moved, gradient, not_collected };

template <class T>
Tensor<T> absent(Kind kind) {
  if (kind == Kind::undefined) return {};
  if constexpr (FloatingElement<T>) {
    Tensor<T> x = ones<T>({2});
    if (kind == Kind::not_collected) return x.grad();
    if (kind == Kind::gradient) return x.requires_grad_().grad();
  }
  Tensor<T> x = ones<T>({2}), y = std::move(x);
  return x;  // NOLINT: what it is for
}

struct Absent {
  Kind kind;

  operator Tensor<float>() const { return absent<float>(kind); }
  operator Tensor<bfloat16>() const { return absent<bfloat16>(kind); }
  operator Tensor<std::int64_t>() const { return absent<std::int64_t>(floatless()); }
  operator Tensor<bool>() const { return absent<bool>(floatless()); }
  Kind floatless() const { return kind == Kind::undefined ? kind : Kind::moved; }
};

using F = Tensor<float>;
using I = Tensor<std::int64_t>;
using B = Tensor<bool>;

struct Case {
  std::string op, argument;
  std::function<void(const Absent&)> call;
  bool optional = false;  // Tensor<T>() means that it is left out
  bool floating = true;
};

std::string sentence(Kind kind, const std::string& subject, bool named) {
  switch (kind) {
    case Kind::undefined:
      return subject + (named ? " is an undefined tensor" : " tensor is undefined") +
             " (default-constructed)";
    case Kind::moved:
      return subject + (named ? "" : " tensor") + " was moved from";
    case Kind::gradient:
      return subject + " is the gradient of a tensor that has none yet: call backward() first";
    case Kind::not_collected:
      return subject +
             " is the gradient of a tensor that collects none: call requires_grad_() on it before "
             "computing";
  }
  return "";
}

std::vector<Case> all_ops() {
  static Generator random(1);
  static const F x = ones<float>({2, 3}), w = ones<float>({4, 3}), v = ones<float>({3}),
                 p = ones<float>({2});
  static const F image = ones<float>({1, 2, 3, 3, 3}), kernel = ones<float>({2, 2, 1, 1, 1});
  static const F qkv = ones<float>({1, 2, 6});
  static const I ids = zeros<std::int64_t>({2, 1}), labels = zeros<std::int64_t>({2}),
                 row = zeros<std::int64_t>({1});
  static const B mask = full<bool>({2, 3}, true);
  static const Tensor<bfloat16> low = w.to<bfloat16>();
  std::vector<Case> c;
  const auto unary = [&](const char* op, std::function<void(const F&)> f) {
    c.push_back({op, "x", [f](const Absent& a) { f(a); }});
  };
#define UNARY_OP(op, argument, elementwise) \
  c.push_back({#op, #argument, [](const Absent& a) { op(F(a)); }});
#include "unary_ops.inc"
#undef UNARY_OP
  unary("neg", [](const F& a) { -a; });
  unary("var", [](const F& a) { var(a, 0); });
  unary("stddev", [](const F& a) { stddev(a, 0); });
  unary("norm", [](const F& a) { norm(a, 1, 0); });
  unary("prod", [](const F& a) { prod(a, 0); });
  unary("split", [](const F& a) { split(a, 1); });
  unary("split", [](const F& a) { split(a, {1, 1}); });
  unary("chunk", [](const F& a) { chunk(a, 1); });
  unary("repeat", [](const F& a) { repeat(a, {1, 1}); });
  unary("flip", [](const F& a) { flip(a, 0); });
  unary("roll", [](const F& a) { roll(a, 1, 0); });
  unary("roll", [](const F& a) { roll(a, {1, 1}, {0, 0}); });
  unary("cumsum", [](const F& a) { cumsum(a, 0); });
  unary("logsumexp", [](const F& a) { logsumexp(a, 0); });
  unary("topk", [](const F& a) { topk(a, 1); });
  unary("pow", [](const F& a) { pow(a, 2); });
  unary("dropout", [](const F& a) { dropout(a, 0.5, random); });
  unary("dropout", [](const F& a) { dropout(a, 0.5, random, false); });
  unary("pad", [](const F& a) { pad(a, {{1, 1}}); });
  unary("sum", [](const F& a) { sum(a, 0); });
  unary("mean", [](const F& a) { mean(a, 0); });
  unary("max", [](const F& a) { max(a, 0); });
  unary("min", [](const F& a) { min(a, 0); });
  unary("argmax", [](const F& a) { argmax(a, 0); });
  unary("argmin", [](const F& a) { argmin(a, 0); });
  unary("clamp", [](const F& a) { clamp(a, 0, 1); });
  unary("clamp_min", [](const F& a) { clamp_min(a, 0); });
  unary("clamp_max", [](const F& a) { clamp_max(a, 0); });
  unary("add", [](const F& a) { a + 1; });
  unary("sub", [](const F& a) { a - 1; });
  unary("sub", [](const F& a) { 1 - a; });
  unary("mul", [](const F& a) { 2 * a; });
  unary("div", [](const F& a) { a / 2; });
  unary("div", [](const F& a) { 2 / a; });
  unary("avg_pool3d", [](const F& a) { avg_pool3d(a, {.kernel = Triple::all(1)}); });
  unary("avg_pool1d", [](const F& a) { avg_pool1d(a, {.kernel = 1}); });
  unary("avg_pool2d", [](const F& a) { avg_pool2d(a, {.kernel = 1}); });
  unary("max_pool1d", [](const F& a) { max_pool1d(a, {.kernel = 1}); });
  unary("max_pool2d", [](const F& a) { max_pool2d(a, {.kernel = 1}); });
  unary("interpolate", [](const F& a) { interpolate(a, {1}); });
  unary("group_norm", [](const F& a) { group_norm(a, 1); });
  unary("max_pool3d", [](const F& a) { max_pool3d(a, {.kernel = Triple::all(1)}); });
  const auto binary = [&](const char* op, std::function<void(const F&, const F&)> f,
                          const char* a = "a", const char* b = "b") {
    c.push_back({op, a, [f](const Absent& bad) { f(bad, x); }});
    c.push_back({op, b, [f](const Absent& bad) { f(x, bad); }});
  };
  binary("add", [](const F& a, const F& b) { a + b; });
  binary("sub", [](const F& a, const F& b) { a - b; });
  binary("mul", [](const F& a, const F& b) { a* b; });
  binary("div", [](const F& a, const F& b) { a / b; });
  binary("add in place", [](const F& a, const F& b) { a += b; });
  binary("div in place", [](const F& a, const F& b) { a /= b; });
  binary("maximum", [](const F& a, const F& b) { maximum(a, b); });
  binary("minimum", [](const F& a, const F& b) { minimum(a, b); });
  binary("remainder", [](const F& a, const F& b) { remainder(a, b); });
  c.push_back({"remainder", "a", [](const Absent& a) { remainder(F(a), 2); }});
  c.push_back({"gelu", "x", [](const Absent& a) { gelu(F(a), GeluForm::tanh); }});
  binary("allclose", [](const F& a, const F& b) { (void)allclose(a, b); });
  binary("eq", [](const F& a, const F& b) { (void)(a == b); });
  binary("matmul", [](const F& a, const F& b) { matmul(a, b); });
  binary("eq", [](const F& a, const F& b) { eq(a, b); });
  binary("ne", [](const F& a, const F& b) { ne(a, b); });
  binary("lt", [](const F& a, const F& b) { lt(a, b); });
  binary("le", [](const F& a, const F& b) { le(a, b); });
  binary("gt", [](const F& a, const F& b) { gt(a, b); });
  binary("ge", [](const F& a, const F& b) { ge(a, b); });
  binary(
      "mse", [](const F& a, const F& b) { mse(a, b); }, "x", "target");
  binary(
      "l1_loss", [](const F& a, const F& b) { l1_loss(a, b); }, "x", "target");
  binary(
      "huber_loss", [](const F& a, const F& b) { huber_loss(a, b); }, "x", "target");
  binary(
      "smooth_l1_loss", [](const F& a, const F& b) { smooth_l1_loss(a, b); }, "x", "target");
  binary(
      "kl_div", [](const F& a, const F& b) { kl_div(a, b); }, "x", "target");
  binary(
      "cosine_similarity", [](const F& a, const F& b) { cosine_similarity(a, b); }, "x", "z");
  binary(
      "bce_with_logits", [](const F& a, const F& b) { bce_with_logits(a, b); }, "x", "target");
  binary(
      "cross_entropy", [](const F& a, const F& b) { cross_entropy(a, b); }, "x", "probabilities");
  const auto add = [&](const char* op, const char* argument, std::function<void(const Absent&)> f,
                       bool optional = false, bool floating = true) {
    c.push_back({op, argument, std::move(f), optional, floating});
  };
  add("lt", "a", [](const Absent& a) { lt(F(a), 1); });
  add(
      "logical_and", "a", [](const Absent& a) { logical_and(a, mask); }, false, false);
  add(
      "logical_or", "b", [](const Absent& a) { logical_or(mask, a); }, false, false);
  add(
      "logical_not", "a", [](const Absent& a) { logical_not(a); }, false, false);
  add(
      "where", "condition", [](const Absent& a) { where(B(a), x, x); }, false, false);
  add(
      "any", "x", [](const Absent& a) { (void)any(B(a)); }, false, false);
  add(
      "all", "x", [](const Absent& a) { (void)all(B(a), 0); }, false, false);
  add(
      "one_hot", "ids", [](const Absent& a) { one_hot(I(a), 3); }, false, false);
  add("multinomial", "weights", [](const Absent& a) { multinomial(F(a), 1, random); });
  add("masked_fill", "x", [](const Absent& a) { masked_fill(F(a), mask, 0); });
  add(
      "masked_fill", "mask", [](const Absent& a) { masked_fill(x, a, 0); }, false, false);
  add("where", "a", [](const Absent& a) { where(mask, F(a), x); });
  add("where", "b", [](const Absent& a) { where(mask, x, F(a)); });
  add("where", "a", [](const Absent& a) { where(mask, F(a), 1); });
  add("where", "b", [](const Absent& a) { where(mask, 1, F(a)); });
  add(
      "embedding", "ids", [](const Absent& a) { embedding(a, x); }, false, false);
  add("embedding", "weight", [](const Absent& a) { embedding(labels, F(a)); });
  add("index_select", "x", [](const Absent& a) { index_select(F(a), 0, labels); });
  add(
      "index_select", "ids", [](const Absent& a) { index_select(x, 0, a); }, false, false);
  add("gather", "x", [](const Absent& a) { gather(F(a), 1, ids); });
  add(
      "gather", "index", [](const Absent& a) { gather(x, 1, a); }, false, false);
  add("scatter_add", "x", [](const Absent& a) { scatter_add(F(a), 1, ids, x.slice(1, 0, 1)); });
  add(
      "scatter_add", "index", [](const Absent& a) { scatter_add(x, 1, a, x); }, false, false);
  add("scatter_add", "src", [](const Absent& a) { scatter_add(x, 1, ids, F(a)); });
  add("cat", "tensors[1]", [](const Absent& a) { cat<float>({x, a}); });
  add("stack", "tensors[0]", [](const Absent& a) { stack<float>({a, x}); });
  add("linear", "x", [](const Absent& a) { linear(F(a), w); });
  add("linear", "weight", [](const Absent& a) { linear(x, F(a)); });
  add(
      "linear", "bias", [](const Absent& a) { linear(x, w, F(a)); }, true);
  add(
      "linear", "residual", [](const Absent& a) { linear(x, w, F(), Activation::none, F(a)); },
      true);
  add("linear_bf16", "x", [](const Absent& a) { linear_bf16(a, low); });
  add("linear_bf16", "weight", [](const Absent& a) { linear_bf16(x, a); });
  add(
      "linear_bf16", "bias", [](const Absent& a) { linear_bf16(x, low, a); }, true);
  add("linear_packed", "x", [](const Absent& a) { linear_packed(F(a), PackedWeight<float>(w)); });
  add("packed_weight", "weight", [](const Absent& a) { PackedWeight<float> packed{F(a)}; });
  add(
      "linear_packed", "bias",
      [](const Absent& a) { linear_packed(x, PackedWeight<float>(w), F(a)); }, true);
  add(
      "layer_norm", "gamma", [](const Absent& a) { layer_norm(x, F(a), v); }, true);
  add(
      "layer_norm", "beta", [](const Absent& a) { layer_norm(x, v, F(a)); }, true);
  add(
      "group_norm", "beta", [](const Absent& a) { group_norm(x, 3, v, F(a)); }, true);
  add(
      "rms_norm", "gamma", [](const Absent& a) { rms_norm(x, F(a)); }, true);
  add("batch_norm", "x",
      [](const Absent& a) { batch_norm(F(a), F(), F(), F(), F(), {.training = true}); });
  add(
      "batch_norm", "gamma",
      [](const Absent& a) { batch_norm(image, F(a), F(), F(), F(), {.training = true}); }, true);
  add(
      "batch_norm", "running_mean",
      [](const Absent& a) { batch_norm(image, F(), F(), F(a), F(a), {.training = true}); }, true);
  static const F line = ones<float>({1, 2, 3}), taps = ones<float>({2, 2, 1});
  static const F picture = ones<float>({1, 2, 3, 3}), patch = ones<float>({2, 2, 1, 1});
  add("conv1d", "x", [](const Absent& a) { conv1d(F(a), taps); });
  add("conv1d", "weight", [](const Absent& a) { conv1d(line, F(a)); });
  add(
      "conv1d", "bias", [](const Absent& a) { conv1d(line, taps, F(a)); }, true);
  add("conv2d", "x", [](const Absent& a) { conv2d(F(a), patch); });
  add("conv2d", "weight", [](const Absent& a) { conv2d(picture, F(a)); });
  add(
      "conv2d", "bias", [](const Absent& a) { conv2d(picture, patch, F(a)); }, true);
  add("conv3d", "x", [](const Absent& a) { conv3d(F(a), kernel); });
  add("conv3d", "weight", [](const Absent& a) { conv3d(image, F(a)); });
  add(
      "conv3d", "bias", [](const Absent& a) { conv3d(image, kernel, F(a)); }, true);
  add("fold_batch_norm", "weight",
      [](const Absent& a) { fold_batch_norm(F(a), F(), F(), F(), p, p, 1e-5); });
  add("fold_batch_norm", "mean",
      [](const Absent& a) { fold_batch_norm(kernel, F(), F(), F(), F(a), p, 1e-5); });
  add("fold_batch_norm", "variance",
      [](const Absent& a) { fold_batch_norm(kernel, F(), F(), F(), p, F(a), 1e-5); });
  add(
      "fold_batch_norm", "bias",
      [](const Absent& a) { fold_batch_norm(kernel, F(a), F(), F(), p, p, 1e-5); }, true);
  add(
      "softmax", "mask", [](const Absent& a) { softmax(x, -1, a); }, true, false);
  add("nll_loss", "x", [](const Absent& a) { nll_loss(F(a), labels); });
  add(
      "nll_loss", "ids", [](const Absent& a) { nll_loss(x, I(a)); }, false, false);
  add(
      "nll_loss", "weight", [](const Absent& a) { nll_loss(x, labels, {.weight = a}); }, true);
  add(
      "cross_entropy", "weight", [](const Absent& a) { cross_entropy(x, labels, {.weight = a}); },
      true);
  add("cross_entropy", "x", [](const Absent& a) { cross_entropy(F(a), labels); });
  add(
      "cross_entropy", "ids", [](const Absent& a) { cross_entropy(x, I(a)); }, false, false);
  add(
      "bce_with_logits", "weight", [](const Absent& a) { bce_with_logits(x, x, {.weight = a}); },
      true);
  add(
      "bce_with_logits", "mask", [](const Absent& a) { bce_with_logits(x, x, {.mask = a}); }, true,
      false);
  add("scaled_dot_product_attention", "q",
      [](const Absent& a) { scaled_dot_product_attention(F(a), x, x); });
  add("scaled_dot_product_attention", "k",
      [](const Absent& a) { scaled_dot_product_attention(x, F(a), x); });
  add("scaled_dot_product_attention", "v",
      [](const Absent& a) { scaled_dot_product_attention(x, x, F(a)); });
  add(
      "scaled_dot_product_attention", "key_mask",
      [](const Absent& a) { scaled_dot_product_attention(x, x, x, {.key_mask = a}); }, true, false);
  add("biased_attention", "q", [](const Absent& a) { biased_attention(F(a), x, x); });
  add("biased_attention", "k", [](const Absent& a) { biased_attention(x, F(a), x); });
  add("biased_attention", "v", [](const Absent& a) { biased_attention(x, x, F(a)); });
  add(
      "biased_attention", "bias", [](const Absent& a) { biased_attention(x, x, x, F(a)); }, true);
  add(
      "biased_attention", "key_mask",
      [](const Absent& a) { biased_attention(x, x, x, {}, {.key_mask = a}); }, true, false);
  add("self_attention", "qkv", [](const Absent& a) { self_attention(F(a), 1); });
  add(
      "self_attention", "key_mask", [](const Absent& a) { self_attention(qkv, 1, a); }, true,
      false);
  // Members that are ops, with another tensor as argument.
  add("copy_", "from", [](const Absent& a) { ones<float>({2}).copy_(F(a)); });
  add("backward", "cotangent",
      [](const Absent& a) { square(ones<float>({2}).requires_grad_()).backward(F(a)); });
  return c;
}

/// The members of Tensor, whose sentences say "this".
std::vector<Case> members() {
  std::vector<Case> c;
  const auto add = [&](const char* op, std::function<void(const F&)> f) {
    c.push_back({op, "", [f](const Absent& a) { f(a); }});
  };
  add("shape", [](const F& x) { (void)x.shape(); });
  add("strides", [](const F& x) { (void)x.strides(); });
  add("rank", [](const F& x) { (void)x.rank(); });
  add("numel", [](const F& x) { (void)x.numel(); });
  add("size", [](const F& x) { (void)x.size(0); });
  add("device", [](const F& x) { (void)x.device(); });
  add("is_contiguous", [](const F& x) { (void)x.is_contiguous(); });
  add("data", [](const F& x) { (void)x.data(); });
  add("mutable_data", [](const F& x) { (void)x.mutable_data(); });
  add("item", [](const F& x) { (void)x.item(); });
  add("at", [](const F& x) { (void)x.at({0}); });
  add("set", [](const F& x) { x.set({0}, 1); });
  add("to_vector", [](const F& x) { (void)x.to_vector(); });
  add("slice", [](const F& x) { (void)x.slice(0, 0, 1); });
  add("select", [](const F& x) { (void)x.select(0, 0); });
  add("select", [](const F& x) { (void)x[0]; });
  add("permute", [](const F& x) { (void)x.permute({0}); });
  add("transpose", [](const F& x) { (void)x.transpose(0, 1); });
  add("view", [](const F& x) { (void)x.view({1}); });
  add("reshape", [](const F& x) { (void)x.reshape({1}); });
  add("flatten", [](const F& x) { (void)x.flatten(); });
  add("expand", [](const F& x) { (void)x.expand({2}); });
  add("squeeze", [](const F& x) { (void)x.squeeze(0); });
  add("unsqueeze", [](const F& x) { (void)x.unsqueeze(0); });
  add("contiguous", [](const F& x) { (void)x.contiguous(); });
  add("clone", [](const F& x) { (void)x.clone(); });
  add("detach", [](const F& x) { (void)x.detach(); });
  add("fill_", [](const F& x) { x.fill_(1); });
  add("zero_", [](const F& x) { x.zero_(); });
  add("copy_", [](const F& x) { x.copy_(ones<float>({2})); });
  add("requires_grad", [](const F& x) { (void)x.requires_grad(); });
  add("requires_grad_", [](const F& x) { x.requires_grad_(); });
  add("grad", [](const F& x) { (void)x.grad(); });
  add("set_grad", [](const F& x) { x.set_grad(ones<float>({2})); });
  add("backward", [](const F& x) { x.backward(); });
  add("backward", [](const F& x) { x.backward(ones<float>({2})); });
  add("to", [](const F& x) { (void)x.to<double>(); });
  add("to", [](const F& x) { (void)x.to<float>(); });
  add("to", [](const F& x) { (void)x.to(Device::cpu()); });
  return c;
}

void check_all(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    for (const Kind kind : {Kind::undefined, Kind::moved, Kind::gradient, Kind::not_collected}) {
      if (!c.floating && kind != Kind::undefined && kind != Kind::moved) continue;
      const bool named = !c.argument.empty();
      const std::string expected =
          c.optional && kind == Kind::undefined
              ? ""
              : "[" + c.op + "] " +
                    sentence(kind, named ? "argument " + c.argument : "this", named);
      CHECK(check::message([&] { c.call({kind}); }) == expected);
    }
  }
}

}  // namespace

TEST_CASE("every op names itself and the argument that is no tensor") { check_all(all_ops()); }

TEST_CASE("every member of Tensor names itself") { check_all(members()); }

TEST_CASE("the table has every op of docs/math_index.md") {
  std::set<std::string> in_table;
  for (const Case& c : all_ops()) in_table.insert(c.op);
  for (const Case& c : members()) in_table.insert(c.op);
  const std::string page = io::read_text(std::string(TANDEM_SOURCE_DIR) + "/docs/math_index.md");
  std::size_t ops = 0;
  for (std::size_t at = page.find("\n| `"); at != std::string::npos;
       at = page.find("\n| `", at + 1)) {
    const std::string op = page.substr(at + 4, page.find('`', at + 4) - at - 4);
    CHECK_MESSAGE(in_table.count(op) == 1, op);
    ++ops;
  }
  CHECK(ops > 50);
}

TEST_CASE("a tensor that was moved from is usable again when it was given another") {
  Tensor<float> x = ones<float>({2}), y = std::move(x);
  CHECK(check::message([&] { x.item(); }) == "[item] this tensor was moved from");  // NOLINT
  Tensor<float> copy = x;
  CHECK(check::message([&] { copy + y; }) == "[add] argument a was moved from");
  x = y;
  CHECK((x + y).at({0}) == 2);
  Tensor<float>& same = x;
  x = std::move(same);
  CHECK(x.at({1}) == 1);
  x = Tensor<float>();
  CHECK(check::message([&] { x.item(); }) ==
        "[item] this tensor is undefined (default-constructed)");
  std::swap(x, y);
  CHECK(x.at({1}) == 1);
  // grad() itself does not throw; what backward() brings is a gradient, which zero_grad() takes
  // away again.
  x.requires_grad_();
  CHECK(!x.grad().defined());
  sum(x).backward();
  CHECK(x.grad().at({0}) == 1);
  x.zero_grad();
  CHECK(check::message([&] { (void)x.grad().item(); }) ==
        "[item] this is the gradient of a tensor that has none yet: call backward() first");
  CHECK(check::message([&] { y = std::move(x), y.set_grad(x); }) ==
        "[set_grad] argument gradient was moved from");
}

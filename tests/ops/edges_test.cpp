// The ends of what ops are given: NaN under the gradients of what compares, tolerances and widths
// beyond an element type, sizes beyond all memory; and messages that name the op that was called.
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "check.hpp"
#include "tandem/ops.hpp"

using namespace tandem;

namespace {

using F = Tensor<float>;

/// The gradient of the sum of f(x) at x.
template <class Op>
F gradient(const Op& f, const F& at) {
  const F x = at.clone();
  x.requires_grad_();
  const F y = f(x);
  y.backward(ones<float>(y.shape()));
  return x.grad();
}

const float not_a_number = std::nanf("");

}  // namespace

TEST_CASE("gradients at NaN are PyTorch's, in vectors and in what is left of them") {
  // Once alone, and as one of many elements, which go through whole vectors.
  for (const std::int64_t n : {1, 37}) {
    CAPTURE(n);
    const auto each = [n](float value) { return full<float>({n}, value); };
    const auto at_nan = [&](const std::function<F(const F&)>& f) {
      return gradient(f, each(not_a_number));
    };
    CHECK(check::same(at_nan([](const F& x) { return abs(x); }), each(0)));
    CHECK(check::same(at_nan([](const F& x) { return clamp(x, -1, 1); }), each(0)));
    CHECK(check::same(at_nan([](const F& x) { return clamp_min(x, 0); }), each(0)));
    CHECK(check::same(at_nan([](const F& x) { return leaky_relu(x, 0.25); }), each(0.25F)));
    CHECK(check::same(at_nan([&](const F& x) { return maximum(x, each(1)); }), each(1)));
    CHECK(check::same(at_nan([&](const F& x) { return minimum(x, each(1)); }), each(1)));
    CHECK(check::same(at_nan([&](const F& x) { return l1_loss(x, each(1), Reduction::none); }),
                      each(0)));
    CHECK(
        check::same(at_nan([&](const F& x) { return huber_loss(x, each(1), 1, Reduction::none); }),
                    each(not_a_number)));
    CHECK(check::same(
        at_nan([&](const F& x) { return smooth_l1_loss(x, each(1), 0.5, Reduction::none); }),
        each(not_a_number)));
    // The other elements keep theirs.
    const F mixed = each(-2);
    mixed.set({n / 2}, not_a_number);
    const F signs = each(-1);
    signs.set({n / 2}, 0);
    CHECK(check::same(gradient([](const F& x) { return abs(x); }, mixed), signs));
    CHECK(check::same(gradient([](const F& x) { return norm(x, 1); }, mixed), signs));
  }
  CHECK(check::same(
      gradient([](const F& x) { return clamp(x, 0, INFINITY); }, tensor<float>({INFINITY, 0, -1})),
      tensor<float>({1, 1, 0})));
}

TEST_CASE("losses and allclose: widths and tolerances beyond float") {
  const F x = tensor<float>({3, 1, -2, 0}), t = tensor<float>({1, 0, 0, 0});
  CHECK(check::same(huber_loss(x, t, 1e300, Reduction::none), tensor<float>({2, 0.5F, 2, 0})));
  CHECK(check::same(smooth_l1_loss(x, t, 1e-40, Reduction::none), tensor<float>({2, 1, 2, 0})));
  CHECK(check::same(
      gradient([&](const F& v) { return smooth_l1_loss(v, t, 1e-40, Reduction::none); }, x),
      tensor<float>({1, 1, -1, 0})));
  const double largest = static_cast<double>(std::numeric_limits<float>::max());
  CHECK(check::same(smooth_l1_loss(x, t, 1e300, Reduction::none),
                    smooth_l1_loss(x, t, largest, Reduction::none)));
  CHECK(allclose(tensor<float>({1, 3}), tensor<float>({-9, 3e38F}), {.rtol = 1e300}));
  CHECK(allclose(tensor<float>({1, 0}), tensor<float>({-9, 3e38F}), {.atol = INFINITY}));
  CHECK_FALSE(allclose(tensor<float>({INFINITY}), tensor<float>({1}), {.atol = INFINITY}));
}

TEST_CASE("sizes beyond all memory are an Error that names them") {
  const F x = ones<float>({1, 1, 4});
  const F endless = ones<float>({1}).expand({100'000'000'000'000'000});
  const auto begins = [](const std::function<void()>& f, const std::string& with) {
    const std::string message = check::message(f);
    CHECK_MESSAGE(message.rfind(with, 0) == 0, message);
  };
  const std::string cannot = "[allocate] cannot allocate ";
  CHECK(check::message([] {
          zeros<float>({1'000'000, 1'000'000, 100});
        }) ==
        "[allocate] cannot allocate 400000000000000 bytes: the system does not have them (for a "
        "tensor of shape (1000000, 1000000, 100))");
  for (const Interpolation mode : {Interpolation::nearest, Interpolation::linear}) {
    begins([&] { interpolate(x, {100'000'000'000'000}, {.mode = mode}); }, cannot);
  }
  begins(
      [&] {
        interpolate(x.reshape({1, 1, 2, 2}), {std::int64_t{1} << 40, std::int64_t{1} << 40});
      },
      "[shape] too many elements");
  begins([&] { pad(x, {{0, 0}, {0, 0}, {100'000'000'000'000, 0}}); }, cannot);
  begins([&] { repeat(x, {1, 1, 100'000'000'000'000}); }, cannot);
  begins(
      [&] {
        repeat(x, {1, 1, std::int64_t{1} << 62});
      },
      "[repeat] dimension 2 of shape (1, 1, 4) cannot be repeated");
  begins(
      [&] {
        conv1d(ones<float>({1, 65536, 4}), ones<float>({65536, 1, 1}), {},
               {.padding = 2147483647, .groups = 65536});
      },
      cannot);
  begins([&] { (void)endless.to_vector(); }, cannot);
  begins([&] { split(endless, 1); },
         "[split] cannot allocate a list of 100000000000000000 tensors");
  begins([&] { chunk(endless, 100'000'000'000'000'000); },
         "[split] cannot allocate a list of 100000000000000000 tensors");
  begins(
      [&] {
        chunk(zeros<float>({0, 2}), 100'000'000'000'000'000);
      },
      "[chunk] cannot allocate a list of 100000000000000000 tensors");
  CHECK(chunk(ones<float>({4, 2}), 100'000'000'000'000'000).size() == 4);
}

TEST_CASE("messages about shapes name the op that was called") {
  static Generator random(1);
  const F x = ones<float>({2, 3}), y = ones<float>({4, 5}), v = ones<float>({3}), none;
  const F volume = ones<float>({1, 2, 3, 3, 3});
  const Tensor<std::int64_t> ids = zeros<std::int64_t>({7}), labels = zeros<std::int64_t>({2});
  const Tensor<bool> mask = full<bool>({4, 5}, true);
  const Tensor<bfloat16> low = y.to<bfloat16>();
  struct Case {
    const char* op;
    std::function<void()> call;
  };
  const Case cases[] = {
      {"add", [&] { add(x, y); }},
      {"sub", [&] { sub(x, y); }},
      {"mul", [&] { mul(x, y); }},
      {"div", [&] { div(x, y); }},
      {"add in place", [&] { x.clone() += y; }},
      {"maximum", [&] { maximum(x, y); }},
      {"minimum", [&] { minimum(x, y); }},
      {"remainder", [&] { remainder(x, y); }},
      {"eq", [&] { eq(x, y); }},
      {"lt", [&] { lt(x, y); }},
      {"logical_and", [&] { logical_and(mask, full<bool>({3}, true)); }},
      {"where", [&] { where(mask, x, x); }},
      {"masked_fill", [&] { masked_fill(x, mask, 0); }},
      {"matmul", [&] { matmul(x, y); }},
      {"linear", [&] { linear(x, y); }},
      {"linear_bf16", [&] { linear_bf16(x, low); }},
      {"mse", [&] { mse(x, y); }},
      {"l1_loss", [&] { l1_loss(x, y); }},
      {"huber_loss", [&] { huber_loss(x, y); }},
      {"smooth_l1_loss", [&] { smooth_l1_loss(x, y); }},
      {"smooth_l1_loss", [&] { smooth_l1_loss(x, y, 0); }},
      {"smooth_l1_loss", [&] { smooth_l1_loss(x, x, NAN); }},
      {"kl_div", [&] { kl_div(x, y); }},
      {"cosine_similarity", [&] { cosine_similarity(x, y); }},
      {"bce_with_logits", [&] { bce_with_logits(x, y); }},
      {"bce_with_logits", [&] { bce_with_logits(x, x, {.weight = y}); }},
      {"cross_entropy", [&] { cross_entropy(x, ids); }},
      {"cross_entropy", [&] { cross_entropy(x, y); }},
      {"cross_entropy",
       [&] {
         cross_entropy(zeros<float>({2, 0}), labels);
       }},
      {"nll_loss", [&] { nll_loss(x, ids); }},
      {"nll_loss", [&] { nll_loss(x, labels, {.weight = y}); }},
      {"nll_loss",
       [&] {
         nll_loss(zeros<float>({2, 0}), labels);
       }},
      {"nll_loss",
       [&] {
         nll_loss(zeros<float>({2, 0}), labels, {.ignore_index = 0});
       }},
      {"allclose", [&] { (void)allclose(x, y); }},
      {"allclose", [&] { (void)allclose(x, x, {.rtol = NAN}); }},
      {"allclose", [&] { (void)allclose(low, low, {.atol = -1}); }},
      {"softmax", [&] { softmax(x, 2); }},
      {"softmax", [&] { softmax(x, -1, mask); }},
      {"log_softmax", [&] { log_softmax(x, 2); }},
      {"logsumexp", [&] { logsumexp(x, 2); }},
      {"sum", [&] { sum(x, 2); }},
      {"mean", [&] { mean(x, 2); }},
      {"mean", [&] { mean(zeros<float>({0})); }},
      {"var", [&] { var(x, 2); }},
      {"stddev", [&] { stddev(x, 2); }},
      {"norm", [&] { norm(x, 2, 2); }},
      {"norm", [&] { norm(x, 1, 2); }},
      {"norm", [&] { norm(x, INFINITY, 2); }},
      {"normalize", [&] { normalize(x, 2); }},
      {"prod", [&] { prod(x, 2); }},
      {"max", [&] { max(x, 2); }},
      {"min", [&] { min(x, 2); }},
      {"argmax", [&] { argmax(x, 2); }},
      {"argmin", [&] { argmin(x, 2); }},
      {"any", [&] { any(mask, 2); }},
      {"all", [&] { all(mask, 2); }},
      {"cumsum", [&] { cumsum(x, 2); }},
      {"sort", [&] { sort(x, 2); }},
      {"topk", [&] { topk(x, 9); }},
      {"flip", [&] { flip(x, 2); }},
      {"roll", [&] { roll(x, 1, 2); }},
      {"split", [&] { split(x, 1, 2); }},
      {"chunk", [&] { chunk(x, 1, 2); }},
      {"repeat", [&] { repeat(x, {1}); }},
      {"pad",
       [&] {
         pad(x, {{1, 1}});
       }},
      {"tril", [&] { tril(v); }},
      {"triu", [&] { triu(v); }},
      {"cat",
       [&] {
         cat<float>({x, y});
       }},
      {"stack",
       [&] {
         stack<float>({x, y});
       }},
      {"one_hot", [&] { one_hot(labels, 0); }},
      {"multinomial", [&] { multinomial(volume, 1, random); }},
      {"embedding", [&] { embedding(ids, v); }},
      {"index_select", [&] { index_select(x, 2, ids); }},
      {"gather", [&] { gather(x, 1, ids); }},
      {"scatter_add", [&] { scatter_add(x, 1, ids, x); }},
      {"layer_norm", [&] { layer_norm(x, ones<float>({4}), v); }},
      {"group_norm", [&] { group_norm(x, 2); }},
      {"rms_norm", [&] { rms_norm(x, ones<float>({4})); }},
      {"batch_norm", [&] { batch_norm(v, none, none, none, none, {.training = true}); }},
      {"conv1d", [&] { conv1d(x, volume); }},
      {"conv2d", [&] { conv2d(x, volume); }},
      {"conv3d", [&] { conv3d(x, volume); }},
      {"max_pool1d", [&] { max_pool1d(x, {.kernel = 1}); }},
      {"max_pool2d", [&] { max_pool2d(x, {.kernel = 1}); }},
      {"max_pool3d", [&] { max_pool3d(x, {.kernel = Triple::all(1)}); }},
      {"avg_pool1d", [&] { avg_pool1d(x, {.kernel = 1}); }},
      {"avg_pool2d", [&] { avg_pool2d(x, {.kernel = 1}); }},
      {"avg_pool3d", [&] { avg_pool3d(x, {.kernel = Triple::all(1)}); }},
      {"interpolate", [&] { interpolate(x, {1}); }},
      {"scaled_dot_product_attention", [&] { scaled_dot_product_attention(x, y, v); }},
      {"biased_attention", [&] { biased_attention(x, y, v); }},
      {"dropout", [&] { dropout(x, 2, random); }},
      {"clamp", [&] { clamp(x, 1, 0); }},
  };
  for (const Case& c : cases) {
    const std::string message = check::message(c.call);
    CHECK_MESSAGE(message.rfind(concat("[", c.op, "] "), 0) == 0, c.op, ": ", message);
  }
}

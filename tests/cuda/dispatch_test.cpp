/// Every op on a device tensor: those with kernels run there, all others throw by name.

#include "devices.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <set>

#include "tandem/ops.hpp"

using namespace tandem;

namespace {

struct Case {
  std::string stem;  ///< of the op's header
  std::string name;  ///< in the message
  std::function<void()> run;
};

Tensor<float> there(const Shape& shape = {2, 3}) { return ones<float>(shape, Device::cuda()); }

std::vector<Case> cases() {
  using F = Tensor<float>;
  const auto ids = [] { return zeros<std::int64_t>({2, 3}, Device::cuda()); };
  const auto bits = [] { return zeros<bool>({2, 3}, Device::cuda()); };
  static Generator random(1);
  return {
      {"abs", "abs", [] { abs(there()); }},
      {"argmax", "argmax", [] { argmax(there(), 0); }},
      {"argmax", "argmin", [] { argmin(there(), 0); }},
      {"arithmetic", "sub", [] { sub(there(), there()); }},
      {"arithmetic", "mul", [] { mul(there(), there()); }},
      {"arithmetic", "div", [] { div(there(), there()); }},
      {"arithmetic", "neg", [] { neg(there()); }},
      {"arithmetic", "add with a scalar", [] { add(there(), 1); }},
      {"arithmetic", "sub with a scalar", [] { sub(1, there()); }},
      {"arithmetic", "mul with a scalar", [] { mul(there(), 2); }},
      {"arithmetic", "div with a scalar", [] { div(2, there()); }},
      {"arithmetic", "add in place", [] { there() += there(); }},
      {"arithmetic", "mul in place", [] { there() *= 2; }},
      {"arithmetic", "add", [=] { add(ids(), ids()); }},
      {"attention", "scaled_dot_product_attention",
       [] { scaled_dot_product_attention(there(), there(), there()); }},
      {"attention", "self_attention", [] { self_attention(there({1, 2, 6}), 1); }},
      {"avg_pool3d", "avg_pool3d", [] { avg_pool3d(there({1, 1, 2, 2, 2}), {.kernel = Triple::all(2)}); }},
      {"batch_norm", "batch_norm",
       [] { batch_norm(there({2, 3, 1, 1, 1}), there({3}), there({3}), there({3}), there({3}), {}); }},
      {"bce_with_logits", "bce_with_logits", [] { bce_with_logits(there(), there()); }},
      {"cat", "cat", [] { cat(std::vector<F>{there(), there()}, 0); }},
      {"clamp", "clamp", [] { clamp(there(), 0, 1); }},
      {"clamp", "clamp_min", [] { clamp_min(there(), 0); }},
      {"clamp", "clamp_max", [] { clamp_max(there(), 0); }},
      {"compare", "gt", [] { gt(there(), there()); }},
      {"compare", "lt", [] { lt(there(), 0.0); }},
      {"compare", "logical_and", [=] { logical_and(bits(), bits()); }},
      {"compare", "logical_not", [=] { logical_not(bits()); }},
      {"conv3d", "conv3d", [] { conv3d(there({1, 1, 2, 2, 2}), there({1, 1, 1, 1, 1})); }},
      {"cross_entropy", "cross_entropy",
       [] { cross_entropy(there(), zeros<std::int64_t>({2}, Device::cuda())); }},
      {"cross_entropy", "cross_entropy", [] { cross_entropy(there(), there()); }},
      {"cumsum", "cumsum", [] { cumsum(there(), 0); }},
      {"dropout", "dropout", [] { dropout(there(), 0.5, random); }},
      {"embedding", "embedding", [=] { embedding(ids(), there()); }},
      {"exp", "exp", [] { exp(there()); }},
      {"fold_batch_norm", "fold_batch_norm",
       [] {
         fold_batch_norm(there({3, 1, 1, 1, 1}), {}, there({3}), there({3}), there({3}), there({3}), 1e-3);
       }},
      {"gather", "gather", [=] { gather(there(), 0, ids()); }},
      {"gelu", "gelu", [] { gelu(there()); }},
      {"index_select", "index_select",
       [] { index_select(there(), 0, zeros<std::int64_t>({2}, Device::cuda())); }},
      {"layer_norm", "layer_norm",
       [] { layer_norm(there(), ones<float>({3})); }},
      {"linear", "linear", [] { linear(there(), there({4, 3}), {}, Activation::relu); }},
      {"linear_bf16", "linear_bf16", [] { linear_bf16(there(), zeros<bfloat16>({4, 3})); }},
      {"linear_packed", "linear_packed",
       [] { linear_packed(there(), PackedWeight<float>(zeros<float>({4, 3}))); }},
      {"log", "log", [] { log(there()); }},
      {"logsumexp", "logsumexp", [] { logsumexp(there(), 0); }},
      {"matmul", "matmul", [] {
         matmul(Tensor<bfloat16>(Shape{2, 3}, Device::cuda()), Tensor<bfloat16>(Shape{3, 2}, Device::cuda()));
       }},
      {"max", "max", [] { max(there(), 0); }},
      {"max_pool3d", "max_pool3d", [] { max_pool3d(there({1, 1, 2, 2, 2}), {.kernel = Triple::all(2)}); }},
      {"mean", "mean", [] { mean(there()); }},
      {"min", "min", [] { min(there(), 0); }},
      {"mse", "mse", [] { mse(there(), there()); }},
      {"normalize", "normalize", [] { normalize(there()); }},
      {"pad", "pad", [] { pad(there(), std::vector<Margin>{{1, 1}, {}}); }},
      {"pow", "pow", [] { pow(there(), 2.5); }},
      {"quick_gelu", "quick_gelu", [] { quick_gelu(Tensor<bfloat16>(Shape{3}, Device::cuda())); }},
      {"relu", "relu", [] { relu(there()); }},
      {"scatter_add", "scatter_add",
       [] { scatter_add(there(), 0, zeros<std::int64_t>({2}, Device::cuda()), there()); }},
      {"sigmoid", "sigmoid", [] { sigmoid(there()); }},
      {"softmax", "softmax", [=] { softmax(there(), -1, bits()); }},
      {"softmax", "log_softmax", [] { log_softmax(there()); }},
      {"softplus", "softplus", [] { softplus(there()); }},
      {"sqrt", "sqrt", [] { sqrt(there()); }},
      {"square", "square", [] { square(there()); }},
      {"stack", "stack", [] { stack(std::vector<F>{there(), there()}, 0); }},
      {"sum", "sum", [] { sum(there()); }},
      {"tanh", "tanh", [] { tanh(there()); }},
      {"to", "to", [] { there().to<double>(); }},
      {"topk", "topk", [] { topk(there(), 1); }},
      {"where", "where", [=] { where(bits(), there(), there()); }},
      {"where", "where", [=] { where(bits(), there(), 1.0F); }},
  };
}

}  // namespace

TEST_CASE("an op without a kernel throws by name on a device") {
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    const std::string message = check::message(c.run);
    if (c.stem == "layer_norm") {  // has kernels; here its inputs are on two devices
      CHECK(message == "[layer_norm] inputs are on different devices: cuda:0 and cpu");
      continue;
    }
    CHECK(message.substr(0, c.name.size() + 2) == "[" + c.name + "]");
    CHECK(message.find("has no CUDA kernel") != std::string::npos);
    CHECK(message.find("is on cuda:0)") != std::string::npos);
  }
}

TEST_CASE("no op is missing above") {
  std::set<std::string> known;
  for (const Case& c : cases()) known.insert(c.stem);
  // Shared pieces, not ops.
  for (const char* stem : {"common", "elementwise", "dim_split", "column_sums", "loss_reduction",
                           "attention_tiles", "extremum", "linear_device", "precision", "channel_sums",
                           "conv3d_loops", "pool3d_rows", "window3d"}) {
    known.insert(stem);
  }
  for (const auto& entry :
       std::filesystem::directory_iterator(TANDEM_SOURCE_DIR "/include/tandem/ops")) {
    const std::string stem = entry.path().stem().string();
    CHECK_MESSAGE(known.count(stem) == 1, "no case for ", stem);
  }
}

TEST_CASE("without a kernel in the table an op says which type it has none for") {
  const auto before = cuda::kernels<float>();
  struct Restore {
    cuda::Kernels<float> table;
    ~Restore() { cuda::kernels<float>() = table; }
  } const restore{before};
  cuda::kernels<float>() = {};
  for (const auto& [name, run] : std::map<std::string, std::function<void()>>{
           {"add", [] { add(there(), there()); }},
           {"quick_gelu", [] { quick_gelu(there()); }},
           {"layer_norm", [] { layer_norm(there()); }},
           {"softmax", [] { softmax(there()); }},
           {"matmul", [] { matmul(there(), there({3, 2})); }},
           {"linear", [] { linear(there(), there({4, 3})); }}}) {
    CHECK(check::message(run) == "[" + name + "] has no CUDA kernel for float32 (an input is on cuda:0)");
  }
}

TEST_CASE("every entry of the tables is filled") {
  const auto filled = [](const auto& t) {
    return t.add && t.column_sums && t.quick_gelu && t.quick_gelu_backward && t.layer_norm &&
           t.layer_norm_backward && t.softmax && t.softmax_backward && t.adam && t.gemm;
  };
  CHECK(filled(cuda::kernels<float>()));
  CHECK(filled(cuda::kernels<double>()));
}

TEST_CASE("streams: ops of a scope go to its stream, and a copy to the host waits for them") {
  CHECK(cuda::stream_of(Device::cuda(0)).handle == nullptr);
  int marker = 0;
  {
    const cuda::StreamScope scope({0, &marker});
    CHECK(cuda::stream_of(Device::cuda(0)).handle == &marker);
    CHECK(cuda::stream_of(Device::cuda(1)).handle == nullptr);  // another device's ops do not
  }
  CHECK(cuda::stream_of(Device::cuda(0)).handle == nullptr);
}

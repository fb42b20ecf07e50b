/// Every op on a device tensor: those with kernels run there, all others throw by name.

#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "devices.hpp"
#include "tandem/cuda/memory.hpp"
#include "tandem/io/file.hpp"
#include "tandem/ops.hpp"

using namespace tandem;

namespace {

struct Case {
  std::string name;  ///< in the message
  std::function<void()> run;
};

Tensor<float> there(const Shape& shape = {2, 3}) { return ones<float>(shape, Device::cuda()); }

std::vector<Case> cases() {
  const auto ids = [] { return zeros<std::int64_t>({2, 3}, Device::cuda()); };
  return {
      {"add", [=] { add(ids(), ids()); }},
      {"layer_norm", [] { layer_norm(there(), ones<float>({3})); }},
      {"linear_packed",
       [] {
         linear_packed(there(), PackedWeight<float>(zeros<float>({4, 3})));
       }},
      {"multinomial",
       [] {
         Generator random(1);
         multinomial(there(), 1, random);
       }},
  };
}

/// Of each op of docs/math_index.md, whether it has a kernel.
std::map<std::string, bool> ops_of_the_index() {
  std::map<std::string, bool> found;
  std::istringstream page(io::read_text(TANDEM_SOURCE_DIR "/docs/math_index.md"));
  for (std::string row; std::getline(page, row);) {
    if (row.rfind("| `", 0) != 0) continue;
    found[row.substr(3, row.find('`', 3) - 3)] = row.find("| CPU only |") == std::string::npos;
  }
  return found;
}

/// The ops that can be called with one tensor alone; from their headers
/// (tests/ops/list_unary_ops.py).
std::vector<Case> unary_cases() {
  return {
// rotary turns pairs of columns
#define UNARY_OP(op, argument, elementwise) {#op, [] { op(there({2, 4})); }},
#include "unary_ops.inc"
#undef UNARY_OP
  };
}

}  // namespace

TEST_CASE("an op without a kernel throws by name on a device") {
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    const std::string message = check::message(c.run);
    if (c.name == "layer_norm") {  // has kernels; here its inputs are on two devices
      CHECK(message == "[layer_norm] inputs are on different devices: cuda:0 and cpu");
      continue;
    }
    CHECK(message.substr(0, c.name.size() + 2) == "[" + c.name + "]");
    CHECK(message.find("has no CUDA kernel") != std::string::npos);
    CHECK(message.find("is on cuda:0)") != std::string::npos);
  }
}

TEST_CASE("ops of one tensor run on a device if the index says so, or else throw by name") {
  const std::map<std::string, bool> index = ops_of_the_index();
  for (const Case& c : unary_cases()) {
    CAPTURE(c.name);
    REQUIRE(index.count(c.name) == 1);
    const std::string message = check::message(c.run);
    if (index.at(c.name)) {
      CHECK(message == "");
    } else {
      CHECK(message.rfind("[" + c.name + "] has no CUDA kernel", 0) == 0);
    }
  }
}

namespace {

/// Of each op of docs/cuda.md, the element types that it has on a GPU, as the page writes them.
std::map<std::string, std::string> types_of_the_page() {
  std::map<std::string, std::string> found;
  const std::string page = io::read_text(TANDEM_SOURCE_DIR "/docs/cuda.md");
  const std::size_t begin = page.find("\n### Ops\n"), end = page.find("ops on the CPU only");
  std::istringstream table(page.substr(begin, end - begin));
  for (std::string row; std::getline(table, row);) {
    if (row.rfind("| ", 0) != 0) continue;
    const std::size_t bar = row.find(" | ");
    for (std::size_t at = row.find('`', bar); at != std::string::npos;) {
      const std::size_t close = row.find('`', at + 1);
      found[row.substr(at + 1, close - at - 1)] = row.substr(2, bar - 2);
      at = row.find('`', close + 1);
    }
  }
  return found;
}

bool lists(const std::string& types, const std::string& type) {
  const std::string all_but = "every one but ";
  if (types == "every one") return true;
  if (types.rfind(all_but, 0) == 0) return types.substr(all_but.size()) != type;
  std::string words = types + ",";
  for (std::size_t at; (at = words.find(" and ")) != std::string::npos;) words.replace(at, 5, ", ");
  return (", " + words).find(", " + type + ",") != std::string::npos;
}

struct TypedCase {
  std::string name, type;
  std::function<void()> run;
};

/// Every op of one tensor that takes elements T.
template <class T>
void add_cases(std::vector<TypedCase>& cases, const std::string& type) {
  const Shape shape{2, 4};
#define UNARY_OP(op, argument, elementwise)              \
  if constexpr (requires(const Tensor<T>& x) { op(x); }) \
    cases.push_back({#op, type, [shape] { op(ones<T>(shape, Device::cuda())); }});
#include "unary_ops.inc"
#undef UNARY_OP
}

}  // namespace

TEST_CASE("ops of one tensor have on a device the element types that docs/cuda.md lists") {
  std::vector<TypedCase> all;
  add_cases<float>(all, "float");
  add_cases<double>(all, "double");
  add_cases<bfloat16>(all, "bfloat16");
  add_cases<std::int64_t>(all, "int64");
  add_cases<std::int32_t>(all, "int32");
  add_cases<std::uint8_t>(all, "uint8");
  add_cases<bool>(all, "bool");
  CHECK(all.size() > 150);
  const std::map<std::string, std::string> page = types_of_the_page();
  for (const TypedCase& c : all) {
    CAPTURE(c.name);
    CAPTURE(c.type);
    const auto row = page.find(c.name);
    const std::string message = check::message(c.run);
    if (row != page.end() && lists(row->second, c.type)) {
      CHECK(message == "");
    } else {
      CHECK(message.rfind("[" + c.name + "] has no CUDA kernel", 0) == 0);
    }
  }
}

TEST_CASE("no op without a kernel is missing above") {
  std::set<std::string> known;
  for (const Case& c : cases()) known.insert(c.name);
  for (const Case& c : unary_cases()) known.insert(c.name);
  const std::map<std::string, bool> index = ops_of_the_index();
  CHECK(index.size() > 50);
  for (const auto& [name, has_kernel] : index) {
    CHECK_MESSAGE((has_kernel || known.count(name) == 1), "no case for ", name);
  }
}

namespace {
template <class T>
void on_cpu(T* x) {
  *x = 7;
}
template <class T>
const Kernel<void(Queue&, T*)> unregistered{"a slot without a kernel", on_cpu<T>};
}  // namespace

TEST_CASE("a slot without a kernel runs on the CPU, and says so for a device") {
  float x = 0;
  unregistered<float>(Device::cpu(), &x);
  CHECK(x == 7);
  CHECK(unregistered<float>.runs_on(Device::cpu()));
  CHECK(!unregistered<float>.runs_on(Device::cuda()));
  CHECK(check::message([&] { unregistered<float>(Device::cuda(), &x); }) ==
        "[a slot without a kernel] has no CUDA kernel for these element types (the queue is one of "
        "cuda:0)");
  CHECK(check::message([] { detail::require_kernels("op", there(), unregistered<float>); }) ==
        "[op] has no CUDA kernel for float32 (an input is on cuda:0)");
  CHECK(check::message(
            [] { detail::require_kernels("op", ones<float>({2}), unregistered<float>); }) == "");
}

TEST_CASE("kernels of another version are noticed") {
  tandem_kernel_registry::Entry*& first = tandem_kernel_registry::first();
  tandem_kernel_registry::Entry old{"old", "0.0.9", nullptr, nullptr, first, false};
  const detail::Restore before(first, &old);
  CHECK(check::message([] { unregistered<double>.runs_on(Device::cuda()); }) ==
        "[cuda] the kernels that are linked into this program are those of tandem 0.0.9, its "
        "headers those of " TANDEM_VERSION_STRING ": build tandem::cuda from the same version");
}

TEST_CASE("a library of another version is noticed before anything of its table is called") {
  DeviceInterface other;  // whatever lies where the functions are, they are not called
  other.version = "0.0.9";
  other.device_count = [] { return 1; };
  other.allocate = [](int, std::int64_t) -> void* { throw Error("called"); };
  const detail::Restore before(cuda_interface(), other);
  const std::string expected =
      "[cuda] the kernels that are linked into this program are those of tandem 0.0.9, its "
      "headers those of " TANDEM_VERSION_STRING ": build tandem::cuda from the same version";
  CHECK(check::message([] { (void)cuda_available(); }) == expected);
  CHECK(check::message([] { there(); }) == expected);
  CHECK(check::message([] { (void)new_queue(Device::cuda()); }) == expected);
  CHECK(check::message([] { (void)memory_stats(Device::cuda()); }) == expected);
}

TEST_CASE("queues: ops of a scope go to its stream; events order two of them; waiting is counted") {
  const Device gpu = Device::cuda();
  const Queue usual = current_queue(gpu), side = new_queue(gpu);
  CHECK(usual.stream != nullptr);  // never the legacy default stream
  CHECK(usual == current_queue(gpu));
  CHECK(side.stream != usual.stream);
  CHECK(current_queue(Device::cpu()) == Queue());
  const Tensor<float> x = there();
  Tensor<float> y;
  Event made, ready;
  made.record(usual);
  const std::int64_t before = waits();
  {
    const QueueScope scope(side);
    CHECK(current_queue(gpu) == side);
    if (cuda_interface().device_count() > 1) CHECK(!(current_queue(Device::cuda(1)) == side));
    made.wait(side);
    y = x + x;
    ready.record(side);
  }
  CHECK(current_queue(gpu) == usual);
  ready.wait(usual);
  const Tensor<float> z = y * y;
  CHECK(waits() == before);
  CHECK(z.to(Device::cpu()).at({1, 2}) == 4);
  CHECK(waits() == before + 1);
  ready.synchronize();
  CHECK(waits() == before + 2);
  CHECK(check::message([] { (void)new_queue(Device::cpu()); }) ==
        "[new_queue] only a GPU has more than one queue, the device is cpu");
}

"""What the compiler says of mistakes that everybody makes once: one line that says what to do, not a page of candidates.

usage: check_messages.py COMPILER
"""
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
GIVEN = """#include "tandem/extend.hpp"
#include "tandem/tandem.hpp"
using namespace tandem;
int main() {
  Tensor<float> a = ones<float>({2, 2});
  const Tensor<double> b = ones<double>({2, 2});
  const Tensor<std::int64_t> n = ones<std::int64_t>({2, 2});
  Generator random(0);
  nn::Linear<float> net(2, 2, random);
  %s
}
"""
# The mistake, what a line of the message must have, how many lines there may be of g++ and of Clang.
DIFFER = "element_types_differ_convert_one"
FLOATS = "these_are_not_floats_convert_by_to_float"
FORMULA = "extend::map(\"op\", [](auto x) { return x > x ? x : x; }, a);"
MISTAKES = [
    ("auto c = a + b;", DIFFER, 20, 40), ("auto c = b / a;", DIFFER, 20, 40), ("a -= b;", DIFFER, 20, 40),
    ("auto c = a < b;", DIFFER, 20, 60), ("auto c = a * n;", DIFFER, 20, 40),
    ("auto c = matmul(a, b);", DIFFER, 20, 40), ("auto c = relu(n);", FLOATS, 20, 50),
    ("auto c = where(a > 0, a, b);", DIFFER, 20, 50), ("auto c = mse(a, b);", DIFFER, 20, 40),
    ("auto c = mean(a == a);", FLOATS, 20, 50), ("auto c = mean(a == a, {0});", FLOATS, 20, 60),
    ("auto c = softmax(n, 1);", FLOATS, 20, 50), ("auto c = a.to(DType::f64);", "x.to<double>()", 20, 20),
    ("cross_entropy(a, n[0].to<std::int32_t>());", "ids_are_int64_convert_by_to_int64", 20, 40),
    ("auto c = embedding(n.to<std::int32_t>(), a);", "ids_are_int64_convert_by_to_int64", 20, 40),
    ("auto c = gather(a, 0, n.to<std::int32_t>());", "ids_are_int64_convert_by_to_int64", 20, 40),
    ("nll_loss(a, n[0].to<std::int32_t>());", "ids_are_int64_convert_by_to_int64", 20, 40),
    ("optim::Adam<float> adam(net);", "named_parameters()", 20, 20),
    ("optim::Sgd<float> sgd(net);", "named_parameters()", 20, 20),
    ("auto c = net;", "not copied: share it by Ref, or load_state_dict() into another", 40, 20),
    ("net = net;", "not copied: load_state_dict() takes the values", 40, 20),
    ("auto c = nn::Linear<float>(net);", "deleted", 40, 20), (FORMULA, "use select(mask, a, b)", 70, 120),
    ("a[0] = a[1];", "operator=", 20, 20), ("auto c = sum(a, true);", "sum", 70, 70),
]
compiler = sys.argv[1]
clang = "clang" in subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
wrong = []
with tempfile.TemporaryDirectory() as scratch:
    source = pathlib.Path(scratch) / "mistake.cpp"
    for mistake, word, gcc_lines, clang_lines in MISTAKES:
        source.write_text(GIVEN % mistake)
        done = subprocess.run([compiler, "-std=c++20", "-fsyntax-only", "-I", ROOT / "include", source], capture_output=True,
                              text=True)
        said = done.stderr.splitlines()
        if done.returncode == 0:
            wrong.append(f"{mistake} compiles")
        elif not any(word in line for line in said):
            wrong.append(f"{mistake}: nothing is said of {word}:\n{done.stderr[:2000]}")
        elif len(said) > (clang_lines if clang else gcc_lines):
            wrong.append(f"{mistake}: {len(said)} lines:\n{done.stderr[:2000]}")
print("\n".join(wrong) or f"{len(MISTAKES)} mistakes, each with a message that says what it is")
sys.exit(1 if wrong else 0)

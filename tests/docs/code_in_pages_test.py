"""The code in README.md and docs/ compiles without a warning on GCC and Clang, its programs run, and the options
it shows exist.

usage: code_in_pages_test.py COMPILER FOLDER_WITH_THE_PROGRAMS [--optimized [--only LANE]] [FLAG…] [--executor OBJECT…]
Flags (include folders of the packages) come from CMake. Each piece is compiled alone, so that it names what it needs; the
other compiler, where there is one, sees all of them in one file, for what a piece includes is the same for both.
--optimized: instead of that, all of it and the examples of the headers' comments, as few files, at -O2 and at -O3, by both
compilers; nothing is run (a long test). --only: lanes (as it prints them) with these words.
"""
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile

import op_page

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMPILER, PROGRAMS = sys.argv[1], pathlib.Path(sys.argv[2])
# The objects of the executor and of tandem's kernels, which run kernels without a GPU.
EXECUTOR = sys.argv[sys.argv.index("--executor") + 1:] if "--executor" in sys.argv else []
sys.argv = sys.argv[: len(sys.argv) - len(EXECUTOR) - bool(EXECUTOR)]
OPTIMIZED = "--optimized" in sys.argv
if OPTIMIZED:
    sys.argv.remove("--optimized")
ONLY = ""
if "--only" in sys.argv:
    ONLY = sys.argv.pop(sys.argv.index("--only") + 1)
    sys.argv.remove("--only")
# The compilers look into /usr/include by themselves; named, it would be searched too early.
FLAGS = [re.sub("^-I", "-isystem", f) for f in sys.argv[3:] if f not in ("", "-I/usr/include", "-I/usr/local/include")]
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]


def is_clang(compiler):
    return "clang" in subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout


def is_supported(compiler):
    version = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True).stdout
    return int(version.split(".")[0] or 0) >= (16 if is_clang(compiler) else 12)


OTHERS = ["g++"] if is_clang(COMPILER) else ["clang++", *(f"clang++-{n}" for n in range(22, 15, -1))]
OTHER = next((found for name in OTHERS if (found := shutil.which(name)) and is_supported(found)), None)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "weights" / "README.md",
         ROOT / "benchmarks" / "README.md"]
# What a fragment takes as given: the headers, and variables that its page speaks of.
GIVEN = {
    "README.md": ['#include "tandem/io.hpp"', '#include "tandem/image/image.hpp"', '#include "tandem/image/video.hpp"',
                  '#include "tandem/clip/load.hpp"', '#include "tandem/clip/preprocess.hpp"',
                  '#include "tandem/clip/tokenizer.hpp"', '#include "tandem/i3d/load.hpp"',
                  "void (*use)(const Tensor<std::uint8_t>&, double)", "const Tensor<std::uint8_t>& frames"],
    "cuda.md": ['#include "tandem/cuda/graph.hpp"', '#include "tandem/cuda/memory.hpp"', "const Device& gpu",
                "void (*step)()", "void (*train_step)()", "const Queue& side", "const Queue& queue",
                "optim::Adam<float>& adam", "const std::vector<Tensor<float>>& batches", "nn::Linear<float>& module", "const Tensor<float>& x", "const Tensor<float>& gamma",
                "const Tensor<float>& beta", '#include "tandem/wtal/train/trainer.hpp"',
                "const wtal::TrainerOptions& options", "wtal::Branch<float>& cbp", "wtal::Branch<float>& vlp",
                "clip::TextEncoder<float>* text", "const wtal::VideoSource& source", "const std::vector<std::int64_t>& lengths", "void (*show)(const wtal::StepReport&)"],
    "threads.md": ["#include <thread>", "Generator& random", "const Tensor<float>& x",
                   "const Tensor<std::int64_t>& labels"],
    "flow.md": ['#include "tandem/image/image.hpp"'],
    "i3d.md": ['#include "tandem/i3d/load.hpp"', "const Tensor<std::uint8_t>& frames",
               'const decltype(i3d::load<float>(""))& rgb', "const Tensor<float>& clips"],
}
scratch = tempfile.TemporaryDirectory()
work = pathlib.Path(scratch.name)
failures = []


def blocks(page, language):
    for match in re.finditer(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        yield page.read_text()[: match.start()].count("\n") + 2, match[1]


def command(compiler, *options):
    return [compiler, "-std=c++20", "-pthread", *options, *WARNINGS, "-I", ROOT / "include", "-I", ROOT / "benchmarks", "-I", work,
            "-I", work / "page/include", "-isystem", ROOT / "tests/ops", "-isystem", ROOT / "tests/cuda",
            f'-DTANDEM_SOURCE_DIR="{ROOT}"', *FLAGS]


def first_include(source):
    return re.search(r'^#include [<"]([^>"]*)', source, re.M)[1]


def precompiled(source, made={}):
    """Options with which COMPILER reads the header that `source` includes first from a precompiled one (GCC looks beside the header,
    Clang is told), made when first asked for. It stands for that #include alone: a piece that lacks one is still refused."""
    header = first_include(source)
    if header not in ("tandem/tandem.hpp", "tandem/io.hpp"):
        return []
    place = work / "precompiled" / header
    if header not in made:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f'#include "{ROOT / "include" / header}"\n')  # in a header itself GCC warns of #pragma once
        result = subprocess.run([*command(COMPILER, "-O0"), "-x", "c++-header", place, "-o", f"{place}.gch"], capture_output=True,
                                text=True)
        if result.returncode != 0:
            failures.append(f"{header} does not compile on {COMPILER}:\n{result.stderr[:2000]}")
        made[header] = result.returncode == 0
    if not made[header]:
        return []
    return ["-include-pch", f"{place}.gch"] if is_clang(COMPILER) else ["-I", work / "precompiled"]


def compiles(name, source, *more):
    path = work / "code.cpp"
    path.write_text(source)
    first, *others = command(COMPILER, "-O0")
    result = subprocess.run([first, *precompiled(source), *others, path, *more], capture_output=True, text=True)
    if result.returncode != 0:
        failures.append(f"{name} does not compile on {COMPILER}:\n{result.stderr[:2000]}")
    return result.returncode == 0


def seen_by_other(name, source):
    """What the other compiler's front end says."""
    if not OTHER:
        return
    path = work / "seen.cpp"
    path.write_text(source)
    result = subprocess.run([*command(OTHER, "-O0"), "-fsyntax-only", path], capture_output=True, text=True)
    if result.returncode != 0:
        failures.append(f"{name} does not compile on {OTHER}:\n{result.stderr[:4000]}")


def runs(name, program):
    result = subprocess.run([program], cwd=work, capture_output=True, text=True, timeout=120)
    if result.returncode != 0:
        failures.append(f"{name} fails:\n{result.stdout[-2000:]}{result.stderr[-2000:]}")


def is_taken(variable, code):
    """Whether a piece of code uses a variable without declaring it."""
    name = re.search(r"\(\*(\w+)\)|(\w+)$", variable)
    name = name[1] or name[2]
    code = re.sub(r"//.*", "", code)
    return re.search(rf"\b{name}\b", code) and not re.search(rf"\w[\w:<>]* {name}(?: = |\()", code)


def wrapped(page, code):
    includes, body = [], []
    for line in code.splitlines():
        (includes if line.startswith("#include") else body).append(line.removeprefix("using namespace tandem;"))
    given = GIVEN.get(page.name, [])
    includes += [line for line in given if line.startswith("#include")]
    variables = [line for line in given if not line.startswith("#include") and is_taken(line, code)]
    return "\n".join(['#include "tandem/tandem.hpp"', *includes, "using namespace tandem;",
                      f"void fragment({', '.join(variables)}) {{ {{", *body, "} }", "int main() {}"])


def all_in_one():
    """The code of all pages as one file: each piece in a namespace of its own, programs without a main of theirs."""
    includes, pieces = ['#include "tandem/tandem.hpp"'], []
    for page in PAGES:
        for line, code in blocks(page, "cpp") if page.name != "adding_an_op.md" else ():
            is_program = "int main(" in code
            if is_program:  # main is last, and may end without a return
                code = code.replace("int main(", "int program(").rstrip().removesuffix("}") + "  return 0;\n}"
            lines = (code if is_program else wrapped(page, code)).splitlines()
            includes += [text for text in lines if text.startswith("#include") and text not in includes]
            place = str(page.relative_to(ROOT))
            pieces.append(f"namespace piece_{len(pieces)} {{\n#line {line} \"{place}\"\n" + "\n".join(
                "" if text.startswith("#include") else text for text in lines if text != "int main() {}") + "\n}\n")
    return "\n".join(includes) + "\n" + "\n".join(pieces), len(pieces)


def op_program(with_devices):
    """The tests of adding_an_op.md as one program, with those on devices or without."""
    tests = [name for name in op_page.files() if name.startswith("tests/ops/" if not with_devices else "tests/")]
    return "\n".join(['#include "tandem/tandem.hpp"', "#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN", "#include <doctest/doctest.h>",
                      *(f'#include "{work}/page/{name}"' for name in tests)]) + "\n"


def optimized():
    """Compiles all pieces, the ops of adding_an_op.md and the examples of the headers in each lane; returns how many pieces of
    code the pages have."""
    source, count = all_in_one()
    op_page.write(work / "page")
    files = {"pieces.cpp": source, "op.cpp": op_program(with_devices=False)}
    for name, text in files.items():
        (work / name).write_text(text)
    # Examples shadow names and leave values unused on purpose (tests/CMakeLists.txt), and write 0.2 for a float, which Clang's
    # -Wconversion takes amiss where GCC's looks at the value.
    subprocess.run([sys.executable, ROOT / "tests/docs/make_examples.py", work], check=True, stdout=subprocess.DEVNULL)
    parts = sorted(path.name for path in work.glob("examples_*.cpp"))
    of_examples = ["-Wno-shadow", "-Wno-unused", "-Wno-unused-result", "-Wno-implicit-float-conversion", "-I", ROOT / "tests/docs",
                   f'-DTANDEM_SOURCE_DIR="{ROOT}"', f'-DTANDEM_GOLDEN_DIR="{ROOT}/tests/golden"']
    compiled = 0
    for name in [*files, *parts]:
        for compiler in (COMPILER, *([OTHER] if OTHER else [])):
            for level in ("-O2", "-O3"):
                if any(word not in f"{name} {compiler} {level}" for word in ONLY.split()):
                    continue
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                result = subprocess.run([*command(compiler, level), *(of_examples if name in parts else []), "-c", work / name, "-o",
                                         work / "code.o"], capture_output=True, text=True)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                compiled += 1
                print(f"{name} {compiler} {level}: {after.ru_utime - before.ru_utime:.0f} s of user time", flush=True)
                if result.returncode != 0:
                    failures.append(f"{name} does not compile with {compiler} {level}:\n{result.stderr[:4000]}")
    return count + len(op_page.files()) if compiled else 0


if OPTIMIZED:
    pieces = optimized()
    print("\n".join([*failures, f"{pieces} pieces of code at -O2 and -O3 with {COMPILER} and {OTHER or 'no other compiler'}, "
                     f"{len(failures)} failures"]))
    sys.exit(1 if failures or pieces < 5 else 0)

checked = 0
for page in PAGES:
    found = list(blocks(page, "cpp"))
    if page.name == "adding_an_op.md":  # ops, their kernels and their test: together a program
        kernels = [path for path in op_page.write(work / "page") if path.suffix == ".cu"]
        objects = []
        for path in [*kernels, ROOT / "tests/cuda/executor_backend.cpp"]:
            objects.append(work / f"{path.stem}.o")
            result = subprocess.run(["g++", "-std=c++20", "-O0", "-x", "c++", "-I", work / "page/include", "-I", ROOT / "include",
                                     "-I", ROOT / "kernels", "-I", ROOT / "tests/simt", "-I", ROOT / "tests/simt/cuda", *FLAGS,
                                     "-c", path, "-o", objects[-1]], capture_output=True, text=True)
            if result.returncode != 0:
                failures.append(f"{page.name}: {path.name} does not compile for the executor:\n{result.stderr[:2000]}")
        with_executor = [*objects, *EXECUTOR, "-ldl"] if EXECUTOR and not is_clang(COMPILER) else []
        source = op_program(bool(with_executor))
        seen_by_other(page.name, source)
        if compiles(page.name, source, *with_executor, "-o", work / "op"):
            runs(page.name, work / "op")
        checked += len(op_page.files())
        continue
    for line, code in found:
        name = f"{page.name}:{line}"
        if "int main(" not in code:
            compiles(name, wrapped(page, code), "-fsyntax-only")
        elif "harness.hpp" in code:
            compiles(name, code, "-fsyntax-only")
        elif compiles(name, code, "-o", work / "program", *(["-lz"] if "tandem/io.hpp" in code else [])):
            runs(name, work / "program")
        checked += 1
seen_by_other("The code of the pages together", all_in_one()[0])

# Options: in code, every --option after a program's name, up to the next program or the end of the command.
programs = {path.name: path for path in PROGRAMS.iterdir() if path.is_file() and path.stat().st_mode & 0o100}
helps = {}
options = 0
for page in PAGES:
    text = page.read_text()
    code = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    code += re.findall(r"(?:^    .*\n)+", text, re.MULTILINE) + re.findall(r"`([^`\n]+)`", text)
    for command in re.split(r"(?<!\\)\n|&&|\|", "\n".join(code)):
        words = command.replace("\\\n", " ").split()
        name = words[0].rsplit("/", 1)[-1] if words else ""
        if name not in programs:
            continue
        if name not in helps:
            helps[name] = subprocess.run([programs[name], "--help"], capture_output=True, text=True).stdout
        for option in re.findall(r"(?<=\s)--[a-z][\w-]*", command.split("#")[0]):
            options += 1
            if option not in re.findall(r"--[a-z][\w-]*", helps[name]):
                failures.append(f"{page.name}: `{command.strip()}`: {name} --help does not know {option}")

for failure in failures:
    print(failure)
print(f"{checked} pieces of code and {options} options checked with {COMPILER} and "
      f"{OTHER or 'no other compiler, as none is installed'}, {len(failures)} failures")
sys.exit(1 if failures or checked < 5 else 0)

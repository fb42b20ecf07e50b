"""Who writes the files of docs/adding_an_op.md and runs `make index` has nothing left to do: in a copy of the sources with
these files in it the commands of `make index` succeed, and so do all checks that `make check` runs.

usage: adding_an_op_test.py"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import op_page

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("include", "kernels", "src", "examples", "tests", "benchmarks", "docs", "scripts", "weights", "cmake")


def static_checks():
    """The commands of the tests that have the label static, as the CMake files write them."""
    found = {}
    for folder in ("tests", "tests/headers"):
        text = (ROOT / folder / "CMakeLists.txt").read_text()
        for names, room in re.findall(r"foreach\(name ([\w ]+)\)\s*set_property\(TEST (\w+)/", text):
            for name in names.split():
                command = re.search(rf"add_test\(NAME {room}/{name}\s+COMMAND (?:Python3::Interpreter|\$\{{Python3_EXECUTABLE\}})\s+"
                                    r"\"\$\{(\w+)\}/([\w/.]+)\"([^)]*)\)", text)
                base = {"PROJECT_SOURCE_DIR": ".", "CMAKE_CURRENT_SOURCE_DIR": folder}[command[1]]
                found[f"{room}/{name}"] = [f"{base}/{command[2]}", *command[3].split()]
    return found


def index_commands():
    """What `make index` runs."""
    recipe = re.search(r"^index:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    return [line.strip().removeprefix("@") for line in recipe.splitlines()]


def main():
    checks = static_checks()
    checks.pop("docs/adding_an_op", None)  # this one
    wrong = [] if len(checks) >= 11 else [f"only {len(checks)} checks of `make check` are found: {', '.join(checks)}"]
    with tempfile.TemporaryDirectory() as scratch:
        copy = pathlib.Path(scratch)
        for path in ROOT.iterdir():
            if path.name in FOLDERS:
                shutil.copytree(path, copy / path.name, ignore=shutil.ignore_patterns("__pycache__", "*.npz", "*.safetensors"))
            elif path.is_file():
                shutil.copy(path, copy / path.name)
        files = op_page.write(copy)
        if len(files) < 8:
            wrong.append(f"docs/adding_an_op.md has {len(files)} files, 8 were expected")
        for command in index_commands():
            result = subprocess.run(command, shell=True, cwd=copy, capture_output=True, text=True)
            if result.returncode != 0:
                wrong.append(f"`{command}` of make index fails with the files of docs/adding_an_op.md:\n{result.stdout}{result.stderr}")
        for name, command in checks.items():
            result = subprocess.run([sys.executable, *command], cwd=copy, capture_output=True, text=True)
            if result.returncode not in (0, 77):
                wrong.append(f"{name} fails with the files of docs/adding_an_op.md:\n{result.stdout}{result.stderr}")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(files)} files of the page, make index and {len(checks)} checks: nothing is left to do by hand")


if __name__ == "__main__":
    main()

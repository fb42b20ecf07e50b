"""Every file and folder of the repository that README.md, CONTRIBUTING.md and docs/ name is there. usage: paths_in_pages_test.py

A path stands between backquotes, in a link or in an #include, and is written from the repository's root, from
include/tandem, or from the page's own folder; a name alone is that of some file. <…>, * and {a,b} are patterns,
examples/NAME is a program. In docs/architecture.md whatever ends in a slash is a folder; elsewhere it may be a user's."""

import itertools
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted({*ROOT.glob("*/README.md"), *(ROOT / "docs").glob("*.md")})]
SOURCES = ("hpp", "cpp", "cu", "cuh", "py", "cmake", "sh", "md", "html", "h", "in")
TOP = {p.name for p in ROOT.iterdir() if p.is_dir() and not p.name.startswith(".") and p.name != "build"}
NAMES = {p.name for top in TOP for p in (ROOT / top).rglob("*")} | {p.name for p in ROOT.iterdir()}
# What a page asks its reader to write.
TO_BE_WRITTEN = {"docs/adding_an_op.md": {"include/tandem/formula/cube.hpp", "tandem/formula/cube.hpp", "kernels/cube.cu"}}


def variants(path):
    """a/{b,c} → a/b, a/c"""
    choice = re.search(r"\{([^{}]*)\}", path)
    if not choice:
        return [path]
    return itertools.chain(*(variants(path[:choice.start()] + one + path[choice.end():]) for one in choice[1].split(",")))


def exists(path, page):
    pattern = re.sub(r"<[^<>]*>|…|\*+", "*", path).rstrip("/")
    if pattern in NAMES or (ROOT / (pattern + ".cpp")).exists():
        return True
    for base in (ROOT, ROOT / "include", ROOT / "include" / "tandem", page.parent):
        if "*" in pattern:
            if any(base.glob(pattern)):
                return True
        elif (base / pattern).exists():
            return True
    return False


def named(page):
    """(line, path) of what a page names."""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", line):
            if "://" not in link:
                yield number, link
        for header in re.findall(r'#include "(tandem/[^"]+)"', line):
            yield number, header
        for quoted in re.findall(r"`([^`\n]+)`", line):
            for word in quoted.split():
                word = word.rstrip(".,;:")
                if not re.fullmatch(r"[\w.<>*{},…/-]+", word) or word.startswith(("/", "-", "..")):
                    continue
                is_source = word.rsplit(".", 1)[-1] in SOURCES and not word.startswith(".")
                is_folder = word.endswith("/") and page.name == "architecture.md"
                if is_source or is_folder or (word.split("/")[0] in TOP and "/" in word):
                    yield number, word


def main():
    wrong, count = [], 0
    for page in PAGES:
        for number, text in named(page):
            for path in variants(text):
                count += 1
                name = page.relative_to(ROOT).as_posix()
                if path not in TO_BE_WRITTEN.get(name, ()) and not exists(path, page):
                    wrong.append(f"{name}:{number}: there is no {path}")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{count} paths in {len(PAGES)} pages exist")


if __name__ == "__main__":
    main()

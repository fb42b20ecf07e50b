"""Every file and folder of the repository that README.md, CONTRIBUTING.md and docs/ name is there. usage: paths_in_pages_test.py

A path stands between backquotes, in a link or in an #include, and is written from the repository's root, from
include/tandem, or from the page's own folder; a name alone is that of some file. <…>, * and {a,b} are patterns,
examples/NAME is a program. In docs/architecture.md whatever ends in a slash is a folder; elsewhere it may be a user's.

The same of sections: where a comment or a page says [word §n], or `word.md` §n, docs/word.md has a section n; a link's #anchor
is a heading of its page. And what docs/paper_to_code.md names as code is a word of the sources."""

import itertools
import pathlib
import re
import sys

import op_page

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))
sys.dont_write_bytecode = True
import api_site  # noqa: E402

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted({*ROOT.glob("*/README.md"), *(ROOT / "docs").glob("*.md")})]
SOURCES = ("hpp", "cpp", "cu", "cuh", "py", "cmake", "sh", "md", "html", "h", "in")
TOP = {p.name for p in ROOT.iterdir() if p.is_dir() and not p.name.startswith(".") and p.name != "build"}
NAMES = {p.name for top in TOP for p in (ROOT / top).rglob("*")} | {p.name for p in ROOT.iterdir()}
# What a page asks its reader to write.
TO_BE_WRITTEN = {"docs/adding_an_op.md": {name.removeprefix(prefix) for name in op_page.files() for prefix in ("", "include/")}}


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


def sections():
    """(file, line, word, number) of every section of a page of docs/ that a comment or a page points to."""
    sources = [p for top in sorted(TOP) for p in sorted((ROOT / top).rglob("*"))
               if p.suffix.lstrip(".") in (*SOURCES, "txt") and p.is_file()]
    for path in [ROOT / "README.md", *sources]:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for word, cited in re.findall(r"\[([a-z][a-z_]*) ((?:§\d+(?:, (?=§))?)+)", line):
                yield from ((path, number, word, section) for section in re.findall(r"\d+", cited))
            for word, section in re.findall(r"([a-z_]+)\.md`?\)?,? §(\d+)", line):
                yield path, number, word, section


def anchors():
    """(page, line, target, anchor) of each link to a heading of a page; target "" is the page itself."""
    for page in PAGES:
        prose = re.sub(r"^```.*?^```", lambda m: "\n" * m[0].count("\n"), page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for number, line in enumerate(prose.splitlines(), 1):
            for target, anchor in re.findall(r"\]\(([\w./-]*\.md|)#([^)\s]+)\)", line):
                yield page, number, target, anchor


def headings(page):
    seen = {}
    return {api_site.slug_of(title, seen) for title in re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)}


def missing_names():
    """What docs/paper_to_code.md names in its last column that is no word of the sources."""
    words = set()
    for folder in ("include", "examples"):
        for path in (ROOT / folder).rglob("*.[hc]pp"):
            words |= set(re.findall(r"\w+", path.read_text()))
    for number, line in enumerate((ROOT / "docs" / "paper_to_code.md").read_text().splitlines(), 1):
        for name in re.findall(r"`([A-Za-z_]\w*(?:::\w+)*)`", line.rpartition(" | ")[2] if line.startswith("| ") else ""):
            if not set(name.split("::")) <= words:
                yield f"docs/paper_to_code.md:{number}: there is no {name} in the sources"


def main():
    wrong, count = list(missing_names()), 0
    for page, number, target, anchor in anchors():
        there = page.parent / target if target else page
        if there.is_file() and anchor not in headings(there):
            wrong.append(f"{page.relative_to(ROOT)}:{number}: {there.relative_to(ROOT)} has no heading #{anchor}")
    cited = 0
    for path, number, word, section in sections():
        cited += 1
        page = ROOT / "docs" / f"{word}.md"
        if not page.is_file() or not re.search(rf"^## {section} ", page.read_text(), re.MULTILINE):
            wrong.append(f"{path.relative_to(ROOT)}:{number}: docs/{word}.md has no section {section}")
    for page in PAGES:
        for number, text in named(page):
            for path in variants(text):
                count += 1
                name = page.relative_to(ROOT).as_posix()
                if path not in TO_BE_WRITTEN.get(name, ()) and not exists(path, page):
                    wrong.append(f"{name}:{number}: there is no {path}")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{count} paths in {len(PAGES)} pages and {cited} sections exist")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Plants small faults in the kernels, one at a time, and fails when the tests do not notice one.

Every file of kernels/*.cu and *.cuh is rewritten once so that each of its faults ("mutants") can be
chosen when the program runs (tests/simt/mutants.hpp), compiled for the executor of tests/simt, and
linked with the tests of tests/cuda. A first run writes down which mutants each test case comes past;
then each mutant is run against those test cases, the quick ones first, until one fails, crashes or
does not end. Those of the runtime (memory, streams, events, graphs) run once more with the arena, and
what lives through this runs under ThreadSanitizer: a missing barrier, elements that two threads write.

What is planted: a barrier dropped; a test that is always or never true; a term of a condition
dropped; < for <= and so on; + for - and back; operands of - and / exchanged; + for *; / for %;
constants one more and one less; a loop that ends after its first turn or strides too far; what is
added taken away, or not multiplied by; the first index of a loop cut to eight bits (sizes at which one of
32 overflows do not fit into a test); a call of CUDA dropped (event recorded or waited for, stream, copy,
capture).

What is not: comments, preprocessor lines, what the compiler must know (constexpr, template
arguments, sizes of arrays, launch bounds), checks that only throw, and how many blocks and threads a
launch has, unless the kernel counts on the shape of a block: a grid of any size must do, and the tests
run with small ones.

scripts/equivalent_mutants.txt lists those that change nothing that a test could see, with reasons.

A few stems can be looked at alone, in a program of their tests and kernels only; what lives through
these tests is then not decided, since others may notice it:

  mutate_kernels.py --file sum.cu --test sum --with sum --with arithmetic

usage: mutate_kernels.py [--file NAME]... [--test STEM]... [--with STEM]... [--list] [--jobs N]
                         [--no-race] [--results FILE]
"""

import argparse
import bisect
import collections
import concurrent.futures
import datetime
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "mutants"
EQUIVALENT = ROOT / "scripts" / "equivalent_mutants.txt"
RESULTS = ROOT / "tests" / "simt" / "mutation_results.md"
# What every test on a device needs, whichever op it is of.
FOUNDATION = {"runtime", "memory", "graph", "copy"}
ARENA_FILES = {"memory.cu", "runtime.cu", "graph.cu", "common.cuh", "runtime.cuh"}

# What happens in these calls, so that leaving one out is a fault (and compiles).
DROPPED_CALLS = r"(?:check|check_blas|refuse_waiting|count_wait|fill)\("
BARRIERS = r"__sync(?:threads|warp)\([^;]*\);|cp_async_\w+(?:<\w+>)?\([^;]*\);"

Mutant = collections.namedtuple("Mutant", "number file line text what")


class Source:
    """One file of kernels/, rewritten with the mutants that begin at number `first`."""

    def __init__(self, path, first):
        self.path, self.text = path, path.read_text()
        self.lines = [0] + [m.end() for m in re.finditer("\n", self.text)]
        self.code = blank(self.text)
        self.skipped = skipped_regions(self.code)
        self.edits, self.mutants, self.next = [], [], first
        self.depth_partner = brackets(self.code)
        self.for_heads = {m.end() - 1 for m in re.finditer(r"\bfor \(", self.code)}
        self.plant()

    # --- making mutants ---

    def number(self, at, what, count=1):
        first = self.next
        row = bisect.bisect_right(self.lines, at) - 1
        end = self.lines[row + 1] - 1 if row + 1 < len(self.lines) else len(self.text)
        text = " ".join(self.text[self.lines[row]:end].split())
        # The same operator may stand twice in a line: which of them is told by what follows it.
        after = " ".join(self.code[at:at + 24].split("\n")[0].split())
        for k in range(count):
            kind = what[k] if count > 1 else what
            self.mutants.append(Mutant(first + k, self.path.name, row + 1, text, f"{kind} at `{after}`"))
        self.next += count
        return first

    def insert(self, at, text, inner):
        """Insertions at one place keep the order of `inner`: what opens later or closes first is inner."""
        self.edits.append((at, at, inner, text))

    def replace(self, begin, end, text):
        self.edits.append((begin, end, 0, text))

    def wrap(self, begin, end, opening, closing):
        size = end - begin
        self.insert(begin, opening, -size)   # the wider one first
        self.insert(end, closing, size - 10**6)  # the narrower one first, all before what opens here

    def allowed(self, at):
        return not self.skipped[at] and not self.in_call(at, "blocks_for")

    def plant(self):
        code = self.code
        for m in re.finditer(BARRIERS, code):
            if self.allowed(m.start()):
                n = self.number(m.start(), "barrier dropped")
                self.wrap(m.start(), m.end(), f"{{ if (!mutants::on({n})) ", " }")
        for m in re.finditer(r"(?<![\w.>:])" + DROPPED_CALLS, code):
            begin, close = m.start(), self.depth_partner.get(m.end() - 1)
            if self.allowed(begin) and close and code[close + 1] == ";" and statement_begins(code, begin):
                n = self.number(begin, "call dropped")
                self.wrap(begin, close + 2, f"{{ if (!mutants::on({n})) ", " }")
        kinds = {"<": ("less", "<= for <"), "<=": ("less_equal", "< for <="), ">": ("greater", ">= for >"),
                 ">=": ("greater_equal", "> for >="), "==": ("equal", "!= for =="), "!=": ("not_equal", "== for !="),
                 "+": ("plus", "- for +"), "-": ("minus", ("+ for -", "operands exchanged")),
                 "*": ("times", "+ for *"), "/": ("divide", "operands exchanged"), "%": ("rest", "/ for %")}
        for m in re.finditer(r"(?<=[\w)\]}]) (<=|>=|==|!=|<|>|\+|-|\*|/|%)(?=[ \n])", code):
            begin, symbol = m.start(1), m.group(1)
            if not self.allowed(begin) or re.match(r"\s*nullptr", code[m.end():]) and symbol not in ("==", "!="):
                continue
            kind, what = kinds[symbol]
            two = isinstance(what, tuple)
            n = self.number(begin, what, 2 if two else 1)
            self.replace(begin, m.end(1), f"{symbol} mutants::Op<{n}, mutants::Kind::{kind}>() {symbol}")
        for m in re.finditer(r" (\+=|-=|\*=)(?=[ \n])", code):
            if not self.allowed(m.start()):
                continue
            begin = m.end()
            while code[begin] in " \n":
                begin += 1
            end = self.expression_end(begin)
            if self.in_for_increment(m.start(), end):
                n = self.number(m.start(1), ("loop of one turn", "stride one more"), 2)
                self.wrap(begin, end, f"mutants::stride<{n}>(", ")")
            elif m.group(1) == "*=":
                n = self.number(m.start(1), "factor dropped")
                self.wrap(begin, end, f"mutants::factor<{n}>(", ")")
            else:
                n = self.number(m.start(1), "sign changed")
                self.wrap(begin, end, f"mutants::added<{n}>(", ")")
        for m in re.finditer(r"(?<![\w.'])\d+(?![\w.'{])", code):
            if not self.allowed(m.start()):
                continue
            n = self.number(m.start(), ("one more", "one less"), 2)
            if self.in_call(m.start(), "launch") and not self.in_shape(m.start()):
                del self.mutants[-2:]  # a grid and a row of threads of any size must do, and the tests run with others
            elif m.group() == "0":
                del self.mutants[-1]
            self.wrap(m.start(), m.end(), f"mutants::constant<{n}>(", ")")
        for m in re.finditer(r"\b(if|while) \(", code):
            close = self.depth_partner[m.end() - 1]
            condition = code[m.end():close]
            if not self.allowed(m.end()) or re.search(r"[^=!<>]=[^=]", condition):
                continue
            if m.group(1) == "if":
                n = self.number(m.end(), ("always true", "never true"), 2)
                self.insert(close, f" || mutants::Force<{n}>()", 10**7)
            self.terms(m.end(), close)
        for m in re.finditer(r"[\w)\]] \?(?=[ \n])", code):
            if self.allowed(m.end() - 1):
                n = self.number(m.end() - 1, ("always true", "never true"), 2)
                self.insert(m.end() - 1, f"|| mutants::Force<{n}>() ", 10**7)
        # conditions that are not those of an if
        for m in re.finditer(r"(?:\breturn|[^=!<>+*|-]=|;)(?=[ \n])", code):
            begin = m.end()
            while code[begin] in " \n":
                begin += 1
            end = self.expression_end(begin, stop="?:")
            if m.group() == ";" and not self.in_for_head(m.start()):
                continue
            if self.allowed(begin) and re.search(r" (&&|\|\|)[ \n]", code[begin:end]):
                self.terms(begin, end)
        for m in re.finditer(r"\bfor \(std::int64_t \w+ = ", code):
            end = self.expression_end(m.end())
            if self.allowed(m.end()) and re.search(r" [-+*/%] ", code[m.end():end]):
                n = self.number(m.end(), "index of eight bits")
                self.wrap(m.end(), end, f"mutants::index<{n}>(", ")")

    def terms(self, begin, end):
        """Each operand of the || and && between the two, dropped."""
        for symbol, opening, what in (("||", "(!mutants::on({}) && (", "term of || dropped"),
                                      ("&&", "(mutants::on({}) || (", "term of && dropped")):
            parts, at, depth = [], begin, 0
            i = begin
            while i < end:
                c = self.code[i]
                if c in "([{":
                    i = self.depth_partner[i]
                elif self.code.startswith(symbol, i) and self.code[i - 1] == " ":
                    parts.append((at, i))
                    at = i + 2
                    i += 1
                i += 1
            parts.append((at, end))
            if len(parts) == 1:
                continue
            for b, e in parts:
                while self.code[b] in " \n":
                    b += 1
                while self.code[e - 1] in " \n":
                    e -= 1
                if re.match(r"[\w!(*]", self.code[b]):
                    n = self.number(b, what)
                    self.wrap(b, e, opening.format(n), "))")
                if symbol == "||":
                    self.terms(b, e)
            return

    # --- looking around ---

    def expression_end(self, at, stop=""):
        """Where the expression that begins at `at` ends: at a comma, semicolon or closing bracket."""
        i = at
        while i < len(self.code):
            c = self.code[i]
            if c in "([{":
                i = self.depth_partner[i]
            elif c == "<" and self.depth_partner.get(i):
                i = self.depth_partner[i]
            elif c in ",;)]}" or (c in stop and self.code[i - 1] == " "):
                break
            i += 1
        while self.code[i - 1] in " \n":
            i -= 1
        return i

    def in_for_head(self, at):
        return self.innermost(at) in self.for_heads

    def innermost(self, at):
        return max((b for b, e in self.depth_partner.items() if b < at < e), default=-1)

    def in_for_increment(self, at, end):
        """Whether the text is the last part of the head of a for loop."""
        return self.code[end] == ")" and self.innermost(at) in self.for_heads

    def in_call(self, at, name):
        for m in re.finditer(rf"\b{name}\(", self.code):
            if m.end() <= at < self.depth_partner[m.end() - 1]:
                return True
        return False

    def in_shape(self, at):
        """Whether this is a number of a block of two dimensions, whose kernel counts on its shape."""
        return any(re.match(r"\d+, \d+\)", self.code[m.end():]) and m.end() <= at < self.depth_partner[m.end() - 1]
                   for m in re.finditer(r"\bdim3\(", self.code))

    def rewritten(self):
        out, at = [], 0
        for begin, end, _, text in sorted(self.edits, key=lambda e: (e[0], e[2])):
            out.append(self.text[at:begin])
            out.append(text)
            at = max(at, end)
        out.append(self.text[at:])
        return "".join(out)


def blank(text):
    """The text, of the same length, with spaces for comments and preprocessor lines, and letters for strings."""
    def spaces(m):
        return re.sub(r"[^\n]", "s" if m.group()[0] in "\"'" else " ", m.group())
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\\n])+\'|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*',
                  spaces, text, flags=re.S | re.M)


def brackets(code):
    """Where each opening bracket closes; < and > of templates too."""
    partner, stack = {}, []
    for i, c in enumerate(code):
        if c in "([{":
            stack.append(i)
        elif c in ")]}":
            partner[stack.pop()] = i
    for m in re.finditer(r"(?<=\w)<|(?<=template )<|(?<=operator\(\))<", code):
        depth, i = 0, m.start()
        while i < len(code):
            if code[i] in "([{":
                i = partner[i]
            elif code[i] == "<" and (code[i - 1] != " " or i == m.start()):
                depth += 1
            elif code[i] == ">" and code[i - 1] != "-" and code[i - 1] != " ":
                depth -= 1
                if depth == 0:
                    partner[m.start()] = i
                    break
            elif code[i] == ";":
                break
            i += 1
    return partner


def skipped_regions(code):
    """For each character, whether nothing is planted there."""
    skip = bytearray(len(code))
    partner = brackets(code)

    def cut(begin, end):
        skip[begin:end] = b"\1" * (end - begin)
    for opening, closing in partner.items():
        if code[opening] == "<":
            cut(opening, closing + 1)
    for m in re.finditer(r"\b(?:TANDEM_CHECK|TANDEM_SHARED|TANDEM_SHARED_BYTES|TANDEM_KERNEL|static_assert|"
                         r"__launch_bounds__|alignas|tandem::fail|if constexpr |requires )\(", code):
        cut(m.start(), partner[m.end() - 1])
    for m in re.finditer(r"\b(?:using|enum|extern|typedef)\b[^;{]*[;{]|\bconstexpr\b[^;]*;|\bcase\b[^:]*:", code):
        if not code[:m.start()].endswith("if "):
            cut(m.start(), m.end())
    for m in re.finditer(r"\bconstexpr\b[^;{()]*(?:\([^{;]*\))\s*(?:const )?\{", code):  # functions
        cut(m.start(), partner[m.end() - 1])
    for m in re.finditer(r"\bbool register_\w+\(\) \{|\bregistered =|\binline constexpr", code):
        cut(m.start(), code.index(";", m.end()))
    # arrays: `T x[N], y[N];`, `T (&at)[N]`
    for m in re.finditer(r"(?:(?:^|[;{(])\s*|const |static )(?!return\b|else\b|delete\b)[\w:]+(?:<[^;=()]*>)?[ *&]+"
                         r"\w+(\[[^\]]*\])+", code, flags=re.M):
        cut(m.start(), m.end())
        rest = re.compile(r"(?:\s*,\s*\w+(?:\[[^\]]*\])+)*\s*[;=]").match(code, m.end())
        if rest:
            cut(m.end(), rest.end())
    for m in re.finditer(r"\(&\w+\)(\[[^\]]*\])+", code):
        cut(m.start(), m.end())
    for m in re.finditer(r"\.\.\.[^;]*", code):  # packs, folds
        line = code.rfind("\n", 0, m.start())
        if "&&" in code[line:m.end()]:
            cut(line + 1, code.index("\n", m.start()))
    return skip


def statement_begins(code, at):
    before = code[:at].rstrip()
    return before[-1] in ";{})" or before.endswith("else")


def kernel_sources():
    return sorted([*ROOT.glob("kernels/*.cu"), *ROOT.glob("kernels/*.cuh")], key=lambda p: (p.suffix, p.name))


def make_mutants():
    # A thousand numbers for each file, so that a change in one leaves the others as they are.
    sources = [Source(path, 1000 * (i + 1)) for i, path in enumerate(kernel_sources())]
    for source in sources:
        assert len(source.mutants) <= 1000, source.path
    return sources


def write_if_changed(path, text):
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def write_sources(sources, stems):
    """The rewritten kernels, in a folder; of the .cu files those of `stems` only, or all of them."""
    folder = BUILD / "kernels"
    texts = {path.name: path.read_text() for path in ROOT.glob("kernels/*.hpp")}
    texts.update((s.path.name, s.rewritten()) for s in sources
                 if s.path.suffix != ".cu" or not stems or s.path.stem in stems)
    for path in folder.glob("*"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        write_if_changed(folder / name, text)
    return folder


# --- building ---

def build(folder, options, thread_sanitizer=False):
    """The tests of tests/cuda on the executor, or those of some stems, with the kernels of `folder`."""
    place = BUILD / ("race" if thread_sanitizer else "plain")
    configure = ["cmake", "-S", str(ROOT), "-B", str(place), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=None",
                 "-DCMAKE_CXX_FLAGS=-O1 -DNDEBUG", f"-DTANDEM_MUTANTS={folder}", "-DTANDEM_CUDA=OFF",
                 "-DTANDEM_EXAMPLES=OFF", "-DTANDEM_TESTS=ON", f"-DTANDEM_DEVICE_TESTS={';'.join(options.test)}",
                 f"-DTANDEM_SANITIZE={'thread' if thread_sanitizer else ''}"]
    for command in (configure, ["cmake", "--build", str(place), "--target", "tandem_test_cuda_executor",
                                "--parallel", str(options.jobs)]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stdout + done.stderr)
    return place / "tests" / "simt" / "tandem_test_cuda_executor"


# --- running ---

def environment(**more):
    return {**os.environ, "TSAN_OPTIONS": "halt_on_error=1", **more}


class Lane:
    """A program, how it is run, and which test cases come past which mutants."""

    def __init__(self, program, *, arena=False, race=False):
        self.program, self.race = str(program), race
        self.settings = {"TANDEM_CUDA_POOL": "1"} if arena else {}
        self.before = ["setarch", "--addr-no-randomize"] if race else []
        self.tests = {}  # of a mutant: (seconds, name), the quick ones first

    def look_around(self, resume):
        """Runs everything once, without a mutant; with `resume` only if the program is newer than the last time."""
        report = BUILD / f"coverage{len(self.settings)}{int(self.race)}.txt"
        if not (resume and report.exists() and report.stat().st_mtime > os.stat(self.program).st_mtime):
            done = subprocess.run([*self.before, self.program], cwd=ROOT, capture_output=True, text=True,
                                  env=environment(TANDEM_MUTANTS_FILE=str(report), **self.settings))
            if done.returncode != 0:
                sys.exit("without a mutant the tests fail:\n" + done.stdout[-4000:] + done.stderr[-4000:])
        for line in report.read_text().splitlines():
            seconds, rest = line.split("|", 1)
            name, numbers = rest.rsplit("|", 1)
            for number in numbers.split():
                self.tests.setdefault(int(number), []).append((float(seconds), name))
        for tests in self.tests.values():
            tests.sort()

    def kills(self, mutant, tests, most):
        """How a test noticed the mutant, or None. `most`: no further tests after so many seconds' worth."""
        batches, size, before = [], 0.5, 0
        for seconds, name in tests:
            if before > most:
                break
            before += seconds
            if not batches or sum(s for s, _ in batches[-1]) + seconds > size:
                batches.append([])
                size *= 2
            batches[-1].append((seconds, name))
        for batch in batches:
            # A comma separates names; '?' stands for any character.
            names = ",".join(name.replace(",", "?").replace("\\", "?") for _, name in batch)
            limit = 30 + 20 * sum(s for s, _ in batch)
            try:
                done = subprocess.run([*self.before, self.program, f"--test-case={names}", "--abort-after=1"], cwd=ROOT,
                                      capture_output=True, timeout=limit,
                                      env=environment(TANDEM_MUTANT=str(mutant.number), **self.settings))
            except subprocess.TimeoutExpired:
                return "does not end"
            if done.returncode != 0:
                return "fails" if done.returncode == 1 else "race" if done.returncode == 66 else "crashes"
            if b"test cases: 0 " in done.stdout.replace(b"  ", b" "):
                sys.exit(f"no test case is called {names}")
        return None


def judge(mutant, plain, arena, race, options, deadline):
    """(lane that killed it, "undecided" or None, how)"""
    if time.time() > deadline:
        return "undecided", "not run"
    tests, most = plain.tests.get(mutant.number, []), options.most
    how = plain.kills(mutant, tests, most)
    if how:
        return "plain", how
    if arena and mutant.file in ARENA_FILES:
        how = arena.kills(mutant, arena.tests.get(mutant.number, []), most)
        if how:
            return "plain", how
    if race:
        how = race.kills(mutant, tests, most)
        if how:
            return "race", how
    if options.test:
        return "undecided", "not run with all tests"
    reached = tests or (arena and arena.tests.get(mutant.number))
    if sum(s for s, _ in tests) > most:
        return "undecided", "not run with all tests"
    return None, "" if reached else "no test comes past it"


# --- the list of equivalent mutants ---

def equivalents():
    """Entries of the list: file, line, mutants (their beginnings), reason."""
    entries = []
    for block in re.split(r"\n\s*\n", EQUIVALENT.read_text()):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        if not lines:
            continue
        entry = {"file": lines[0].strip(), "used": 0}
        for line in lines[1:]:
            key, value = line.strip().split(": ", 1)
            entry.setdefault(key, []).append(value)
        if set(entry) != {"file", "used", "line", "mutant", "why"}:
            sys.exit(f"{EQUIVALENT.name}: an entry needs line, mutant and why:\n{block}")
        entries.append(entry)
    return entries


def excuse(mutant, entries):
    for entry in entries:
        if entry["file"] == mutant.file and mutant.text in entry["line"] and \
                any(mutant.what.startswith(m) for m in entry["mutant"]):
            entry["used"] += 1
            return entry["why"][0]
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--file", action="append", default=[], help="mutants of this file of kernels/ only")
    parser.add_argument("--test", action="append", default=[], metavar="STEM",
                        help="with the tests of tests/cuda/STEM_test.cpp only: what survives is not decided")
    parser.add_argument("--with", action="append", default=[], metavar="STEM", dest="with_kernels",
                        help="link only kernels/STEM.cu and those that every test needs")
    parser.add_argument("--what", default="", help="mutants whose description matches this expression only")
    parser.add_argument("--list", action="store_true", help="print the mutants and run nothing")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--no-arena", dest="arena", action="store_false", help="without the arena")
    parser.add_argument("--no-race", action="store_true", help="without ThreadSanitizer")
    parser.add_argument("--most", type=float, default=float("inf"),
                        help="per mutant, no further test case after so many seconds' worth: what survives is a suspect")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no mutant after so long")
    parser.add_argument("--resume", action="store_true", help="keep what an earlier run has found to be killed")
    parser.add_argument("--program", help="what was built before, instead of building")
    parser.add_argument("--race-program", help="the same, with ThreadSanitizer")
    parser.add_argument("--results", help="write the table here; by default, after a whole run, to " + str(RESULTS))
    options = parser.parse_args()
    begin = time.time()
    deadline = begin + 60 * options.minutes

    sources = make_mutants()
    entries = equivalents()
    everything = [m for s in sources for m in s.mutants]
    excused = {m.number: excuse(m, entries) for m in everything}
    stale = [e for e in entries if e["used"] == 0]
    wanted = [m for m in everything if (not options.file or m.file in options.file)
              and re.search(options.what, m.what)]
    if options.list:
        for m in wanted:
            print(f"{m.number} {m.file}:{m.line}: {m.what}\t{m.text}" + ("\t(equivalent)" if excused[m.number] else ""))
        return
    folder = write_sources(sources, FOUNDATION | set(options.with_kernels) if options.with_kernels else set())
    plain = Lane(options.program or build(folder, options))
    plain.look_around(options.resume)
    arena = Lane(plain.program, arena=True) if options.arena else None
    if options.arena and (not options.file or ARENA_FILES & set(options.file)):
        arena.look_around(options.resume)
    race = None
    if not options.no_race:
        race = Lane(options.race_program or build(folder, options, thread_sanitizer=True), race=True)
    print(f"{len(wanted)} mutants, ready after {time.time() - begin:.0f} s", flush=True)

    state = BUILD / "killed.txt"
    known = {}
    if options.resume and state.exists():
        known = dict(line.split("\t") for line in state.read_text().splitlines())
    keys, seen = {}, collections.Counter()
    for m in everything:
        key = f"{m.file}|{m.text}|{m.what}"
        seen[key] += 1
        keys[m.number] = f"{key}|{seen[key]}"
    verdict, todo = {}, []
    for m in wanted:
        if excused[m.number]:
            verdict[m.number] = ("equivalent", excused[m.number])
        elif keys[m.number] in known:
            verdict[m.number] = (known[keys[m.number]], "")
        else:
            todo.append(m)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool, state.open("a" if options.resume else "w") as out:
        runs = {pool.submit(judge, m, plain, arena, race, options, deadline): m for m in todo}
        for n, run in enumerate(concurrent.futures.as_completed(runs), 1):
            m = runs[run]
            lane, how = run.result()
            verdict[m.number] = (lane, how)
            if lane in ("plain", "race"):
                out.write(f"{keys[m.number]}\t{lane}\n")
                out.flush()
            elif how != "not run":
                print(f"{'SUSPECT' if lane else 'SURVIVES'} {m.number} {m.file}:{m.line}: {m.what}: {m.text}" + (f" ({how})" if how else ""),
                      flush=True)
            if n % 100 == 0:
                print(f"{n} of {len(todo)}, {time.time() - begin:.0f} s", flush=True)

    rows = []
    for source in sources:
        mine = [m for m in wanted if m.file == source.path.name]
        count = collections.Counter(verdict[m.number][0] for m in mine)
        if mine:
            rows.append((source.path.name, len(mine), count["plain"], count["race"], count["equivalent"], count[None],
                         count["undecided"]))
    rows.append(("all", *(sum(r[i] for r in rows) for i in range(1, 7))))
    survivors = [m for m in wanted if verdict[m.number][0] is None]
    whole = not options.file and not options.what
    path = options.results or (RESULTS if whole else None)
    table = results(rows, survivors, entries if whole else [], time.time() - begin, race is not None, options.resume,
                    options.test)
    if path:
        pathlib.Path(path).write_text(table)
    print(table)
    for e in stale:
        print(f"{EQUIVALENT.name}: nothing matches\n  {e['file']}: {e['line']}: {e['mutant']}")
    undecided = sum(verdict[m.number][0] == "undecided" for m in wanted)
    sys.exit(1 if survivors or stale or undecided else 0)


def machine():
    try:
        names = re.findall(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
        return f"{os.cpu_count()} cores, {names[0]}" if names else platform.machine()
    except OSError:
        return platform.machine()


def results(rows, survivors, entries, seconds, race, resumed, tests):
    out = ["# Mutants of the kernels", "",
           "Written by `make mutate` (scripts/mutate_kernels.py), which says what is planted and what is not.", "",
           f"{datetime.date.today()}, {machine()}, {seconds / 60:.0f} minutes"
           + ("" if race else ", without the race lane") + (", what an earlier run had killed is kept" if resumed else "")
           + (", with the tests " + ", ".join(tests) if tests else "")
           + ". Not decided: not run yet, or alive after only some of the tests that come past it.", "",
           "| file | mutants | killed | killed in the race lane only | equivalent | survivors | not decided |",
           "|---|---:|---:|---:|---:|---:|---:|"]
    out += ["| " + " | ".join(str(x) for x in row) + " |" for row in rows]
    if survivors:
        out += ["", "## Survivors", ""]
        out += [f"- {m.file}: {m.what} in `{m.text}`" for m in survivors]
    if entries:
        out += ["", "## Equivalent", ""]
        out += [f"- {e['file']} ({e['used']}): {e['why'][0]}" for e in entries]
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    main()

"""The numbers and flags of every program: each numeric option that --help lists refuses what is no number, is not
finite or does not fit, in one short sentence that names it, and a second value beside the first; each flag in a config file
is true or false and nothing else.

usage: program_options_test.py FOLDER_WITH_THE_PROGRAMS FOLDER_OF_THE_SOURCES
"""
import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys
import tempfile

programs, sources = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
scratch = tempfile.TemporaryDirectory(prefix="tandem-options-")


def run(*words):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, cwd=scratch.name)


def refused(program, *words):
    result = run(program, *words)
    lines = result.stderr.splitlines()
    assert result.returncode == 2 and len(lines) == 2 and len(lines[0]) < 400, (program.name, words, result)
    return lines[0]


found = sorted(p.stem for p in sources.glob("*.cpp") if "cli::run(" in p.read_text())
assert len(found) > 10, found


def examine(name):
    """How many numbers, flags and options that may be given once a program has."""
    numbers = flags = once = 0
    config = pathlib.Path(scratch.name) / (name + ".json")
    program = programs / name
    if not program.exists():  # where the video library is missing, extract_features is not built
        print("not here:", name)
        return 0, 0, 0
    text = run(program, "--help").stdout
    options = re.findall(r"^  (?:-\w,)?(--[\w-]+)(?: (\S+)(.*))?", text, re.M)
    assert "--help" in [o for o, _, _ in options], text
    for option, kind, more in options:
        # The word after a flag is its help, which starts with a capital and goes on in small letters.
        if re.match(r"(INT|UINT|FLOAT)\b", kind):
            integer = kind[0] in "IU"
            wrongs = ["99999999999999999999", "1.5", "many", ""] if integer else ["nan", "inf", "1e999", "1x"]
            # All options are read by the same two functions: each is asked two of the ways to be wrong, in turn.
            for wrong in (wrongs[numbers % 4], wrongs[(numbers + 2) % 4]):
                said = refused(program, option + "=" + wrong if wrong else option + "=''")
                assert option in said, (name, said)
            if "..." not in more:  # no list
                said = refused(program, option, "1", option, "2")
                assert f"{option} was given 2 times, with the values '1' and '2'; it may be given once" in said, (name, said)
                once += 1
            numbers += 1
        elif kind == "" or re.match(r"[A-Z][a-z]", kind):
            if option in ("--help", "--config") or "--config" not in text:
                continue
            for wrong in ("", 1):
                config.write_text(json.dumps({option[2:]: wrong, "version": "0"}))
                said = refused(program, "--config", config)
                assert option[2:] in said and "expected true or false" in said, (name, said)
            # False is read; the key behind it keeps the program from starting to work.
            config.write_text(json.dumps({option[2:]: False, "no-such-key": 1, "version": "0"}))
            said = refused(program, "--config", config)
            assert "unknown key" in said and "no-such-key" in said, (name, said)
            flags += 1
    if "--config" in text:
        last = [o for o, _, _ in options if o not in ("--help", "--config")][-1]
        config.write_text(json.dumps({last[2:] + "x": 1}))
        assert "did you mean" in refused(program, "--config", config)
    return numbers, flags, once


# Hundreds of short processes, which mostly wait for each other's end: programs are looked at two at a time.
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    numbers, flags, once = map(sum, zip(*pool.map(examine, found)))
assert numbers > 60 and flags > 10 and once > 50, (numbers, flags, once)

# The ranges of CLI11 print 309 digits and take NaN.
for path in [*sources.glob("*.cpp"), *sources.glob("*.hpp")]:
    for word in ("CLI::Range", "CLI::PositiveNumber", "CLI::NonNegativeNumber"):
        assert word not in path.read_text(), f"{path}: use cli::range, cli::positive or cli::non_negative, not {word}"

print(f"{numbers} numbers and {flags} flags of {len(found)} programs")

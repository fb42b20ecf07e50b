"""The first programs learn what they say: mlp, custom_op, digits_cnn, char_transformer, whose run also goes on from its
checkpoint to the bits of an uninterrupted one. All answer --help, and refuse what they do not know.

usage: first_programs_test.py FOLDER_WITH_THE_PROGRAMS
"""
import pathlib
import re
import subprocess
import sys
import tempfile

programs = pathlib.Path(sys.argv[1])
with tempfile.TemporaryDirectory() as scratch:
    work = pathlib.Path(scratch)

    def start(program, *words, status=0):
        done = subprocess.run([str(word) for word in (programs / program, *words)], capture_output=True, text=True)
        assert done.returncode == status, (program, words, done.stdout, done.stderr)
        return done.stdout if status == 0 else done.stderr

    def run(*words, status=0):
        return start("char_transformer", *words, status=status)

    for program, least, words in [("mlp", 99, []), ("custom_op", 94, []),
                                  ("digits_cnn", 85, ["--steps", 200, "--out", work / "digits.safetensors"])]:
        shares = re.findall(r"([0-9.]+) %", start(program, *words))
        assert shares and float(shares[-1]) >= least, (program, shares)

    for program in ("mlp", "custom_op", "digits_cnn", "char_transformer"):
        explained = start(program, "--help").splitlines()
        assert len(explained) >= 2 and any(line.startswith(f"Usage: {program}") for line in explained), (program, explained)
        for wrong in ("--stepz", "word"):
            said = start(program, wrong, status=2)
            assert wrong in said and f"{program} --help" in said and len(said.splitlines()) == 2, (program, said)
    for program in ("mlp", "custom_op"):
        assert len(start(program, "--help").splitlines()) == 2
        assert "'7' is not known" in start(program, "--help", "7", status=2)

    run("--steps", 60, "--out", work / "a")
    said = run("--steps", 60, "--out", work / "a", "--resume")
    whole = run("--steps", 120, "--out", work / "b")
    assert (work / "a").read_bytes() == (work / "b").read_bytes()
    losses = [float(line.split()[-1]) for line in (said + whole).splitlines() if line.startswith("step 100")]
    assert len(losses) == 2 and losses[0] == losses[1] < 2, losses  # ln 256 = 5.5 at the start
    text = work / "text"
    text.write_text("abcd" * 20)
    said = run("--text", text, "--steps", 60, "--out", work / "c", "--prompt", "abcdabcdabcd")
    assert said.splitlines()[-1].startswith("abcdabcdabcdabcdabcdabcd"), said
    text.write_text("abcd")
    assert "has 4 bytes, expected more than 32" in run("--text", text, "--out", work / "c", status=1)
    assert "nothing: " in run("--resume", "--out", work / "nothing", status=1)
print("the first programs learn; char_transformer resumes to the same bits, and writes")

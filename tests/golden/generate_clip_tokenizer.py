"""Texts, what the tokenizer of the CLIP release makes of them, and a small vocabulary for tests that
have no data.

    python tests/golden/generate_clip_tokenizer.py VOCABULARY   # needs open_clip_torch, ftfy, regex

VOCABULARY is the release's bpe_simple_vocab_16e6.txt.gz. Writes clip_tokenizer.json:
  merges         the small vocabulary: the release's first 1200 merges
  cases          text (or the hexadecimal bytes of what is not UTF-8), its clean form, the ids and the
                 decoded text with the small vocabulary, the ids with the release's
"""
import gzip
import importlib.metadata
import json
import pathlib
import platform
import random
import sys
import tempfile
import unicodedata

from clip_tokenizer_reference import Reference, WORDS, clean, random_text

SEED = 7
TEXTS = ["", " ", "a", "A photo of a person doing Clean and Jerk.", "don't STOP me now 1234",
         "  Salt &amp;amp;\n Pepper ", "&notit; &amp;lt; &#128; &#x110000; &#11;x", "ΣΑΣ ΑΣ. ΑΣ'Α Σ",
         "x" * 300, "ab" * 100 + "a", "\x1c\x1d edge \x1f", "a\x1cb", "İI", "'ſ", "a\u0345b", "it’s a person’s cafe\u0301", "a\r\nb\rc", "<\n&amp;amp;amp;lt;", "&amp;amp;amp;lt;\n<", "</w>", "<|endoftext|>",
         "<|startoftext|>a<|EndOfText|>"]
BYTES = [b"\xff", b"ab\x80cd", b"\xf0\x9f\x98", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"\xc0\xaf",
         b"\xe2\x82x", b"\xf4\x90\x80\x80", b"\xe0\x80\x80", b"\xf1\x80\x80\xf1\x80\xf1", b"\xc3"]


def main():
    vocabulary = sys.argv[1]
    lines = gzip.open(vocabulary).read().decode().split("\n")
    small = "#version: 0.2\n" + "\n".join(lines[1:1201]) + "\n"
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "small.txt.gz"
        path.write_bytes(gzip.compress(small.rstrip("\n").encode()))
        tiny, full = Reference(path), Reference(vocabulary)

    rng = random.Random(SEED)
    inputs = [(text, {"text": text}) for text in TEXTS + WORDS + [random_text(rng) for _ in range(120)]]
    inputs += [(b.decode("utf-8", "replace"), {"hex": b.hex()}) for b in BYTES]
    cases = []
    for text, entry in inputs:
        ids = tiny.encode(text)
        cases.append({**entry, "clean": clean(text), "ids": ids, "decoded": tiny.decode(ids),
                      "release_ids": full.encode(text)})
    out = pathlib.Path(__file__).resolve().parent / "clip_tokenizer.json"
    out.write_text(json.dumps({
        "provenance": {
            "generator": "tests/golden/generate_clip_tokenizer.py", "seed": SEED,
            "python": platform.python_version(), "unicodedata": unicodedata.unidata_version,
            **{p: importlib.metadata.version(p) for p in ("open_clip_torch", "ftfy", "regex")},
            "vocabulary": "openai/CLIP bpe_simple_vocab_16e6.txt.gz (MIT), its first 1200 merges"},
        "merges": small,
        "cases": cases}, ensure_ascii=True, indent=0, separators=(",", ":")) + "\n")
    print(f"{out}: {len(cases)} cases, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()

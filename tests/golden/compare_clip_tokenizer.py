"""Compares tandem's tokenizer with two others on generated texts; prints every difference.

    python tests/golden/compare_clip_tokenizer.py VOCABULARY [--program build/release/examples/tokenize]
        [--count 10000] [--seed 0]            # needs open_clip_torch, ftfy, regex, transformers

VOCABULARY is the release's bpe_simple_vocab_16e6.txt.gz; nothing is downloaded.

OpenAI       open_clip's copy of simple_tokenizer.py, with ftfy.fix_text without its repair of encodings
             (clip_tokenizer_reference.py), on every text. Then, on words garbled by a wrong encoding, how often
             that repair would change the ids, and how many of these texts tandem names in a note.
Hugging Face transformers' CLIPTokenizer, built from the vocabulary file. It is the tokenizer with its own
             expression (Split), not the slow one of transformers 4 that without ftfy falls back to
             BasicTokenizer, which puts spaces around Chinese characters and so departs from OpenAI's. It
             also departs from it in several ways, so the texts it gets are prepared:
             it does nothing of what ftfy does but composing characters (NFC) and unescapes no HTML, so that is
             done before; it lower-cases a final sigma as any other; ſ is no s after an
             apostrophe; and special tokens in a text are found before anything else. Texts with
             Σ, ſ, U+0345, a special token or characters newer than Python's unicodedata are left out.
"""
import argparse
import html
import json
import random
import subprocess
import sys
import unicodedata

import ftfy
from clip_tokenizer_reference import Reference, WORDS, clean, random_text


def ours(program, vocabulary, texts):
    lines = "".join(json.dumps(t) + "\n" for t in texts)
    run = subprocess.run([program, "--vocabulary", vocabulary, "--json"], input=lines.encode(),
                         capture_output=True, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def notes(program, vocabulary, texts):
    """Which of the texts tandem says to have been decoded with a wrong encoding, by their numbers."""
    lines = "".join(json.dumps(t) + "\n" for t in texts)
    run = subprocess.run([program, "--vocabulary", vocabulary, "--json"], input=lines.encode(),
                         capture_output=True, check=True)
    return {int(line.split(b"line ")[1].split(b":")[0]) - 1
            for line in run.stderr.splitlines() if b"wrong encoding" in line}


def garbled(rng):
    """Words of which one, or all, were written as UTF-8 and read as something else."""
    words = [rng.choice(WORDS + ["naïve", "café", "it’s", "“well”", "señor", "Zoë", "smörgåsbord", "fiancée", "50 €"])
             for _ in range(rng.randint(1, 6))]
    at = rng.randrange(len(words))
    encoding = rng.choice(["latin-1", "windows-1252"])
    if rng.random() < 0.3:
        return " ".join(words)
    words[at] = words[at].encode().decode(encoding, "replace")
    return " ".join(words)


def hugging_face(reference):
    from transformers import CLIPTokenizer
    merges = sorted(reference.bpe_ranks, key=reference.bpe_ranks.get)
    return CLIPTokenizer(vocab=dict(reference.encoder), merges=merges)


def prepared(text):
    """The text as Hugging Face must get it, or None."""
    text = html.unescape(html.unescape(ftfy.fix_text(text, fix_encoding=False)))
    if html.unescape(ftfy.fix_text(text, fix_encoding=False)) != text:  # another round would change it
        return None
    if any(c in "Σſ\u0345" or unicodedata.category(c) in ("Cn", "Cs") for c in text):
        return None
    # str.strip takes the separators 1C to 1F, Hugging Face does not strip.
    if text.strip() != text.strip(" \t\n\r\x0b\x0c\x85\u00a0\u2028\u3000"):
        return None
    return None if "<|" in text else text


def compare(name, texts, expected, found):
    wrong = [i for i in range(len(texts)) if expected[i] != found[i]]
    for i in wrong[:20]:
        print(f"{name} differs on {texts[i]!r}:\n  theirs {expected[i]}\n  ours   {found[i]}")
    print(f"{name}: {len(texts) - len(wrong)} of {len(texts)} texts have equal ids")
    return not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("vocabulary")
    parser.add_argument("--program", default="build/release/examples/tokenize")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    reference = Reference(args.vocabulary)

    texts = [random_text(rng) for _ in range(args.count)]
    good = compare("OpenAI", texts, [reference.encode(t) for t in texts],
                   ours(args.program, args.vocabulary, texts))

    # How far the repair of encodings goes, and whether the program says so.
    texts = [garbled(rng) for _ in range(args.count)]
    repaired = {i for i, t in enumerate(texts) if clean(t, True) != clean(t)}
    named = notes(args.program, args.vocabulary, texts)
    print(f"wrong encodings: ftfy repairs {len(repaired)} of {len(texts)} texts, tandem names {len(named & repaired)} of "
          f"them, and {len(named - repaired)} that ftfy leaves alone")
    for i in sorted(repaired - named)[:10]:
        print(f"  not named: {texts[i]!r} → {clean(texts[i], True)!r}")
    for i in sorted(named - repaired)[:10]:
        print(f"  only named: {texts[i]!r}")

    texts = []
    while len(texts) < args.count:
        text = prepared(random_text(rng))
        if text is not None:
            texts.append(text)
    ids = hugging_face(reference)(texts, add_special_tokens=False)["input_ids"]
    good &= compare("Hugging Face", texts, [list(i) for i in ids],
                    ours(args.program, args.vocabulary, texts))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

"""Compares tandem's tokenizer with two others on generated texts; prints every difference.

    python tests/golden/compare_clip_tokenizer.py VOCABULARY [--program build/release/examples/tokenize]
        [--count 10000] [--seed 0]            # needs open_clip_torch, regex, transformers

VOCABULARY is the release's bpe_simple_vocab_16e6.txt.gz; nothing is downloaded.

OpenAI       open_clip's copy of simple_tokenizer.py without ftfy (clip_tokenizer_reference.py), on every
             text.
Hugging Face transformers' CLIPTokenizer, built from the vocabulary file. It is the tokenizer with its own
             expression (Split), not the slow one of transformers 4 that without ftfy falls back to
             BasicTokenizer, which puts spaces around Chinese characters and so departs from OpenAI's. It
             also departs from it in five ways, so the texts it gets are prepared:
             it unescapes no HTML, so that is done before; it composes characters (NFC), so texts are
             composed before both; it lower-cases a final sigma as any other; ſ is no s after an
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

from clip_tokenizer_reference import Reference, random_text


def ours(program, vocabulary, texts):
    lines = "".join(json.dumps(t) + "\n" for t in texts)
    run = subprocess.run([program, "--vocabulary", vocabulary, "--json"], input=lines.encode(),
                         capture_output=True, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def hugging_face(reference):
    from transformers import CLIPTokenizer
    merges = sorted(reference.bpe_ranks, key=reference.bpe_ranks.get)
    return CLIPTokenizer(vocab=dict(reference.encoder), merges=merges)


def prepared(text):
    """The text as Hugging Face must get it, or None."""
    text = unicodedata.normalize("NFC", html.unescape(html.unescape(text)))
    if html.unescape(text) != text:  # a third round would change it: tandem would do that
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

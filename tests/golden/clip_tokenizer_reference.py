"""The tokenizer of the CLIP release, and texts to try it on, for the two scripts beside this one.

The reference is open_clip's SimpleTokenizer, a copy of OpenAI's simple_tokenizer.py (MIT), with the
three places put back where it departs from the original: the names of the two special tokens, the
expression that has them, and the cleaning of spaces by the expression \\s. ftfy.fix_text is called first, as
in the original, but without its repair of text that was decoded with a wrong encoding, which tandem does not do.
"""
import html
import random

import ftfy
import regex
from open_clip.tokenizer import SimpleTokenizer

PATTERN = (r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|"
           r"[^\s\p{L}\p{N}]+")


def clean(text, fix_encoding=False):
    text = html.unescape(html.unescape(ftfy.fix_text(text, fix_encoding=fix_encoding))).strip()
    return regex.sub(r"\s+", " ", text).strip().lower()


class Reference(SimpleTokenizer):
    def __init__(self, path):
        super().__init__(str(path))
        special = ["<|startoftext|>", "<|endoftext|>"]
        for token, old in zip(special, self.all_special_ids):
            del self.encoder[self.decoder[old]]
            self.encoder[token] = old
            self.decoder[old] = token
        self.cache = {t: t for t in special}
        self.pat = regex.compile(PATTERN, regex.IGNORECASE)
        self.clean_fn = clean

    def bpe(self, token):
        out = super().bpe(token)
        if len(self.cache) > 100000:
            self.cache = {t: t for t in ("<|startoftext|>", "<|endoftext|>")}
        return out


WORDS = ("a photo of the person doing baseball pitch clean and jerk throw discus I'm you're they've "
         "we'll he'd don't it's CAN'T O'Neil's 's 'll ''t rock'n'roll naïve café brûlée Straße "
         "İstanbul ΟΔΥΣΣΕΥΣ ΣΑΣ'Σ Σ. ǅungla ſtop 'ſ ﬁne Ａｂｃ привет мир ПРИВЕТ 日本語 한국어 العربية "
         "हिन्दी ไทย ½ ² Ⅻ ٣٤ 12345 3.14 1e-5 e\u0301 n\u0303o x\u0345y 👩‍👩‍👧 🎉🎊 🇩🇪 ... --- !!! #1 @you "
         "<|startoftext|> <|ENDOFTEXT|> <|endoftext|>now <|startof </w> a</w> &amp; &amp;amp; &lt;b&gt; "
         "&notit; &not &copy &NewLine; &#65; &#x1F600; &#x80; &#0; &#xD800; &#99999999; &#; &#x; &x; & && "
         "it’s “quoted” ‘single’ ʼn ŉ Ĳ ǆ ﬂuﬃer ﬆ ＬＯＵＤ ﾀｰﾝ ﾊﾟ ￦ ＆ａｍｐ； a\x80b\x85c\x9f \ufeffbom \x00nul\x07 \x7f "
         "\u206aold \ufff9x\ufffay\ufffb \ufffc \x1b[31mred\x1b[0m \x1b[1;２m \x1b[٣k \x1b[ \x1b &NTILDE; &SZLIG; &nTILDE; "
         "&HELLIP; &#59; &#12x; &#x206A; &am&#112;; &amp;amp;amp;lt; &amp;amp;amp;amp;#65; <b> e\u0302\u0323 "
         "a\u0315\u0300\u0301 \u1112\u1161\u11ab \uac00\u11a8 \u212b\u2126\u037e \u0958 \u2adc \u0344 \u09c7\u09be \U0001d15e "
         "&ThickSpace; &acE; &CounterClockwiseContourIntegral; &amp;eacute; &Sigma; https://a.b/c?d=e&f=g").split()
SPACES = [" ", " ", " ", "  ", "\n", "\t", "\r\n", "\r", "\u00a0", "\u3000", "\u2028", "\u2029", "\x1c", "\x85", "\x0b", ""]
# Where marks, widths and controls are.
RANGES = [(0x7F, 0xA0), (0x2B0, 0x370), (0x1100, 0x1200), (0x1AB0, 0x1B00), (0x1DC0, 0x2070), (0x900, 0xA00),
          (0xAC00, 0xD7A4), (0xF900, 0x10000), (0x1D100, 0x1D200), (0x11080, 0x110C0), (0x0, 0x20)]


def random_text(rng: random.Random):
    """A text of words and odd characters."""
    parts = []
    for _ in range(rng.randint(0, 12)):
        kind = rng.random()
        if kind < 0.6:
            word = rng.choice(WORDS)
            parts.append(word.upper() if rng.random() < 0.15 else word)
        elif kind < 0.75:
            parts.append("".join(chr(rng.randint(33, 126)) for _ in range(rng.randint(1, 12))))
        elif kind < 0.8:
            parts.append("".join(rng.choice("aeinorst") for _ in range(rng.randint(1, 30))))
        elif kind < 0.9:
            low, high = rng.choice(RANGES)
            parts.append(rng.choice(["", "a", "e", "가"]) +
                         "".join(chr(rng.randrange(low, high)) for _ in range(rng.randint(1, 5))))
        else:
            high = rng.choice([0x180, 0x600, 0x3000, 0x10000, 0x20000, 0x110000])
            codes = [rng.randint(0, high - 1) for _ in range(rng.randint(1, 6))]
            parts.append("".join(chr(c) for c in codes))
        parts.append(rng.choice(SPACES))
    return "".join(c for c in "".join(parts) if not 0xD800 <= ord(c) < 0xE000)

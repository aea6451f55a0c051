"""Texts that tokenizers trip over, the same ones each time: what tokenizer_parity.py and tokenizer_kinds.py compare with.

texts(count, seed) gives strings; byte_texts(count, seed) gives bytes that are no UTF-8.
"""

import random

ALPHABETS = [
    (0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x370, 0x3FF), (0x400, 0x4FF), (0x531, 0x587), (0x5D0, 0x5EA), (0x620, 0x6D3), (0x904, 0x939),
    (0x985, 0x9B9), (0xE01, 0xE3A), (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x13A0, 0x13F5), (0x1E00, 0x1EFF), (0x1F00, 0x1FFC), (0x3041, 0x3096),
    (0x30A1, 0x30FA), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0xF900, 0xFAD9), (0x10400, 0x1044F), (0x1D400, 0x1D7FF), (0x20000, 0x2A6D0),
]
WORDS = (
    "the What HELLO world camelCase HTTPServer don't I'm we'LL they've you're O'Neil's 'Tis IT'S he'ſ naïve Straße ΟΔΥΣΣΕΥΣ İstanbul ıspanak fiancée "
    "résumé 東京 你好 안녕하세요 привет мир سلام שלום สวัสดี नमस्ते ქართული 3.14159 1,000,000 12345678901234567890 ²³ Ⅻ ½ １２３ ٣٤٥ x86_64 foo_bar() "
    "return; /usr/bin/env https://example.org/a?b=c#d #include <vector> {\"a\":[1,2]} e.g. Mr. -- — … «quoted» “curly” „low“ ‚x‘ $5.00 €7 100% a+b=c "
    "C++ @user a&b \\n \\u0041 <b>bold</b> 🙂 👩‍👩‍👧‍👦 🇩🇪🇫🇷 👍🏽 ❤️ ☂ ﷽ ﬁ ǆ Å Å Ω Ω é é ẛ̣ 각 각 ▁ ▁▁x <0x0A> <0xE2> ⁇ \u200b \ufeff").split()
LOOKALIKES = [
    "<s>", "</s>", "<unk>", "<pad>", "[INST]", "[/INST]", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|begin_of_text|>", "<|eot_id|>", "<|eot_id",
    "<ImageHere>", "<AudioHere>", "<ImageHere", "ImageHere>", "[CLS]", "[SEP]", "[UNK]", "[MASK]", "[PAD]", "[cls]", "<s", "</s", "s>", "<<s>>", "<S>",
    "<tool_call>", "</tool_call>", "<word>", "<left>", "<right>", "<both>", "<Norm>", "NormÉ", "##ing", "<SPECIAL_20>", "<mask>", "⟨é⟩",
]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n", "\n ", "\u00a0", "\u2003", "\u3000", "\u2028", "\u0085", "\x0b", "\x0c", "\x1c", "\x1f"]
CONTROLS = ["\x00", "\x01", "\x07", "\x1b[0m", "\x7f", "\u0080", "\u009f", "\u200d", "\u200e", "\u202e", "\u2060", "\ufeff", "\ufffd", "\ufffe", "\uffff",
            "\ue000", "\U000e0001", "\U0010ffff", "\u0378"]
MARKS = ["\u0301", "\u0308", "\u0323", "\u0334", "\u0345", "\u093f", "\u0e38", "\u05bc", "\u064b", "\u20dd", "\ufe0f", "\u3099", "\U0001d165", "\u1dc4"]


def any_character(rng):
    while True:
        c = rng.randrange(0x110000) if rng.random() < 0.3 else rng.randrange(0x3000)
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def word(rng):
    kind = rng.randrange(12)
    if kind < 5:
        return rng.choice(WORDS)
    if kind < 7:
        first, last = rng.choice(ALPHABETS)
        return "".join(chr(rng.randint(first, last)) for _ in range(rng.randint(1, 12)))
    if kind == 7:
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyzéß") + (rng.choice(MARKS) if rng.random() < 0.5 else "") for _ in range(rng.randint(1, 8)))
    if kind == 8:
        return "".join(any_character(rng) for _ in range(rng.randint(1, 6)))
    if kind == 9:
        return rng.choice(CONTROLS)
    if kind == 10:
        return "".join(rng.choice(MARKS) for _ in range(rng.randint(1, 4)))
    return "".join(rng.choice("!?.,;:'\"()[]{}<>/\\|-_=+*&^%$#@~`") for _ in range(rng.randint(1, 6)))


def text(rng):
    kind = rng.randrange(20)
    if kind == 0:
        return rng.choice(SPACES) * rng.randint(1, 200)
    if kind == 1:
        return "".join(any_character(rng) for _ in range(rng.randint(0, 60)))
    if kind == 2:
        return rng.choice(["a", "ab", "é", "漢", "🙂", "Aa", "1", "!", "'s", "\u0301"]) * rng.randint(1, 150)
    if kind == 3:
        return bytes(rng.randrange(256) for _ in range(rng.randint(1, 40))).decode("utf-8", errors="replace")
    parts = []
    for _ in range(rng.randint(0, 25)):
        parts.append(rng.choice(LOOKALIKES) if kind < 10 and rng.random() < 0.3 else word(rng))
        if rng.random() < 0.8:
            parts.append(" " if rng.random() < 0.7 else rng.choice(SPACES) * rng.randint(1, 3))
    return "".join(parts)


def texts(count, seed=4):
    """`count` different strings; the empty one and a very long one are among them."""
    rng = random.Random(seed)
    found = dict.fromkeys(["", " ", "x" * 20000, "ab " * 5000, " " * 3000, "漢字" * 2000])
    while len(found) < count:
        found[text(rng)] = None
    return list(found)[:count]


def byte_texts(count, seed=5):
    rng = random.Random(seed)
    found = []
    while len(found) < count:
        data = bytearray(text(rng).encode())
        for _ in range(rng.randint(1, 4)):
            data.insert(rng.randint(0, len(data)), rng.choice([0x80, 0xBF, 0xC0, 0xC2, 0xE2, 0xED, 0xF0, 0xF4, 0xF8, 0xFF]))
        # What a JSON string cannot hold as it is; the comparison hands bytes over unescaped.
        data = bytes(b for b in data if b >= 0x20 and b not in b'"\\')
        found.append(data)
    return found

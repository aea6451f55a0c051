"""Unicode tables of the text room, by asking the public libraries: python3 tests/reference/unicode_tables.py

Writes src/text/unicode_classes.cpp and src/text/unicode_mappings.cpp. Tokenizers give the same ids only when they class every character as
the public libraries do, and those disagree on the version of Unicode: the regular expressions of tokenizers and tiktoken, tokenizers' own
BERT clean-up, its normal forms and Python's unicodedata are four different ones. So every code point is put to the library that decides.
Needs tokenizers, tiktoken and Python 3.11 (tokenizers 0.22.2, tiktoken 0.14.0 and Unicode 14 of unicodedata were used); one minute. Run
clang-format over the two files afterwards.
"""

import pathlib
import unicodedata

import tiktoken
from tokenizers import Regex, normalizers, pre_tokenizers

FOLDER = pathlib.Path(__file__).resolve().parent.parent.parent / "src" / "text"
POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HEAD = "// Made by tests/reference/unicode_tables.py; not to be edited.\n"


def matched_by_tokenizers(pattern):
    rest = set(normalizers.Replace(Regex(pattern), "").normalize_str("".join(map(chr, POINTS))))
    return {c for c in POINTS if chr(c) not in rest}


def matched_by_tiktoken(pattern):
    encoding = tiktoken.Encoding("probe", pat_str=pattern, mergeable_ranks={bytes([i]): i for i in range(256)}, special_tokens={})
    found = set()
    for i in range(0, len(POINTS), 4096):
        found |= set(encoding.decode(encoding.encode("".join(map(chr, POINTS[i:i + 4096])))))
    return {ord(c) for c in found}


def matched_by_both(pattern):
    points = matched_by_tokenizers(pattern)
    assert points == matched_by_tiktoken(pattern), pattern
    return points


def cut_by(pre_tokenizer):
    """Of "aXa": the X that stay inside the word, and the X that vanish between words."""
    inside, vanished = set(), set()
    for i in range(0, len(POINTS), 65536):
        part = POINTS[i:i + 65536]
        starts = {begin: end for _, (begin, end) in pre_tokenizer.pre_tokenize_str("".join(f"a{chr(c)}a|" for c in part))}
        for k, c in enumerate(part):
            if starts.get(4 * k) == 4 * k + 3:
                inside.add(c)
            elif 4 * k + 1 not in starts:
                vanished.add(c)
    return inside, vanished


def changed_by(normalizer):
    changes = {}
    for c in POINTS:
        text = normalizer.normalize_str(chr(c))
        if text != chr(c):
            changes[c] = text
    return changes


def bert(**on):
    return normalizers.BertNormalizer(**{**dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False), **on})


def is_ascii_punctuation(c):
    return 33 <= c <= 47 or 58 <= c <= 64 or 91 <= c <= 96 or 123 <= c <= 126


def classes():
    """Name of each class and its code points, in the order of the bits of CharacterClass in unicode.h."""
    category = {c: unicodedata.category(chr(c)) for c in POINTS}
    word, _ = cut_by(pre_tokenizers.Whitespace())
    plain, spaces = cut_by(pre_tokenizers.BertPreTokenizer())
    cleaned = changed_by(bert(clean_text=True))
    assert matched_by_both(r"\s") == spaces
    return [
        matched_by_both(r"\p{L}"), matched_by_both(r"\p{N}"), spaces,
        matched_by_both(r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"), matched_by_both(r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"), word,
        {c for c, text in cleaned.items() if text == ""},
        set(POINTS) - plain - spaces,
        {c for c, text in changed_by(bert(strip_accents=True)).items() if text == ""},
        {c for c in POINTS if c in (0, 0xFFFD) or (category[c][0] == "C" and c not in (9, 10, 13))},
        {c for c in POINTS if is_ascii_punctuation(c) or category[c][0] == "P"},
        {c for c in POINTS if category[c] == "Mn"},
    ]


def ranges_of(sets):
    mask = [0] * 0x110000
    for bit, points in enumerate(sets):
        for c in points:
            mask[c] |= 1 << bit
    return [(c, mask[c]) for c in range(0x110000) if c == 0 or mask[c] != mask[c - 1]]


def c_list(rows, width=0):
    return ", ".join("{" + ", ".join(f"0x{value:X}" for value in row) + "}" for row in rows)


def canonical_parts(c):
    field = unicodedata.decomposition(chr(c))
    return [int(x, 16) for x in field.split()] if field and not field.startswith("<") else []


def normal_forms():
    """Composed characters, characters that only come apart, and combining classes, as tokenizers' NFC and NFD have them."""
    apart = changed_by(normalizers.NFD())
    pairs, single = [], []
    for c in sorted(apart):
        if 0xAC00 <= c < 0xD7A4:
            continue
        parts = canonical_parts(c)
        assert unicodedata.normalize("NFD", chr(c)) == apart[c], hex(c)
        joined = normalizers.NFC().normalize_str(apart[c]) == chr(c) and len(parts) == 2
        (pairs if joined else single).append((c, *parts, *([0] if len(parts) == 1 else [])))
    marks = []
    for c in (c for c in POINTS if c not in apart):
        order = unicodedata.combining(chr(c))
        # A mark of class 1 moves before one of a higher class, a mark of class 240 after: so it is known whether the library has a class.
        text = chr(c) + "\u0334" if order != 1 else "\u0345" + chr(c)
        known = normalizers.NFD().normalize_str(text) != text
        if order and known:
            marks.append((c, order))
        assert order or not known, hex(c)
    return pairs, single, marks


def lower_ranges():
    """(first, last, step, distance) of characters whose lower case is one character; the others are given by name in unicode.cpp."""
    lower = {c: text for c, text in changed_by(normalizers.Lowercase()).items()}
    assert {c for c, text in lower.items() if len(text) > 1} == {0x130} and lower[0x130] == "i\u0307"
    rows = []
    for c in sorted(c for c in lower if c != 0x130):
        distance = ord(lower[c]) - c
        if rows and rows[-1][3] == distance:
            first, last, step, _ = rows[-1]
            if (first == last and c - last <= 2) or c - last == step:
                rows[-1] = (first, c, c - last, distance)
                continue
        rows.append((c, c, 1, distance))
    return rows


def marks_as_ranges(marks):
    rows = []
    for c, order in marks:
        if rows and rows[-1][1] == c - 1 and rows[-1][2] == order:
            rows[-1] = (rows[-1][0], c, order)
        else:
            rows.append((c, c, order))
    return rows


def main():
    body = c_list(ranges_of(classes()))
    (FOLDER / "unicode_classes.cpp").write_text(
        HEAD + '#include "unicode_tables.h"\n\nnamespace microemo::text {\n\nextern const std::vector<ClassRange> class_ranges = {' + body +
        "};\n\n}  // namespace microemo::text\n")
    pairs, single, marks = normal_forms()
    lower = ", ".join("{" + f"0x{a:X}, 0x{b:X}, {step}, {distance}" + "}" for a, b, step, distance in lower_ranges())
    (FOLDER / "unicode_mappings.cpp").write_text(
        HEAD + '#include "unicode_tables.h"\n\nnamespace microemo::text {\n\n'
        "extern const std::vector<Decomposition> compositions = {" + c_list(pairs) + "};\n\n"
        "extern const std::vector<Decomposition> decompositions = {" + c_list(single) + "};\n\n"
        "extern const std::vector<CombiningRange> combining_ranges = {" + c_list(marks_as_ranges(marks)) + "};\n\n"
        "extern const std::vector<LowerRange> lower_ranges = {" + lower + "};\n\n"
        "}  // namespace microemo::text\n")


if __name__ == "__main__":
    main()

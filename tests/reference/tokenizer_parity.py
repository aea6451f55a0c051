"""Ids and texts of `microemo tokenize` beside the public libraries': python3 tests/reference/tokenizer_parity.py [--binary FILE] [--count N] [--work FOLDER] [--only WORD,…]

Every kind of tokenizer gets N texts (20,000 when left out): ids must be the same, with and without begin and end tokens; decoded text must
be the same for these ids and for random ones. Prints one line a kind and the first differences; ends with 1 when there is one. Needs
sentencepiece, transformers, tokenizers and, for the models that it ships, mistral-common (see requirements.txt); writes only into FOLDER.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

from tokenizer_kinds import build
from tokenizer_strings import byte_texts, texts

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def run(binary, kind, lines, *options):
    command = [*binary, "--model", str(kind.model), *kind.options, *options]
    result = subprocess.run(command, input=b"".join(line + b"\n" for line in lines), capture_output=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}: {result.stderr.decode()}")
    return [json.loads(line) for line in result.stdout.splitlines()]


def differences(given, wanted, got):
    assert len(wanted) == len(got), (len(wanted), len(got))
    return [(a, b, c) for a, b, c in zip(given, wanted, got) if b != c]


def random_ids(kind, count):
    rng = random.Random(7)
    known = [i for i in range(kind.size) if i not in kind.unused]
    low = [i for i in known if i < 400]
    return [[rng.choice(low if rng.random() < 0.5 else known) for _ in range(rng.randint(0, 20))] for _ in range(count)]


def checks(binary, kind, strings):
    lines = [json.dumps(s, ensure_ascii=i % 2 == 0).encode() for i, s in enumerate(strings)]
    ids = [kind.encode(s) for s in strings]
    yield "ids", differences(strings, ids, run(binary, kind, lines)), len(strings)
    if kind.takes_bytes:
        data = byte_texts(len(strings))
        yield "ids of bytes", differences(data, [kind.encode(b) for b in data], run(binary, kind, [b'"' + b + b'"' for b in data])), len(data)
    special = ids
    if kind.encode_special:
        special = [kind.encode_special(s) for s in strings]
        yield "ids with special", differences(strings, special, run(binary, kind, lines, "--add-special")), len(strings)
    for name, decode, option in (("text", kind.decode, []), ("text without special", kind.decode_skipping, ["--skip-special"])):
        if decode:
            given = special + random_ids(kind, len(strings))
            got = run(binary, kind, [json.dumps(i).encode() for i in given], "--decode", *option)
            yield name, differences(given, [decode(i) for i in given], got), len(given)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=str(ROOT / "build" / "bin" / "microemo") + " tokenize")
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--work", type=pathlib.Path)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    strings = texts(options.count)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for kind in build(options.work or pathlib.Path(folder)):
            if not any(word in kind.name for word in options.only.split(",")):
                continue
            for name, different, count in checks(options.binary.split(), kind, strings):
                print(f"{kind.name:38} {name:22} {count - len(different):6} of {count} the same", flush=True)
                failed = failed or bool(different)
                for given, wanted, got in sorted(different, key=lambda d: len(d[0]))[:3]:
                    print(f"    {given!r:.300}\n      wanted {wanted!r:.300}\n      got    {got!r:.300}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

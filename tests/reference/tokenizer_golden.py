"""Golden ids of small tokenizers, by the public libraries: python3 tests/reference/tokenizer_golden.py

Writes tests/data/text/kinds/: small models trained here (byte-level BPE with the words of Qwen2, LLaMA 3 and GPT-2, WordPiece), folders around
tests/data/text/tokenizer.model, and golden.json: texts, random ids, and for each tokenizer what the library makes of them. The whole comparison
is tokenizer_parity.py. Needs tokenizers, transformers and sentencepiece (0.22.2, 4.57.1 and 0.2.3 were used).
"""

import json
import pathlib
import shutil

from tokenizers import normalizers

import tokenizer_kinds as kinds
from tokenizer_parity import random_ids
from tokenizer_strings import texts

DATA = pathlib.Path(__file__).resolve().parent.parent / "data" / "text"
FOLDER = DATA / "kinds"
MODEL = DATA / "tokenizer.model"
SIZE = 500


def build():
    kinds.byte_level(FOLDER / "qwen2.json", kinds.QWEN2, normalizers.NFC(), size=SIZE)
    kinds.byte_level(FOLDER / "llama3.json", kinds.LLAMA3, begin="<|begin_of_text|>", size=SIZE, ignore_merges=True)
    kinds.byte_level(FOLDER / "gpt2.json", None, size=SIZE)
    kinds.wordpiece(FOLDER, size=SIZE)
    all_kinds = [kinds.of_tokenizers(name, FOLDER / (name + ".json")) for name in ("qwen2", "llama3", "gpt2", "wordpiece")]
    all_kinds.append(kinds.of_bert(FOLDER / "bert"))
    llama = kinds.llama_kinds(FOLDER, "llama", MODEL)
    (FOLDER / "llama-fast-newer.json").unlink()
    for name in ("llama-older", "llama-newer"):
        (FOLDER / name / "tokenizer.model").unlink()  # the tests put the one copy there
    return all_kinds + llama[:6]


def golden(kind, strings):
    ids = [kind.encode(s) for s in strings]
    drawn = random_ids(kind, 12)
    wanted = {"name": kind.name, "model": str(kind.model.relative_to(DATA)), "options": kind.options, "ids": ids, "drawn": drawn}
    if kind.encode_special:
        wanted["with_special"] = [kind.encode_special(s) for s in strings[:10]]
    if kind.decode:
        wanted["decoded"] = [kind.decode(i) for i in ids + drawn]
    if kind.decode_skipping:
        wanted["decoded_skipping"] = [kind.decode_skipping(i) for i in drawn]
    return wanted


def main():
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    FOLDER.mkdir()
    strings = [s for s in texts(700, seed=21) if len(s) <= 60][:50]
    values = {"texts": strings, "kinds": [golden(kind, strings) for kind in build()]}
    (FOLDER / "golden.json").write_text(json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Golden values of the tokenizer, by the public sentencepiece package: python3 tests/reference/tokenizer.py

Writes under tests/data/text/: sentences.txt, tokenizer.model (trained on it), no_end.model (one without </s>) and tokenizer.json: the pieces
of the model, and for some texts their ids, pieces and what the ids decode to. Needs sentencepiece (0.2.3 was used).
"""

import io
import json
import pathlib

import sentencepiece

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "data" / "text"
WHOLE = ["<clip>", "brow_up", "two words", "a,b"]
SUBJECTS = ["The meeting", "Her letter", "That film", "Our journey", "The music", "His answer"]
VERBS = ["was", "seemed", "felt", "sounded"]
ADJECTIVES = ["wonderful", "dreadful", "ordinary", "delightful", "disappointing", "strange at 12.5 s", "naïve"]
TEXTS = [
    "The meeting was wonderful.",
    "Her letter  seemed   strange",
    " leading and trailing ",
    "unseen: ŷ, 漢字, 🙂 and a tab\tand\na line",
    "brow_up<clip>two words a,b brow_upward",
    "<s> is text </s> and <unk> too",
    "12345.678",
    "",
    " ",
]


def train(sentences, **changes):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=model, model_type="bpe", vocab_size=400, character_coverage=1.0, byte_fallback=True,
        split_digits=True, allow_whitespace_only_pieces=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        user_defined_symbols=[piece.replace(" ", "▁") for piece in WHOLE], num_threads=1, minloglevel=10, **changes)
    return model.getvalue()


def main():
    sentences = [f"{s} {v} {a}." for s in SUBJECTS for v in VERBS for a in ADJECTIVES]
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "sentences.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")
    (FOLDER / "tokenizer.model").write_bytes(train(sentences))
    (FOLDER / "no_end.model").write_bytes(train(sentences, eos_id=-1))
    processor = sentencepiece.SentencePieceProcessor(model_file=str(FOLDER / "tokenizer.model"))
    encodings = []
    for text in TEXTS:
        ids = processor.encode(text)
        encodings.append({"text": text, "ids": ids, "pieces": [processor.id_to_piece(i) for i in ids], "decoded": processor.decode(ids)})
    golden = {"whole_pieces": WHOLE, "pieces": [processor.id_to_piece(i) for i in range(processor.get_piece_size())],
              "begin": processor.bos_id(), "end": processor.eos_id(), "unknown": processor.unk_id(), "encodings": encodings}
    (FOLDER / "tokenizer.json").write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

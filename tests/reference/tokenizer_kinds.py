"""Tokenizers of every kind, small ones trained here: build(folder) writes their files and returns what to compare with what."""

import json
import pathlib
import sys
from dataclasses import dataclass, field
from typing import Callable, Optional

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertTokenizer, LlamaTokenizer, LlamaTokenizerFast

from tokenizer_strings import WORDS, texts

QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|eot_id|>"]
FLAGGED = [
    AddedToken("<tool_call>", special=False, normalized=False), AddedToken("</tool_call>", special=False, normalized=True),
    AddedToken("<word>", single_word=True, normalized=False), AddedToken("<left>", lstrip=True, normalized=False),
    AddedToken("<right>", rstrip=True, normalized=False), AddedToken("<both>", lstrip=True, rstrip=True, normalized=False),
    AddedToken("NormÉ", normalized=True), AddedToken("⟨é⟩", normalized=False),
]


@dataclass
class Kind:
    name: str
    model: pathlib.Path
    encode: Callable  # text -> ids, special tokens in the text found as the library does, none added
    decode: Callable  # ids -> text, special tokens kept
    options: list = field(default_factory=list)  # of microemo tokenize
    encode_special: Optional[Callable] = None  # with --add-special
    decode_skipping: Optional[Callable] = None  # with --skip-special
    size: int = 0
    unused: frozenset = frozenset()  # ids that no token has
    takes_bytes: bool = False


def corpus():
    return texts(3000, seed=11) + [" ".join(WORDS)] * 20


def of_tokenizers(name, path):
    library = Tokenizer.from_file(str(path))
    ids = set(library.get_vocab(with_added_tokens=True).values())
    size = max(ids) + 1
    return Kind(name, path, lambda text: library.encode(text, add_special_tokens=False).ids, lambda ids: library.decode(ids, skip_special_tokens=False),
                encode_special=lambda text: library.encode(text).ids, decode_skipping=lambda ids: library.decode(ids), size=size,
                unused=frozenset(set(range(size)) - ids))


def byte_level(path, pattern, normalizer=None, begin=None, size=1500, **options):
    library = Tokenizer(models.BPE(**options))
    library.normalizer = normalizer
    if pattern is None:
        library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        library.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    library.decoder = decoders.ByteLevel()
    library.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=size, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    library.add_special_tokens(SPECIAL)
    library.add_tokens(FLAGGED)
    library.post_processor = processors.ByteLevel(trim_offsets=False)
    if begin:
        library.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single=f"{begin} $A", special_tokens=[(begin, library.token_to_id(begin))])])
    library.save(str(path))


def wordpiece(folder, size=1500):
    library = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    library.normalizer = normalizers.BertNormalizer()
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.decoder = decoders.WordPiece()
    library.train_from_iterator(corpus(), trainers.WordPieceTrainer(
        vocab_size=size, limit_alphabet=size // 2, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    library.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(t, library.token_to_id(t)) for t in ("[CLS]", "[SEP]")])
    library.add_tokens(FLAGGED[:6])
    library.save(str(folder / "wordpiece.json"))
    ids = sorted((i, t) for t, i in library.get_vocab(with_added_tokens=False).items())
    (folder / "bert").mkdir(exist_ok=True)
    (folder / "bert" / "vocab.txt").write_text("".join(t + "\n" for _, t in ids), encoding="utf-8")
    (folder / "bert" / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True}))


def sentencepiece_model(path, size=1500):
    with open(path, "wb") as out:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([" ".join(WORDS)] * 200 + [s for t in texts(150, seed=12) for s in t.replace("\0", "").splitlines() if s]), model_writer=out, model_type="bpe",
            vocab_size=size, character_coverage=0.98, byte_fallback=True, split_digits=True, allow_whitespace_only_pieces=True,
            normalization_rule_name="identity", remove_extra_whitespaces=False, max_sentence_length=100000, num_threads=1, minloglevel=10)


def of_sentencepiece(name, path):
    library = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return Kind(name, path, library.encode, None, ["--literal"], decode_skipping=library.decode, size=library.get_piece_size(), takes_bytes=True)


def of_llama(name, path, library, options):
    size = len(library.get_vocab())
    return Kind(name, path, lambda text: library.convert_tokens_to_ids(library.tokenize(text)), lambda ids: library.decode(ids), options,
                encode_special=lambda text: library(text).input_ids, size=size)


def llama_folder(folder, model, config, added):
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.model").write_bytes(model.read_bytes())
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer", **config}))
    if added:
        (folder / "added_tokens.json").write_text(json.dumps(added))
        (folder / "special_tokens_map.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}))
    library = LlamaTokenizer.from_pretrained(str(folder))
    kind = of_llama("folder " + folder.name, folder, library, [])
    kind.decode_skipping = lambda ids: library.decode(ids, skip_special_tokens=True)
    return kind


def added_decoder(first):
    tokens = {0: ("<unk>", {}), 1: ("<s>", {}), 2: ("</s>", {}), first: ("<ImageHere>", {}), first + 1: ("<left>", {"lstrip": True, "special": False}),
              first + 2: ("<right>", {"rstrip": True}), first + 3: ("<word>", {"single_word": True})}
    plain = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}
    return {str(i): {"content": text, **plain, **changes} for i, (text, changes) in tokens.items()}


def llama_kinds(folder, name, model):
    size = sentencepiece.SentencePieceProcessor(model_file=str(model)).get_piece_size()
    kinds = [of_sentencepiece(f"sentencepiece {name}", model)]
    for legacy, option in ((True, "--legacy"), (False, "--no-legacy")):
        kinds.append(of_llama(f"llama {name} {option}", model, LlamaTokenizer(vocab_file=str(model), legacy=legacy), [option]))
    kinds.append(llama_folder(folder / f"{name}-older", model, {}, {"<ImageHere>": size, "<AudioHere>": size + 1}))
    config = {"legacy": False, "added_tokens_decoder": added_decoder(size), "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
              "additional_special_tokens": ["<ImageHere>"], "add_eos_token": True}
    kinds.append(llama_folder(folder / f"{name}-newer", model, config, None))
    fast = folder / f"{name}-fast.json"
    LlamaTokenizerFast(vocab_file=str(model), legacy=True).backend_tokenizer.save(str(fast))
    kinds.append(of_tokenizers(f"llama {name} tokenizer.json", fast))
    newer = folder / f"{name}-fast-newer.json"
    LlamaTokenizerFast(vocab_file=str(model), legacy=False, from_slow=True).backend_tokenizer.save(str(newer))
    kinds.append(of_tokenizers(f"llama {name} tokenizer.json, newer", newer))
    return kinds


def of_bert(folder):
    library = BertTokenizer.from_pretrained(str(folder))
    return Kind("bert vocab.txt", folder, lambda text: library.convert_tokens_to_ids(library.tokenize(text)), lambda ids: library.decode(ids),
                encode_special=lambda text: library(text).input_ids, decode_skipping=lambda ids: library.decode(ids, skip_special_tokens=True),
                size=len(library.get_vocab()))


def trained(folder):
    byte_level(folder / "qwen2.json", QWEN2, normalizers.NFC())
    byte_level(folder / "llama3.json", LLAMA3, begin="<|begin_of_text|>", ignore_merges=True)
    byte_level(folder / "gpt2.json", None)
    wordpiece(folder)
    sentencepiece_model(folder / "small.model")
    names = ("qwen2", "llama3", "gpt2", "wordpiece")
    return [of_tokenizers(name + ".json", folder / (name + ".json")) for name in names] + [of_bert(folder / "bert")] + llama_kinds(
        folder, "small", folder / "small.model")


def of_tekken(path):
    from mistral_common.tokens.tokenizers.tekken import SpecialTokenPolicy, Tekkenizer
    library = Tekkenizer.from_file(str(path))
    return Kind(path.name, path, lambda text: library.encode(text, bos=False, eos=False), lambda ids: library.decode(ids, SpecialTokenPolicy.KEEP),
                encode_special=lambda text: library.encode(text, bos=True, eos=False), decode_skipping=lambda ids: library.decode(ids),
                size=library.n_words)


def tekken_as_json(tekken, path):
    """A byte-level tokenizer.json with the tekken's 130,000 tokens and LLaMA 3's words: as large as the public ones."""
    from transformers.convert_slow_tokenizer import TikTokenConverter, bytes_to_unicode
    import base64
    data = json.loads(tekken.read_text())
    count = data["config"]["default_vocab_size"] - data["config"]["default_num_special_tokens"]
    ranks = {base64.b64decode(t["token_bytes"]): t["rank"] for t in data["vocab"][:count]}
    printable = bytes_to_unicode()
    text = {token: "".join(printable[b] for b in token) for token in ranks}
    merges = []
    for token, rank in ranks.items():
        pairs = [(token[:i], token[i:]) for i in range(1, len(token)) if token[:i] in ranks and token[i:] in ranks]
        merges += [(rank, ranks[a], ranks[b], text[a], text[b]) for a, b in pairs]
    merges.sort()
    library = Tokenizer(models.BPE(vocab={text[t]: r for t, r in ranks.items()}, merges=[(a, b) for *_, a, b in merges], ignore_merges=True))
    library.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    library.decoder = decoders.ByteLevel()
    library.add_special_tokens(SPECIAL)
    library.save(str(path))


def shipped(folder):
    """The real models in the package mistral-common."""
    import mistral_common
    data = pathlib.Path(mistral_common.__file__).parent / "data"
    kinds = llama_kinds(folder, "v1", data / "tokenizer.model.v1")
    kinds += llama_kinds(folder, "v3", data / "mistral_instruct_tokenizer_240323.model.v3")
    kinds += [of_tekken(data / name) for name in ("tekken_240718.json", "tekken_240911.json")]
    tekken_as_json(data / "tekken_240718.json", folder / "large.json")
    return kinds + [of_tokenizers("tekken as tokenizer.json", folder / "large.json")]


def build(folder):
    folder.mkdir(parents=True, exist_ok=True)
    kinds = trained(folder)
    try:
        return kinds + shipped(folder)
    except ImportError:
        print("mistral-common is not installed: without its models", file=sys.stderr)
        return kinds

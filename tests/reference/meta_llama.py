"""Writes tests/data/checkpoint/{meta2,meta3}: tiny random LLaMAs in Meta's own files, and the same weights as Hugging Face's conversion
script makes them, in {meta2,meta3}.expected.safetensors.

meta2  two files; the token table cut into columns, as in LLaMA 1 and 2; grouped queries
meta3  two files; the token table cut into rows, as in LLaMA 3; as many keys as queries

Values are exact in bfloat16, the type in which that script keeps them. Run by hand:

    PYTHONPATH=FOLDER python tests/reference/meta_llama.py        # needs torch, transformers, accelerate, safetensors

where FOLDER holds src/transformers/models/llama/convert_llama_weights_to_hf.py of transformers' repository, which the package leaves out.
"""

import json
import pathlib
import shutil
import tempfile

import torch
from convert_llama_weights_to_hf import write_model
from safetensors.torch import load_file, save_file

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "checkpoint"
WIDTH, HIDDEN, HEADS, LAYERS, TOKENS, FILES = 16, 48, 4, 2, 24, 2
ROWS, COLUMNS = 0, 1


def tensors_of_one_file(generator, keys, token_axis):
    def piece(rows, columns, axis):
        shape = [rows, columns]
        shape[axis] //= FILES
        return torch.randn(shape, generator=generator).to(torch.bfloat16)

    keys_width = WIDTH // HEADS * keys
    tensors = {"tok_embeddings.weight": piece(TOKENS, WIDTH, token_axis), "output.weight": piece(TOKENS, WIDTH, ROWS)}
    for i in range(LAYERS):
        attention, mlp = f"layers.{i}.attention.", f"layers.{i}.feed_forward."
        tensors |= {attention + "wq.weight": piece(WIDTH, WIDTH, ROWS), attention + "wk.weight": piece(keys_width, WIDTH, ROWS),
                    attention + "wv.weight": piece(keys_width, WIDTH, ROWS), attention + "wo.weight": piece(WIDTH, WIDTH, COLUMNS),
                    mlp + "w1.weight": piece(HIDDEN, WIDTH, ROWS), mlp + "w2.weight": piece(WIDTH, HIDDEN, COLUMNS),
                    mlp + "w3.weight": piece(HIDDEN, WIDTH, ROWS)}
    return tensors


def write(name, keys, token_axis, version, params, generator):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    norms = [f"layers.{i}.{norm}.weight" for i in range(LAYERS) for norm in ("attention_norm", "ffn_norm")] + ["norm.weight"]
    in_every_file = {norm: torch.randn(WIDTH, generator=generator).to(torch.bfloat16) for norm in norms}
    in_every_file["rope.freqs"] = torch.ones(WIDTH // HEADS // 2)
    for i in range(FILES):
        torch.save(in_every_file | tensors_of_one_file(generator, keys, token_axis), folder / f"consolidated.{i:02}.pth")
    params = {"dim": WIDTH, "n_layers": LAYERS, "n_heads": HEADS, "norm_eps": 1e-5, "vocab_size": -1, "multiple_of": HIDDEN} | params
    (folder / "params.json").write_text(json.dumps(params))
    with tempfile.TemporaryDirectory() as work:
        write_model(work, folder, llama_version=version, vocab_size=TOKENS, num_shards=FILES)
        expected = load_file(pathlib.Path(work) / "model.safetensors")
    save_file(expected, OUT / f"{name}.expected.safetensors", metadata={"format": "pt"})


def main():
    generator = torch.Generator().manual_seed(13)
    write("meta2", 2, COLUMNS, "2", {"n_kv_heads": 2}, generator)
    write("meta3", HEADS, ROWS, "3", {"rope_theta": 500000.0}, generator)


if __name__ == "__main__":
    main()

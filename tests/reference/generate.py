"""Writes tests/data/checkpoint/generated.json: what transformers writes greedily with the small decoders of hf_decoders.py.

Run by hand, after hf_decoders.py:

    python tests/reference/generate.py        # needs torch, transformers, safetensors
"""

import json
import pathlib

import torch
from transformers import AutoModelForCausalLM

DATA = pathlib.Path(__file__).resolve().parents[1] / "data" / "checkpoint"
NEW_TOKENS = 60


def continuations(name, generator):
    model = AutoModelForCausalLM.from_pretrained(DATA / name, torch_dtype=torch.float32).eval()
    for length in (1, 2, 7, 30, 64):
        prompt = torch.randint(3, model.config.vocab_size, (1, length), generator=generator)
        with torch.no_grad():
            written = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=NEW_TOKENS)
        ids = written[0, length:].tolist()
        ended = ids[-1] == model.config.eos_token_id
        yield {"model": name, "prompt": prompt[0].tolist(), "ids": ids[:-1] if ended else ids, "ended": ended}


def main():
    generator = torch.Generator().manual_seed(7)
    lines = [line for name in ("llama", "mistral", "qwen2") for line in continuations(name, generator)]
    text = ",\n".join(json.dumps(line) for line in lines)
    (DATA / "generated.json").write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    main()

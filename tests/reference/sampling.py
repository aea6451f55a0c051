"""Writes tests/data/sampling.json: logits as the processors of transformers leave them, in the order in which its generate() puts them, and what it writes greedily
with a penalty of repetitions with the small decoders of hf_decoders.py.

Run by hand, after hf_decoders.py:

    python tests/reference/sampling.py        # needs torch, transformers, safetensors
"""

import itertools
import json
import pathlib

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
VOCABULARY = 40


def processors(model, prompt, **options):
    """Those of generate() itself, which decides their order."""
    config = GenerationConfig(**options)
    model._prepare_special_tokens(config, False, device="cpu")
    return model._get_logits_processor(generation_config=config, input_ids_seq_length=prompt.shape[1], encoder_input_ids=prompt, prefix_allowed_tokens_fn=None,
                                       logits_processor=[])


def cases(model, generator):
    options = itertools.product((0.7, 1.0, 2.5), (0, 1, 5, 39), (1.0, 0.9, 0.05), (1.0, 1.3, 0.6))
    for number, (temperature, top_k, top_p, penalty) in enumerate(options):
        logits = torch.randn(1, VOCABULARY, generator=generator) * (1 + number % 4)
        logits = torch.round(logits * 64) / 64  # exact in decimal
        if number % 3 == 0:
            logits[0, 7] = logits[0, 30] = logits[0].max()  # equals at the top
        if number % 5 == 0:
            logits[0, 11] = logits[0, 31] = logits[0].sort().values[-5]  # and at the edge of the top five
        seen = torch.randint(0, VOCABULARY, (1, 9), generator=generator)
        seen[0, 3] = seen[0, 4]  # twice counts once
        processed = processors(model, seen, do_sample=True, temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=penalty)(seen, logits.clone())[0]
        yield {"temperature": temperature, "top_k": top_k, "top_p": top_p, "repetition_penalty": penalty, "seen": seen[0].tolist(), "logits": logits[0].tolist(),
               "processed": [None if value == -float("inf") else float(f"{value:.9g}") for value in processed.tolist()],
               "probabilities": [round(value, 9) for value in torch.softmax(processed.double(), -1).tolist()]}


def penalised(name, generator):
    model = AutoModelForCausalLM.from_pretrained(DATA / "checkpoint" / name, dtype=torch.float32).eval()
    for penalty, length in itertools.product((1.1, 1.5, 0.8), (2, 20)):
        prompt = torch.randint(3, model.config.vocab_size, (1, length), generator=generator)
        with torch.no_grad():
            written = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=40, repetition_penalty=penalty)
        ids = written[0, length:].tolist()
        ended = ids[-1] == model.config.eos_token_id
        yield {"model": name, "repetition_penalty": penalty, "prompt": prompt[0].tolist(), "ids": ids[:-1] if ended else ids, "ended": ended}


def main():
    generator = torch.Generator().manual_seed(11)
    model = AutoModelForCausalLM.from_pretrained(DATA / "checkpoint" / "llama", dtype=torch.float32).eval()
    golden = {"processed": list(cases(model, generator)), "penalised": [line for name in ("llama", "mistral", "qwen2") for line in penalised(name, generator)]}
    (DATA / "sampling.json").write_text("{\n" + ",\n".join(f'"{key}": [\n' + ",\n".join(json.dumps(line) for line in lines) + "\n]" for key, lines in golden.items()) + "\n}\n")


if __name__ == "__main__":
    main()

"""Writes tests/data/checkpoint/{llama,mistral,qwen2}: tiny random decoders as Hugging Face folders, with what they compute.

llama    LLaMA 3.1: grouped queries, scaled positions (llama3), output rows of its own; sharded safetensors
mistral  heads wider than width / heads, linearly scaled positions, biases nowhere; sharded .bin files
qwen2    biases on queries, keys and values; tied output rows; one safetensors file

Each folder has reference.safetensors beside it, which record.py makes. Run by hand:

    python tests/reference/hf_decoders.py        # needs torch, transformers, safetensors
"""

import pathlib
import shutil

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM

from record import make_inputs, record

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "checkpoint"
SMALL = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=96,
             max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0)


def randomise(model, generator):
    """Weights large enough that every part shows in the logits; norms and biases that are not their defaults."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.2 * noise if name.endswith("norm.weight") else
                            0.3 * noise if name.endswith("bias") else
                            0.5 * noise if "embed_tokens" in name else 0.7 * noise / parameter.shape[-1] ** 0.5)


def write(name, model, generator, **saving):
    randomise(model, generator)
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, **saving)
    inputs = make_inputs(model, model.config, rows=2, tokens=40, seed=5)
    save_file(record(model, inputs), OUT / f"{name}.reference.safetensors", metadata={"format": "pt"})


def main():
    generator = torch.Generator().manual_seed(20240723)
    llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
              "original_max_position_embeddings": 16}
    write("llama", LlamaForCausalLM(LlamaConfig(**SMALL, rms_norm_eps=1e-5, rope_theta=500.0, rope_scaling=llama3)), generator,
          max_shard_size="40KB")
    write("mistral", MistralForCausalLM(MistralConfig(**SMALL, head_dim=12, sliding_window=None,
                                                      rope_scaling={"rope_type": "linear", "factor": 2.0})), generator,
          max_shard_size="40KB", safe_serialization=False)
    write("qwen2", Qwen2ForCausalLM(Qwen2Config(**SMALL, rope_theta=1e6, tie_word_embeddings=True)), generator)


if __name__ == "__main__":
    main()

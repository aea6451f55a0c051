#!/usr/bin/env python3
"""Times a decoder of LLaMA-2-7B's shape with adapters in transformers and peft against gpu_bench, in turns, on one GPU.

  bench/gpu/peer.py --program build/bin/gpu_bench [--layers 32] [--rounds 7] [--steps 10] [--recompute] [--compile]

Both sides: random weights, bf16, adapters of rank 16 on queries and values in fp32, one row of 4,096 tokens of which the last eighth is learned, gradients
cut to a norm of 1, fused AdamW. The peer is a process that stays; ours starts anew for every round and is timed from its third step on.
A ratio is their time over ours: the median of the pairs beside the lowest and the highest. Memory is what tensors take at most.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM


def make_peer(words):
    torch.manual_seed(1)
    config = LlamaConfig(num_hidden_layers=words.layers, max_position_embeddings=4096)  # the defaults are LLaMA-2-7B's
    config._attn_implementation = "sdpa"
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        base = LlamaForCausalLM(config)
        torch.set_default_dtype(torch.float32)
    model = get_peft_model(base, LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")).train()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    if words.recompute:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    forward = torch.compile(model) if words.compile else model
    ids = torch.randint(0, config.vocab_size, (1, 4096), device="cuda")
    labels = torch.full_like(ids, -100)
    labels[:, -512:] = ids[:, -512:]

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = forward(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()

    return step


def timed(step, steps):
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / steps


def ours(words):
    command = [words.program, "decoder", "--layers", str(words.layers), "--steps", str(words.steps)] + (["--recompute"] if words.recompute else [])
    text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=150, env={**os.environ, "LD_LIBRARY_PATH": os.environ.get("OURS", "")}).stdout
    return float(re.search(r"([\d.]+) ms a step", text)[1]) / 1e3, float(re.search(r"([\d.]+) GB at most", text)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default="build/bin/gpu_bench")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--compile", action="store_true")
    words = parser.parse_args()
    step = make_peer(words)
    for _ in range(3):
        step()
    theirs_gb = torch.cuda.max_memory_allocated() / 1e9
    pairs = []
    for _ in range(words.rounds):
        torch.cuda.empty_cache()  # ours needs the memory
        own, own_gb = ours(words)
        step()
        pairs.append((own, timed(step, words.steps)))
    ratios = sorted(theirs / own for own, theirs in pairs)
    print(f"ours {4096 / statistics.median(p[0] for p in pairs):.0f} tokens/s, theirs {4096 / statistics.median(p[1] for p in pairs):.0f} tokens/s, "
          f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}); memory {own_gb:.1f} GB of {theirs_gb:.1f} GB")


if __name__ == "__main__":
    sys.exit(main())

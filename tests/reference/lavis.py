"""Writes tests/data/train/lavis.json and lavis.safetensors: learning rates and gradients of a run as the public code of TimeChat, Video-LLaMA and AffectGPT makes
it, whose runner is that of LAVIS. The loop over epochs and iterations is written out here: the rate is set before every iteration, the gradients of
the iterations add up without being divided, and the optimizer steps on every k-th.

Run by hand:  python tests/reference/lavis.py        (needs torch, safetensors)
"""

import json
import math
import pathlib

import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "train"

# first and number of epochs, iterations of each, of a step, of the warm-up; rates: highest, lowest, at the start of the warm-up
RUNS = {
    "timechat, shortened": (0, 3, 40, 4, 24, 3e-5, 1e-5, 1e-6),
    "warm-up longer than an epoch": (0, 4, 10, 1, 25, 3e-5, 1e-5, 1e-6),
    "affectgpt 2024, shortened": (1, 5, 20, 1, 20, 3e-5, 1e-5, 1e-6),
    "epochs from 1 with a warm-up into the second": (1, 3, 12, 2, 20, 1e-4, 8e-5, 1e-6),
    "affectgpt 2025, shortened": (1, 4, 10, 1, 10, 1e-5, 1e-5, 1e-6),
    "no warm-up": (0, 2, 9, 3, 0, 1e-4, 8e-5, 1e-6),
}


def rates(first, epochs, iterations, accumulate, warmup, highest, lowest, start):
    """What the optimizer sees at each of its steps."""
    seen = []
    for epoch in range(first, first + epochs):
        for i in range(iterations):
            total = epoch * iterations + i
            if total < warmup:
                rate = min(highest, start + (highest - start) * i / max(warmup, 1))
            else:
                rate = (highest - lowest) * 0.5 * (1.0 + math.cos(math.pi * total / (epochs * iterations))) + lowest
            if (i + 1) % accumulate == 0:
                seen.append(rate)
    return seen


def gradients(generator):
    """Of a linear layer under the cross-entropy of three micro-batches with unequal numbers of labels."""
    weight = torch.nn.Parameter(torch.randn(5, 4, generator=generator))
    tensors = {"weight": weight.detach().clone()}
    batches = []
    for number, ignored in enumerate((0, 5, 3)):
        inputs = torch.randn(6, 4, generator=generator)
        labels = torch.randint(0, 5, (6,), generator=generator)
        labels[:ignored] = -100
        batches.append((inputs, labels))
        tensors |= {f"inputs{number}": inputs, f"labels{number}": labels}
    loss = lambda inputs, labels: torch.nn.functional.cross_entropy(inputs @ weight.T, labels)
    ways = {"sum": lambda: [loss(*b).backward() for b in batches],
            "micro_batch": lambda: torch.stack([loss(*b) for b in batches]).mean().backward(),
            "tokens": lambda: loss(torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])).backward()}
    for name, way in ways.items():
        weight.grad = None
        way()
        tensors[f"gradient/{name}"] = weight.grad.clone()
    return tensors


def main():
    keys = ("first_epoch", "epochs", "iterations_per_epoch", "iterations_per_step", "warmup_steps", "learning_rate", "lowest_rate", "warmup_rate")
    runs = [{"name": name} | dict(zip(keys, run)) | {"rates": rates(*run)} for name, run in RUNS.items()]
    (OUT / "lavis.json").write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
    save_file({n: t.contiguous() for n, t in gradients(torch.Generator().manual_seed(4)).items()}, str(OUT / "lavis.safetensors"))


if __name__ == "__main__":
    main()

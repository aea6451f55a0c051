"""Writes tests/data/train: AdamW, gradient clipping and learning-rate schedules as torch computes them.

Run by hand:  python tests/reference/adamw.py        (needs torch, safetensors)
"""

import json
import pathlib

import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "train"
STEPS = 6
SHAPES = {"layer.bias": (5,), "layer.weight": (5, 3), "tokens.weight": (4, 3)}
WITHOUT_GRADIENT = ("layer.weight", 2)  # this parameter has no gradient in this step


def adamw(generator, out):
    parameters = {n: torch.nn.Parameter(torch.randn(s, generator=generator)) for n, s in SHAPES.items()}
    for name, parameter in parameters.items():
        out[f"start/{name}"] = parameter.detach().clone()
    groups = [{"params": [parameters["layer.weight"]], "weight_decay": 0.05},
              {"params": [parameters["layer.bias"], parameters["tokens.weight"]], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-8)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 / (step + 1)
        for name, parameter in parameters.items():
            gradient = torch.randn(parameter.shape, generator=generator)
            parameter.grad = None if (name, step) == WITHOUT_GRADIENT else gradient
            if parameter.grad is not None:
                out[f"gradient{step}/{name}"] = gradient.clone()
        optimizer.step()
        for name, parameter in parameters.items():
            out[f"after{step}/{name}"] = parameter.detach().clone()


def clipping(generator, out):
    gradients = [torch.randn(s, generator=generator) for s in SHAPES.values()]
    for most in (1.0, 100.0):
        parameters = [torch.nn.Parameter(torch.zeros_like(g)) for g in gradients]
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = gradient.clone()
        out[f"norm{most:.0f}"] = torch.nn.utils.clip_grad_norm_(parameters, most)
        for i, parameter in enumerate(parameters):
            out[f"clipped{most:.0f}/{i}"] = parameter.grad
    for i, gradient in enumerate(gradients):
        out[f"unclipped/{i}"] = gradient


def schedule(kind, steps, warmup, final):
    """Rates of a parameter with lr 1.5e-3 under torch's own schedulers."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.5e-3)
    falling = steps - warmup
    schedulers = torch.optim.lr_scheduler
    rest = {"cosine": lambda: schedulers.CosineAnnealingLR(optimizer, falling, eta_min=final * 1.5e-3),
            "linear": lambda: schedulers.LinearLR(optimizer, 1.0, max(final, 1e-30), falling),
            "constant": lambda: schedulers.ConstantLR(optimizer, 1.0, falling)}[kind]()
    if warmup:
        rise = schedulers.LinearLR(optimizer, 1.0 / warmup, 1.0, warmup - 1) if warmup > 1 else schedulers.ConstantLR(optimizer, 1.0, 1)
        rest = schedulers.SequentialLR(optimizer, [rise, rest], [warmup])
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        rest.step()
    return {"kind": kind, "steps": steps, "warmup": warmup, "final": final, "rates": rates}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(3)
    tensors = {}
    adamw(generator, tensors)
    clipping(generator, tensors)
    save_file({n: t.contiguous() for n, t in tensors.items()}, str(OUT / "adamw.safetensors"))
    schedules = [schedule("cosine", 20, 5, 0.0), schedule("cosine", 12, 0, 0.1), schedule("linear", 15, 4, 0.2),
                 schedule("constant", 8, 3, 1.0)]
    (OUT / "schedules.json").write_text(json.dumps(schedules, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

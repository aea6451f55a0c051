"""Writes tests/data/checkpoint: a file by safetensors.torch with every type the checkpoint room reads, and its values.

Run by hand:  python tests/reference/safetensors_torch.py        (needs torch, safetensors)
"""

import json
import pathlib

import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "checkpoint"


def tensors():
    generator = torch.Generator().manual_seed(1)
    values = {}
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        values[str(dtype).removeprefix("torch.")] = torch.randn(2, 3, generator=generator, dtype=torch.float64).to(dtype)
    for dtype in (torch.int64, torch.int32, torch.int16, torch.int8):
        values[str(dtype).removeprefix("torch.")] = torch.randint(-100, 100, (4,), generator=generator, dtype=dtype)
    values["uint8"] = torch.randint(0, 255, (3, 1), generator=generator, dtype=torch.uint8)
    values["bool"] = torch.tensor([True, False, True])
    values["scalar"] = torch.tensor(2.5)
    values["empty"] = torch.empty(0, 4)
    return values


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    values = tensors()
    save_file(values, str(OUT / "tensors.safetensors"), metadata={"format": "pt"})
    expected = [{"name": n, "type": str(t.dtype).removeprefix("torch."), "shape": list(t.shape), "values": t.double().flatten().tolist()}
                for n, t in values.items()]
    (OUT / "tensors.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

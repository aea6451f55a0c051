"""Writes tests/data/checkpoint: files by safetensors.torch with every type that it has, and their values or bytes.

Run by hand:  python tests/reference/safetensors_torch.py        (needs torch, safetensors)
"""

import json
import pathlib

import torch
from safetensors.torch import load_file, save_file

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


def rare_types():
    """Those of few models: 8-bit and 4-bit floats, unsigned integers, complex numbers."""
    count = torch.arange(1, 5)
    names = "float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu uint16 uint32 uint64 complex64".split()
    values = {name: count.float().to(getattr(torch, name)).reshape(2, 2) for name in names}
    values["float4_e2m1fn_x2"] = torch.tensor([[0x12, 0x34], [0x56, 0x78]], dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    return values


def write_rare_types():
    values = rare_types()
    save_file(values, str(OUT / "rare_types.safetensors"), metadata={"format": "pt"})
    loaded = load_file(str(OUT / "rare_types.safetensors"))
    assert all(loaded[n].dtype == t.dtype and loaded[n].shape == t.shape for n, t in values.items())
    rows = [{"name": n, "shape": list(t.shape), "hex": t.view(torch.uint8).numpy().tobytes().hex()} for n, t in values.items()]
    (OUT / "rare_types.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    write_rare_types()
    values = tensors()
    save_file(values, str(OUT / "tensors.safetensors"), metadata={"format": "pt"})
    expected = [{"name": n, "type": str(t.dtype).removeprefix("torch."), "shape": list(t.shape), "values": t.double().flatten().tolist()}
                for n, t in values.items()]
    (OUT / "tensors.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Writes tests/data/formats/pth: files of torch.save in every form that is read, with what they hold in expected.json.

Run by hand:  python tests/reference/pth.py            (needs torch 2.11)
"""

import argparse
import collections
import json
import os
import pathlib
import pickle

import torch

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "formats" / "pth"
WORDS = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64", torch.int32: "I32",
    torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL", torch.complex64: "C64", torch.uint16: "U16",
    torch.uint32: "U32", torch.uint64: "U64", torch.float8_e5m2: "F8_E5M2", torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2fnuz: "F8_E5M2FNUZ", torch.float8_e4m3fnuz: "F8_E4M3FNUZ", torch.float8_e8m0fnu: "F8_E8M0",
}


def numbers(*shape):
    return torch.arange(1, 1 + torch.Size(shape).numel(), dtype=torch.float32).reshape(shape) / 4


def state_dict():
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    for place, tensor in enumerate(module.state_dict().values()):
        tensor.copy_(torch.arange(tensor.numel()).reshape(tensor.shape) + place)
    return module.state_dict()


def views():
    base = numbers(4, 6)
    return {
        "base": base, "turned": base.t(), "rows": base[1:3], "columns": base[:, 2:4], "steps": base[::2, ::3], "last": base[3, 5],
        "expanded": base[0].expand(3, 6), "permuted": numbers(2, 3, 4).permute(2, 0, 1), "none": base[0:0], "tied": base,
    }


def every_type():
    whole = torch.tensor([0, 1, 2, 3])
    types = {str(t).removeprefix("torch."): whole.to(t) for t in WORDS if t not in (torch.bool, torch.float8_e8m0fnu)}
    return types | {"bool": whole > 1, "float8_e8m0fnu": torch.tensor([1, 2, 4, 8]).to(torch.float8_e8m0fnu)}


class Run:
    """Pickled code, as an attacker would write it: loading it in Python makes the file."""

    def __reduce__(self):
        return os.system, ("touch microemo_was_here",)


def nested():
    return {
        "model": state_dict(),
        "optimizer": {"state": {0: {"exp_avg": numbers(2, 3), "step": torch.tensor(5.0)}}, "param_groups": [{"lr": 0.001, "params": [0, 1]}]},
        "epoch": 3, "best": 0.5, "note": "größe", "finished": True, "scaler": None, "type": torch.bfloat16, "shape": torch.Size([1, 2]),
        "list": [numbers(1), [numbers(2)]], "ema": collections.defaultdict(list, {"a": numbers(1)}), "set": {1, 2},
    }


def rows(value, path=""):
    """Name, type, shape, strides and elements of every tensor, in the order of the file."""
    if isinstance(value, torch.Tensor):
        plain = value.detach().contiguous().reshape(-1)
        hexes = plain.view(torch.uint8).numpy().tobytes().hex() if plain.numel() else ""
        yield {"name": path or "tensor", "dtype": WORDS[value.dtype], "shape": list(value.shape), "strides": list(value.stride()), "hex": hexes}
    elif isinstance(value, (dict, list, tuple)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from rows(item, f"{path}/{key}" if path else str(key))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    parameters = {"weight": torch.nn.Parameter(numbers(2, 2)), "scale": torch.nn.Parameter(numbers(3).bfloat16(), requires_grad=False)}
    cases = {
        "state_dict": (state_dict(), {}), "views": (views(), {}), "types": (every_type(), {}), "nested": (nested(), {}),
        "parameters": (parameters, {}), "one_item": ({"weight": numbers(2)}, {}), "tensor": (numbers(2, 2), {}), "list": ([numbers(1), numbers(2)], {}),
        "empty": ({}, {}),
        **{f"protocol{p}": (nested(), {"pickle_protocol": p}) for p in (1, 3, 4, 5)},
        "legacy": (nested(), {"_use_new_zipfile_serialization": False}),
        "legacy_views": (views(), {"_use_new_zipfile_serialization": False}),
        "legacy_parameters": (parameters, {"_use_new_zipfile_serialization": False}),
    }
    expected = {}
    for name, (content, options) in cases.items():
        torch.save(content, OUT / f"{name}.pth", **options)
        expected[name] = list(rows(content))
    unknown = {"model": {"weight": numbers(2)}, "args": argparse.Namespace(lr=0.1, weight=numbers(1)), "run": Run(), "array": numbers(3).to_sparse()}
    torch.save(unknown, OUT / "unknown.pth")
    torch.save(unknown, OUT / "unknown_legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(Run(), OUT / "code.pth")
    torch.save(torch.nn.Linear(1, 1), OUT / "module.pth")
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), str(OUT / "script.pth"))
    (OUT / "plain.pkl").write_bytes(pickle.dumps({"a": 1}))
    (OUT / "code.pkl").write_bytes(pickle.dumps(Run()))
    (OUT / "expected.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Writes tests/data/formats: files made by the formats' own Python libraries, with what they hold in expected.json.

Run by hand:  python tests/reference/formats.py        (needs numpy, safetensors, openpyxl)
"""

import json
import pathlib

import numpy as np
from safetensors import TensorSpec, serialize_file

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "formats"


def safetensors_case():
    rng = np.random.Generator(np.random.PCG64(1))
    tensors = {
        "decoder.weight": ("float32", [2, 3], rng.standard_normal(6).astype("<f4").tobytes()),
        "decoder.half": ("bfloat16", [2, 2], rng.standard_normal(4).astype("<f4").view("<u2")[1::2].tobytes()),
        "a.flags": ("bool", [3], bytes([1, 0, 1])),
        "step": ("int64", [], np.array(1234567890123, "<i8").tobytes()),
        "empty": ("float16", [0, 4], b""),
        "größe \"q\"": ("uint8", [1, 1, 1], b"\x7f"),
        "z.double": ("float64", [1], np.array([-0.125], "<f8").tobytes()),
    }
    buffers = {n: np.frombuffer(b, np.uint8) for n, (_, _, b) in tensors.items()}
    payload = {n: TensorSpec(dtype=d, shape=s, data_ptr=buffers[n].ctypes.data, data_len=len(b)) for n, (d, s, b) in tensors.items()}
    serialize_file(payload, str(OUT / "tensors.safetensors"), metadata={"format": "pt"})
    words = {"float32": "F32", "bfloat16": "BF16", "bool": "BOOL", "int64": "I64", "float16": "F16", "uint8": "U8", "float64": "F64"}
    return [{"name": n, "dtype": words[d], "shape": s, "hex": b.hex()} for n, (d, s, b) in tensors.items()]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    expected = {"safetensors": safetensors_case()}
    (OUT / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

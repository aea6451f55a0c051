"""Proves that torch reads what write_pth writes: tests/data/checkpoint/exported.pth, which a test compares byte by byte with a new one.

Run by hand:  python tests/reference/exported_pth.py [FILE]      (needs torch 2.11)
"""

import pathlib
import sys

import torch

FILE = pathlib.Path(__file__).resolve().parents[1] / "data" / "checkpoint" / "exported.pth"
EXPECTED = {
    "decoder.weight": (torch.float32, (2, 3)), "größe": (torch.bfloat16, (4,)), "half": (torch.float16, ()), "double": (torch.float64, (1, 1)),
    "none": (torch.float32, (0, 3)), "flags": (torch.bool, (2,)), "long": (torch.int64, (2,)), "int": (torch.int32, (2,)),
    "short": (torch.int16, (2,)), "char": (torch.int8, (2,)), "byte": (torch.uint8, (3,)), "complex": (torch.complex64, (2,)),
    "uint16": (torch.uint16, (2,)), "uint32": (torch.uint32, (2,)), "uint64": (torch.uint64, (2,)), "f8": (torch.float8_e4m3fn, (2,)),
    "f8_wide": (torch.float8_e5m2, (2,)),
}


def main():
    file = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    for options in ({"weights_only": True}, {"weights_only": True, "mmap": True}, {"weights_only": False}):
        loaded = torch.load(file, **options)
        assert list(loaded) == ["model"], list(loaded)
        assert list(loaded["model"]) == list(EXPECTED), list(loaded["model"])
        for name, (dtype, shape) in EXPECTED.items():
            tensor = loaded["model"][name]
            counted = torch.arange(torch.Size(shape).numel(), dtype=torch.float32).reshape(shape).to(dtype)
            assert tensor.dtype == dtype and tensor.shape == shape, name
            assert torch.equal(tensor.to(torch.complex64), counted.to(torch.complex64)), name
    print(f"torch {torch.__version__} reads {file.name}: {len(EXPECTED)} tensors, three ways")


if __name__ == "__main__":
    main()

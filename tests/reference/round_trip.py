"""Proves that files of Python's safetensors come out byte by byte the same when they are read and written again.

Run by hand:  python tests/reference/round_trip.py BUILD [FILES]     (needs torch, safetensors; a build with -D MICROEMO_BENCH=ON)
"""

import pathlib
import random
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import save_file

DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
    torch.uint16, torch.uint32, torch.uint64, torch.complex64, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu,
]
LETTERS = "abcxyz._-/0123456789 é微😀\"\\\n\t\x01\x7f"


def random_tensor(choose):
    shape = [choose.choice([0, 1, 2, 3, 5, 8]) for _ in range(choose.randrange(4))]
    dtype = choose.choice(DTYPES)
    count = torch.Size(shape).numel() * dtype.itemsize
    if dtype == torch.bool:
        return torch.randint(0, 2, shape).bool()
    return torch.randint(0, 256, (count,), dtype=torch.uint8).view(dtype).reshape(shape)


def random_file(choose, path):
    tensors = {"".join(choose.choices(LETTERS, k=choose.randrange(1, 20))): random_tensor(choose) for _ in range(choose.randrange(12))}
    # The library writes several texts of metadata in an order that changes from run to run; one is always the same.
    metadata = choose.choice([None, {"format": "pt"}, {"".join(choose.choices(LETTERS, k=5)): "".join(choose.choices(LETTERS, k=30))}])
    save_file(tensors, str(path), metadata=metadata)


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    choose = random.Random(1)
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        files = [pathlib.Path(folder) / f"{i}.safetensors" for i in range(count)]
        for file in files:
            random_file(choose, file)
        if subprocess.run([f"{sys.argv[1]}/bin/checkpoint_bench", "rewrite", *files]).returncode != 0:
            return 1
        wrong = [file.name for file in files if file.read_bytes() != pathlib.Path(f"{file}.again").read_bytes()]
        print(f"{count - len(wrong)} of {count} files are the same byte by byte", *wrong[:5])
        return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

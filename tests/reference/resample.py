"""Writes tests/data/media/resample.safetensors: sounds at other rates as torchaudio.functional.resample gives them with its defaults.

Run by hand:  python tests/reference/resample.py        (needs torch, torchaudio, safetensors)

FROM_TO is noise of FROM / 16 + 301 samples of FROM Hz, at TO Hz; it is the one that of tests/media/resample_test.cpp, exact in float32.
"""

import pathlib

import torch
import torchaudio
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "media" / "resample.safetensors"
PAIRS = [(48000, 16000), (44100, 16000), (22050, 16000), (11025, 16000), (8000, 16000), (16000, 48000), (32000, 44100), (16000, 15999), (1000, 999), (7, 3)]


def noise(count):
    state, samples = 1, []
    for _ in range(count):
        state = (1103515245 * state + 12345) % 2**31
        samples.append((state // 65536 % 32768 - 16384) / 16384)
    return torch.tensor(samples, dtype=torch.float32)


if __name__ == "__main__":
    torch.set_num_threads(1)
    tensors = {}
    for old, new in PAIRS:
        values = torchaudio.functional.resample(noise(old // 16 + 301), old, new)
        tensors[f"{old}_{new}"] = values.contiguous()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, OUT, {"torchaudio": torchaudio.__version__.split("+")[0]})
    print(OUT, OUT.stat().st_size)

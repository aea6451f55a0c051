"""Writes tests/data/train/timechat_crop.safetensors: frames with hard edges, rectangles of them, and what torch makes of these in the way of TimeChat's
training transform: bicubic without smoothing to the size of the frames, then a cast to bytes, which cuts and wraps.

Run by hand:  python tests/reference/timechat_crop.py        (needs numpy, torch, safetensors)
"""

import pathlib

import numpy
import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "train" / "timechat_crop.safetensors"
CROPS = ((0, 0, 16, 20), (2, 3, 12, 14), (5, 1, 9, 18), (0, 6, 16, 13))  # top, left, height, width


def main():
    generator = torch.Generator().manual_seed(5)
    frames = torch.where(torch.rand(2, 3, 16, 20, generator=generator) < 0.5, 0, 255).to(torch.uint8)
    frames[0] = torch.randint(0, 256, (3, 16, 20), generator=generator).to(torch.uint8)
    tensors = {"frames": frames}
    for number, (top, left, height, width) in enumerate(CROPS):
        cut = frames[:, :, top:top + height, left:left + width].float()
        stretched = torch.nn.functional.interpolate(cut, size=frames.shape[2:], mode="bicubic", align_corners=False)
        cast = stretched.to(torch.uint8)
        wrapped = numpy.mod(numpy.trunc(stretched.double().numpy()), 256).astype(numpy.uint8)
        assert (cast.numpy() == wrapped).all(), "torch's cast wraps"
        tensors |= {f"crop{number}": torch.tensor([top, left, height, width]), f"out{number}": cast}
        print(number, "values beyond a byte:", int(((stretched < 0) | (stretched >= 256)).sum()))
    save_file(tensors, str(OUT))


if __name__ == "__main__":
    main()

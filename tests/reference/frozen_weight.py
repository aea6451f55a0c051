"""Writes tests/data/frozen_weight.safetensors: what bitsandbytes makes of a random matrix, in int8 and NF4, and what it brings back. Run by hand:

    python tests/reference/frozen_weight.py        # needs torch, bitsandbytes, safetensors
"""

import pathlib

import bitsandbytes.functional as F
import torch
from safetensors.torch import save_file

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"


def main():
    generator = torch.Generator().manual_seed(7)
    weight = torch.randn(24, 37, generator=generator) * torch.rand(24, 1, generator=generator)
    weight[3] = 0
    rows, scales, _ = F.int8_vectorwise_quant(weight)
    packed, state = F.quantize_4bit(weight, quant_type="nf4", blocksize=64)
    save_file({"weight": weight, "int8.values": rows, "int8.scales": scales, "int8.weight": F.int8_vectorwise_dequant(rows, scales), "nf4.values": packed.flatten(),
               "nf4.scales": state.absmax, "nf4.weight": F.dequantize_4bit(packed, state)}, DATA / "frozen_weight.safetensors")


if __name__ == "__main__":
    main()

"""Writes tests/data/media/fbank.json: log-mel filter banks as torchaudio's Kaldi functions compute them, with the settings of ImageBind.

Run by hand:  python tests/reference/media_fbank.py        (needs torch, torchaudio)
"""

import json
import pathlib

import torch
import torchaudio.compliance.kaldi as kaldi

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "media" / "fbank.json"
RATE = 16000
SAMPLES = 14000


def signal():
    """Noise over a sawtooth, loud, then quiet, then silent; the test computes the same numbers. Every step is exact in float32."""
    state, samples = 1, []
    for i in range(SAMPLES):
        state = (1103515245 * state + 12345) % 2**31
        noise = (state // 65536 % 32768 - 16384) / 32768
        sawtooth = (i * 37 % 512 - 256) / 512
        gain = 1.0 if i < 6000 else 1 / 64 if i < 11000 else 0.0
        samples.append((0.25 * noise + 0.5 * sawtooth + 0.125) * gain)
    return torch.tensor(samples, dtype=torch.float32)


def features(bands):
    values = kaldi.fbank(signal()[None], htk_compat=True, sample_frequency=RATE, use_energy=False, window_type="hanning",
                         num_mel_bins=bands, dither=0.0, frame_length=25, frame_shift=10)
    chosen = list(range(0, values.shape[0], 11))
    return {"bands": bands, "frames": values.shape[0],
            "chosen": {str(i): [round(v, 5) for v in values[i].tolist()] for i in chosen}}


if __name__ == "__main__":
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps([features(64), features(128)]).replace("], \"", "],\n \"") + "\n")
    print(OUT)

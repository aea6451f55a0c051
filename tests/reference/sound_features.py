"""Writes tests/data/media/sound_features.safetensors: what public code makes of 7 s of speech, for tests/data/sound_features_test.cpp.

Run by hand:  python tests/reference/sound_features.py [WAV]        (needs torch, torchaudio, transformers, safetensors)

WAV is sense_and_sensibility_01_austen_64kb-0870.wav, which tools/setup fetches. Every 11th frame of ImageBind's input, every 97th of Whisper's, every
101st sample of HuBERT's is kept.
"""

import os
import pathlib
import sys
import wave

import numpy
import torch
import torchaudio.compliance.kaldi as kaldi
from safetensors.torch import save_file
from transformers import Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

ROOT = pathlib.Path(__file__).resolve().parents[1]
OUT = ROOT / "data" / "media" / "sound_features.safetensors"
NAME = "sense_and_sensibility_01_austen_64kb-0870.wav"
RATE = 16000


def speech(path):
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        samples = numpy.frombuffer(file.readframes(file.getnframes()), "<i2")
    return torch.from_numpy(samples.astype("float32") / 32768)


def imagebind(samples):
    """waveform2melspec and normalisation of facebookresearch/ImageBind, imagebind/data.py, for the first 2 s."""
    clip = samples[None, : 2 * RATE].clone()
    clip -= clip.mean()
    mel = kaldi.fbank(clip, htk_compat=True, sample_frequency=RATE, use_energy=False, window_type="hanning", num_mel_bins=128, dither=0.0, frame_length=25, frame_shift=10).T
    mel = torch.nn.functional.pad(mel, (0, 204 - mel.shape[1]))
    return (mel - -4.268) / 9.138


if __name__ == "__main__":
    torch.set_num_threads(1)
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "microemo" / "media"
    samples = speech(sys.argv[1] if len(sys.argv) > 1 else cache / NAME)
    tensors = {"imagebind": imagebind(samples)[:, ::11].contiguous()}
    for bands in (80, 128):
        mel = WhisperFeatureExtractor(feature_size=bands)(samples.numpy(), sampling_rate=RATE, return_tensors="pt")["input_features"][0]
        tensors[f"whisper_{bands}"] = mel[:, ::97].contiguous()
    hubert = Wav2Vec2FeatureExtractor(do_normalize=True)(samples.numpy(), sampling_rate=RATE, return_tensors="pt")["input_values"][0]
    tensors["hubert"] = hubert[::101].contiguous()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, OUT)
    print(OUT, OUT.stat().st_size, {name: (tuple(t.shape), float(t.min()), float(t.max())) for name, t in tensors.items()})

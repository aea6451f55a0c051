"""Writes tests/data/checkpoint/NAME.bf16.safetensors: what transformers' own bfloat16 makes of the small encoders of vision.py and audio_encoders.py, on the inputs
of their NAME.reference.safetensors, each times 1, 1 + 1/16, … 1 + 15/16 for many roundings. The tests allow ours the error that theirs has against fp32. Run by
hand, behind these scripts:

    python tests/reference/bf16.py        # needs torch, transformers, safetensors
"""

import pathlib

import torch
from safetensors.torch import load_file, save_file
from transformers import Blip2ForConditionalGeneration, CLIPVisionModelWithProjection, HubertModel, InstructBlipForConditionalGeneration, WhisperModel

DATA = pathlib.Path(__file__).resolve().parents[1] / "data" / "checkpoint"
HALF = torch.bfloat16
SCALES = 1 + torch.arange(16) / 16


def scaled(values):
    """[n, ...] -> [16 n, ...], scale by scale."""
    return torch.cat([values * scale for scale in SCALES])


def load(kind, name):
    return kind.from_pretrained(DATA / name, dtype=torch.float32).eval()


def write(name, compute):
    """The same in fp32 and in bfloat16, so that nothing but the type differs."""
    recorded = load_file(DATA / f"{name}.reference.safetensors")
    with torch.no_grad():
        exact, rounded = compute(recorded, torch.float32), compute(recorded, HALF)
    save_file({"fp32": exact.contiguous(), "bf16": rounded.contiguous()}, DATA / f"{name}.bf16.safetensors")


def clip(recorded, dtype):
    return load(CLIPVisionModelWithProjection, "clip-vision").to(dtype)(scaled(recorded["input.pixel_values"]).to(dtype)).image_embeds


def blip(kind, name):
    def compute(recorded, dtype):
        model = load(kind, name).to(dtype)
        image = model.vision_model(scaled(recorded["input.pixel_values"]).to(dtype)).last_hidden_state
        queries = model.query_tokens.expand(len(image), -1, -1)
        if "input.qformer_input_ids" not in recorded:
            return model.qformer(query_embeds=queries, encoder_hidden_states=image).last_hidden_state
        ids, seen = (recorded[f"input.qformer_{name}"].repeat(len(SCALES), 1) for name in ("input_ids", "attention_mask"))
        mask = torch.cat([torch.ones(queries.shape[:2], dtype=torch.long), seen], 1)
        return model.qformer(input_ids=ids, attention_mask=mask, query_embeds=queries,
                             encoder_hidden_states=image).last_hidden_state[:, :queries.shape[1]]
    return compute


def hubert(recorded, dtype):
    return load(HubertModel, "hubert-large").to(dtype)(scaled(recorded["input.input_values"][:1]).to(dtype)).last_hidden_state


def whisper(recorded, dtype):
    return load(WhisperModel, "whisper").encoder.to(dtype)(scaled(recorded["input.input_features"]).to(dtype)).last_hidden_state


def main():
    write("clip-vision", clip)
    write("instructblip", blip(InstructBlipForConditionalGeneration, "instructblip"))
    write("blip2", blip(Blip2ForConditionalGeneration, "blip2"))
    write("hubert-large", hubert)
    write("whisper", whisper)


if __name__ == "__main__":
    main()

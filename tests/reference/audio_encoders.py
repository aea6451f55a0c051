"""Writes tests/data/checkpoint/{hubert-large,hubert-base,whisper,imagebind-audio}: small random audio encoders in the layout of the public files, and beside
each NAME.reference.safetensors with inputs and what they compute, and NAME.gradients.safetensors with the gradients of a loss under the public names.

hubert-large     layer norm after every convolution, norms before attention and MLP; .bin file with the older names of weight normalisation
hubert-base      group norm after the first convolution, norms behind; biases in the convolutions, no norm before the projection, odd position kernel
whisper          encoder beside a decoder, as Whisper folders have it
imagebind-audio  no package holds it: a plain reading of its formulas with torch.nn alone; one file, with names of another sense beside it

Weights are random and large enough that every part shows in the outputs. "quiet" outputs are of the same weights where everything that reaches a norm is
multiplied by QUIET: there the epsilons decide. The loss of the gradients weighs the last state with cos(0, 1, 2, ...). Run by hand:

    python tests/reference/audio_encoders.py        # needs torch, transformers, safetensors
"""

import copy
import math
import pathlib
import re
import shutil

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import (HubertConfig, HubertModel, Wav2Vec2FeatureExtractor, WhisperConfig, WhisperFeatureExtractor,
                          WhisperForConditionalGeneration)

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "checkpoint"
QUIET = 0.003
GENERATOR = torch.Generator().manual_seed(20240723)


def normal(*shape):
    return torch.randn(*shape, generator=GENERATOR)


def randomise(model):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("log_logit_scale"):
                continue
            noise = normal(*parameter.shape)
            inside = max(1, parameter[0].numel()) if parameter.dim() > 1 else 1
            parameter.copy_(1 + 0.2 * noise if re.search(r"norm\w*\.weight$|original0$", name) or name == "modality_heads.audio.0.weight" else
                            0.2 * noise if name.endswith("bias") else
                            noise if re.search("cls_token|masked_spec|bias_[kv]|pos", name) and "conv" not in name else
                            0.9 * noise / inside ** 0.5)
            parameter.requires_grad_(True)
    return model.eval()


def quiet(model, pattern):
    """A copy with every parameter whose name fits the pattern made small."""
    small = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in small.named_parameters():
            if re.search(pattern, name):
                parameter.mul_(QUIET)
    return small


def loss(state, visible=None):
    weighed = state * torch.arange(state.numel(), dtype=torch.float64).cos().float().view_as(state)
    return (weighed if visible is None else weighed[visible]).sum()


def write(path, tensors):
    save_file({name: t.detach().clone().contiguous() for name, t in tensors.items()}, path, metadata={"format": "pt"})


def write_gradients(name, model, keep=lambda parameter: True, more=()):
    gradients = {n: p.grad for n, p in model.named_parameters() if keep(n) and p.grad is not None}
    write(OUT / f"{name}.gradients.safetensors", {**gradients, **dict(more)})


def states(result, prefix="output."):
    return {f"{prefix}hidden_states.{i}": state for i, state in enumerate(result)}


HUBERT = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2, conv_dim=(6, 8, 8, 10), conv_kernel=(10, 3, 3, 2),
              conv_stride=(5, 2, 2, 2), num_conv_pos_embedding_groups=4, attn_implementation="eager")


def hubert_inputs(model):
    """Three sounds of other lengths, which no stride divides, normalised each on its own and padded with zeros."""
    sounds = [0.3 * normal(n) + 0.1 for n in (1043, 617, 804)]
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    padded = extractor([s.numpy() for s in sounds], sampling_rate=16000, padding=True, return_tensors="pt")
    raw = torch.nn.utils.rnn.pad_sequence(sounds, batch_first=True)
    # AffectGPT 2025 hands over one two-dimensional tensor, which is taken for one sound.
    joint = extractor(raw, sampling_rate=16000, return_tensors="pt").input_values.reshape(raw.shape)
    frames = model._get_feat_extract_output_lengths(padded.attention_mask.sum(-1))
    hidden = torch.zeros(3, int(frames.max()), dtype=torch.bool)
    hidden[0, 3:6], hidden[2, 0:2] = True, True
    return {"input.raw": raw, "input.input_values": padded.input_values, "input.attention_mask": padded.attention_mask, "input.joint": joint,
            "input.mask_time_indices": hidden, "output.frames": frames}


def hubert(name, quiet_names, older_names, **config):
    model = randomise(HubertModel(HubertConfig(**HUBERT, **config)))
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    if older_names:
        (folder / "model.safetensors").unlink()
        older = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
        state = {}
        for key, tensor in model.state_dict().items():
            for newer, old in older.items():
                key = key.replace(newer, old)
            state[key] = tensor
        torch.save(state, folder / "pytorch_model.bin")
    inputs = hubert_inputs(model)
    values, mask = inputs["input.input_values"], inputs["input.attention_mask"]
    out = dict(inputs)
    padded = model(values, attention_mask=mask, output_hidden_states=True).hidden_states
    out |= states(padded, "output.")
    out["output.without_mask"] = model(values).last_hidden_state
    out["output.quiet"] = quiet(model, quiet_names)(values, attention_mask=mask).last_hidden_state
    if config.get("mask_time_prob", 1) > 0:
        out["output.masked"] = model(values, mask_time_indices=inputs["input.mask_time_indices"]).last_hidden_state
    last_four = torch.stack(padded[-4:]).sum(0) / 4
    out["output.last_four"] = torch.stack([row[:n].mean(0) for row, n in zip(last_four, inputs["output.frames"])])
    write(OUT / f"{name}.reference.safetensors", out)
    visible = torch.arange(padded[-1].shape[1])[None] < inputs["output.frames"][:, None]
    loss(padded[-1], visible).backward()
    write_gradients(name, model)


def whisper():
    config = WhisperConfig(d_model=16, encoder_layers=3, encoder_attention_heads=2, encoder_ffn_dim=24, num_mel_bins=8, max_source_positions=21,
                           decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=8, max_target_positions=4, vocab_size=12, pad_token_id=0,
                           bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, begin_suppress_tokens=None, attn_implementation="eager")
    model = WhisperForConditionalGeneration(config)
    positions = model.model.encoder.embed_positions.weight.clone()
    randomise(model)
    with torch.no_grad():
        model.model.encoder.embed_positions.weight.copy_(positions)
    folder = OUT / "whisper"
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    features = normal(2, 8, 42)
    encoder = model.model.encoder
    result = encoder(features, output_hidden_states=True).hidden_states
    small = quiet(encoder, r"conv2|embed_positions|out_proj|fc2")
    sound = 0.2 * normal(2, 5000)
    mel = {f"output.mel.{bands}": WhisperFeatureExtractor(feature_size=bands, chunk_length=1)(
        list(sound.numpy()), sampling_rate=16000, return_tensors="pt").input_features[..., ::9] for bands in (80, 128)}
    write(OUT / "whisper.reference.safetensors", {"input.input_features": features, "output.quiet": small(features).last_hidden_state,
                                                  "input.sound": sound, **mel, **states(result)})
    loss(result[-1]).backward()
    write_gradients("whisper", model, lambda name: name.startswith("model.encoder"))


class ImageBindBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, add_bias_kv=True, batch_first=True)
        self.norm_1, self.norm_2 = nn.LayerNorm(width, 1e-6), nn.LayerNorm(width, 1e-6)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x):
        y = self.norm_1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.mlp["fc2"](nn.functional.gelu(self.mlp["fc1"](self.norm_2(x))))


class ImageBindAudio(nn.Module):
    """Modules stand where the names of the public file want them."""

    def __init__(self, width, layers, heads, bands, frames, out):
        super().__init__()
        patches = ((bands - 16) // 10 + 1) * ((frames - 16) // 10 + 1)
        stem, positions = nn.Module(), nn.Module()
        stem.proj, stem.norm_layer = nn.Conv2d(1, width, 16, 10, bias=False), nn.LayerNorm(width, 1e-5)
        positions.pos_embed = nn.Parameter(torch.empty(1, 1 + patches, width))
        ears = nn.Module()
        ears.cls_token, ears.rgbt_stem, ears.pos_embedding_helper = nn.Parameter(torch.empty(1, 1, width)), stem, positions
        trunk, scale = nn.Module(), nn.Module()
        trunk.blocks = nn.ModuleList(ImageBindBlock(width, heads) for _ in range(layers))
        scale.register_buffer("log_logit_scale", torch.tensor(math.log(20.0)))
        head = nn.ModuleDict({"0": nn.LayerNorm(width, 1e-6), "2": nn.Linear(width, out, bias=False)})
        self.modality_preprocessors, self.modality_trunks = nn.ModuleDict({"audio": ears}), nn.ModuleDict({"audio": trunk})
        self.modality_heads = nn.ModuleDict({"audio": head})
        self.modality_postprocessors = nn.ModuleDict({"audio": nn.ModuleDict({"1": scale})})

    def forward(self, spectrogram):
        ears, head = self.modality_preprocessors["audio"], self.modality_heads["audio"]
        patches = ears.rgbt_stem.norm_layer(ears.rgbt_stem.proj(spectrogram[:, None]).flatten(2).transpose(1, 2))
        x = torch.cat([ears.cls_token.expand(len(patches), -1, -1), patches], 1) + ears.pos_embedding_helper.pos_embed
        result = [x]
        for block in self.modality_trunks["audio"].blocks:
            result.append(block(result[-1]))
        feature = head["0"](result[-1])[:, 0]
        scale = self.modality_postprocessors["audio"]["1"].log_logit_scale.exp().clip(max=100)
        return result, feature, scale * nn.functional.normalize(head["2"](feature), dim=-1)


def imagebind():
    model = randomise(ImageBindAudio(width=12, layers=3, heads=2, bands=38, frames=57, out=12))
    folder = OUT / "imagebind-audio"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    other = {"modality_preprocessors.text.mask": torch.ones(3), "modality_trunks.vision.blocks.0.norm_1.weight": torch.ones(4)}
    torch.save({**model.state_dict(), **other}, folder / "imagebind_small.pth")
    spectrogram = normal(3, 38, 57)
    result, feature, embedding = model(spectrogram)
    small = quiet(model, r"rgbt_stem|cls_token|pos_embed|out_proj|fc2")(spectrogram)
    log_mel = 3 * normal(2, 52, 38) - 6
    padded = nn.functional.pad(log_mel.transpose(1, 2), (0, 5))
    write(OUT / "imagebind-audio.reference.safetensors",
          {"input.spectrogram": spectrogram, "input.log_mel": log_mel, "output.spectrogram": (padded + 4.268) / 9.138, "output.feature": feature,
           "output.embedding": embedding, "output.quiet": small[0][-1], "output.quiet_feature": small[1], **states(result)})
    loss(embedding).backward()
    # The scale is a buffer and has no gradient; the file needs the name to be one of the family.
    write_gradients("imagebind-audio", model, more={"modality_postprocessors.audio.1.log_logit_scale": torch.tensor(0.0)})


def main():
    hubert("hubert-large", r"conv\.weight|conv_layers.3.layer_norm|feature_projection.projection|pos_conv.*(original0|bias)|out_proj|output_dense",
           True, feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=False, num_conv_pos_embeddings=12)
    hubert("hubert-base", r"conv_layers.0.conv\.|feature_projection.projection|pos_conv.*(original0|bias)|out_proj|output_dense|encoder.*layer_norm",
           False, feat_extract_norm="group", do_stable_layer_norm=False, conv_bias=True, num_conv_pos_embeddings=7, feat_proj_layer_norm=False,
           mask_time_prob=0.0)
    whisper()
    imagebind()


if __name__ == "__main__":
    main()

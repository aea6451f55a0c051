"""Writes tests/data/checkpoint/video-qformer: a small random video Q-Former as Video-LLaMA and TimeChat save theirs (a training state, "model" beside Adam's
moments, int64 buffers among the weights), with reference.safetensors and gradients.safetensors of what it computes.

The layers are transformers' Blip2QFormerModel with a cross-attention in every layer. What stands around them is written here after the description of TimeChat
(Ren et al. 2024, section 3.2): positions are added to all frames of a clip, by the number of the frame, then the windows are read one after the other. The
file has fewer positions than the model that reads it, as Video-LLaMA's for TimeChat. Run by hand:

    python tests/reference/qformer.py        # needs torch, transformers, safetensors
"""

import shutil

import torch
from transformers import Blip2QFormerConfig, Blip2QFormerModel

from vision import OUT, loss, normal, randomise, write

FOLDER = OUT / "video-qformer"
WIDTH, MEMORY, QUERIES, ROWS_IN_FILE, POSITIONS = 12, 10, 3, 4, 8


def public_name(name):
    """transformers' name -> the name in the public files, whose class is BERT's."""
    name = name.replace("attention.attention.", "attention.self.").replace("crossattention.attention.", "crossattention.self.")
    return "video_Qformer.bert." + (name.replace("layernorm.", "embeddings.LayerNorm.") if name.startswith("layernorm.") else name)


class Video(torch.nn.Module):
    def __init__(self):
        super().__init__()
        config = Blip2QFormerConfig(hidden_size=WIDTH, intermediate_size=20, num_hidden_layers=2, num_attention_heads=3, cross_attention_frequency=1,
                                    encoder_hidden_size=MEMORY, attn_implementation="eager")
        self.qformer = randomise(Blip2QFormerModel(config))
        self.queries = torch.nn.Parameter(normal(1, QUERIES, WIDTH))
        self.position = torch.nn.Parameter(normal(ROWS_IN_FILE, MEMORY))

    def read(self, frames):
        memory = frames.flatten(1, 2)
        return self.qformer(query_embeds=self.queries.expand(len(frames), -1, -1), encoder_hidden_states=memory).last_hidden_state

    def forward(self, frames, window, stride):
        stretched = torch.nn.functional.interpolate(self.position.T[None], size=POSITIONS, mode="nearest")[0].T
        placed = frames + stretched[:frames.shape[1], None]
        if window == 0:
            return self.read(placed), stretched
        return torch.cat([self.read(placed[:, i:i + window]) for i in range(0, frames.shape[1], stride)], 1), stretched

    def public(self, values):
        named = {public_name(name): values(p) for name, p in self.qformer.named_parameters()}
        return named | {"video_query_tokens": values(self.queries), "video_frame_position_embedding.weight": values(self.position)}


def main():
    model = Video().eval()
    weights = {name: t.detach().clone() for name, t in model.public(lambda p: p).items()}
    weights["video_Qformer.bert.embeddings.position_ids"] = torch.arange(16)[None]
    weights |= {"llama_proj.weight": normal(6, WIDTH), "llama_proj.bias": normal(6)}
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    moments = {"state": {0: {"exp_avg": torch.zeros(3), "step": torch.tensor(2.0)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    torch.save({"model": weights, "optimizer": moments, "epoch": 2}, FOLDER / "state.pth")
    frames = normal(2, 7, 5, MEMORY)
    out = {"input.frames": frames, "output.positions": model(frames, 0, 0)[1]}
    for window, stride in ((0, 0), (3, 3), (4, 2), (2, 3)):
        out[f"output.window{window}_stride{stride}"] = model(frames, window, stride)[0]
    write(FOLDER / "reference.safetensors", out)
    loss(model(frames, 3, 3)[0]).backward()
    write(FOLDER / "gradients.safetensors", model.public(lambda p: p.grad))


if __name__ == "__main__":
    main()

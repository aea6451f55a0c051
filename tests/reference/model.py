"""Golden values for the nn and model rooms: tests/data/model/*.safetensors.

The decoder comes from transformers (LlamaForCausalLM with random weights), everything else from a plain reading of the formulas in docs/model.md, written
here with torch.nn.functional alone. Weights are stored under the names of the C++ modules. Run from the root of the checkout:

    python tests/reference/model.py        # needs torch, transformers and safetensors as pinned in requirements.txt
"""
import math
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

OUT = pathlib.Path(__file__).resolve().parent.parent / "data" / "model"
torch.manual_seed(20240723)


def save(name, tensors):
    OUT.mkdir(parents=True, exist_ok=True)
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, OUT / f"{name}.safetensors")


class Weights(dict):
    """Random parameters by name; a prefix walks down the modules."""

    def make(self, name, *shape, scale=None):
        scale = 0.7 / math.sqrt(shape[-1]) if scale is None else scale
        self[name] = (torch.randn(*shape) * scale).requires_grad_()
        return self[name]

    def linear(self, name, out, inside, bias=True):
        self.make(f"{name}.weight", out, inside)
        if bias:
            self.make(f"{name}.bias", out, scale=0.1)

    def norm(self, name, width):
        self[f"{name}.weight"] = (1 + 0.1 * torch.randn(width)).requires_grad_()
        self.make(f"{name}.bias", width, scale=0.1)

    def attention(self, name, width, memory, output="output"):
        for part, inside in (("query", width), ("key", memory), ("value", memory), (output, width)):
            self.linear(f"{name}.{part}", width, inside)

    def mlp(self, name, width):
        self.linear(f"{name}.up", 4 * width, width)
        self.linear(f"{name}.down", width, 4 * width)

    def block(self, name, width):
        self.norm(f"{name}.attention_norm", width)
        self.attention(f"{name}.attention", width, width)
        self.norm(f"{name}.mlp_norm", width)
        self.mlp(f"{name}.mlp", width)

    def qformer_layer(self, name, width, memory):
        for norm in ("self_norm", "memory_norm", "mlp_norm"):
            self.norm(f"{name}.{norm}", width)
        self.attention(f"{name}.self_attention", width, width)
        self.attention(f"{name}.memory_attention", width, memory)
        self.mlp(f"{name}.mlp", width)


def linear(w, name, x):
    return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0)


def norm(w, name, x):
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], 1e-6)


def attention(w, name, x, memory, heads, visible=None, output="output"):
    """softmax(q k / sqrt(E)) v, head by head; `visible` [.., L, S] is boolean."""
    width = x.shape[-1] // heads
    q, k, v = linear(w, f"{name}.query", x), linear(w, f"{name}.key", memory), linear(w, f"{name}.value", memory)
    mixed = []
    for head in range(heads):
        cut = slice(head * width, (head + 1) * width)
        scores = q[..., cut] @ k[..., cut].transpose(-1, -2) / math.sqrt(width)
        if visible is not None:
            scores = scores.masked_fill(~visible, -1e9)
        mixed.append(scores.softmax(-1) @ v[..., cut])
    return linear(w, f"{name}.{output}", torch.cat(mixed, -1))


def mlp(w, name, x):
    return linear(w, f"{name}.down", F.gelu(linear(w, f"{name}.up", x)))


def block(w, name, x, heads, visible=None):
    y = norm(w, f"{name}.attention_norm", x)
    x = x + attention(w, f"{name}.attention", y, y, heads, visible)
    return x + mlp(w, f"{name}.mlp", norm(w, f"{name}.mlp_norm", x))


def qformer_layer(w, name, x, queries, memory, heads, visible=None, memory_visible=None):
    y = norm(w, f"{name}.self_norm", x)
    x = x + attention(w, f"{name}.self_attention", y, y, heads, visible)
    looked = x[:, :queries] + attention(w, f"{name}.memory_attention", norm(w, f"{name}.memory_norm", x[:, :queries]), memory, heads, memory_visible)
    x = torch.cat([looked, x[:, queries:]], 1)
    return x + mlp(w, f"{name}.mlp", norm(w, f"{name}.mlp_norm", x))


def time_features(seconds, width):
    wavelengths = torch.exp(torch.linspace(math.log(0.1), math.log(1000.0), width // 2))
    angles = seconds[..., None] * 2 * math.pi / wavelengths
    return torch.cat([angles.sin(), angles.cos()], -1)


def vit(w, name, pictures, patch, layers, heads):
    n, channels, height, width = pictures.shape
    patches = [pictures[:, :, r:r + patch, c:c + patch].reshape(n, -1) for r in range(0, height, patch) for c in range(0, width, patch)]
    x = linear(w, f"{name}patch_embedding", torch.stack(patches, 1)) + w[f"{name}position"]
    for layer in range(layers):
        x = block(w, f"{name}block{layer}", x, heads)
    return norm(w, f"{name}norm", x)


def vit_weights(w, name, channels, patches, patch, width, layers):
    w.linear(f"{name}patch_embedding", width, channels * patch * patch)
    w.make(f"{name}position", patches, width, scale=0.1)
    for layer in range(layers):
        w.block(f"{name}block{layer}", width)
    w.norm(f"{name}norm", width)


def golden_vit():
    w = Weights()
    vit_weights(w, "", 3, 6, 4, 16, 2)
    pictures = torch.randn(2, 3, 8, 12)
    save("vit", {**w, "in.pictures": pictures, "out": vit(w, "", pictures, 4, 2, 2)})


def golden_image_qformer():
    w = Weights()
    w.make("queries", 3, 16, scale=0.5)
    w.make("tokens.weight", 11, 16, scale=0.5)
    for layer in range(2):
        w.qformer_layer(f"layer{layer}", 16, 16)
    w.norm("norm", 16)
    patches, text = torch.randn(4, 5, 16), torch.randint(0, 11, (4, 6))
    text[1, 4:], text[3, 2:] = -1, -1
    x = torch.cat([w["queries"].expand(4, -1, -1), w["tokens.weight"][text.clamp(min=0)]], 1)
    visible = torch.cat([torch.ones(4, 3, dtype=torch.bool), text >= 0], 1)[:, None, :]
    for layer in range(2):
        x = qformer_layer(w, f"layer{layer}", x, 3, patches, 2, visible)
    save("image_qformer", {**w, "in.patches": patches, "in.text": text, "out": norm(w, "norm", x[:, :3])})


def golden_local():
    w = Weights()
    vit_weights(w, "vit.", 2, 4, 4, 16, 1)
    w.linear("patch_features", 3, 16)
    w.linear("to_token", 16, 12)
    w.make("embedding_no_face", 1, 16, scale=0.5)
    for layer in range(2):
        w.block(f"temporal{layer}", 16)
    w.norm("norm", 16)
    faces = torch.randint(-127, 128, (2, 9, 2, 8, 8), dtype=torch.int8)
    times = torch.stack([torch.arange(9) * 0.04, torch.arange(9) * 0.05])
    padding, found = torch.ones(2, 9, dtype=torch.bool), torch.ones(2, 9, dtype=torch.bool)
    padding[1, 7:], found[0, 3], found[1, 7:] = False, False, False
    x = torch.zeros(2, 9, 16)
    for b in range(2):
        for i in range(9):
            if found[b, i]:
                patches = F.gelu(vit(w, "vit.", faces[b, i][None].float() * (3.0 / 127), 4, 1, 2))
                x[b, i] = linear(w, "to_token", linear(w, "patch_features", patches).reshape(-1))
            else:
                x[b, i] = w["embedding_no_face"][0]
    x = x + time_features(times, 16)
    visible = ((times[:, :, None] - times[:, None, :]).abs() <= 0.1 + 1e-4) & padding[:, None, :]
    for layer in range(2):
        x = block(w, f"temporal{layer}", x, 2, visible)
    save("local_branch", {**w, "in.faces": faces, "in.times": times.float(), "in.found": found, "in.padding": padding, "out": norm(w, "norm", x)})


def golden_global_local():
    w = Weights()
    w.norm("frame_norm", 16)
    w.attention("attention", 16, 16, output="zero_output")
    frames, faces = torch.randn(2, 3, 2, 16), torch.randn(2, 10, 16)
    frame_times = torch.tensor([[0.0, 0.2, 0.4], [0.0, 0.2, 5.0]])
    face_times = (torch.arange(10) * 0.04).expand(2, 10).contiguous()
    padding = torch.ones(2, 10, dtype=torch.bool)
    padding[1, 6:] = False
    out = frames.clone()
    for b in range(2):
        for t in range(3):
            near = [n for n in range(10) if padding[b, n] and abs(frame_times[b, t] - face_times[b, n]) <= 0.12 + 1e-4]
            if near:
                out[b, t] = frames[b, t] + attention(w, "attention", norm(w, "frame_norm", frames[b, t]), faces[b, near], 2, output="zero_output")
    save("global_local", {**w, "in.frames": frames, "in.faces": faces, "in.frame_times": frame_times, "in.face_times": face_times,
                          "in.padding": padding, "out": out})


def near_faces(frame_times, frame_mask, face_times, face_mask, window):
    """For each frame the faces within half a window of it; without a window those to which no other frame is nearer (the first of several)."""
    near = []
    for t in range(len(frame_times)):
        own = []
        for n in range(len(face_times)):
            if not (frame_mask[t] and face_mask[n]):
                continue
            distances = [abs(frame_times[i] - face_times[n]).item() if frame_mask[i] else math.inf for i in range(len(frame_times))]
            if distances[t] <= window / 2 + 1e-4 if window else distances.index(min(distances)) == t:
                own.append(n)
        near.append(own)
    return near


def golden_faces_ask(name, window):
    w = Weights()
    w.norm("frame_norm", 16)
    w.norm("face_norm", 16)
    w.attention("attention", 16, 16)
    frames, faces = torch.randn(2, 3, 2, 16), torch.randn(2, 10, 16)
    frame_times = torch.tensor([[0.0, 0.2, 0.5], [0.1, 0.3, 0.0]])
    face_times = (torch.arange(10) * 0.04).expand(2, 10).contiguous()
    frame_mask, face_mask = torch.ones(2, 3, dtype=torch.bool), torch.ones(2, 10, dtype=torch.bool)
    frame_mask[1, 2], face_mask[1, 6:] = False, False
    out = torch.zeros(2, 3, 3, 16)
    for b in range(2):
        near = near_faces(frame_times[b], frame_mask[b], face_times[b], face_mask[b], window)
        told = faces[b].clone()
        for n in range(10):
            asked = [t for t in range(3) if n in near[t]]
            if asked:
                memory = norm(w, "frame_norm", frames[b, asked]).reshape(-1, 16)
                told[n] = faces[b, n] + attention(w, "attention", norm(w, "face_norm", faces[b, n:n + 1]), memory, 2)[0]
        for t in range(3):
            if frame_mask[b, t]:
                kept = [n for n in range(10) if face_mask[b, n]]
                taken = near[t] or [min(kept, key=lambda n: abs(frame_times[b, t] - face_times[b, n]).item())]
                out[b, t] = torch.cat([frames[b, t], told[taken].mean(0, keepdim=True)])
    save(name, {**w, "in.frames": frames, "in.faces": faces, "in.frame_times": frame_times, "in.frame_mask": frame_mask, "in.face_times": face_times,
                "in.padding": face_mask, "out": out})


def golden_faces_ask_in_windows():
    golden_faces_ask("faces_ask", 0.24)


def golden_faces_ask_the_nearest():
    golden_faces_ask("faces_ask_nearest", 0)


def golden_frames_ask_the_nearest():
    w = Weights()
    w.norm("frame_norm", 16)
    w.attention("attention", 16, 16)
    frames, faces = torch.randn(1, 3, 2, 16), torch.randn(1, 10, 16)
    frame_times, face_times = torch.tensor([[0.0, 0.1, 0.35]]), (torch.arange(10) * 0.03)[None]
    near = near_faces(frame_times[0], torch.ones(3, dtype=torch.bool), face_times[0], torch.ones(10, dtype=torch.bool), 0)
    assert sorted(sum(near, [])) == list(range(10))
    out = torch.stack([frames[0, t] + attention(w, "attention", norm(w, "frame_norm", frames[0, t]), faces[0, near[t]], 2) for t in range(3)])[None]
    save("frames_ask_nearest", {**w, "in.frames": frames, "in.faces": faces, "in.frame_times": frame_times, "in.face_times": face_times, "out": out})


def golden_window_qformer():
    w = Weights()
    for name in ("queries_whole", "queries_utterance"):
        w.make(name, 3, 16, scale=0.5)
    w.make("embedding_nothing", 1, 16, scale=0.5)
    for layer in range(2):
        w.qformer_layer(f"layer{layer}", 16, 16)
    w.norm("norm", 16)
    memory, times = torch.randn(3, 8, 16), (torch.arange(8) * 0.5).expand(3, 8).contiguous()
    mask = torch.ones(3, 8, dtype=torch.bool)
    mask[1, 5:], mask[2] = False, False
    windows = torch.tensor([[[0, 10], [0.5, 1.5], [1.6, 1.9]], [[0, 10], [1.0, 2.5], [3.0, 4.0]], [[0, 10], [0.0, 1.0], [0, 0]]])
    window_mask = torch.tensor([[True, True, True], [True, True, True], [True, True, False]])
    out = torch.zeros(3, 3, 3, 16)
    for b in range(3):
        for window in range(3):
            if not window_mask[b, window]:
                continue
            start, end = windows[b, window].tolist()
            kept = [s for s in range(8) if mask[b, s]]
            inside = [s for s in kept if start <= times[b, s] < end]
            if not inside and kept:
                inside = [min(kept, key=lambda s: abs(times[b, s].item() - (start + end) / 2))]
            seen = memory[b, inside] if inside else w["embedding_nothing"]
            x = w["queries_whole" if window == 0 else "queries_utterance"][None]
            for layer in range(2):
                x = qformer_layer(w, f"layer{layer}", x, 3, seen[None], 2)
            out[b, window] = norm(w, "norm", x)[0]
    save("window_qformer", {**w, "in.memory": memory, "in.times": times, "in.mask": mask, "in.windows": windows, "in.window_mask": window_mask, "out": out})


def golden_audio_encoder():
    w = Weights()
    w.linear("patch_embedding", 16, 4 * 5)
    w.make("position", 5, 16, scale=0.1)
    w.block("block0", 16)
    w.norm("norm", 16)
    mel = torch.randn(2, 33, 5) * 4 - 5
    times = (0.0125 + torch.arange(33) * 0.01).expand(2, 33).contiguous()
    mask = torch.ones(2, 33, dtype=torch.bool)
    mask[1, 18:] = False
    normal = torch.zeros(2, 40, 5)
    normal[:, :33] = (mel + 4.268) / 9.138
    normal[1, 18:] = 0
    x = linear(w, "patch_embedding", normal.reshape(2, 10, 20)) + w["position"].repeat(2, 1)
    token_mask = torch.zeros(2, 10, dtype=torch.bool)
    token_mask[0, :9], token_mask[1, :5] = True, True
    pieces = [block(w, "block0", x[:, p * 5:p * 5 + 5], 2, token_mask[:, None, p * 5:p * 5 + 5]) for p in range(2)]
    out = norm(w, "norm", torch.cat(pieces, 1))
    save("audio_encoder", {**w, "in.mel": mel, "in.times": times, "in.mask": mask, "out": out, "out.mask": token_mask})


def golden_decoder():
    config = LlamaConfig(vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                         max_position_embeddings=64, rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=True, attention_bias=False)
    llama = LlamaForCausalLM(config).float()
    for parameter in llama.parameters():
        parameter.data = torch.randn_like(parameter) * (0.7 / math.sqrt(parameter.shape[-1])) + (1.0 if parameter.dim() == 1 else 0.0)
    names = {"self_attn.q_proj": "query", "self_attn.k_proj": "key", "self_attn.v_proj": "value", "self_attn.o_proj": "output", "mlp.gate_proj": "gate",
             "mlp.up_proj": "up", "mlp.down_proj": "down", "input_layernorm": "attention_norm", "post_attention_layernorm": "mlp_norm"}
    ids, labels = torch.randint(0, 61, (3, 9)), torch.randint(0, 61, (3, 9))
    labels[:, :4] = -100
    result = llama(ids, output_hidden_states=True)
    loss = F.cross_entropy(result.logits.flatten(0, 1), labels.flatten(), reduction="sum", ignore_index=-100)
    loss.backward()
    tensors = {"in.ids": ids, "in.labels": labels, "out.hidden": result.hidden_states[-1], "out.logits": result.logits, "out.loss": loss}
    tensors["out.greedy"] = llama.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, eos_token_id=None, pad_token_id=0)[:, 9:]
    mapped = {"tokens.weight": llama.model.embed_tokens.weight, "norm.weight": llama.model.norm.weight}
    for i, layer in enumerate(llama.model.layers):
        for theirs, ours in names.items():
            mapped[f"block{i}.{ours}.weight"] = layer.get_submodule(theirs).weight
    tensors.update(mapped)
    tensors.update({f"grad.{name}": parameter.grad for name, parameter in mapped.items()})
    save("decoder", tensors)


for golden in (golden_vit, golden_image_qformer, golden_local, golden_global_local, golden_window_qformer, golden_audio_encoder, golden_decoder,
               golden_faces_ask_in_windows, golden_faces_ask_the_nearest, golden_frames_ask_the_nearest):
    golden()

"""Writes tests/data/checkpoint/lineages/{timechat,affectgpt-2024,affectgpt-2025,emotion-llama}: small random models, whole, in the files that their public code keeps them in,
each with reference.safetensors: what comes in (input.*), the tokens that the decoder gets (output.media) and what it answers (output.logits, output.loss), and
gradients.safetensors with the loss's gradients of the trained parts under the public names.

The parts come from transformers (ImageBind from audio_encoders.py); how they are put together is written here after the description of the public code:

timechat        each frame's Q-Former reads its time and keeps the text's places, padding too; positions by the frame's number; windows of 3 frames; LLaMA with
                LoRA. The image Q-Former stands in two files, of which the later one counts; the table of positions has fewer rows than the model.
affectgpt-2024  no text in the image Q-Former, one window; ImageBind's pieces through a Q-Former of their own; LLaMA as it is
affectgpt-2025  CLIP's projected class token of each frame, HuBERT's pieces normalised jointly, sums weighed by linear scores, a fused token; Qwen2 with LoRA
emotion-llama   one frame, three neighbouring patches side by side in a token (the public model: four), three given vectors and the class token; EVA's positions
                are of a smaller picture, stretched bicubically; LLaMA with LoRA

Run by hand:

    python tests/reference/lineages.py        # needs torch, transformers, safetensors
"""

import shutil

import torch
from transformers import (Blip2QFormerConfig, Blip2QFormerModel, Blip2VisionConfig, Blip2VisionModel, CLIPVisionConfig, CLIPVisionModelWithProjection, HubertConfig,
                          HubertModel, InstructBlipQFormerConfig, InstructBlipQFormerModel, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM)

import audio_encoders
from vision import OUT, normal, randomise, write

ROOT = OUT / "lineages"
VISION = dict(hidden_size=16, intermediate_size=28, num_hidden_layers=2, num_attention_heads=2, image_size=12, patch_size=4, layer_norm_eps=1e-6)
QFORMER = dict(hidden_size=12, intermediate_size=20, num_attention_heads=2, layer_norm_eps=1e-12, attn_implementation="eager")
WORDS, DECODER_WIDTH, RANK, ALPHA = 40, 16, 4, 4
MEAN, DEVIATION = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
INTEGERS = torch.Generator().manual_seed(7)


def integers(low, high, *shape, dtype=torch.long):
    return torch.randint(low, high, shape, generator=INTEGERS, dtype=dtype)


def lavis_eva(vision):
    """transformers' Blip2VisionModel under the names of eva_vit_g.pth; its last norm is ln_vision of another file."""
    state, named, norm = dict(vision.named_parameters()), {}, {}
    renamed = {"embeddings.class_embedding": "cls_token", "embeddings.position_embedding": "pos_embed", "embeddings.patch_embedding": "patch_embed.proj",
               "encoder.layers": "blocks", "layer_norm1": "norm1", "layer_norm2": "norm2", "self_attn.projection": "attn.proj", "self_attn.qkv": "attn.qkv"}
    for name, tensor in state.items():
        if name.startswith("post_layernorm."):
            norm["ln_vision." + name.removeprefix("post_layernorm.")] = tensor
            continue
        for theirs, public in renamed.items():
            name = name.replace(theirs, public)
        if name.endswith("attn.qkv.bias"):
            queries, keys, values = tensor.chunk(3)
            assert not keys.any()
            block = name.removesuffix("qkv.bias")
            named |= {block + "q_bias": queries, block + "v_bias": values}
        else:
            named[name] = tensor
    return named, norm


def bert_name(prefix, name):
    """transformers' name of a Q-Former -> the public one, whose class is BERT's."""
    name = name.replace("attention.attention.", "attention.self.").replace("crossattention.attention.", "crossattention.self.")
    name = name.replace("embeddings.layernorm.", "embeddings.LayerNorm.")
    return prefix + ".bert." + (name.replace("layernorm.", "embeddings.LayerNorm.") if name.startswith("layernorm.") else name)


def public_qformer(prefix, model, values):
    return {bert_name(prefix, name): values(p) for name, p in model.named_parameters()}


class Parts(torch.nn.Module):
    """Adds what stands around the public models: queries, positions and projections."""

    def queries(self, name, count):
        setattr(self, name, torch.nn.Parameter(normal(1, count, QFORMER["hidden_size"])))

    def positions(self, name, rows, width):
        setattr(self, name, torch.nn.Parameter(normal(rows, width)))

    def linear(self, name, inside, out):
        setattr(self, name, randomise(torch.nn.Linear(inside, out)))


def video_qformer(memory):
    return randomise(Blip2QFormerModel(Blip2QFormerConfig(num_hidden_layers=2, cross_attention_frequency=1, encoder_hidden_size=memory, **QFORMER)))


def read(qformer, queries, memory):
    return qformer(query_embeds=queries.expand(len(memory), -1, -1), encoder_hidden_states=memory).last_hidden_state


def pictures(frames):
    return ((frames.flatten(0, 1).float() / 255 - MEAN.view(3, 1, 1)) / DEVIATION.view(3, 1, 1))


def add_lora(decoder, targets):
    """PEFT's arithmetic: y + alpha / rank B A x."""
    adapters = {}
    for i, layer in enumerate(decoder.model.layers):
        for target in targets:
            linear = layer.get_submodule(target)
            a, b = (torch.nn.Parameter(normal(*shape) / shape[1] ** 0.5) for shape in ((RANK, linear.in_features), (linear.out_features, RANK)))
            linear.register_forward_hook(lambda _, args, out, a=a, b=b: out + args[0] @ a.T @ b.T * (ALPHA / RANK))
            name = f"llama_model.base_model.model.model.layers.{i}.{target}.lora_"
            adapters |= {name + "A.default.weight": a, name + "B.default.weight": b}
    return adapters


def answer(decoder, media, rows):
    """`media` [n, width]; places of media hold a row of it, the others a token."""
    embedded = decoder.get_input_embeddings()(rows["input.ids"])
    embedded = torch.where(rows["input.media"][..., None] >= 0, media[rows["input.media"].clamp(min=0)], embedded)
    logits = decoder(inputs_embeds=embedded).logits
    labels = rows["input.labels"]
    return logits, torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)


def rows_of(clips, media):
    """One row of each clip: a token, the clip's media tokens, words; what follows each of the last four words is learned. Every clip has `media` tokens,
    whose places in the table are those of MicroEmo::media_tokens."""
    count = len(media[0])
    ids = integers(3, WORDS, clips, 1 + count + 7)
    places = torch.full_like(ids, -1)
    labels = torch.full_like(ids, -100)
    for clip in range(clips):
        places[clip, 1:1 + count] = torch.tensor(media[clip])
    ids[places >= 0] = 0
    labels[:, -5:-1] = ids[:, -4:]
    return {"input.ids": ids, "input.media": places, "input.labels": labels}


def save(name, files, folders, inputs, media, logits, loss, gradients):
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file, content in files.items():
        detached = {key: t.detach().clone().contiguous() for key, t in content.items()}
        if file.endswith(".pth"):
            state = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
            torch.save({"model": detached, "optimizer": state, "epoch": 1}, folder / file)
        else:
            write(folder / file, detached)
    for file, model in folders.items():
        model.save_pretrained(folder / file)
        (folder / file / "generation_config.json").unlink(missing_ok=True)
    write(folder / "reference.safetensors", inputs | {"output.media": media, "output.logits": logits, "output.loss": loss})
    loss.backward()
    write(folder / "gradients.safetensors", {key: p.grad for key, p in gradients.items()})


def timechat():
    clips, frames, window, queries = 2, 5, 3, 4
    vision = randomise(Blip2VisionModel(Blip2VisionConfig(**VISION)))
    vision.post_layernorm.eps = 1e-5
    image = randomise(InstructBlipQFormerModel(InstructBlipQFormerConfig(num_hidden_layers=3, cross_attention_frequency=2, encoder_hidden_size=16, vocab_size=30,
                                                                         max_position_embeddings=512, **QFORMER)))
    with torch.no_grad():
        image.embeddings.word_embeddings.weight[0] = normal(QFORMER["hidden_size"])
    video, own = video_qformer(QFORMER["hidden_size"]), Parts()
    own.queries("image", queries), own.queries("video", queries)
    own.positions("frame", 3, QFORMER["hidden_size"])
    own.linear("project", QFORMER["hidden_size"], DECODER_WIDTH)
    decoder = randomise(LlamaForCausalLM(LlamaConfig(vocab_size=WORDS, hidden_size=DECODER_WIDTH, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
                                                     attn_implementation="eager")))
    adapters = add_lora(decoder, [f"self_attn.{x}_proj" for x in "qkvo"])

    inputs = {"input.frames": integers(0, 256, clips, frames, 3, 12, 12, dtype=torch.uint8), "input.text": integers(0, 30, clips, frames, 6)}
    inputs["input.text"][0, 1, 4:] = -1
    inputs["input.text"][1, :, 5:] = -1
    text = inputs["input.text"].flatten(0, 1)
    mask = torch.cat([torch.ones(len(text), queries, dtype=torch.long), (text >= 0).long()], 1)
    tokens = image(input_ids=text.clamp(min=0), attention_mask=mask, query_embeds=own.image.expand(len(text), -1, -1),
                   encoder_hidden_states=vision(pictures(inputs["input.frames"])).last_hidden_state).last_hidden_state
    stretched = torch.nn.functional.interpolate(own.frame.T[None], size=6, mode="nearest")[0].T
    placed = tokens.view(clips, frames, -1, QFORMER["hidden_size"]) + stretched[:frames, None]
    windows = torch.cat([read(video, own.video, placed[:, i:i + window].flatten(1, 2)) for i in range(0, frames, window)], 1)
    media = own.project(windows)
    count = media.shape[1]
    inputs |= rows_of(clips, [list(range(clip * count, (clip + 1) * count)) for clip in range(clips)])
    logits, loss = answer(decoder, media.flatten(0, 1), inputs)

    def trained(values):
        return (public_qformer("Qformer", image, values) | public_qformer("video_Qformer", video, values) |
                {"query_tokens": values(own.image), "video_query_tokens": values(own.video), "video_frame_position_embedding.weight": values(own.frame),
                 "llama_proj.weight": values(own.project.weight), "llama_proj.bias": values(own.project.bias)} | {n: values(p) for n, p in adapters.items()})

    eva, norm = lavis_eva(vision)
    before = {n: normal(*p.shape) for n, p in (public_qformer("Qformer", image, lambda p: p) | {"query_tokens": own.image}).items()}
    other = {"llm_proj.weight": normal(6, QFORMER["hidden_size"]), "llm_proj.bias": normal(6)}
    buffers = {f"{q}.bert.embeddings.position_ids": torch.arange(512)[None] for q in ("Qformer", "video_Qformer")}
    files = {"eva.safetensors": eva, "instructblip.pth": before | norm | other, "state.pth": trained(lambda p: p) | buffers}
    save("timechat", files, {"llama": decoder}, inputs, media.flatten(0, 1), logits, loss, trained(lambda p: p))


def affectgpt_2024():
    clips, frames, pieces, queries, heard = 2, 4, 3, 4, 2
    vision = randomise(Blip2VisionModel(Blip2VisionConfig(**VISION)))
    vision.post_layernorm.eps = 1e-5
    image = randomise(Blip2QFormerModel(Blip2QFormerConfig(num_hidden_layers=3, cross_attention_frequency=2, encoder_hidden_size=16, **QFORMER)))
    ears = audio_encoders.randomise(audio_encoders.ImageBindAudio(width=12, layers=2, heads=2, bands=38, frames=204, out=10))
    video, audio, own = video_qformer(QFORMER["hidden_size"]), video_qformer(10), Parts()
    own.queries("image", queries), own.queries("video", queries), own.queries("audio", heard)
    own.positions("frame", 6, QFORMER["hidden_size"]), own.positions("piece", pieces, 10)
    own.linear("project", QFORMER["hidden_size"], DECODER_WIDTH), own.linear("project_audio", QFORMER["hidden_size"], DECODER_WIDTH)
    decoder = randomise(LlamaForCausalLM(LlamaConfig(vocab_size=WORDS, hidden_size=DECODER_WIDTH, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
                                                     attn_implementation="eager")))
    inputs = {"input.frames": integers(0, 256, clips, frames, 3, 12, 12, dtype=torch.uint8), "input.pieces": 3 * normal(clips, pieces, 198, 38) - 6}
    tokens = read(image, own.image, vision(pictures(inputs["input.frames"])).last_hidden_state)
    seen = read(video, own.video, (tokens.view(clips, frames, -1, QFORMER["hidden_size"]) + own.frame[:frames, None]).flatten(1, 2))
    spectrogram = (torch.nn.functional.pad(inputs["input.pieces"].flatten(0, 1).transpose(1, 2), (0, 6)) + 4.268) / 9.138
    sound = read(audio, own.audio, ears(spectrogram)[2].view(clips, pieces, 10) + own.piece)
    media = torch.cat([own.project(seen).flatten(0, 1), own.project_audio(sound).flatten(0, 1)])
    places = [[clip * queries + q for q in range(queries)] + [clips * queries + clip * heard + q for q in range(heard)] for clip in range(clips)]
    inputs |= rows_of(clips, places)
    logits, loss = answer(decoder, media, inputs)

    def trained(values):
        return (public_qformer("video_Qformer", video, values) | public_qformer("audio_Qformer", audio, values) |
                {"video_query_tokens": values(own.video), "video_frame_position_embedding.weight": values(own.frame), "llama_proj.weight": values(own.project.weight),
                 "llama_proj.bias": values(own.project.bias), "audio_query_tokens": values(own.audio), "audio_position_embedding.weight": values(own.piece),
                 "audio_llama_proj.weight": values(own.project_audio.weight), "audio_llama_proj.bias": values(own.project_audio.bias)})

    eva, norm = lavis_eva(vision)
    blip = public_qformer("Qformer", image, lambda p: p) | {"query_tokens": own.image, "t5_proj.weight": normal(6, 12), "t5_proj.bias": normal(6)}
    files = {"eva.safetensors": eva, "blip2.safetensors": blip | norm, "imagebind.safetensors": ears.state_dict(), "state.pth": trained(lambda p: p)}
    save("affectgpt-2024", files, {"llama": decoder}, inputs, media, logits, loss, trained(lambda p: p))


def affectgpt_2025():
    clips, frames, pieces, fused = 2, 4, 3, 12
    vision = randomise(CLIPVisionModelWithProjection(CLIPVisionConfig(**{**VISION, "layer_norm_eps": 1e-5}, projection_dim=10, attn_implementation="eager")))
    ears = audio_encoders.randomise(HubertModel(HubertConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=4, num_attention_heads=2, conv_dim=(6,) * 7, num_conv_pos_embeddings=128,
        num_conv_pos_embedding_groups=16, feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=False, attn_implementation="eager")))
    own = Parts()
    for name, inside, out in (("score_video", 10, 1), ("score_audio", 16, 1), ("video", 10, DECODER_WIDTH), ("audio", 16, DECODER_WIDTH), ("mix_video", 10, fused),
                              ("mix_audio", 16, fused), ("mix", 2 * fused, fused), ("weights", fused, 2), ("fused", fused, DECODER_WIDTH)):
        own.linear(name, inside, out)
    decoder = randomise(Qwen2ForCausalLM(Qwen2Config(vocab_size=WORDS, hidden_size=DECODER_WIDTH, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
                                                     num_key_value_heads=2, attn_implementation="eager")))
    adapters = add_lora(decoder, [f"self_attn.{x}_proj" for x in "qkvo"] + [f"mlp.{x}_proj" for x in ("gate", "up", "down")])
    inputs = {"input.frames": integers(0, 256, clips, frames, 3, 12, 12, dtype=torch.uint8), "input.pieces": 0.3 * normal(clips, pieces, 1500) + 0.1}
    seen = vision(pictures(inputs["input.frames"])).image_embeds.view(clips, frames, -1)
    samples = inputs["input.pieces"].flatten(0, 1)
    samples = (samples - samples.mean()) / (samples.var(unbiased=False) + 1e-7).sqrt()
    states = ears(samples, output_hidden_states=True).hidden_states[-4:]
    heard = (sum(states) / 4).mean(1).view(clips, pieces, -1)
    video = own.video((own.score_video(seen) * seen).sum(1))
    audio = own.audio((own.score_audio(heard) * heard).sum(1))
    both = own.mix_video(seen.mean(1)), own.mix_audio(heard.mean(1))
    weights = own.weights(own.mix(torch.cat(both, 1)))
    one = own.fused(weights[:, :1] * both[0] + weights[:, 1:] * both[1])
    media = torch.cat([video, audio, one])
    inputs |= rows_of(clips, [[2 * clips + clip, clip, clips + clip] for clip in range(clips)])
    logits, loss = answer(decoder, media, inputs)
    names = {"video_attention_mlp": own.score_video, "audio_attention_mlp": own.score_audio, "affectgpt_proj": own.video, "audio_llama_proj": own.audio,
             "multi_video_embs": own.mix_video, "multi_audio_embs": own.mix_audio, "attention_mlp": own.mix, "fc_att": own.weights, "multi_llama_proj": own.fused}

    def trained(values):
        linears = {f"{name}.{part}": values(getattr(linear, part)) for name, linear in names.items() for part in ("weight", "bias")}
        return linears | {n: values(p) for n, p in adapters.items()}

    save("affectgpt-2025", {"state.pth": trained(lambda p: p)}, {"clip": vision, "hubert": ears, "qwen2": decoder}, inputs, media, logits, loss,
         trained(lambda p: p))


def emotion_llama():
    clips, merge, widths = 2, 3, (6, 7, 5)
    vision = randomise(Blip2VisionModel(Blip2VisionConfig(**VISION)))
    vision.post_layernorm.eps = 1e-5
    table = normal(1, 5, 16)  # of 2 x 2 patches
    grid = torch.nn.functional.interpolate(table[:, 1:].transpose(1, 2).view(1, 16, 2, 2), size=(3, 3), mode="bicubic", align_corners=False)
    vision.embeddings.position_embedding.data = torch.cat([table[:, :1], grid.flatten(2).transpose(1, 2)], 1)
    own = Parts()
    own.linear("patches", merge * 16, DECODER_WIDTH), own.linear("class_token", 16, DECODER_WIDTH)
    for i, width in enumerate(widths):
        own.linear(f"feature{i}", width, DECODER_WIDTH)
    decoder = randomise(LlamaForCausalLM(LlamaConfig(vocab_size=WORDS, hidden_size=DECODER_WIDTH, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
                                                     attn_implementation="eager")))
    adapters = add_lora(decoder, ["self_attn.q_proj", "self_attn.v_proj"])
    inputs = {"input.frames": integers(0, 256, clips, 1, 3, 12, 12, dtype=torch.uint8)}
    inputs |= {f"input.feature{i}": normal(clips, width) for i, width in enumerate(widths)}
    seen = vision(pictures(inputs["input.frames"])).last_hidden_state
    tokens = own.patches(seen[:, 1:].reshape(clips, -1, merge * 16))
    told = [getattr(own, f"feature{i}")(inputs[f"input.feature{i}"]) for i in range(len(widths))] + [own.class_token(seen[:, 0])]
    media = torch.cat([tokens.flatten(0, 1), torch.stack(told, 1).flatten(0, 1)])
    count, more = tokens.shape[1], len(told)
    inputs |= rows_of(clips, [[clip * count + q for q in range(count)] + [clips * count + clip * more + i for i in range(more)] for clip in range(clips)])
    logits, loss = answer(decoder, media, inputs)
    names = {"llama_proj": own.patches, "cls_tk_llama_proj": own.class_token} | {f"feats_llama_proj{i + 1}": getattr(own, f"feature{i}") for i in range(len(widths))}

    def trained(values):
        linears = {f"{name}.{part}": values(getattr(linear, part)) for name, linear in names.items() for part in ("weight", "bias")}
        return linears | {n: values(p) for n, p in adapters.items()}

    eva, norm = lavis_eva(vision)
    unused = {"attention.fc_att.weight": normal(7, 4), "attention.fc_att.bias": normal(7)}
    save("emotion-llama", {"eva.safetensors": eva | {"pos_embed": table}, "state.pth": trained(lambda p: p) | norm | unused}, {"llama": decoder}, inputs, media, logits,
         loss, trained(lambda p: p))


def main():
    timechat()
    affectgpt_2024()
    affectgpt_2025()
    emotion_llama()


if __name__ == "__main__":
    main()

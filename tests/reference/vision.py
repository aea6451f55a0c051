"""Writes tests/data/checkpoint/{clip-vision,clip,instructblip,blip2}: small random models as Hugging Face folders, and beside each NAME.reference.safetensors with
inputs and what they compute, and, but for clip, NAME.gradients.safetensors with the gradients of a loss under the public names.

clip-vision   CLIP's vision side with its projection (CLIPVisionModelWithProjection)
clip          CLIP as a whole, with a text side that nothing here runs
instructblip  EVA-CLIP, the Q-Former that reads text, which is padded, and a LLaMA that nothing here runs
blip2         EVA-CLIP and the Q-Former without text, with the epsilons of the public models

"states" of EVA are what enters the blocks and what leaves the last one, before the last norm. Weights are large enough that every part shows in the outputs; the
epsilons of clip-vision and instructblip are large enough too. The loss of the gradients weighs the output with cos(0, 1, 2, ...). Run by hand:

    python tests/reference/vision.py        # needs torch, transformers, safetensors
"""

import pathlib
import shutil

import torch
from safetensors.torch import save_file
from transformers import (Blip2Config, Blip2ForConditionalGeneration, CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModelWithProjection,
                          InstructBlipConfig, InstructBlipForConditionalGeneration)

from record import make_inputs, record

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "checkpoint"
GENERATOR = torch.Generator().manual_seed(20240723)
VISION = dict(hidden_size=16, intermediate_size=28, num_hidden_layers=3, num_attention_heads=2, image_size=12, patch_size=4)
QFORMER = dict(hidden_size=12, intermediate_size=20, num_hidden_layers=3, num_attention_heads=2, vocab_size=30, max_position_embeddings=9,
               cross_attention_frequency=2, encoder_hidden_size=16)


def normal(*shape):
    return torch.randn(shape, generator=GENERATOR)


def randomise(model):
    """Norms and biases that are not their defaults; the key part of a fused bias stays zero, as in every public file."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = normal(*parameter.shape)
            inside = parameter[0].numel() if parameter.dim() > 1 else 1
            parameter.copy_(1 + 0.2 * noise if "norm" in name.lower() and name.endswith("weight") else
                            0.3 * noise if name.endswith("bias") else
                            0.7 * noise if "embedding" in name and "patch" not in name or "query_tokens" in name else
                            1.2 * noise / inside ** 0.5)
            if name.endswith("qkv.bias"):
                parameter.view(3, -1)[1] = 0
    return model.eval()


def loss(state):
    return (state * torch.arange(state.numel(), dtype=torch.float64).cos().float().view_as(state)).sum()


def write(path, tensors):
    save_file({name: t.detach().clone().contiguous() for name, t in tensors.items()}, path, metadata={"format": "pt"})


def gradients(model):
    """A key bias moves all scores of a query alike, so its gradient is zero but for rounding, and our model has none."""
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    for name, grad in found.items():
        if name.endswith("qkv.bias"):
            assert grad.view(3, -1)[1].abs().max() < 1e-4 * grad.abs().max()
            grad.view(3, -1)[1] = 0
    return found


def save(name, model):
    shutil.rmtree(OUT / name, ignore_errors=True)
    model.save_pretrained(OUT / name)
    (OUT / name / "generation_config.json").unlink(missing_ok=True)


def clip():
    config = CLIPVisionConfig(**{**VISION, "num_attention_heads": 4}, projection_dim=10, layer_norm_eps=0.02, attn_implementation="eager")
    model = randomise(CLIPVisionModelWithProjection(config))
    save("clip-vision", model)
    inputs = make_inputs(model, config, rows=3, tokens=0, seed=5)
    out = record(model, inputs)
    write(OUT / "clip-vision.reference.safetensors", out)
    loss(model(**inputs).image_embeds).backward()
    write(OUT / "clip-vision.gradients.safetensors", gradients(model))


def whole_clip():
    text = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, vocab_size=12, max_position_embeddings=6, eos_token_id=11)
    config = CLIPConfig(text_config=text, vision_config={**VISION, "num_hidden_layers": 2}, projection_dim=6, attn_implementation="eager")
    model = randomise(CLIPModel(config))
    save("clip", model)
    write(OUT / "clip.reference.safetensors", record(model, make_inputs(model, config, rows=2, tokens=5, seed=5)))


def states_of(vision, pixels):
    """What enters every block and leaves the last one."""
    states, hooks = [], []
    layers = vision.encoder.layers
    for layer in layers:
        hooks.append(layer.register_forward_pre_hook(lambda _, args, kwargs: states.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True))
    hooks.append(layers[-1].register_forward_hook(lambda *call: states.append(call[-1][0] if isinstance(call[-1], tuple) else call[-1])))
    last = vision(pixels).last_hidden_state
    for hook in hooks:
        hook.remove()
    return states, last


def blip(name, model, text):
    save(name, model)
    pixels = normal(2, 3, VISION["image_size"], VISION["image_size"])
    states, image = states_of(model.vision_model, pixels)
    queries = model.query_tokens.expand(2, -1, -1)
    out = {"input.pixel_values": pixels, "output.image": image} | {f"output.vision.{i}": s for i, s in enumerate(states)}
    if text:
        ids = torch.randint(1, QFORMER["vocab_size"], (2, 7), generator=GENERATOR)
        mask = torch.ones_like(ids)
        ids[1, 4:], mask[1, 4:] = 0, 0
        visible = torch.cat([torch.ones(queries.shape[:2], dtype=torch.long), mask], 1)
        result = model.qformer(input_ids=ids, attention_mask=visible, query_embeds=queries, encoder_hidden_states=image, output_hidden_states=True)
        out |= {"input.qformer_input_ids": ids, "input.qformer_attention_mask": mask}
    else:
        result = model.qformer(query_embeds=queries, encoder_hidden_states=image, output_hidden_states=True)
    out |= {f"output.qformer.{i}": s for i, s in enumerate(result.hidden_states)}
    assert torch.equal(result.hidden_states[-1], result.last_hidden_state)
    write(OUT / f"{name}.reference.safetensors", out)
    loss(result.last_hidden_state).backward()
    write(OUT / f"{name}.gradients.safetensors", gradients(model))


def main():
    clip()
    llama = dict(model_type="llama", hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, vocab_size=12)
    config = InstructBlipConfig(vision_config={**VISION, "layer_norm_eps": 0.03}, qformer_config={**QFORMER, "layer_norm_eps": 0.05}, text_config=llama,
                                num_query_tokens=4)
    config.image_token_index = 11
    blip("instructblip", randomise(InstructBlipForConditionalGeneration(config)), text=True)
    opt = dict(model_type="opt", hidden_size=8, ffn_dim=8, num_hidden_layers=1, num_attention_heads=2, vocab_size=12, max_position_embeddings=8,
               word_embed_proj_dim=8)
    config = Blip2Config(vision_config=VISION, qformer_config=QFORMER, text_config=opt, num_query_tokens=4)
    blip("blip2", randomise(Blip2ForConditionalGeneration(config)), text=False)
    whole_clip()


if __name__ == "__main__":
    main()

"""Writes tests/data/dropout.safetensors: transformers' text Q-Former and peft's adapters of a LLaMA in training mode, with the masks of nn/dropout.h in the place of
torch's. The masks are written here after the description there: a number's key is made of its row's key and its indices by SplitMix64's output function, and
two numbers share 64 bits.

Run by hand, behind vision.py and decoder_training.py:

    python tests/reference/dropout.py        # needs torch, transformers, peft, safetensors
"""

import pathlib

import numpy
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, InstructBlipForConditionalGeneration

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
GOLDEN = numpy.uint64(0x9E3779B97F4A7C15)
PROBABILITY = 0.3
# Places of a layer, as src/nn/attention.cpp numbers them, and of the projections of a decoder block in their order there.
PROBABILITIES, OUTPUT, SELF_ATTENTION, MEMORY_ATTENTION, MLP, TEXT_MLP = range(6)
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def mixed(x):
    x = (x ^ (x >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return x ^ (x >> numpy.uint64(31))


def folded(keys, number):
    return mixed(keys + mixed(numpy.uint64(number) + GOLDEN))


def mask(keys, shape, probability):
    """0 or 1 / (1 - probability) for a tensor of this shape."""
    for size in shape[1:-1]:
        keys = numpy.stack([folded(keys, i) for i in range(size)], -1)
    pairs = numpy.arange(1, shape[-1] // 2 + 2, dtype=numpy.uint64) * GOLDEN
    bits = mixed(keys[..., None] + pairs)
    halves = numpy.stack([bits & numpy.uint64(0xFFFFFFFF), bits >> numpy.uint64(32)], -1).reshape(*bits.shape[:-1], -1)[..., :shape[-1]]
    return torch.from_numpy((halves >= int(probability * 2**32)).astype(numpy.float32)) / (1 - probability)


class Keyed(torch.nn.Module):
    def __init__(self, keys):
        super().__init__()
        self.keys = keys

    def forward(self, x):
        return x * mask(self.keys, tuple(x.shape), PROBABILITY)


def qformer(out):
    recorded = load_file(DATA / "checkpoint" / "instructblip.reference.safetensors")
    whole = InstructBlipForConditionalGeneration.from_pretrained(DATA / "checkpoint" / "instructblip", attn_implementation="eager").train()
    model, image = whole.qformer, recorded["output.image"]
    keys = numpy.array([7, 123456789], dtype=numpy.uint64)
    model.embeddings.dropout = Keyed(keys)
    for i, layer in enumerate(model.encoder.layer):
        at = folded(keys, i)
        for attention, place in [(layer.attention, SELF_ATTENTION)] + ([(layer.crossattention, MEMORY_ATTENTION)] if layer.has_cross_attention else []):
            attention.attention.dropout = Keyed(folded(folded(at, place), PROBABILITIES))
            attention.output.dropout = Keyed(folded(folded(at, place), OUTPUT))
        layer.output_query.dropout = Keyed(folded(at, MLP))
        layer.output.dropout = Keyed(folded(at, TEXT_MLP))
    ids, seen = recorded["input.qformer_input_ids"], recorded["input.qformer_attention_mask"]
    queries = whole.query_tokens.expand(len(image), -1, -1)
    attention_mask = torch.cat([torch.ones(queries.shape[:2], dtype=seen.dtype), seen], 1)
    state = model(input_ids=ids, attention_mask=attention_mask, query_embeds=queries, encoder_hidden_states=image).last_hidden_state
    (state * torch.arange(state.numel()).view(state.shape).cos()).sum().backward()
    out["qformer.state"] = state.detach().contiguous()
    out["qformer.queries.gradient"] = whole.query_tokens.grad[0].contiguous()


def adapters(out):
    batch = load_file(DATA / "checkpoint" / "llama.training.safetensors")
    values = load_file(DATA / "checkpoint" / "llama.lora.safetensors")
    base = AutoModelForCausalLM.from_pretrained(DATA / "checkpoint" / "llama", dtype=torch.float32, attn_implementation="eager")
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, lora_dropout=PROBABILITY, target_modules=PROJECTIONS, task_type="CAUSAL_LM")).train()
    keys = numpy.array([1, 2, 2**63 + 5], dtype=numpy.uint64)
    for name, module in model.named_modules():
        if not hasattr(module, "lora_dropout"):
            continue
        short = name.removeprefix("base_model.model.")
        for part in ("lora_A", "lora_B"):
            getattr(module, part)["default"].weight.data.copy_(values[f"all/value/{short}.{part}"])
        block = int(short.split(".")[2])
        module.lora_dropout["default"] = Keyed(folded(folded(keys, block), PROJECTIONS.index(short.split(".")[-1])))
    loss = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["labels"]).loss
    loss.backward()
    out["lora.loss"] = loss.detach()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            out["lora.gradient." + name.removeprefix("base_model.model.").removesuffix(".default.weight")] = parameter.grad.contiguous()


def main():
    out = {"mask": mask(numpy.array([3, 2**64 - 1], dtype=numpy.uint64), (2, 3, 2, 5), PROBABILITY)}
    qformer(out)
    adapters(out)
    save_file(out, DATA / "dropout.safetensors")


if __name__ == "__main__":
    main()

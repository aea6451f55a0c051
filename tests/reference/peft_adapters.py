"""Writes tests/data/checkpoint/adapter and adapters.safetensors: LoRA on the tiny LLaMA of hf_decoders.py, as PEFT saves and merges it.

Run by hand after hf_decoders.py:  python tests/reference/peft_adapters.py        (needs torch, transformers, peft)
"""

import os
import pathlib
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing is looked up

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import LlamaForCausalLM

DATA = pathlib.Path(__file__).resolve().parents[1] / "data" / "checkpoint"
MERGED = ["model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight", "model.layers.1.self_attn.k_proj.weight"]


def randomise(model, generator):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))


def main():
    generator = torch.Generator().manual_seed(11)
    first = LoraConfig(r=4, lora_alpha=10, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM",
                       rank_pattern={"down_proj": 2}, alpha_pattern={"layers.1.mlp.down_proj": 6})
    model = get_peft_model(LlamaForCausalLM.from_pretrained(DATA / "llama"), first)
    randomise(model, generator)
    model.peft_config["default"].base_model_name_or_path = "tiny-llama"
    shutil.rmtree(DATA / "adapter", ignore_errors=True)
    model.save_pretrained(DATA / "adapter")
    (DATA / "adapter" / "README.md").unlink(missing_ok=True)

    # A second adapter beside it, with the other scale, in the state of the whole model.
    model.add_adapter("second", LoraConfig(r=4, lora_alpha=10, use_rslora=True, target_modules=["k_proj"], task_type="CAUSAL_LM"))
    randomise(model.base_model.model.model.layers[0], generator)
    randomise(model.base_model.model.model.layers[1], generator)
    first_again = LlamaForCausalLM.from_pretrained(DATA / "llama")
    state = {f"llama_model.{n}": t.clone() for n, t in model.state_dict().items() if "lora_" in n}
    save_file(state, DATA / "adapters.safetensors", metadata={"format": "pt"})

    out = {}
    from peft import PeftModel
    merged = PeftModel.from_pretrained(first_again, DATA / "adapter").merge_and_unload()
    for name in MERGED:
        out[f"default/{name}"] = merged.state_dict()[name].clone()
    model.set_adapter("second")
    model.merge_adapter(["second"])
    for name in MERGED:
        wrapped = "base_model.model." + name.replace(".weight", ".base_layer.weight")
        out[f"second/{name}"] = model.state_dict()[wrapped].clone()
    save_file(out, DATA / "merged.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()

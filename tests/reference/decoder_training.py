"""Writes what transformers and peft compute when the decoders of hf_decoders.py are trained on padded rows, beside their folders:

NAME.training.safetensors   input_ids, attention_mask and labels [3, 17]; loss; hidden_states.N; logits, and bf16.logits of a model in bfloat16
NAME.gradients.safetensors  the loss's gradient of every parameter, under the model's own names
NAME.lora.safetensors       for each set of LoRA targets: SET/loss, SET/value/MODULE.lora_A, SET/gradient/MODULE.lora_A, and lora_B

Run by hand, behind hf_decoders.py:

    python tests/reference/decoder_training.py        # needs torch, transformers, peft, safetensors
"""

import pathlib

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

DATA = pathlib.Path(__file__).resolve().parents[1] / "data" / "checkpoint"
LENGTHS = (17, 11, 5)
PROMPT = 3  # tokens of each row that are not learned
RANK, ALPHA = 4, 8
TARGETS = {
    "query_value": ["q_proj", "v_proj"],
    "attention": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "mlp": ["gate_proj", "up_proj", "down_proj"],
    "all": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
}


def padded_rows(vocabulary, generator):
    ids = torch.randint(3, vocabulary, (len(LENGTHS), max(LENGTHS)), generator=generator)
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS).unsqueeze(1)
    learned = mask & (torch.arange(max(LENGTHS)) >= PROMPT)
    return {"input_ids": ids.where(mask, 0), "attention_mask": mask.long(), "labels": ids.where(learned, -100)}


def load(name):
    return AutoModelForCausalLM.from_pretrained(DATA / name, dtype=torch.float32, attn_implementation="eager").eval()


def bf16_logits(name, batch):
    with torch.no_grad():
        return load(name).to(torch.bfloat16)(batch["input_ids"], attention_mask=batch["attention_mask"]).logits.contiguous()


def train_all(name, batch):
    model = load(name)
    out = model(**batch, output_hidden_states=True)
    out.loss.backward()
    recorded = {f"hidden_states.{i}": state.detach().contiguous() for i, state in enumerate(out.hidden_states)}
    recorded |= {"logits": out.logits.detach(), "bf16.logits": bf16_logits(name, batch)}
    save_file({**batch, **recorded, "loss": out.loss.detach()}, DATA / f"{name}.training.safetensors")
    save_file({key: p.grad.contiguous() for key, p in model.named_parameters()}, DATA / f"{name}.gradients.safetensors")


def train_adapters(name, batch, generator):
    recorded = {}
    for chosen, targets in TARGETS.items():
        model = get_peft_model(load(name), LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=targets,
                                                      task_type="CAUSAL_LM")).eval()
        adapters = {key: p for key, p in model.named_parameters() if p.requires_grad}
        with torch.no_grad():
            for parameter in adapters.values():
                parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator) / parameter.shape[1] ** 0.5)
        loss = model(**batch).loss
        loss.backward()
        recorded[f"{chosen}/loss"] = loss.detach()
        for key, parameter in adapters.items():
            short = key.removeprefix("base_model.model.").removesuffix(".default.weight")
            recorded[f"{chosen}/value/{short}"] = parameter.detach().contiguous()
            recorded[f"{chosen}/gradient/{short}"] = parameter.grad.contiguous()
    save_file(recorded, DATA / f"{name}.lora.safetensors")


def main():
    generator = torch.Generator().manual_seed(20241022)
    for name in ("llama", "mistral", "qwen2"):
        batch = padded_rows(load(name).config.vocab_size, generator)
        train_all(name, batch)
        train_adapters(name, batch, generator)


if __name__ == "__main__":
    main()

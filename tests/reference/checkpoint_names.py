"""Writes tests/data/checkpoint/names.json: names and shapes of every tensor of public models, as transformers and PEFT name them.

The models are made on the meta device, so nothing is downloaded and no weight exists. Layers are folded: a row is a name with {i},
its shape, and the numbers that stand for {i}.

Run by hand:  python tests/reference/checkpoint_names.py        (needs torch, transformers, peft)
"""

import json
import pathlib
import re

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from transformers import (Blip2Config, Blip2ForConditionalGeneration, CLIPConfig, CLIPModel, CLIPVisionConfig, HubertConfig,
                          HubertModel, InstructBlipConfig, InstructBlipForConditionalGeneration, LlamaConfig, LlamaForCausalLM,
                          MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM, T5Config, WhisperConfig,
                          WhisperForConditionalGeneration)

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "checkpoint" / "names.json"

LLAMA_2_7B = dict(hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32, vocab_size=32000)
LLAMA_3_8B = dict(hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8,
                  vocab_size=128256)
MISTRAL_7B = dict(LLAMA_3_8B, vocab_size=32000)
QWEN_25_7B = dict(hidden_size=3584, intermediate_size=18944, num_hidden_layers=28, num_attention_heads=28, num_key_value_heads=4,
                  vocab_size=152064)
CLIP_L = dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, patch_size=14)
HUBERT_L = dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, conv_bias=False,
                feat_extract_norm="layer", do_stable_layer_norm=True)
WHISPER_BASE = dict(d_model=512, encoder_layers=6, decoder_layers=6, encoder_attention_heads=8, decoder_attention_heads=8,
                    encoder_ffn_dim=2048, decoder_ffn_dim=2048)
WHISPER_L = dict(d_model=1280, encoder_layers=32, decoder_layers=32, encoder_attention_heads=20, decoder_attention_heads=20,
                 encoder_ffn_dim=5120, decoder_ffn_dim=5120)
ALL_PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def folded(state):
    """[name with {i}, shape, numbers], in the order of the first tensor of each row. A name with more than one number stays as it is."""
    rows = {}
    for name, tensor in state.items():
        numbers = re.findall(r"(?<=\.)\d+(?=\.)", name)
        pattern = re.sub(r"(?<=\.)\d+(?=\.)", "{i}", name) if len(numbers) == 1 else name
        rows.setdefault((pattern, tuple(tensor.shape)), []).extend(int(n) for n in numbers[:1] if len(numbers) == 1)
    return [[pattern, list(shape), numbers] for (pattern, shape), numbers in rows.items()]


def entry(family, state):
    return {"family": family, "tensors": len(state), "parameters": sum(t.numel() for t in state.values()), "rows": folded(state)}


def adapter(base, rank, targets):
    model = get_peft_model(base, LoraConfig(r=rank, lora_alpha=32, target_modules=targets, task_type="CAUSAL_LM"))
    in_file = get_peft_model_state_dict(model)
    in_model = {"llama_model." + name: tensor for name, tensor in model.state_dict().items() if "lora_" in name}
    whole = {"llama_model." + name: tensor for name, tensor in model.state_dict().items()}
    return in_file, in_model, whole


def main():
    with torch.device("meta"):
        llama = LlamaForCausalLM(LlamaConfig(**LLAMA_2_7B))
        qwen = Qwen2ForCausalLM(Qwen2Config(**QWEN_25_7B))
        out = {
            "llama-2-7b": entry("llama", llama.state_dict()),
            "llama-3-8b": entry("llama", LlamaForCausalLM(LlamaConfig(**LLAMA_3_8B)).state_dict()),
            "mistral-7b": entry("llama", MistralForCausalLM(MistralConfig(**MISTRAL_7B)).state_dict()),
            "qwen2.5-7b": entry("llama", qwen.state_dict()),
            "clip-vit-l-14": entry("clip", CLIPModel(CLIPConfig(
                vision_config=CLIPVisionConfig(**CLIP_L).to_dict(), projection_dim=768)).state_dict()),
            "hubert-large": entry("hubert", HubertModel(HubertConfig(**HUBERT_L)).state_dict()),
            "whisper-base": entry("whisper", WhisperForConditionalGeneration(WhisperConfig(**WHISPER_BASE)).state_dict()),
            "whisper-large-v2": entry("whisper", WhisperForConditionalGeneration(WhisperConfig(**WHISPER_L)).state_dict()),
            "instructblip-vicuna-7b": entry("instructblip", InstructBlipForConditionalGeneration(InstructBlipConfig(
                text_config=LlamaConfig(**LLAMA_2_7B).to_dict())).state_dict()),
            "blip2-t5": entry("blip2", Blip2ForConditionalGeneration(Blip2Config(
                text_config=T5Config(num_layers=1).to_dict())).state_dict()),
        }
        in_file, in_model, whole = adapter(llama, 32, ALL_PROJECTIONS[:4])
        out["lora-r32-attention"] = entry("peft", in_file)
        out["lora-r32-attention-in-timechat"] = entry("timechat", in_model)
        out["lora-r32-attention-and-base-in-timechat"] = entry("timechat", whole)
        in_file, in_model, _ = adapter(qwen, 16, ALL_PROJECTIONS)
        out["lora-r16-all"] = entry("peft", in_file)
        out["lora-r16-all-in-affectgpt"] = entry("affectgpt-2025", in_model)
    text = json.dumps(out).replace('], ["', '],\n ["').replace('}, "', '},\n"')
    OUT.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

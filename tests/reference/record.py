"""Records what a model of transformers computes, for `microemo verify`. Runs on your own machine; nothing is sent anywhere.

    python tests/reference/record.py MODEL OUT.safetensors                       # seeded random inputs
    python tests/reference/record.py MODEL OUT.safetensors --text "Hello there"  # through the model's own tokenizer
    microemo verify MODEL --reference OUT.safetensors

MODEL is a folder in the layout of Hugging Face. OUT holds the tensors input.NAME and output.NAME: NAME is the argument of the model's
forward (input_ids, pixel_values, ...) or the name in its output (logits, hidden_states.3, vision_outputs.last_hidden_state, ...).
Needs torch, transformers and safetensors.
"""

import argparse
import inspect
import json
import pathlib

import torch
import transformers
from safetensors.torch import save_file

NOT_RECORDED = ("past_key_values", "loss", "attentions", "cross_attentions")


def image_places(config):
    """Tokens that stand for a picture in a text of BLIP-2: one for each query."""
    return config.num_query_tokens if getattr(config, "image_token_index", None) is not None and hasattr(config, "num_query_tokens") else 0


def with_image(config, ids):
    """The places of a picture before a text, and no such place in the text itself: the model counts them."""
    if not image_places(config):
        return ids
    token = config.image_token_index
    image = torch.full((len(ids), image_places(config)), token)
    return torch.cat([image, ids.masked_fill(ids == token, 3 if token != 3 else 4)], 1)


def make_inputs(model, config, rows, tokens, seed):
    """Random arguments of the model's forward by name, of the shapes that its config asks for."""
    generator = torch.Generator().manual_seed(seed)
    wanted = inspect.signature(model.forward).parameters
    text = getattr(config, "text_config", None) or config
    vision = getattr(config, "vision_config", None) or config
    ids = lambda vocabulary, length: torch.randint(3, vocabulary, (rows, length), generator=generator)
    inputs = {}
    if "pixel_values" in wanted:
        inputs["pixel_values"] = torch.randn(rows, 3, vision.image_size, vision.image_size, generator=generator)
    if "qformer_input_ids" in wanted:
        inputs["qformer_input_ids"] = ids(config.qformer_config.vocab_size, 9)
    if "input_values" in wanted:
        inputs["input_values"] = torch.randn(rows, 16000, generator=generator)
    if "input_features" in wanted:
        inputs["input_features"] = torch.randn(rows, config.num_mel_bins, 2 * config.max_source_positions, generator=generator)
    if "decoder_input_ids" in wanted and config.is_encoder_decoder:
        inputs["decoder_input_ids"] = ids(config.vocab_size, 4)
    if "input_ids" in wanted:
        longest = getattr(text, "max_position_embeddings", None) or tokens + image_places(config)
        inputs["input_ids"] = with_image(config, ids(text.vocab_size, min(tokens, longest - image_places(config))))
    if "token_type_ids" in wanted and getattr(config, "type_vocab_size", 0) > 0:
        inputs["token_type_ids"] = torch.randint(config.type_vocab_size, inputs["input_ids"].shape, generator=generator)
    return inputs


def flat(value, name, out):
    if isinstance(value, torch.Tensor):
        out[name] = value
    elif isinstance(value, dict):
        for key, member in value.items():
            if key not in NOT_RECORDED:
                flat(member, f"{name}.{key}" if name else key, out)
    elif isinstance(value, (tuple, list)):
        for i, member in enumerate(value):
            flat(member, f"{name}.{i}", out)
    return out


def record(model, inputs):
    """Inputs and outputs under the names of the file. float tensors are stored as float32."""
    arguments = dict(inputs)
    if "output_hidden_states" in inspect.signature(model.forward).parameters or hasattr(model.config, "output_hidden_states"):
        arguments["output_hidden_states"] = True
    with torch.no_grad():
        outputs = flat(dict(model.eval()(**arguments, return_dict=True)), "", {})
    tensors = {f"input.{name}": tensor for name, tensor in inputs.items()}
    tensors |= {f"output.{name}": tensor for name, tensor in outputs.items()}
    return {name: (t.float() if t.is_floating_point() else t).clone().contiguous() for name, t in tensors.items()}


def load(folder, dtype):
    config = json.loads((pathlib.Path(folder) / "config.json").read_text(encoding="utf-8"))
    kind = getattr(transformers, (config.get("architectures") or ["AutoModel"])[0])
    return kind.from_pretrained(folder, torch_dtype=dtype, attn_implementation="eager")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--text", action="append", help="tokenised with the model's own tokenizer; several texts are rows of one length")
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", default="float32", help="in which the model computes")
    words = parser.parse_args()
    model = load(words.model, getattr(torch, words.dtype))
    inputs = make_inputs(model, model.config, words.rows, words.tokens, words.seed)
    if words.text:
        tokenizer = transformers.AutoTokenizer.from_pretrained(words.model)
        ids = [tokenizer(text)["input_ids"] for text in words.text]
        inputs["input_ids"] = with_image(model.config, torch.tensor([row[:min(map(len, ids))] for row in ids]))
        inputs.pop("token_type_ids", None)
    inputs = {n: t.to(model.dtype) if t.is_floating_point() else t for n, t in inputs.items()}
    save_file(record(model, inputs), words.out,
              metadata={"format": "pt", "model": type(model).__name__, "transformers": transformers.__version__,
                        "torch": torch.__version__, "dtype": words.dtype})


if __name__ == "__main__":
    main()

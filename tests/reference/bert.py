"""Writes tests/data/checkpoint/bert: a small random BERT as a Hugging Face folder whose names are those of the first public files (LayerNorm.gamma and .beta,
heads of the training), beside it bert.reference.safetensors with padded rows of two kinds of tokens and every hidden state, and bert.gradients.safetensors
with the gradients of a loss under the names of transformers. The epsilon is large enough to show. Run by hand:

    python tests/reference/bert.py        # needs torch, transformers, safetensors
"""

import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForPreTraining

from record import record
from vision import GENERATOR, OUT, gradients, randomise, save, write


def main():
    config = BertConfig(vocab_size=30, hidden_size=12, num_hidden_layers=3, num_attention_heads=3, intermediate_size=20, max_position_embeddings=9,
                        layer_norm_eps=0.02, attn_implementation="eager")
    whole = randomise(BertForPreTraining(config))
    with torch.no_grad():
        whole.bert.embeddings.word_embeddings.weight[0] = 0.5  # padding, which is not seen and learns nothing
    save("bert", whole)
    file = OUT / "bert" / "model.safetensors"
    older = {name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t for name, t in load_file(file).items()}
    save_file(older, file, metadata={"format": "pt"})

    ids = torch.randint(1, 30, (3, 7), generator=GENERATOR)
    mask = torch.ones_like(ids)
    ids[1, 4:], mask[1, 4:] = 0, 0
    types = (torch.arange(7)[None] > torch.tensor([2, 1, 6])[:, None]).long()
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    out = record(whole.bert, inputs)
    write(OUT / "bert.reference.safetensors", out)
    state = whole.bert(**inputs).last_hidden_state
    weighed = state * torch.arange(state.numel(), dtype=torch.float64).cos().float().view_as(state)
    weighed[mask.bool()].sum().backward()
    write(OUT / "bert.gradients.safetensors", gradients(whole.bert))


if __name__ == "__main__":
    main()

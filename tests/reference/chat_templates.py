"""Writes tests/data/infer/chat_templates.json: conversations up to the next answer, as public code writes them for models.

qwen2.5 and llama3: transformers' apply_chat_template with the templates of Qwen2.5-Instruct and Llama-3-Instruct, which trl ships; llama2 and
vicuna: FastChat's conversations. The begin token, which a tokenizer adds, and blanks at the end are not in the texts. chatml is qwen2.5 without the
words that its template has where nobody gives the system's; FastChat's vicuna always has some.

Run by hand:  python tests/reference/chat_templates.py
needs transformers, tokenizers, and:  pip install --no-deps trl==1.16.0 fschat==0.2.36
"""

import importlib.util
import json
import pathlib

from fastchat.conversation import get_conv_template
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "infer" / "chat_templates.json"
TURNS = [["What does she feel?", "She is calm."], ["And then?\nSay why.", "她很高兴。"], ["Is {user} a name?", ""]]
SYSTEMS = ["", "Answer in one sentence."]
TEMPLATES = {"chatml": "qwen2_5", "llama3": "llama3", "qwen2.5": "qwen2_5"}
OWN_WORDS = "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
CONVERSATIONS = {"llama2": "llama-2", "vicuna": "vicuna_v1.1"}
BEGIN = "<s>"


def with_template(name, system, turns):
    folder = pathlib.Path(importlib.util.find_spec("trl").origin).parent / "chat_templates"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({BEGIN: 0}, BEGIN)), bos_token=BEGIN)
    messages = [{"role": "system", "content": system}] if system else []
    for user, answer in turns:
        messages += [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]
    template = (folder / f"{name}.jinja").read_text()
    return tokenizer.apply_chat_template(messages[:-1], chat_template=template, tokenize=False, add_generation_prompt=True)


def with_conversation(name, system, turns):
    talk = get_conv_template(name)
    talk.set_system_message(system)
    for user, answer in turns:
        talk.append_message(talk.roles[0], user)
        talk.append_message(talk.roles[1], answer or None)
    return talk.get_prompt()


def main():
    cases = []
    for style in [*TEMPLATES, *CONVERSATIONS]:
        for system in SYSTEMS:
            for count in range(1, len(TURNS) + 1):
                # Only what was answered before the last question is given.
                turns = TURNS[: count - 1] + [[TURNS[count - 1][0], ""]]
                if style in TEMPLATES:
                    text = with_template(TEMPLATES[style], system, turns)
                else:
                    text = with_conversation(CONVERSATIONS[style], system, turns)
                if style == "chatml" and not system:
                    assert text.startswith(OWN_WORDS)
                    text = text.removeprefix(OWN_WORDS)
                if system or style != "vicuna":
                    cases.append({"style": style, "system": system, "turns": turns, "text": text.removeprefix(BEGIN).rstrip(" ")})
    OUT.parent.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    OUT.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()

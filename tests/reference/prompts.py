"""Writes tests/data/prompts.json: rows as the public code of TimeChat, AffectGPT 2024, AffectGPT 2025 and Emotion-LLaMA lays them out, with the labels that it learns from. The
tokenizer is transformers' LlamaTokenizer with legacy=True on tests/data/text/tokenizer.model. What is done with it is written here after the description of that
code, and the sentences around are this project's own: their structure is the public one.

timechat         one string; the media tokens are added special tokens; labels by tokenizing the instruction again (length - 2 behind the begin token); the
                 closing "</s>" is written in the text, and learned
affectgpt_2024   prompt and answer tokenized separately without special tokens, a begin token in front; the answer and "###" are learned
affectgpt_2025   the same with an end token that is not learned; asked, no begin token

emotion_llama    every stretch of text between the media tokens is tokenized by itself, a begin token in front; the answer with its end is tokenized apart and
                 learned whole

A media token is -1, what is not learned -100. Run by hand:

    python tests/reference/prompts.py        # needs transformers, sentencepiece
"""

import json
import pathlib

from transformers import LlamaTokenizer

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
VIDEO, AUDIO, FEATURES = 4, 2, 3
CLIP = {"question": "What does the person feel from 0.4 to 0.7 seconds?", "words": "This frame is sampled", "answer": "The person feels joyful and proud.",
        "frames": 4, "times": "0.0, 0.2, 0.4, 0.6"}


def tokenizer():
    made = LlamaTokenizer(str(DATA / "text" / "tokenizer.model"), legacy=True)
    made.add_tokens(["<ImageHere>", "<AudioHere>", "<MultiHere>"], special_tokens=True)
    return made


def as_media(made, ids):
    media = set(made.convert_tokens_to_ids(["<ImageHere>", "<AudioHere>", "<MultiHere>"]))
    return [-1 if i in media else i for i in ids]


def timechat(made):
    instruction = ("[INST] <<SYS>>\n \n<</SYS>>\n\n<Video>" + "<ImageHere>" * VIDEO + "</Video> The clip shows {frames} frames at {times} seconds. {question}").format(**CLIP)
    text = instruction + " [/INST] " + CLIP["answer"] + " </s>"
    ids = made(text).input_ids
    labels = list(ids)
    learned_from = 1 + len(made(instruction + " [/INST] ").input_ids) - 2
    labels[:learned_from] = [-100] * learned_from
    asked = made(instruction + " [/INST]").input_ids
    return {"ids": as_media(made, ids), "labels": labels, "asked": as_media(made, asked)}


def affectgpt(made, prompt, end):
    front = made(prompt, add_special_tokens=False).input_ids
    answer = made(CLIP["answer"] + "###", add_special_tokens=False).input_ids
    ids = [made.bos_token_id] + front + answer + ([made.eos_token_id] if end else [])
    labels = [-100] * (1 + len(front)) + answer + ([-100] if end else [])
    return {"ids": as_media(made, ids), "labels": labels, "asked": as_media(made, ([] if end else [made.bos_token_id]) + front)}


def emotion_llama(made):
    stretches = ["[INST] <video>", "</video> <feature>", "</feature> The person says: {words}. {question}  [/INST]".format(**CLIP)]
    texts = [made(stretch, add_special_tokens=False).input_ids for stretch in stretches]
    front = [made.bos_token_id] + texts[0] + [-1] * VIDEO + texts[1] + [-1] * FEATURES + texts[2]
    answer = made(CLIP["answer"] + "</s>", add_special_tokens=False).input_ids
    return {"ids": front + answer, "labels": [-100] * len(front) + answer, "asked": front}


def main():
    made = tokenizer()
    heard_and_seen = ("###Human: You hear <Audio>" + "<AudioHere>" * AUDIO + "</Audio>. You see <Video>" + "<ImageHere>" * VIDEO +
                      "</Video>. The words are <Subtitle>{words}</Subtitle>. {question} ###Assistant: ").format(**CLIP)
    pooled = ("###Human: Both: <Multi><MultiHere></Multi>. You hear <Audio><AudioHere></Audio>. You see <Video><ImageHere></Video>. The words are {words}. "
              "{question} ###Assistant: ").format(**CLIP)
    rows = {"timechat": timechat(made), "affectgpt_2024": affectgpt(made, heard_and_seen, False), "affectgpt_2025": affectgpt(made, pooled, True),
            "emotion_llama": emotion_llama(made)}
    (DATA / "prompts.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    main()

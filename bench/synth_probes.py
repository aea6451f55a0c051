#!/usr/bin/env python3
"""Looks for shortcuts in a synthetic set: can the movement of an utterance be told without looking at the face?

    python3 bench/synth_probes.py SET

Needs numpy. A logistic regression reads what a careless model could use (file sizes, durations, counts, positions, the words, loudness by
ffmpeg when it is there) and is scored on the test part, where its accuracy has to stay at that of always naming the most frequent
movement, within three standard errors. The exit code is 1 when it does not.
"""
import json
import math
import pathlib
import shutil
import subprocess
import sys

import numpy

UNITS = ["none", "brow_up", "brow_down", "lip_up", "lip_down", "lid", "nose"]


def read_clips(folder, part):
    return [json.loads(line) for line in (folder / f"{part}.jsonl").read_text().splitlines()]


def loudness(video):
    """Root mean square of every 0.1 s of the sound."""
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", str(video), "-f", "f32le", "-ac", "1", "-ar", "16000", "-"], capture_output=True, check=True).stdout
    samples = numpy.frombuffer(raw, numpy.float32)
    whole = len(samples) // 1600 * 1600
    return numpy.sqrt((samples[:whole].reshape(-1, 1600) ** 2).mean(1))


def timing_features(clip, index, video):
    utterances = clip["utterances"]
    here = utterances[index]
    end = utterances[-1]["end_s"]
    before = here["start_s"] - (utterances[index - 1]["end_s"] if index else 0)
    after = (utterances[index + 1]["start_s"] if index + 1 < len(utterances) else end) - here["end_s"]
    size = video.stat().st_size
    return [here["end_s"] - here["start_s"], here["start_s"], before, after, len(utterances), index, end, size / 1e5, size / end / 1e4]


def sound_features(clip, index, loud):
    here = clip["utterances"][index]
    part = loud[round(here["start_s"] * 10): round(here["end_s"] * 10)]
    return [part.mean(), part.max(), part.std(), (part > 0.01).mean()]


def word_features(clip, index, vocabulary):
    words = clip["utterances"][index]["text"].split()
    return [float(word in words) for word in vocabulary]


def table(folder, part, vocabulary):
    rows = {"timing and size": [], "words": [], "sound": []}
    labels = []
    for clip in read_clips(folder, part):
        video = folder / clip["video"]
        loud = loudness(video) if shutil.which("ffmpeg") else None
        for index, utterance in enumerate(clip["utterances"]):
            labels.append(UNITS.index(utterance["face"]))
            rows["timing and size"].append(timing_features(clip, index, video))
            rows["words"].append(word_features(clip, index, vocabulary))
            if loud is not None:
                rows["sound"].append(sound_features(clip, index, loud))
    return {name: numpy.array(values) for name, values in rows.items() if values}, numpy.array(labels)


def logistic_regression(x, y, steps=400, rate=0.5, decay=1e-3):
    weights = numpy.zeros((x.shape[1] + 1, len(UNITS)))
    x = numpy.hstack([x, numpy.ones((len(x), 1))])
    target = numpy.eye(len(UNITS))[y]
    for _ in range(steps):
        scores = x @ weights
        chance = numpy.exp(scores - scores.max(1, keepdims=True))
        chance /= chance.sum(1, keepdims=True)
        weights -= rate * (x.T @ (chance - target) / len(x) + decay * weights)
    return weights


def accuracy(train_x, train_y, test_x, test_y):
    mean, deviation = train_x.mean(0), train_x.std(0) + 1e-9
    weights = logistic_regression((train_x - mean) / deviation, train_y)
    test_x = numpy.hstack([(test_x - mean) / deviation, numpy.ones((len(test_x), 1))])
    return float(((test_x @ weights).argmax(1) == test_y).mean())


def main():
    folder = pathlib.Path(sys.argv[1])
    vocabulary = sorted({word for clip in read_clips(folder, "train") for u in clip["utterances"] for word in u["text"].split()})
    (train, train_y), (test, test_y) = table(folder, "train", vocabulary), table(folder, "test", vocabulary)
    majority = float((test_y == numpy.bincount(train_y).argmax()).mean())
    limit = majority + 3 * math.sqrt(majority * (1 - majority) / len(test_y))
    print(f"{len(train_y)} training and {len(test_y)} test utterances; most frequent movement {majority:.3f}, limit {limit:.3f}")
    failed = False
    for name in train:
        score = accuracy(train[name], train_y, test[name], test_y)
        failed |= score > limit
        print(f"{name:16} {score:.3f}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Writes tests/data/eval/expected.json: scores under the project's own wheel, text lists, sentiment and bootstrap intervals, also over dialogues, speakers and clips.

Run by hand:  python tests/reference/eval.py        (needs numpy)
"""

import csv
import json
import pathlib
import re

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests" / "data" / "eval" / "expected.json"


def string_to_list(text):
    text = re.sub(r"^\[", "", text)
    text = re.sub(r"\]$", "", text)
    return [piece.strip() for piece in re.split("['\",]", text) if piece.strip() not in ("", ",")]


def text_lists():
    texts = [
        "",
        "]",
        "[]",
        "[happy, sad]",
        "['happy', 'sad']",
        '["happy", "so sad"]',
        "[happy, sad].",
        "[don't know, sad]",
        "happy; sad",
        "happy and sad",
        "[[happy], [sad]]",
        "  [ Happy ,, sad\u3000] ",
        "\u00a0happy\u2003,\u2028sad\x1f",
        "高兴，难过",
    ]
    return [{"text": text, "list": string_to_list(text)} for text in texts]


def wheel():
    lines = (line for line in open(ROOT / "data" / "wheels" / "microemo.csv", encoding="utf-8") if not line.startswith("#"))
    maps = {"group": {}, "sector": {}}
    for row in csv.DictReader(lines):
        for spelling in [row["word"]] + [form for form in row["forms"].split(";") if form]:
            for ring in maps:
                maps[ring][spelling] = row[ring]
    return maps


def own_wheel_cases(rng):
    maps = wheel()
    known = sorted(maps["group"])
    words = known + ["neutral", "flabbergasted", "micro-expression"] * 10
    draw = lambda low: [words[i] for i in rng.choice(len(words), rng.integers(low, 5), replace=False)]
    pairs = []
    for i in range(60):
        truth = ["neutral"] if i % 10 == 9 else draw(1)
        kept = [w for w in truth if rng.random() < 0.6]
        predicted = kept + draw(0)[: rng.integers(0, 3)]
        spelled = [w.upper() + " " if rng.random() < 0.2 else w for w in predicted]
        pairs.append({"id": f"clip{i // 3}/{i % 3}", "truth": truth, "predicted": spelled})
    scores = {}
    for ring, classes in maps.items():
        p, r, f = [], [], []
        for pair in pairs:
            truth = {classes[w] for w in pair["truth"] if w in classes}
            predicted = {classes[w.strip().lower()] for w in pair["predicted"] if w.strip().lower() in classes}
            if truth:
                shared = len(truth & predicted)
                p.append(shared / max(1, len(predicted)))
                r.append(shared / len(truth))
                f.append(2 * shared / (len(truth) + len(predicted)))
        mp, mr = np.mean(p), np.mean(r)
        scores[ring] = {"pairs": len(p), "precision": mp, "recall": mr, "f": 2 * mp * mr / (mp + mr), "pair_f": np.mean(f)}
    return {"pairs": pairs, "scores": scores}


def sentiment_cases(rng):
    words = ["positive", "negative", "neutral", "mixed"]
    gt, pred = [1.2, -0.4, 0, 2, -3, 0.6, -0.2, 0.8], [words[i] for i in (0, 2, 0, 1, 1, 3, 0, 0)]
    random_gt = [round(float(x), 1) for x in rng.normal(0.5, 1, 200)]
    random_pred = [words[i] for i in rng.integers(0, 4, 200)]
    cases = []
    for truth, predicted in ((gt, pred), (random_gt, random_pred)):
        y = [(t > 0, p == "positive") for t, p in zip(truth, predicted) if t != 0]
        accuracy, weighted = np.mean([a == b for a, b in y]), 0.0
        for kind in (True, False):
            tp = sum(a == kind and b == kind for a, b in y)
            fp, fn = sum(a != kind and b == kind for a, b in y), sum(a == kind and b != kind for a, b in y)
            f1 = 2 * tp / (2 * tp + fp + fn) if tp else 0.0
            weighted += f1 * (tp + fn) / len(y)
        cases.append({"truth": truth, "predicted": predicted, "items": len(y), "accuracy": accuracy, "weighted_f": weighted})
    return cases


def bootstrap_case(rng):
    """Items of 30 clusters; the interval of NumPy's own resampling, with many draws so that its own noise is small."""
    sizes = rng.integers(1, 5, 30)
    centres = rng.random(30)
    clusters = np.repeat(np.arange(30), sizes)
    values = np.clip(centres[clusters] + rng.normal(0, 0.1, len(clusters)), 0, 1)
    sums = np.bincount(clusters, values)
    draws = rng.integers(0, 30, (200_000, 30))
    means = sums[draws].sum(1) / sizes[draws].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return {"clusters": [f"c{c}" for c in clusters], "values": values.tolist(), "low": low, "high": high}


def cluster_cases(rng):
    """Pairs of 24 clips of 8 dialogues and 5 speakers, some dialogues told well and some not; intervals over each kind of cluster."""
    classes = wheel()["group"]
    known = sorted(classes)
    pairs = []
    for i in range(72):
        clip = i // 3
        truth = [known[k] for k in rng.choice(len(known), 2, replace=False)]
        right = [word for word in truth if rng.random() < (0.9 if clip // 3 % 2 else 0.15)]
        predicted = right + [known[k] for k in rng.choice(len(known), rng.integers(0, 2), replace=False)]
        names = {"dialogue": f"d{clip // 3}", "speaker": f"s{i % 5}", "clip": f"c{clip}"}
        pairs.append({"id": f"c{clip}/{i % 3}", "truth": truth, "predicted": predicted} | names)
    rows = []
    for pair in pairs:
        truth, predicted = ({classes[word] for word in pair[which]} for which in ("truth", "predicted"))
        shared = len(truth & predicted)
        rows.append([1, shared / max(1, len(predicted)), shared / len(truth), 2 * shared / (len(truth) + len(predicted))])
    intervals = {}
    for kind in ("dialogue", "speaker", "clip"):
        names = sorted({pair[kind] for pair in pairs})
        sums = np.array([np.sum([row for row, pair in zip(rows, pairs) if pair[kind] == name], 0) for name in names])
        drawn = sums[rng.integers(0, len(names), (100_000, len(names)))].sum(1)
        p, r, pair_f = (drawn[:, 1:] / drawn[:, :1]).T
        set_f = 2 * p * r / (p + r)
        intervals[kind] = {name: np.percentile(value, [2.5, 97.5]).tolist() for name, value in (("pair_f", pair_f), ("set_f", set_f))}
    return {"pairs": pairs, "intervals": intervals}


def main():
    rng = np.random.Generator(np.random.PCG64(3))
    expected = {
        "text_lists": text_lists(),
        "own_wheel": own_wheel_cases(rng),
        "sentiment": sentiment_cases(rng),
        "bootstrap": bootstrap_case(rng),
        "clusters": cluster_cases(rng),
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(expected, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

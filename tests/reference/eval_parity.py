"""Recomputes the scores of public EMER predictions from the benchmark's files and writes them to tests/data/eval/parity.json.

Run by hand:  python tests/reference/eval_parity.py FOLDER        (needs numpy, openpyxl; FOLDER holds the EMER files)

Written from the published description of the metrics, apart from the C++ code. The files are research data: only numbers are written. The
script stops when its numbers differ from those that the benchmark's own code gave for the same files.
"""

import csv
import hashlib
import io
import json
import pathlib
import re
import sys
import zipfile

import numpy as np
import openpyxl

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "eval" / "parity.json"
WHEELS = range(1, 6)


def string_to_list(text):
    text = re.sub(r"^\[", "", text)
    text = re.sub(r"\]$", "", text)
    return [piece.strip() for piece in re.split("['\",]", text) if piece.strip() not in ("", ",")]


def read_csv(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def read_sheet(path):
    rows = list(openpyxl.load_workbook(path, read_only=False).worksheets[0].iter_rows(values_only=True))
    return [dict(zip(rows[0], row)) for row in rows[1:]]


class Maps:
    def __init__(self, folder):
        self.trees = [self.tree(folder / f"wheel{k}.xlsx") for k in WHEELS]
        self.synonyms = {}
        for row in read_sheet(folder / "synonym.xlsx"):
            for run in range(1, 9):
                word = row[f"word_run{run}"].strip().lower()
                for synonym in [word] + string_to_list(row[f"synonym_run{run}"] or ""):
                    self.synonyms.setdefault(synonym.strip().lower(), set()).add(word)
        self.forms = {}
        for row in read_csv(folder / "format.csv"):
            for form in string_to_list(row["format"]) + [row["name"]]:
                self.forms.setdefault(form, set()).add(row["name"])

    @staticmethod
    def tree(path):
        tree, last = {}, {}
        for row in read_sheet(path):
            for level in ("level1", "level2", "level3"):
                if row[level] is not None:
                    last[level] = row[level].lower().strip()
            tree.setdefault(last["level1"], {}).setdefault(last["level2"], []).append(last["level3"])
        return tree

    def ring(self, wheel, level):
        ring = {}
        for one, twos in self.trees[wheel - 1].items():
            ring[one] = one if level == 1 else sorted(twos)[0]
            for two, threes in twos.items():
                ring[two] = one if level == 1 else two
                for three in threes:
                    ring[three] = one if level == 1 else two
        return ring

    def mapper(self, name):
        if name == "M1":
            return lambda label: min(self.forms[label]) if label in self.forms else None
        if name == "M2":
            return lambda label: min(self.synonyms[min(self.forms[label])]) if label in self.forms else None
        ring = self.ring(int(name[1]), int(name[4]))

        def to_ring(label):
            words = set().union(*(self.synonyms[form] for form in self.forms.get(label, ())))
            return next((ring[word] for word in sorted(words) if word in ring), None)

        return to_ring


GROUPINGS = ["M1", "M2"] + [f"W{k}-L{level}" for k in WHEELS for level in (1, 2)]


def classes(labels, to_class):
    return {to_class(label.lower().strip()) for label in labels} - {None}


def set_score(truths, predictions, to_class):
    precision, recall, pair_f = [], [], []
    for name, labels in truths.items():
        truth, predicted = classes(labels, to_class), classes(predictions[name], to_class)
        if truth:
            shared = len(truth & predicted)
            precision.append(shared / len(predicted) if predicted else 0.0)
            recall.append(shared / len(truth))
            pair_f.append(2 * shared / (len(truth) + len(predicted)))
    p, r = np.mean(precision), np.mean(recall)
    return {"pairs": len(precision), "precision": p, "recall": r, "f": 2 * p * r / (p + r), "pair_f": np.mean(pair_f)}


def hit_score(truths, predictions, to_class):
    every = set().union(*(classes(labels, to_class) for labels in truths.values()))
    hits, scores = [], []
    for name, labels in truths.items():
        truth, predicted = classes(labels, to_class), classes(predictions[name], to_class)
        if truth:
            hit, rivals = len(truth & predicted), len(predicted & every)
            hits.append(hit)
            scores.append(hit / rivals if rivals else 0.0)
    return {"pairs": len(hits), "hit": np.mean(hits), "mscore": np.mean(scores)}


def cached_score(truths, predictions, archive):
    accuracy, recall = [], []
    with zipfile.ZipFile(archive) as groups:
        for name in truths:
            text = str(np.load(io.BytesIO(groups.read(f"openset-synonym/{name}.npy"))))
            first = {}
            for group in re.split(r"[\[\]]", text):
                members = [m.strip() for m in re.split("['\"]", group.strip()) if m.strip() not in ("", ",")]
                first.update({m: members[0] for m in members})
            truth = {first.get(label.lower(), label.lower()) for label in truths[name]}
            predicted = {first.get(label.lower(), label.lower()) for label in predictions[name]}
            accuracy.append(len(truth & predicted) / len(predicted) if predicted else 0.0)
            recall.append(len(truth & predicted) / len(truth))
    a, r = np.mean(accuracy), np.mean(recall)
    return {"pairs": len(accuracy), "accuracy": a, "recall": r, "average": (a + r) / 2}


def check(result):
    """Numbers that the benchmark's own code gave."""
    near = lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-11)
    near(list(result["cached"].values()), [332, 0.581777108433735, 0.4977911646586345, 0.5397841365461847])
    own = {
        ("2025", "M1"): (331, 0.333887210473, 0.258196662351, 0.291203889525),
        ("2026", "M1"): (331, 0.333887210473, 0.258196662351, 0.291203889525),
        ("2025", "M2"): (331, 0.356596173212, 0.303733275788, 0.328048745932),
        ("2025", "W1-L1"): (327, 0.575433231397, 0.553007135576, 0.563997340619),
        ("2025", "W3-L1"): (324, 0.541409465021, 0.567129629630, 0.553971169545),
        ("2026", "W3-L1"): (324, 0.542438271605, 0.567129629630, 0.554509220625),
        ("2025", "W5-L2"): (316, 0.430643459916, 0.404219409283, 0.417013263857),
        ("2026", "W5-L2"): (316, 0.430116033755, 0.402900843882, 0.416063870059),
    }
    for (release, name), numbers in own.items():
        near([result[release]["predict"][name][key] for key in ("pairs", "precision", "recall", "f")], numbers)
    for release, numbers in {
        "2025": (0.5716009870648767, 0.5660296258390396, 0.5774563979279367),
        "2026": (0.5727045649819597, 0.5671583612997168, 0.5785399906899752),
    }.items():
        scores = [result[release]["chat_univi"][f"W{k}-L1"] for k in WHEELS]
        near([np.mean([s[key] for s in scores]) for key in ("f", "precision", "recall")], numbers)
        hits = list(result[release]["hits"].values())
        near([np.mean([h[key] for h in hits]) for key in ("hit", "mscore")], (0.573076923077, 0.492948717949))
        assert [h["pairs"] for h in hits] == [39, 39, 39, 39, 36]
    counts = {"2025": [4053, 4400, 3240, 4074, 3055], "2026": [4023, 4369, 3219, 4058, 3034]}
    for release, numbers in counts.items():
        assert [result[release]["forms"][f"W{k}-L1"] for k in WHEELS] == numbers


# What the benchmark's own code printed, digit by digit: reference numbers that need no tolerance.
PUBLISHED = [
    {"metric": "mer2024-gpt", "predictions": "predict-openset.csv",
     "numbers": {"accuracy": 0.581777108433735, "recall": 0.4977911646586345, "average": 0.5397841365461847}},
    {"metric": "ew2025-l1", "predictions": "chat-univi-openset.npz",
     "numbers": {"precision": 0.5660296258390396, "recall": 0.5774563979279367, "f_score": 0.5716009870648767}},
    {"metric": "ew2026-l1", "predictions": "chat-univi-openset.npz",
     "numbers": {"precision": 0.5671583612997168, "recall": 0.5785399906899752, "f_score": 0.5727045649819597}},
]
PUBLISHED_HITS = {"hit": 0.573076923077, "mscore": 0.492948717949}


def content_hash(maps, mappers):
    """What src/eval/wheel_release.cpp tells a release by when its files were saved again."""
    lines = []
    for name, mapper in mappers.items():
        for form in sorted(maps.forms, key=str.encode):
            if (found := mapper(form)) is not None:
                lines.append(f"{name}\t{form}\t{found}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def main(folder):
    openset = lambda file: {row["name"]: string_to_list(row["openset"]) for row in read_csv(folder / file)}
    truths, predictions = openset("check-openset.csv"), openset("predict-openset.csv")
    arrays = np.load(folder / "chat-univi-openset.npz")
    chat_univi = {str(n): string_to_list(str(i)) for n, i in zip(arrays["filenames"], arrays["fileitems"])}
    single = {r["names"]: string_to_list(r["emotions"]) for r in read_csv(folder / "emer-v1-gt-eng.csv") if r["names"] in truths}
    result = {"published": PUBLISHED, "published_hits": PUBLISHED_HITS}
    result |= {"cached": cached_score(truths, predictions, folder / "openset-synonym.zip")}
    for release in ("2025", "2026"):
        maps = Maps(folder / f"wheel{release}")
        mappers = {name: maps.mapper(name) for name in GROUPINGS}
        result[release] = {
            "predict": {name: set_score(truths, predictions, mapper) for name, mapper in mappers.items()},
            "chat_univi": {name: set_score(truths, chat_univi, mapper) for name, mapper in mappers.items()},
            "hits": {f"W{k}-L1": hit_score(single, chat_univi, mappers[f"W{k}-L1"]) for k in WHEELS},
            "content_hash": content_hash(maps, mappers),
            "forms": {name: sum(mapper(form) is not None for form in maps.forms) for name, mapper in mappers.items()},
        }
    check(result)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))

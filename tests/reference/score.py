"""The metrics of `microemo score` in plain Python, written from their published description, apart from the C++ code.

Standard library only: bench/score times it, tests/reference/score_golden.py makes golden values with it, and
tests/reference/score_parity.py compares it with the program on random labels.
"""

import ast
import csv
import math
import re
import struct
import xml.etree.ElementTree as xml
import zipfile

WHEELS = range(1, 6)
GROUPINGS = ["M1", "M2"] + [f"W{k}-L{level}" for k in WHEELS for level in (1, 2)]
MISSING = {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN",
           "None", "n/a", "nan", "null"}
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def string_to_list(text):
    if isinstance(text, list):
        return text
    if text == "" or text == "[":
        return []
    if text[0] == "[":
        text = text[1:]
    if text.endswith("]"):
        text = text[:-1]
    return [piece.strip() for piece in re.split("['\",]", text) if piece.strip() not in ("", ",")]


# Files


def read_csv(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def read_labels_csv(path):
    return {row["name"]: [] if row["openset"] in MISSING else string_to_list(row["openset"]) for row in read_csv(path)}


def parse_text_array(data):
    """Of an .npy of texts: its values."""
    major = data[6]
    size = struct.unpack("<H" if major == 1 else "<I", data[8:10 if major == 1 else 12])[0]
    start = (10 if major == 1 else 12) + size
    header = ast.literal_eval(data[start - size:start].decode("latin1"))
    width = 4 * int(header["descr"][2:])
    items = data[start:]
    if not header["shape"]:
        return [items.decode("utf-32-le").rstrip("\0")]
    return [items[i:i + width].decode("utf-32-le").rstrip("\0") for i in range(0, len(items), width)]


def read_labels_npz(path):
    with zipfile.ZipFile(path) as archive:
        names, items = (parse_text_array(archive.read(f"{name}.npy")) for name in ("filenames", "fileitems"))
    return {name: string_to_list(item) for name, item in zip(names, items)}


def read_groups(path):
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        return {name.split("/")[-1][:-4]: parse_text_array(archive.read(name))[0] for name in names}


def column_number(reference):
    number = 0
    for letter in re.match("[A-Z]+", reference).group():
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1


def read_sheet(path):
    """Rows of the first sheet as dictionaries; missing cells are None."""
    with zipfile.ZipFile(path) as archive:
        shared = []
        if "xl/sharedStrings.xml" in archive.namelist():
            for item in xml.fromstring(archive.read("xl/sharedStrings.xml")):
                runs = [item] + item.findall(f"{SHEET}r")
                shared.append("".join(run.findtext(f"{SHEET}t") or "" for run in runs))
        sheet = next(name for name in archive.namelist() if name.startswith("xl/worksheets/") and name.endswith(".xml"))
        rows = []
        for row in xml.fromstring(archive.read(sheet)).iter(f"{SHEET}row"):
            cells = {}
            for place, cell in enumerate(row):
                reference, value = cell.get("r"), cell.findtext(f"{SHEET}v")
                if cell.get("t") == "s":
                    value = shared[int(value)]
                elif cell.get("t") == "inlineStr":
                    value = cell.find(f"{SHEET}is").findtext(f"{SHEET}t")
                cells[column_number(reference) if reference else place] = None if value in MISSING else value
            rows.append(cells)
    header = {place: name for place, name in rows[0].items() if name}
    return [{name: row.get(place) for place, name in header.items()} for row in rows[1:]]


# Emotion wheels


class Wheels:
    def __init__(self, folder):
        self.rings = {}
        for k in WHEELS:
            tree = self.read_tree(f"{folder}/wheel{k}.xlsx")
            self.rings[f"W{k}-L1"] = self.ring(tree, lambda one, two: one, lambda one, twos: one)
            self.rings[f"W{k}-L2"] = self.ring(tree, lambda one, two: two, lambda one, twos: min(twos))
        self.words_of = {}
        for row in read_sheet(f"{folder}/synonym.xlsx"):
            for run in range(1, 9):
                word = row[f"word_run{run}"].strip().lower()
                for synonym in [word] + string_to_list(row[f"synonym_run{run}"] or ""):
                    self.words_of.setdefault(synonym.strip().lower(), set()).add(word)
        self.bases_of = {}
        for row in read_csv(f"{folder}/format.csv"):
            forms = [] if row["format"] in MISSING else string_to_list(row["format"])
            for form in forms + [row["name"]]:
                self.bases_of.setdefault(form, []).append(row["name"])

    @staticmethod
    def read_tree(path):
        tree, last = {}, {}
        for row in read_sheet(path):
            for level in ("level1", "level2", "level3"):
                if row[level] is not None:
                    last[level] = row[level].lower().strip()
            tree.setdefault(last["level1"], {}).setdefault(last["level2"], []).append(last["level3"])
        return tree

    @staticmethod
    def ring(tree, of_outer, of_inner):
        ring = {}
        for one, twos in tree.items():
            ring[one] = of_inner(one, twos)
            for two, threes in twos.items():
                for word in [two] + threes:
                    ring[word] = of_outer(one, two)
        return ring

    def class_of(self, label, grouping):
        """None: no class."""
        bases = self.bases_of.get(label)
        if bases is None:
            return None
        if grouping == "M1":
            return min(bases)
        if grouping == "M2":
            words = self.words_of.get(min(bases))
            return min(words) if words else None
        ring = self.rings[grouping]
        candidates = set()
        for base in bases:
            candidates |= self.words_of.get(base, set())
        for word in sorted(candidates):
            if word in ring:
                return ring[word]
        return None

    def classes(self, labels, grouping):
        found = {self.class_of(label.lower().strip(), grouping) for label in labels}
        found.discard(None)
        return found


# Scores. `truths` and `predictions`: dictionaries from ids to lists of labels.


def mean(values):
    return sum(values) / len(values) if values else math.nan


def f_score(precision, recall, release):
    if precision + recall == 0:
        return 0.0 if release == "2026" else math.nan
    return 2 * (precision * recall) / (precision + recall)


def set_scores(truths, predictions, wheels, grouping, release):
    """n, precision, recall, F."""
    precisions, recalls = [], []
    for name, labels in truths.items():
        truth, predicted = wheels.classes(labels, grouping), wheels.classes(predictions[name], grouping)
        if not truth:
            continue
        shared = len(truth & predicted)
        precisions.append(shared / len(predicted) if predicted else 0)
        recalls.append(shared / len(truth))
    if not precisions and release == "2026":
        return 0, 0.0, 0.0, 0.0
    precision, recall = mean(precisions), mean(recalls)
    return len(precisions), precision, recall, f_score(precision, recall, release)


def hit_scores(truths, predictions, wheels, grouping):
    """n, hit rate, mscore."""
    known = set()
    for labels in truths.values():
        known |= wheels.classes(labels, grouping)
    hits, scores = [], []
    for name, labels in truths.items():
        truth, predicted = wheels.classes(labels, grouping), wheels.classes(predictions[name], grouping)
        if truth:
            hits.append(len(truth & predicted))
            scores.append(hits[-1] / len(predicted & known) if predicted & known else 0)
    return len(hits), mean(hits), mean(scores)


def groupings_of(metric):
    """Of "ew2025-w3-l2": its family, release and groupings."""
    family, release, rest = re.fullmatch(r"(ew|hit|mscore)(2025|2026)-(.+)", metric).groups()
    if rest in ("l1", "l2"):
        return family, release, [f"W{k}-{rest.upper()}" for k in WHEELS]
    return family, release, GROUPINGS if rest == "m-avg" else [rest.upper()]


def wheel_metric(metric, truths, predictions, wheels):
    family, release, groupings = groupings_of(metric)
    if family == "ew":
        rows = [set_scores(truths, predictions, wheels, grouping, release) for grouping in groupings]
        return {"n": [row[0] for row in rows], **{key: mean([row[i] for row in rows]) for i, key in ((1, "precision"), (2, "recall"), (3, "f_score"))}}
    rows = [hit_scores(truths, predictions, wheels, grouping) for grouping in groupings]
    return {"n": [row[0] for row in rows], "value": mean([row[1 if family == "hit" else 2] for row in rows])}


def first_members(text):
    first = {}
    for group in re.split(r"[\[\]]", text):
        if group.strip() in ("", ","):
            continue
        members = [member for member in re.split("['\"]", group) if member.strip() not in ("", ",")]
        for member in members:
            first[member] = members[0]
    return first


def cached_metric(truths, predictions, groups):
    accuracies, recalls = [], []
    for name, text in groups.items():
        first = first_members(text)
        truth, predicted = ({first.get(label.lower(), label.lower()) for label in labels[name]} for labels in (truths, predictions))
        accuracies.append(len(truth & predicted) / len(predicted) if predicted else 0)
        recalls.append(len(truth & predicted) / len(truth) if predicted else 0)
    accuracy, recall = mean(accuracies), mean(recalls)
    return {"n": len(accuracies), "accuracy": accuracy, "recall": recall, "average": (accuracy + recall) / 2}


def class_metrics(pairs):
    """war, uar and waf of (truth, prediction)."""
    classes = sorted({truth for truth, _ in pairs})
    recalls, weighted = [], 0.0
    for kind in classes:
        support = sum(truth == kind for truth, _ in pairs)
        named = sum(predicted == kind for _, predicted in pairs)
        right = sum(truth == predicted == kind for truth, predicted in pairs)
        recalls.append(right / support)
        weighted += 2 * right / (support + named) * support
    return {"n": len(pairs), "war": mean([truth == predicted for truth, predicted in pairs]), "uar": mean(recalls), "waf": weighted / len(pairs) if pairs else math.nan}


def sentiment_metrics(truths, predictions):
    """Of valences and words."""
    pairs = [(value > 0, predictions[name] == "positive") for name, value in truths.items() if value != 0]
    scores = class_metrics(pairs)
    return {"n": len(pairs), "sentiment-acc": scores["war"], "sentiment-waf": scores["waf"]}

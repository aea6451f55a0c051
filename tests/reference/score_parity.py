"""Compares `microemo score --metric` with tests/reference/score.py on random labels: every metric, thousands of items, odd spellings.

Run by hand:  python tests/reference/score_parity.py PROGRAM FOLDER [SEEDS [ITEMS]]

FOLDER holds wheel2025/ and wheel2026/ (the EMER files). Each seed writes truths and predictions as JSONL, CSV and .npz in turn, with unknown words,
doubles, empty lists, letters of any case and script, blanks of Unicode, quotes and brackets, and prints the largest difference.
"""

import csv
import json
import math
import random
import struct
import subprocess
import sys
import tempfile
import zipfile

import score

EXTRA = ["neutral", "xyzzy", "高兴", "难过", "Ärger", "ГНЕВ", "don't know", "[happy]", "happy]", "[sad", "", " ", "\u212aeen", "N/A", "nan", "🙂", "let down"]
SPELL = [str, str, str, str.upper, str.title, lambda w: f"  {w}\t", lambda w: f"\u3000{w}\u2028", lambda w: w + ".", lambda w: "'" + w]


def labels(rng, words):
    return [rng.choice(SPELL)(rng.choice(words)) for _ in range(rng.choice([0, 1, 1, 2, 3, 4, 8]))]


def text_array(texts):
    width = max(1, max(len(text) for text in texts))
    header = f"{{'descr': '<U{width}', 'fortran_order': False, 'shape': ({len(texts)},), }}"
    header += " " * (64 - (11 + len(header)) % 64) + "\n"
    items = b"".join(text.encode("utf-32-le").ljust(4 * width, b"\0") for text in texts)
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + items


def write(path, items):
    """The labels as a reader of that form has them."""
    texts = {name: str(found) for name, found in items.items()}
    if path.endswith(".jsonl"):
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps({"name": name, "openset": found}, ensure_ascii=len(name) % 2 == 0) + "\n" for name, found in items.items())
        return items
    if path.endswith(".csv"):
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("name", "openset")] + list(texts.items()))
        return score.read_labels_csv(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("filenames.npy", text_array(list(texts)))
        archive.writestr("fileitems.npy", text_array(list(texts.values())))
    return score.read_labels_npz(path)


def names():
    rings = ["l1", "l2"] + [f"w{k}-l{level}" for k in score.WHEELS for level in (1, 2)]
    all_names = [f"{family}{release}-{rest}" for family in ("ew", "hit", "mscore") for release in ("2025", "2026") for rest in rings]
    return all_names + [f"ew{release}-{rest}" for release in ("2025", "2026") for rest in ("m1", "m2", "m-avg")]


def unknown_of(items, used, wheels):
    found = [label.lower().strip() for name in used for label in items[name]]
    return [label for label in found if label not in wheels.bases_of]


def compare(program, folder, wheels, seed, count, work):
    rng = random.Random(seed)
    words = sorted(wheels["2025"].bases_of) + EXTRA * 20
    truths = {f"sample_{i:08d}": labels(rng, words) for i in range(count)}
    predictions = {name: [label for label in found if rng.random() < 0.4] + labels(rng, words) for name, found in truths.items()}
    predictions = dict(sorted(predictions.items(), key=lambda _: rng.random()))
    forms = [".jsonl", ".csv", ".npz"]
    paths = [f"{work}/{kind}{forms[(seed + shift) % 3]}" for kind, shift in (("predictions", 0), ("truths", seed // 3))]
    predictions, truths = write(paths[0], predictions), write(paths[1], truths)
    command = [program, "score", *paths, "--wheels", folder, "--bootstrap", "0", "--json"]
    for name in names():
        command += ["--metric", name]
    result = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    worst = 0.0
    for name in names():
        release = score.groupings_of(name)[1]
        expected, numbers = score.wheel_metric(name, truths, predictions, wheels[release]), result[name]
        assert expected["n"] == numbers.get("n_per_wheel", [numbers["n"]]), (name, expected, numbers)
        unknown = unknown_of(truths, truths, wheels[release]) + unknown_of(predictions, truths, wheels[release])
        assert numbers["unknown_labels"]["count"] == len(unknown), name
        assert numbers["unknown_labels"]["distinct"] == len(set(unknown)), name
        for key, value in expected.items():
            if key != "n":
                assert math.isnan(value) == (numbers[key] is None), (name, key, value, numbers[key])
                worst = max(worst, 0 if math.isnan(value) else abs(value - numbers[key]))
    print(f"seed {seed}: {count} items, {' against '.join(path.split('.')[-1] for path in paths)}, {len(names())} metrics, largest difference {worst:.1e}", flush=True)
    assert worst < 1e-13


def main(program, folder, seeds=9, count=3000):
    wheels = {release: score.Wheels(f"{folder}/wheel{release}") for release in ("2025", "2026")}
    with tempfile.TemporaryDirectory() as work:
        for seed in range(int(seeds)):
            compare(program, folder, wheels, seed, int(count), work)
        for seed in range(int(seeds)):
            compare(program, folder, wheels, 100 + seed, 1 + seed % 4, work)


if __name__ == "__main__":
    main(*sys.argv[1:])

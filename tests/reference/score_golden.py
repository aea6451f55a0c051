"""Golden values of the metrics on an invented miniature release of emotion wheels, and files as NumPy writes them.

Run by hand:  python tests/reference/score_golden.py        (needs numpy, scikit-learn)

Writes tests/data/eval/wheels/ (a release in miniature: words under two parents, rows of one parent apart from each other, padded and blank
cells, forms of several bases), labels.jsonl (random sets with odd spellings, unknown words, doubles, empty lists), scores.json (what
tests/reference/score.py, and for means and single labels NumPy and scikit-learn, make of them) and the .npz files.
"""

import json
import math
import pathlib
import random
import sys
import zipfile

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, recall_score

import score

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "eval"
WHEELS = OUT / "wheels"

ROWS = {
    1: [("glad", "merry", "jolly"), ("", "", " Cheery "), ("", "eager", "keen"), ("blue", "low", "gloomy"), ("", "hurt", "sore"),
        ("glad", "merry", "keen"), ("cross", "sour", "gloomy"), ("", "fierce", "sore")],
    2: [("glad", "eager", "jolly"), ("afraid", "shaky", "timid"), ("", "", "hurt"), ("blue", "low", "hurt"), ("", "", "glad"),
        ("afraid", "alarmed", "timid")],
    3: [("calm", "still", "mild"), ("glad", "jolly", "keen"), ("calm", "soft", "mild")],
    4: [("cross", "sour", "bitter"), ("", "cross", "grim"), ("afraid", "timid", "shy")],
    5: [("  glad  ", "  jolly  ", "  cheery "), ("   blue", "sore  ", "low "), ("calm", "mild", "don’t care")],
}
SYNONYMS = {"glad": "content, jolly", "merry": "['festive', 'jovial']", "blue": "[down, \"low\"]", "low": "down", "hurt": "wounded, sore",
            "afraid": "scared, shaky", "timid": "shy, scared", "calm": "serene; at ease", "cross": "angry, sour", "mild": "[]",
            "don’t care": "whatever", "grim": "Stern ", "keen": "eager, content"}
FORMS = {"glad": "gladly,gladness,glad", "jolly": "jollity", "content": "contentment,gladness", "festive": "festively", "blue": "blues",
         "down": "downs,downcast", "low": "lowly,downcast", "sore": "soreness,sores", "wounded": "wound", "afraid": "fear",
         "fearless": "fear,fearlessly", "scared": "scare,scary", "serene": "serenity", "angry": "anger,angrily", "cross": "crossly,anger",
         "mild": "mildly", "don’t care": "", "whatever": "nan", "stern": "sternly", "gloomy": "gloom", "timid": "timidly,timidity",
         "hurt": "hurts", "keen": "keenly", "calm": "calmly", "stray": "strays", "merry": "merrily", "eager": "eagerly", "fierce": "fiercely"}


def write_sheet(path, rows):
    cells = ""
    for number, row in enumerate(rows, 1):
        cells += f'<row r="{number}">'
        for place, text in enumerate(row):
            column = chr(65 + place // 26 - 1) * (place >= 26) + chr(65 + place % 26)
            if text:
                cells += f'<c r="{column}{number}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
        cells += "</row>"
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    parts = {
        "xl/workbook.xml": f'{head}<workbook xmlns="{main}" xmlns:r="{relation}"><sheets><sheet name="s" sheetId="1" r:id="a"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'{head}<Relationships><Relationship Id="a" Target="worksheets/s.xml"/></Relationships>',
        "xl/worksheets/s.xml": f'{head}<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)


def write_wheels():
    WHEELS.mkdir(parents=True, exist_ok=True)
    words = []
    for k, rows in ROWS.items():
        write_sheet(WHEELS / f"wheel{k}.xlsx", [("level1", "level2", "level3")] + rows)
        words += [cell.strip().lower() for row in rows for cell in row if cell]
    header = [f"{kind}_run{run}" for run in range(1, 9) for kind in ("word", "synonym")]
    table = [header]
    for word in dict.fromkeys(words):
        table.append([cell for run in range(1, 9) for cell in (word.title() if run == 2 else word, SYNONYMS.get(word, "[]") if run < 5 else "")])
    write_sheet(WHEELS / "synonym.xlsx", table)
    bases = dict.fromkeys(list(FORMS) + words)
    lines = ["name,format"] + [f'{base},"{FORMS.get(base, "")}"' for base in bases]
    for synonym in sorted({s.strip(" '\"[]").lower() for text in SYNONYMS.values() for s in text.split(",")} - set(bases) - {""}):
        lines.append(f'{synonym},""')
    (WHEELS / "format.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def odd_labels(rng, words, low):
    labels = rng.choices(words, k=rng.randint(low, 6)) if rng.random() > 0.1 else []
    spell = [str, str, str, str.upper, str.title, lambda w: f" {w} ", lambda w: f"\u3000{w}\u00a0", lambda w: w + "."]
    return [rng.choice(spell)(label) for label in labels]


def random_sets(wheels):
    rng = random.Random(7)
    words = sorted(wheels.bases_of) + ["neutral", "xyzzy", "高兴", "rührend", "don't care", "", "[glad]", "\u212aeen", "ÄRGER"] * 2
    truths = {f"clip{i // 3}/{i % 3}": odd_labels(rng, words, 0) for i in range(2000)}
    predictions = {}
    for name, labels in truths.items():
        kept = [label for label in labels if rng.random() < 0.5]
        predictions[name] = kept + odd_labels(rng, words, 0)[:3]
    return truths, predictions


def numpy_means():
    rng = np.random.Generator(np.random.PCG64(5))
    cases = []
    for size in (0, 1, 7, 8, 9, 127, 128, 129, 135, 136, 332, 1000, 1025):
        values = rng.random(size)
        cases.append({"values": values.tolist(), "mean": float(np.mean(values)) if size else None})
    return cases


def single_labels():
    rng = random.Random(11)
    names = ["anger", "joy", "sadness", "neutral", "disgust"]
    truth = rng.choices(names, [5, 4, 3, 2, 1], k=400)
    predicted = [t if rng.random() < 0.5 else rng.choice(names + ["awe"]) for t in truth]
    recalls = recall_score(truth, predicted, labels=sorted(set(truth)), average="macro", zero_division=0)
    return {"truth": truth, "predicted": predicted, "war": accuracy_score(truth, predicted), "uar": recalls,
            "waf": f1_score(truth, predicted, average="weighted", zero_division=0)}


def save(name, **arrays):
    """numpy.savez_compressed with one date for all days."""
    path = OUT / name
    np.savez_compressed(path, **arrays)
    with zipfile.ZipFile(path) as archive:
        contents = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for entry, data in contents:
            archive.writestr(zipfile.ZipInfo(entry), data, zipfile.ZIP_DEFLATED)


def ragged(lists):
    array = np.empty(len(lists), dtype=object)
    array[:] = lists
    return array


class Stranger:
    pass


def write_arrays():
    names = ["a", "b", "c"]
    save("objects-openset.npz", filenames=names, fileitems=ragged([["happy", "sad"], [], [np.str_("Angry")]]))
    save("matrix-openset.npz", filenames=names, fileitems=[["happy", "sad"], ["calm", "proud"], ["x", "y"]])
    save("mixed-openset.npz", filenames=ragged(names), fileitems=ragged(["[happy, sad]", np.array(["calm", "proud"]), None]))
    texts = ["[happy, sad]", "[]", "[Angry]"]
    save("extractor-openset.npz", filenames=names, fileitems=texts, extractor="mertools-1:m")
    save("extractors-openset.npz", filenames=names, fileitems=texts, extractor=ragged(["rules-1", "", np.str_("mertools-1:m")]))
    save("bad-extractor-openset.npz", filenames=names, fileitems=texts, extractor=ragged(["rules-1", None, ["x", "y"]]))
    save("answers.npz", name2reason={"a": "The person feels happy.", "b": "She feels sad and tired."})
    save("valences.npz", filenames=names, fileitems=np.array([1.5, -0.25, 0.0]))
    save("corpus.npz", test_corpus={"a": {"emo": 3, "val": np.float32(0.5)}, "b": {"emo": 0, "val": -1.0}})
    save("stranger.npz", filenames=ragged([Stranger()]), fileitems=["[happy]"])


def main():
    write_wheels()
    wheels = score.Wheels(WHEELS)
    truths, predictions = random_sets(wheels)
    lines = [json.dumps({"id": name, "truth": truths[name], "predicted": predictions[name]}, ensure_ascii=False) for name in truths]
    (OUT / "labels.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    names = [f"{family}{release}-{rest}" for family in ("ew", "hit", "mscore") for release in ("2025", "2026")
             for rest in ["l1", "l2"] + [f"w{k}-l{level}" for k in score.WHEELS for level in (1, 2)]]
    names += [f"ew{release}-{rest}" for release in ("2025", "2026") for rest in ("m1", "m2", "m-avg")]
    scores = {name: score.wheel_metric(name, truths, predictions, wheels) for name in names}
    assert not any(math.isnan(value) for numbers in scores.values() for key, value in numbers.items() if key != "n")
    result = {"scores": scores, "means": numpy_means(), "single": single_labels()}
    (OUT / "scores.json").write_text(json.dumps(result, ensure_ascii=False) + "\n", encoding="utf-8")
    write_arrays()


if __name__ == "__main__":
    sys.exit(main())

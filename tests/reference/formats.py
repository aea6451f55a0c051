"""Writes tests/data/formats: files made by the formats' own Python libraries, with what they hold in expected.json.

Run by hand:  python tests/reference/formats.py        (needs numpy, safetensors, openpyxl)
"""

import csv
import io
import json
import pathlib
import zipfile

import numpy as np
import openpyxl
from safetensors import TensorSpec, serialize_file

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "formats"


def safetensors_case():
    rng = np.random.Generator(np.random.PCG64(1))
    tensors = {
        "decoder.weight": ("float32", [2, 3], rng.standard_normal(6).astype("<f4").tobytes()),
        "decoder.half": ("bfloat16", [2, 2], rng.standard_normal(4).astype("<f4").view("<u2")[1::2].tobytes()),
        "a.flags": ("bool", [3], bytes([1, 0, 1])),
        "step": ("int64", [], np.array(1234567890123, "<i8").tobytes()),
        "empty": ("float16", [0, 4], b""),
        "größe \"q\"": ("uint8", [1, 1, 1], b"\x7f"),
        "z.double": ("float64", [1], np.array([-0.125], "<f8").tobytes()),
    }
    buffers = {n: np.frombuffer(b, np.uint8) for n, (_, _, b) in tensors.items()}
    payload = {n: TensorSpec(dtype=d, shape=s, data_ptr=buffers[n].ctypes.data, data_len=len(b)) for n, (d, s, b) in tensors.items()}
    serialize_file(payload, str(OUT / "tensors.safetensors"), metadata={"format": "pt"})
    words = {"float32": "F32", "bfloat16": "BF16", "bool": "BOOL", "int64": "I64", "float16": "F16", "uint8": "U8", "float64": "F64"}
    return [{"name": n, "dtype": words[d], "shape": s, "hex": b.hex()} for n, (d, s, b) in tensors.items()]


class Unseekable(io.RawIOBase):
    """Makes zipfile write data descriptors, as it does into a pipe."""

    def __init__(self, file):
        self.file = file

    def writable(self):
        return True

    def write(self, data):
        return self.file.write(data)


def zip_case():
    contents = {"folder/stored.txt": "stored\n", "deflated.txt": "deflated " * 200, "größe.txt": "", "empty/": ""}
    kinds = {"deflated.txt": zipfile.ZIP_DEFLATED}

    def write(target):
        with zipfile.ZipFile(target, "w") as archive:
            archive.comment = b"a comment"
            for name, text in contents.items():
                info = zipfile.ZipInfo(name)
                info.compress_type = kinds.get(name, zipfile.ZIP_STORED)
                archive.writestr(info, text)

    write(OUT / "plain.zip")
    with open(OUT / "streamed.zip", "wb") as file:
        write(Unseekable(file))
    limits = zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT
    zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = 4, 1
    write(OUT / "zip64.zip")
    zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = limits
    return contents


def npy_case():
    rng = np.random.Generator(np.random.PCG64(2))
    matrix = rng.integers(-100, 100, (2, 3, 4))
    arrays = {f"c_{t}": matrix.astype(t) for t in ("<i1", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8", ">i4", ">f8")}
    arrays |= {f"u_{t}": np.abs(matrix).astype(t) for t in ("<u1", "<u2", ">u4", "<u8")}
    arrays |= {
        "fortran": np.asfortranarray(matrix),
        "fortran_big": np.asfortranarray(matrix.astype(">f4")),
        "bool": matrix > 0,
        "scalar": np.array(2.5),
        "empty": np.zeros((3, 0)),
        "half_edges": np.array([0.0, 6e-8, 6.1e-5, 65504.0, -0.333], "<f2"),
    }
    np.savez_compressed(OUT / "numbers.npz", **arrays)
    texts = {"names": np.array([["happy", "sad"], ["", "微表情 😀"]]), "one": np.array("a single text"), "big": np.array(["x", "yz"], ">U2")}
    texts["fortran"] = np.asfortranarray(texts["names"])
    np.savez(OUT / "texts.npz", **texts)
    np.save(OUT / "objects.npy", np.array({"a": 1}, dtype=object), allow_pickle=True)
    np.save(OUT / "complex.npy", np.array([1j]))
    np.save(OUT / "records.npy", np.array([(1, 2.0)], dtype=[("a", "<i4"), ("b", "<f8")]))
    np.save(OUT / "float32.npy", np.array([[0.5, -1.0, 2.0]], "<f4"))
    np.save(OUT / "text.npy", texts["names"])
    for version in ((2, 0), (3, 0)):
        with open(OUT / f"version{version[0]}.npy", "wb") as file:
            np.lib.format.write_array(file, np.arange(3), version=version)
    expected = {}
    for name, a in (arrays | {"text_" + n: t for n, t in texts.items()}).items():
        expected[name] = {"shape": list(a.shape), "values": np.ascontiguousarray(a).ravel().tolist()}
    return expected


def csv_case():
    rows = [
        ["name", "reason", "n"],
        ["a", "plain", "1"],
        ["b", 'says "no", twice', ""],
        ["c", "two\nlines", "-3"],
        ["d", "微表情", " padded "],
        ["", "", ""],
    ]
    for file, options in (("lf.csv", {"lineterminator": "\n"}), ("crlf.csv", {"lineterminator": "\r\n", "quoting": csv.QUOTE_ALL})):
        with open(OUT / file, "w", newline="", encoding="utf-8-sig" if file == "crlf.csv" else "utf-8") as stream:
            csv.writer(stream, **options).writerows(rows)
    return {"rows": rows, "lines": [1, 2, 3, 4, 6, 7]}


def xlsx_case():
    book = openpyxl.Workbook()
    sheet = book.active
    rows = [
        ["level1", "level2", None, "number"],
        ["happy ", None, "  ", 3],
        [None, None, None, None],
        [None, "größe", "<&>", 0.25],
        [True, False, None, None],
    ]
    for row in rows:
        sheet.append(row)
    sheet.merge_cells("A2:A4")
    sheet.append([None, ""])
    book.create_sheet("second").append(["other"])
    book.save(OUT / "sheet.xlsx")
    words = {None: "", True: "TRUE", False: "FALSE"}
    return [[c if isinstance(c, str) else words[c] if c is None or c is True or c is False else str(c) for c in row] for row in rows]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    expected = {
        "safetensors": safetensors_case(),
        "zip": zip_case(),
        "npy": npy_case(),
        "csv": csv_case(),
        "xlsx": xlsx_case(),
    }
    (OUT / "expected.json").write_text(json.dumps(expected, indent=None, ensure_ascii=False) + "\n", encoding="utf-8")
    for file in OUT.iterdir():
        file.chmod(0o644)


if __name__ == "__main__":
    main()

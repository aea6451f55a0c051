"""Writes tests/data/philox.json: what numpy's Philox draws for some keys, and for streams named by seed, purpose and coordinates.

Needs numpy. Run by hand:  python3 tests/reference/philox.py
"""

import json
import pathlib

import numpy as np

KEYS = [(0, 0), (1, 2), (2**64 - 1, 2**64 - 1), (0x0123456789ABCDEF, 0xFEDCBA9876543210)]
STREAMS = [
    (0, "", []),
    (7, "dropout", []),
    (7, "dropout", [0]),
    (7, "dropout", [1, 2, 3]),
    (7, "augment", [1, 2, 3]),
    (2**64 - 1, "a purpose of more than sixteen letters", [5, 4, 3, 2, 1, 2**63, 9, 8]),
]


def generator(key, counter=0):
    return np.random.Philox(key=np.array(key, dtype=np.uint64), counter=counter)


def raw(key, count):
    return [int(value) for value in generator(key).random_raw(count)]


def stream_key(seed, purpose, coordinates):
    """The words of the name, four at a time, each enciphered under the key so far; the first two words out are the next key."""
    letters = purpose.encode()
    padded = letters + bytes(-len(letters) % 8)
    words = [seed, len(letters) | len(coordinates) << 32]
    words += [int.from_bytes(padded[i : i + 8], "little") for i in range(0, len(padded), 8)]
    words += coordinates
    words += [0] * (-len(words) % 4)
    key = (0, 0)
    for i in range(0, len(words), 4):
        block = sum(word << 64 * place for place, word in enumerate(words[i : i + 4]))
        # numpy counts up before it draws.
        first, second = generator(key, (block - 1) % 2**256).random_raw(2)
        key = (int(first), int(second))
    return key


def main():
    result = {
        "made_by": f"tests/reference/philox.py, numpy {np.__version__}",
        "keys": [
            {
                "key": list(key),
                "bits": raw(key, 11),
                "uniform": [float(value) for value in np.random.Generator(generator(key)).random(6)],
            }
            for key in KEYS
        ],
        "streams": [
            {"seed": seed, "purpose": purpose, "coordinates": coordinates, "bits": raw(stream_key(seed, purpose, coordinates), 5)}
            for seed, purpose, coordinates in STREAMS
        ],
    }
    path = pathlib.Path(__file__).parent.parent / "data" / "philox.json"
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

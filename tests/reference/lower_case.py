"""The table of lower case of the eval room, by asking Python: python3 tests/reference/lower_case.py

Writes src/eval/lower_ranges.cpp: what str.lower makes of every single character (Python 3.12, Unicode 15, was used). Run clang-format over
the file afterwards.
"""

import pathlib

OUT = pathlib.Path(__file__).resolve().parents[2] / "src" / "eval" / "lower_ranges.cpp"


def main():
    changes = {}
    for point in range(0x80, 0x110000):
        lower = chr(point).lower()
        if len(lower) == 1 and ord(lower) != point:
            changes[point] = ord(lower) - point
    ranges = []  # [first, last, step, distance]
    for point, distance in changes.items():
        last = ranges[-1] if ranges else None
        if last and last[3] == distance and point - last[1] <= 2 and (last[0] == last[1] or point - last[1] == last[2]):
            last[2], last[1] = point - last[1], point
        else:
            ranges.append([point, point, 1, distance])
    lines = [f"    {{0x{first:X}, 0x{last:X}, {step}, {distance}}}," for first, last, step, distance in ranges]
    OUT.write_text("// Made by tests/reference/lower_case.py; not to be edited.\n#include \"lower_ranges.h\"\n\nnamespace microemo::eval {\n\n"
                   "const std::vector<LowerRange>& lower_ranges() {\n  static const std::vector<LowerRange> ranges = {\n" + "\n".join(lines) +
                   "\n  };\n  return ranges;\n}\n\n}  // namespace microemo::eval\n")
    print(len(ranges))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes src/media/mean_face.h: where the rigid points of a mean face lie in a crop like OpenFace's.

  tests/reference/mean_face.py PROGRAM > src/media/mean_face.h

PROGRAM is microemo, which finds the landmarks of every face in three photographs that tools/setup fetches (a portrait, an astronaut, the Solvay conference of 1927).
Each face and its mirror image are laid on their mean by the similarity of least squares, again and again until the mean stays (generalised Procrustes
analysis; Gower 1975). OpenFace 2 draws its own mean face, which its licence keeps from being copied here, with 0.7 pixel a millimetre around the middle of 112 pixels; its jaw
is 144.8 millimetres wide between the first and the last landmark. Size and place follow from that.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

MEDIA = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "microemo" / "media"
PHOTOGRAPHS = {"grace_hopper_512x512.jpg": "512:512", "astronaut.png": "1024:1024", "Solvay_conference_1927_Version2_2126x1463.png": "2126:1462"}
MIRROR = [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
          54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
RIGID = [1, 2, 3, 4, 12, 13, 14, 15, 27, 28, 29, 31, 32, 33, 34, 35, 36, 39, 40, 41, 42, 45, 46, 47]
JAW = 144.8 * 0.7 / 112  # of the crop's side


def faces_of(program, photograph, size, folder):
    clip = f"{folder}/still.mkv"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-loop", "1", "-i", MEDIA / photograph, "-frames:v", "4", "-vf", f"scale={size}", "-c:v", "ffv1", clip], check=True)
    out = json.loads(subprocess.run([program, "media", "faces", clip, "--json"], check=True, capture_output=True, text=True).stdout)
    return [(np.array(face["landmarks"]), np.array(face["box"])) for face in out["frames"][-1]["faces"]]


def frontal_box(faces):
    """How far below the middle of the outer eye corners the middle of the detector's box lies, in distances of these corners."""
    below = []
    for shape, box in faces:
        right = shape[45] - shape[36]
        middle = np.array([box[0] + box[2], box[1] + box[3]]) / 2 - (shape[36] + shape[45]) / 2
        below.append(middle @ [-right[1], right[0]] / (right @ right))
    return np.mean(below)


def laid_on(shape, mean):
    """`shape` moved, turned and scaled onto `mean`."""
    a, b = (points[:, 0] + 1j * points[:, 1] for points in (shape - shape.mean(0), mean - mean.mean(0)))
    moved = a * (np.vdot(a, b) / np.vdot(a, a))
    return np.stack([moved.real, moved.imag], 1)


def mirrored(shape):
    return (shape * [-1, 1])[MIRROR]


def mean_face(shapes):
    shapes = shapes + [mirrored(shape) for shape in shapes]
    mean = shapes[0] + mirrored(shapes[0] - shapes[0].mean(0))
    for _ in range(100):
        mean = np.mean([laid_on(shape, mean) for shape in shapes], axis=0)
        mean = (mean + mirrored(mean)) / 2
        mean /= mean[16, 0] - mean[0, 0]
    return mean


def main():
    with tempfile.TemporaryDirectory() as folder:
        faces = [face for name, size in PHOTOGRAPHS.items() for face in faces_of(sys.argv[1], name, size, folder)]
    shapes = [shape for shape, _ in faces]
    places = mean_face(shapes) * JAW + 0.5
    print("#pragma once\n#include <array>\n\n#include \"microemo/media/image.h\"\n\nnamespace microemo::media {\n")
    print("/// Landmarks that facial movements hardly move: jaw beside the ears, nose, inner and lower rims of the eyes (OpenFace 2).")
    print(f"constexpr std::array<int, {len(RIGID)}> openface_points = {{{', '.join(map(str, RIGID))}}};\n")
    print(f"/// Where they lie in a crop of side 1; written by tests/reference/mean_face.py from {len(shapes)} faces.")
    print(f"constexpr std::array<Point, {len(RIGID)}> mean_face = {{{{")
    for point in RIGID:
        print(f"    {{{places[point, 0]:.5f}, {places[point, 1]:.5f}}},")
    print("}};\n\n/// How far below the middle of the outer eye corners the middle of the frontal detector's box lies, in their distance.")
    print(f"constexpr double frontal_box_below = {frontal_box(faces):.4f};\n\n}}  // namespace microemo::media")


if __name__ == "__main__":
    main()

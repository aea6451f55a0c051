"""The other sides of bench/media/faces, run in the environment that it installs: the recipe of most Python code that prepares faces, and the same with
the region re-detection of MicroEmo's tracker.

  faces_peer.py recipe | regions VIDEO LANDMARK_MODEL

For each line of standard input the video is followed once, from opening it to the last crop, and a line of JSON is written.
"""

import json
import sys
import time

import av
import cv2
import dlib
import numpy as np

DETECT_EVERY, VERIFY_EVERY, SEARCH_EVERY = 25, 5, 3
SEARCH_FACE, SEARCH_WINDOW = 100, 2
RIGID = [36, 39, 42, 45, 27, 28, 29, 30]
# Where those points lie in a crop of side 1.
TARGET = np.array([[0.22, 0.36], [0.40, 0.37], [0.60, 0.37], [0.78, 0.36], [0.5, 0.37], [0.5, 0.44], [0.5, 0.51], [0.5, 0.58]])

cv2.setNumThreads(1)


def frames_of(video):
    with av.open(video) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        for frame in container.decode(stream):
            yield frame.to_ndarray(format="rgb24")


def rectangle(box):
    return dlib.rectangle(*(int(round(v)) for v in (box[0], box[1], box[2] - 1, box[3] - 1)))


def box_of(found):
    return [found.left(), found.top(), found.right() + 1, found.bottom() + 1]


def points_of(predictor, gray, box):
    shape = predictor(gray, rectangle(box))
    return np.array([(shape.part(i).x, shape.part(i).y) for i in range(68)], np.float64)


def crops(frame, points):
    """Both aligned crops of a face."""
    for size in (224, 112):
        matrix, _ = cv2.estimateAffinePartial2D(points[RIGID], TARGET * size)
        yield cv2.warpAffine(frame, matrix, (size, size), flags=cv2.INTER_LINEAR)


def area(face):
    box = face[0]
    return (box[2] - box[0]) * (box[3] - box[1])


class Recipe:
    """The detector sees every frame whole."""

    def __init__(self, detector, predictor):
        self.detector, self.predictor = detector, predictor

    def faces(self, gray):
        return [(box_of(found), points_of(self.predictor, gray, box_of(found))) for found in self.detector(gray, 0)]


class Regions:
    """The detector sees the whole frame from time to time, and a window around a known face every few frames; in between, the landmarks carry the
    box on."""

    def __init__(self, detector, predictor):
        self.detector, self.predictor = detector, predictor
        self.known, self.since_search, self.first = [], 0, True

    def near(self, gray, box):
        """The face in the window around `box`."""
        width = box[2] - box[0]
        side, x, y = SEARCH_WINDOW * max(width, box[3] - box[1]), (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        left, top = max(int(x - side / 2), 0), max(int(y - side / 2), 0)
        window = gray[top:int(y + side / 2), left:int(x + side / 2)]
        factor = SEARCH_FACE / width
        if window.size == 0:
            return None
        small = cv2.resize(window, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
        found = self.detector(small, 0)
        if not found:
            return None
        box = box_of(found[0])
        return [box[0] / factor + left, box[1] / factor + top, box[2] / factor + left, box[3] / factor + top]

    def carried(self, gray, face):
        box, points, _ = face
        now = points_of(self.predictor, gray, box)
        before_center, center = points.mean(0), now.mean(0)
        scale = np.linalg.norm(now - center) / np.linalg.norm(points - before_center)
        corners = (np.array(box).reshape(2, 2) - before_center) * scale + center
        return list(corners.reshape(4)), now

    def faces(self, gray):
        self.since_search += 1
        followed, lost = [], False
        for box, points, age in self.known:
            if age + 1 < VERIFY_EVERY:
                followed.append((*self.carried(gray, (box, points, age)), age + 1))
                continue
            box = self.near(gray, box)
            if box is None:
                lost = True
            else:
                followed.append((box, points_of(self.predictor, gray, box), 0))
        if self.first or lost or self.since_search >= (DETECT_EVERY if followed else SEARCH_EVERY):
            self.first, self.since_search = False, 0
            followed = [(box_of(found), points_of(self.predictor, gray, box_of(found)), 0) for found in self.detector(gray, 0)]
        self.known = followed
        return [(box, points) for box, points, _ in followed]


def follow(video, side):
    boxes, count, total = [], 0, 0
    for frame in frames_of(video):
        faces = side.faces(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))
        boxes.append([face[0] for face in faces])
        if faces:
            for crop in crops(frame, max(faces, key=area)[1]):
                total, count = total + int(crop[0, 0, 0]), count + 1
    return boxes, count, total


def main():
    kind, video, model = sys.argv[1:]
    detector, predictor = dlib.get_frontal_face_detector(), dlib.shape_predictor(model)
    for _ in sys.stdin:
        side = {"recipe": Recipe, "regions": Regions}[kind](detector, predictor)
        start, processor_start = time.perf_counter(), time.process_time()
        boxes, count, total = follow(video, side)
        seconds, processor = time.perf_counter() - start, time.process_time() - processor_start
        print(json.dumps({"seconds": seconds, "processor": processor, "crops": count, "sum": total, "boxes": boxes}), flush=True)


if __name__ == "__main__":
    main()

"""Writes tests/data/report/events.bin: the records of report/event_file.h as TensorBoard's own writer makes them. Run by hand:

    python tests/reference/event_file.py        # needs tensorboard
"""

import io
import pathlib

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "report" / "events.bin"


def main():
    scalars = {"loss": 1.25, "learning_rate": 3e-5, "größe": -7.5}
    events = [
        Event(wall_time=1700000000.5, file_version="brain.Event:2"),
        Event(wall_time=1700000000.5, step=300, session_log=SessionLog(status=SessionLog.START)),
        Event(wall_time=1700000001.25, step=301, summary=Summary(value=[Summary.Value(tag=k, simple_value=v) for k, v in scalars.items()])),
        Event(wall_time=1700000002.0, step=1 << 40, summary=Summary(value=[Summary.Value(tag="loss", simple_value=float("nan"))])),
    ]
    OUT.parent.mkdir(exist_ok=True)
    with io.BytesIO() as file:
        writer = RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString())
        OUT.write_bytes(file.getvalue())


if __name__ == "__main__":
    main()

"""Writes scalars.tfevents beside this file with TensorBoard's own record writer and messages, and reads it back with
TensorBoard's own loader.

    pip install tensorboard==2.21.0 && python make_golden.py
"""

from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

path = Path(__file__).with_name("scalars.tfevents")
events = [
    event_pb2.Event(wall_time=1700000000.5, file_version="brain.Event:2"),
    event_pb2.Event(
        wall_time=1700000000.5,
        step=3,
        session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START),
    ),
]
for step, values in [(0, {"train/loss": 2.5}), (3, {"train/loss": -0.0, "payload/up_bytes": 1e12}), (300, {"a b/ü": 1e-40})]:
    summary = summary_pb2.Summary(
        value=[summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    )
    events.append(event_pb2.Event(wall_time=1700000000.5 + step, step=step, summary=summary))
with path.open("wb") as file:
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString(deterministic=True))
    writer.flush()
assert list(LegacyEventFileLoader(str(path)).Load()) == events
print(f"{path.name}: {path.stat().st_size} bytes")

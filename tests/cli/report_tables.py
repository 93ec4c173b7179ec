"""Holds what graft report writes for other programs against the runs it is of.

    report_tables.py csv FILE NAME=RUN [NAME=RUN ...]
    report_tables.py events DIR NAME=RUN [NAME=RUN ...]

Event files are read here by the definition of the format, checksums included; where the package tensorboard can be imported, by that as well.
"""
import csv
import json
import math
import os
import struct
import sys

CASTAGNOLI = 0x82F63B78


def lines_of(run):
    """The whole lines of metrics.jsonl."""
    return [json.loads(line) for line in open(run + "/metrics.jsonl", encoding="utf-8").read().split("\n")[:-1] if line.strip()]


def check_csv(path, runs):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    expected, keys = [], []
    for name, run in runs:
        for line in lines_of(run):
            keys += [key for key in line if key not in keys]
    assert rows[0] == ["run", *keys], rows[0]
    for name, run in runs:
        expected += [(name, line) for line in lines_of(run)]
    assert len(rows) == len(expected) + 1, len(rows)
    for row, (name, line) in zip(rows[1:], expected):
        assert row[0] == name and len(row) == len(keys) + 1, row
        for key, cell in zip(keys, row[1:]):
            value = line.get(key)
            if value is None:
                assert cell == "", (key, cell)
            elif isinstance(value, bool) or isinstance(value, str):
                assert cell == (value if isinstance(value, str) else str(value).lower()), (key, cell, value)
            else:
                assert float(cell) == float(value), (key, cell, value)


def masked_crc(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (CASTAGNOLI if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    """(number, value) of each field of a protobuf message; values of kinds 1, 2 and 5 are bytes."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        assert kind in (0, 1, 2, 5), kind
        if kind == 0:
            value, at = varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(kind)
            if size is None:
                size, at = varint(data, at)
            value, at = data[at:at + size], at + size
            assert len(value) == size
        yield key >> 3, value
    assert at == len(data)


def records(path):
    data, at = open(path, "rb").read(), 0
    while at < len(data):
        length, crc = struct.unpack_from("<QI", data, at)
        assert crc == masked_crc(data[at:at + 8]), f"byte {at}: checksum of a length"
        body = data[at + 12:at + 12 + length]
        assert len(body) == length
        assert struct.unpack_from("<I", data, at + 12 + length)[0] == masked_crc(body), f"byte {at}: checksum of a record"
        yield body
        at += length + 16


def as_float(value):
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def expected_events(run):
    """[(step, {key: number})] of the lines that have numbers."""
    found = []
    for line in lines_of(run):
        numbers = {k: as_float(v) for k, v in line.items() if k != "step" and isinstance(v, (int, float)) and not isinstance(v, bool)}
        if numbers:
            found.append((line["step"], numbers))
    return found


def check_events(folder, runs):
    files = sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)
    assert files == sorted(name + "/events.out.tfevents.graft" for name, _ in runs), files
    for name, run in runs:
        events = [dict(fields(body)) for body in records(os.path.join(folder, name, "events.out.tfevents.graft"))]
        assert events[0][3] == b"brain.Event:2", events[0]
        written = float(int(os.stat(run + "/metrics.jsonl").st_mtime))
        assert all(struct.unpack("<d", event[1])[0] == written for event in events)
        read = []
        for event in events[1:]:
            values = [dict(fields(value)) for number, value in fields(event[5]) if number == 1]
            read.append((event.get(2, 0), {value[1].decode(): struct.unpack("<f", value[2])[0] for value in values}))
        assert read == expected_events(run)
    check_with_tensorboard(folder, runs)


def check_with_tensorboard(folder, runs):
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        print("the package tensorboard is not installed: read by this file alone")
        return
    for name, run in runs:
        accumulator = EventAccumulator(os.path.join(folder, name), size_guidance={"scalars": 0, "tensors": 0})
        accumulator.Reload()
        expected = {}
        for step, numbers in expected_events(run):
            for key, number in numbers.items():
                expected.setdefault(key, []).append((step, number))
        assert set(accumulator.Tags()["scalars"]) == set(expected), accumulator.Tags()
        for key, points in expected.items():
            assert [(point.step, point.value) for point in accumulator.Scalars(key)] == points, key
    print("the package tensorboard read the same")


if __name__ == "__main__":
    {"csv": check_csv, "events": check_events}[sys.argv[1]](sys.argv[2], [tuple(run.split("=", 1)) for run in sys.argv[3:]])

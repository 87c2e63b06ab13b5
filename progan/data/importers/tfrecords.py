"""The official multi-resolution TFRecords -> ImageSource at their largest resolution.

A file NAME-rNN.tfrecords for each level 2^NN holds `Example`s with `shape` [C,H,W] and `data`,
uint8; NAME-rxx.labels, a .npy file, holds the labels of all. TensorFlow is not needed.

Framing: TensorFlow's `tensorflow/core/lib/io/record_writer.h`. All numbers are little-endian. The
checksum is CRC-32C (RFC 3720, appendix B.4), of the package google-crc32c.

Messages: Example {1: Features}, Features {1: entries}, entry {1: name, 2: Feature}, Feature {1:
bytes list, 3: int64 list}, each list {1: values}; `tensorflow/core/example/feature.proto`. The
encoding is https://protobuf.dev/programming-guides/encoding.
"""

import re
import struct
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from progan.data.format import CHANNELS
from progan.data.image_source import (
    ImageSource,
    Sample,
    UnreadableImage,
    hash_file_samples,
    select_rows,
)
from progan.data.importers.label_arrays import Labels, load_label_array
from progan.errors import UserError
from progan.sizes import MAX_LEVEL, MIN_LEVEL

_LENGTH = struct.Struct("<QI")  # bytes of data, and the checksum of these eight bytes
_CRC = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8
_VARINT, _BYTES = 0, 2
_FIXED_SIZES = {1: 8, 5: 4}
_BYTES_LIST, _INT64_LIST = 1, 3
Value = int | memoryview
_FILE_NAME = re.compile(r"(.+)-r(\d\d)\.tfrecords")
_HINT = "Name the folder with the files NAME-rNN.tfrecords, which the official tool wrote."


def require_crc32c() -> None:
    """Raise UserError unless the package google-crc32c is installed."""
    try:
        import google_crc32c  # noqa: F401
    except ImportError as error:
        raise UserError(
            "create-from-tfrecords needs the package google-crc32c: pip install google-crc32c"
        ) from error


def compute_masked_crc32c(data: bytes) -> int:
    """Return the CRC-32C as TFRecord files store it: rotated right by 15 bits, plus a constant."""
    import google_crc32c

    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


class Record(NamedTuple):
    """Position of one record in a file."""

    number: int  # from 0
    start: int  # position of its frame in the file, bytes
    num_bytes: int  # size of its data

    @property
    def end(self) -> int:
        return self.start + _LENGTH.size + self.num_bytes + _CRC.size


def index_records(path: Path) -> list[Record]:
    """Find all records of a file by their lengths; the data is not read.

    Raises:
        UserError: A length has another checksum, or the file ends within a record.
    """
    records: list[Record] = []
    size, start = path.stat().st_size, 0
    with path.open("rb") as file:
        while start < size:
            frame = file.read(_LENGTH.size)
            where = f"{path}: record {len(records)} at byte {start}"
            record = Record(len(records), start, _parse_length(frame, where))
            start = record.end
            if start > size:
                raise UserError(
                    f"{path} ends in record {record.number} at byte {record.start}, "
                    f"{start - size} bytes too early: it was cut short. Copy it again."
                )
            records.append(record)
            file.seek(start)
    return records


def _parse_length(frame: bytes, where: str) -> int:
    """Return the bytes of a record's data from its frame; UserError if cut short or damaged."""
    if len(frame) < _LENGTH.size:
        raise UserError(
            f"{where} has only {len(frame)} bytes left of its {_LENGTH.size} of "
            "length: the file was cut short. Copy it again."
        )
    num_bytes, crc = _LENGTH.unpack(frame)
    if compute_masked_crc32c(frame[:8]) != crc:
        raise UserError(
            f"{where}: the CRC-32C of its length is not the one stored with it. "
            "The file is damaged, or not one of TFRecords. Copy it again."
        )
    return int(num_bytes)


def read_record(path: Path, record: Record) -> bytes:
    """Return the data of one record; raises UnreadableImage if its checksum is another."""
    with path.open("rb") as file:
        file.seek(record.start + _LENGTH.size)
        data, stored = file.read(record.num_bytes), file.read(_CRC.size)
    if len(stored) < _CRC.size or compute_masked_crc32c(data) != _CRC.unpack(stored)[0]:
        raise UnreadableImage(
            describe_record(path, record), "its CRC-32C is not the one stored with it"
        )
    return data


def describe_record(path: Path, record: Record) -> str:
    """Name a record for people: 'faces-r07.tfrecords: record 12 at byte 590124'."""
    return f"{path.name}: record {record.number} at byte {record.start}"


def parse_image_example(example: bytes) -> npt.NDArray[np.uint8]:
    """Return the image of an Example with `shape` [C,H,W] and `data`; ValueError if it has none."""
    features = {}
    for container in _list_fields_of_number(memoryview(example), 1):
        for entry in _list_fields_of_number(container, 1):
            fields = dict(_iterate_fields(entry))
            name, feature = fields.get(1), fields.get(2)
            if isinstance(name, memoryview) and isinstance(feature, memoryview):
                features[str(name, "utf-8")] = feature
    try:
        shape, data = _parse_integers(features["shape"]), _parse_bytes(features["data"])
    except KeyError as error:
        raise ValueError(f"it has no feature {error}") from None
    if len(shape) != 3 or min(shape) < 1 or prod(shape) != len(data):
        raise ValueError(f"its shape {shape} does not fit its {len(data)} bytes")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _parse_bytes(feature: memoryview) -> memoryview:
    """Return the only value of a list of bytes."""
    lists = _list_fields_of_number(feature, _BYTES_LIST)
    values = [value for items in lists for value in _list_fields_of_number(items, 1)]
    if len(values) != 1:
        raise ValueError(f"its data is in {len(values)} pieces")
    return values[0]


def _parse_integers(feature: memoryview) -> tuple[int, ...]:
    """Return all values of a list of int64, packed (one field) or not (a field for each)."""
    values: list[int] = []
    for items in _list_fields_of_number(feature, _INT64_LIST):
        for number, value in _iterate_fields(items):
            if number == 1 and isinstance(value, int):
                values.append(value)
            elif number == 1 and isinstance(value, memoryview):
                start = 0
                while start < len(value):
                    unpacked, start = _read_varint(value, start)
                    values.append(unpacked)
    return tuple(values)


def _list_fields_of_number(message: memoryview, wanted: int) -> list[memoryview]:
    """Return the length-delimited fields with the number `wanted`."""
    fields = _iterate_fields(message)
    return [value for number, value in fields if number == wanted and isinstance(value, memoryview)]


def _iterate_fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield number and value of each field; ValueError if the message is broken."""
    start = 0
    while start < len(message):
        key, start = _read_varint(message, start)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, start = _read_varint(message, start)
            yield number, value
            continue
        if kind == _BYTES:
            size, start = _read_varint(message, start)
        elif kind in _FIXED_SIZES:
            size = _FIXED_SIZES[kind]
        else:
            raise ValueError(f"field {number} has the unknown type {kind}")
        if start + size > len(message):
            raise ValueError("a field is longer than its message")
        yield number, message[start : start + size]
        start += size


def _read_varint(data: memoryview, start: int) -> tuple[int, int]:
    """Decode the number that begins at `start`, 7 bits a byte; return it and its end."""
    value = 0
    for index in range(start, min(start + 10, len(data))):
        value |= (data[index] & 127) << 7 * (index - start)
        if data[index] < 128:
            return value, index + 1
    raise ValueError("a number has no end")


def import_tfrecords(
    source: Path, *, max_images: int | None = None, seed: int | None = None
) -> ImageSource:
    """Read the records of the largest level in `source`; raises UserError for wrong files."""
    require_crc32c()
    path, name, level = _find_largest_file(source)
    if not MIN_LEVEL <= level <= MAX_LEVEL:
        raise UserError(
            f"{path} is of the level {level}, which is none from {MIN_LEVEL} to "
            f"{MAX_LEVEL}. {_HINT}"
        )
    records = index_records(path)
    if not records:
        raise UserError(f"{path} is empty. Copy it again.")
    labels, labels_file = Labels(None, ()), source / f"{name}-rxx.labels"
    if labels_file.is_file():
        labels = load_label_array(labels_file, len(records))
    channels = _read_channels(path, records, 2**level)
    rows = select_rows(len(records), max_images, seed)
    shape = channels, 2**level, 2**level

    def read(row: int) -> Sample:
        record = records[rows[row]]
        image = _read_image(path, record)
        if image.shape != shape:
            raise UnreadableImage(
                describe_record(path, record),
                f"its shape is {image.shape}, not {shape} as that of the others",
            )
        return Sample(image.transpose(1, 2, 0))

    return ImageSource(
        description=f"TFRecords, {path.resolve()}",
        resolution=2**level,
        channels=channels,
        count=len(rows),
        read=read,
        identity=hash_file_samples(path),
        labels=None if labels.labels is None else labels.labels[rows],
        label_names=labels.names,
    )


def _read_image(path: Path, record: Record) -> npt.NDArray[np.uint8]:
    """Read the image [C,H,W] of a record; raises UnreadableImage."""
    data = read_record(path, record)
    try:
        return parse_image_example(data)
    except ValueError as error:
        raise UnreadableImage(
            describe_record(path, record), f"it holds no image: {error}"
        ) from error


def _read_channels(path: Path, records: Sequence[Record], resolution: int) -> int:
    """Return the channels of the first readable image.

    Raises UserError unless it fits the name of the file, or the error of the first image if none
    is readable.
    """
    faults = []
    for first in records:
        try:
            channels, height, width = map(int, _read_image(path, first).shape)
            break
        except UnreadableImage as error:
            faults.append(error)
    else:
        raise faults[0]
    if (height, width) != (resolution, resolution) or channels not in CHANNELS:
        raise UserError(
            f"{describe_record(path, first)} has the shape [{channels}, {height}, {width}]; by "
            f"the name of the file it should be {resolution}x{resolution}, with 1, 3 "
            "or 4 channels in front. Give the file its own name back, or copy it again."
        )
    return channels


def _find_largest_file(source: Path) -> tuple[Path, str, int]:
    """Return the file of the highest level, the name of its dataset, and the level."""
    if not source.is_dir():
        raise UserError(f"--source {source} is not a folder. {_HINT}")
    found = [
        (int(match[2]), match[1], path)
        for path in source.iterdir()
        if (match := _FILE_NAME.fullmatch(path.name))
    ]
    if not found:
        raise UserError(f"No files NAME-rNN.tfrecords in --source {source}. {_HINT}")
    names = sorted({name for _, name, _ in found})
    if len(names) > 1:
        raise UserError(
            f"--source {source} holds several datasets: {', '.join(names)}. Move each "
            "into a folder of its own."
        )
    level, name, path = max(found)
    return path, name, level

"""The few fields of TensorFlow's `Example` messages that images need, parsed by hand.

Example {1: Features}, Features {1: entries}, entry {1: name, 2: Feature}, Feature {1: bytes list,
3: int64 list}, each list {1: values}; `tensorflow/core/example/feature.proto`. The encoding is
https://protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator
from math import prod

import numpy as np
import numpy.typing as npt

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}
_BYTES_LIST, _INT64_LIST = 1, 3
Value = int | memoryview


def image_of(example: bytes) -> npt.NDArray[np.uint8]:
    """Return the image of an Example with `shape` [C,H,W] and `data`; ValueError if it has none."""
    features = _features(memoryview(example))
    try:
        shape, data = _integers(features["shape"]), _bytes(features["data"])
    except KeyError as error:
        raise ValueError(f"it has no feature {error}") from None
    if len(shape) != 3 or min(shape) < 1 or prod(shape) != len(data):
        raise ValueError(f"its shape {shape} does not fit its {len(data)} bytes")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _features(example: memoryview) -> dict[str, memoryview]:
    features = {}
    for container in _messages(example, 1):
        for entry in _messages(container, 1):
            fields = dict(_fields(entry))
            name, feature = fields.get(1), fields.get(2)
            if isinstance(name, memoryview) and isinstance(feature, memoryview):
                features[str(name, "utf-8")] = feature
    return features


def _bytes(feature: memoryview) -> memoryview:
    """The only value of a list of bytes."""
    values = [value for items in _messages(feature, _BYTES_LIST) for value in _messages(items, 1)]
    if len(values) != 1:
        raise ValueError(f"its data is in {len(values)} pieces")
    return values[0]


def _integers(feature: memoryview) -> tuple[int, ...]:
    """All values of a list of int64, packed (one field with all) or not (a field for each)."""
    values: list[int] = []
    for items in _messages(feature, _INT64_LIST):
        for number, value in _fields(items):
            if number == 1:
                values += [value] if isinstance(value, int) else _packed(value)
    return tuple(values)


def _packed(data: memoryview) -> list[int]:
    values, start = [], 0
    while start < len(data):
        value, start = _varint(data, start)
        values.append(value)
    return values


def _messages(message: memoryview, wanted: int) -> list[memoryview]:
    """The length-delimited fields of a number."""
    return [value for number, value in _fields(message)
            if number == wanted and isinstance(value, memoryview)]


def _fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield number and value of each field; ValueError if the message is broken."""
    start = 0
    while start < len(message):
        key, start = _varint(message, start)
        number, kind = key >> 3, key & 7
        value: Value
        if kind == _VARINT:
            value, start = _varint(message, start)
        elif kind == _BYTES or kind in _FIXED_SIZES:
            size = _FIXED_SIZES.get(kind, 0)
            if kind == _BYTES:
                size, start = _varint(message, start)
            if start + size > len(message):
                raise ValueError("a field is longer than its message")
            value, start = message[start:start + size], start + size
        else:
            raise ValueError(f"field {number} has the unknown type {kind}")
        yield number, value


def _varint(data: memoryview, start: int) -> tuple[int, int]:
    """The number that begins at `start`, 7 bits a byte, and where the next thing begins."""
    value = 0
    for index in range(start, min(start + 10, len(data))):
        value |= (data[index] & 127) << 7 * (index - start)
        if data[index] < 128:
            return value, index + 1
    raise ValueError("a number has no end")

"""The framing of TFRecord files: length, its checksum, data, its checksum.

Source: TensorFlow's `tensorflow/core/lib/io/record_writer.h`. All numbers are little-endian. The
checksum is CRC-32C (RFC 3720, appendix B.4), of the package google-crc32c.
"""

import struct
from pathlib import Path
from typing import NamedTuple

from progan.data.source import UnreadableImage
from progan.errors import UserError

_LENGTH = struct.Struct("<QI")  # bytes of data, and the checksum of these eight bytes
_CRC = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8


def require_crc32c() -> None:
    """Raise UserError if the package google-crc32c is missing."""
    try:
        import google_crc32c  # noqa: F401
    except ImportError as error:
        raise UserError("create-from-tfrecords needs the package google-crc32c: "
                        "pip install google-crc32c") from error


def masked_crc32c(data: bytes) -> int:
    """CRC-32C as TFRecord files store it: rotated right by 15 bits, plus a constant."""
    import google_crc32c

    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


class Record(NamedTuple):
    """Where one record is."""

    number: int  # from 0
    start: int  # of its frame in the file, in bytes
    num_bytes: int  # of its data


def index_records(path: Path) -> list[Record]:
    """Find all records of a file by their lengths; the data is not read.

    Raises:
        UserError: A length has another checksum, or the file ends within a record.
    """
    records: list[Record] = []
    size, start = path.stat().st_size, 0
    with path.open("rb") as file:
        while start < size:
            record = _record_at(file.read(_LENGTH.size), f"{path}: record {len(records)} at byte "
                                f"{start}", len(records), start)
            start = _end(record)
            if start > size:
                raise UserError(f"{path} ends in record {record.number} at byte {record.start}, "
                                f"{start - size} bytes too early: it was cut short. Copy it again.")
            records.append(record)
            file.seek(start)
    return records


def read_record(path: Path, record: Record) -> bytes:
    """Return the data of one record; raises UnreadableImage if its checksum is another."""
    with path.open("rb") as file:
        file.seek(record.start + _LENGTH.size)
        data, stored = file.read(record.num_bytes), file.read(_CRC.size)
    if len(stored) < _CRC.size or masked_crc32c(data) != _CRC.unpack(stored)[0]:
        raise UnreadableImage(place(path, record), "its CRC-32C is not the one stored with it")
    return data


def place(path: Path, record: Record) -> str:
    """Name a record for people: 'faces-r07.tfrecords: record 12 at byte 590124'."""
    return f"{path.name}: record {record.number} at byte {record.start}"


def framed(data: bytes) -> bytes:
    """One record as it stands in a file."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, _CRC.pack(masked_crc32c(length)), data,
                     _CRC.pack(masked_crc32c(data))))


def _record_at(frame: bytes, where: str, number: int, start: int) -> Record:
    if len(frame) < _LENGTH.size:
        raise UserError(f"{where} has only {len(frame)} bytes left of its {_LENGTH.size} of "
                        "length: the file was cut short. Copy it again.")
    num_bytes, crc = _LENGTH.unpack(frame)
    if masked_crc32c(frame[:8]) != crc:
        raise UserError(f"{where}: the CRC-32C of its length is not the one stored with it. "
                        "The file is damaged, or not one of TFRecords. Copy it again.")
    return Record(number, start, num_bytes)


def _end(record: Record) -> int:
    return record.start + _LENGTH.size + record.num_bytes + _CRC.size

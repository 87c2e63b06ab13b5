"""The framing of TFRecord files, whole and damaged."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progan.data.importers.records import framed, index_records, masked_crc32c, read_record
from progan.data.source import UnreadableImage
from progan.errors import UserError

pytest.importorskip("google_crc32c")

CONTENT = [b"one", b"", b"three" * 100]


def test_the_masked_checksum_of_tfrecord_files() -> None:
    # The first record of a file of one 4x4 RGB image: its length is 82, and this follows.
    assert masked_crc32c(b"\x52" + bytes(7)) == int.from_bytes(b"\x25\xeb\x07\xb7", "little")
    # CRC-32C of b"123456789" is 0xE3069283 (RFC 3720), of b"" 0.
    assert masked_crc32c(b"") == 0xA282EAD8
    rotated = (0xE3069283 >> 15 | 0xE3069283 << 17) & 0xFFFFFFFF
    assert masked_crc32c(b"123456789") == (rotated + 0xA282EAD8) & 0xFFFFFFFF


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records") / "a.tfrecords"


@given(contents=st.lists(st.binary(max_size=400), max_size=5))
def test_what_is_framed_is_read_back(path: Path, contents: list[bytes]) -> None:
    path.write_bytes(b"".join(map(framed, contents)))
    records = index_records(path)
    assert [read_record(path, record) for record in records] == contents
    assert [record.number for record in records] == list(range(len(contents)))


@pytest.mark.parametrize(("cut", "message"), [
    (1, "ends in record 2 at byte 35, 1 bytes too early: it was cut short"),
    (516, "ends in record 2 at byte 35, .*too early"),
    (510, "ends in record 2 at byte 35, .*too early"),
])
def test_a_file_that_was_cut_short(path: Path, cut: int, message: str) -> None:
    whole = b"".join(map(framed, CONTENT))
    cut = min(cut, len(framed(CONTENT[2])) - 12)
    path.write_bytes(whole[:-cut])
    with pytest.raises(UserError, match=message):
        index_records(path)


@pytest.mark.parametrize("left", [1, 11])
def test_a_file_cut_within_a_length(path: Path, left: int) -> None:
    path.write_bytes(framed(b"one") + framed(b"two")[:left])
    with pytest.raises(UserError, match=rf"record 1 at byte 19 has only {left} bytes left"):
        index_records(path)


def test_a_damaged_length(path: Path) -> None:
    data = bytearray(b"".join(map(framed, CONTENT)))
    data[20] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="record 1 at byte 19: the CRC-32C of its length"):
        index_records(path)


def test_damaged_data_is_named_with_its_place(path: Path) -> None:
    data = bytearray(b"".join(map(framed, CONTENT)))
    data[-5] ^= 128
    path.write_bytes(data)
    first, _, last = index_records(path)
    assert read_record(path, first) == b"one"
    with pytest.raises(UnreadableImage, match="a.tfrecords: record 2 at byte 35: its CRC-32C"):
        read_record(path, last)

"""CRC-32C against the vectors of RFC 3720, appendix B.4, and against one bit after another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progan.data.importers.crc32c import crc32c, masked_crc32c


def bit_by_bit(data: bytes) -> int:
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


@pytest.mark.parametrize(("data", "crc"), [
    (b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E), (bytes(range(31, -1, -1)), 0x113FDB5C)])
def test_known_vectors(data: bytes, crc: int) -> None:
    assert crc32c(data) == crc


@given(seed=st.binary(min_size=1, max_size=300), repeats=st.integers(1, 40))
def test_many_bytes_side_by_side_are_one_after_another(seed: bytes, repeats: int) -> None:
    data = b"".join(seed + bytes([turn]) for turn in range(repeats))
    assert crc32c(data) == bit_by_bit(data)


@pytest.mark.parametrize("size", [255, 256, 257, 258, 259, 260, 1023, 4096, 4099, 65537])
def test_sizes_at_the_edges(size: int) -> None:
    data = bytes(index * 37 % 251 for index in range(size))
    assert crc32c(data) == crc32c(memoryview(data)) == bit_by_bit(data)


@given(data=st.binary(min_size=1, max_size=600), place=st.integers(0, 4799))
def test_every_flipped_bit_is_noticed(data: bytes, place: int) -> None:
    damaged = bytearray(data)
    damaged[place // 8 % len(data)] ^= 1 << place % 8
    assert crc32c(bytes(damaged)) != crc32c(data)


def test_the_mask_of_tfrecord_files() -> None:
    # The first record of a file of one 4x4 RGB image: its length is 82, and this follows.
    assert masked_crc32c(b"\x52" + bytes(7)) == int.from_bytes(b"\x25\xeb\x07\xb7", "little")

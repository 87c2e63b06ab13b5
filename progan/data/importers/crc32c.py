"""CRC-32C (Castagnoli; RFC 3720, appendix B.4), the checksum of TFRecord files.

A checksum of one byte after another would take a second for a picture of 1024x1024. It is linear
over GF(2), so that many stretches can be summed side by side with NumPy, and joined in the end.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]

_POLYNOMIAL = 0x82F63B78  # with the lowest power in the highest bit
_ONES = 0xFFFFFFFF
_FEW_BYTES = 256  # below that, NumPy's calls cost more than they save
_MASK_DELTA = 0xA282EAD8


def crc32c(data: bytes | memoryview) -> int:
    """Return the CRC-32C of `data`, 0 … 2^32 - 1."""
    head, body = data[:_FEW_BYTES], data[_FEW_BYTES:]
    state = _after(_ONES, head)
    if len(body):
        state = _apply(_zeros_operator(len(body)), state) ^ _from_zero(body)
    return state ^ _ONES


def masked_crc32c(data: bytes | memoryview) -> int:
    """CRC-32C as TFRecord files store it: turned right by 15 bits and shifted by a constant."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & _ONES


def _after(state: int, data: bytes | memoryview) -> int:
    """The register after some bytes, one by one."""
    table = _byte_table()
    for byte in data:
        state = table[(state ^ byte) & 255] ^ state >> 8
    return state


def _from_zero(data: bytes | memoryview) -> int:
    """The register after many bytes if it was 0 before, which zeros in front do not change."""
    num_words = -(-len(data) // 4)
    lanes = 1 << (num_words.bit_length() + 1) // 2
    steps = -(-num_words // lanes)
    padded = np.zeros(4 * lanes * steps, np.uint8)
    padded[padded.size - len(data):] = np.frombuffer(data, np.uint8)
    words = np.ascontiguousarray(padded.view("<u4").reshape(lanes, steps).T)  # [steps, lanes]
    low, high = _word_tables()
    states = np.zeros(lanes, np.uint32)
    for column in words:
        states ^= column
        states = low.take(states & 0xFFFF) ^ high.take(states >> 16)
    length = 4 * steps
    while states.size > 1:  # crc(a + b) = zeros_operator(len(b)) crc(a) ^ crc(b)
        states = _applied(_zeros_operator(length), states[0::2]) ^ states[1::2]
        length *= 2
    return int(states[0])


@cache
def _byte_table() -> tuple[int, ...]:
    """What the register becomes when a byte is pushed out of it, [256]."""
    table = []
    for state in range(256):
        for _ in range(8):
            state = state >> 1 ^ _POLYNOMIAL * (state & 1)
        table.append(state)
    return tuple(table)


@cache
def _word_tables() -> tuple[Words, Words]:
    """What the lower and the higher half of the register become after four zeros, [65536] each."""
    operator, halves = _zeros_operator(4), np.arange(1 << 16, dtype=np.uint32)
    return _applied(operator, halves), _applied(operator, halves << np.uint32(16))


Operator = tuple[int, ...]  # what each of the 32 bits of the register becomes; linear over GF(2)


@cache
def _zeros_operator(num_bytes: int) -> Operator:
    """What `num_bytes` zeros do to the register."""
    if num_bytes == 0:
        return tuple(1 << bit for bit in range(32))
    if num_bytes % 2:
        before = _zeros_operator(num_bytes - 1)
        return tuple(_after(state, b"\0") for state in before)
    half = _zeros_operator(num_bytes // 2)
    return tuple(_apply(half, state) for state in half)


def _apply(operator: Operator, state: int) -> int:
    result = 0
    for bit, image in enumerate(operator):
        result ^= image * (state >> bit & 1)
    return result


def _applied(operator: Operator, states: Words) -> Words:
    """The operator at many registers, byte by byte of them: uint32 [n] -> [n]."""
    tables = _operator_tables(operator)
    result: Words = tables[0][states & 255]
    for index in range(1, 4):
        result ^= tables[index][states >> 8 * index & 255]
    return result


@cache
def _operator_tables(operator: Operator) -> Words:
    """What the operator makes of each value of each of the four bytes, [4,256]."""
    tables = np.zeros((4, 256), np.uint32)
    values = np.arange(256, dtype=np.uint32)
    for bit, image in enumerate(operator):
        tables[bit // 8] ^= (values >> bit % 8 & 1) * np.uint32(image)
    return tables

"""Deltas: opened, added, unwrapped."""

import bz2
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from progan.data.celebahq.deltas import (
    BadDelta,
    WrongJpeg,
    apply_delta,
    decrypt_delta,
    hash_planes_md5,
    require_cryptography,
)
from progan.errors import UserError
from tests.reference.delta_files import delta_file, md5, sealed

JPEG, NAME, SIDE = b"the bytes of a JPEG", "000123.jpg", 48
RANDOM = np.random.RandomState(0)


def photograph() -> np.ndarray:
    """A picture with smooth parts, black ones and white ones, uint8 [48,48,3]."""
    y, x = np.mgrid[:SIDE, :SIDE]
    waves = [300 * np.sin(x / 9) * np.cos(y / 7 + colour) + 128 for colour in range(3)]
    return np.clip(np.round(np.stack(waves, axis=-1)), 0, 255).astype(np.uint8)


FINAL = photograph()
MADE = np.clip(FINAL.astype(int) + np.round(RANDOM.randn(SIDE, SIDE, 3) * 12), 0, 255).astype(
    np.uint8
)
DELTA = (FINAL.transpose(2, 0, 1) - MADE.transpose(2, 0, 1)).astype(np.uint8)


def test_the_picture_has_black_and_white_parts() -> None:
    assert (FINAL == 0).mean() > 0.02
    assert (FINAL == 255).mean() > 0.02


def test_a_delta_opens_with_its_jpeg() -> None:
    pytest.importorskip("cryptography")
    token = delta_file(MADE, FINAL, JPEG, NAME)
    delta = decrypt_delta(token, JPEG, NAME, SIDE)
    np.testing.assert_array_equal(delta, DELTA)
    result = apply_delta(MADE, delta, md5(MADE), md5(FINAL))
    assert result.status == "exact"
    np.testing.assert_array_equal(result.image, FINAL)


@pytest.mark.parametrize(("jpeg", "name"), [(JPEG + b"!", NAME), (JPEG, "000124.jpg")])
def test_another_jpeg_does_not_open_it(jpeg: bytes, name: str) -> None:
    pytest.importorskip("cryptography")
    with pytest.raises(WrongJpeg, match="not the original JPEG"):
        decrypt_delta(delta_file(MADE, FINAL, JPEG, NAME), jpeg, name, SIDE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no bzip", "cannot be unpacked"),
        (bz2.compress(b"abc"), "3 bytes instead of 6912"),
        (bz2.compress(bytes(6912))[:-4], "cannot be unpacked"),
    ],
)
def test_spoilt_deltas(content: bytes, message: str) -> None:
    pytest.importorskip("cryptography")
    with pytest.raises(BadDelta, match=message):
        decrypt_delta(sealed(content, JPEG, NAME), JPEG, NAME, SIDE)


def test_a_delta_that_leads_elsewhere() -> None:
    with pytest.raises(BadDelta, match="another image than its list says"):
        apply_delta(MADE, DELTA, md5(MADE), md5(FINAL[::-1]))


def test_digests_are_of_colour_planes() -> None:
    assert hash_planes_md5(FINAL) == md5(FINAL)


@pytest.mark.parametrize("largest", [1, 2, 6])
def test_another_decoder_spoils_no_more_than_its_own_error(largest: int) -> None:
    errors = RANDOM.randint(-largest, largest + 1, MADE.shape)
    seen = np.clip(MADE + errors, 0, 255).astype(np.uint8)
    wrapped = (seen + DELTA.transpose(1, 2, 0)).astype(int)
    assert np.abs(wrapped - FINAL).max() > 245  # so it would be without unwrapping
    result = apply_delta(seen, DELTA, md5(MADE), md5(FINAL))
    assert result.status == "approximate"
    difference = np.abs(result.image.astype(int) - FINAL)
    assert difference.max() <= largest
    assert (difference <= np.abs(seen.astype(int) - MADE)).all()
    assert result.num_unwrapped == (np.abs(wrapped - FINAL) > 128).sum()
    assert 1 <= result.least_error[1] <= result.least_error[0] <= largest


@given(st.integers(0, 255), st.integers(0, 255), st.integers(-8, 8))
def test_unwrapping_never_adds_to_the_error(final: int, made: int, error: int) -> None:
    seen = min(max(made + error, 0), 255)
    if abs(final - made) >= 128 - abs(seen - made) or seen == made:
        return
    images = [np.full((1, 1, 3), value, np.uint8) for value in (seen, made, final)]
    delta = np.full((3, 1, 1), (final - made) % 256, np.uint8)
    result = apply_delta(images[0], delta, md5(images[1]), md5(images[2]))
    assert np.abs(result.image.astype(int) - final).max() <= abs(seen - made)


def test_a_true_jump_is_told_from_a_wrap_by_its_neighbours() -> None:
    final = np.full((9, 9, 3), 3, np.uint8)  # a white thing that was made black
    made = np.full((9, 9, 3), 100, np.uint8)
    made[4, 4] = 250
    delta = (final - made).transpose(2, 0, 1)
    seen = made + np.uint8(1)  # 251 + (3 - 250) mod 256 = 260: is it 255, or 4?
    image = apply_delta(seen, delta, md5(made), md5(final)).image
    assert (image == 4).all()


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.fernet", None)
    with pytest.raises(UserError, match="pip install cryptography"):
        require_cryptography()

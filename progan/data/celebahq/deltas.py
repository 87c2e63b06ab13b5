"""The published differences that turn a face cut out of CelebA into one of CelebA-HQ.

A delta file is a Fernet token. Its key is derived from the original JPEG, so that only who has
CelebA can read it:

    key   = base64(PBKDF2-HMAC-SHA256(password = bytes of the JPEG, salt = name, 100,000 rounds))
    delta = bunzip2(decrypt(key, token))            uint8 [3,1024,1024]
    final = (made + delta) mod 256                  made: the face cut out of the same JPEG

No decoder takes part in the key: a token that does not open has been met by another file than the
original JPEG. What the decoder of the JPEG does change is `made`. With an error e of a few levels
in it, final inherits e, and where it is near black or white, it wraps around from 0 to 255 or back.

Unwrapping. Let s be the delta read as a signed number, -128…127, and t = made + s. Where
final - (made - e) = s, that is where the true change is less than 128 levels, t = final + e, and

    0 <= t <= 255:  the sum modulo 256 is t; its error is e;
    otherwise:      it has wrapped, and clip(t, 0, 255) is at most |e| off, since final is in range.

The other reason for t to be out of range is a true change of 128 levels or more, which no wrapping
has spoilt. The neighbours decide: of clip(t) and t mod 256, which are far apart, the
one closer to the median of the neighbours in range (5x5, same colour) is taken; without such
neighbours, the clipped one.
"""

import base64
import bz2
import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from progan.errors import UserError

Pixels = npt.NDArray[np.uint8]

DELTA_SIDE = 1024  # px
ROUNDS = 100_000
_REACH = 2  # px: 5x5 neighbours


class WrongJpeg(ValueError):
    """The JPEG is not the file that the delta was made for."""


class BadDelta(ValueError):
    """The delta opened, but does not hold what it should."""


@dataclass(frozen=True, slots=True)
class DeltaResult:
    """A face of CelebA-HQ and its exactness."""

    image: Pixels  # uint8 [H,W,3]
    # 'exact' if its MD5 is the published one, 'approximate' if the JPEG was decoded differently.
    status: Literal["exact", "approximate"]
    num_unwrapped: int = 0  # number of colour values that had wrapped around
    # Lower bounds of the largest and of the mean error at these values, in grey levels: the
    # distance of t from its range. The errors of all others are unknown.
    least_error: tuple[int, float] = (0, 0.0)


def require_cryptography() -> None:
    """Raise UserError unless the package cryptography is installed."""
    try:
        import cryptography.fernet  # noqa: F401
    except ImportError as error:
        raise UserError(
            "--deltas needs the package cryptography. Install it: pip install cryptography."
        ) from error


def derive_fernet_key(jpeg: bytes, name: str) -> bytes:
    """Derive the key of a delta from the original JPEG; `name` as in 000001.jpg."""
    derived = hashlib.pbkdf2_hmac("sha256", jpeg, name.encode("ascii"), ROUNDS, dklen=32)
    return base64.urlsafe_b64encode(derived)


def decrypt_delta(token: bytes, jpeg: bytes, name: str, side: int = DELTA_SIDE) -> Pixels:
    """Decrypt and unpack a delta: -> uint8 [3,side,side]; raises WrongJpeg or BadDelta."""
    from cryptography.fernet import Fernet, InvalidToken

    try:
        packed = Fernet(derive_fernet_key(jpeg, name)).decrypt(token)
    except InvalidToken:
        raise WrongJpeg(
            "the delta does not open: this is not the original JPEG of CelebA, or the "
            "delta file is damaged"
        ) from None
    try:
        content = bz2.decompress(packed)
    except (OSError, ValueError) as error:
        raise BadDelta(f"the delta cannot be unpacked ({error})") from error
    if len(content) != 3 * side * side:
        raise BadDelta(f"the delta has {len(content)} bytes instead of {3 * side * side}")
    return np.frombuffer(content, dtype=np.uint8).reshape(3, side, side)


def hash_planes_md5(image: Pixels) -> str:
    """Compute the MD5 of the colour planes of an image, uint8 [H,W,3], as in the published list."""
    planes = np.ascontiguousarray(image.transpose(2, 0, 1))
    return hashlib.md5(planes.tobytes(), usedforsecurity=False).hexdigest()


def apply_delta(made: Pixels, delta: Pixels, proc_md5: str, final_md5: str) -> DeltaResult:
    """Add a delta to the face that was made, and unwrap it if it is not exact (see above).

    Args:
        made: uint8 [H,W,3].
        delta: uint8 [3,H,W].
        proc_md5, final_md5: The published ones (`proc_md5`, `final_md5`).

    Raises:
        BadDelta: `made` is the published one, but the sum is not.
    """
    final = made + delta.transpose(1, 2, 0)  # modulo 256
    if hash_planes_md5(final) == final_md5:
        return DeltaResult(final, "exact")
    if hash_planes_md5(made) == proc_md5:
        raise BadDelta("the delta leads to another image than its list says")
    signed = made.astype(np.int16) + delta.view(np.int8).transpose(1, 2, 0)
    outside = np.maximum(-signed, signed - 255)
    wrapped = _find_wrapped(signed, final, outside)
    errors = outside[wrapped]
    largest, mean = (int(errors.max()), float(errors.mean())) if errors.size else (0, 0.0)
    final[wrapped] = np.clip(signed[wrapped], 0, 255)
    return DeltaResult(final, "approximate", int(wrapped.sum()), (largest, round(mean, 3)))


def _find_wrapped(
    signed: npt.NDArray[np.int16], final: Pixels, outside: npt.NDArray[np.int16]
) -> npt.NDArray[np.bool_]:
    """Find the values where clip(t) replaces t mod 256, bool [H,W,3]."""
    rows, columns, colours = doubtful = np.nonzero(outside > 0)
    known = np.where(outside > 0, np.nan, signed).astype(np.float32)
    known = np.pad(known, ((_REACH, _REACH), (_REACH, _REACH), (0, 0)), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(
        known, (2 * _REACH + 1, 2 * _REACH + 1), axis=(0, 1)
    )
    around = np.sort(windows[rows, columns, colours].reshape(len(rows), (2 * _REACH + 1) ** 2))
    num_known = np.count_nonzero(~np.isnan(around), axis=1)  # NaN comes last
    middle = around[np.arange(len(rows)), np.maximum(num_known - 1, 0) // 2]
    clipped = np.clip(signed[doubtful], 0, 255).astype(np.float32)
    expected = np.where(num_known > 0, middle, clipped)
    closer = np.abs(clipped - expected) <= np.abs(final[doubtful] - expected)
    wrapped = np.zeros(final.shape, dtype=np.bool_)
    wrapped[rows[closer], columns[closer], colours[closer]] = True
    return wrapped

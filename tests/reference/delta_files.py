"""Deltas of CelebA-HQ as they were made: the way there, for the way back to be tested by."""

import base64
import bz2
import hashlib

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def sealed(content: bytes, jpeg: bytes, name: str) -> bytes:
    """A Fernet token under the key that a JPEG and its name give; by `cryptography` alone."""
    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

    derivation = PBKDF2HMAC(algorithm=SHA256(), length=32, salt=name.encode(), iterations=100000)
    return Fernet(base64.urlsafe_b64encode(derivation.derive(jpeg))).encrypt(content)


def delta_file(made: Pixels, final: Pixels, jpeg: bytes, name: str) -> bytes:
    """A delta from one image, uint8 [H,W,3], to another."""
    difference = (final.astype(int) - made.astype(int)) % 256
    planes = np.stack([difference[..., colour] for colour in range(3)]).astype(np.uint8)
    return sealed(bz2.compress(planes.tobytes()), jpeg, name)


def md5(image: Pixels) -> str:
    return hashlib.md5(b"".join(image[..., colour].tobytes() for colour in range(3))).hexdigest()

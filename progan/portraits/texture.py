"""Seeded texture: a lattice for smooth noise, and film grain that agrees across resolutions."""

import numpy as np

from progan.portraits.chance import octets
from progan.portraits.shapes import Array

LATTICE_SIDE = 64
COARSEST_GRAIN = 64  # pixels per side of the first level of the grain
FINEST_GRAIN = 1024  # and of the last


def lattice(texture: int) -> Array:
    """Noise [64, 64] in -1..1 for `value_noise`."""
    return _centred(texture, 0, (LATTICE_SIDE, LATTICE_SIDE))


def grain(texture: int, resolution: int) -> Array:
    """Film grain [R, R], of the order of 1, for R a power of two from 64; finer is stronger.

    A Haar pyramid: each level adds detail whose 2x2 averages are zero, so the grain at half the
    resolution is exactly the average of this one.
    """
    field = _centred(texture, 1, (COARSEST_GRAIN, COARSEST_GRAIN)) * np.float32(0.25)
    stream = 2
    while field.shape[0] < resolution:
        field = _refined(field, _centred(texture, stream, (3, *field.shape)))
        stream += 1
    return field


def _refined(field: Array, detail: Array) -> Array:
    """Twice the resolution: `detail` [3, n, n] holds the Haar coefficients of `field` [n, n]."""
    side = field.shape[0]
    strength = 0.1 + 0.4 * (2 * side / FINEST_GRAIN)  # coarse grain would look like cloth
    across, down, diagonal = detail * np.float32(strength)
    finer = np.empty((side, 2, side, 2), dtype=np.float32)
    finer[:, 0, :, 0] = field + across + down + diagonal
    finer[:, 0, :, 1] = field - across + down - diagonal
    finer[:, 1, :, 0] = field + across - down - diagonal
    finer[:, 1, :, 1] = field - across - down + diagonal
    return finer.reshape(2 * side, 2 * side)


def _centred(texture: int, stream: int, shape: tuple[int, ...]) -> Array:
    """Uniform noise in -1..1 from the named stream."""
    raw = octets((texture, stream), int(np.prod(shape))).reshape(shape)
    return raw.astype(np.float32) * np.float32(1 / 127.5) - np.float32(1)

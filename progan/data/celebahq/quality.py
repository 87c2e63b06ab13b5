"""How good a picture looks, from its power spectrum (appendix C of the paper).

The paper prefers "images whose power spectrum contains a broad range of frequencies and is
approximately radially symmetric", which takes out blurred images and those with directions of
their own, such as halftone patterns. It gives no formula; this one says the same. Let E(r, a) be
the mean power of the luminance, under a Hann window, in ring r (half octaves from 4 cycles per
picture to the Nyquist frequency) and sector a (eight of the half circle), and f(r) the ring's
middle frequency. Sharp photographs have about the same energy in each octave, E ~ f^-2; so

    p(r)     = f(r)^2 E(r) / sum of it over all rings,          E(r) = mean over a of E(r, a)
    breadth  = exp(-sum over r of p(r) log p(r)) / rings        1: all frequencies alike
    symmetry = sum over r of p(r) exp(mean over a of log E(r, a)) / E(r)    1: the same all around
    quality  = breadth * symmetry                               in (0, 1]

Blur leaves the high rings empty, and mere noise has nearly all in the highest; both narrow p. A
pattern lifts single sectors, and their geometric mean falls behind the arithmetic one.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

MIN_SIDE = 32  # px: below, there are too few rings
_LOWEST = 4.0  # cycles per picture
_SECTORS = 8
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
_INVISIBLE = 1.0  # grey levels squared: variance of white noise that counts as nothing


def spectral_quality(image: npt.NDArray[np.uint8]) -> float:
    """Quality of an image, uint8 [S,S,3] with S at least 32; 0 for a single colour."""
    side = len(image)
    luminance = image.astype(np.float32) @ _LUMA
    hann = np.hanning(side).astype(np.float32)
    mean_square = float((hann**2).mean()) ** 2
    windowed = (luminance - luminance.mean()) * hann[:, None] * hann
    power = np.abs(np.fft.rfft2(windowed)) ** 2 / (side**2 * mean_square)
    cells, frequencies = _cells(side)
    rings = len(frequencies)
    counts = np.bincount(cells.ravel(), minlength=rings * _SECTORS + 1)[:-1]
    sums = np.bincount(cells.ravel(), power.ravel(), minlength=rings * _SECTORS + 1)[:-1]
    energy = (sums / counts).reshape(rings, _SECTORS)
    if energy.max() <= _INVISIBLE:
        return 0.0
    energy = np.maximum(energy, _INVISIBLE)
    whitened = frequencies**2 * (energy.mean(axis=1) - _INVISIBLE)
    share = whitened / whitened.sum()
    breadth = np.exp(-np.sum(share * np.log(np.maximum(share, 1e-12)))) / rings
    symmetry = np.sum(share * np.exp(np.log(energy).mean(axis=1)) / energy.mean(axis=1))
    return float(breadth * symmetry)


@lru_cache(maxsize=2)
def _cells(side: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Ring and sector of each value of rfft2, and the rings' frequencies in cycles per picture.

    Returns:
        Ring * 8 + sector, rings * 8 for what is in no ring, int64 [side, side//2+1]; and float64
        [rings].
    """
    rings = int(2 * np.log2(side / 2 / _LOWEST))
    down = np.fft.fftfreq(side, 1 / side)[:, None]
    right = np.fft.rfftfreq(side, 1 / side)
    radius = np.hypot(down, right)
    ring = np.floor(2 * np.log2(np.maximum(radius, 1e-9) / _LOWEST)).astype(np.int64)
    angle = np.arctan2(down, right) / np.pi + 0.5  # in [0, 1]
    # Shifted by half a sector: both axes, where cameras and JPEG leave traces, are in the middle
    # of one.
    sector = np.floor(angle * _SECTORS + 0.5).astype(np.int64) % _SECTORS
    cells = np.where((ring >= 0) & (ring < rings), ring * _SECTORS + sector, rings * _SECTORS)
    return cells, _LOWEST * 2 ** ((np.arange(rings) + 0.5) / 2)

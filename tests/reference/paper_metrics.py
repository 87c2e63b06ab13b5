"""The metrics of the paper in plain NumPy and SciPy, in float64 and as literally as possible.

Images are [N, C, H, W]. Random numbers come from `numpy.random.RandomState`.
"""

import numpy as np
from scipy import ndimage, signal

KERNEL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])


def down(images: np.ndarray) -> np.ndarray:
    smoothed = ndimage.convolve(images, KERNEL[None, None], mode="mirror")
    return smoothed[:, :, ::2, ::2]


def up(images: np.ndarray) -> np.ndarray:
    n, c, h, w = images.shape
    spread = np.zeros((n, c, 2 * h, 2 * w))
    spread[:, :, ::2, ::2] = images
    return ndimage.convolve(spread, 4 * KERNEL[None, None], mode="mirror")


def pyramid(images: np.ndarray, num_levels: int) -> list[np.ndarray]:
    levels = [images.astype(np.float64)]
    for _ in range(1, num_levels):
        levels.append(down(levels[-1]))
        levels[-2] = levels[-2] - up(levels[-1])
    return levels


def descriptors(images: np.ndarray, per_image: int, random: np.random.RandomState) -> np.ndarray:
    """Random 7x7 patches, normalised for each channel: [N * per_image, C * 49]."""
    n, _, h, w = images.shape
    patches = []
    for image in images:
        for _ in range(per_image):
            y, x = random.randint(h - 6), random.randint(w - 6)
            patches.append(image[:, y : y + 7, x : x + 7])
    cut = np.array(patches)
    cut -= cut.mean(axis=(0, 2, 3), keepdims=True)
    cut /= cut.std(axis=(0, 2, 3), keepdims=True)
    return cut.reshape(n * per_image, -1)


def directions(size: int, number: int, random: np.random.RandomState) -> np.ndarray:
    vectors = random.randn(size, number)
    return vectors / np.sqrt((vectors**2).sum(axis=0))


def sliced_wasserstein(first: np.ndarray, second: np.ndarray, sets: list[np.ndarray]) -> float:
    distances = [
        np.abs(np.sort(first @ one, axis=0) - np.sort(second @ one, axis=0)).mean() for one in sets
    ]
    return float(np.mean(distances))


def swd(first: np.ndarray, second: np.ndarray, seed: int, per_image: int = 128) -> list[float]:
    """SWD x1e3 of the levels from full resolution to 16."""
    random = np.random.RandomState(seed)
    num_levels = int(np.log2(min(first.shape[2:]) / 16)) + 1
    distances = []
    for one, other in zip(pyramid(first, num_levels), pyramid(second, num_levels), strict=True):
        clouds = [descriptors(level, per_image, random) for level in (one, other)]
        sets = [directions(clouds[0].shape[1], 128, random) for _ in range(4)]
        distances.append(1000 * sliced_wasserstein(*clouds, sets))
    return distances


def ms_ssim(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Multi-scale SSIM of each pair: [N]."""
    x, y = first.astype(np.float64), second.astype(np.float64)
    ssims, structures = [], []
    for _ in WEIGHTS:
        ssim, structure = _ssim(x, y)
        ssims.append(ssim)
        structures.append(structure)
        x, y = _halved(x), _halved(y)
    ssims, structures = np.maximum(ssims, 0), np.maximum(structures, 0)
    return np.prod(structures[:-1] ** WEIGHTS[:-1, None], axis=0) * ssims[-1] ** WEIGHTS[-1]


def _ssim(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    size = min(11, *x.shape[2:])
    window = _window(size, 1.5 * size / 11)[None, None]

    def blurred(images: np.ndarray) -> np.ndarray:
        return signal.convolve(images, window, mode="valid", method="fft")

    mx, my = blurred(x), blurred(y)
    sxx, syy, sxy = blurred(x * x) - mx**2, blurred(y * y) - my**2, blurred(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    structure = (2 * sxy + c2) / (sxx + syy + c2)
    luminance = (2 * mx * my + c1) / (mx**2 + my**2 + c1)
    return (luminance * structure).mean(axis=(1, 2, 3)), structure.mean(axis=(1, 2, 3))


def _window(size: int, sigma: float) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    window = np.exp(-(x**2 + y**2) / (2 * sigma**2))
    return window / window.sum()


def _halved(images: np.ndarray) -> np.ndarray:
    return ndimage.convolve(images, np.ones((1, 1, 2, 2)) / 4, mode="reflect")[:, :, ::2, ::2]

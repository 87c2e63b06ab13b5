"""The measure of quality prefers what the paper says it prefers."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from progan.data.celebahq.build_face import rate_spectral_quality


def natural(side: int, exponent: float = 1.0, seed: int = 0) -> np.ndarray:
    """Random phases under amplitudes that fall as f^-exponent, as photographs have it with 1."""
    random = np.random.RandomState(seed)
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)) * side
    amplitude = 1 / np.maximum(radius, 1) ** exponent
    grey = np.fft.ifft2(np.fft.fft2(random.randn(side, side)) * amplitude).real
    grey = 128 + 50 * grey / grey.std()
    return np.clip(np.round(grey[..., None].repeat(3, axis=2)), 0, 255).astype(np.uint8)


def blurred(image: np.ndarray, radius: float) -> np.ndarray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def striped(image: np.ndarray, down: float, right: float) -> np.ndarray:
    y, x = np.mgrid[: len(image), : len(image)]
    waves = 40 * np.sin(2 * np.pi * (down * y + right * x))
    return np.clip(np.round(image + waves[..., None]), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("side", [64, 256])
def test_spectra_of_photographs_are_good(side: int) -> None:
    assert rate_spectral_quality(natural(side)) > 0.7
    noise = natural(side, exponent=0)
    assert rate_spectral_quality(noise) < rate_spectral_quality(natural(side)) - 0.1
    assert (
        rate_spectral_quality(natural(side, exponent=2))
        < rate_spectral_quality(natural(side)) - 0.2
    )


@pytest.mark.parametrize("side", [64, 256])
def test_blur_is_bad(side: int) -> None:
    values = [rate_spectral_quality(blurred(natural(side), radius)) for radius in (0, 1, 2, 4)]
    assert values == sorted(values, reverse=True)
    assert values[1] < 0.85 * values[0]


@pytest.mark.parametrize("wave", [(0.25, 0.1), (0.0, 0.3), (0.12, -0.2)])
def test_patterns_are_bad(wave: tuple[float, float]) -> None:
    image = natural(256)
    assert rate_spectral_quality(striped(image, *wave)) < 0.9 * rate_spectral_quality(image)


def test_directions_do_not_matter_by_themselves() -> None:
    image = natural(128)
    assert rate_spectral_quality(np.rot90(image)) == pytest.approx(
        rate_spectral_quality(image), rel=0.01
    )
    assert rate_spectral_quality(image[:, ::-1]) == pytest.approx(
        rate_spectral_quality(image), rel=0.01
    )


def test_contrast_hardly_matters() -> None:
    image = natural(128)
    assert rate_spectral_quality(image // 2 + 60) == pytest.approx(
        rate_spectral_quality(image), rel=0.1
    )


def test_one_colour_is_the_worst() -> None:
    assert rate_spectral_quality(np.full((64, 64, 3), 200, np.uint8)) == 0
    assert 0 < rate_spectral_quality(blurred(natural(64), 5)) < 0.4


def test_photographs_fall_behind_when_they_are_blurred(shared: Path) -> None:
    with zipfile.ZipFile(shared / "data/landscape-1024-jpg.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")][:8]
        for name in names:
            picture = Image.open(io.BytesIO(archive.read(name))).convert("RGB")
            image = np.asarray(picture.crop((0, 0, 512, 512)))
            assert rate_spectral_quality(blurred(image, 1.5)) < rate_spectral_quality(image), name

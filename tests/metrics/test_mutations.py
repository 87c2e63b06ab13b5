"""Each metric moves where it should when pictures are spoilt in a known way."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from metrics import fidelity, ms_ssim, swd
from metrics.detector import Setup, open_detector
from progan.data.portraits.generate import import_demo
from tests.builders import Energies, detector_file, draw_of

COUNT = 64

Values = dict[str, float]
Judge = Callable[[np.ndarray], Values]


@pytest.fixture(scope="module")
def portraits() -> np.ndarray:
    """uint8 [3 * 64, 3, 64, 64]."""
    source = import_demo(resolution=64, num_images=3 * COUNT, seed=0)
    images = np.stack([source.read(number).image for number in range(source.count)])
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


@pytest.fixture(scope="module")
def judge(portraits, tmp_path_factory) -> Judge:
    """All metrics of 64 images against the second third of the portraits."""
    file = detector_file(tmp_path_factory.mktemp("detector") / "net.pt", Energies())
    cpu = torch.device("cpu")
    setup = Setup(seed=0, device=cpu, detector=open_detector(file, "inception", cpu))
    reals = draw_of(portraits[COUNT : 2 * COUNT])

    def measured(images: np.ndarray) -> Values:
        draw = draw_of(np.ascontiguousarray(images))
        found: Values = {}
        for measure in (
            swd.measure,
            ms_ssim.measure,
            fidelity.fid,
            fidelity.kid,
            fidelity.precision_recall,
        ):
            found |= measure(draw, reals, setup)
        return found

    return measured


@pytest.fixture(scope="module")
def baseline(portraits, judge) -> Values:
    return judge(portraits[:COUNT])


def through(change: Callable[[Image.Image], Image.Image], images: np.ndarray) -> np.ndarray:
    changed = [np.asarray(change(Image.fromarray(image))) for image in images.transpose(0, 2, 3, 1)]
    return np.stack(changed).transpose(0, 3, 1, 2)


def blurred(picture: Image.Image) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(1))


def compressed(picture: Image.Image) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=10)
    return Image.open(file)


def shuffled_colours(images: np.ndarray) -> np.ndarray:
    random = np.random.RandomState(0)
    return np.stack([image[random.permutation(3)] for image in images])


def darkest(images: np.ndarray) -> np.ndarray:
    return images[np.argsort(images.mean((1, 2, 3)))[:COUNT]]


def growth(found: Values, baseline: Values) -> list[float]:
    """How much larger SWD became at 64, 32 and 16 px."""
    return [found[f"SWDx1e3_{side}"] / baseline[f"SWDx1e3_{side}"] for side in (64, 32, 16)]


def test_the_baseline_is_good(baseline):
    assert abs(baseline["KIDx1e3"]) < 5e3, "the kernel is a cube: this is next to nothing"
    assert min(baseline["precision"], baseline["recall"]) > 0.9
    assert baseline["FID"] < 0.6


def test_shuffled_colours_show_in_what_is_coarse(portraits, judge, baseline):
    found = judge(shuffled_colours(portraits[:COUNT]))
    fine, middle, coarse = growth(found, baseline)
    assert coarse > 1.4 > middle > fine > 1
    assert found["FID"] > 2 * baseline["FID"]
    assert found["KIDx1e3"] > baseline["KIDx1e3"] + 1e4
    assert found["precision"] < baseline["precision"] - 0.2
    assert found["MS-SSIM"] == pytest.approx(baseline["MS-SSIM"], abs=0.1), "as various as before"


def test_blur_shows_in_what_is_fine(portraits, judge, baseline):
    found = judge(through(blurred, portraits[:COUNT]))
    fine, middle, coarse = growth(found, baseline)
    assert fine > 3 and fine > 2 * middle > 2 * coarse
    assert coarse < 1.1
    assert found["FID"] > 20 * baseline["FID"]
    assert found["KIDx1e3"] > baseline["KIDx1e3"] + 1e6
    assert found["MS-SSIM"] == pytest.approx(baseline["MS-SSIM"], abs=0.1), "as various as before"


def test_compression_shows_in_what_is_fine(portraits, judge, baseline):
    found = judge(through(compressed, portraits[:COUNT]))
    fine, middle, coarse = growth(found, baseline)
    assert fine > 2 > 1.3 > middle > coarse
    assert found["FID"] > 2 * baseline["FID"]
    assert found["KIDx1e3"] > baseline["KIDx1e3"] + 1e4


def test_dropped_modes_show_in_recall_and_not_in_precision(portraits, judge, baseline):
    found = judge(darkest(np.concatenate([portraits[:COUNT], portraits[2 * COUNT :]])))
    assert found["recall"] < baseline["recall"] - 0.1
    assert found["precision"] >= baseline["precision"]
    assert growth(found, baseline)[2] > 1.4
    assert found["FID"] > 2 * baseline["FID"]
    assert found["KIDx1e3"] > baseline["KIDx1e3"] + 1e4


def test_collapse_to_one_image_is_seen_by_all_and_named_by_ms_ssim(portraits, judge, baseline):
    found = judge(portraits[:1].repeat(COUNT, 0))
    assert found["MS-SSIM"] == pytest.approx(1, abs=1e-4)
    assert baseline["MS-SSIM"] < 0.5
    assert min(growth(found, baseline)) > 3
    assert found["FID"] > 10 * baseline["FID"]
    assert found["KIDx1e3"] > baseline["KIDx1e3"] + 1e5
    assert found["recall"] == 0

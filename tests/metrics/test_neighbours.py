"""Nearest neighbours against brute force, and the sheet that shows them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from metrics import neighbours
from metrics.detector import MetricContext, pixel_detector
from metrics.neighbours import (
    CAPTION,
    MAX_CELL,
    MIN_CELL,
    CropBox,
    Neighbours,
    NeighbourSearch,
    find_nearest,
    neighbour_sheet,
    parse_crop_or_whole,
)
from metrics.samples import ImageSample, ImageShape, split_batches
from progan.errors import UserError
from progan.images import Pixels, enlarge_by_repeating_pixels
from tests.builders import image_sample, source_of

CPU = torch.device("cpu")
SETUP = MetricContext(seed=0, device=CPU, detector=pixel_detector())
NOBODY = -1


def noise(seed: int, count: int, values: int = 256, channels: int = 3, side: int = 8) -> np.ndarray:
    shape = (count, channels, side, side)
    return np.random.RandomState(seed).randint(0, values, shape).astype(np.uint8)


def found_among(
    images: np.ndarray,
    training: ImageSample,
    k: int,
    window: CropBox | None = None,
    own: np.ndarray | None = None,
) -> Neighbours:
    window = window or CropBox(0, 0, *images.shape[:1:-1])
    queries = neighbours.embed_window(image_sample(images), SETUP, window)
    return find_nearest(
        queries, np.full(len(images), NOBODY) if own is None else own, training, SETUP, k, window
    )


def distances(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of all pairs, of values 0…1."""
    flat, flat_others = (each.reshape(len(each), 1, -1) / 255 for each in (images, others))
    return np.sqrt(((flat - flat_others.transpose(1, 0, 2)) ** 2).sum(2))


@pytest.mark.parametrize("k", [1, 4, 40])
def test_neighbours_equal_brute_force(k):
    images, training = noise(1, 9), noise(2, 40)
    found = found_among(images, image_sample(training), k)
    everything = distances(images, training)
    np.testing.assert_array_equal(found.rows, np.argsort(everything, axis=1)[:, :k])
    np.testing.assert_allclose(found.distances, np.sort(everything, axis=1)[:, :k], rtol=1e-6)


def test_neighbours_among_flipped_images_equal_brute_force(monkeypatch):
    monkeypatch.setattr("metrics.samples.PIXELS_PER_BATCH", 8 * 8 * 4)
    images, training = noise(1, 9), noise(2, 30)
    window = CropBox(left=1, top=0, width=4, height=8)
    queries = neighbours.embed_window(image_sample(images), SETUP, window)
    found = find_nearest(
        queries, np.full(9, NOBODY), image_sample(training), SETUP, 5, window, mirror=True
    )
    both = np.stack(
        [
            distances(images[:, :, :, 1:5], each[:, :, :, 1:5])
            for each in (training, training[:, :, :, ::-1])
        ]
    )
    order = np.argsort(both.min(0), axis=1)[:, :5]
    np.testing.assert_array_equal(found.rows, order)
    expected = np.take_along_axis(both.argmin(0), order, 1)
    np.testing.assert_array_equal(found.flipped, expected)
    assert 0 < expected.mean() < 1


def test_neighbours_are_found_across_batches(monkeypatch):
    monkeypatch.setattr("metrics.samples.PIXELS_PER_BATCH", 8 * 8 * 4)
    training = image_sample(noise(2, 30))
    assert len(split_batches(training.rows, training.size, CPU)) == 8
    images = noise(1, 5)
    everything = distances(images, noise(2, 30))
    found = found_among(images, training, 7)
    np.testing.assert_array_equal(found.rows, np.argsort(everything, axis=1)[:, :7])


def test_rows_are_the_numbers_in_the_source():
    training = noise(2, 40)
    chosen = np.array([3, 5, 8, 13, 21, 34])
    found = found_among(training[[21, 4]], source_of(training).sample(chosen), 2)
    assert found.rows[0, 0] == 21
    assert set(found.rows.ravel()) <= set(chosen)
    np.testing.assert_allclose(found.distances[0, 0], 0, atol=1e-6)


@pytest.mark.parametrize("batch", [2, 64])
def test_among_ties_any_may_come_but_none_twice(monkeypatch, batch):
    monkeypatch.setattr("metrics.samples.PIXELS_PER_BATCH", 2 * 2 * batch)
    images, training = noise(1, 6, values=2, side=2), noise(2, 60, values=2, side=2)
    found = found_among(images, image_sample(training), 20)
    everything = distances(images, training)
    expected = np.sort(everything, axis=1)[:, :20]
    np.testing.assert_allclose(found.distances, expected, atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(everything, found.rows, 1), expected, atol=1e-6)
    assert all(len(set(row)) == 20 for row in found.rows.tolist())
    assert any(len(set(row)) < 15 for row in expected.round(6).tolist()), "there should be ties"


def test_no_image_is_its_own_neighbour():
    training = noise(2, 40)
    own = np.array([7, 0, 39, NOBODY])
    found = found_among(training[[7, 0, 39, 5]], image_sample(training), 3, own=own)
    everything = distances(training[[7, 0, 39, 5]], training)
    everything[np.arange(3), own[:3]] = np.inf
    np.testing.assert_array_equal(found.rows, np.argsort(everything, axis=1)[:, :3])
    assert found.rows[3, 0] == 5


def test_twins_are_neighbours():
    training = noise(2, 10)
    training[6] = training[2]
    found = found_among(training[2:3], image_sample(training), 2, own=np.array([2]))
    assert found.rows[0, 0] == 6


def test_only_the_window_is_compared():
    images, training = noise(1, 5), noise(2, 30)
    window = CropBox(left=2, top=1, width=3, height=6)
    found = found_among(images, image_sample(training), 4, window)
    everything = distances(images[:, :, 1:7, 2:5], training[:, :, 1:7, 2:5])
    np.testing.assert_array_equal(found.rows, np.argsort(everything, axis=1)[:, :4])
    assert not np.array_equal(found.rows, np.argsort(distances(images, training), axis=1)[:, :4])


def test_copies_are_at_no_distance():
    training = noise(2, 60, side=64)
    found = found_among(training, image_sample(training), 1)
    np.testing.assert_array_equal(found.rows[:, 0], np.arange(60))
    assert found.distances.max() < 1e-5


def test_windows_are_read():
    size = ImageShape(20, 30, 3)
    assert parse_crop_or_whole(None, size) == CropBox(0, 0, 30, 20)
    assert parse_crop_or_whole("4,2,8x6", size) == CropBox(left=4, top=2, width=8, height=6)
    assert parse_crop_or_whole("0,0,30x20", size) == CropBox(0, 0, 30, 20)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3x", "1,2,3x4x5", "a,b,cxd", "1.5,2,3x4"])
def test_what_is_no_window_is_answered_with_one(text):
    with pytest.raises(UserError, match=f"--crop '{text}' is not X,Y,WIDTHxHEIGHT such as 16,8"):
        parse_crop_or_whole(text, ImageShape(20, 30, 3))


@pytest.mark.parametrize(
    "text", ["-1,0,4x4", "0,-1,4x4", "0,0,0x4", "0,0,4x0", "27,0,4x4", "0,17,4x4", "0,0,20x30"]
)
def test_windows_outside_of_the_images_are_refused(text):
    with pytest.raises(UserError, match=f"--crop {text} does not lie inside of images of 30x20x3"):
        parse_crop_or_whole(text, ImageShape(20, 30, 3))


def looked_up(images: np.ndarray, training: np.ndarray, k: int) -> NeighbourSearch:
    found = found_among(images, image_sample(training), k)
    return NeighbourSearch(
        images=image_sample(images),
        training=image_sample(training),
        detector="pixels",
        neighbours=found,
        others=found.distances[:, 0],
        kind="others",
        nearer=0.5,
        p_value=1.0,
        window=whole(images),
        mirror=False,
    )


def cells_of(sheet: Pixels, columns: int) -> Pixels:
    """The pictures of a sheet without captions and margins: [rows, columns, h, w, 3]."""
    cell = sheet.shape[1] // columns
    height = cell - 2 + CAPTION
    cells = sheet.reshape(-1, height, columns, cell, 3).transpose(0, 2, 1, 3, 4)
    return cells[:, :, :-CAPTION, 1:-1]


def whole(images: np.ndarray) -> CropBox:
    return CropBox(0, 0, *images.shape[:1:-1])


def test_the_most_suspicious_images_come_first_beside_their_neighbours():
    training = noise(2, 20)
    images = noise(1, 6)
    images[4] = training[11]
    images[2] = np.maximum(training[3], 40)
    found = looked_up(images, training, 2)
    sheet = neighbour_sheet(found, 3)
    assert sheet.shape == (3 * (MIN_CELL + CAPTION), 3 * (MIN_CELL + 2), 3)
    cells = cells_of(sheet, 3)
    third = [place for place in np.argsort(found.nearest) if place not in (4, 2)][0]
    for line, place in zip(cells, (4, 2, third), strict=True):
        shown = np.concatenate([images[place : place + 1], training[found.neighbours.rows[place]]])
        np.testing.assert_array_equal(
            line, enlarge_by_repeating_pixels(shown.transpose(0, 2, 3, 1), MIN_CELL)
        )


def test_a_sheet_has_no_more_rows_than_images():
    images = noise(1, 2)
    assert len(cells_of(neighbour_sheet(looked_up(images, noise(2, 9), 1), 16), 2)) == 2


def is_red(cells: Pixels) -> np.ndarray:
    return (cells == (255, 0, 0)).all(-1)


def test_a_crop_is_framed_in_the_images_alone():
    images, training = noise(1, 2, values=200), noise(2, 9, values=200)
    found = looked_up(images, training, 3)
    framed = is_red(
        cells_of(
            neighbour_sheet(replace(found, window=CropBox(left=2, top=1, width=3, height=4)), 2), 4
        )
    )
    assert not framed[:, 1:].any()
    scale = MIN_CELL // 8
    expected = np.zeros((MIN_CELL, MIN_CELL), bool)
    expected[scale : 5 * scale, 2 * scale : 5 * scale] = True
    expected[scale + 1 : 5 * scale - 1, 2 * scale + 1 : 5 * scale - 1] = False
    for cell in framed[:, 0]:
        np.testing.assert_array_equal(cell, expected)
    assert not is_red(neighbour_sheet(found, 2)).any()


def test_large_images_are_shown_small_and_so_are_their_frames():
    images, training = noise(1, 1, 200, side=1024), noise(2, 2, 200, side=1024)
    found = looked_up(images, training, 1)
    sheet = neighbour_sheet(replace(found, window=CropBox(512, 256, 16, 24)), 1)
    assert sheet.shape == (MAX_CELL + CAPTION, 2 * (MAX_CELL + 2), 3)
    (frame,) = is_red(cells_of(sheet, 2))[:, 0]
    assert frame[64:70, 128:132].sum() == frame.sum() == 4 * 6 - 2 * 4
    (point,) = is_red(
        cells_of(neighbour_sheet(replace(found, window=CropBox(512, 256, 1, 2)), 1), 2)
    )[:, 0]
    assert point[64, 128] and point.sum() <= 2, "less than a pixel can still be seen"


def test_images_need_not_be_square():
    images, training = noise(1, 2)[:, :, :4], noise(2, 9)[:, :, :4]
    sheet = neighbour_sheet(looked_up(images, training, 1), 2)
    assert sheet.shape == (2 * (MIN_CELL + CAPTION), 2 * (2 * MIN_CELL + 2), 3)


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_images_are_shown_as_they_are_compared(channels):
    images = noise(1, 2, channels=channels)
    if channels == 4:
        images[:, 3] = 255 * (images[:, 3] > 127)
    cells = cells_of(neighbour_sheet(looked_up(images, images, 1), 2), 2)
    expected = (
        images[:, :1].repeat(3, 1)
        if channels == 1
        else np.where(images[:, 3:] > 0, images[:, :3], 255)
    )
    shown = {cell.tobytes() for cell in cells[:, 0]}
    assert shown == {
        cell.tobytes()
        for cell in enlarge_by_repeating_pixels(expected.transpose(0, 2, 3, 1), MIN_CELL)
    }

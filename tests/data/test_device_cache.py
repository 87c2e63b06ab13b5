"""Images are the same whether a level stays on the device or is read batch by batch."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from progan.data import loader, writer
from progan.data.loader import DeviceImageCache, ReadingCancelled, compute_cache_budget_bytes
from progan.data.reader import Dataset, Rows, select_class
from tests.builders import noise_dataset

CPU = torch.device("cpu")
COUNT, LEVELS = 30, (2, 3, 4)


BYTES = {level: COUNT * 3 * 4**level for level in LEVELS}


class Counted(Dataset):
    """Remembers which levels were asked for."""

    def images(self, level: int, rows: Rows) -> np.ndarray:
        self.asked = [*getattr(self, "asked", ()), level]
        return super().images(level, rows)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    folder = tmp_path_factory.mktemp("resident")
    plain = noise_dataset(folder / "plain", count=COUNT, classes=3)
    held_out = noise_dataset(folder / "held-out", count=COUNT, holdout=0.3)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(writer, "COMPRESSED_FROM", 3)
        writer.write_dataset(plain_source(plain), folder / "compressed", compress=True)
    return {
        "plain": plain,
        "held out": held_out,
        "compressed": Dataset.open(folder / "compressed"),
        "one class": select_class(plain, "1"),
    }


@pytest.fixture
def counted(datasets: dict[str, Dataset]) -> Counted:
    return Counted(datasets["plain"].path, datasets["plain"].info)


def plain_source(dataset: Dataset) -> writer.ImageSource:
    """The images of a dataset once more."""
    return writer.ImageSource(
        description="copy",
        resolution=dataset.resolution,
        channels=3,
        count=len(dataset),
        read=lambda row: writer.Sample(dataset.images(4, np.array([row]))[0]),
    )


def failing(error: Exception) -> Callable[..., Tensor]:
    def fail(*args: object, **options: object) -> Tensor:
        raise error

    return fail


OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
CALLS = st.lists(
    st.tuples(st.sampled_from(LEVELS), st.lists(st.integers(0, 9), max_size=5)), max_size=5
)


@given(
    st.sampled_from(["plain", "held out", "compressed", "one class"]),
    CALLS,
    st.sampled_from([0, BYTES[2], BYTES[3], 10**6]),
    st.sampled_from([1, 1000]),
)
def test_images_do_not_depend_on_where_they_stay(
    datasets: dict[str, Dataset],
    name: str,
    calls: list[tuple[int, list[int]]],
    budget: int,
    chunk_bytes: int,
) -> None:
    dataset = datasets[name]
    images = DeviceImageCache(dataset, CPU, budget)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loader, "CACHE_CHUNK_BYTES", chunk_bytes)
        for level, listed in calls:
            numbers = np.array(listed, np.int64)
            found = images(level, numbers)
            assert found.dtype == torch.uint8
            np.testing.assert_array_equal(
                found, dataset.images(level, dataset.training_rows[numbers])
            )


def test_a_level_that_fits_is_read_once(counted: Counted) -> None:
    lines: list[str] = []
    images = DeviceImageCache(counted, CPU, BYTES[3], lines.append)
    for level in (2, 2, 2, 3, 3, 4, 4):
        images(level, np.arange(5))
    assert counted.asked == [2, 3, 4, 4]
    assert lines == [
        "30 images of 4x4 stay in the device's memory: 1.4 KiB, read in 0s.",
        "30 images of 8x8 stay in the device's memory: 5.6 KiB, read in 0s.",
    ]


def test_a_level_fits_by_the_images_that_training_sees(datasets: dict[str, Dataset]) -> None:
    lines: list[str] = []
    for name, count in {"held out": 21, "one class": 10}.items():
        for short in (1, 0):
            images = DeviceImageCache(datasets[name], CPU, count * 48 - short, lines.append)
            images(2, np.arange(3))
    assert [line.split(" stay")[0] for line in lines] == ["21 images of 4x4", "10 images of 4x4"]


def test_the_previous_level_is_gone_before_the_next_one_comes(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, alive, read = DeviceImageCache(counted, CPU, 10**6), [], Counted.images

    def watching(self: Counted, level: int, rows: Rows) -> np.ndarray:
        alive.append(images._resident)
        return read(self, level, rows)

    monkeypatch.setattr(Counted, "images", watching)
    for level in LEVELS:
        images(level, np.arange(2))
    assert alive == [None, None, None]


def test_a_level_that_memory_is_too_small_for_is_read_batch_by_batch(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    images, numbers = DeviceImageCache(counted, CPU, 10**6, lines.append), np.array([3, 1])
    with monkeypatch.context() as patched:
        patched.setattr(torch, "empty", failing(OUT_OF_MEMORY))
        found = images(3, numbers)
    np.testing.assert_array_equal(found, counted.images(3, numbers))
    images(3, numbers)
    assert lines == ["Out of memory for 30 images of 8x8 (5.6 KiB): they are read batch by batch."]
    images(4, numbers)  # another level, another try
    assert lines[1].startswith("30 images of 16x16 stay")


def test_a_batch_that_memory_is_too_small_for_comes_from_the_files(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, numbers = DeviceImageCache(counted, CPU, 10**6), np.array([3, 1])
    images(3, numbers)
    monkeypatch.setattr(Tensor, "index_select", failing(OUT_OF_MEMORY))
    np.testing.assert_array_equal(images(3, numbers), counted.images(3, numbers))


def test_other_errors_are_not_taken_for_it(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "empty", failing(RuntimeError("the device is gone")))
    with pytest.raises(RuntimeError, match="the device is gone"):
        DeviceImageCache(counted, CPU, 10**6)(3, np.arange(2))


def test_reading_a_level_ends_when_nobody_waits_any_more(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "CACHE_CHUNK_BYTES", 1)
    images = DeviceImageCache(
        counted, CPU, 10**6, stopped=lambda: len(getattr(counted, "asked", ())) == 3
    )
    with pytest.raises(ReadingCancelled):
        images(4, np.arange(2))
    assert len(counted.asked) == 3


def test_what_was_asked_for_is_the_budget() -> None:
    assert [compute_cache_budget_bytes(gib, CPU) for gib in (0.0, 0.5, 2.0)] == [0, 2**29, 2**31]


def test_the_budget_is_a_quarter_of_what_a_gpu_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (60 * 2**30, 80 * 2**30))
    assert compute_cache_budget_bytes(-1.0, torch.device("cuda")) == 15 * 2**30
    assert compute_cache_budget_bytes(-1.0, CPU) == 0

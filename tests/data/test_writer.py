"""Datasets are written in order, in shards, whole or not at all."""

import errno
import gc
import hashlib
import io
import json
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from progan.data.array_files import ArrayWriter, DatasetArrays
from progan.data.format import DatasetInfo, SkippedImage
from progan.data.image_source import (
    ImageSource,
    Sample,
    SourceFailure,
    UnreadableImage,
    select_rows,
)
from progan.data.pyramid import build_pyramid
from progan.data.reader import Dataset, draw_holdout_rows
from progan.data.writer import write_dataset
from progan.errors import UserError


def image(row: int, resolution: int, channels: int) -> np.ndarray:
    shape = (resolution, resolution, channels)
    return np.random.RandomState(row).randint(0, 256, shape).astype(np.uint8)


@dataclass(frozen=True)
class Reader:
    """Images from their numbers, some of them bad; picklable."""

    resolution: int
    channels: int
    bad: frozenset[int] = field(default_factory=frozenset)
    landmarks: bool = False

    def __call__(self, row: int) -> Sample:
        if row in self.bad:
            raise UnreadableImage(f"{row}.png", "it is bad")
        points = np.full((5, 2), row, np.float32) if self.landmarks else None
        return Sample(image(row, self.resolution, self.channels), points)


def source_of(
    count: int,
    resolution: int = 8,
    channels: int = 3,
    bad: frozenset[int] = frozenset(),
    landmarks: bool = False,
) -> ImageSource:
    return ImageSource(
        description="numbers",
        resolution=resolution,
        channels=channels,
        count=count,
        read=Reader(resolution, channels, bad, landmarks),
        has_landmarks=landmarks,
        labels=np.arange(count, dtype=np.int64) % 3,
        label_names=("a", "b", "c"),
    )


def require_consistent(path: Path, rows: list[int], resolution: int, channels: int) -> None:
    """The dataset holds the images of these numbers at every level, and its checksums are right."""
    dataset = Dataset.open(path)
    expected = build_pyramid(np.stack([image(row, resolution, channels) for row in rows]))
    everything = np.arange(len(rows))
    assert len(dataset) == len(rows)
    for level, images in expected.items():
        np.testing.assert_array_equal(dataset.images(level, everything), images)
    np.testing.assert_array_equal(dataset.labels(everything), np.array(rows) % 3)
    hashes = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in path.glob("*.npy")
    }
    assert dataset.info.checksums == hashes
    assert {file.name for file in path.iterdir()} == {*hashes, "dataset.json"}
    for file in dataset.info.list_array_files():
        array = np.load(path / file.name)
        assert (array.shape, array.dtype.str) == (file.shape, file.dtype)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 40),
    level=st.integers(2, 4),
    channels=st.sampled_from([1, 3, 4]),
    max_shard_bytes=st.integers(200, 3000),
    workers=st.integers(1, 3),
    bad=st.frozensets(st.integers(0, 39), max_size=10),
)
def test_whatever_the_shards_and_the_bad_images_the_rest_is_stored_in_order(
    count: int, level: int, channels: int, max_shard_bytes: int, workers: int, bad: frozenset[int]
) -> None:
    good = [row for row in range(count) if row not in bad]
    source = source_of(count, 2**level, channels, bad)
    with tempfile.TemporaryDirectory() as folder:
        dest = Path(folder) / "dest"
        if not good:
            with pytest.raises(UserError, match="None of the .* images can be used"):
                write_dataset(source, dest, on_error="skip")
            assert list(Path(folder).iterdir()) == []
            return
        info = write_dataset(
            source, dest, workers=workers, on_error="skip", max_shard_bytes=max_shard_bytes
        )
        assert [item.path for item in info.skipped] == [
            f"{row}.png" for row in range(count) if row in bad
        ]
        require_consistent(dest, good, 2**level, channels)


def test_large_levels_are_in_shards_and_small_ones_are_not(tmp_path: Path) -> None:
    write_dataset(source_of(10), tmp_path / "d", max_shard_bytes=128 + 4 * 192)
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == [
        "dataset.json",
        "labels.npy",
        "level-02.npy",
        "level-03.000.npy",
        "level-03.001.npy",
        "level-03.002.npy",
    ]
    require_consistent(tmp_path / "d", list(range(10)), 8, 3)


def test_shards_that_shrink_to_one_file_get_its_name(tmp_path: Path) -> None:
    source = source_of(10, bad=frozenset(range(4, 10)))
    write_dataset(source, tmp_path / "d", on_error="skip", max_shard_bytes=128 + 4 * 192)
    assert {path.name for path in (tmp_path / "d").glob("level-03*")} == {"level-03.npy"}
    require_consistent(tmp_path / "d", [0, 1, 2, 3], 8, 3)


@settings(max_examples=40)
@given(
    count=st.integers(2, 20),
    fraction=st.floats(0, 1, exclude_max=True),
    seed=st.integers(0, 2**32 - 1),
    bad=st.frozensets(st.integers(1, 19), max_size=10),
)
def test_each_image_written_is_held_out_or_trained_on(
    count: int, fraction: float, seed: int, bad: frozenset[int]
) -> None:
    good = [row for row in range(count) if row not in bad]
    assume(len(good) > 1 and round(fraction * len(good)) < len(good))
    with tempfile.TemporaryDirectory() as folder:
        dest = Path(folder) / "dest"
        write_dataset(source_of(count, bad=bad), dest, on_error="skip", holdout=fraction, seed=seed)
        require_consistent(dest, good, 8, 3)
        dataset = Dataset.open(dest)
        held_out, trained_on = dataset.held_out_rows.tolist(), dataset.training_rows.tolist()
        assert sorted(held_out + trained_on) == list(range(len(good)))
        assert held_out == draw_holdout_rows(len(held_out), len(good), seed).tolist()
        assert len(held_out) == (max(1, round(fraction * len(good))) if fraction else 0)
        assert dataset.info.holdout_count == len(held_out)
        assert (dest / "holdout.npy").exists() == (fraction > 0)


def test_a_holdout_of_everything_is_noticed_before_anything_is_written(tmp_path: Path) -> None:
    def read(row: int) -> Sample:
        raise AssertionError("nothing needs to be read")

    with pytest.raises(UserError, match=r"--holdout 0\.9 of 3 images keeps them all away"):
        write_dataset(replace(source_of(3), read=read), tmp_path / "deep/d", holdout=0.9)
    assert list(tmp_path.iterdir()) == []


def test_a_holdout_of_all_that_could_be_read_leaves_nothing(tmp_path: Path) -> None:
    source = source_of(9, bad=frozenset(range(2, 9)))
    with pytest.raises(UserError, match=r"--holdout 0\.8 of 2 images keeps them all away"):
        write_dataset(source, tmp_path / "d", on_error="skip", holdout=0.8)
    assert list(tmp_path.iterdir()) == []


def test_dataset_json_says_how_it_was_made(tmp_path: Path) -> None:
    source = replace(
        source_of(4, bad=frozenset({2})), skipped=(SkippedImage("x.png", "no header"),)
    )
    write_dataset(source, tmp_path / "cats", options={"crop": "pad", "seed": None}, on_error="skip")
    document = json.loads((tmp_path / "cats/dataset.json").read_text())
    assert document["version"] == 1
    assert document["name"] == "cats"
    assert document["count"] == 3
    assert document["source"] == "numbers"
    assert document["options"] == {"crop": "pad", "seed": None}
    assert document["skipped"] == [["x.png", "no header"], ["2.png", "it is bad"]]
    assert document["label_names"] == ["a", "b", "c"]


def test_landmarks_stay_with_their_images(tmp_path: Path) -> None:
    source = source_of(6, bad=frozenset({1, 4}), landmarks=True)
    write_dataset(source, tmp_path / "d", on_error="skip")
    points = Dataset.open(tmp_path / "d").landmarks(np.arange(4))
    assert points.shape == (4, 5, 2)
    assert points[:, 0, 0].tolist() == [0, 2, 3, 5]


def test_processes_write_what_threads_write(tmp_path: Path) -> None:
    source = source_of(40, landmarks=True)
    infos = [
        write_dataset(replace(source, in_processes=processes), tmp_path / name, workers=2)
        for name, processes in (("threads", False), ("processes", True))
    ]
    assert infos[0].checksums == infos[1].checksums
    require_consistent(tmp_path / "processes", list(range(40)), 8, 3)


def test_a_bad_image_in_a_process_is_named(tmp_path: Path) -> None:
    source = replace(source_of(40, bad=frozenset({17})), in_processes=True)
    with pytest.raises(UserError, match=r"1 of 40 images in numbers .*\n  17\.png: it is bad"):
        write_dataset(source, tmp_path / "d", workers=2)
    assert list(tmp_path.iterdir()) == []


def test_stop_names_all_bad_images_and_leaves_nothing(tmp_path: Path) -> None:
    source = source_of(100, bad=frozenset({70, 90}))
    said = r"(?s)2 of 100 images.*70\.png: it is bad\n  90\.png: it is bad\n.*--on-error skip"
    with pytest.raises(UserError, match=said):
        write_dataset(source, tmp_path / "deep/d", workers=2)
    assert list(tmp_path.iterdir()) == []


def failing(source: ImageSource, row: int, error: type[BaseException]) -> ImageSource:
    """The same images, but reading one of them fails as no image does."""

    def read(number: int) -> Sample:
        if number == row:
            raise error
        return source.read(number)

    return replace(source, read=read)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, MemoryError])
def test_what_fails_before_the_first_image_leaves_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        write_dataset(failing(source_of(60), 0, error), tmp_path / "d", on_error="skip")
    assert list(tmp_path.iterdir()) == []


def files_of(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    stops=st.lists(st.integers(0, 59), min_size=1, max_size=4),
    shard=st.integers(200, 3000),
    bad=st.frozensets(st.integers(0, 59), max_size=8),
    landmarks=st.booleans(),
    compress=st.booleans(),
)
def test_what_was_interrupted_is_continued_to_the_same_bytes(
    stops: list[int], shard: int, bad: frozenset[int], landmarks: bool, compress: bool
) -> None:
    source = source_of(60, bad=bad, landmarks=landmarks)
    how = {"on_error": "skip", "holdout": 0.1, "max_shard_bytes": shard, "compress": compress}
    with tempfile.TemporaryDirectory() as folder:
        whole, other = Path(folder, "a", "d"), Path(folder, "b", "d")
        write_dataset(source, whole, **how)
        for stop in sorted(stops):
            with pytest.raises(KeyboardInterrupt):
                write_dataset(failing(source, stop, KeyboardInterrupt), other, **how)
        write_dataset(source, other, workers=2, **how)
        assert files_of(other) == files_of(whole)
        assert [path.name for path in other.parent.iterdir()] == ["d"]


@pytest.fixture(autouse=True)
def _compress_small_images_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("progan.data.writer.COMPRESSED_FROM", 3)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_compressed_levels_hold_the_same_images(tmp_path: Path, channels: int) -> None:
    source = source_of(30, channels=channels, resolution=16)
    plain, small = (
        write_dataset(source, tmp_path / name, compress=name == "small")
        for name in ("plain", "small")
    )
    assert set(small.webp_bytes) == {3, 4} and not plain.webp_bytes
    require_consistent(tmp_path / "small", list(range(30)), 16, channels)
    dataset = Dataset.open(tmp_path / "small")
    rows = np.array([29, 0, 0, 7])
    np.testing.assert_array_equal(
        dataset.images(4, rows), Dataset.open(tmp_path / "plain").images(4, rows)
    )
    assert dataset.images(4, rows[:0]).shape == (0, 16, 16, channels)
    assert DatasetInfo.from_json(small.to_json()) == small


@pytest.mark.parametrize("compress", [False, True])
def test_the_size_of_a_dataset_is_that_of_its_files(tmp_path: Path, compress: bool) -> None:
    info = write_dataset(source_of(10), tmp_path / "d", compress=compress)
    assert info.num_bytes == sum(path.stat().st_size for path in (tmp_path / "d").glob("*.npy"))


def test_a_compressed_dataset_is_not_begun_on_a_disk_with_little_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third of the raw size is expected to be needed, and that there may be more is no reason."""
    raw = write_dataset(source_of(200), tmp_path / "raw").num_bytes
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=raw // 4))
    with pytest.raises(UserError, match="d needs .* KiB, but"):
        write_dataset(source_of(200), tmp_path / "d", compress=True)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=raw * 3 // 4))
    write_dataset(source_of(200), tmp_path / "d", compress=True)


def test_files_of_another_attempt_do_not_get_into_the_dataset(tmp_path: Path) -> None:
    (tmp_path / ".d.partial").mkdir()
    for name in ("level-05.npy", ".journal.json.00.partial"):
        (tmp_path / ".d.partial" / name).write_bytes(b"x")
    info = write_dataset(source_of(4), tmp_path / "d")
    names = {path.name for path in (tmp_path / "d").iterdir()}
    assert names == {"dataset.json", *(file.name for file in info.list_array_files())}


def test_damage_to_compressed_images_is_named(tmp_path: Path) -> None:
    write_dataset(source_of(4), tmp_path / "d", compress=True)
    data = np.load(tmp_path / "d" / "level-03.webp.npy", mmap_mode="r+")
    data[:40] = 0
    data.flush()
    with pytest.raises(UserError, match="Compressed images of .* are damaged .*verify"):
        Dataset.open(tmp_path / "d").images(3, np.arange(4))


def test_opaque_and_clear_pixels_keep_their_colours(tmp_path: Path) -> None:
    images = np.random.RandomState(0).randint(0, 256, (4, 8, 8, 4)).astype(np.uint8)
    images[0, ..., 3], images[1, ..., 3] = 255, 0
    write_dataset(
        replace(source_of(4, channels=4), read=lambda row: Sample(images[row])),
        tmp_path / "d",
        compress=True,
    )
    np.testing.assert_array_equal(Dataset.open(tmp_path / "d").images(3, np.arange(4)), images)


@pytest.mark.parametrize("compress", [False, True])
def test_images_that_were_written_are_not_read_again(tmp_path: Path, compress: bool) -> None:
    source, read = source_of(60), []

    def noting(number: int) -> Sample:
        read.append(number)
        return source.read(number)

    with pytest.raises(KeyboardInterrupt):
        write_dataset(failing(source, 50, KeyboardInterrupt), tmp_path / "d", compress=compress)
    write_dataset(replace(source, read=noting), tmp_path / "d", compress=compress)
    assert min(read) > 20 and max(read) == 59


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("cut", "An interrupted creation has lost images: starting with the first one."),
        ("removed", "An interrupted creation has lost images: starting with the first one."),
        ("journal", "The journal of an interrupted creation is damaged: starting with the first"),
    ],
)
def test_remains_that_are_damaged_are_made_anew(tmp_path: Path, damage: str, said: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_dataset(failing(source_of(60), 50, KeyboardInterrupt), tmp_path / "d")
    level = tmp_path / ".d.partial" / "level-03.npy"
    if damage == "cut":
        level.write_bytes(level.read_bytes()[:1000])
    elif damage == "removed":
        level.unlink()
    else:
        (tmp_path / ".d.partial" / "journal.json").write_text("{")
    lines: list[str] = []
    write_dataset(source_of(60), tmp_path / "d", print_line=lines.append)
    assert len(lines) == 1 and lines[0].startswith(said)
    require_consistent(tmp_path / "d", list(range(60)), 8, 3)


@pytest.mark.parametrize("name", ["journal.json", "level-03.npy", "level-03.offsets.npy"])
def test_a_disk_that_fails_while_a_creation_is_continued_loses_nothing(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = {"compress": "offsets" in name}
    with pytest.raises(KeyboardInterrupt):
        write_dataset(failing(source_of(60), 50, KeyboardInterrupt), tmp_path / "d", **how)
    before, real = files_of(tmp_path / ".d.partial"), Path.open

    def open_(path: Path, *arguments: object, **options: object) -> object:
        if path.name == name:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return real(path, *arguments, **options)  # type: ignore[call-overload]

    with monkeypatch.context() as patch, pytest.raises(OSError, match=f"error: .*{name}"):
        patch.setattr(Path, "open", open_)
        write_dataset(source_of(60), tmp_path / "d", **how)
    assert files_of(tmp_path / ".d.partial") == before
    lines: list[str] = []
    write_dataset(source_of(60), tmp_path / "d", print_line=lines.append, **how)
    assert lines[0].startswith("Continuing an interrupted creation: ")
    require_consistent(tmp_path / "d", list(range(60)), 8, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"source": replace(source_of(60), identity="others")},
        {"source": source_of(61)},
        {"on_error": "skip"},
        {"seed": 3},
        {"holdout": 0.2},
        {"options": {"crop": "pad"}},
    ],
)
def test_another_dataset_is_not_continued(tmp_path: Path, change: dict) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_dataset(failing(source_of(60), 50, KeyboardInterrupt), tmp_path / "d")
    before = files_of(tmp_path / ".d.partial")
    settings = {"source": source_of(60), **change}
    with pytest.raises(UserError, match="partial holds an unfinished dataset .*Repeat the command"):
        write_dataset(settings.pop("source"), tmp_path / "d", **settings)
    assert files_of(tmp_path / ".d.partial") == before


def test_a_full_disk_can_be_cleared_and_the_rest_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ArrayWriter.append
    monkeypatch.setattr(
        ArrayWriter,
        "append",
        lambda self, rows: real(self, rows) if (self.num_rows < 30) else full(),
    )

    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_dataset(source_of(60), tmp_path / "d")
    monkeypatch.undo()
    write_dataset(source_of(60), tmp_path / "d")
    require_consistent(tmp_path / "d", list(range(60)), 8, 3)


def test_a_full_disk_is_noticed_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = sum(
        file.num_bytes
        for file in write_dataset(source_of(10), tmp_path / "first").list_array_files()
    )
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=exact))
    write_dataset(source_of(10), tmp_path / "second")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=exact - 1))
    with pytest.raises(UserError, match="third needs 2.8 KiB, but .*Free 1 bytes"):
        write_dataset(source_of(10), tmp_path / "third")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_a_source_that_fails_is_continued(tmp_path: Path, on_error: str) -> None:
    source, lines = source_of(60), list[str]()
    with pytest.raises(SourceFailure):
        write_dataset(failing(source, 50, SourceFailure), tmp_path / "d", on_error=on_error)
    write_dataset(source, tmp_path / "d", on_error=on_error, print_line=lines.append)
    assert lines[0].startswith("Continuing an interrupted creation: ")
    require_consistent(tmp_path / "d", list(range(60)), 8, 3)


def test_an_existing_dataset_is_not_touched(tmp_path: Path) -> None:
    first = write_dataset(source_of(3), tmp_path / "d")
    with pytest.raises(UserError, match="exists already and is not empty"):
        write_dataset(source_of(4), tmp_path / "d")
    assert Dataset.open(tmp_path / "d").info == first


def test_a_source_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No images left to write from numbers"):
        write_dataset(source_of(0), tmp_path / "d")


@settings(deadline=None)
@given(st.integers(0, 50), st.none() | st.integers(1, 60), st.none() | st.integers(0, 2**32 - 1))
def test_chosen_images_are_ascending_and_as_many_as_wanted(
    count: int, max_images: int | None, seed: int | None
) -> None:
    rows = select_rows(count, max_images, seed).tolist()
    assert rows == sorted(set(rows))
    assert len(rows) == (count if max_images is None else min(count, max_images))
    assert all(0 <= row < count for row in rows)
    if seed is None:
        assert rows == list(range(len(rows)))


def test_a_seed_chooses_from_everywhere() -> None:
    assert select_rows(1000, 10, 1).tolist() == select_rows(1000, 10, 1).tolist()
    assert select_rows(1000, 10, 1).tolist() != select_rows(1000, 10, 2).tolist()
    assert select_rows(1000, 10, 1).max() > 500


def test_the_info_returned_is_the_one_on_disk(tmp_path: Path) -> None:
    info = write_dataset(source_of(3), tmp_path / "d")
    assert DatasetInfo.from_json((tmp_path / "d/dataset.json").read_text()) == info


@dataclass(frozen=True)
class Doubting:
    """Images of which every fifth is doubtful."""

    read: Reader

    def __call__(self, row: int) -> Sample:
        doubt = SkippedImage(f"{row}.png", "looks odd") if row % 5 == 0 else None
        return replace(self.read(row), doubt=doubt)


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_doubtful_images_are_named_or_left_out_however_often_it_is_interrupted(
    tmp_path: Path, on_error: str
) -> None:
    source = replace(source_of(60), read=Doubting(Reader(8, 3)))
    named: list[list[SkippedImage]] = []
    for dest, stops in (("whole", []), ("parts", [13, 40])):
        how = {"on_error": on_error, "print_doubtful": lambda items: named.append(list(items))}
        for stop in stops:
            with pytest.raises(KeyboardInterrupt):
                write_dataset(failing(source, stop, KeyboardInterrupt), tmp_path / dest, **how)
        info = write_dataset(source, tmp_path / dest, **how)
        odd = [SkippedImage(f"{row}.png", "looks odd") for row in range(0, 60, 5)]
        assert list(info.skipped) == (odd if on_error == "skip" else [])
        assert named == ([] if on_error == "skip" else [odd])
        named.clear()
        require_consistent(
            tmp_path / dest, [row for row in range(60) if on_error == "stop" or (row % 5)], 8, 3
        )


def test_a_complete_dataset_that_could_not_be_renamed_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second call reads no image again."""

    def replace_files_only(temporary: Path, dest: Path) -> None:
        if temporary.is_dir():
            raise OSError(errno.EBUSY, "Device or resource busy")
        temporary.rename(dest)

    with monkeypatch.context() as patch:
        patch.setattr("progan.runtime.files.os.replace", replace_files_only)
        with pytest.raises(OSError, match="busy"):
            write_dataset(source_of(20), tmp_path / "d")
    said: list[str] = []
    source = failing(source_of(20), 0, ZeroDivisionError)
    info = write_dataset(source, tmp_path / "d", print_line=said.append)
    assert "made all images" in said[0]
    require_consistent(tmp_path / "d", list(range(20)), 8, 3)
    assert Dataset.open(tmp_path / "d").info == info
    assert not (tmp_path / "d" / "journal.json").exists()


def test_files_that_cannot_be_continued_are_closed(tmp_path: Path) -> None:
    info = write_dataset(source_of(4), tmp_path / "d")
    (tmp_path / "d" / "level-03.npy").write_bytes(b"short")
    with pytest.raises(ValueError, match="bytes short") as error:  # keeps all objects alive
        DatasetArrays(tmp_path / "d", info, info.count)
    buffers = [each for each in gc.get_objects() if isinstance(each, io.BufferedIOBase)]
    names = {str(each.name) for each in buffers if not each.closed and hasattr(each, "name")}
    assert not any(name.startswith(str(tmp_path)) for name in names), error

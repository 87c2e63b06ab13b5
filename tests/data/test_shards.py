"""Datasets made in parts are what they would have been in one piece."""

import errno
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from progan.cli.dataset import main
from progan.data.array_files import DatasetArrays
from progan.data.image_source import ImageSource, Sample, UnreadableImage
from progan.data.importers.images import ImageOptions, import_images
from progan.data.shards import DatasetShard, merge_shards, select_shard
from progan.data.writer import write_dataset
from progan.errors import UserError


def source_of(count: int, bad: frozenset[int] = frozenset()) -> ImageSource:
    """Noise with labels and landmarks, some of it unreadable."""

    def read(row: int) -> Sample:
        if row in bad:
            raise UnreadableImage(f"{row}.png", "it is bad")
        random = np.random.RandomState(row)
        return Sample(
            random.randint(0, 256, (8, 8, 3)).astype(np.uint8), random.rand(5, 2).astype(np.float32)
        )

    return ImageSource(
        description="noise",
        resolution=8,
        channels=3,
        count=count,
        read=read,
        has_landmarks=True,
        labels=np.arange(count) % 3,
        label_names=("a", "b", "c"),
    )


@pytest.fixture(autouse=True)
def _compress_small_images_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("progan.data.writer.COMPRESSED_FROM", 3)


def make_parts(source: ImageSource, dest: Path, total: int, **how: object) -> None:
    for number in range(1, total + 1):
        part = DatasetShard(number, total)
        write_dataset(select_shard(source, part), part.folder(dest), on_error="skip", **how)


@settings(max_examples=20, deadline=None)
@given(
    count=st.integers(12, 40),
    total=st.integers(1, 4),
    bad=st.frozensets(st.integers(3, 40), max_size=4),
    compress=st.booleans(),
)
def test_parts_make_the_whole(count: int, total: int, bad: frozenset[int], compress: bool) -> None:
    source = source_of(count, bad)
    with tempfile.TemporaryDirectory() as folder:
        whole, dest = Path(folder, "whole", "d"), Path(folder, "parts", "d")
        write_dataset(source, whole, on_error="skip", compress=compress)
        dest.parent.mkdir()
        make_parts(source, dest, total, compress=compress)
        merge_shards(dest)
        for path in whole.iterdir():
            assert (dest / path.name).read_bytes() == path.read_bytes(), path.name
        assert len(list(dest.iterdir())) == len(list(whole.iterdir()))


@given(count=st.integers(0, 10**9), total=st.integers(1, 50))
def test_parts_are_disjoint_complete_and_even(count: int, total: int) -> None:
    ranges = [DatasetShard(number, total).rows(count) for number in range(1, total + 1)]
    assert ranges[0].start == 0 and ranges[-1].stop == count
    assert all(one.stop == other.start for one, other in zip(ranges, ranges[1:], strict=False))
    assert max(map(len, ranges)) - min(map(len, ranges)) <= 1


def test_held_out_images_stay_held_out(tmp_path: Path) -> None:
    make_parts(source_of(40), tmp_path / "d", 2, holdout=0.2)
    info = merge_shards(tmp_path / "d")
    assert info.holdout_count == 8
    rows = np.load(tmp_path / "d" / "holdout.npy")
    assert (rows < 20).sum() == 4 and (np.diff(rows) > 0).all()


def test_parts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    dest = tmp_path / "d"
    with pytest.raises(UserError, match="No parts beside"):
        merge_shards(dest)
    make_parts(source_of(40), dest, 3)
    second = DatasetShard(2, 3).folder(dest)
    second.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="1 of the 3 parts .* missing .*: d.part-2-of-3. Make"):
        merge_shards(dest)
    write_dataset(select_shard(source_of(40), DatasetShard(2, 3)), second, options={"crop": "pad"})
    with pytest.raises(UserError, match="part-2-of-3 is of another dataset .*its options is"):
        merge_shards(dest)
    assert not dest.exists()


def test_any_name_has_parts_and_other_files_are_none(tmp_path: Path) -> None:
    dest = tmp_path / "faces[64]"
    make_parts(source_of(10), dest, 2)
    for name in (".part-1-of-2.bak", ".part-a-of-b"):
        (tmp_path / f"faces[64]{name}").mkdir()
    assert merge_shards(dest).count == 10


def test_parts_of_several_divisions_are_named(tmp_path: Path) -> None:
    dest = tmp_path / "c"
    make_parts(source_of(10), dest, 3)
    (tmp_path / "c.part-1-of-1").mkdir()
    with pytest.raises(UserError) as caught:
        merge_shards(dest)
    assert str(caught.value) == (
        f"Parts of several divisions are beside {dest}:\n"
        "  of 1 part: c.part-1-of-1\n"
        "  of 3 parts: c.part-1-of-3, c.part-2-of-3, c.part-3-of-3\n"
        "Keep the folders of one division, and remove those of the others."
    )


def test_more_parts_than_images_are_refused() -> None:
    with pytest.raises(UserError, match="noise has 12 images, too few for 13 parts. Ask for 12"):
        select_shard(source_of(12, frozenset()), DatasetShard(1, 13))


def test_damaged_parts_are_refused(tmp_path: Path) -> None:
    dest = tmp_path / "d"
    make_parts(source_of(40), dest, 2)
    level = np.load(DatasetShard(1, 2).folder(dest) / "level-03.npy", mmap_mode="r+")
    level[0, 0, 0, 0] ^= 1
    level.flush()
    with pytest.raises(UserError, match="part-1-of-2: level-03.npy has other content"):
        merge_shards(dest)
    assert not dest.exists()


@pytest.mark.parametrize("text", ["3", "0/4", "5/4", "a/b", "1/", "-1/3", "1/3/4"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is not a part such as 3/10"):
        DatasetShard.parse(text)


def test_parts_are_named_in_order() -> None:
    assert DatasetShard.parse("3/10").folder(Path("x/d")) == Path("x/d.part-03-of-10")


def test_parts_of_other_images_are_refused(tmp_path: Path) -> None:
    """An image was added between the two calls."""
    source, dest = tmp_path / "in", tmp_path / "d"
    source.mkdir()
    for number in range(5):
        pixels = np.random.RandomState(number).randint(256, size=(8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(source / f"{number}.png")
    words = ["create-from-images", "--source", str(source), "--dest", str(dest), "--shard"]
    for part in ("1/2", "2/2"):
        assert CliRunner().invoke(main, [*words, part]).exit_code == 0
    whole = write_dataset(import_images(source, ImageOptions(), print), tmp_path / "whole")
    merged = merge_shards(dest)
    assert merged.checksums == whole.checksums
    assert "whole_source" not in merged.options
    shutil.rmtree(dest)
    shutil.rmtree(tmp_path / "d.part-2-of-2")
    (source / "0.png").rename(source / "9.png")
    assert CliRunner().invoke(main, [*words, "2/2"]).exit_code == 0
    with pytest.raises(UserError, match="part-2-of-2 is a part of other images than the first"):
        merge_shards(dest)
    assert not dest.exists() and not list(tmp_path.glob(".d*"))


def test_a_part_that_is_all_held_out_is_refused() -> None:
    source = replace(source_of(4), held_out=np.array([2, 3]))
    with pytest.raises(UserError, match="All 2 images of part 2/2 are held out. Ask for fewer"):
        select_shard(source, DatasetShard(2, 2))


def test_leftovers_of_a_killed_merge_are_free_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_parts(source_of(12), tmp_path / "d", 2)
    needed = write_dataset(source_of(12), tmp_path / "whole").num_bytes
    left = tmp_path / ".d.partial" / "level-03.npy"
    left.parent.mkdir()
    left.write_bytes(bytes(1000))
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: real._replace(free=needed - 1000 * left.exists())
    )
    assert merge_shards(tmp_path / "d").count == 12


def test_a_full_disk_is_noticed_before_the_parts_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_damaged_files(*_: object) -> list[str]:
        raise AssertionError("nothing needs to be read")

    make_parts(source_of(12), tmp_path / "d", 2)
    monkeypatch.setattr("progan.data.shards.find_damaged_files", find_damaged_files)
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=10))
    with pytest.raises(UserError, match="d needs .* KiB, but"):
        merge_shards(tmp_path / "d")
    assert not list(tmp_path.glob(".d*"))


def test_a_merge_needs_a_place_that_can_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d").mkdir()
    monkeypatch.chdir(tmp_path / "d")
    result = CliRunner().invoke(main, ["verify", str(tmp_path / "d"), "--merge"])
    assert result.exit_code == 1
    assert "is the folder you are in, which cannot be replaced" in result.output


def test_a_merge_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    make_parts(source_of(12), tmp_path / "d", 2)
    monkeypatch.setattr(DatasetArrays, "close_and_hash", fail)
    with pytest.raises(OSError, match="No space"):
        merge_shards(tmp_path / "d")
    assert not list(tmp_path.glob(".d*"))

"""LSUN's own database, written on the spot."""

import io
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from progan.cli.dataset import main
from progan.data.importers.photo_datasets import import_lsun
from progan.data.reader import Dataset
from progan.errors import UserError

WHOLE = np.random.RandomState(0).randint(0, 256, (6, 16, 24, 3)).astype(np.uint8)


def webp(pixels: np.ndarray) -> bytes:
    """As LSUN stores them, but lossless."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "WEBP", lossless=True, exact=True)
    return stream.getvalue()


def database(folder: Path, entries: dict[bytes, bytes]) -> Path:
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(folder / "bedroom"), map_size=1 << 20) as environment:
        with environment.begin(write=True) as transaction:
            for key, value in entries.items():
                transaction.put(key, value)
    return folder / "bedroom"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return database(tmp_path, {f"key{row}".encode(): webp(WHOLE[row]) for row in range(6)})


def test_the_middle_of_each_photograph(source: Path) -> None:
    images = import_lsun(source, resolution=16)
    assert (images.resolution, images.channels, images.count) == (16, 3, 6)
    for row in range(6):
        np.testing.assert_array_equal(images.read(row).image, WHOLE[row, :, 4:20])


def test_photographs_are_resized(source: Path) -> None:
    boxes = WHOLE[0, :, 4:20].reshape(4, 4, 4, 4, 3).mean((1, 3))
    image = import_lsun(source, resolution=4, resize_filter="box").read(0).image
    np.testing.assert_allclose(image, boxes, atol=1.01)


def test_some_of_them(source: Path) -> None:
    first = import_lsun(source, resolution=16, max_images=2)
    np.testing.assert_array_equal(first.read(1).image, WHOLE[1, :, 4:20])
    del first  # a process opens a database only once
    drawn = import_lsun(source, resolution=16, max_images=3, seed=1)
    originals = [
        int(np.flatnonzero((WHOLE[:, :, 4:20] == drawn.read(row).image).all((1, 2, 3)))[0])
        for row in range(3)
    ]
    assert originals == sorted(np.random.RandomState(1).permutation(6)[:3])


def test_a_bad_image_stops_or_is_skipped(tmp_path: Path) -> None:
    entries = {b"a": webp(WHOLE[0]), b"b": webp(WHOLE[1])[:40], b"c": b"", b"d": webp(WHOLE[2])}
    source = database(tmp_path, entries)
    shutil.copytree(source, tmp_path / "copy")  # a process opens a database only once
    words = ["create_lsun", "--dest", str(tmp_path / "d"), "--resolution", "16", "--workers", "2"]
    result = CliRunner().invoke(main, [*words, "--source", str(source)])
    assert result.exit_code == 1
    assert "2 of 4 images" in result.output and "\n  b: " in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bedroom", "copy"]
    result = CliRunner().invoke(
        main, [*words, "--source", str(tmp_path / "copy"), "--on-error", "skip"]
    )
    assert result.exit_code == 0, result.output
    dataset = Dataset.open(tmp_path / "d")
    np.testing.assert_array_equal(dataset.images(4, np.arange(2)), WHOLE[[0, 2], :, 4:20])
    assert [(item.path, item.reason) for item in dataset.info.skipped][1] == ("c", "an empty file")


def test_what_is_no_database(tmp_path: Path) -> None:
    pytest.importorskip("lmdb")
    with pytest.raises(UserError, match="No data.mdb in --source"):
        import_lsun(tmp_path)
    (tmp_path / "data.mdb").write_bytes(b"text" * 2000)
    with pytest.raises(UserError, match="Cannot read .*data.mdb"):
        import_lsun(tmp_path)
    with pytest.raises(UserError, match="is empty"):
        import_lsun(database(tmp_path, {}))
    with pytest.raises(UserError, match="--resolution must be a power of two"):
        import_lsun(tmp_path, resolution=100)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(UserError, match=r"needs the package lmdb: pip install lmdb"):
        import_lsun(tmp_path)

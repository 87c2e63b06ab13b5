"""Images in the shards of a WebDataset."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from progan.cli.dataset import main
from progan.data.reader import open_dataset
from tests.builders import message
from tests.data.importers.test_parquet import pixels, png
from tests.data.importers.test_tar_source import add


def write(path: Path, rows: range, **parts: bool) -> Path:
    """Write a shard with .png, .cls, .json and .txt of each sample, but those that are False."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for row in rows:
            values = {"label": ["dog", "cat"][row % 2], "row": row}
            contents = {
                "png": png(row), "cls": str(row % 3).encode(), "txt": b"a caption",
                "json": json.dumps(values).encode(), "seg.png": png(row + 100),
            }  # fmt: skip
            for extension, content in contents.items():
                if parts.get(extension.replace(".", "_"), extension != "seg.png"):
                    add(archive, f"{row:06d}.{extension}", content)
    return path


def run(source: object, dest: Path, *words: str) -> Result:
    arguments = ["create-from-webdataset", "--source", str(source), "--dest", str(dest), *words]
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    write(tmp_path / "shards" / "train-00.tar", range(5))
    write(tmp_path / "shards" / "train-01.tar", range(5, 9))
    return tmp_path / "shards"


@pytest.mark.parametrize("name", ["", "train-{00..01}.tar"])
def test_shards_make_one_dataset(name: str, shards: Path, tmp_path: Path) -> None:
    result = run(shards / name, tmp_path / "made")
    assert result.exit_code == 0, result.output
    assert "2 shards with 9 samples." in result.output
    dataset = open_dataset(tmp_path / "made", "")
    rows = np.arange(9)
    assert (dataset.images(4, rows) == [pixels(row) for row in rows]).all()
    assert dataset.labels(rows).tolist() == [row % 3 for row in rows]
    assert dataset.label_names == ("0", "1", "2")


def test_hidden_files_are_no_shards(shards: Path, tmp_path: Path) -> None:
    (shards / "._train-00.tar").write_bytes(b"metadata of macOS")
    (shards / ".old").mkdir()
    (shards / ".old" / "train-00.tar").write_bytes(b"x")
    result = run(shards, tmp_path / "made")
    assert "2 shards with 9 samples." in result.output
    assert "1 file or folder of macOS metadata is ignored (._train-00.tar)." in result.output
    assert "1 hidden file or folder is ignored (.old/train-00.tar)." in result.output


def test_shards_of_one_name_in_several_folders_make_one_dataset(tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / "shards" / str(number) / "a.tar", range(5 * number, 5 * number + 5))
    result = run(tmp_path / "shards", tmp_path / "made")
    assert "2 shards with 10 samples." in result.output
    rows = np.arange(10)
    images = open_dataset(tmp_path / "made", "").images(4, rows)
    assert (images == [pixels(row) for row in rows]).all()


def test_labels_of_json_and_none(shards: Path, tmp_path: Path) -> None:
    assert run(shards, tmp_path / "a", "--label-key", "label").exit_code == 0
    dataset = open_dataset(tmp_path / "a", "")
    assert dataset.label_names == ("cat", "dog")
    assert dataset.labels(np.arange(9)).tolist() == [1 - row % 2 for row in range(9)]
    assert run(shards, tmp_path / "b", "--label-key", "none").exit_code == 0
    assert open_dataset(tmp_path / "b", "").label_size == 0


def test_samples_with_several_images(tmp_path: Path) -> None:
    source = write(tmp_path / "s" / "a.tar", range(4), seg_png=True)
    result = run(source, tmp_path / "made")
    assert result.exit_code == 1
    assert "png (4), seg.png (4). Name one with --image-key." in message(result)
    assert run(source, tmp_path / "made", "--image-key", "seg.png").exit_code == 0
    found = open_dataset(tmp_path / "made", "").images(4, np.arange(4))
    assert (found == [pixels(row + 100) for row in range(4)]).all()


def test_mistakes(shards: Path, tmp_path: Path) -> None:
    write(shards.parent / "unlabelled" / "a.tar", range(3), cls=False, json=False)
    half = write(shards.parent / "half" / "a.tar", range(3))
    write(half.with_name("b.tar"), range(3, 6), cls=False)
    write(shards.parent / "texts" / "a.tar", range(3), png=False)
    (tmp_path / "none").mkdir()
    for source, words, expected in (
        (shards / "train-{00..03}.tar", (), ("train-02.tar does not exist, and 1 more",)),
        (shards, ("--label-key", "colour"), ("has no 'colour'",)),
        (shards, ("--image-key", "jpg"), ("No sample has an image .jpg", "png (9)")),
        (tmp_path / "unlabelled", ("--label-key", "label"), ("000000.json is missing",)),
        (tmp_path / "texts", (), ("No images in the shards",)),
        (tmp_path / "none", (), ("No tar files in",)),
    ):
        result = run(source, tmp_path / "made", *words)
        assert result.exit_code == 1, source
        for text in expected:
            assert text in message(result)
        assert not (tmp_path / "made").exists()
    result = run(tmp_path / "half", tmp_path / "made")
    assert result.exit_code == 0 and "3 of 6 samples have no .cls" in result.output


@pytest.mark.parametrize("key", ["cls", "label"])
def test_a_part_has_the_classes_of_the_whole(key: str, tmp_path: Path) -> None:
    source = write(tmp_path / "a.tar", range(9))
    words = ["--label-key", "label"] if key == "label" else []
    result = run(source, tmp_path / "made", "--max-images", "1", *words)
    dataset = open_dataset(tmp_path / "made", "")
    names = ("cat", "dog") if words else ("0", "1", "2")
    assert dataset.label_names == names
    assert dataset.labels(np.arange(1)).tolist() == [names.index("dog") if words else 0]
    assert f"{len(names) - 1} class" in result.output and "no image among those" in result.output

"""Names of classes that are hard to handle, from the label table to files."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from progan.cli.dataset import main
from progan.data.format import INFO_FILE
from progan.data.image_source import ImageSource, Sample
from progan.data.reader import Dataset
from progan.data.writer import write_dataset

HARD = (
    "..", ".", "", "a/b", "a-b", "A-B", "../../x", "/abs", "a\\b", ".hidden", "con", "nul.txt",
    "__MACOSX", "a\0b", "a\nb", "\x1b[31mred", "end.", "end ", "end", "x" * 300, "x" * 301,
    "é" * 150, "café", "cafe\u0301", "\ud800", "class-0",
)  # fmt: skip


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def dataset_of(dest: Path, names: Sequence[str]) -> Dataset:
    """Two images of noise for each class."""
    count = 2 * len(names)
    images = np.random.RandomState(0).randint(0, 256, (count, 4, 4, 3)).astype(np.uint8)
    write_dataset(
        ImageSource(
            description="noise", resolution=4, channels=3, count=count,
            read=lambda row: Sample(images[row]), labels=np.arange(count) % len(names),
            label_names=tuple(names),
        ),
        dest, options={},
    )  # fmt: skip
    return Dataset.open(dest)


def images_by_class(dataset: Dataset) -> dict[str, list[bytes]]:
    rows = np.arange(len(dataset))
    found: dict[str, list[bytes]] = {}
    for image, label in zip(dataset.images(2, rows), dataset.labels(rows), strict=True):
        found.setdefault(dataset.label_names[label], []).append(image.tobytes())
    return {name: sorted(images) for name, images in found.items()}


def test_extract_writes_inside_the_destination_only_and_keeps_classes_apart(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "data", HARD)
    out = tmp_path / "outside" / "out"
    out.parent.mkdir()
    (out.parent / "00.png").write_bytes(b"precious")
    result = run("extract", "--source", dataset.path, "--dest", out)
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.parent.iterdir()} == {"out", "00.png"}
    assert (out.parent / "00.png").read_bytes() == b"precious"
    folders = [path for path in out.iterdir() if path.is_dir()]
    assert len({path.name.casefold() for path in folders}) == len(HARD)
    assert all(len(list(folder.iterdir())) == 2 for folder in folders)
    assert "  '..': class-0-2\n" in result.stderr and "a/b" in result.stderr
    assert "\x1b" not in result.output


def test_what_was_extracted_has_the_same_classes_again(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "data", HARD)
    assert run("extract", "--source", dataset.path, "--dest", tmp_path / "out").exit_code == 0
    result = run("create-from-images", "--source", tmp_path / "out", "--dest", tmp_path / "again")
    assert result.exit_code == 0, result.output
    assert images_by_class(Dataset.open(tmp_path / "again")) == images_by_class(dataset)


@pytest.mark.parametrize("names", [("cat", "dog"), ("only",)])
def test_ordinary_names_are_those_of_the_folders(tmp_path: Path, names: tuple[str, ...]) -> None:
    dataset = dataset_of(tmp_path / "data", names)
    result = run("extract", "--source", dataset.path, "--dest", tmp_path / "out")
    assert result.stderr == ""
    assert {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()} == set(names)
    assert (tmp_path / "out" / INFO_FILE).exists() == (len(names) == 1)  # folders would not tell
    assert (
        run(
            "create-from-images", "--source", tmp_path / "out", "--dest", tmp_path / "again"
        ).exit_code
        == 0
    )
    assert images_by_class(Dataset.open(tmp_path / "again")) == images_by_class(dataset)


def test_info_shows_names_without_acting_on_them(tmp_path: Path) -> None:
    result = run("info", dataset_of(tmp_path / "data", ("\x1b[31mred", "a\nb", "\ud800")).path)
    assert result.exit_code == 0
    assert "\x1b" not in result.output
    assert [line.split()[-2:] for line in result.output.splitlines() if "\\" in line] == [
        ["\\x1b[31mred", "2"],
        ["a\\nb", "2"],
        ["\\ud800", "2"],
    ]


def test_the_name_of_a_dataset_does_not_leave_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = dataset_of(tmp_path / "data", ("a", "b"))
    info = dataset.path / INFO_FILE
    info.write_text(info.read_text().replace('"name": "data"', '"name": "../up"'))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    result = run("display", dataset.path)
    assert result.stdout == "-up-sheet.png\n"
    assert os.listdir(tmp_path / "here") == ["-up-sheet.png"]

"""Labels from CSV files and from StyleGAN's dataset.json."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from progan.cli.dataset import main
from progan.data.importers.images import ImageOptions, import_images
from progan.data.importers.label_tables import csv_table, read_table, stylegan_table, table_labels
from progan.data.importers.labels import Labels
from progan.data.reader import Dataset
from progan.errors import UserError

PATHS = ["00000/img0.png", "00000/img1.png", "00001/img2.png"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for value, path in enumerate(PATHS):
        (tmp_path / "in" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), value).save(tmp_path / "in" / path)
    return tmp_path / "in"


def labels_of(source: Path, **options: object) -> tuple[list[int] | None, tuple[str, ...], str]:
    """Labels, their names, and what was said."""
    said: list[str] = []
    settings = ImageOptions(**options)  # type: ignore[arg-type]
    images = import_images(source, settings, said.append)
    labels = None if images.labels is None else images.labels.tolist()
    return labels, images.label_names, "\n".join(said)


def stylegan(labels: object) -> str:
    return json.dumps({"labels": labels})


def zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return folder.with_suffix(".zip")


def test_a_csv_file_names_classes(folder: Path) -> None:
    table = folder.parent / "labels.csv"
    table.write_text("\ufeffPath, Label\n00001/img2.png,wren 10\n\n./00000/img0.png,wren 9\n"
                     '00000\\img1.png,"wren 9"\nabsent.png,owl\n', "utf-8")
    labels, names, said = labels_of(folder, labels=str(table))
    assert names == ("owl", "wren 9", "wren 10")
    assert labels == [1, 1, 2]
    assert f"3 labels from {table}" in said
    assert "Only 2 of them" in said


@pytest.mark.parametrize("pack", [lambda path: path, zipped], ids=["folder", "zip"])
def test_stylegan_json_is_found_in_the_root(folder: Path, pack: object) -> None:
    pairs = [[path, label] for path, label in zip(PATHS, [6, 0, 6], strict=True)]
    (folder / "dataset.json").write_text(stylegan(pairs))
    source = pack(folder)  # type: ignore[operator]
    labels, names, said = labels_of(source)
    assert labels == [6, 0, 6]
    assert names == tuple("0123456")
    assert "7 labels from dataset.json" in said
    assert "ignored" not in said
    assert labels_of(source, labels="none")[0] is None
    assert labels_of(source, labels="folders")[:2] == ([0, 0, 1], ("00000", "00001"))
    assert labels_of(source, labels=str(folder / "dataset.json"))[0] == [6, 0, 6]


def test_stylegan_json_without_labels_means_none(folder: Path) -> None:
    (folder / "dataset.json").write_text(stylegan(None))
    assert labels_of(folder)[0] is None
    assert labels_of(folder, labels="folders")[0] == [0, 0, 1]
    with pytest.raises(UserError, match="has no list of labels"):
        labels_of(folder, labels=str(folder / "dataset.json"))


@pytest.mark.parametrize("text", ['{"format": "something else"}', "[]", "3"])
def test_another_dataset_json_is_left_alone(folder: Path, text: str) -> None:
    (folder / "dataset.json").write_text(text)
    assert labels_of(folder)[0] == [0, 0, 1]


def test_images_without_a_label_are_listed(folder: Path) -> None:
    (folder / "dataset.json").write_text(stylegan([[PATHS[0], 0], [PATHS[1], None]]))
    dest = folder.parent / "d"
    words = ["create_from_images", "--source", str(folder), "--dest", str(dest)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert ("2 of 3 images have no label in dataset.json:\n  00000/img1.png: no label\n"
            "  00001/img2.png: no label\n") in result.output
    assert "--labels none" in result.output
    assert not dest.exists()
    (folder.parent / "l.csv").write_text("".join(f"{path},bird\n" for path in PATHS))
    result = CliRunner().invoke(main, [*words, "--labels", str(folder.parent / "l.csv")])
    assert result.exit_code == 0, result.output
    dataset = Dataset.open(dest)
    assert dataset.label_names == ("bird",)
    assert dataset.labels(np.arange(3)).tolist() == [0, 0, 0]


def test_names_in_json() -> None:
    table = stylegan_table(stylegan([["a", "dog"], ["b", "cat"]]).encode(), "x")
    assert table is not None
    assert table.names == ("cat", "dog")
    labels, names = table_labels(table, ["a", "b", "a"])
    assert labels is not None
    assert (labels.tolist(), names) == ([1, 0, 1], ("cat", "dog"))


def test_an_empty_table_gives_no_labels() -> None:
    table = stylegan_table(b'{"labels": null}', "x")
    assert table is not None
    assert table_labels(table, ["a"]) == Labels(None, ())


@pytest.mark.parametrize(("text", "message"), [
    ("a.png,x\nb.png\n", "x: line 2 is 'b.png', not a path and a label"),
    ("a.png,x,y\n", "x: line 1 is 'a.png,x,y'"), ("a.png,\n", "x: line 1 is 'a.png,'"),
    ("a.png,x\n./a.png,y\n", "gives a.png two labels, x and y"),
    ("", "x has no label"), ("path,label\n", "x has no label"),
])
def test_csv_files_that_do_not_fit(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        csv_table(text.encode(), "x")


def test_text_of_another_encoding_is_named() -> None:
    with pytest.raises(UserError, match="x is not text in UTF-8"):
        csv_table("a.png,Wägitaler\n".encode("latin1"), "x")


@pytest.mark.parametrize(("labels", "message"), [
    ([["a", 1], ["a", 2]], "gives a two labels, 1 and 2"), ([], "x has no label"),
    ([["a", None]], "x has no label"), ({"a": 1}, "labels is .*, not a list"),
    ([["a", -1]], r'the entry \["a", -1\], not a path and its class'),
    ([["a", 0.5]], "not a path and its class"), ([["a", True]], "not a path and its class"),
    ([["a", [0, 1]]], "not a path and its class"), ([["a"]], "not a path and its class"),
    ([[1, 1]], "not a path and its class"), ([["a", 10**9]], "not a path and its class"),
])
def test_json_that_does_not_fit(labels: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        stylegan_table(stylegan(labels).encode(), "x")


def test_files_that_cannot_be_read(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="absent.csv: No such file .*auto, folders or none"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(UserError, match="Cannot read the labels foldres"):
        labels_of(folder, labels="foldres")
    (folder / "dataset.json").write_text("{")
    with pytest.raises(UserError, match="dataset.json is no JSON"):
        labels_of(folder)

"""Labels from CSV files and from StyleGAN's dataset.json."""

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from progan.cli.dataset import main
from progan.data.importers.images import ImageOptions, import_images
from progan.data.importers.label_arrays import Labels
from progan.data.importers.labels import (
    labels_from_table,
    parse_csv_table,
    parse_stylegan_table,
    read_label_table,
)
from progan.data.reader import Dataset
from progan.errors import UserError
from tests.for_each import for_each

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
    table.write_text(
        "\ufeffPath, Label\n00001/img2.png,wren 10\n\n./00000/img0.png,wren 9\n"
        '00000\\img1.png,"wren 9"\nabsent.png,owl\n',
        "utf-8",
    )
    labels, names, said = labels_of(folder, labels=str(table))
    assert names == ("wren 9", "wren 10")
    assert labels == [0, 0, 1]
    assert f"2 labels from {table}" in said
    assert (
        f"1 row of {table} names no image of the source, and makes no class:\n  absent.png: owl"
    ) in said
    assert "--seed" not in said


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
    assert (
        "2 of 3 images have no label in dataset.json:\n  00000/img1.png: no label\n"
        "  00001/img2.png: no label\n"
    ) in result.output
    assert "--labels none" in result.output
    assert not dest.exists()
    (folder.parent / "l.csv").write_text("".join(f"{path},bird\n" for path in PATHS))
    result = CliRunner().invoke(main, [*words, "--labels", str(folder.parent / "l.csv")])
    assert result.exit_code == 0, result.output
    dataset = Dataset.open(dest)
    assert dataset.label_names == ("bird",)
    assert dataset.labels(np.arange(3)).tolist() == [0, 0, 0]


def test_names_in_json() -> None:
    table = parse_stylegan_table(stylegan([["a", "dog"], ["b", "cat"]]).encode(), "x", ["a", "b"])
    assert table is not None
    assert table.names == ("cat", "dog")
    labels, names = labels_from_table(table, ["a", "b", "a"])
    assert labels is not None
    assert (labels.tolist(), names) == ([1, 0, 1], ("cat", "dog"))


def test_an_empty_table_gives_no_labels() -> None:
    table = parse_stylegan_table(b'{"labels": null}', "x", ["a"])
    assert table is not None
    assert labels_from_table(table, ["a"]) == Labels(None, ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png,x\nb.png\n", "x: line 2 is 'b.png', not a path and a label"),
        ("a.png,x,y\n", "x: line 1 is 'a.png,x,y'"),
        ("a.png,\n", "x: line 1 has no label for a.png"),
        ("a.png,x\n./a.png,y\n", "gives a.png two labels, x and y"),
        ("", "x has no label"),
        ("path,label\n", "x has no label"),
        ('a.png,"x\nb.png,y\n', "x cannot be read as CSV: unexpected end of data"),
        ("label\nx\n", "line 1 is 'label', not a path"),
        (
            "path,size,kind\na.png,4,x\n",
            "x has 3 columns, 'path', 'size', 'kind', and none is called",
        ),
        ("path,label\na.png,x,y\n", "line 2 is 'a.png,x,y'"),
    ],
)
def test_csv_files_that_do_not_fit(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_csv_table(text.encode(), "x", ["a.png", "b.png"])


def test_text_of_another_encoding_is_named() -> None:
    with pytest.raises(UserError, match="x is not text in UTF-8"):
        parse_csv_table("a.png,Wägitaler\n".encode("latin1"), "x", ["a.png"])


@for_each(
    ("labels", "message"),
    [
        ([["a", 1], ["a", 2]], "gives a two labels, 1 and 2"),
        ([], "x has no label"),
        ([["a", None]], "x has no label"),
        ({"a": 1}, "labels is .*, not a list"),
        ([["a", -1]], r'the entry \["a", -1\], not a path and its class'),
        ([["a", -1.0]], "not a path"),
        ([["a", float("nan")]], "not a path"),
        ([["a", float("inf")]], "not a path"),
        ([["a", 0.5]], "not a path and its class"),
        ([["a", True]], "not a path and its class"),
        ([["a", [0, 1]]], "not a path and its class"),
        ([["a"]], "not a path and its class"),
        ([[1, 1]], "not a path and its class"),
        ([["a", 10**9]], "not a path and its class"),
    ],
)
def test_json_that_does_not_fit(labels: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_stylegan_table(stylegan(labels).encode(), "x", ["a"])


def test_files_that_cannot_be_read(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="absent.csv: No such file .*auto, folders or none"):
        read_label_table(tmp_path / "absent.csv", [])
    with pytest.raises(UserError, match="Cannot read the labels foldres"):
        labels_of(folder, labels="foldres")
    for text in ("{", "[" * 100_000):
        (folder / "dataset.json").write_text(text)
        with pytest.raises(UserError, match="dataset.json is not JSON"):
            labels_of(folder)


ROWS = [("a 1.png", "cat"), ("b.png", "dog"), ("ü.png", "cat")]
NAMES = [name for name, _ in ROWS]


def class_names(text: str | bytes, where: str = "x.csv", paths: list[str] = NAMES) -> list[str]:
    """The name of the class of each image."""
    table = parse_csv_table(text.encode() if isinstance(text, str) else text, where, paths)
    return [table.names[table.class_of[path]] for path in paths]


@for_each(
    "head",
    [
        "",
        "path,label",
        "filename,label",
        "image_id,class",
        "ID,Species",
        "Image,Label",
        "file,category",
        "foo,bar",
        "Dateiname,Art",
        '"",""',
        "filepaths,labels",
    ],
)
@for_each("delimiter", [",", ";", "\t", "|"])
@for_each("end", ["\n", "\r\n", "\r"])
def test_headers_delimiters_and_line_ends(head: str, delimiter: str, end: str) -> None:
    lines = [head] * bool(head) + [f"{name},{label}" for name, label in ROWS]
    text = end.join(lines).replace(",", delimiter)
    for mark in ("", "\ufeff"):
        assert class_names(mark + text) == ["cat", "dog", "cat"]
    assert class_names(("\ufeff" + text).encode("utf-16-le")) == ["cat", "dog", "cat"]


@pytest.mark.parametrize(
    "text",
    [
        "label,filename\ncat,a 1.png\ndog,b.png\ncat,ü.png\n",
        "cat,a 1.png\ndog,b.png\ncat,ü.png\n",
        ",path,label\n0,a 1.png,cat\n1,b.png,dog\n2,ü.png,cat\n",
        "path,width,class\na 1.png,4,cat\nb.png,4,dog\nü.png,4,cat\n",
        "path,class_id,class_name\na 1.png,4,cat\nb.png,5,dog\nü.png,4,cat\n",
        "path,label,,\na 1.png,cat,,\nb.png,dog,,\n,,,\nü.png,cat,,\n",
        '"a 1.png" , "cat"\nb.png,"dog"\nü.png,cat'.replace('" ,', '",'),
    ],
)
def test_columns_are_found_by_the_images(text: str) -> None:
    assert class_names(text) == ["cat", "dog", "cat"]


def test_names_may_hold_delimiters_quotes_and_line_breaks() -> None:
    text = 'f,l\na.png,"cat, ""big"""\r\nb.png,"two\nlines"\nc.png,a\u2028b\x85c\n"d,e;.png",x;y\n'
    assert class_names(text, paths=["a.png", "b.png", "c.png", "d,e;.png"]) == [
        'cat, "big"',
        "two\nlines",
        "a\u2028b\x85c",
        "x;y",
    ]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("./a.png", "a.png"),
        ("x\\a.png", "x/a.png"),
        (".\\x\\.\\a.png", "x/a.png"),
        ("a.png", "./a.png"),
        ("cafe\u0301.png", "caf\u00e9.png"),
        ("caf\u00e9.png", "cafe\u0301.png"),
        ("A.PNG", "a.png"),
        ("a", "a.png"),
        ("x\\A", "X/a.jpeg"),
        ("a\\b.png", "a\\b.png"),
        ("a.b", "a.b.png"),
    ],
)
def test_spellings_of_one_name(name: str, path: str) -> None:
    assert class_names(f"{name},cat\n", paths=[path, "other.png"][:1]) == ["cat"]


@pytest.mark.parametrize(
    ("name", "other"),
    [("./a.png", "a.png"), ("A.png", "a.png"), ("cafe\u0301.png", "caf\u00e9.png"), ("a", "a.png")],
)
def test_one_image_has_one_label_however_it_is_spelt(name: str, other: str) -> None:
    with pytest.raises(UserError, match="two labels, cat and dog. An image has one class"):
        parse_csv_table(f"{other},cat\n{name},dog\n".encode(), "x", [other])
    assert parse_csv_table(f"{other},cat\n{name},cat\n".encode(), "x", [other]).names == ("cat",)


def test_names_that_mean_several_images_mean_none() -> None:
    table = parse_csv_table(b"a.png,cat\nA.png,dog\na.PNG,cow\n", "x", ["a.png", "A.png"])
    assert table.names == ("cat", "dog")
    assert table.unmatched == (("a.PNG", "cow"),)


def test_what_was_understood_is_told(folder: Path) -> None:
    table = folder.parent / "l.csv"
    table.write_text("file,kind\n00000/IMG0.png,1.0\n00000/img1,2.0\n00001/img2.png,10.0\n")
    labels, names, said = labels_of(folder, labels=str(table))
    assert (labels, names) == ([0, 1, 2], ("1", "2", "10"))
    assert "the images are in column 'file', their classes in column 'kind'" in said
    assert f"1 name in {table} differs from its image in case only, and was matched." in said
    assert f"1 name in {table} differs from its image in extension only, and was matched." in said
    assert "are taken as whole numbers" in said
    table.write_text("00000/img0.png,-1\n00000/img1.png,0\n00001/img2.png,0.5\n")
    labels, names, said = labels_of(folder, labels=str(table))
    assert names is not None and set(names) == {"-1", "0", "0.5"}
    assert "'-1' in " in said and "is the name of a class" in said


def test_numbers_that_count_from_one_are_told(folder: Path) -> None:
    for first, told in ((1, True), (0, False)):
        pairs = [[path, first + label] for path, label in zip(PATHS, [0, 1, 1], strict=True)]
        (folder / "dataset.json").write_text(stylegan(pairs))
        labels, names, said = labels_of(folder)
        assert names == tuple(map(str, range(first + 2)))
        assert ("The labels of dataset.json count from 1: class 0 has no image." in said) == told
        assert "--seed" not in said


def test_floats_in_json_are_indices(folder: Path) -> None:
    pairs = [[path, label] for path, label in zip(PATHS, [1.0, 0, 2.0], strict=True)]
    (folder / "dataset.json").write_text(stylegan([*pairs, ["gone.png", 7]]))
    labels, names, said = labels_of(folder)
    assert (labels, names) == ([1, 0, 2], ("0", "1", "2"))
    assert "1 row of dataset.json names no image of the source, and makes no class:" in said


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({}, ""),
        ({"max_images": 2}, "--seed 0 takes images from all over the source"),
        ({"max_images": 1}, "take more images with --max-images"),
        ({"max_images": 2, "seed": 3}, "take more images with --max-images"),
    ],
)
def test_advice_helps(folder: Path, options: dict[str, int], advice: str) -> None:
    (folder / "dataset.json").write_text(
        stylegan([[path, label] for path, label in zip(PATHS, [1, 1, 3], strict=True)])
    )
    labels, names, said = labels_of(folder, **options)
    assert len(names) == 4 and labels is not None
    if 3 in labels and 1 in labels:
        advice = ""
    assert ("no image among those taken" in said) == bool(advice)
    assert advice in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "a.png,cat\nb.png,\n",
            "x: line 2 has no label for b.png. Fill it in, or remove the image",
        ),
        ("a.png,cat\nb.png, \n", "x: line 2 has no label for b.png."),
        ("file,label,n\na.png,cat,1\nb.png,,2\n", "x: line 3 has no label for b.png."),
        ("a.png,cat\n,dog\n", "x: line 2 has no file name. Fill it in, or remove the row."),
    ],
)
def test_a_row_with_an_empty_cell_is_named(text: str, said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        parse_csv_table(text.encode(), "x", ["a.png", "b.png"])


def test_names_of_classes_that_differ_by_unicode_composition_are_one_class() -> None:
    table = parse_csv_table(
        "a.png,caf\u00e9\nb.png,cafe\u0301\nc.png,tea\n".encode(),
        "x.csv",
        ["a.png", "b.png", "c.png"],
    )
    assert table.names == ("caf\u00e9", "tea")
    assert table.class_of == {"a.png": 0, "b.png": 0, "c.png": 1}
    assert any("this is one class" in note for note in table.notes)


def test_whole_numbers_are_one_class_however_they_are_written() -> None:
    rows = "a.png,01\nb.png,1.0\nc.png,+1\nd.png,2\n"
    table = parse_csv_table(rows.encode(), "x", ["a.png", "b.png", "c.png", "d.png"])
    assert table.names == ("1", "2")
    assert [table.class_of[f"{name}.png"] for name in "abcd"] == [0, 0, 0, 1]
    assert any("'+1' are taken as whole numbers" in note for note in table.notes)


def test_labels_that_stand_for_none_are_pointed_out() -> None:
    table = parse_csv_table(b"a.png,cat\nb.png,nan\n", "x", ["a.png", "b.png"])
    assert any("'nan' in x is the name of a class" in note for note in table.notes)


def test_an_index_and_its_text_are_one_label() -> None:
    document = b'{"labels": [["a.png", 1], ["a.png", "1"], ["b.png", 0]]}'
    table = parse_stylegan_table(document, "x", ["a.png", "b.png"])
    assert table is not None and table.class_of == {"a.png": 1, "b.png": 0}

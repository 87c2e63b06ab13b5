"""Images in Parquet files, as hubs of datasets serve them."""

import errno
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from progan.cli.dataset import main
from progan.data.importers import parquet as importer
from progan.data.importers.images import ImageOptions
from progan.data.reader import open_dataset
from progan.errors import UserError
from tests.builders import message

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def pixels(number: int) -> np.ndarray:
    return np.random.RandomState(number).randint(256, size=(16, 16, 3), dtype=np.uint8)


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels(number)).save(buffer, "PNG")
    return buffer.getvalue()


def metadata(**features: Any) -> dict[str, str]:
    return {"huggingface": json.dumps({"info": {"features": features}})}


def write(path: Path, rows: range, *, group: int = 3, names: tuple[str, ...] = ("cat", "dog"),
          **extra: Any) -> Path:  # fmt: skip
    """Write a file as a hub would: structs of bytes and path, labels that the metadata name."""
    table = pa.table(
        {
            "image": pa.array([{"bytes": png(row), "path": f"{row}.png"} for row in rows], STRUCT),
            "label": pa.array([(row + 1) % 2 for row in rows], pa.int64()),
            **extra,
        }
    )
    label = {"names": list(names), "_type": "ClassLabel"}
    described = table.replace_schema_metadata(metadata(image={"_type": "Image"}, label=label))
    path.parent.mkdir(exist_ok=True)
    pq.write_table(described, path, row_group_size=group)
    return path


def run(source: Path, dest: Path, *words: str) -> Result:
    arguments = ["create-from-parquet", "--source", str(source), "--dest", str(dest), *words]
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


@pytest.mark.parametrize("largest", [1 << 28, 10])
def test_all_files_of_a_folder_make_one_dataset(
    largest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row groups held in memory, or, large ones, copied to a file."""
    monkeypatch.setattr(importer, "MAX_GROUP_BYTES", largest)
    write(tmp_path / "hub" / "train-2.parquet", range(7))
    write(tmp_path / "hub" / "train-10.parquet", range(7, 12))
    result = run(tmp_path / "hub", tmp_path / "made")
    assert result.exit_code == 0, result.output
    assert "2 labels from the column 'label'" in result.output
    dataset = open_dataset(tmp_path / "made", "")
    rows = np.arange(len(dataset))
    assert (dataset.images(4, rows) == [pixels(row) for row in range(12)]).all()
    assert dataset.labels(rows).tolist() == [(row + 1) % 2 for row in range(12)]
    assert dataset.label_names == ("cat", "dog")


def test_a_part_with_labels_of_the_images_taken(tmp_path: Path) -> None:
    source = write(tmp_path / "a.parquet", range(20))
    result = run(source, tmp_path / "made", "--max-images", "6", "--seed", "4", "--resolution", "8")
    assert result.exit_code == 0, result.output
    dataset = open_dataset(tmp_path / "made", "")
    taken = np.sort(np.random.RandomState(4).permutation(20)[:6])
    assert dataset.labels(np.arange(6)).tolist() == [(row + 1) % 2 for row in taken]
    assert dataset.resolution == 8


@pytest.mark.parametrize(
    ("column", "names"),
    [
        (pa.array([5, 0, 5], pa.int32()), ("0", "1", "2", "3", "4", "5")),
        (pa.array(["b10", "a", "b9"]), ("a", "b9", "b10")),
    ],
)
def test_plain_columns(column: Any, names: tuple[str, ...], tmp_path: Path) -> None:
    """Bytes without a struct, labels without metadata."""
    table = pa.table({"picture": [png(row) for row in range(3)], "kind": column})
    pq.write_table(table, tmp_path / "a.parquet")
    result = run(tmp_path / "a.parquet", tmp_path / "made", "--label-column", "kind")
    assert result.exit_code == 0, result.output
    assert open_dataset(tmp_path / "made", "").label_names == names


def test_rows_without_bytes_are_named_and_can_be_skipped(tmp_path: Path) -> None:
    values = [{"bytes": png(0), "path": ""}, {"bytes": None, "path": "x/1.png"}, None,
              {"bytes": b"no image", "path": ""}, {"bytes": png(4), "path": ""}]  # fmt: skip
    pq.write_table(pa.table({"image": pa.array(values, STRUCT)}), tmp_path / "a.parquet")
    result = run(tmp_path / "a.parquet", tmp_path / "made")
    assert result.exit_code == 1
    for words in ("3 of 5 images", "a.parquet#1: has no bytes", "a.parquet#2", "a.parquet#3"):
        assert words in message(result)
    result = run(tmp_path / "a.parquet", tmp_path / "made", "--on-error", "skip")
    assert result.exit_code == 0, result.output
    assert len(open_dataset(tmp_path / "made", "")) == 2


def test_mistakes(tmp_path: Path) -> None:
    good = write(tmp_path / "good" / "a.parquet", range(3))
    write(tmp_path / "mixed" / "a.parquet", range(3))
    write(tmp_path / "mixed" / "b.parquet", range(3), size=pa.array([1, 2, 3]))
    write(tmp_path / "two" / "a.parquet", range(3), mask=pa.array([b"a", b"b", b"c"]))
    two = pq.read_table(tmp_path / "two" / "a.parquet").replace_schema_metadata({})
    pq.write_table(two, tmp_path / "two" / "a.parquet")
    pq.write_table(pa.table({"text": ["a"], "n": [1]}), tmp_path / "text.parquet")
    unlabelled = {"image": [png(0), png(1)], "label": [-1, -1], "caption": [None, "a"]}
    pq.write_table(pa.table(unlabelled), tmp_path / "unlabelled.parquet")
    (tmp_path / "cut.parquet").write_bytes(good.read_bytes()[:-30])
    pq.write_table(pa.table({"image": pa.array([], pa.binary())}), tmp_path / "empty.parquet")
    (tmp_path / "none").mkdir()
    for source, words, expected in (
        ("text.parquet", (), ("no column of images", "text (string), n (int64)")),
        ("mixed", (), ("b.parquet has other columns than", "size (int64)", "one dataset only")),
        ("two", (), ("several columns", "image, mask", "--image-column")),
        ("good", ("--image-column", "imge"), ("'imge'", "label (int64)")),
        ("good", ("--label-column", "clas"), ("'clas'", "label (int64)")),
        ("good", ("--label-column", "image"), ("labels are whole numbers or text",)),
        ("unlabelled.parquet", (), ("from -1 to -1", "--label-column none")),
        ("unlabelled.parquet", ("--label-column", "caption"), ("no label in 1 row",)),
        ("cut.parquet", (), ("Cannot read", "as Parquet", "Fetch it again")),
        ("empty.parquet", (), ("No rows in",)),
        ("none", (), ("No files *.parquet",)),
        ("missing", (), ("does not exist",)),
    ):
        result = run(tmp_path / source, tmp_path / "made", *words)
        assert result.exit_code == 1, source
        for text in expected:
            assert text in message(result)
        assert not (tmp_path / "made").exists()


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "a.parquet", range(2))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    result = run(source, tmp_path / "made")
    assert result.exit_code == 1
    assert "pip install" in message(result)


def test_names_of_classes_that_do_not_fit(tmp_path: Path) -> None:
    write(tmp_path / "hub" / "a.parquet", range(4))
    write(tmp_path / "hub" / "b.parquet", range(4, 8), names=("dog", "cat"))
    result = run(tmp_path / "hub", tmp_path / "made")
    assert "b.parquet has other classes in the column 'label' than" in message(result)
    few = write(tmp_path / "few.parquet", range(4), names=("cat",))
    result = run(few, tmp_path / "made")
    assert "The 1 name of classes of the column 'label' are not used: it has labels up to 1." in (
        result.output
    )
    assert open_dataset(tmp_path / "made", "").label_names == ("0", "1")


def test_categories_of_pandas_are_labels(tmp_path: Path) -> None:
    column = pa.array(["dog", "cat", "dog"]).dictionary_encode()
    source = write(tmp_path / "a.parquet", range(3), kind=column)
    assert run(source, tmp_path / "made", "--label-column", "kind").exit_code == 0
    dataset = open_dataset(tmp_path / "made", "")
    assert dataset.label_names == ("cat", "dog")
    assert dataset.labels(np.arange(3)).tolist() == [1, 0, 1]


@pytest.mark.parametrize("failing", ["write", "flush"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_not_taken_for_a_damaged_file(
    failing: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large row groups are copied to the folder of temporary files."""

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    source = write(tmp_path / "a.parquet", range(5))
    monkeypatch.setattr(importer, "MAX_GROUP_BYTES", 10)
    full = type("Full", (io.BytesIO,), {failing: fail})
    monkeypatch.setattr(importer.tempfile, "TemporaryFile", lambda **_: full())
    for on_error in ("stop", "skip"):
        result = run(source, tmp_path / "made", "--on-error", on_error)
        text = f"Error: {importer.tempfile.gettempdir()}: {os.strerror(number)}."
        assert text in message(result) and "damaged" not in result.output


def test_too_many_open_files_are_not_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    source = write(tmp_path / "a.parquet", range(2))
    monkeypatch.setattr(pq, "ParquetFile", fail)
    assert f"Error: {source}: Too many open files. Raise the limit" in message(
        run(source, tmp_path / "made")
    )


@pytest.mark.parametrize(
    "error",
    [OSError("bad page"), pa.ArrowNotImplementedError("bad page"), pa.ArrowInvalid("bad page")],
)
def test_whatever_pyarrow_raises_the_image_is_damaged(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    source = write(tmp_path / "a.parquet", range(3))
    monkeypatch.setattr(importer, "_get_bytes", fail)
    text = message(run(source, tmp_path / "made"))
    assert "a.parquet#0: damaged in the Parquet file (bad page)" in text


def test_a_damaged_column_of_labels_is_told(tmp_path: Path) -> None:
    """Its pages are changed byte by byte; some of that changes no more than the labels."""
    source = write(tmp_path / "a.parquet", range(3))
    content = bytearray(source.read_bytes())
    column = pq.ParquetFile(source).metadata.row_group(0).column(2)
    assert column.path_in_schema == "label"
    start = column.dictionary_page_offset or column.data_page_offset
    said = []
    for place in range(start, start + column.total_compressed_size):
        damaged = content.copy()
        damaged[place] ^= 0xFF
        source.write_bytes(damaged)
        try:
            importer.import_parquet(source, ImageOptions(), said.append)
        except UserError as error:
            said.append(str(error))
    told = [text for text in said if text.startswith("Cannot read the labels in the column")]
    assert told and all("a.parquet: " in text and "column none" in text for text in told)


def test_hidden_files_are_told_and_not_read(tmp_path: Path) -> None:
    hub = write(tmp_path / "hub" / "a.parquet", range(3)).parent
    (hub / "._a.parquet").write_bytes(b"metadata of macOS")
    result = run(hub, tmp_path / "made")
    assert result.exit_code == 0, result.output
    assert "1 file or folder of macOS metadata is ignored (._a.parquet)." in result.output
    assert len(open_dataset(tmp_path / "made", "")) == 3

"""The lists of landmarks and of deltas, and where files are found."""

import errno
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from progan.data.celebahq.importer import CelebaHqOptions, check_inputs
from progan.data.celebahq.report import Report
from progan.data.celebahq.source_files import (
    CelebaFiles,
    DeltaEntry,
    list_delta_names,
    list_image_names,
    read_face_lists,
    read_image_list,
    read_landmarks,
)
from progan.data.image_source import SourceFailure, UnreadableImage
from progan.errors import UserError

LANDMARKS = "2\ntitles\na.jpg 1 2 3 4 5 6 7 8 9 10\nb.jpg  11 12 13 14 15 16 17 18 19 20.5\n\n"
LIST = "idx orig_idx orig_file proc_md5 final_md5\n0 1 b.jpg 0a 0B\n1200 0 a.jpg 1a 1b\n"


def test_landmarks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(LANDMARKS)
    found = read_landmarks(path)
    assert list(found) == ["a.jpg", "b.jpg"]
    np.testing.assert_array_equal(
        found["b.jpg"], [[11, 12], [13, 14], [15, 16], [17, 18], [19, 20.5]]
    )
    assert found["a.jpg"].dtype == np.float32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not begin with the number"),
        (LANDMARKS.partition("\n")[2], "does not begin with the number"),
        ("0\nx\n", "lists no faces"),
        ("3\nx\n" + LANDMARKS.splitlines()[2], "lists 1 face, not the 3 of its first line"),
        ("1\nx\na.jpg 1 2 3", "line 3, is not a file name and ten numbers"),
        ("1\nx\n" + LANDMARKS.splitlines()[2] + "\nb.jpg 1 2 3 4 5 6 7 8 9 x", "line 4"),
        ("1\nx\na.jpg 1 2 3 4 5 6 7 8 9 nan", "line 3"),
        ("1\nx\n../a.jpg 1 2 3 4 5 6 7 8 9 10", "line 3"),
    ],
)
def test_damaged_landmarks(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_landmarks(path)


def test_the_list_of_deltas_is_read_by_its_titles(tmp_path: Path) -> None:
    path = tmp_path / "image_list.txt"
    path.write_text(LIST)
    assert read_image_list(path) == (
        DeltaEntry(0, "b.jpg", "0a", "0b"),
        DeltaEntry(1200, "a.jpg", "1a", "1b"),
    )
    path.write_text("\n".join(" ".join(line.split()[::-1]) for line in LIST.splitlines()))
    assert read_image_list(path)[1] == DeltaEntry(1200, "a.jpg", "1a", "1b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column final_md5, idx"),
        ("idx orig_idx\n0 0", "no column final_md5, orig_file"),
        (LIST + "x 1 b.jpg 0a 0b", "'x 1 b.jpg 0a 0b'"),
        (LIST + "3 1 b.jpg", "'3 1 b.jpg'"),
        (LIST + "3 1 ../b.jpg 0a 0b", "does not fit"),
    ],
)
def test_damaged_lists_of_deltas(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "image_list.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_image_list(path)


@pytest.fixture
def collection(tmp_path: Path) -> CelebaFiles:
    """Images in a zip file, one delta in one, too, and one delta loose."""
    with zipfile.ZipFile(tmp_path / "img_celeba.zip", "w") as file:
        file.writestr("img_celeba/a.jpg", b"A")
        file.writestr("img_celeba/b.jpg", b"B")
    (tmp_path / "list.txt").write_text(LANDMARKS)
    deltas = tmp_path / "deltas"
    deltas.mkdir()
    (deltas / "image_list.txt").write_text(LIST)
    with zipfile.ZipFile(deltas / "deltas01000.zip", "w") as file:
        file.writestr("delta01200.dat", b"twelve hundred")
    (deltas / "delta00000.dat").write_bytes(b"zero")
    return CelebaFiles(tmp_path / "img_celeba.zip", tmp_path / "list.txt", deltas)


def test_files_are_found_in_zips_and_loose(collection: CelebaFiles) -> None:
    assert collection.read_image("b.jpg") == b"B"
    assert list_image_names(collection.images) == {"a.jpg", "b.jpg"}
    assert collection.deltas is not None
    assert list_delta_names(collection.deltas) == {"delta00000.dat", "delta01200.dat"}
    assert collection.read_delta(0) == b"zero"
    assert collection.read_delta(1200) == b"twelve hundred"
    with pytest.raises(UnreadableImage, match="c.jpg: it is not there"):
        collection.read_image("c.jpg")
    with pytest.raises(UnreadableImage, match="there is no such delta"):
        collection.read_delta(1201)
    with pytest.raises(UnreadableImage, match="there is no such delta"):
        collection.read_delta(77)


def test_faces_follow_the_list_of_deltas(collection: CelebaFiles) -> None:
    faces = read_face_lists(collection)
    assert faces.names == ("b.jpg", "a.jpg")
    np.testing.assert_array_equal(faces.landmarks[:, 0], [[11, 12], [1, 2]])
    without = read_face_lists(CelebaFiles(collection.images, collection.landmarks))
    assert without.names == ("a.jpg", "b.jpg")
    assert without.entries == ()


def test_a_list_of_other_images(collection: CelebaFiles) -> None:
    assert collection.deltas is not None
    (collection.deltas / "image_list.txt").write_text(LIST + "3 9 z.jpg 0a 0b\n")
    read_face_lists.cache_clear()
    with pytest.raises(UserError, match="1 image without landmarks, such as z.jpg"):
        read_face_lists(collection)


@pytest.mark.parametrize("folder", ["./img_celeba/", "img_celeba\\", "C:\\img_celeba\\"])
def test_images_of_a_zip_file_are_found_however_their_names_are_written(
    tmp_path: Path, folder: str
) -> None:
    with zipfile.ZipFile(tmp_path / "img_celeba.zip", "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = f"{folder}000001.jpg"
        archive.writestr(info, b"content")
    collection = CelebaFiles(tmp_path / "img_celeba.zip", tmp_path / "landmarks.txt")
    assert list_image_names(collection.images) == {"000001.jpg"}
    assert collection.read_image("000001.jpg") == b"content"


def mark_name_as_utf8(path: Path) -> None:
    """Change the first name in a zip file: zipfile fails to decode it with UnicodeDecodeError."""
    content = bytearray(path.read_bytes())
    for signature, flags, name in ((b"PK\3\4", 6, 30), (b"PK\1\2", 8, 46)):
        start = content.index(signature)
        content[start + flags + 1] |= 0x08
        content[start + name] = 0xFF
    path.write_bytes(content)


def test_damaged_zip_files_are_named(collection: CelebaFiles) -> None:
    assert collection.deltas is not None
    mark_name_as_utf8(collection.images)
    mark_name_as_utf8(collection.deltas / "deltas01000.zip")
    with pytest.raises(UserError, match="img_celeba.zip is not a readable zip file"):
        list_image_names(collection.images)
    with pytest.raises(UserError, match="deltas01000.zip is not a readable zip file"):
        list_delta_names(collection.deltas)
    with pytest.raises(UnreadableImage, match="delta01200.dat: damaged in deltas01000.zip"):
        collection.read_delta(1200)


@pytest.mark.parametrize(
    ("number", "said"), [(errno.EIO, "Check the disk"), (errno.EMFILE, "Raise the limit")]
)
def test_a_failing_disk_is_not_taken_for_damage(
    collection: CelebaFiles, number: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert collection.deltas is not None

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(zipfile, "ZipFile", fail)
    for call, argument in (
        (list_image_names, collection.images), (list_delta_names, collection.deltas),
        (collection.read_image, "a.jpg"), (collection.read_delta, 1200),
    ):  # fmt: skip
        with pytest.raises(SourceFailure, match=f"{os.strerror(number)}. {said}"):
            call(argument)  # type: ignore[operator]


def test_a_damaged_zip_file_is_no_torchscript(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/code/a.py", b"")
        archive.writestr("x/constants.pkl", b"")
    options = CelebaHqOptions(enhance=path)
    with pytest.raises(UserError) as caught:
        check_inputs(tmp_path, tmp_path / "made", options)
    assert "TorchScript" not in str(caught.value)
    mark_name_as_utf8(path)
    with pytest.raises(UserError, match="x.pt is not a TorchScript file"):
        check_inputs(tmp_path, tmp_path / "made", options)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_told_with_the_report() -> None:
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        Report(Path("/dev/full")).add(0, "a.jpg", "made")

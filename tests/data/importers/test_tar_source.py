"""Images in tar files, compressed or not."""

import io
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from progan.cli.dataset import main
from progan.data.image_source import UnreadableImage
from progan.data.importers.file_source import open_file_source
from progan.data.reader import open_dataset
from progan.errors import UserError
from tests.builders import message

MODES = {".tar": "w:", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.RandomState(shade).randint(256, size=(16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def add(archive: tarfile.TarFile, name: str, content: bytes = b"", **attributes: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in attributes.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(content))


def pack(path: Path, mode: str) -> Path:
    with tarfile.open(path, mode) as archive:
        add(archive, "./cat", type=tarfile.DIRTYPE)
        for number in range(12):
            add(archive, f"./{('cat', 'dog')[number % 2]}/{number}.png", png(number))
    return path


@pytest.mark.parametrize("suffix", [*MODES, ".tar.zst"])
def test_a_tar_file_is_a_folder(suffix: str, tmp_path: Path) -> None:
    source = tmp_path / f"images{suffix}"
    if suffix == ".tar.zst":
        zstandard = pytest.importorskip("zstandard")
        plain = pack(tmp_path / "plain.tar", "w:")
        source.write_bytes(zstandard.compress(plain.read_bytes()))
    else:
        pack(source, MODES[suffix])
    words = ["create-from-images", "--source", str(source), "--dest", str(tmp_path / "made")]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    dataset = open_dataset(tmp_path / "made", "")
    assert list(dataset.label_names) == ["cat", "dog"]
    rows = np.arange(len(dataset))
    order = [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]
    expected = [np.asarray(Image.open(io.BytesIO(png(number)))) for number in order]
    assert (dataset.images(4, rows) == expected).all()
    assert dataset.labels(rows).tolist() == [0] * 6 + [1] * 6


def test_links_and_paths_that_lead_outside_are_left_out(tmp_path: Path) -> None:
    source = tmp_path / "a.tar"
    with tarfile.open(source, "w") as archive:
        add(archive, "a.png", png(0))
        add(archive, "/etc/b.png", png(1))
        add(archive, "../c.png", png(2))
        add(archive, "d.png", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(archive, "e.png", type=tarfile.LNKTYPE, linkname="a.png")
        add(archive, "pipe.png", type=tarfile.FIFOTYPE)
        add(archive, ".hidden/f.png", png(3))
        add(archive, "a.png", png(4))
    tree, images, ignored = open_file_source(source)
    assert images == ["a.png"]
    assert tree.read("a.png") == png(4)
    assert {item.path: item.kind.noun.split(" ", 1)[0] for item in ignored} == {
        "/etc/b.png": "tar", "../c.png": "tar", "d.png": "link", "e.png": "link",
        "pipe.png": "pipe,", ".hidden/f.png": "hidden", "a.png": "tar",
    }  # fmt: skip


def test_damaged_ones_are_refused(tmp_path: Path) -> None:
    whole = pack(tmp_path / "whole.tar.gz", "w:gz").read_bytes()
    for name, content in (
        ("cut.tar.gz", whole[:-200]), ("other.tar.gz", b"no gzip"), ("other.tar", b"x" * 2000),
        ("empty.tar.xz", b""),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="is not a readable tar file|No images"):
            open_file_source(tmp_path / name)


def test_a_damaged_header_is_not_the_end(tmp_path: Path) -> None:
    """Which is what tarfile takes it for."""
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for shade in range(4):
            add(archive, f"{shade}.png", png(shade))
    content = bytearray((tmp_path / "x.tar").read_bytes())
    place = content.index(b"2.png")
    for damaged in (content[:place] + b"\xff" + content[place + 1 :], content[: place + 100]):
        (tmp_path / "x.tar").write_bytes(damaged)
        with pytest.raises(UserError, match=f"is damaged at byte {place:,} of the tar file"):
            open_file_source(tmp_path / "x.tar")


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_archives_joined_by_cat_are_refused(suffix: str, tmp_path: Path) -> None:
    """Of which tarfile reads the first."""
    path = pack(tmp_path / f"a{suffix}", MODES[suffix])
    path.write_bytes(2 * path.read_bytes())
    with pytest.raises(UserError, match="has data after the end of its archive, at byte [0-9,]+"):
        open_file_source(path)


def test_any_number_of_zeros_may_follow(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", "w:")
    path.write_bytes(path.read_bytes() + bytes(3 << 20))
    assert len(open_file_source(path).images) == 12


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst"])
def test_damaged_compression_is_one_sentence(suffix: str, tmp_path: Path) -> None:
    if suffix.endswith("zst"):
        pytest.importorskip("zstandard")
    path = tmp_path / f"x{suffix}"
    content = bytearray(np.random.RandomState(0).bytes(2000))
    start = {".tar.gz": b"\x1f\x8b\x08" + bytes(7), ".tar.bz2": b"BZh9", ".tar.xz": b"\xfd7zXZ\0",
             ".tar.zst": b"\x28\xb5\x2f\xfd"}[suffix]  # fmt: skip
    path.write_bytes(start + content)
    with pytest.raises(UserError, match="is not a readable tar file .*Fetch it again"):
        open_file_source(path)


def test_a_full_disk_is_not_taken_for_a_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        add(archive, "0.png", png(0))

    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: Full())
    with pytest.raises(OSError, match="No space left on device"):
        open_file_source(path)


def test_a_member_that_is_cut_short_is_an_unreadable_image(tmp_path: Path) -> None:
    source = pack(tmp_path / "a.tar", "w:")
    tree, images, _ = open_file_source(source)
    with source.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(UnreadableImage, match="cut short"):
        tree.read(images[-1])


def test_zstandard_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    source = tmp_path / "a.tar.zst"
    source.write_bytes(b"x")
    words = ["create-from-images", "--source", str(source), "--dest", str(tmp_path / "made")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "pip install" in message(result) and not (tmp_path / "made").exists()


def test_sparse_members_are_told(tmp_path: Path) -> None:
    """Their stored bytes are not those of the file: `tar --sparse` leaves out runs of zeros."""
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        size = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "4096"}
        add(archive, "a.bmp", b"1\n0\n512\n".ljust(512, b"\0") + bytes(512), pax_headers=size)
        add(archive, "b.png", png(1))
    _, images, ignored = open_file_source(tmp_path / "a.tar")
    assert images == ["b.png"]
    (found,) = ignored
    assert found.path == "a.bmp" and found.kind.noun == "sparse member of the tar file"
    assert found.kind.loses_images

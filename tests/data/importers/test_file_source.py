"""Which files of folders and zip files are images, and what is said of the others."""

import errno
import os
import shutil
import struct
import zipfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from progan.data.image_source import SourceFailure, UnreadableImage
from progan.data.importers.file_source import normalize_member_path, open_file_source
from progan.data.importers.ignored_files import IgnoredFile, describe_ignored
from progan.errors import UserError

JPEG = b"\xff\xd8\xff\xe0" + bytes(20)
HEIC = b"\0\0\0\x18ftypheic" + bytes(20)


def put(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def pack(path: Path, members: list[tuple[str, bytes]]) -> Path:
    """A zip file with names as they are given; ZipInfo itself would mend some."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            info = zipfile.ZipInfo("x")
            info.filename = name
            archive.writestr(info, content)
    return path


def kinds(ignored: list[IgnoredFile]) -> dict[str, str]:
    return {item.path: item.kind.noun for item in ignored}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a.png", "a.png"),
        ("./a.png", "a.png"),
        (".//b/./a.png", "b/a.png"),
        ("/b/a.png", "b/a.png"),
        ("//host/a.png", "host/a.png"),
        ("C:/b/a.png", "b/a.png"),
        ("c:a.png", "c:a.png"),
        ("../a.png", "../a.png"),
    ],
)
def test_names_of_members_become_paths(name: str, path: str) -> None:
    assert normalize_member_path(name) == path


def test_members_are_found_however_their_names_are_written(tmp_path: Path) -> None:
    names = [
        "./",
        "./cat/",
        "./cat/0.png",
        "cat\\1.png",
        "cat\\",
        "/cat/2.png",
        "D:\\cat\\3.png",
        "cat//./4.png",
    ]
    source = pack(tmp_path / "a.zip", [(name, name.encode()) for name in names])
    tree, images, ignored = open_file_source(source)
    assert images == [f"cat/{number}.png" for number in range(5)]
    assert ignored == []
    assert [tree.read(path).decode() for path in images] == [
        name for name in names if name.endswith(".png")
    ]
    assert tree.has("cat/1.png") and not tree.has("cat\\1.png") and not tree.has("cat")


def test_members_outside_of_the_root_are_counted(tmp_path: Path) -> None:
    source = pack(
        tmp_path / "a.zip",
        [
            ("../0.png", b""),
            ("a/../../1.png", b""),
            ("..\\2.png", b""),
            ("../a.txt", b""),
            ("in.png", b""),
            ("..png", b""),
            ("a..b/c.png", b""),
        ],
    )
    _, images, ignored = open_file_source(source)
    assert images == ["a..b/c.png", "in.png"]
    assert Counter(item.kind.noun for item in ignored) == {
        "zip member with '..' in its path": 3,
        "file that is not an image": 1,
        "hidden file or folder": 1,
    }
    assert describe_ignored(ignored)[0].startswith(
        "3 zip members with '..' in their paths are ignored (such as ../0.png). Unpack"
    )


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_one_name_twice_the_later_member_is_taken_and_the_other_told(tmp_path: Path) -> None:
    source = pack(
        tmp_path / "a.zip",
        [("a.png", b"1"), ("b.png", b"2"), ("./a.png", b"3"), ("n.txt", b""), ("n.txt", b"")],
    )
    tree, images, ignored = open_file_source(source)
    assert images == ["a.png", "b.png"]
    assert tree.read("a.png") == b"3"
    assert kinds(ignored) == {
        "a.png": "zip member that a later one of the same name replaces",
        "n.txt": "file that is not an image",
    }


def change(path: Path, local: tuple[int, int], central: tuple[int, int]) -> None:
    """Set two bytes in the first local header, and in the first one of the directory."""
    data = bytearray(path.read_bytes())
    for signature, (offset, value) in ((b"PK\3\4", local), (b"PK\1\2", central)):
        struct.pack_into("<H", data, data.index(signature) + offset, value)
    path.write_bytes(data)


def test_an_encrypted_member_says_so(tmp_path: Path) -> None:
    source = pack(tmp_path / "a.zip", [("a.png", b"secret"), ("b.png", b"")])
    change(source, (6, 1), (8, 1))
    tree, images, _ = open_file_source(source)
    with pytest.raises(UnreadableImage, match="a.png: encrypted in the zip file; unpack it with "):
        tree.read(images[0])
    assert tree.read(images[1]) == b""


@pytest.mark.parametrize(
    ("method", "name"), [(9, "Deflate64"), (98, "PPMd"), (77, "an unknown method")]
)
def test_an_unknown_compression_method_is_named(tmp_path: Path, method: int, name: str) -> None:
    source = pack(tmp_path / "a.zip", [("a.png", b"content")])
    change(source, (8, method), (10, method))
    tree, images, _ = open_file_source(source)
    with pytest.raises(UnreadableImage, match=rf"a.png: compressed with {name} \(method {method} "):
        tree.read(images[0])


def test_links_in_a_zip_file_are_told(tmp_path: Path) -> None:
    source = tmp_path / "a.zip"
    with zipfile.ZipFile(source, "w") as archive:
        link = zipfile.ZipInfo("link.png")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "a.png")
        archive.writestr("a.png", "")
    _, images, ignored = open_file_source(source)
    assert images == ["a.png"]
    assert kinds(ignored) == {"link.png": "symbolic link in the zip file"}


@pytest.mark.parametrize("packed", [False, True])
def test_files_that_are_not_imported_are_told_apart(tmp_path: Path, packed: bool) -> None:
    files = {
        "a.jpg": JPEG,
        "b.MPO": JPEG,
        "c.HEIC": HEIC,
        "d.cr2": b"",
        "e.svg": b"",
        "f": JPEG,
        "g.jpg_large": JPEG,
        "h": HEIC,
        "i": b"words",
        "j.txt": JPEG,
        "k.mp4": b"",
        "l.zip": b"",
        ".m.png": b"",
        ".n/o.png": b"",
        "p": b"",
        "q.webp~": b"RIFF....WEBP",
        "r.cls": b"3",
    }
    for name, content in files.items():
        put(tmp_path / "in" / name, content)
    source = tmp_path / "in"
    if packed:
        source = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", source))
    _, images, ignored = open_file_source(source)
    assert images == ["a.jpg", "b.MPO"]
    other = "file that is not an image"
    assert kinds(ignored) == {
        "c.HEIC": "HEIC, HEIF or AVIF image",
        "h": "HEIC, HEIF or AVIF image",
        "d.cr2": "camera RAW image",
        "e.svg": "image in a format that is not decoded",
        "f": "image without a suffix in its name",
        "g.jpg_large": "image with an unknown suffix",
        "q.webp~": "image with an unknown suffix",
        "i": other,
        "j.txt": other,
        "p": other,
        "k.mp4": "video",
        "l.zip": "archive inside the source",
        "r.cls": "class of a WebDataset sample",
        ".m.png": "hidden file or folder",
        ".n": "hidden file or folder",
    }
    lines = describe_ignored(ignored)
    assert lines[0].startswith("2 HEIC, HEIF or AVIF images are ignored (such as c.HEIC). Convert")
    assert "1 camera RAW image is ignored (d.cr2). Develop such files" in lines[1]
    assert (
        "1 class of a WebDataset sample is ignored (r.cls). create-from-webdataset imports them as "
        "labels."
    ) in lines
    assert lines[-1] == "3 files that are not images are ignored (without a suffix .txt)."


def test_without_an_image_the_error_tells_what_there_is(tmp_path: Path) -> None:
    for number in range(2):
        put(tmp_path / f"{number}.heic")
    put(tmp_path / "notes.txt")
    with pytest.raises(UserError) as caught:
        open_file_source(tmp_path)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"No images in {tmp_path}:"
    assert lines[1].startswith("  2 HEIC, HEIF or AVIF images are ignored (such as 0.heic). Conv")
    assert lines[2] == "  1 file that is not an image is ignored (.txt)."


def test_pipes_and_links_that_lead_nowhere(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "nowhere.png").symlink_to("absent")
    (tmp_path / "itself.png").symlink_to("itself.png")
    (tmp_path / "to pipe.png").symlink_to("pipe.png")
    put(tmp_path / "a.png")
    tree, images, ignored = open_file_source(tmp_path)
    assert images == ["a.png", "itself.png", "nowhere.png"]
    assert kinds(ignored) == {
        name: "pipe, socket or device" for name in ("pipe.png", "to pipe.png")
    }
    for name, reason in (("nowhere.png", "No such file"), ("itself.png", "Too many levels")):
        with pytest.raises(UnreadableImage, match=f"{name}: {reason}"):
            tree.read(name)


def test_a_source_that_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.zip")
    with pytest.raises(UserError, match="a.zip is neither a folder nor a file"):
        open_file_source(tmp_path / "a.zip")


def test_each_folder_is_listed_once_under_its_own_path(tmp_path: Path) -> None:
    root = tmp_path / "in"
    put(root / "z/real/1.png")
    put(tmp_path / "elsewhere/sub/2.png")
    put(root / ".store/3.png")
    (root / "a").symlink_to("z/real")  # its own path wins, though the link comes first
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "c").symlink_to(tmp_path / "elsewhere")  # the first of two links
    (root / "d").symlink_to(".store")  # a visible way to a hidden folder
    (root / "z/real/round").symlink_to("..")
    (tmp_path / "elsewhere/back").symlink_to(root)
    (tmp_path / "elsewhere/sub/again").symlink_to(tmp_path / "elsewhere/sub")
    _, images, ignored = open_file_source(root)
    assert images == ["b/sub/2.png", "d/3.png", "z/real/1.png"]
    links = "link to a folder that is imported already"
    assert kinds(ignored) == {
        ".store": "hidden file or folder",
        **{path: links for path in ("a", "c", "z/real/round", "b/back", "b/sub/again")},
    }


def test_a_link_upwards_imports_the_folders_beside_once(tmp_path: Path) -> None:
    put(tmp_path / "in/1.png")
    put(tmp_path / "beside/2.png")
    (tmp_path / "in/up").symlink_to("..")
    assert open_file_source(tmp_path / "in").images == ["1.png", "up/beside/2.png"]


@pytest.mark.parametrize("name", ["été/a.png", "e\u0301te\u0301/a.png", "日本/a.png"])
def test_names_in_utf_8_without_the_mark_of_it(tmp_path: Path, name: str) -> None:
    """As Info-ZIP of Linux and the Finder of macOS write them."""
    source = tmp_path / "a.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), "")
    marked = (0x800).to_bytes(2, "little")
    data = source.read_bytes()
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.index(signature) + offset
        assert data[start : start + 2] == marked
        data = data[:start] + bytes(2) + data[start + 2 :]
    source.write_bytes(data)
    assert open_file_source(source).images == [name]


def test_names_in_code_page_437(tmp_path: Path) -> None:
    source = pack(tmp_path / "a.zip", [("X.png", b"")])
    source.write_bytes(source.read_bytes().replace(b"X.png", b"\x90.png"))
    assert open_file_source(source).images == ["É.png"]


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [
        (errno.ENOENT, UnreadableImage, "--on-error skip"),
        (errno.EACCES, UnreadableImage, "--on-error skip"),
        (errno.EIO, SourceFailure, "Check the disk that it is on and repeat the command, or"),
        (errno.ESTALE, SourceFailure, "Check the disk that it is on and repeat the command, or"),
        (errno.EMFILE, SourceFailure, "Raise the limit of open files"),
    ],
)
@pytest.mark.parametrize(
    ("packed", "reader"),
    [("", "pathlib.Path.read_bytes"), ("zip", "zipfile.ZipFile.read"), ("tar", "os.pread")],
)
def test_a_failing_disk_is_not_taken_for_a_bad_image(
    number: int, kind: type[UserError], said: str, packed: str, reader: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    put(tmp_path / "in/a.png", JPEG)
    source = tmp_path / "in"
    if packed:
        source = Path(shutil.make_archive(str(tmp_path / "packed"), packed, source))
    tree, (path,), _ = open_file_source(source)

    def fail(*_: object) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(reader, fail)
    with pytest.raises(kind, match=f"Cannot read a.png: {os.strerror(number)}. .*{said}"):
        tree.read(path)


def test_a_damaged_zip_file_is_a_user_error(tmp_path: Path) -> None:
    """Whatever zipfile raises, of which each byte of the directory decides."""
    path = pack(tmp_path / "a.zip", [("a.png", JPEG), ("b\xe9.png", JPEG)])
    content = path.read_bytes()
    for place in range(content.index(b"PK\1\2"), len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x80]) + content[place + 1 :])
        with suppress(UserError):
            tree, images, _ = open_file_source(path)
            for image in images:
                tree.read(image)


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE])
def test_a_failing_disk_is_not_taken_for_a_damaged_zip_file(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack(tmp_path / "a.zip", [("a.png", JPEG)])

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("zipfile.ZipFile", fail)
    with pytest.raises(OSError, match=f"{os.strerror(number)}: .*a.zip"):
        open_file_source(path)

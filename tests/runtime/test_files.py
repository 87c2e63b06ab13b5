"""Files appear whole or not at all, whatever happens in between."""

import errno
import os
import resource
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progan.errors import UserError
from progan.runtime.files import (
    append_text,
    atomic_path,
    format_bytes,
    make_folder,
    remove_partials,
    require_folder_or_nothing,
    require_free_space,
    require_place_for_folder,
    staging_directory,
    write_atomically,
)
from progan.runtime.zip_files import list_zip_members, read_uncompressed_zip_member


def names(folder: Path) -> list[str]:
    """Everything below a folder, hidden files included."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (2**20 - 1, "1.0 MiB"),
        (2**30, "1.0 GiB"),
        (3 * 2**60, "3072.0 PiB"),
    ],
)
def test_human_bytes(num_bytes: int, text: str) -> None:
    assert format_bytes(num_bytes) == text


@settings(deadline=None)
@given(st.integers(0, 2**60))
def test_human_bytes_is_right_to_a_tenth_of_its_unit(num_bytes: int) -> None:
    number, unit = format_bytes(num_bytes).split()
    size = 1024 ** ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB").index(unit)
    assert abs(float(number) * size - num_bytes) <= 0.0501 * size


def test_write_atomically_writes_text_and_bytes(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.txt", "grün\n")
    assert (tmp_path / "a.txt").read_bytes() == "grün\n".encode()
    write_atomically(tmp_path / "a.txt", b"\x00\xff")
    assert (tmp_path / "a.txt").read_bytes() == b"\x00\xff"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_replacement_leaves_the_old_file(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_path(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "old"
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("named", [False, True])
def test_an_error_of_writing_names_the_file_that_was_asked_for(tmp_path: Path, named: bool) -> None:
    with pytest.raises(OSError) as caught, atomic_path(tmp_path / "a.txt") as temporary:
        raise OSError(errno.ENOSPC, "No space left on device", *[str(temporary)] * named)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "a.txt"))
    assert names(tmp_path) == []


def test_a_folder_where_one_may_not_write_is_no_matter_of_hidden_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **kwargs: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(PermissionError) as caught:
        write_atomically(tmp_path / "a.txt", "x")
    assert caught.value.filename == str(tmp_path / "a.txt")


def test_an_error_of_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, atomic_path(tmp_path / "a.txt"):
        (tmp_path / "other.txt").read_text()
    assert caught.value.filename == str(tmp_path / "other.txt")


def test_the_target_of_a_link_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real/a.txt")
    write_atomically(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real/a.txt").read_text() == "new"


def test_files_and_folders_have_ordinary_permissions(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a.txt", "x")
        with staging_directory(tmp_path / "d"):
            pass
    finally:
        os.umask(old)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize(
    "prepare", [lambda dest: None, lambda dest: dest.mkdir(parents=True)], ids=["absent", "empty"]
)
def test_a_directory_appears_only_when_it_is_whole(
    tmp_path: Path, prepare: Callable[[Path], None]
) -> None:
    dest = tmp_path / "deep/er/dest"
    prepare(dest)
    with staging_directory(dest) as directory:
        (directory / "a.txt").write_text("x")
        assert directory.parent == dest.parent
        assert directory.name.startswith(".")
        assert not dest.exists() or not any(dest.iterdir())
    assert names(tmp_path) == ["deep", "deep/er", "deep/er/dest", "deep/er/dest/a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, UserError])
def test_a_failed_directory_leaves_what_it_has_for_the_next_attempt(
    tmp_path: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error), staging_directory(tmp_path / "deep/er/dest") as directory:
        (directory / "a.txt").write_text("x")
        raise error
    assert not (tmp_path / "deep/er/dest").exists()
    with staging_directory(tmp_path / "deep/er/dest") as directory:
        assert (directory / "a.txt").read_text() == "x"
    assert names(tmp_path) == ["deep", "deep/er", "deep/er/dest", "deep/er/dest/a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, UserError])
def test_a_failed_directory_that_is_empty_leaves_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error), staging_directory(tmp_path / "deep/er/dest"):
        raise error
    assert names(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such lock")
def test_an_output_that_would_block_is_no_other_process(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), staging_directory(tmp_path / "d"):
        raise BlockingIOError(errno.EAGAIN, "write could not complete without blocking")


def test_a_damaged_zip_file_has_no_members(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(3):
            archive.writestr(f"data/{number}", bytes(50))
    content = path.read_bytes()
    for place in range(content.index(b"PK\1\2"), len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x80]) + content[place + 1 :])
        for name in ["data/1", *list_zip_members(path)]:
            assert read_uncompressed_zip_member(path, name) in (b"", bytes(50))


def test_two_do_not_fill_one_directory(tmp_path: Path) -> None:
    with staging_directory(tmp_path / "dest") as directory:
        (directory / "a.txt").write_text("x")
        with pytest.raises(UserError, match="Another process is making .*dest"):
            with staging_directory(tmp_path / "dest"):
                pytest.fail("entered")
    assert names(tmp_path) == ["dest", "dest/a.txt"]


def test_a_failed_directory_spares_what_others_put_beside_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError), staging_directory(tmp_path / "deep/dest"):
        (tmp_path / "deep/other.txt").write_text("x")
        raise ValueError
    assert names(tmp_path) == ["deep", "deep/other.txt"]


def test_a_full_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest/mine.txt").write_text("x")
    with pytest.raises(UserError, match="dest exists already and is not empty"):
        with staging_directory(tmp_path / "dest"):
            pytest.fail("entered")
    assert names(tmp_path) == ["dest", "dest/mine.txt"]


def test_a_folder_that_fills_meanwhile_is_spared(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not empty"):
        with staging_directory(tmp_path / "dest"):
            (tmp_path / "dest").mkdir()
            (tmp_path / "dest/mine.txt").write_text("x")
    assert names(tmp_path) == ["dest", "dest/mine.txt"]


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="file exists already and is not a folder"):
        with staging_directory(tmp_path / "file"):
            pytest.fail("entered")
    with pytest.raises(UserError, match="Cannot create .*file/dest: Not a directory"):
        with staging_directory(tmp_path / "file/dest"):
            pytest.fail("entered")
    assert names(tmp_path) == ["file"]


def test_a_parent_without_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *args: object, **kwargs: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match="Cannot create .*dest: Permission denied"):
        with staging_directory(tmp_path / "dest"):
            pytest.fail("entered")


def test_an_error_without_a_path_gets_one(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught, staging_directory(tmp_path / "dest"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "dest")
    assert names(tmp_path) == []


def test_free_space_is_asked_of_the_nearest_existing_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def disk_usage(path: Path) -> tuple[int, int, int]:
        asked.append(path)
        return real._replace(free=2**30)

    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    require_free_space(tmp_path / "not/yet", 2**30, "The dataset")
    with pytest.raises(
        UserError,
        match=r"The dataset needs 1\.5 GiB, but .* has only 1\.0 GiB "
        r"free\. Free 512\.0 MiB",
    ):
        require_free_space(tmp_path / "not/yet", 3 * 2**29, "The dataset")
    assert asked == [tmp_path, tmp_path]


def test_a_writer_with_a_private_file_of_its_own_changes_no_permissions(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "ordinary") as temporary:
        temporary.write_text("x")
    with atomic_path(tmp_path / "private") as temporary:
        temporary.unlink()
        temporary.touch(mode=0o600)
    modes = [(tmp_path / name).stat().st_mode for name in ("ordinary", "private")]
    assert modes[0] == modes[1]


def test_what_cannot_be_replaced_is_said(tmp_path: Path) -> None:
    for path, reason in [(tmp_path, "it is a folder"), (tmp_path / "no" / "x", "no such folder")]:
        with pytest.raises(UserError, match=reason), atomic_path(path):
            pass
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_place_of_a_file_cannot_be_made(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="a file of that name in the way"):
            make_folder(path)
        with pytest.raises(UserError, match="a file of that name in the way"):
            require_folder_or_nothing(path)


def test_a_folder_that_can_be_made_is_not_made_yet(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "a" / "b", Path("a name that nobody has")):
        require_folder_or_nothing(path)
    assert not list(tmp_path.iterdir())


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".state.pt.0a1b.partial", ".other.partial", "mine.partial", ".hidden", "a.pt"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".dataset.partial").mkdir()
    remove_partials(tmp_path)
    assert names(tmp_path) == [".dataset.partial", ".hidden", "a.pt", "mine.partial"]


def test_what_is_appended_is_appended_whole_or_not_at_all(tmp_path: Path) -> None:
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    append_text(old, "äb\n")
    code = (
        "import sys; from pathlib import Path; from progan.runtime.files import append_text\n"
        "for path in map(Path, sys.argv[1:]):\n"
        "    try: append_text(path, 'x' * 20)\n"
        "    except OSError as error: print(error.filename, error.strerror)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, old, new],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)),
    )
    assert result.stdout == f"{old} File too large\n{new} File too large\n"
    assert old.read_text("utf-8") == "äb\n" and not new.exists()


def test_the_disk_has_a_file_before_its_name_and_then_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power failure could leave an empty file under the name."""
    order: list[str] = []
    rename = os.replace

    def flushed(handle: int) -> None:
        order.append(
            "folder"
            if stat.S_ISDIR(os.fstat(handle).st_mode)
            else f"file of {os.fstat(handle).st_size}"
        )

    def renamed(source: Path, target: Path) -> None:
        order.append(f"{Path(target).name} appears")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", renamed)
    write_atomically(tmp_path / "x", "four")
    assert order == ["file of 4", "x appears", "folder"]


def test_a_folder_that_cannot_be_replaced_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="is the folder you are in, .* --dest dataset"):
        require_place_for_folder(Path(), "--dest")
    disk = tmp_path / "disk"
    disk.mkdir()
    require_place_for_folder(disk, "--dest")
    monkeypatch.setattr(os.path, "ismount", lambda path: path == disk)
    with pytest.raises(UserError, match="disk is the folder of a disk, .* new folder in it"):
        require_place_for_folder(disk, "--dest")


def test_an_empty_folder_needs_a_writable_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    monkeypatch.setattr(
        "progan.runtime.files.require_writable_folder", lambda path, _: checked.append(path)
    )
    require_place_for_folder(tmp_path, "--dest")
    require_place_for_folder(tmp_path / "new", "--dest")
    assert checked == [tmp_path.parent, tmp_path / "new"]

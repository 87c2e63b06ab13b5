"""Sources on other machines, by fsspec: in memory, from a server of S3, by HTTP."""

import errno
import http.server
import itertools
import os
import sys
import threading
import zipfile
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from progan.cli.dataset import main
from progan.data.importers import remote
from progan.data.importers.remote import Url
from progan.data.reader import open_dataset
from tests.builders import message
from tests.data.importers.test_parquet import pixels, png
from tests.data.importers.test_parquet import write as write_parquet
from tests.data.importers.test_webdataset import write as write_shard

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "WAIT_SECONDS", 0.001)


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/", recursive=True)


def run(command: str, source: object, dest: Path, *words: str) -> Result:
    arguments = [command, "--source", str(source), "--dest", str(dest), *words]
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def fill(system: Any, root: str) -> None:
    """Write twelve images in two folders, and what is not an image."""
    for number in range(12):
        system.pipe_file(f"{root}/{('cat', 'dog')[number // 6]}/{number}.png", png(number))
    system.pipe_file(f"{root}/readme.txt", b"text")
    system.pipe_file(f"{root}/.hidden/1.png", png(1))


def require_twelve(path: Path, labels: tuple[str, ...] = ("cat", "dog")) -> None:
    dataset = open_dataset(path, "")
    assert (dataset.images(4, np.arange(12)) == [pixels(number) for number in range(12)]).all()
    assert dataset.label_names == labels


def test_a_folder_in_memory_is_checked(memory: Any) -> None:
    fill(memory, "/photos")
    memory.pipe_file("/photos/dog/broken.png", png(1)[:40])
    result = CliRunner().invoke(main, ["check", "memory://photos"], catch_exceptions=False)
    assert result.exit_code == 1
    assert "dog/broken.png" in result.output and "memory://photos: 13 images" in result.output


def test_a_folder_in_memory(memory: Any, tmp_path: Path) -> None:
    fill(memory, "/photos")
    result = run("create-from-images", "memory://photos", tmp_path / "made")
    assert result.exit_code == 0, result.output
    require_twelve(tmp_path / "made")
    assert "memory://photos" in (tmp_path / "made" / "dataset.json").read_text()
    assert "1 hidden" in result.output and "1 file that is not an image" in result.output


def test_archives_are_copied_and_the_copies_go(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(12):
            archive.writestr(f"{('cat', 'dog')[number // 6]}/{number}.png", png(number))
    memory.pipe_file("/a.zip", (tmp_path / "a.zip").read_bytes())
    parquet = write_parquet(tmp_path / "a.parquet", range(12))
    memory.pipe_file("/hub/data/a.parquet", parquet.read_bytes())
    for number, rows in enumerate((range(6), range(6, 12))):
        shard = write_shard(tmp_path / f"s-{number}.tar", rows)
        memory.pipe_file(f"/shards/s-{number}.tar", shard.read_bytes())
    removals: list[tuple[Any, ...]] = []
    monkeypatch.setattr(remote.atexit, "register", lambda *each, **_: removals.append(each))
    for number, (command, source, labels) in enumerate(
        (
            ("images", "memory://a.zip", ("cat", "dog")),
            ("parquet", "memory://hub", ("cat", "dog")),
            ("parquet", "memory://hub/data/a.parquet", ("cat", "dog")),
            ("webdataset", "memory://shards", ("0", "1", "2")),
            ("webdataset", "memory://shards/s-{0..1}.tar", ("0", "1", "2")),
        )
    ):
        result = run(f"create-from-{command}", source, tmp_path / f"made{number}")
        assert result.exit_code == 0, result.output
        require_twelve(tmp_path / f"made{number}", labels)
    for remove, folder in removals:
        remove(folder)
        assert not folder.exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_for_copies_is_no_failing_connection(
    number: int, memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get_file(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    memory.pipe_file("/a.zip", b"")
    monkeypatch.setattr(type(memory), "get_file", get_file)
    text = message(run("create-from-images", "memory://a.zip", tmp_path / "made"))
    assert f"a.zip: {os.strerror(number)}." in text and "attempts" not in text


def test_a_server_of_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    pytest.importorskip("s3fs")
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "top-secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        system = fsspec.filesystem("s3", skip_instance_cache=True)
        system.mkdir("bucket")
        fill(system, "bucket/photos")
        result = run("create-from-images", "s3://bucket/photos", tmp_path / "made")
        assert result.exit_code == 0, result.output
        require_twelve(tmp_path / "made")
        stored = (tmp_path / "made" / "dataset.json").read_text() + result.output
        assert "top-secret" not in stored
        missing = run("create-from-images", "s3://bucket/nothing", tmp_path / "other")
        assert missing.exit_code == 1 and "No files below s3:" in message(missing)
        archive = run("create-from-images", "s3://bucket/a.zip", tmp_path / "other")
        assert archive.exit_code == 1 and "There is nothing" in message(archive)
    finally:
        server.stop()


class Failing(http.server.BaseHTTPRequestHandler):
    """Answers /403/… and /500/… with these statuses, counting requests."""

    requests = 0

    def do_GET(self) -> None:
        type(self).requests += 1
        self.send_error(int(self.path.split("/")[1]))

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize(
    ("status", "words"),
    [("403", "Access is denied (403)"), ("404", "There is nothing"), ("500", "4 attempts")],
)
def test_answers_of_a_server(status: str, words: str, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Failing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        Failing.requests = 0
        address = f"http://user:hidden@127.0.0.1:{server.server_port}/{status}/a.zip?token=hidden"
        result = run("create-from-images", address, tmp_path / "made")
        assert result.exit_code == 1
        assert words in message(result) and "hidden" not in result.output
        assert Failing.requests <= (3 if status != "500" else 12)
    finally:
        server.shutdown()


def fail_at(
    memory: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, requests: Container[int]
) -> None:
    """Let these requests for 7.png fail, counted from 0."""
    whole, count = type(memory).cat_file, itertools.count()

    def cat_file(self: Any, path: str, *rest: Any, **more: Any) -> bytes:
        if path.endswith("7.png") and next(count) in requests:
            raise error
        content: bytes = whole(self, path, *rest, **more)
        return content

    monkeypatch.setattr(type(memory), "cat_file", cat_file)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError("gone"), "There is nothing"),
        (PermissionError("no"), "Access is denied (403)"),
    ],
)
def test_an_unreadable_image_is_skipped_or_named(
    error: Exception, said: str, memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(memory, "/photos")
    fail_at(memory, monkeypatch, error, range(100))
    result = run("create-from-images", "memory://photos", tmp_path / "made")
    assert result.exit_code == 1
    assert "dog/7.png" in message(result) and said in message(result)
    result = run("create-from-images", "memory://photos", tmp_path / "made", "--on-error", "skip")
    assert result.exit_code == 0 and len(open_dataset(tmp_path / "made", "")) == 11


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_an_outage_leaves_no_image_out(
    on_error: str, memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images are read twice: their headers first, then what is written."""
    fill(memory, "/photos")
    words = ("create-from-images", "memory://photos", tmp_path / "made", "--workers", "1",
             "--on-error", on_error)  # fmt: skip
    with monkeypatch.context() as patch:
        fail_at(memory, patch, TimeoutError("no answer"), range(remote.ATTEMPTS))
        result = run(*words)
    assert "dog/7.png: Cannot read memory://photos: no answer (4 attempts)" in message(result)
    assert "The same command" not in result.output and list(tmp_path.iterdir()) == []
    fail_at(memory, monkeypatch, TimeoutError("no answer"), range(1, 1 + remote.ATTEMPTS))
    result = run(*words)
    assert "dog/7.png: Cannot read memory://photos: no answer (4 attempts)" in message(result)
    assert "The same command continues where this one stopped." in result.output
    result = run(*words)
    assert "Continuing an interrupted creation: 6 of 12 images are done." in result.output
    require_twelve(tmp_path / "made")


def test_protocols_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("create-from-images", "nosuch://a/b", tmp_path / "made")
    assert result.exit_code == 1 and "nosuch" in message(result)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    result = run("create-from-images", "memory://a", tmp_path / "made")
    assert result.exit_code == 1 and "pip install" in message(result)


def test_secrets_are_masked() -> None:
    url = Url("https://me:pass@host/a/b.zip?X-Amz-Signature=abc&x=1&access_token=def")
    assert str(url) == "https://…@host/a/b.zip?X-Amz-Signature=…&x=…&access_token=…"
    assert url.name == "b.zip"
    text = "ftp://me:p@ss:w@rd@host/a@b.zip and ftp://host/c@d"
    assert str(Url(text)) == "ftp://…@host/a@b.zip and ftp://host/c@d"


def test_nothing_is_there(memory: Any, tmp_path: Path) -> None:
    fill(memory, "/photos")
    for address, said in (
        ("memory://nowhere", "No files below memory://nowhere: it is empty, or does not exist"),
        ("memory://photos/readme.txt", "is a file, and no zip or tar file by its name"),
        ("nowhere.parquet", "nowhere.parquet does not exist"),
        ("file:///nowhere/a.zip", "There is nothing. Check the address"),
    ):
        assert said in message(run("create-from-images", address, tmp_path / "made"))


@pytest.mark.parametrize("command", ["images", "parquet", "webdataset"])
def test_errors_in_copies_name_the_url(command: str, memory: Any, tmp_path: Path) -> None:
    name = {"images": "a.tar", "parquet": "a.parquet", "webdataset": "a.tar"}[command]
    memory.pipe_file(f"/bad/{name}", b"nothing of the kind")
    text = message(run(f"create-from-{command}", f"memory://bad/{name}", tmp_path / "made"))
    assert f"memory://bad/{name}" in text and "progan-" not in text


@pytest.mark.parametrize(
    "words",
    [
        ("create-from-images", "--source", "x", "--dest", "s3://bucket/made"),
        ("verify", "https://host/made"),
    ],
)
def test_urls_where_a_path_is_expected(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2 and "is a URL; here a path on this machine" in result.output


def test_labels_are_a_file_here(memory: Any, tmp_path: Path) -> None:
    fill(memory, "/photos")
    words = ("--labels", "memory://photos/l.csv")
    assert "Copy that file" in message(
        run("create-from-images", "memory://photos", tmp_path / "made", *words)
    )

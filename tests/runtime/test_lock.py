"""One process at a time, whoever it is; the dead do not count."""

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from progan.errors import UserError
from progan.runtime.lock import LOCK_FILE, exclusive_lock, locked_directory

HOLD = """
import sys
from pathlib import Path
from progan.runtime.lock import exclusive_lock
with exclusive_lock(Path(sys.argv[1]), "is in use"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> object:
    """Another process that is in the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_process_learns_who_the_first_one_is(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    with pytest.raises(UserError) as caught, exclusive_lock(tmp_path, "is in use"):
        raise AssertionError("both are in")
    said = str(caught.value)
    assert f"{tmp_path} is in use by process {holder.pid} on {socket.gethostname()}" in said
    assert f"kill {holder.pid}" in said
    assert (tmp_path / LOCK_FILE).exists(), "it is still the first one's"


def test_a_killed_process_holds_nothing(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK_FILE).exists()
    with exclusive_lock(tmp_path, "is in use"):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()
    assert not list(tmp_path.iterdir())


def test_the_folder_is_free_again_whatever_happens_in_it(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), exclusive_lock(tmp_path, "is in use"):
            raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


class TestWithoutLocks:
    """Disks that know no locks: what the file says has to do."""

    @pytest.fixture(autouse=True)
    def no_locks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(handle: int, operation: int) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", refuse)

    def occupy(self, folder: Path, **holder: object) -> None:
        (folder / LOCK_FILE).write_text(
            json.dumps(
                {"host": socket.gethostname(), "pid": os.getpid(), "since": "yesterday"} | holder
            )
        )

    def test_a_living_process_on_this_machine_counts(self, tmp_path: Path) -> None:
        self.occupy(tmp_path)
        with (
            pytest.raises(UserError, match=f"process {os.getpid()} on"),
            exclusive_lock(tmp_path, "x"),
        ):
            raise AssertionError("both are in")

    def test_a_dead_one_does_not(self, tmp_path: Path) -> None:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        self.occupy(tmp_path, pid=gone.pid)
        with exclusive_lock(tmp_path, "x"):
            assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()

    def test_of_another_machine_nobody_knows(self, tmp_path: Path) -> None:
        self.occupy(tmp_path, host="elsewhere", pid=1)
        with (
            pytest.raises(UserError, match=f"1 on elsewhere.*remove .*{LOCK_FILE}"),
            exclusive_lock(tmp_path, "x"),
        ):
            raise AssertionError("both are in")

    @pytest.mark.parametrize("text", ["", "no json", "[1]", '{"pid": "x"}'])
    def test_what_nobody_wrote_holds_nothing(self, tmp_path: Path, text: str) -> None:
        (tmp_path / LOCK_FILE).write_text(text)
        with exclusive_lock(tmp_path, "x"):
            assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()


def test_a_disk_without_locks_does_not_stop_the_making_of_a_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked_directory(tmp_path, "busy"):
        pass

"""A companion works behind everybody else, and never outlives the one whom it works for."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from progan.runtime.companion import NICENESS, POSSIBLE, Companion, environment
from tests.runtime.companion_at_work import MODULE

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not POSSIBLE, reason="there are no companions here")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that only its parent has not heard of yet has."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat")
    return status.is_file() and status.read_text().rpartition(")")[2].split()[0] == "Z"


def test_it_does_its_task_and_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]
                                             ) -> None:
    with closing(Companion(MODULE, f"done {tmp_path / 'said'}")) as companion:
        wait_for(lambda: companion.ended)
        assert companion.failure == ""
    assert (tmp_path / "said").read_text() == "done"
    assert capfd.readouterr() == ("", "")


def test_its_last_words_are_heard_and_not_printed(tmp_path: Path,
                                                  capfd: pytest.CaptureFixture[str]) -> None:
    with closing(Companion(MODULE, f"fail {tmp_path / 'said'}")) as companion:
        wait_for(lambda: companion.ended)
        assert companion.failure == "RuntimeError: it is broken"
    assert capfd.readouterr() == ("", "")


def test_it_steps_back_behind_all_others_of_its_session(tmp_path: Path) -> None:
    with closing(Companion(MODULE, f"start {tmp_path / 'pid'}")) as companion:
        assert os.getpriority(os.PRIO_PROCESS, companion.pid) == NICENESS
        assert os.getpgid(companion.pid) == companion.pid != os.getpgrp()
        assert os.getsid(companion.pid) == os.getsid(0)


def test_closing_kills_all_that_it_has_started(tmp_path: Path) -> None:
    companion = Companion(MODULE, f"start {tmp_path / 'pid'}")
    wait_for((tmp_path / "pid").is_file)
    started = int((tmp_path / "pid").read_text())
    assert not companion.ended and companion.failure == "" and not is_gone(started)
    companion.close()
    assert companion.ended
    wait_for(lambda: is_gone(started))


def test_it_dies_with_the_one_who_asked(tmp_path: Path) -> None:
    asking = subprocess.Popen([sys.executable, "-m", MODULE, "ask", tmp_path / "pid"], cwd=ROOT)
    wait_for((tmp_path / "pid").is_file)
    companion, started = (int((tmp_path / name).read_text()) for name in ("pid.companion", "pid"))
    assert not is_gone(companion) and not is_gone(started)
    asking.kill()
    asking.wait()
    wait_for(lambda: is_gone(companion) and is_gone(started))


def test_its_environment_knows_of_no_torchrun_and_finds_this_package() -> None:
    own = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "here",
           "TORCHELASTIC_RUN_ID": "x", "HOME": "/home/x", "OMP_WAIT_POLICY": "PASSIVE"}
    assert environment(own) == {"HOME": "/home/x", "OMP_WAIT_POLICY": "PASSIVE",
                                "PYTHONPATH": str(ROOT)}
    assert environment({"PYTHONPATH": "/other"})["PYTHONPATH"] == f"{ROOT}{os.pathsep}/other"

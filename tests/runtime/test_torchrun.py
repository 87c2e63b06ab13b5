"""The launcher of --gpus: signals, exit codes and no process left behind."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path

import pytest
from torch.distributed.launcher.api import LaunchConfig

from progan.cli.processes import list_launcher_words, start_processes
from progan.runtime.signals import EXIT_INTERRUPTED, EXIT_RESUMABLE, SIGNALS

ROOT = Path(__file__).resolve().parents[2]
SLEEPER = str(Path(__file__).with_name("sleeper.py"))


def is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def pids(folder: Path) -> list[int]:
    return [int(path.read_text() or 0) for path in sorted(folder.glob("pid-*"))]


@contextmanager
def launched(folder: Path, action: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Two sleepers under the launcher."""
    process = subprocess.Popen(
        [*list_launcher_words(2), SLEEPER, str(folder), action], text=True, cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in SIGNALS],
    )  # fmt: skip
    try:
        yield process
    finally:
        for pid in filter(is_alive, pids(folder)):
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.communicate()


def stop(process: "subprocess.Popen[str]", number: signal.Signals, folder: Path) -> tuple[int, str]:
    """Send a signal to the launcher when both sleep; return its exit code and what it printed."""
    deadline = time.monotonic() + 60
    while len([pid for pid in pids(folder) if pid]) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    said = process.communicate(timeout=40)[0]
    return process.returncode, said


@pytest.mark.parametrize(
    ("number", "action", "code"),
    [
        (signal.SIGUSR1, "save", EXIT_RESUMABLE),
        (signal.SIGTERM, "save", EXIT_RESUMABLE),
        # Before the first step no process leaves a code.
        (signal.SIGUSR1, "exit", EXIT_RESUMABLE),
        (signal.SIGTERM, "exit", EXIT_INTERRUPTED),
    ],
)
def test_a_signal_to_the_launcher_stops_all_processes(
    number: signal.Signals, action: str, code: int, tmp_path: Path
) -> None:
    with launched(tmp_path, action) as process:
        assert stop(process, number, tmp_path) == (code, "")
        assert [path.read_text() for path in tmp_path.glob("signal-*")] == [number.name] * 2
        assert not any(map(is_alive, pids(tmp_path)))


def test_a_training_that_stops_by_itself_leaves_its_exit_code(tmp_path: Path) -> None:
    """With --max-hours, or a signal to one process: all end with 0, for the sake of torchrun."""
    with launched(tmp_path, "finish") as process:
        assert process.communicate(timeout=60)[0] == ""
        assert process.returncode == EXIT_RESUMABLE


@pytest.mark.skipif(
    "shutdown_timeout" not in {field.name for field in fields(LaunchConfig)},
    reason="this torch always kills after 30 s",
)
def test_torchrun_heeds_the_time_for_a_stop(tmp_path: Path) -> None:
    with launched(tmp_path, "ignore", TORCH_ELASTIC_SHUTDOWN_TIMEOUT="1") as process:
        began = time.monotonic()
        assert stop(process, signal.SIGTERM, tmp_path) == (EXIT_INTERRUPTED, "")
        assert time.monotonic() - began < 25
        assert not any(map(is_alive, pids(tmp_path)))


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_the_launcher_imports_torch(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text(f"import os\nos.kill(os.getpid(), {int(number)})\n")
    result = subprocess.run(
        [*list_launcher_words(2), SLEEPER, str(tmp_path), "exit"], capture_output=True, text=True,
        timeout=60, env=os.environ | {"PYTHONPATH": str(tmp_path)},
        preexec_fn=lambda: [signal.signal(each, signal.SIG_DFL) for each in SIGNALS],
    )  # fmt: skip
    code = EXIT_RESUMABLE if number == signal.SIGUSR1 else EXIT_INTERRUPTED
    assert (result.returncode, result.stderr) == (code, "\nInterrupted.\n")


def test_ignored_signals_are_not_forwarded() -> None:
    outside = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        forwarded = list_launcher_words(2)[-1].partition("=")[2].split(",")
    finally:
        signal.signal(signal.SIGHUP, outside)
    assert "SIGHUP" not in forwarded and {"SIGTERM", "SIGUSR1"} <= set(forwarded)


@pytest.mark.parametrize("chosen", [None, "7200"])
def test_gpus_give_a_stop_more_time_than_torchrun_does(
    chosen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": chosen} if chosen else {}
    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr(os, "execv", lambda program, words: None)
    start_processes(2, "cpu")
    seconds = int(environment["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"])
    assert seconds >= 600 and chosen in (None, str(seconds))

"""Signals while a command is being imported, and while its process ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from progan.runtime import signals
from progan.runtime.signals import (
    EXIT_INTERRUPTED,
    EXIT_RESUMABLE,
    OUT_OF_TIME,
    SIGNALS,
    StopSignal,
)

ROOT = Path(__file__).resolve().parents[2]
PROGAN = ("-c", "from progan.cli.start import main; main()")
COMMANDS = (
    ("train.py",), ("generate.py",), ("dataset_tool.py",), ("-m", "metrics"),
    ("-m", "progan.report"), ("-m", "progan.diagnosis"), ("-m", "progan.interop"),
    ("-m", "progan.projection"), ("-m", "progan"), PROGAN,
)  # fmt: skip


def ended(
    command: tuple[str, ...],
    first_import: str,
    folder: Path,
    words: tuple[str, ...] = ("--help",),
    **environment: str,
) -> "subprocess.CompletedProcess[str]":
    """Run a command whose import of click does something else first."""
    (folder / "click.py").write_text(f"import os, signal\n{first_import}\n")
    return subprocess.run(
        [sys.executable, *command, *words], cwd=ROOT, capture_output=True, text=True, timeout=60,
        env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"} | environment,
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in SIGNALS],
    )  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_while_modules_are_imported_leaves_no_traceback(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    result = ended(command, "os.kill(os.getpid(), signal.SIGINT)", tmp_path)
    assert (result.returncode, result.stderr) == (EXIT_INTERRUPTED, "\nInterrupted.\n")


@pytest.mark.parametrize("number", SIGNALS)
def test_other_signals_do_the_same(number: signal.Signals, tmp_path: Path) -> None:
    result = ended(("generate.py",), f"os.kill(os.getpid(), {int(number)})", tmp_path)
    assert (result.returncode, result.stderr) == (EXIT_INTERRUPTED, "\nInterrupted.\n")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("train.py",), ("--help",)),
        (PROGAN, ("train", "--help")),
        (("-m", "progan"), ("train", "--help")),
    ],
)
@pytest.mark.parametrize("number", SIGNALS)
def test_a_training_that_slurm_stops_early_is_requeued(
    command: tuple[str, ...], words: tuple[str, ...], number: signal.Signals, tmp_path: Path
) -> None:
    """--signal=USR1@… may come while the modules are still imported."""
    result = ended(command, f"os.kill(os.getpid(), {int(number)})", tmp_path, words)
    code = EXIT_RESUMABLE if number == signal.SIGUSR1 else EXIT_INTERRUPTED
    assert (result.returncode, result.stderr) == (code, "\nInterrupted.\n")


def test_torchrun_takes_no_code_for_a_requeue(tmp_path: Path) -> None:
    result = ended(
        ("train.py",),
        "os.kill(os.getpid(), signal.SIGUSR1)",
        tmp_path,
        RANK="0",
        TORCHELASTIC_RUN_ID="none",
    )
    assert (result.returncode, result.stderr) == (EXIT_INTERRUPTED, "\nInterrupted.\n")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_torch_is_imported_raises_nothing_in_its_code(
    number: signal.Signals, tmp_path: Path
) -> None:
    """C++ code of torch, which calls Python while it is imported, would abort the process."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("import torch.part\n")
    (tmp_path / "torch/part.py").write_text(
        f"import os\ntry:\n    os.kill(os.getpid(), {int(number)})\n"
        "    sum(range(10))\nexcept BaseException:\n    os.abort()\n"
    )
    result = subprocess.run(
        [sys.executable, "train.py", "--dry-run"], cwd=ROOT, capture_output=True, text=True,
        timeout=60, env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        preexec_fn=lambda: [signal.signal(each, signal.SIG_DFL) for each in SIGNALS],
    )  # fmt: skip
    code = EXIT_RESUMABLE if number == signal.SIGUSR1 else EXIT_INTERRUPTED
    assert (result.returncode, result.stderr) == (code, "\nInterrupted.\n")


def test_one_process_of_torchrun_speaks(tmp_path: Path) -> None:
    result = ended(
        ("train.py",),
        "os.kill(os.getpid(), signal.SIGINT)",
        tmp_path,
        RANK="1",
        TORCHELASTIC_RUN_ID="none",
    )
    assert (result.returncode, result.stderr) == (EXIT_INTERRUPTED, "")


def test_a_signal_after_the_command_changes_nothing() -> None:
    """Python takes a while to end a process that has imported much."""
    code = (
        "import atexit, os, signal; "
        "from progan.runtime.signals import install_early_handlers; "
        "atexit.register(os.kill, os.getpid(), signal.SIGINT); "
        "install_early_handlers(); from tests.runtime.ending import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_wish_and_an_order(number: signal.Signals) -> None:
    outside = signal.getsignal(number)
    signal.signal(number, signal.default_int_handler)  # a background job ignores Ctrl-C
    with StopSignal() as interrupts:
        assert not interrupts.poll()
        os.kill(os.getpid(), number)
        assert interrupts.poll() and interrupts.reason == number.name
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == signal.default_int_handler
    signal.signal(number, outside)


def test_a_signal_that_torchrun_forwards_is_not_a_second_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slurm signals torchrun and its processes, and torchrun signals these again."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setattr(signals.time, "monotonic", lambda: now)
    now = 100.0
    with StopSignal(announce=False) as interrupts:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGUSR1)
        assert interrupts.poll()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)  # another one, of somebody in a hurry
    with StopSignal(announce=False):
        os.kill(os.getpid(), signal.SIGUSR1)
        now += signals.FORWARDING_SECONDS
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGUSR1)


def test_what_is_ignored_stays_ignored() -> None:
    outside = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with StopSignal() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        assert not interrupts.poll()
    signal.signal(signal.SIGINT, outside)


def test_the_end_of_the_time_is_a_wish_too() -> None:
    with StopSignal(max_hours=0) as interrupts:
        assert interrupts.poll() and interrupts.reason == OUT_OF_TIME
    with StopSignal(max_hours=1) as interrupts:
        assert not interrupts.poll()
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.poll() and interrupts.reason == "SIGTERM"


def test_where_every_moment_is_good_the_first_signal_is_an_order() -> None:
    with StopSignal() as interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.interrupt_immediately():
            os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.poll()
        with pytest.raises(KeyboardInterrupt), interrupts.interrupt_immediately():
            raise AssertionError("it was requested before")


@pytest.mark.parametrize("ends_process", [False, True])
def test_handlers_come_back_unless_the_process_ends(ends_process: bool) -> None:
    """A script that calls progan.train goes on; of a command, nothing but its end is left."""
    outside = signal.signal(signal.SIGTERM, signal.default_int_handler)
    with StopSignal(ends_process=ends_process) as interrupts:
        interrupts.ignore_signals()
        os.kill(os.getpid(), signal.SIGTERM)
        assert not interrupts.poll()
    restored = signal.getsignal(signal.SIGTERM) == signal.default_int_handler
    signal.signal(signal.SIGTERM, outside)
    assert restored != ends_process

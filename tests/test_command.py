"""Behaviour that all commands share."""

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner, Result

from progan.command import Command, CommandGroup
from progan.errors import UserError
from progan.runtime.files import atomic_path
from progan.runtime.signals import EXIT_INTERRUPTED, SIGNALS

LESS_MEMORY = (
    "Choose smaller batches or images, or another --device, or close other programs that use this "
    "one."
)


@click.group(cls=CommandGroup)
def house() -> None:
    """A house."""


@house.command()
@click.option("--max-images", type=int, default=0)
@click.option("--kind", type=click.Choice(["two_words", "one"]), default="one")
@click.argument("path", required=False)
def make_it(max_images: int, kind: str, path: str | None) -> None:
    """Say what was asked for."""
    click.echo(f"{max_images} {kind} {path}")


@house.command()
@click.argument("error")
def fail(error: str) -> None:
    """Fail in some way."""
    raise {
        "user": UserError("It is broken. Mend it."),
        "full": OSError(errno.ENOSPC, "No space left on device", "/data/x"),
        "move": OSError(errno.EXDEV, "Invalid cross-device link", "/a", None, "/b"),
        "nameless": OSError(errno.EIO, "Input/output error"),
        "memory": MemoryError("Unable to allocate 9 GiB."),
        "gpu": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore lines."),
        "interrupt": KeyboardInterrupt(),
        "bug": ZeroDivisionError("a bug of ours"),
    }[error]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(house, arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("make-it", "--max-images", "3"),
        ("make_it", "--max_images", "3"),
        ("make_it", "--max_images=3"),
        ("make-it", "--max_images=3"),
    ],
)
def test_underscores_are_hyphens(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).output == "3 one None\n"


def test_values_keep_their_underscores() -> None:
    assert run("make-it", "--kind", "two_words", "my_folder").output == "0 two_words my_folder\n"


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (("make-ti",), "Did you mean make-it?"),
        (("mke_it",), "Did you mean make-it?"),
        (("zzz",), "Commands: fail, make-it."),
        (("make-it", "--max-imges", "3"), "--max-images"),
    ],
)
def test_mistyped_names_are_answered_with_near_ones(
    arguments: tuple[str, ...], suggestion: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert suggestion in result.stderr


@pytest.mark.parametrize(
    ("error", "exit_code", "stderr"),
    [
        ("user", 1, "Error: It is broken. Mend it.\n"),
        (
            "full",
            1,
            "Error: /data/x: No space left on device. Free some space, or name a folder on "
            "another disk.\n",
        ),
        ("move", 1, "Error: /a -> /b: Invalid cross-device link.\n"),
        ("nameless", 1, "Error: Input/output error.\n"),
        ("memory", 1, f"Error: Not enough memory: Unable to allocate 9 GiB. {LESS_MEMORY}\n"),
        (
            "gpu",
            1,
            "Error: Not enough memory: CUDA out of memory. Tried to allocate 2 GiB. "
            f"{LESS_MEMORY}\n",
        ),
        ("interrupt", 130, "\nInterrupted.\n"),
    ],
)
def test_what_a_user_can_mend_is_said_without_a_traceback(
    error: str, exit_code: int, stderr: str
) -> None:
    result = run("fail", error)
    assert (result.exit_code, result.stderr, result.stdout) == (exit_code, stderr, "")


@contextmanager
def signals(way: Any) -> Iterator[None]:
    """Signals as a command finds them; one that has received a signal ignores all others."""
    before = {number: signal.signal(number, way) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@click.command(cls=Command)
@click.argument("path", type=Path)
@click.argument("number", type=int)
def write(path: Path, number: int) -> None:
    """Write a file, with a signal in the middle of it."""
    with atomic_path(path) as temporary:
        temporary.write_text("a half")
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_leaves_nothing_that_is_half_written(number: int, tmp_path: Path) -> None:
    with signals(lambda *_: None):
        result = CliRunner().invoke(write, [str(tmp_path / "x"), str(int(number))])
    assert (result.exit_code, result.stderr) == (EXIT_INTERRUPTED, "\nInterrupted.\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", SIGNALS)
def test_what_is_ignored_stays_ignored(number: int, tmp_path: Path) -> None:
    """As under nohup."""
    with signals(signal.SIG_IGN):
        CliRunner().invoke(write, [str(tmp_path / "x"), str(int(number))], catch_exceptions=False)
    assert (tmp_path / "x").read_text() == "a half"


def test_a_closed_terminal_is_heard() -> None:
    assert [number.name for number in SIGNALS] == [
        "SIGINT",
        "SIGTERM",
        *["SIGHUP", "SIGUSR1"] * (os.name != "nt"),
    ]


def test_of_the_processes_of_torchrun_one_says_that_it_was_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    for rank, said in (("0", "\nInterrupted.\n"), ("1", "")):
        monkeypatch.setenv("RANK", rank)
        result = run("fail", "interrupt")
        assert (result.exit_code, result.stderr) == (EXIT_INTERRUPTED, said)


def test_a_bug_keeps_its_traceback() -> None:
    assert isinstance(run("fail", "bug").exception, ZeroDivisionError)


def test_a_command_of_its_own_behaves_alike() -> None:
    @click.command(cls=Command)
    @click.option("--total-kimg", type=int)
    def train(total_kimg: int) -> None:
        raise UserError(f"{total_kimg} is too much.")

    result = CliRunner().invoke(train, ["--total_kimg", "7"])
    assert (result.exit_code, result.stderr) == (1, "Error: 7 is too much.\n")


def test_help_is_there_by_both_names() -> None:
    assert run("-h").output == run("--help").output
    assert "make-it" in run("-h").output

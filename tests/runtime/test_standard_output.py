"""Entry points whose standard output is full or closed: one line, an exit code, no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtime.test_signals import COMMANDS, PROGAN, ROOT

UNBUFFERED = "PYTHONUNBUFFERED"
FULL = Path("/dev/full")
PRINTS = (
    "import click\nfrom progan.command import Command\n"
    "@click.command(cls=Command)\ndef main(): {}\nmain()"
)
needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full on this system")


def ended(
    *words: str, stdout: int | None = None, unbuffered: bool = False
) -> "subprocess.CompletedProcess[str]":
    """Run Python with another standard output; none if it is to be closed."""
    environment = {name: value for name, value in os.environ.items() if name != UNBUFFERED}
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, text=True, timeout=60, stdout=stdout,
        stderr=subprocess.PIPE, env=environment | ({UNBUFFERED: "1"} if unbuffered else {}),
        preexec_fn=(lambda: os.close(1)) if stdout is None else None,
    )  # fmt: skip


@needs_full
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_output_is_one_line(command: tuple[str, ...]) -> None:
    with FULL.open("w") as full:
        result = ended(*command, "--help", stdout=full.fileno())
    assert (result.returncode, result.stderr) == (
        1,
        "Error: The standard output cannot be written: No space left on device.\n",
    )


@pytest.mark.parametrize("command", [PROGAN, ("generate.py",)])
def test_a_closed_output_is_one_line(command: tuple[str, ...]) -> None:
    result = ended(*command, "--version")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: The standard output is closed. ")
    assert result.stderr.count("\n") == 1


@needs_full
@pytest.mark.parametrize("unbuffered", [False, True])
@pytest.mark.parametrize("body", ["click.echo('x')", "print('x')", "print('x', flush=True)"])
def test_so_is_what_a_command_prints_in_any_way(body: str, unbuffered: bool) -> None:
    with FULL.open("w") as full:
        result = ended("-c", PRINTS.format(body), stdout=full.fileno(), unbuffered=unbuffered)
    assert (result.returncode, result.stderr) == (
        1,
        "Error: The standard output cannot be written: No space left on device.\n",
    )


def test_a_closed_pipe_has_no_message() -> None:
    read, write = os.pipe()
    os.close(read)
    result = ended("-c", PRINTS.format("print('x')"), stdout=write)
    os.close(write)
    assert result.stderr == ""


def test_other_errors_of_a_disk_are_told_as_before() -> None:
    body = "raise OSError(28, 'No space left on device', '/data/x')"
    result = ended("-c", PRINTS.format(body), stdout=subprocess.DEVNULL)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: /data/x: No space left on device. Free some space")

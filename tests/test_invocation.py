"""How commands are spelled, whatever was typed."""

import sys
from pathlib import Path

import pytest

from progan import invocation
from progan.invocation import ROOT, command_line, format_own_command_line, respell_commands

PACKAGE = ROOT / "progan"
HELP = "train.py --mirror trains; python -m metrics and python train.py; /tmp/my_train.pyc"


def start(monkeypatch: pytest.MonkeyPatch, program: object, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(program), *words])


@pytest.mark.parametrize(
    ("program", "train", "metrics"),
    [
        ("/usr/bin/progan", "/usr/bin/progan train", "/usr/bin/progan metrics"),
        ("progan", "progan train", "progan metrics"),
        ("progan.exe", "progan train", "progan metrics"),
        (PACKAGE / "__main__.py", "python -m progan train", "python -m progan metrics"),
        (PACKAGE / "report" / "__main__.py", "python -m progan train", "python -m metrics"),
        (ROOT / "metrics" / "__main__.py", "python -m progan train", "python -m metrics"),
        (ROOT / "generate.py", f"python {ROOT}/train.py", "python -m metrics"),
        ("/home/me/train.py", "python train.py", "python -m metrics"),
        ("/usr/bin/jupyter", "python train.py", "python -m metrics"),
    ],
)
def test_commands_are_spelled_as_the_one_that_was_typed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: object, train: str, metrics: str
) -> None:
    monkeypatch.chdir(tmp_path)
    start(monkeypatch, program)
    assert command_line("train", "--resume", "my runs") == f"{train} --resume 'my runs'"
    assert command_line("metrics") == metrics


@pytest.mark.parametrize(
    ("program", "report"),
    [
        ("train.py", "python -m progan.report"),
        (PACKAGE / "__main__.py", "python -m progan report"),
        ("pytest", "python -m progan.report"),
        ("bin/progan", "bin/progan report"),
    ],
)
def test_in_a_checkout(monkeypatch: pytest.MonkeyPatch, program: object, report: str) -> None:
    monkeypatch.chdir(ROOT)
    start(monkeypatch, program)
    assert command_line("report") == report


def test_scripts_lie_beside_each_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "checkout").symlink_to(ROOT)
    monkeypatch.chdir(tmp_path)
    start(monkeypatch, "checkout/train.py")
    assert command_line("generate") == "python checkout/generate.py"
    assert command_line("generate", portable=True) == "python generate.py"


def test_other_programs_without_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(invocation, "ROOT", tmp_path)
    start(monkeypatch, "/usr/bin/jupyter")
    assert (command_line("train"), command_line("metrics")) == ("progan train", "progan metrics")


def test_files_name_no_folder_of_this_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    start(monkeypatch, "/opt/bin/progan", "generate", "--seeds", "1 2")
    assert command_line("train", portable=True) == "progan train"
    assert format_own_command_line("generate") == "progan generate --seeds '1 2'"


@pytest.mark.parametrize(
    ("program", "text"),
    [
        (ROOT / "generate.py", "python generate.py x"),
        (PACKAGE / "report" / "__main__.py", "python -m progan.report x"),
        (PACKAGE / "__main__.py", "python -m progan x"),
        ("/usr/bin/jupyter", "python train.py x"),
    ],
)
def test_what_was_typed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: object, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    start(monkeypatch, program, "x")
    assert format_own_command_line("train") == text


def test_help_is_respelled(monkeypatch: pytest.MonkeyPatch) -> None:
    start(monkeypatch, ROOT / "train.py")
    assert respell_commands(HELP) == HELP
    start(monkeypatch, "progan")
    assert respell_commands(HELP) == (
        "progan train --mirror trains; progan metrics and progan train; /tmp/my_train.pyc"
    )


def test_a_path_that_begins_with_a_hyphen_is_no_option() -> None:
    assert command_line("train", "--resume", Path("-runs/a")).endswith(" --resume ./-runs/a")

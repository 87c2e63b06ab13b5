"""Option names of other projects."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from progan import aliases
from progan.cli.generate import main as generate
from progan.cli.train import main as train
from tests.builders import message

PAGE = Path(__file__).resolve().parents[2] / "docs" / "training.md"
COMMANDS = [
    (train, aliases.TRAIN_ALIASES, aliases.TRAIN_DIFFERENCES),
    (generate, aliases.GENERATE_ALIASES, aliases.GENERATE_DIFFERENCES),
]


@pytest.mark.parametrize(("command", "names", "differences"), COMMANDS)
def test_aliases_name_options_and_hide_none(command, names, differences) -> None:  # type: ignore[no-untyped-def]
    visible = {
        option.lstrip("-")
        for param in command.params
        if not getattr(param, "hidden", True)
        for option in param.opts
    }
    assert set(names.values()) <= visible
    assert not visible & (set(names) | set(differences))
    assert not set(names) & set(differences)


def test_aliases_set_what_they_stand_for() -> None:
    words = "--cfg demo --kimg 5 --lr 0.1 --dlr 0.2 --batch_size 2 --snap 3 --cond --nz 9"
    result = CliRunner().invoke(train, [*words.split(), "--print-config"])
    assert result.exit_code == 0, result.output
    for line in (
        "preset: demo", "total_kimg: 5", "g_lr: 0.1", "d_lr: 0.2", "batch: 2", "snapshot_ticks: 3",
        "conditional: true", "latent_size: 9",
    ):  # fmt: skip
        assert f"{line}\n" in result.output


@pytest.mark.parametrize(("command", "names", "differences"), COMMANDS)
def test_other_meanings_are_explained(command, names, differences) -> None:  # type: ignore[no-untyped-def]
    for name, text in differences.items():
        for word in (f"--{name}=1", f"--{name.replace('-', '_')}"):
            result = CliRunner().invoke(command, [word])
            assert result.exit_code == 2
            assert " ".join(text.split()) in message(result)


def test_the_table_has_all_of_them() -> None:
    written = set(re.findall(r"`--([a-z0-9-]+)`", PAGE.read_text("utf-8")))
    for _, names, differences in COMMANDS:
        assert {*names, *names.values(), *differences, "lr"} <= written

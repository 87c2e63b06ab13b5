"""The commands that README and docs show exist, with these options."""

import re
import shlex
from pathlib import Path

import click
import pytest

from metrics.cli import main as metrics
from progan.cli.dataset import main as dataset
from progan.cli.generate import main as generate
from progan.cli.train import main as train
from progan.diagnosis.cli import main as diagnosis
from progan.interop.cli import main as interop
from progan.projection.cli import main as projection
from progan.report.cli import main as report
from tests.for_each import for_each

ROOT = Path(__file__).resolve().parents[2]
COMMANDS_BY_NAME: dict[str, click.Command] = {
    "dataset_tool.py": dataset, "train.py": train, "generate.py": generate, "-m metrics": metrics,
    "-m progan.diagnosis": diagnosis, "-m progan.interop": interop,
    "-m progan.projection": projection, "-m progan.report": report,
}  # fmt: skip
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
SHOWN = re.compile(rf"^ {{4}}python ({'|'.join(map(re.escape, COMMANDS_BY_NAME))}) (.*)$", re.M)
COMMANDS = [
    (page.name, script, words)
    for page in PAGES
    for script, words in SHOWN.findall(page.read_text("utf-8").replace("\\\n", " "))
]


def parse(command: click.Command, words: list[str]) -> None:
    """Parse as the command line would, without running anything."""
    context = command.make_context("shown", words)
    if isinstance(command, click.Group):
        _, chosen, rest = command.resolve_command(context, words)
        assert chosen is not None
        parse(chosen, rest)


@pytest.fixture
def any_config(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take --config files for empty: those of the pages do not exist."""
    monkeypatch.setattr("progan.cli.run_file.read_run_file", lambda *_: {})


@pytest.fixture
def any_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetch nothing from the Hub."""
    monkeypatch.setattr("progan.hub.fetch_network", Path)


@pytest.mark.usefixtures("any_config", "any_repository")
@for_each("page, script, words", COMMANDS)
def test_a_shown_command_can_be_typed(page: str, script: str, words: str) -> None:
    parse(COMMANDS_BY_NAME[script], shlex.split(words.partition(" > ")[0], comments=True))


def test_the_pages_show_every_command() -> None:
    assert {script for page, script, _ in COMMANDS if page == "README.md"} >= {
        "dataset_tool.py",
        "train.py",
        "generate.py",
    }


def test_an_option_that_does_not_exist_is_noticed() -> None:
    with pytest.raises(click.NoSuchOption):
        parse(generate, ["--network", "x", "--outdir", "y", "--sedes", "3"])


def test_the_tree_of_the_readme_is_the_tree() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    tree = text.split("## Where things are")[1].split("Start reading")[0]
    names = re.findall(r"^ {6}((?:\w+(?:\.py|/) *)+)", tree, re.M)
    rooms = {name for line in names for name in line.split()}
    on_disk = {
        path.name + "/" * path.is_dir()
        for path in (ROOT / "progan").iterdir()
        if not path.name.startswith("_") and path.suffix in ("", ".py")
    }
    assert rooms == on_disk - {"errors.py"}

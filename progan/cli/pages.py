"""The pages of docs/commands, made of the commands: `make docs` writes them."""

import sys
from collections.abc import Mapping
from dataclasses import Field
from pathlib import Path
from typing import Any, NamedTuple

import click

from metrics.cli import COMMANDS
from metrics.cli import main as metrics
from progan.cli.dataset import main as dataset
from progan.cli.generate import main as generate
from progan.cli.main import main as installed
from progan.cli.manual import Chapter, Entry, in_words, page, sentence
from progan.cli.train import main as train
from progan.config import Run
from progan.diagnosis.cli import main as diagnosis
from progan.interop.cli import main as interop
from progan.options import sections
from progan.projection.cli import main as projection
from progan.report.cli import main as report
from progan.runtime.files import make_folder, write_atomically
from progan.sizes import MAX_LEVEL, MIN_LEVEL

FOLDER = Path("docs/commands")
INDEX = "README.md"
MEASURING = {str(name): command for name, command in COMMANDS.items()}
PREFACE = ("What `--help` of each command says. Options may be spelt with underscores: "
           "`--total_kimg`. `make docs` writes these pages, anew after an option was changed.")
WHOLE = "What concerns the run as a whole."


class Subject(NamedTuple):
    """A page.

    Attributes:
        words: How the door is typed, after 'python'.
        commands: Those behind it.
        see: Pages of docs/ that say more.
    """

    words: str
    command: click.Command
    commands: Mapping[str, click.Command]
    see: tuple[str, ...]


DOORS = {
    "dataset_tool.md": Subject("dataset_tool.py", dataset, dataset.commands, (
        "importing.md", "dataset-format.md", "celebahq.md")),
    "train.md":        Subject("train.py", train, {}, (
        "schedule.md", "gans.md", "augmentation.md", "transfer.md", "memory.md", "performance.md",
        "several-processes.md", "checkpoint-format.md")),
    "generate.md":     Subject("generate.py", generate, {}, ("pictures.md",)),
    "metrics.md":      Subject("-m metrics", metrics, MEASURING, ("metrics.md",)),
    "diagnosis.md":    Subject("-m progan.diagnosis", diagnosis, {}, ("diagnosis.md",)),
    "report.md":       Subject("-m progan.report", report, {}, ("report.md",)),
    "interop.md":      Subject("-m progan.interop", interop, {}, ("interop.md",)),
    "projection.md":   Subject("-m progan.projection", projection, {}, ("projection.md",)),
}


def pages() -> dict[str, str]:
    """All pages by name."""
    return {INDEX: index(), **{name: page_of(door) for name, door in DOORS.items()}}


def page_of(door: Subject) -> str:
    """The page of a door, with the commands behind it."""
    words = f"python {door.words}"
    return page(
        title_of(door), Entry(words, door.command), also=also_of(door),
        chapters=chapters() if door.command is train else (),
        commands=[Entry(f"{words} {name}", command) for name, command in door.commands.items()],
        see=[f"../{name}" for name in door.see])


def chapters() -> list[Chapter]:
    """The options of train.py that are settings of a run, by section."""
    return [Chapter(section.__name__, WHOLE if section is Run else section.__doc__.split("\n")[0],
                    {field.name: limits(field) for field in fields})
            for section, fields in sections().items()]


def limits(field: Field[Any]) -> str:
    """Which values a setting takes; '' if any."""
    if field.metadata["resolution"]:
        return f"A power of two from {2**MIN_LEVEL} to {2**MAX_LEVEL}."
    return in_words(field.metadata["low"], field.metadata["high"])


def index() -> str:
    """The list of all doors, and of what is behind them."""
    lines = ["# Commands", "", PREFACE, ""]
    for name, door in DOORS.items():
        lines.append(f"- [{title_of(door)}]({name}): {sentence(door.command)}")
        lines += [f"  - [{each}]({name}#{each}): {sentence(command)}"
                  for each, command in door.commands.items()]
    return "\n".join(lines) + "\n"


def title_of(door: Subject) -> str:
    """'train.py', 'python -m metrics'."""
    return door.words if door.words.endswith(".py") else f"python {door.words}"


def also_of(door: Subject) -> str:
    """How the door is called where progan is installed; '' if it has no such name."""
    return next((f"progan {name}" for name, command in installed.commands.items()
                 if command is door.command), "")


def write(folder: Path) -> None:
    """Write all pages, and remove those of doors that are gone."""
    make_folder(folder)
    found = pages()
    for path in folder.glob("*.md"):
        if path.name not in found:
            path.unlink()
    for name, text in found.items():
        write_atomically(folder / name, text)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)

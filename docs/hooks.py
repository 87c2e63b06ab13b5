"""Hooks of MkDocs: pages from outside docs/, and help texts as Markdown."""

import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from metrics.cli import COMMANDS
from progan.cli.main import main as progan

ROOT = Path(__file__).resolve().parents[1]
TOP_PAGES = ("CONTRIBUTING.md", "CHANGELOG.md")
RESULTS = ROOT / "benchmarks" / "results"
NOTEBOOK = "examples/portraits.ipynb"
WIDTH = "100"  # columns of option lists, independent of the terminal


def on_startup(**_: object) -> None:
    """Turn help texts into Markdown, for mkdocs-click, which passes them on as they are."""
    os.environ["COLUMNS"] = WIDTH
    found = {id(each): each for each in (*_commands(progan), *COMMANDS.values())}
    for command in found.values():
        text = "\n\n".join(filter(None, (command.help, command.epilog)))
        if "\b" in text:
            command.help = "\n\n".join(map(_paragraph, inspect.cleandoc(text).split("\n\n")))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the root, the notebook, and the results that pages link to."""
    for path in (*(ROOT / name for name in (*TOP_PAGES, NOTEBOOK)), *sorted(RESULTS.glob("*"))):
        if path.is_file():
            files.append(
                File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path))
            )
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Let links lead to where the files are in the site."""
    if page.file.src_uri in TOP_PAGES:
        return markdown.replace("](docs/", "](")
    depth = page.file.src_uri.count("/")
    return re.sub(rf"\]\((?:\.\./){{{depth + 1}}}", "](" + "../" * depth, markdown)


def _commands(command: click.Command) -> Iterator[click.Command]:
    yield command
    for each in getattr(command, "commands", {}).values():
        yield from _commands(each)


def _paragraph(text: str) -> str:
    r"""Turn a paragraph that click's mark \b keeps unwrapped into a code block."""
    return indent(text.removeprefix("\b\n"), "    ") if text.startswith("\b") else text

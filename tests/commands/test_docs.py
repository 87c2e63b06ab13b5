"""The documentation: links lead somewhere, and the site is built and lists every option."""

import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from metrics.cli import COMMANDS
from progan.cli.main import main as progan

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)")
# What a browser would fetch; links that people may follow are others.
FETCHED = re.compile(r"""<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=["']?(?:https?:)?//""")


def anchor_of(heading: str) -> str:
    """As code hosts and the site make them of a heading."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    text = page.read_text("utf-8")
    return {anchor_of(heading) for heading in re.findall(r"(?m)^#+ (.+)$", text)} | set(
        re.findall(r'<a id="([^"]+)"', text)
    )


def broken_links(page: Path) -> list[str]:
    faults = []
    for path, anchor in LINK.findall(page.read_text("utf-8")):
        target = (page.parent / path) if path else page
        if not target.exists():
            faults.append(f"{page.name}: there is no {path}")
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            faults.append(f"{page.name}: {path} has no heading #{anchor}")
    return faults


def test_links_lead_somewhere() -> None:
    assert [fault for page in PAGES for fault in broken_links(page)] == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n[a](b.md) [c](#a-page) [d](page.md#e) [f](https://x.y/z)")
    assert broken_links(page) == ["page.md: there is no b.md", "page.md: page.md has no heading #e"]
    assert ROOT / "docs" / "index.md" in PAGES


def commands(command: click.Command, words: str) -> Iterator[tuple[str, click.Command]]:
    yield words, command
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, f"{words} {name}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it, on a narrow terminal."""
    pytest.importorskip("mkdocs_click", reason='pip install ".[docs]"')
    pytest.importorskip("mkdocstrings_handlers.python", reason='pip install ".[docs]"')
    pytest.importorskip("material", reason='pip install ".[docs]"')
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "COLUMNS": "30", "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_lists_every_command_and_option(site: Path) -> None:
    pages = " ".join(path.read_text("utf-8") for path in (site / "reference").glob("*.html"))
    text = html.unescape(re.sub(r"<[^>]+>", "", pages))
    known = [
        *(each for name, command in progan.commands.items() for each in commands(command, name)),
        *COMMANDS.items(),
    ]
    missing = [
        f"{words} {option}"
        for words, command in known
        for each in command.params
        if isinstance(each, click.Option) and not each.hidden
        for option in (*each.opts, *each.secondary_opts)
        if not re.search(rf"(?m)(?:^ +|, |/ ){re.escape(option)}(?:[ ,]|$)", text)
    ]
    assert missing == []
    assert "\b" not in text and text.count("\nMetrics:\n") == 1
    assert len(known) > 25


def test_the_site_lists_every_setting_and_the_public_api(site: Path) -> None:
    from progan.config import SECTIONS, Run
    from progan.option_fields import list_option_fields

    text = (site / "reference" / "settings.html").read_text("utf-8")
    fields = [
        f"progan.config.{section.__name__}.{field.name}"
        for section in (Run, *SECTIONS.values())
        for field in list_option_fields(section)
    ]
    assert [name for name in fields if f'id="{name}"' not in text] == []
    assert 'id="progan.load"' in (site / "reference" / "python.html").read_text("utf-8")


def test_the_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert [
        str(page.relative_to(site)) for page in pages if FETCHED.search(page.read_text("utf-8"))
    ] == []
    assert FETCHED.search('<script async src="https://x.y/z.js">')
    assert len(pages) > 30

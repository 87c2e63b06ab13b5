"""docs/commands is what the commands say, whatever terminal and machine."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import click
import pytest

from progan.cli import pages
from progan.cli.manual import Entry, default_of, in_markdown, in_words, limits_of, page, synopsis

ROOT = Path(__file__).resolve().parents[2]
PAGES = pages.pages()
REMEDY = "An option was changed: write the pages anew with `make docs`."


def test_the_pages_are_what_the_commands_say() -> None:
    found = {path.name: path.read_text("utf-8") for path in (ROOT / pages.FOLDER).iterdir()}
    assert set(found) == set(PAGES), REMEDY
    for name, text in PAGES.items():
        assert found[name] == text, f"{name}: {REMEDY}"


def test_terminal_and_machine_make_no_difference(tmp_path: Path) -> None:
    code = ("import os, sys; os.cpu_count = lambda: 77; from progan.cli.pages import *; "
            "write(Path(sys.argv[1])); assert 'torch' not in sys.modules")
    (tmp_path / "of-a-door-that-is-gone.md").write_text("old")
    subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, check=True, env={
        **os.environ, "COLUMNS": "30", "LC_ALL": "C", "NO_COLOR": "1", "PYTHONUTF8": "0"})
    assert {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()} == PAGES


@pytest.mark.parametrize("name", pages.DOORS)
def test_every_option_is_there_with_an_anchor_of_its_own(name: str) -> None:
    door, text = pages.DOORS[name], PAGES[name]
    anchors = Counter(re.findall(r'<a id="([^"]+)"></a>', text))
    assert max(anchors.values(), default=1) == 1
    for owner, command in {"": door.command, **door.commands}.items():
        for option in (each for each in command.params if isinstance(each, click.Option)):
            assert owner + option.opts[0] in anchors
            assert all(f"`{word}" in text for word in (*option.opts, *option.secondary_opts))


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", PAGES[name]):
        path = ROOT / pages.FOLDER / (target or name)
        assert path.is_file(), target
        if anchor:
            headings = re.findall(r"(?m)^#+ (.+)$", path.read_text("utf-8"))
            assert anchor in [heading.lower() for heading in headings]


def test_settings_tell_their_range_default_and_section() -> None:
    train = PAGES["train.md"]
    growth = train.split("### Growth")[1].split("###")[0]
    assert ("`--batch INTEGER`\\\n  Images per step. From 1 to 65536. [default: 4, unless the "
            "preset differs]") in growth
    assert "A power of two from 4 to 1024." in growth
    assert "`--mirror`, `--no-mirror`" in train.split("### Data")[1]
    assert "`--max-hours H`" in train.split("### Run")[0]


def an_option(**settings: object) -> click.Option:
    return click.Option(["--x"], **settings)  # type: ignore[arg-type]


def test_only_defaults_that_help_shows_are_told() -> None:
    assert default_of(an_option(default=os.cpu_count())) == ""
    assert default_of(an_option(default=30.0, show_default=True)) == "[default: 30]"
    assert default_of(an_option(default=3, show_default="as many as cores")) == (
        "[default: as many as cores]")


def test_ranges_in_words() -> None:
    assert limits_of(click.IntRange(1, 2**32 - 1)) == "From 1 to 4294967295."
    assert limits_of(click.FloatRange(min=0, min_open=True)) == "More than 0."
    assert limits_of(click.INT) == ""
    assert (in_words(None, 5), in_words(1e-9, None)) == ("At most 5.", "At least 1e-09.")


def test_options_in_a_text_are_code_and_nothing_else_is_markdown() -> None:
    assert in_markdown("as --no-mirror does, or -k; f-strings: metric-*.jsonl, <name>") == (
        "as `--no-mirror` does, or `-k`; f-strings: metric-\\*.jsonl, \\<name>")


def test_a_command_by_itself() -> None:
    @click.command(epilog="\b\nLast:\n  words")
    @click.argument("files", nargs=-1, required=True)
    @click.argument("other", required=False)
    @click.option("--to", required=True, metavar="FILE", help="Where.")
    @click.option("--secret", hidden=True)
    @click.option("--tag", multiple=True, help="Names.")
    def command(**_: object) -> None:
        """Do it. Well.

        \b
        do --it   now
        """

    assert synopsis(Entry("do", command)) == "    do --to FILE [OPTION]… FILES... [OTHER]"
    text = page("do", Entry("do", command))
    assert "do – Do it.\n" in text and "## DESCRIPTION\n\nDo it. Well.\n\n    do --it   now" in text
    assert "## NOTES\n\n    Last:\n      words" in text and "secret" not in text
    assert "`--tag TEXT`\\\n  Names. May be given several times." in text
    assert "  Where. Required.\n" in text

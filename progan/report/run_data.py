"""What the directory of a run holds, as far as it can be read."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from progan import schedule
from progan.config import Run
from progan.diagnosis.history import Row, parse_row
from progan.errors import UserError
from progan.run_directory import CONFIG_FILE, LOG_FILE, STATISTICS_FILE, load_config
from progan.training.progress import stage_words


@dataclass(frozen=True, kw_only=True, slots=True)
class RunData:
    """What several sections are made of.

    Attributes:
        settings: None if config.json cannot be used; `trouble` says why then.
        rows: The whole lines of stats.jsonl.
        damaged: How many other lines it has, but for a last one that is being written.
        log: The lines of log.txt.
    """

    directory: Path
    settings: Run | None
    trouble: str
    rows: Sequence[Row]
    damaged: int
    log: Sequence[str]

    @property
    def run(self) -> Run:
        """The settings; raises UserError if they cannot be read."""
        if self.settings is None:
            raise UserError(self.trouble)
        return self.settings

    @property
    def kimg(self) -> float:
        """How far the run is, by its last tick."""
        return self.rows[-1]["images_seen"] / 1000 if self.rows else 0.0

    def stage_words(self, images_seen: float) -> str:
        """'32→64 fade 33%', what the last of these images was trained in; '' if not known."""
        if self.settings is None:
            return ""
        growth, network = self.settings.growth, self.settings.network
        return stage_words(schedule.at(growth, network, max(int(images_seen) - 1, 0)), network)


def read_run(directory: Path) -> RunData:
    """Read what can be read."""
    settings, trouble = _settings(directory)
    rows, damaged = read_rows(directory / STATISTICS_FILE)
    return RunData(
        directory=directory,
        settings=settings,
        trouble=trouble,
        rows=rows,
        damaged=damaged,
        log=_text(directory / LOG_FILE).splitlines(),
    )


def read_rows(path: Path) -> tuple[list[Row], int]:
    """The whole lines of stats.jsonl, and how many are none; a last one may be half-written."""
    lines = _text(path).split("\n")[:-1]
    rows = [row for line in lines if (row := parse_row(line)) is not None]
    return rows, len(lines) - len(rows)


def _settings(directory: Path) -> tuple[Run | None, str]:
    try:
        return load_config(directory), ""
    except UserError as error:
        return None, str(error)
    except OSError as error:
        return None, f"{directory / CONFIG_FILE} cannot be read: {error.strerror}."


def _text(path: Path) -> str:
    """'' of a file that is not there, or cannot be read."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


VOID = ("img", "input")


class Markup(str):
    """HTML as it is. Every other string is text, and becomes HTML only by being escaped."""


def element(tag: str, *children: str, **attributes: str | None) -> Markup:
    """<tag name="value">…</tag>.

    Args:
        attributes: `class_` is class, and `data_kimg` data-kimg; None: without it.
    """
    words = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    end = "" if tag in VOID else f"{joined(children)}</{tag}>"
    return Markup(f"<{tag}{words}>{end}")


def joined(children: Iterable[str]) -> Markup:
    """One after the other."""
    return Markup(
        "".join(child if isinstance(child, Markup) else escape(child) for child in children)
    )


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], brief: bool = False) -> Markup:
    """A table that scrolls sideways by itself where the screen is narrow.

    Args:
        brief: Its cells are a word or a number each, and none is broken into lines.
    """
    head = element("tr", *(element("th", each, scope="col") for each in headings))
    body = [
        element(
            "tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:])
        )
        for row in rows
    ]
    return element(
        "div",
        element("table", element("thead", head), element("tbody", *body)),
        class_="wide brief" if brief else "wide",
        tabindex="0",
        role="region",
        aria_label=", ".join(headings),
    )


def facts(pairs: Iterable[tuple[str, str]]) -> Markup:
    """Names with their values."""
    return element(
        "dl", *(element("div", element("dt", name), element("dd", value)) for name, value in pairs)
    )


def data_uri(content: bytes, kind: str) -> str:
    """The address of a file that holds itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"

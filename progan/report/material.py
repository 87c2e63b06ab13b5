"""What the directory of a run holds, as far as it can be read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from progan import schedule
from progan.config import Run
from progan.diagnosis.history import Row, parse_row
from progan.errors import UserError
from progan.run_directory import CONFIG_FILE, LOG_FILE, STATISTICS_FILE, load_config
from progan.training.progress import stage_words


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
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


def read(directory: Path) -> Material:
    """Read what can be read."""
    settings, trouble = _settings(directory)
    rows, damaged = read_rows(directory / STATISTICS_FILE)
    return Material(directory=directory, settings=settings, trouble=trouble, rows=rows,
                    damaged=damaged, log=_text(directory / LOG_FILE).splitlines())


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

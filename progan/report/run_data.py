"""Read the files of a run that a report is made from, as far as they are readable."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from progan import schedule
from progan.config import Run
from progan.diagnosis.history import Row, parse_row
from progan.errors import UserError
from progan.run_directory import CONFIG_FILE, LOG_FILE, STATISTICS_FILE, load_config
from progan.training.progress import describe_stage


@dataclass(frozen=True, kw_only=True, slots=True)
class RunData:
    """Settings, statistics and log of a run.

    Attributes:
        settings: None if config.json is unusable; `config_error` says why.
        rows: The valid lines of stats.jsonl.
        num_damaged_rows: Its other lines, except a last one that is still being written.
        log: The lines of log.txt.
    """

    directory: Path
    settings: Run | None
    config_error: str
    rows: Sequence[Row]
    num_damaged_rows: int
    log: Sequence[str]

    @property
    def run(self) -> Run:
        """The settings; raises UserError if they are unreadable."""
        if self.settings is None:
            raise UserError(self.config_error)
        return self.settings

    @property
    def kimg(self) -> float:
        """Images seen at the last tick, in thousands."""
        return self.rows[-1]["images_seen"] / 1000 if self.rows else 0.0

    def describe_stage(self, images_seen: float) -> str:
        """Return e.g. '32→64 fade 33%', the stage of the last of these images; '' if unknown."""
        if self.settings is None:
            return ""
        growth, network = self.settings.growth, self.settings.network
        return describe_stage(
            schedule.stage_at(growth, network, max(int(images_seen) - 1, 0)), network
        )


def read_run(directory: Path) -> RunData:
    """Read config.json, stats.jsonl and log.txt; raises nothing for damaged files."""
    settings, config_error = None, ""
    try:
        settings = load_config(directory)
    except UserError as error:
        config_error = str(error)
    except OSError as error:
        config_error = f"{directory / CONFIG_FILE} cannot be read: {error.strerror}."
    rows, num_damaged_rows = read_rows(directory / STATISTICS_FILE)
    return RunData(
        directory=directory,
        settings=settings,
        config_error=config_error,
        rows=rows,
        num_damaged_rows=num_damaged_rows,
        log=_read_text(directory / LOG_FILE).splitlines(),
    )


def read_rows(path: Path) -> tuple[list[Row], int]:
    """Return the valid lines of stats.jsonl and the number of damaged ones.

    A last line without a newline is still being written and counts as neither.
    """
    lines = _read_text(path).split("\n")[:-1]
    rows = [row for line in lines if (row := parse_row(line)) is not None]
    return rows, len(lines) - len(rows)


def _read_text(path: Path) -> str:
    """Return the text of a file, '' if it is absent or unreadable."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""

"""A run whose training states are gone, as against one that ended before its first state."""

import shlex
from pathlib import Path

from progan.config import Run
from progan.diagnosis.history import Row, parse_row
from progan.errors import UserError
from progan.invocation import command_line
from progan.run_directory import BEST_PREFIX, BEST_STATE_PREFIX, STATE_SUFFIX, STATISTICS_FILE
from progan.runtime.files import PARTIAL
from progan.sampling.network_file import PREFIX, SUFFIX, images_seen_of


def require_untrained(directory: Path, run: Run) -> None:
    """Raise UserError if a run without a training state has been trained and saved before.

    Must be called before the temporary files of killed processes are removed.
    """
    networks = [
        path
        for prefix in (BEST_PREFIX, PREFIX)
        for path in sorted(directory.glob(f"{prefix}*{SUFFIX}"))
    ]
    rows = _trained_rows(directory / STATISTICS_FILE)
    if not _were_saved(directory, networks, rows, run):
        return
    kimg = max(
        [(images_seen_of(path) or 0) / 1000 for path in networks]
        + [row["images_seen"] / 1000 for row in rows]
    )
    found = [*(path.name for path in networks[-1:]), *([STATISTICS_FILE] if rows else [])]
    raise UserError(
        f"{directory} has no training state (state-<kimg>{STATE_SUFFIX}), but was trained to kimg "
        f"{kimg:g} ({', '.join(found)}). Nothing was changed. {_remedies(directory, networks)}"
    )


def _trained_rows(path: Path) -> list[Row]:
    lines = path.read_text("utf-8", "replace").split("\n") if path.is_file() else []
    return [row for line in lines if (row := parse_row(line)) and row["images_seen"] > 0]


def _were_saved(directory: Path, networks: list[Path], rows: list[Row], run: Run) -> bool:
    """Whether there must have been a state; a process may have been killed before its first one.

    The network of a snapshot is written just before its state, and ticks go on meanwhile. The
    second snapshot waits for the first one.
    """
    is_cut = any(directory.glob(f".*{PARTIAL}"))
    too_many = 1 if is_cut else 0
    return len(networks) > too_many or len(rows) > 2 * run.output.snapshot_ticks


def _remedies(directory: Path, networks: list[Path]) -> str:
    best = sorted(directory.glob(f"{BEST_STATE_PREFIX}*{STATE_SUFFIX}"))
    begin = command_line("train", "--init-from", networks[-1], "--data", "DIR") if networks else ""
    return "Restore a state from a backup, " + ", ".join(
        [
            *([f"resume from {shlex.quote(str(best[0]))}"] if best else []),
            *([f"begin a new run with its network ({begin})"] if begin else []),
            "or delete the directory to begin again.",
        ]
    )

"""Logs the statistics of a run to stats.jsonl and TensorBoard."""

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from progan.diagnosis.history import parse_row
from progan.images import Pixels
from progan.run_directory import METRIC_PREFIX, STATISTICS_FILE
from progan.runtime.files import append_text, read_json_lines, write_atomically
from progan.runtime.text import PrintLine, format_count

_ADDED = -math.inf  # images seen of rows that a user has added


class StatsLogger:
    """Writes numbers and images against `images_seen`.

    A resumed run discards what was written after the state that it resumes from, so that its
    curves have neither gaps nor duplicates. Damaged lines are removed from the files.

    Attributes:
        repairs: Messages about damaged lines that were removed.
    """

    def __init__(self, directory: Path, images_seen: int, log: PrintLine = print) -> None:
        self._path, self._log = directory / STATISTICS_FILE, log
        repairs = [_remove_lines_after(self._path, images_seen, _parse_statistics_moment)]
        repairs += [
            _remove_lines_after(path, images_seen, _parse_metric_moment)
            for path in sorted(directory.glob(f"{METRIC_PREFIX}*.jsonl"))
        ]
        self.repairs = list(filter(None, repairs))
        # A run that starts again writes the initial images, at 0, once more.
        purge_step = images_seen + 1 if images_seen else 0
        self._writer = _open_writer(directory, purge_step, log)

    def log_statistics(self, values: Mapping[str, float], images_seen: int) -> None:
        """Append a line to stats.jsonl and a point to each curve of TensorBoard."""
        append_text(self._path, json.dumps({"images_seen": images_seen, **values}) + "\n")
        self.log_scalars(values, images_seen)

    def log_scalars(self, values: Mapping[str, float], images_seen: int) -> None:
        """Append a point to each curve, in TensorBoard only."""

        def write(writer: SummaryWriter) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, images_seen)

        self._write(write)

    def log_image(self, name: str, pixels: Pixels, images_seen: int) -> None:
        """Write an image [H, W, C] to TensorBoard."""
        self._write(lambda writer: writer.add_image(name, pixels, images_seen, dataformats="HWC"))

    def log_text(self, name: str, text: str, images_seen: int) -> None:
        """Write Markdown to TensorBoard."""
        self._write(lambda writer: writer.add_text(name, text, images_seen))

    def close(self) -> None:
        self._write(lambda writer: None)
        if self._writer:
            self._writer.close()

    def _write(self, write: Callable[[SummaryWriter], None]) -> None:
        """Write and flush; after an error of the disk, stop writing to TensorBoard.

        Training continues, as stats.jsonl has the same numbers.
        """
        if self._writer is None:
            return
        try:
            write(self._writer)
            self._writer.flush()
        except OSError as error:
            self._writer = None
            self._log(
                f"TensorBoard gets no more curves: its file in {self._path.parent} cannot be "
                f"written ({error.strerror}). {STATISTICS_FILE} has the numbers."
            )


def describe_missing_ticks(directory: Path, images_seen: int, num_ticks: int) -> list[str]:
    """Return a line for the log if ticks before a resumption have no row in stats.jsonl."""
    path = directory / STATISTICS_FILE
    rows = [row for row in read_json_lines(path) if "metric" not in row]
    kimg = f"kimg {images_seen / 1000:g}"
    if len(rows) >= num_ticks:
        return []
    if not rows:
        why = "is empty" if path.is_file() else "is missing"
        return [f"{STATISTICS_FILE} {why}: curves and report begin at {kimg}."]
    return [
        f"{STATISTICS_FILE} has {len(rows)} of the {format_count(num_ticks, 'tick')} before "
        f"{kimg}: the others are missing from curves and report."
    ]


def _open_writer(directory: Path, purge_step: int, log: PrintLine) -> SummaryWriter | None:
    """Open TensorBoard's events; log a line and return None if it cannot write in this place."""
    try:
        str(directory).encode("utf-8")
    except UnicodeEncodeError:
        log(
            f"TensorBoard gets no curves: the path of the run, {directory}, is not valid UTF-8. "
            f"{STATISTICS_FILE} has them all. Networks can be read from there only after the "
            "folder was renamed: better choose another --outdir."
        )
        return None
    _await_next_second(directory)
    threading.excepthook = _report_thread_error
    return SummaryWriter(str(directory), purge_step=purge_step)


def _report_thread_error(error: threading.ExceptHookArgs) -> None:
    """Print the error of a thread, except of TensorBoard's, which raises it again elsewhere."""
    if type(error.thread).__name__ != "_AsyncWriterThread":
        threading.__excepthook__(error)


def _await_next_second(directory: Path) -> None:
    """Wait until the second of the last event file is over.

    TensorBoard reads event files in the order of their names, which begin with a second: a run
    resumed within the same one would be read in the order of process ids.
    """
    started = {path.name.split(".")[3] for path in directory.glob("events.out.tfevents.*")}
    while str(int(time.time())) in started:
        time.sleep(0.05)


def _remove_lines_after(
    path: Path, images_seen: int, parse_moment: Callable[[str], float | None]
) -> str:
    """Remove later lines and damaged ones; return a message about the latter, or ''.

    Args:
        parse_moment: Returns the images seen before a line; None if it is damaged.
    """
    if not path.exists():
        return ""
    # Not splitlines(), which splits at more characters than JSON allows to end a line.
    *lines, last = path.read_text("utf-8", errors="replace").split("\n")
    moments = [parse_moment(line) for line in lines]
    if last:  # cut short, unless a user has added it
        lines.append(last)
        moments.append(_ADDED if parse_moment(last) == _ADDED else None)
    write_atomically(
        path,
        "".join(
            line.rstrip("\r") + "\n"
            for line, moment in zip(lines, moments, strict=True)
            if moment is not None and moment <= images_seen
        ),
    )
    damaged = [str(number) for number, moment in enumerate(moments, 1) if moment is None]
    if not damaged:
        return ""
    many = len(damaged) > 1
    what = f"Lines {', '.join(damaged)}" if many else f"Line {damaged[0]}"
    cut = "; the last one was cut short, as by a crash" * bool(last and moments[-1] is None)
    return (
        f"{what} of {path.name} {'were' if many else 'was'} damaged and "
        f"{'are' if many else 'is'} removed ({len(damaged)} of {len(moments)}{cut})."
    )


def _parse_statistics_moment(line: str) -> float | None:
    """Return the images seen before a line of stats.jsonl; None if it is damaged.

    Damaged are the lines that the diagnosis refuses.
    """
    row = parse_row(line)
    return None if row is None else row["images_seen"]


def _parse_metric_moment(line: str) -> float | None:
    """Return the images seen before a line of metric-*.jsonl; None if it is damaged.

    Rows of metrics that a user has added have none: they sort before all others.
    """
    try:
        values = json.loads(line)
        if "metric" in values and "images_seen" not in values:
            return _ADDED
        return float(values["images_seen"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None

"""The curves of a run: TensorBoard events and their twin, stats.jsonl."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from progan.images import Pixels
from progan.run_directory import METRIC_PREFIX, STATISTICS_FILE
from progan.runtime.files import write_atomically


class Monitor:
    """Writes numbers and pictures against `images_seen`.

    A resumed run forgets what was written after the state that it continues from, so that its
    curves have neither gaps nor doubles.
    """

    def __init__(self, directory: Path, images_seen: int,
                 log: Callable[[str], None] = print) -> None:
        self._path = directory / STATISTICS_FILE
        for path in (self._path, *directory.glob(f"{METRIC_PREFIX}*.jsonl")):
            _forget_after(path, images_seen)
        # The pictures of the beginning, at 0, are drawn again by a run that starts again.
        purge_step = images_seen + 1 if images_seen else 0
        self._writer = _open_writer(directory, purge_step, log)

    def numbers(self, values: Mapping[str, float], images_seen: int) -> None:
        """Append one line to stats.jsonl and one point to each curve."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"images_seen": images_seen, **values}) + "\n")
        self.curves(values, images_seen)

    def curves(self, values: Mapping[str, float], images_seen: int) -> None:
        """Add one point to each curve, in TensorBoard only."""
        if self._writer:
            for name, value in values.items():
                self._writer.add_scalar(name, value, images_seen)
            self._writer.flush()

    def picture(self, name: str, pixels: Pixels, images_seen: int) -> None:
        """Show an image [H, W, C]."""
        if self._writer:
            self._writer.add_image(name, pixels, images_seen, dataformats="HWC")
            self._writer.flush()

    def text(self, name: str, text: str, images_seen: int) -> None:
        """Show some Markdown."""
        if self._writer:
            self._writer.add_text(name, text, images_seen)
            self._writer.flush()

    def close(self) -> None:
        if self._writer:
            self._writer.close()


def _open_writer(directory: Path, purge_step: int, log: Callable[[str], None]
                 ) -> SummaryWriter | None:
    """Open TensorBoard's events; log a line and return None if it cannot write in this place."""
    try:
        str(directory).encode("utf-8")
    except UnicodeEncodeError:
        log(f"TensorBoard gets no curves: the path of the run, {directory}, is not valid UTF-8. "
            f"{STATISTICS_FILE} has them all. To have both, choose another --outdir.")
        return None
    _await_next_second(directory)
    return SummaryWriter(str(directory), purge_step=purge_step)


def _await_next_second(directory: Path) -> None:
    """TensorBoard reads files of events in the order of their names, which begin with a second.

    A run that is stopped and goes on within one would be read in the order of process ids.
    """
    started = {path.name.split(".")[3] for path in directory.glob("events.out.tfevents.*")}
    while str(int(time.time())) in started:
        time.sleep(0.05)


def _forget_after(path: Path, images_seen: int) -> None:
    if not path.exists():
        return
    lines = path.read_text("utf-8", errors="replace").splitlines(keepends=True)
    write_atomically(path, "".join(line for line in lines if _was_before(line, images_seen)))


def _was_before(line: str, images_seen: int) -> bool:
    """False for damaged lines too: the last one may be cut where the machine stopped."""
    try:
        return line.endswith("\n") and bool(json.loads(line)["images_seen"] <= images_seen)
    except (ValueError, TypeError, KeyError):
        return False

"""Snapshots of a run, written in a thread from copies, so that training waits for no disk."""

import os
import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType

from progan.config import Run
from progan.run_directory import BEST_STATE_PREFIX, STATE_SUFFIX, curve_files, moment_path, states
from progan.runtime.background import Background
from progan.runtime.files import flush_to_disk, replaced
from progan.sampling.network_file import PREFIX, SUFFIX, Snapshot, images_seen_of, save_network
from progan.training.checkpoint import copied, write_state
from progan.training.migrations import Content
from progan.training.state import TrainState


class Saver:
    """Saves states and networks; at most one write is under way.

    What goes wrong with a write is raised by the next call. At the end of the context the last
    write is waited for, unless KeyboardInterrupt ends it: then nothing half-written stays.
    """

    def __init__(self, directory: Path, run: Run) -> None:
        self._directory, self._run = directory, run
        self._newest = next(reversed(states(directory)), None)
        self._saved_images_seen = -1
        self._background = Background()

    def __enter__(self) -> "Saver":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._background.__exit__(kind, error, trace)

    def check(self) -> None:
        """Raise what went wrong with the last write, if it has ended."""
        self._background.check()

    def save(self, state: TrainState, snapshot: Snapshot | None = None) -> None:
        """Save the state, and before it the network of a snapshot."""
        if snapshot is None and state.images_seen == self._saved_images_seen:
            return  # it was saved at the end of its tick
        self._background.wait()
        self._saved_images_seen = state.images_seen
        self._background.submit(partial(self._write, copied(state, self._run), snapshot))

    def keep_best(self, metric: str) -> None:
        """Keep the newest state as the best one by a metric, when it is written."""
        self._background.submit(partial(self._keep_best, metric))

    def _write(self, content: Content, snapshot: Snapshot | None) -> None:
        for path in curve_files(self._directory):  # what they tell came before the state
            flush_to_disk(path)
        if snapshot is not None:
            path = moment_path(self._directory, PREFIX, snapshot.images_seen, SUFFIX,
                               images_seen_of)
            save_network(path, snapshot, content["average"])
        self._newest = write_state(self._directory, content, self._run.output.keep_states,
                                   self._background.proceed)

    def _keep_best(self, metric: str) -> None:
        if self._newest is not None:
            best = self._directory / f"{BEST_STATE_PREFIX}{metric}{STATE_SUFFIX}"
            with replaced(best) as temporary:
                temporary.unlink()
                _link_or_copy(self._newest, temporary)


def _link_or_copy(path: Path, other: Path) -> None:
    """Two names of one file cost no space, where the disk has that."""
    with suppress(OSError):
        os.link(path, other)
        return
    shutil.copyfile(path, other)

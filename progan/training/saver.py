"""Snapshots of a run, written in a thread from copies, so that training waits for no disk."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType

from progan.config import Run
from progan.run_directory import (
    BEST_PREFIX,
    BEST_STATE_PREFIX,
    STATE_SUFFIX,
    curve_files,
    moment_path,
    states,
)
from progan.runtime.background import Background
from progan.runtime.files import flush_to_disk, replaced
from progan.sampling.network_file import PREFIX, SUFFIX, Snapshot, images_seen_of, save_network
from progan.sampling.state_migrations import Content
from progan.training.checkpoint import copied, write_state
from progan.training.state import TrainState

Describe = Callable[[Path, Snapshot], None]  # a network file and what is in it


def no_card(network: Path, snapshot: Snapshot) -> None:
    """Network files without a card."""


class Saver:
    """Saves states and networks, these with their cards; at most one write is under way.

    What goes wrong with a write is raised by the next call. At the end of the context the last
    write is waited for, unless KeyboardInterrupt ends it: then nothing half-written stays.
    """

    def __init__(self, directory: Path, run: Run, describe: Describe = no_card) -> None:
        self._directory, self._run, self._describe = directory, run, describe
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

    def describe(self, snapshot: Snapshot) -> None:
        """Write the cards of a snapshot anew, as more is known of it than when it was saved."""
        self._background.submit(partial(self._describe_all, snapshot))

    def _write(self, content: Content, snapshot: Snapshot | None) -> None:
        for path in curve_files(self._directory):  # what they tell came before the state
            flush_to_disk(path)
        if snapshot is not None:
            path = self._network_path(snapshot)
            save_network(path, snapshot, content["average"])
            self._describe(path, snapshot)
        self._newest = write_state(self._directory, content, self._run.output.keep_states,
                                   self._background.proceed)

    def _network_path(self, snapshot: Snapshot) -> Path:
        return moment_path(self._directory, PREFIX, snapshot.images_seen, SUFFIX, images_seen_of)

    def _describe_all(self, snapshot: Snapshot) -> None:
        for path in self._networks_of(snapshot):
            self._describe(path, snapshot)

    def _networks_of(self, snapshot: Snapshot) -> Iterator[Path]:
        """The network file of a snapshot, and those that were kept of it as the best."""
        for path in (self._network_path(snapshot),
                     *sorted(self._directory.glob(f"{BEST_PREFIX}*{SUFFIX}"))):
            if images_seen_of(path) == snapshot.images_seen:
                yield path

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

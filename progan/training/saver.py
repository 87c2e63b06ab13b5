"""Snapshots of a run, written in a thread from copies, so that training waits for no disk."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from progan.config import Run
from progan.run_directory import (
    BEST_PREFIX,
    BEST_STATE_PREFIX,
    STATE_SUFFIX,
    curve_files,
    list_states,
    quarantine,
    snapshot_path,
)
from progan.runtime.background_job import BackgroundJob
from progan.runtime.files import PARTIAL, atomic_path, flush_to_disk
from progan.sampling.model_card import card_path, is_unedited
from progan.sampling.network_file import (
    PREFIX,
    SUFFIX,
    Snapshot,
    images_seen_of,
    interim_networks,
    interim_path,
    save_network,
)
from progan.sampling.state_file import Content, peek
from progan.training.checkpoint import copy_to_cpu, write_state
from progan.training.state import TrainState

Describe = Callable[[Path, Snapshot], None]  # a network file and what is in it


class Saved(NamedTuple):
    """The files of one moment of a training."""

    state: Path
    network: Path


def no_card(network: Path, snapshot: Snapshot) -> None:
    """Network files without a card."""


class Saver:
    """Saves states and networks, these with their cards; at most one write is under way.

    A network that is saved between two snapshots is an interim one: the next network that is
    saved replaces it. What goes wrong with a write is raised by the next call. At the end of the
    context the last write is waited for, unless KeyboardInterrupt ends it: then nothing
    half-written stays.
    """

    def __init__(self, directory: Path, run: Run, describe: Describe = no_card) -> None:
        self._directory, self._run, self._describe = directory, run, describe
        self._newest: Saved | None = None
        self._saved_images_seen = -1
        self._saved_at = time.monotonic()
        self._background = BackgroundJob()

    def __enter__(self) -> "Saver":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._background.__exit__(kind, error, trace)

    def check(self) -> None:
        """Raise what went wrong with the last write, if it has ended."""
        self._background.check()

    @property
    def due(self) -> bool:
        """Whether `checkpoint_minutes` have passed since a state was saved."""
        seconds = 60 * self._run.output.checkpoint_minutes
        return (
            seconds > 0
            and time.monotonic() - self._saved_at >= seconds
            and not self._background.running
        )

    def save(self, state: TrainState, snapshot: Snapshot) -> None:
        """Save the network of a snapshot, and then the state."""
        self._save(state, snapshot, 0.0, interim=False)

    def save_interim(self, state: TrainState, snapshot: Snapshot, seconds: float = 0.0) -> None:
        """Save a network until the next one is saved, and the state, if they are not saved yet.

        Args:
            seconds: Of training since the last tick, which the state does not count yet.
        """
        if state.images_seen != self._saved_images_seen:
            self._save(state, snapshot, seconds, interim=True)

    def finish(self) -> Saved | None:
        """Wait for the last write, and return what was saved last; None if nothing was."""
        self._background.wait()
        return self._newest

    def return_to(self, state: TrainState, snapshot: Snapshot) -> list[str]:
        """Make a state that training went back to the newest one on disk; return lines for the log.

        Later states belong to a course of the training that was given up: they are renamed. So is
        nothing lost if a crash comes before the next one is written.
        """
        self._background.wait()
        moments = {path: told[0] for path in list_states(self._directory) if (told := peek(path))}
        self._newest = self._found(state.images_seen, moments)
        if self._newest:
            self._saved_images_seen = state.images_seen
        elif state.images_seen:
            self._save(state, snapshot, 0.0, interim=True)
            self._background.wait()
        for network in interim_networks(self._directory):
            if (images_seen_of(network) or 0) > state.images_seen:
                _remove_network(network)
        return [
            f"{path.name} is later than that. It is called "
            f"{quarantine(path, 'superseded').name} now."
            for path, images_seen in moments.items()
            if images_seen > state.images_seen
        ]

    def _found(self, images_seen: int, states_on_disk: Mapping[Path, int]) -> Saved | None:
        """State and network of a moment, where both are on disk."""
        here = [path for path, moment in states_on_disk.items() if moment == images_seen]
        networks = [
            path
            for path in sorted(self._directory.glob(f"{PREFIX}*{SUFFIX}"))
            if images_seen_of(path) == images_seen
        ]
        return Saved(here[-1], networks[0]) if here and networks else None

    def _save(
        self, state: TrainState, snapshot: Snapshot, seconds: float, *, interim: bool
    ) -> None:
        self._background.wait()
        self._saved_images_seen, self._saved_at = state.images_seen, time.monotonic()
        content = copy_to_cpu(state, self._run)
        content["seconds"] += seconds
        self._background.submit(partial(self._write, content, snapshot, interim))

    def keep_best(self, metric: str) -> None:
        """Keep the newest state as the best one by a metric, once it is written."""
        self._background.submit(partial(self._keep_best, metric))
        self._background.wait()

    def describe(self, snapshot: Snapshot) -> None:
        """Write the cards of a snapshot anew, as more is known of it than when it was saved."""
        self._background.submit(partial(self._describe_all, snapshot))

    def _write(self, content: Content, snapshot: Snapshot, interim: bool) -> None:
        for path in curve_files(self._directory):  # what they tell came before the state
            flush_to_disk(path)
        network = (
            interim_path(self._directory, snapshot.images_seen)
            if interim
            else self._network_path(snapshot)
        )
        with self._marked_as_unfinished():
            save_network(network, snapshot, content["average"])
            self._describe(network, snapshot)
            state = write_state(
                self._directory,
                content,
                self._run.output.keep_states,
                self._background.raise_if_abandoned,
            )
        self._newest = Saved(state, network)
        for other in interim_networks(self._directory):
            if other != network:
                _remove_network(other)

    @contextmanager
    def _marked_as_unfinished(self) -> Iterator[None]:
        """Keep a hidden file beside the first network until its state is written.

        A process that is killed in between, or a disk that is full, leaves a network without a
        state. The file tells --resume that no state was lost (missing_states.py).
        """
        marker = self._directory / f".first-state{PARTIAL}"
        if not list_states(self._directory):
            with suppress(OSError):  # of a full disk: what is written next says so
                marker.touch()
        try:
            yield
        finally:
            if list_states(self._directory) or not any(self._directory.glob(f"{PREFIX}*{SUFFIX}")):
                marker.unlink(missing_ok=True)

    def _network_path(self, snapshot: Snapshot) -> Path:
        return snapshot_path(self._directory, PREFIX, snapshot.images_seen, SUFFIX, images_seen_of)

    def _describe_all(self, snapshot: Snapshot) -> None:
        for path in self._networks_of(snapshot):
            self._describe(path, snapshot)

    def _networks_of(self, snapshot: Snapshot) -> Iterator[Path]:
        """The network file of a snapshot, and those that were kept of it as the best."""
        for path in (
            self._network_path(snapshot),
            *sorted(self._directory.glob(f"{BEST_PREFIX}*{SUFFIX}")),
        ):
            if images_seen_of(path) == snapshot.images_seen:
                yield path

    def _keep_best(self, metric: str) -> None:
        for newest in list_states(self._directory)[-1:]:
            best = self._directory / f"{BEST_STATE_PREFIX}{metric}{STATE_SUFFIX}"
            with atomic_path(best) as temporary:
                temporary.unlink()
                _link_or_copy(newest, temporary)


def _remove_network(network: Path) -> None:
    """Remove a network with its card, unless somebody has edited that."""
    network.unlink(missing_ok=True)
    card = card_path(network)
    if card.is_file() and is_unedited(card.read_bytes()):
        card.unlink()


def _link_or_copy(path: Path, other: Path) -> None:
    """Two names of one file cost no space, where the disk has that."""
    with suppress(OSError):
        os.link(path, other)
        return
    shutil.copyfile(path, other)

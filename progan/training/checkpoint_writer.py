"""Writes checkpoints and snapshots in a background thread, from copies."""

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
    FIRST_STATE_MARKER,
    STATE_SUFFIX,
    choose_snapshot_path,
    list_curve_files,
    list_states,
    rename_to_exclude,
)
from progan.runtime.files import atomic_path, flush_to_disk
from progan.runtime.workers import BackgroundJob
from progan.sampling.checkpoint_format import Content, read_metadata
from progan.sampling.model_card import card_path, is_unedited
from progan.sampling.snapshot_file import (
    NETWORK_SUFFIX,
    SNAPSHOT_PREFIX,
    Snapshot,
    find_interim_networks,
    interim_path,
    list_snapshots,
    read_images_seen,
    save_network,
)
from progan.training.checkpoint import copy_to_cpu, overwrite_state, write_state_and_delete_oldest
from progan.training.state import TrainState

WriteCard = Callable[[Path, Snapshot], None]  # gets a network file and its content


class SavedFiles(NamedTuple):
    """The checkpoint and the network file of one moment of a training."""

    state: Path
    network: Path


class CheckpointWriter:
    """Saves states, and networks with their cards; at most one write is in progress.

    A network that is saved between two snapshots is an interim one: the next network that is
    saved replaces it. An error of a write is raised by the next call. The end of the context waits
    for the last write; KeyboardInterrupt cancels it, and leaves no partial file.

    Args:
        write_card: Writes the model card of a network file; None: no cards.
    """

    def __init__(self, directory: Path, run: Run, write_card: WriteCard | None = None) -> None:
        self._directory, self._run, self._write_card = directory, run, write_card
        self._newest: SavedFiles | None = None
        self._saved_images_seen = -1
        self._saved_at = time.monotonic()
        self._background = BackgroundJob()

    def __enter__(self) -> "CheckpointWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._background.__exit__(kind, error, trace)

    def check(self) -> None:
        """Raise the error of the last write, if it has ended with one."""
        self._background.raise_if_failed()

    @property
    def due(self) -> bool:
        """True if `checkpoint_minutes` have passed since a state was saved."""
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
        """Save an interim network and the state, unless this state is saved already.

        Args:
            seconds: Training time since the last tick, which the state does not count yet.
        """
        if state.images_seen != self._saved_images_seen:
            self._save(state, snapshot, seconds, interim=True)

    def finish(self) -> SavedFiles | None:
        """Wait for the last write, and return its files; None if nothing was saved."""
        self._background.wait()
        return self._newest

    def roll_back_to(self, state: TrainState, snapshot: Snapshot) -> list[str]:
        """Make the state that was restored by a rollback the newest one on disk.

        Later states are renamed, so that nothing is lost if a crash follows.

        Returns:
            Lines for the log.
        """
        self._background.wait()
        moments = {
            path: metadata[0]
            for path in list_states(self._directory)
            if (metadata := read_metadata(path))
        }
        self._newest, self._saved_images_seen = None, -1
        if found := self._find(state.images_seen, moments):
            # The file has another number of rollbacks, which decides the order of the data.
            overwrite_state(found.state, copy_to_cpu(state, self._run))
            self._newest, self._saved_images_seen = found, state.images_seen
        elif state.images_seen:
            self._save(state, snapshot, 0.0, interim=True)
            self._background.wait()
        for network in find_interim_networks(self._directory):
            if (read_images_seen(network) or 0) > state.images_seen:
                _remove_network_and_unedited_card(network)
        return [
            f"{path.name} is later than that. It was renamed "
            f"to {rename_to_exclude(path, 'superseded').name}."
            for path, images_seen in moments.items()
            if images_seen > state.images_seen
        ]

    def _find(self, images_seen: int, states_on_disk: Mapping[Path, int]) -> SavedFiles | None:
        """Return the files of a moment if both are on disk."""
        here = [path for path, moment in states_on_disk.items() if moment == images_seen]
        networks = [
            path
            for path in list_snapshots(self._directory)
            if read_images_seen(path) == images_seen
        ]
        return SavedFiles(here[-1], networks[0]) if here and networks else None

    def _save(
        self, state: TrainState, snapshot: Snapshot, seconds: float, *, interim: bool
    ) -> None:
        self._background.wait()
        self._saved_images_seen, self._saved_at = state.images_seen, time.monotonic()
        content = copy_to_cpu(state, self._run)
        content["seconds"] += seconds
        self._background.submit(partial(self._write, content, snapshot, interim))

    def keep_best(self, metric: str, images_seen: int) -> None:
        """Keep the state of a moment as the best one by a metric, once it is written."""
        self._background.submit(partial(self._keep_best, metric, images_seen))
        self._background.wait()

    def rewrite_cards(self, snapshot: Snapshot) -> None:
        """Rewrite the cards of a snapshot after it was measured."""
        self._background.submit(partial(self._rewrite_cards, snapshot))

    def _write(self, content: Content, snapshot: Snapshot, interim: bool) -> None:
        for path in list_curve_files(self._directory):  # they must not be older than the state
            flush_to_disk(path)
        network = (
            interim_path(self._directory, snapshot.images_seen)
            if interim
            else self._network_path(snapshot)
        )
        with self._marked_as_unfinished():
            save_network(network, snapshot, content["average"])
            if self._write_card:
                self._write_card(network, snapshot)
            state = write_state_and_delete_oldest(
                self._directory,
                content,
                self._run.output.keep_states,
                self._background.raise_if_abandoned,
            )
        self._newest = SavedFiles(state, network)
        for other in find_interim_networks(self._directory):
            if other != network:
                _remove_network_and_unedited_card(other)

    @contextmanager
    def _marked_as_unfinished(self) -> Iterator[None]:
        """Keep a hidden file beside the first network until its state is written.

        A process that is killed in between, or a full disk, leaves a network without a state. The
        file shows --resume that no state was lost (`require_untrained`).
        """
        marker = self._directory / FIRST_STATE_MARKER
        if not list_states(self._directory):
            with suppress(OSError):  # a full disk is reported by the next write
                marker.touch()
        try:
            yield
        finally:
            if list_states(self._directory) or not list_snapshots(self._directory):
                marker.unlink(missing_ok=True)

    def _network_path(self, snapshot: Snapshot) -> Path:
        return choose_snapshot_path(
            self._directory, SNAPSHOT_PREFIX, snapshot.images_seen, NETWORK_SUFFIX, read_images_seen
        )

    def _rewrite_cards(self, snapshot: Snapshot) -> None:
        """Write the cards of a snapshot's network file, and of its copies as the best one."""
        best = sorted(self._directory.glob(f"{BEST_PREFIX}*{NETWORK_SUFFIX}"))
        for path in (self._network_path(snapshot), *best):
            if self._write_card and read_images_seen(path) == snapshot.images_seen:
                self._write_card(path, snapshot)

    def _keep_best(self, metric: str, images_seen: int) -> None:
        best = self._directory / f"{BEST_STATE_PREFIX}{metric}{STATE_SUFFIX}"
        for path in (*reversed(list_states(self._directory)), best):
            if (found := read_metadata(path)) and found[0] == images_seen:
                if path != best:
                    with atomic_path(best) as temporary:
                        temporary.unlink()
                        _link_or_copy(path, temporary)
                return
        best.unlink(missing_ok=True)  # it belongs to another network than the best one


def _remove_network_and_unedited_card(network: Path) -> None:
    """Remove a network file with its card, unless the card was edited."""
    network.unlink(missing_ok=True)
    card = card_path(network)
    if card.is_file() and is_unedited(card.read_bytes()):
        card.unlink()


def _link_or_copy(path: Path, other: Path) -> None:
    """Hard-link a file, which takes no space; copy it where the file system has no links."""
    with suppress(OSError):
        os.link(path, other)
        return
    shutil.copyfile(path, other)

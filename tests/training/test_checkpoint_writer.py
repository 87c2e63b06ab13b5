"""Snapshots that are written behind the back of the training."""

import os
import threading
from pathlib import Path

import pytest
import torch

from progan.run_directory import list_states
from progan.sampling.model_card import card_path, write_card
from progan.sampling.snapshot_file import (
    Snapshot,
    find_interim_networks,
    load_network,
    read_images_seen,
)
from progan.training import checkpoint, checkpoint_writer
from progan.training.checkpoint_writer import CheckpointWriter
from progan.training.state import TrainState, create_state
from tests.builders import tiny_run

CPU = torch.device("cpu")
RUN = tiny_run(keep_states=2)


def born(images_seen: int = 0) -> TrainState:
    state = create_state(RUN, CPU)
    state.images_seen = images_seen
    return state


def snapshot_of(state: TrainState) -> Snapshot:
    return Snapshot(generator=state.g_ema, level=3, alpha=0.5, images_seen=state.images_seen)


def save(writer: CheckpointWriter, state: TrainState) -> None:
    writer.save(state, snapshot_of(state))


def train_on(state: TrainState) -> None:
    with torch.no_grad():
        for parameter in (*state.generator.parameters(), *state.g_ema.parameters()):
            parameter.add_(1)
    state.images_seen += 1000


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """States are written once this is set."""
    go_on, write = threading.Event(), checkpoint.write_state_and_delete_oldest

    def wait_and_write(*args: object) -> Path:
        go_on.wait()
        return write(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoint_writer, "write_state_and_delete_oldest", wait_and_write)
    return go_on


def test_training_goes_on_while_its_past_is_written(
    tmp_path: Path, slow_disk: threading.Event
) -> None:
    state = born(1000)
    before = state.g_ema.to_rgb["4x4"].bias.clone()
    with CheckpointWriter(tmp_path, RUN) as writer:
        writer.save(state, snapshot_of(state))
        train_on(state)
        assert not list_states(tmp_path)
        slow_disk.set()
    (path,) = list_states(tmp_path)
    loaded = checkpoint.load_state(path, RUN, CPU)
    network = load_network(tmp_path / "network-snapshot-000001.safetensors", CPU)
    assert loaded.images_seen == network.images_seen == 1000
    for module in (loaded.g_ema, network.generator):
        assert torch.equal(module.to_rgb["4x4"].bias, before)


def test_a_full_disk_is_heard_of_at_the_next_chance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_writer, "write_state_and_delete_oldest", fail)
    with pytest.raises(OSError, match="No space left"), CheckpointWriter(tmp_path, RUN) as writer:
        save(writer, born(1000))
        save(writer, born(2000))
        raise AssertionError("nothing was heard")
    with pytest.raises(OSError, match="No space left"), CheckpointWriter(tmp_path, RUN) as writer:
        save(writer, born(1000))


def test_what_is_saved_at_the_end_of_a_tick_is_not_saved_again(tmp_path: Path) -> None:
    state = born(1000)
    with CheckpointWriter(tmp_path, RUN) as writer:
        writer.save(state, snapshot_of(state))
        writer.save_interim(state, snapshot_of(state))
    assert [path.name for path in list_states(tmp_path)] == ["state-000001.pt"]
    assert not find_interim_networks(tmp_path)


def test_networks_of_one_thousand_of_images_do_not_replace_each_other(tmp_path: Path) -> None:
    names = [
        "network-snapshot-000000.safetensors",
        "network-snapshot-000000_400.safetensors",
        "network-snapshot-000000_800.safetensors",
        "network-snapshot-000001.safetensors",
    ]
    for _ in range(2):  # a run that does it all again writes over its own files
        with CheckpointWriter(tmp_path, RUN) as writer:
            for images_seen in (100, 400, 800, 1200):
                writer.save(born(images_seen), snapshot_of(born(images_seen)))
        assert sorted(path.name for path in tmp_path.glob("network-*")) == names
        for path in list_states(tmp_path):
            path.unlink()
    seen = [load_network(tmp_path / name, CPU).images_seen for name in names]
    assert seen == [100, 400, 800, 1200]


def test_a_network_between_two_snapshots_stays_until_the_next_is_saved(tmp_path: Path) -> None:
    def networks() -> list[str]:
        return sorted(path.name for path in tmp_path.glob("network-*"))

    with CheckpointWriter(tmp_path, RUN) as writer:
        save(writer, born(1000))
        for images_seen in (1000, 1400, 1500):
            writer.save_interim(born(images_seen), snapshot_of(born(images_seen)), 2.5)
        saved = writer.finish()
        assert saved is not None
        assert saved.state.name == "state-000001_500.pt"
        assert saved.network.name == "network-snapshot-000001_500-interim.safetensors"
        assert checkpoint.read_checkpoint(saved.state)["seconds"] == 2.5
        assert read_images_seen(saved.network) == 1500
        assert networks() == ["network-snapshot-000001.safetensors", saved.network.name]
        save(writer, born(1800))
    assert networks() == [
        "network-snapshot-000001.safetensors",
        "network-snapshot-000001_800.safetensors",
    ]


def test_an_interim_network_goes_with_its_card_unless_that_was_edited(tmp_path: Path) -> None:
    def describe(network: Path, snapshot: Snapshot) -> None:
        write_card(card_path(network), f"of {snapshot.images_seen}")

    with CheckpointWriter(tmp_path, RUN, describe) as writer:
        for images_seen in (1000, 2000, 3000):
            writer.save_interim(born(images_seen), snapshot_of(born(images_seen)))
            writer.finish()
            if images_seen == 2000:
                (tmp_path / "network-snapshot-000002_000-interim.md").write_text("mine")
    assert sorted(path.name for path in tmp_path.glob("network-*")) == [
        "network-snapshot-000002_000-interim.md",
        "network-snapshot-000003_000-interim.md",
        "network-snapshot-000003_000-interim.safetensors",
    ]


def test_a_training_that_went_back_leaves_no_later_state(tmp_path: Path) -> None:
    """Even if the state that it went back to is on disk no more."""
    one = tiny_run(keep_states=1)
    with CheckpointWriter(tmp_path, one) as writer:
        save(writer, born(1000))
        writer.save_interim(born(1500), snapshot_of(born(1500)))
        lines = writer.roll_back_to(born(1000), snapshot_of(born(1000)))
        assert lines == [
            "state-000001_500.pt is later than that. It was renamed to "
            "state-000001_500.pt.superseded."
        ]
        (state,) = list_states(tmp_path)
        assert checkpoint.read_checkpoint(state)["images_seen"] == 1000
        assert writer.roll_back_to(born(1000), snapshot_of(born(1000))) == []
        assert list_states(tmp_path) == [state]
        save(writer, born(1500))
    assert checkpoint.read_checkpoint(list_states(tmp_path)[-1])["images_seen"] == 1500


def test_the_state_of_the_best_network_outlives_its_successors(tmp_path: Path) -> None:
    with CheckpointWriter(tmp_path, RUN) as writer:
        for images_seen in (1000, 2000, 3000, 4000, 5000):
            save(writer, born(images_seen))
            if images_seen in (1000, 2000):
                writer.keep_best("swd", images_seen)
    names = sorted(path.name for path in tmp_path.glob("state-*"))
    assert names == ["state-000004.pt", "state-000005.pt", "state-best-swd.pt"]
    assert checkpoint.load_state(tmp_path / "state-best-swd.pt", RUN, CPU).images_seen == 2000
    assert list_states(tmp_path)[-1].name == "state-000005.pt"


def test_a_disk_without_links_gets_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, other: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    with CheckpointWriter(tmp_path, RUN) as writer:
        save(writer, born(1000))
        writer.keep_best("swd", 1000)
    best = tmp_path / "state-best-swd.pt"
    assert best.read_bytes() == list_states(tmp_path)[0].read_bytes()


def test_an_impatient_end_leaves_nothing_half_written(tmp_path: Path) -> None:
    state = born(1000)
    with pytest.raises(KeyboardInterrupt), CheckpointWriter(tmp_path, RUN) as writer:
        save(writer, state)
        raise KeyboardInterrupt
    # A network without its state is marked, so that --resume does not miss the state.
    unfinished = any(tmp_path.glob("network-*")) and not list_states(tmp_path)
    assert [path.name for path in tmp_path.glob(".*")] == [".first-state-unfinished"] * unfinished
    for path in list_states(tmp_path):
        assert checkpoint.load_state(path, RUN, CPU).images_seen == 1000


def test_a_state_that_a_rollback_finds_on_disk_gets_its_number_of_rollbacks(tmp_path: Path) -> None:
    """A resumed run would repeat the orders of the data that diverged before."""
    with CheckpointWriter(tmp_path, RUN) as writer:
        save(writer, born(1000))
        again = born(1000)
        again.rollbacks = 2
        assert writer.roll_back_to(again, snapshot_of(again)) == []
    (state,) = list_states(tmp_path)
    assert checkpoint.load_state(state, RUN, CPU).rollbacks == 2


def test_after_a_rollback_to_the_start_every_moment_is_to_be_saved(tmp_path: Path) -> None:
    with CheckpointWriter(tmp_path, RUN) as writer:
        writer.save_interim(born(1000), snapshot_of(born(1000)))
        writer.roll_back_to(born(0), snapshot_of(born(0)))
        assert list_states(tmp_path) == []
        writer.save_interim(born(1000), snapshot_of(born(1000)))
    assert len(list_states(tmp_path)) == 1


def test_the_best_state_is_of_the_moment_of_the_best_network(tmp_path: Path) -> None:
    with CheckpointWriter(tmp_path, RUN) as writer:
        for images_seen in (1000, 2000):
            save(writer, born(images_seen))
        writer.keep_best("swd", 1000)
        best = tmp_path / "state-best-swd.pt"
        assert checkpoint.load_state(best, RUN, CPU).images_seen == 1000
        list_states(tmp_path)[0].unlink()
        writer.keep_best("swd", 1000)  # it is the best one itself
        assert checkpoint.load_state(best, RUN, CPU).images_seen == 1000
        writer.keep_best("swd", 500)  # its state is gone
        assert not best.exists()

"""From which state a run goes on, and what is said of it."""

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from progan.config import Run
from progan.errors import UserError
from progan.images import save_png
from progan.run_directory import list_states
from progan.sampling.find_network import find_networks
from progan.sampling.snapshot_file import Snapshot, save_network
from progan.training import checkpoint, sample_grids
from progan.training.checkpoint import save_state_and_delete_oldest
from progan.training.resume import load_resumed_state, require_unfinished
from progan.training.state import TrainState, create_state
from tests.builders import tiny_run

CPU = torch.device("cpu")
RUN = tiny_run()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A run with states at 1000, 2000 and 3000 images."""
    state = create_state(RUN, CPU)
    for state.images_seen in (1000, 2000, 3000):
        save_state_and_delete_oldest(tmp_path, state, RUN)
    return tmp_path


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_newest_state(directory: Path) -> None:
    state, notes = load_resumed_state(directory, RUN, RUN, CPU)
    assert (state.images_seen, notes) == (3000, [])


def test_a_damaged_state_is_named_set_aside_and_not_gone_on_from(directory: Path) -> None:
    newest = list_states(directory)[-1]
    damage(newest)
    content = newest.read_bytes()
    state, (note,) = load_resumed_state(directory, RUN, RUN, CPU)
    assert state.images_seen == 2000
    assert note == (
        f"{newest} is damaged: its checksum differs from its content. Resuming from "
        "state-000002.pt instead. It was renamed to state-000003.pt.damaged."
    )
    assert (directory / "state-000003.pt.damaged").read_bytes() == content
    assert [path.name for path in list_states(directory)] == ["state-000001.pt", "state-000002.pt"]


def test_a_damaged_state_does_not_push_the_whole_one_out(directory: Path) -> None:
    run = tiny_run(keep_states=1)
    for path in list_states(directory)[1:]:
        damage(path)
    state, _ = load_resumed_state(directory, run, run, CPU)
    assert state.images_seen == 1000
    assert [path.name for path in list_states(directory)] == ["state-000001.pt"]
    state.images_seen = 1500
    path = save_state_and_delete_oldest(directory, state, run)
    assert list_states(directory) == [path]
    assert load_resumed_state(directory, run, run, CPU)[0].images_seen == 1500


def test_a_damaged_file_that_was_named_is_refused(directory: Path) -> None:
    newest = list_states(directory)[-1]
    damage(newest)
    with pytest.raises(UserError, match=f"{newest.name} is damaged"):
        load_resumed_state(newest, RUN, RUN, CPU)
    assert len(list_states(directory)) == 3


def test_states_after_the_named_one_are_no_part_of_the_run_any_more(directory: Path) -> None:
    """Else they would count as its newest ones, and push out those to come."""
    state, notes = load_resumed_state(directory / "state-000001.pt", RUN, RUN, CPU)
    assert state.images_seen == 1000
    assert notes == [
        "Renamed to ….superseded, as newer than state-000001.pt: state-000002.pt, state-000003.pt."
    ]
    assert sorted(path.name for path in directory.iterdir()) == [
        "state-000001.pt",
        "state-000002.pt.superseded",
        "state-000003.pt.superseded",
    ]


def test_later_networks_of_the_training_that_was_given_up_are_set_aside(directory: Path) -> None:
    """Else the newest and the best network would be theirs."""
    for name, images_seen in (
        ("network-snapshot-000001", 1000),
        ("network-snapshot-000002", 2000),
        ("network-best-swd", 2000),
        ("network-best-ms-ssim", 1000),
    ):
        network = directory / f"{name}.safetensors"
        generator = create_state(RUN, CPU).g_ema
        save_network(
            network, Snapshot(generator=generator, level=3, alpha=1.0, images_seen=images_seen)
        )
        network.with_suffix(".md").write_text("card")
    (directory / "state-best-swd.pt").write_bytes((directory / "state-000002.pt").read_bytes())
    for images_seen in (1000, 2000):
        text = {sample_grids.IMAGES_SEEN: str(images_seen)}
        save_png(
            directory / f"fakes-{images_seen // 1000:06d}.png", np.zeros((4, 4, 3), np.uint8), text
        )
    (directory / "network-snapshot-000002.safetensors.superseded").write_text("an earlier one")
    load_resumed_state(directory / "state-000001.pt", RUN, RUN, CPU)
    assert find_networks(directory) == [directory / "network-snapshot-000001.safetensors"]
    assert sorted(path.name for path in directory.iterdir()) == sorted(
        [
            "fakes-000001.png",
            "fakes-000002.png.superseded",
            "network-best-ms-ssim.md",
            "network-best-ms-ssim.safetensors",
            "network-best-swd.md.superseded",
            "network-best-swd.safetensors.superseded",
            "network-snapshot-000001.md",
            "network-snapshot-000001.safetensors",
            "network-snapshot-000002.md.superseded",
            "network-snapshot-000002.safetensors.superseded",
            "network-snapshot-000002.safetensors.superseded-2",
            "state-000001.pt",
            "state-000002.pt.superseded",
            "state-000003.pt.superseded",
            "state-best-swd.pt.superseded",
        ]
    )


def test_an_unreadable_state_that_is_older_is_left_alone(directory: Path) -> None:
    oldest = list_states(directory)[0]
    oldest.write_bytes(oldest.read_bytes()[:100])
    state, notes = load_resumed_state(directory, RUN, RUN, CPU)
    assert state.images_seen == 3000 and not notes
    assert list_states(directory)[0] == oldest


def test_without_a_state_it_begins_at_the_beginning(tmp_path: Path) -> None:
    state, (note,) = load_resumed_state(tmp_path, RUN, RUN, CPU)
    assert state.images_seen == 0 and "from the beginning" in note


def test_what_a_killed_process_left_half_written_is_removed(directory: Path) -> None:
    for count in (3, 0):
        (directory / ".state-000004.pt.0a1b2c3d.partial").write_bytes(b"half")
        load_resumed_state(directory, RUN, RUN, CPU)
        assert len(list(directory.iterdir())) == len(list_states(directory)) == count
        for path in list_states(directory):
            path.unlink()


def test_an_edited_config_is_explained(directory: Path) -> None:
    edited = tiny_run(total_kimg=9.0, beta2=0.9)
    _, notes = load_resumed_state(directory, edited, edited, CPU)
    assert notes == [
        "config.json differs from the settings of state-000003.pt: total_kimg: 7.5 -> "
        "9.0; beta2: 0.99 -> 0.9. It applies from here on."
    ]


def test_an_edited_architecture_is_refused(directory: Path) -> None:
    edited = tiny_run(latent_size=9)
    with pytest.raises(UserError, match="latent_size: 8 -> 9. Take that back, in config.json"):
        load_resumed_state(directory, edited, edited, CPU)


def test_a_finished_run_has_nothing_to_do_but_to_measure(tmp_path: Path) -> None:
    state = create_state(RUN, CPU)
    require_unfinished(tmp_path, state, RUN, [])
    state.images_seen = state.round_images_seen = 7552
    with pytest.raises(UserError, match="is finished, at kimg 7.552"):
        require_unfinished(tmp_path, state, RUN, [])
    require_unfinished(tmp_path, state, RUN, ["swd"])
    (tmp_path / "metric-swd.jsonl").write_text('{"images_seen": 7552}\n')
    with pytest.raises(UserError, match="is finished"):
        require_unfinished(tmp_path, state, RUN, ["swd"])


def test_the_last_round_counts_until_its_last_step(tmp_path: Path) -> None:
    """7.5 kimg are reached in the middle of the round from 7424 to 7552."""
    run = tiny_run(total_kimg=7.45)
    state = create_state(run, CPU)
    state.images_seen, state.round_images_seen = 7488, 7424
    require_unfinished(tmp_path, state, run, [])


def test_a_run_that_cannot_be_resumed_keeps_its_states(directory: Path) -> None:
    run = tiny_run(total_kimg=1.0)
    with pytest.raises(UserError, match="is finished, at kimg 1"):
        load_resumed_state(directory / "state-000001.pt", RUN, run, CPU)
    assert len(list_states(directory)) == 3


def test_an_error_of_the_disk_is_not_damage(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch.load raises RuntimeError for both; the state would be renamed, and training lost."""
    newest = list_states(directory)[-1]

    def fail(path: Path, *arguments: object, **options: object) -> object:
        if path == newest:
            raise RuntimeError("file read failed")
        return torch_load(path, *arguments, **options)

    def open_failing(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == newest:
            raise OSError(errno.EIO, "Input/output error")
        return path_open(path, *arguments, **options)

    torch_load, path_open = torch.load, Path.open
    monkeypatch.setattr(torch, "load", fail)
    monkeypatch.setattr(Path, "open", open_failing)
    with pytest.raises(UserError, match=f"Cannot read {newest}: Input/output error"):
        load_resumed_state(directory, RUN, RUN, CPU)
    assert len(list_states(directory)) == 3


def test_an_error_of_the_device_is_not_damage(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(run: Run, device: torch.device) -> TrainState:
        raise RuntimeError("no kernel image is available for execution on the device")

    monkeypatch.setattr(checkpoint, "create_state", fail)
    with pytest.raises(RuntimeError, match="no kernel image"):
        load_resumed_state(directory, RUN, RUN, CPU)
    assert len(list_states(directory)) == 3


def test_without_an_undamaged_state_the_newest_network_is_offered(directory: Path) -> None:
    for path in list_states(directory):
        damage(path)
    with pytest.raises(UserError, match="No undamaged state is left: start a new run\\.$"):
        load_resumed_state(directory, RUN, RUN, CPU)
    (directory / "network-snapshot-000001.safetensors").touch()
    with pytest.raises(UserError, match=f"with its newest network: --init-from {directory}"):
        load_resumed_state(directory, RUN, RUN, CPU)

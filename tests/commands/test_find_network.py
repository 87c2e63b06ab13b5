"""What --network draws from: snapshots, training states, and the newest of several runs."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import progan
from metrics.cli import main as metrics
from metrics.sources import open_source
from progan.cli.generate import main as generate
from progan.cli.train import main as train
from progan.errors import UserError
from progan.interop.cli import main as interop
from progan.projection.cli import main as projection
from progan.run_directory import list_states
from progan.sampling.find_network import find_network, find_networks
from progan.training.init_from import find_init_source
from tests.builders import call, message, noise_dataset, tiny_options

NAME = "00000-noise-v2-1gpu"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a dataset and one run of three classes, through two fades."""
    folder = tmp_path_factory.mktemp("runs")
    dataset = noise_dataset(folder / "noise", classes=3)
    assert (
        call(
            train,
            "--data",
            dataset.path,
            "--outdir",
            folder,
            "--conditional",
            *tiny_options(total_kimg=5),
        ).exit_code
        == 0
    )
    return folder


def with_newer_run(runs: Path, tmp_path: Path, *patterns: str) -> Path:
    """The directory with a second, newer run, which has files of these patterns alone."""
    shutil.copytree(runs / NAME, tmp_path / NAME)
    newer = tmp_path / "00001-noise-v2-1gpu"
    newer.mkdir()
    for pattern in ("config.json", *patterns):
        for file in (runs / NAME).glob(pattern):
            shutil.copy(file, newer)
    return newer


def test_a_state_draws_what_the_network_of_its_moment_draws(runs: Path) -> None:
    pairs = [
        (state, network)
        for state in list_states(runs / NAME)
        if (
            network := state.with_name(
                state.name.replace("state-", "network-snapshot-")
            ).with_suffix(".safetensors")
        ).exists()
    ]
    assert len(pairs) >= 4
    alphas = set()
    for state, network in pairs:
        one, other = progan.load(state, "cpu"), progan.load(network, "cpu")
        assert np.array_equal(one.render(range(4)), other.render(range(4)))
        assert (one.snapshot.alpha, one.snapshot.level) == (
            other.snapshot.alpha,
            other.snapshot.level,
        )
        assert one.class_names == other.class_names == ("class-0", "class-1", "class-2")
        alphas.add(one.snapshot.alpha)
    assert len(alphas) > 1


def test_files_of_a_state_and_of_a_network_are_equal(runs: Path, tmp_path: Path) -> None:
    state = list_states(runs / NAME)[-1]
    for source, folder in ((state, "a"), (runs / NAME, "b")):
        assert (
            call(
                generate,
                "--network",
                source,
                "--seeds",
                "0-2",
                "--float",
                "--class",
                "class-1",
                "--outdir",
                tmp_path / folder,
            ).exit_code
            == 0
        )
    for seed in range(3):
        one, other = (np.load(tmp_path / folder / f"seed000{seed}.npy") for folder in "ab")
        assert np.array_equal(one, other)


def test_names_of_classes_without_network_and_dataset_are_numbers(
    runs: Path, tmp_path: Path
) -> None:
    state = Path(shutil.copy(list_states(runs / NAME)[-1], tmp_path))
    assert progan.load(state, "cpu").class_names == ("class-0", "class-1", "class-2")
    hidden = (runs / "noise").rename(runs / "hidden")
    try:
        assert progan.load(state, "cpu").class_names == ("0", "1", "2")
    finally:
        hidden.rename(runs / "noise")


def test_other_commands_take_states(runs: Path, tmp_path: Path) -> None:
    state = list_states(runs / NAME)[-1]
    assert call(interop, state, "--to", tmp_path / "a.safetensors").exit_code == 0
    assert np.array_equal(
        progan.load(tmp_path / "a.safetensors", "cpu").render([1]),
        progan.load(state, "cpu").render([1]),
    )
    result = call(metrics, "swd", "--network", state, "--data", runs / "noise", "--num-images", 8)
    assert result.exit_code == 0, result.output
    assert open_source(state, torch.device("cpu")).count is None
    call(generate, "--network", state, "--seeds", 3, "--outdir", tmp_path)
    result = call(
        projection, tmp_path / "seed0003.png", "--network", state, "--outdir", tmp_path / "out",
        "--steps", 1, "--starts", 4,
    )  # fmt: skip
    assert result.exit_code == 0 and f"features: the discriminator of {state}" in result.output


def test_a_damaged_state_is_called_so(runs: Path, tmp_path: Path) -> None:
    state = Path(shutil.copy(list_states(runs / NAME)[-1], tmp_path))
    whole = state.read_bytes()
    state.write_bytes(whole[: len(whole) // 2])
    words = ("--network", state, "--seeds", 0, "--outdir", tmp_path / "out")
    assert "is a training state that is damaged or cut short" in message(call(generate, *words))
    middle = len(whole) // 2
    state.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    assert "is damaged: its checksum differs" in message(call(generate, *words)) or (
        "is not a complete training state" in message(call(generate, *words))
    )


def test_the_newest_run_is_taken_without_a_note(runs: Path, tmp_path: Path) -> None:
    newer = with_newer_run(runs, tmp_path, "network-snapshot-*.safetensors")
    notes: list[str] = []
    assert find_network(tmp_path, notes.append).parent == newer and notes == []


def test_a_newest_run_without_network_draws_from_its_state(runs: Path, tmp_path: Path) -> None:
    newer = with_newer_run(runs, tmp_path, "state-*.pt")
    for place in (newer, tmp_path):
        result = call(generate, "--network", place, "--seeds", 0, "--outdir", tmp_path / "out")
        assert result.exit_code == 0, result.output
        state = list_states(newer)[-1]
        assert (
            f"{newer} has no network-snapshot-*.safetensors yet: its newest training state, "
            f"{state.name}, is used.\nnetwork: {state}"
        ) in result.stderr
    assert find_init_source(tmp_path) == list_states(newer)[-1]


def test_a_newest_run_without_anything_is_named(runs: Path, tmp_path: Path) -> None:
    with_newer_run(runs, tmp_path)
    note = (
        f"00001-noise-v2-1gpu is the newest run in {tmp_path} and has no network or training "
        f"state yet: {NAME} is used."
    )
    commands = (
        (generate, "--network", tmp_path, "--seeds", 0, "--outdir", tmp_path / "out"),
        (interop, tmp_path),
        (metrics, "swd", "--network", tmp_path, "--data", runs / "noise", "--num-images", 8),
    )
    for command, *words in commands:
        result = call(command, *words)
        assert result.exit_code == 0 and note in result.stderr, result.output
    with pytest.warns(UserWarning, match="is the newest run in .* is used"):
        progan.load(tmp_path, "cpu")


def test_directories_without_a_network_are_called_what_they_are(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="noise is a dataset, not a network. Train on it"):
        find_network(runs / "noise")
    newer = with_newer_run(runs, tmp_path)
    with pytest.raises(UserError, match="holds no .* and no training state yet. Wait for"):
        find_network(newer)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "karras.pkl").touch()
    with pytest.raises(UserError, match="but karras.pkl. Name that file itself"):
        find_network(tmp_path / "x")
    (tmp_path / "x" / "model_index.json").touch()
    with pytest.raises(UserError, match="is a pipeline of diffusers"):
        find_network(tmp_path / "x")
    with pytest.raises(UserError, match="/dev/null is not a regular file"):
        find_network(Path("/dev/null"))


def test_of_interim_networks_only_the_newest_counts(tmp_path: Path) -> None:
    """A killed process may leave an older one; a stop leaves one that is newer than all else."""
    names = "000001_200-interim", "000002", "000002_500-interim", "000003"
    stale, snapshot, newest, other = (
        tmp_path / f"network-snapshot-{name}.safetensors" for name in names
    )
    said: list[str] = []
    for path in (stale, snapshot, newest):
        path.touch()
    assert find_networks(tmp_path, said.append) == [snapshot, newest]
    assert said == [
        f"{stale.name} was saved between two snapshots and is older than {newest.name}: it is "
        "left out.",
        f"{newest.name} is not a snapshot but the newest network, saved since the last one: it is "
        "taken, too.",
    ]
    other.touch()
    assert find_networks(tmp_path, said.append) == [snapshot, other]
    said.clear()
    assert find_network(tmp_path, said.append) == other and said == []
    for path in (snapshot, newest, other):
        path.unlink()
    assert find_networks(tmp_path, said.append) == [stale] and said == []


def test_growth_tells_that_an_interim_network_is_shown(runs: Path, tmp_path: Path) -> None:
    run = tmp_path / NAME
    shutil.copytree(runs / NAME, run)
    last = sorted(run.glob("network-snapshot-*.safetensors"))[-1]
    interim = run / "network-snapshot-000009_000-interim.safetensors"
    last.rename(interim)
    words = ("--video", tmp_path / "a.gif", "--growth", "--seconds", 1, "--seeds", 0)
    result = call(generate, "--network", run, *words)
    assert result.exit_code == 0, result.output
    assert f"{interim.name} is not a snapshot but the newest network" in result.stderr
    result = call(generate, "--network", run, "--seeds", 0, "--outdir", tmp_path / "out")
    assert "is not a snapshot" not in result.stderr and f"network: {interim}" in result.stderr


def test_names_of_files_do_not_act_on_the_terminal(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "a\x1b[2J").symlink_to(runs / NAME)
    network = ("--network", tmp_path / "a\x1b[2J")
    result = call(generate, *network, "--seeds", 0, "--outdir", tmp_path / "b\x1b[2J")
    assert "\x1b" not in result.output
    assert "b\\x1b[2J" in result.stdout and "a\\x1b[2J" in result.stderr

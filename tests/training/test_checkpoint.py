"""States on disk: whole, bounded in number, and refused where they do not fit."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from progan.errors import UserError
from progan.run_directory import list_states
from progan.runtime.weights_file import hash_content
from progan.sampling.checkpoint_format import read_metadata
from progan.training import checkpoint, state
from tests.builders import descend, tiny_run

CPU = torch.device("cpu")


def test_round_trip(tmp_path: Path) -> None:
    run = tiny_run()
    saved = state.create_state(run, CPU)
    saved.images_seen, saved.phase, saved.tick, saved.seconds = 4321, 3, 17, 12.5
    saved.round_images_seen, saved.rollbacks = 4225, 2
    saved.stat_sums.sums, saved.stat_sums.counts = {"loss": torch.tensor(0.1)}, {"loss": 3}
    path = checkpoint.save_state_and_delete_oldest(tmp_path, saved, run)
    assert path.name == "state-000004.pt"
    loaded = checkpoint.load_state(path, run, CPU)
    counters = [getattr(loaded, name) for name in checkpoint.COUNTERS]
    assert counters == [4321, 4225, 3, 17, 0, 12.5, 2]
    assert (loaded.stat_sums.sums, loaded.stat_sums.counts) == (
        saved.stat_sums.sums,
        saved.stat_sums.counts,
    )
    for name, network in saved.networks.items():
        before, after = network.state_dict(), loaded.networks[name].state_dict()
        assert all(torch.equal(before[key], after[key]) for key in before)


def test_only_the_newest_states_are_kept(tmp_path: Path) -> None:
    run = tiny_run(keep_states=2)
    current = state.create_state(run, CPU)
    for kimg in range(1, 5):
        current.images_seen = 1000 * kimg
        checkpoint.save_state_and_delete_oldest(tmp_path, current, run)
    assert [path.name for path in list_states(tmp_path)] == ["state-000003.pt", "state-000004.pt"]


def test_another_architecture_is_refused_by_name(tmp_path: Path) -> None:
    run = tiny_run()
    path = checkpoint.save_state_and_delete_oldest(tmp_path, state.create_state(run, CPU), run)
    with pytest.raises(UserError, match="latent_size: 8 -> 9"):
        checkpoint.load_state(path, tiny_run(latent_size=9), CPU)


def test_a_copy_is_not_changed_by_training(tmp_path: Path) -> None:
    run = tiny_run()
    current = state.create_state(run, CPU)
    copy = checkpoint.copy_to_cpu(current, run)
    before = {name: value.clone() for name, value in copy["generator"].items()}
    with torch.no_grad():
        for parameter in current.generator.parameters():
            parameter.add_(1)
    assert all(torch.equal(value, copy["generator"][name]) for name, value in before.items())


def rewritten(path: Path, **values: object) -> None:
    """Change what a state says, with the checksum that belongs to it."""
    content = torch.load(path, weights_only=True) | values
    torch.save(checkpoint.with_checksum(content), path)


def test_a_younger_format_version_is_refused_and_both_are_named(tmp_path: Path) -> None:
    run = tiny_run()
    path = checkpoint.save_state_and_delete_oldest(tmp_path, state.create_state(run, CPU), run)
    rewritten(path, version=99)
    with pytest.raises(UserError, match="version 99.*up to version 2") as caught:
        checkpoint.load_state(path, run, CPU)
    assert not isinstance(caught.value, checkpoint.DamagedCheckpoint), "it is whole"


@pytest.mark.parametrize(
    "name, value",
    [
        ("config", None),
        ("images_seen", -5),
        ("images_seen", "x"),
        ("g_optimizer", {}),
        ("generator", {}),
        ("seconds", None),
        ("tally", {"sums": {"loss": 3}, "counts": {}}),
    ],
)
def test_a_state_that_is_wrong_inside_is_refused(tmp_path: Path, name: str, value: object) -> None:
    run = tiny_run()
    path = checkpoint.save_state_and_delete_oldest(tmp_path, state.create_state(run, CPU), run)
    rewritten(path, **{name: value})
    with pytest.raises(UserError, match="is not a complete training state"):
        checkpoint.load_state(path, run, CPU)


def test_another_content_under_the_old_checksum_is_refused(tmp_path: Path) -> None:
    run = tiny_run()
    path = checkpoint.save_state_and_delete_oldest(tmp_path, state.create_state(run, CPU), run)
    torch.save(torch.load(path, weights_only=True) | {"images_seen": 1}, path)
    with pytest.raises(checkpoint.DamagedCheckpoint, match="its checksum differs"):
        checkpoint.load_state(path, run, CPU)


def test_a_flipped_bit_is_noticed_or_makes_no_difference(tmp_path: Path) -> None:
    """One bit after the other, all over the file; the gaps of a zip file mean nothing."""
    run = tiny_run(resolution=4, fmap_max=2, latent_size=2)
    path = checkpoint.save_state_and_delete_oldest(tmp_path, state.create_state(run, CPU), run)
    whole, expected = path.read_bytes(), checkpoint.read_checkpoint(path)
    noticed = 0
    for place in range(0, 8 * len(whole), 8 * len(whole) // 400):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            found = checkpoint.read_checkpoint(path)
            assert hash_content(found) == hash_content(expected), f"bit {place}"
        except checkpoint.DamagedCheckpoint as error:
            assert str(path) in str(error)
            noticed += 1
    assert noticed > 50


def test_a_flipped_bit_of_a_weight_is_noticed(tmp_path: Path) -> None:
    run = tiny_run()
    current = state.create_state(run, CPU)
    path = checkpoint.save_state_and_delete_oldest(tmp_path, current, run)
    whole = path.read_bytes()
    weight = current.generator.to_rgb["4x4"].weight.detach().numpy().tobytes()
    for bit in range(0, 32, 5):
        damaged = bytearray(whole)
        damaged[whole.index(weight) + bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(checkpoint.DamagedCheckpoint, match="its checksum differs"):
            checkpoint.load_state(path, run, CPU)


@pytest.mark.parametrize("left", [0.0, 0.01, 0.5, 0.99, 0.9999])
def test_a_cut_file_is_noticed(tmp_path: Path, left: float) -> None:
    run = tiny_run()
    path = checkpoint.save_state_and_delete_oldest(tmp_path, state.create_state(run, CPU), run)
    path.write_bytes(path.read_bytes()[: int(left * path.stat().st_size)])
    with pytest.raises(checkpoint.DamagedCheckpoint, match="is not a complete training state"):
        checkpoint.load_state(path, run, CPU)


def test_the_newest_whole_state_is_taken_and_the_damaged_ones_named(tmp_path: Path) -> None:
    run = tiny_run()
    current = state.create_state(run, CPU)
    for current.images_seen in (1000, 2000, 3000, 4000):
        checkpoint.save_state_and_delete_oldest(tmp_path, current, run)
    files = list_states(tmp_path)
    for path in files[2:]:
        path.write_bytes(path.read_bytes()[:-1000])
    loaded, path, damaged = checkpoint.load_newest(files, run, CPU)
    assert (loaded.images_seen, path) == (2000, files[1])
    assert list(damaged) == [files[3], files[2]]
    for path in files[:2]:
        path.write_bytes(b"")
    with pytest.raises(UserError, match="state-000004.pt.*state-000001.pt.*start a new run"):
        checkpoint.load_newest(files, run, CPU)


def test_a_state_that_does_not_fit_is_not_passed_over(tmp_path: Path) -> None:
    """The one before it would fit no better, and nobody asked to lose what came since."""
    run = tiny_run()
    current = state.create_state(run, CPU)
    for current.images_seen in (1000, 2000):
        checkpoint.save_state_and_delete_oldest(tmp_path, current, run)
    rewritten(list_states(tmp_path)[-1], version=99)
    with pytest.raises(UserError, match="version 99"):
        checkpoint.load_newest(list_states(tmp_path), run, CPU)


def test_states_of_one_thousand_of_images_have_names_in_their_order(tmp_path: Path) -> None:
    run = tiny_run(keep_states=2)
    current, names = state.create_state(run, CPU), []
    for current.images_seen in (999, 1100, 1400, 1900, 2300):
        checkpoint.save_state_and_delete_oldest(tmp_path, current, run)
        names.append([path.stem.removeprefix("state-") for path in list_states(tmp_path)])
    assert names == [
        ["000000"],
        ["000000", "000001"],
        ["000001", "000001_400"],
        ["000001_400", "000001_900"],
        ["000001_900", "000002"],
    ]


def test_a_write_that_is_given_up_changes_nothing(tmp_path: Path) -> None:
    run = tiny_run(keep_states=1)
    current = state.create_state(run, CPU)
    current.images_seen = 1000
    first = checkpoint.save_state_and_delete_oldest(tmp_path, current, run)
    before = first.read_bytes()
    current.images_seen = 2000
    calls = []

    def give_up() -> None:
        calls.append(0)
        if len(calls) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checkpoint.write_state_and_delete_oldest(
            tmp_path, checkpoint.copy_to_cpu(current, run), 1, give_up
        )
    assert [*tmp_path.iterdir()] == [first] and first.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 not really a zip"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state-000001.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match="state-000001.pt"):
        checkpoint.load_state(path, tiny_run(), CPU)


@pytest.mark.parametrize(
    "save",
    [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content, protocol=2))],
    ids=["torch", "pickle"],
)
def test_a_pickle_that_wants_to_run_code_is_refused_and_does_not_run(
    tmp_path: Path, save: Callable[[object, Path], object]
) -> None:
    path, trace = tmp_path / "state-000001.pt", tmp_path / "it-ran"
    save({"format": "progan state", "version": 1, "evil": Exploit(trace)}, path)
    with pytest.raises(UserError, match="not a complete training state"):
        checkpoint.load_state(path, tiny_run(), CPU)
    assert read_metadata(path) is None
    assert not trace.exists()


class Exploit:
    """Makes a folder when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


def test_the_exploit_works(tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    pickle.loads(pickle.dumps(Exploit(tmp_path / "it-ran")))
    assert (tmp_path / "it-ran").is_dir()


@pytest.mark.parametrize(
    "overrides",
    [dict(kind="autoencoder", objective="began"), dict(objective="lsgan", adaptive_noise=True)],
    ids=["began", "adaptive noise"],
)
def test_controllers_are_restored_to_the_last_bit(
    tmp_path: Path, overrides: dict[str, object]
) -> None:
    run = tiny_run(**overrides)
    saved = state.create_state(run, CPU)
    (name,) = saved.controllers
    for value in (0.0, 0.1, 1 / 3, 0.9999999, 1e-30, 1.0):
        saved.controllers = {name: torch.tensor(value)}
        loaded = checkpoint.load_state(
            checkpoint.save_state_and_delete_oldest(tmp_path, saved, run), run, CPU
        )
        assert loaded.controllers.keys() == {name}
        assert loaded.controllers[name].dtype == torch.float32
        assert torch.equal(loaded.controllers[name], saved.controllers[name])


def test_a_dial_that_the_file_does_not_know_starts_at_its_beginning(tmp_path: Path) -> None:
    """A run may be resumed with --adaptive-noise."""
    run = tiny_run(objective="lsgan")
    path = checkpoint.save_state_and_delete_oldest(tmp_path, state.create_state(run, CPU), run)
    noisy = tiny_run(objective="lsgan", adaptive_noise=True)
    assert checkpoint.load_state(path, noisy, CPU).controllers == {"confidence": 0}


@pytest.mark.parametrize("controllers", [{"confidence": "x"}, {"confidence": None}, 3])
def test_broken_controllers_are_refused(tmp_path: Path, controllers: object) -> None:
    run = tiny_run(objective="lsgan", adaptive_noise=True)
    path = checkpoint.save_state_and_delete_oldest(tmp_path, state.create_state(run, CPU), run)
    rewritten(path, dials=controllers)
    with pytest.raises(UserError, match="is not a complete training state"):
        checkpoint.load_state(path, run, CPU)


def test_a_probability_of_augmentation_that_changes_applies(tmp_path: Path) -> None:
    """--resume --augment-p 0.6; unless it changes, an adaptive one has the value of the file."""
    saved = tiny_run(augment="adaptive", augment_p=0.3)
    live = state.create_state(saved, CPU)
    live.controllers["augmentation"].fill_(0.45)
    path = checkpoint.save_state_and_delete_oldest(tmp_path, live, saved)
    for kind, p, expected in (
        ("fixed", 0.6, 0.6), ("fixed", 0.3, 0.3), ("adaptive", 0.6, 0.6), ("adaptive", 0.3, 0.45),
    ):  # fmt: skip
        loaded = checkpoint.load_state(path, tiny_run(augment=kind, augment_p=p), CPU)
        assert loaded.controllers["augmentation"].item() == pytest.approx(expected)


def test_a_device_without_memory_does_not_make_a_state_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(run: object, device: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    run = tiny_run()
    path = checkpoint.save_state_and_delete_oldest(tmp_path, state.create_state(run, CPU), run)
    monkeypatch.setattr(checkpoint, "create_state", fail)
    with pytest.raises(torch.OutOfMemoryError):
        checkpoint.load_newest([path], run, CPU)


def test_another_optimizer_starts_without_moments(tmp_path: Path) -> None:
    """Adam's mean nothing to RMSProp."""
    run, other = tiny_run(), tiny_run(optimizer="rmsprop", beta2=0.9)
    path = checkpoint.save_state_and_delete_oldest(tmp_path, state.create_state(run, CPU), run)
    loaded = checkpoint.load_state(path, other, CPU)
    descend(loaded.g_optimizer, loaded.generator.to_rgb["4x4"].bias.sum(), 0.1)
    assert loaded.g_optimizer.param_groups[0]["alpha"] == 0.9


def test_settings_of_the_optimizer_are_those_of_the_run_that_goes_on(tmp_path: Path) -> None:
    """--resume --beta2 0.5 is not forgotten; the moments stay."""
    run = tiny_run()
    saved = state.create_state(run, CPU)
    bias = saved.generator.to_rgb["4x4"].bias
    descend(saved.g_optimizer, bias.sum(), 0.1)
    loaded = checkpoint.load_state(
        checkpoint.save_state_and_delete_oldest(tmp_path, saved, run), tiny_run(beta2=0.5), CPU
    )
    assert loaded.g_optimizer.param_groups[0]["betas"] == (0.0, 0.5)
    before = saved.g_optimizer.state[bias]
    after = loaded.g_optimizer.state[loaded.generator.to_rgb["4x4"].bias]
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)

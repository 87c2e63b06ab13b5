"""States on disk: whole, bounded in number, and refused where they do not fit."""

from pathlib import Path

import pytest
import torch

from progan.errors import UserError
from progan.run_directory import states
from progan.training import checkpoint, state
from tests.builders import descend, tiny_run

CPU = torch.device("cpu")


def test_round_trip(tmp_path: Path) -> None:
    run = tiny_run()
    saved = state.create(run, CPU)
    saved.images_seen, saved.phase, saved.tick, saved.seconds = 4321, 3, 17, 12.5
    path = checkpoint.save_state(tmp_path, saved, run)
    assert path.name == "state-000004.pt"
    loaded = checkpoint.load_state(path, run, CPU)
    assert [getattr(loaded, name) for name in checkpoint.CLOCKS] == [4321, 3, 17, 0, 12.5]
    for name in ("generator", "discriminator", "average"):
        before, after = getattr(saved, name).state_dict(), getattr(loaded, name).state_dict()
        assert all(torch.equal(before[key], after[key]) for key in before)


def test_only_the_newest_states_are_kept(tmp_path: Path) -> None:
    run = tiny_run(keep_states=2)
    current = state.create(run, CPU)
    for kimg in range(1, 5):
        current.images_seen = 1000 * kimg
        checkpoint.save_state(tmp_path, current, run)
    assert [path.name for path in states(tmp_path)] == ["state-000003.pt", "state-000004.pt"]


def test_another_architecture_is_refused_by_name(tmp_path: Path) -> None:
    run = tiny_run()
    path = checkpoint.save_state(tmp_path, state.create(run, CPU), run)
    with pytest.raises(UserError, match="latent_size: 8 -> 9"):
        checkpoint.load_state(path, tiny_run(latent_size=9), CPU)


def test_another_format_version_is_refused(tmp_path: Path) -> None:
    run = tiny_run()
    path = checkpoint.save_state(tmp_path, state.create(run, CPU), run)
    content = torch.load(path, weights_only=True)
    torch.save(content | {"version": 99}, path)
    with pytest.raises(UserError, match="version 99.*version 1"):
        checkpoint.load_state(path, run, CPU)


@pytest.mark.parametrize("name, value", [
    ("config", None), ("images_seen", -5), ("images_seen", "x"), ("g_optimizer", {}),
    ("generator", {}), ("seconds", None)])
def test_a_state_that_is_wrong_inside_is_refused(tmp_path: Path, name: str,
                                                 value: object) -> None:
    run = tiny_run()
    path = checkpoint.save_state(tmp_path, state.create(run, CPU), run)
    torch.save(torch.load(path, weights_only=True) | {name: value}, path)
    with pytest.raises(UserError, match="is not a whole training state"):
        checkpoint.load_state(path, run, CPU)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 not really a zip"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state-000001.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match="state-000001.pt"):
        checkpoint.load_state(path, tiny_run(), CPU)


def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state-000001.pt"
    torch.save({"format": "progan state", "version": 1, "evil": Exploit()}, path)
    with pytest.raises(UserError, match="not a whole training state"):
        checkpoint.load_state(path, tiny_run(), CPU)


class Exploit:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("pwned",)


@pytest.mark.parametrize("overrides", [
    dict(kind="autoencoder", objective="began"), dict(objective="lsgan", adaptive_noise=True)],
    ids=["began", "adaptive noise"])
def test_dials_are_restored_to_the_last_bit(tmp_path: Path, overrides: dict[str, object]) -> None:
    run = tiny_run(**overrides)
    saved = state.create(run, CPU)
    (name,) = saved.dials
    for value in (0.0, 0.1, 1 / 3, 0.9999999, 1e-30, 1.0):
        saved.dials = {name: torch.tensor(value)}
        loaded = checkpoint.load_state(checkpoint.save_state(tmp_path, saved, run), run, CPU)
        assert loaded.dials.keys() == {name} and loaded.dials[name].dtype == torch.float32
        assert torch.equal(loaded.dials[name], saved.dials[name])


def test_a_dial_that_the_file_does_not_know_starts_at_its_beginning(tmp_path: Path) -> None:
    """A run may be resumed with --adaptive-noise, and states may be older than dials."""
    run = tiny_run(objective="lsgan")
    path = checkpoint.save_state(tmp_path, state.create(run, CPU), run)
    noisy = tiny_run(objective="lsgan", adaptive_noise=True)
    assert checkpoint.load_state(path, noisy, CPU).dials == {"confidence": 0}
    content = torch.load(path, weights_only=True)
    del content["dials"]
    torch.save(content, path)
    assert checkpoint.load_state(path, noisy, CPU).dials == {"confidence": 0}


@pytest.mark.parametrize("dials", [{"confidence": "x"}, {"confidence": None}, 3])
def test_broken_dials_are_refused(tmp_path: Path, dials: object) -> None:
    run = tiny_run(objective="lsgan", adaptive_noise=True)
    path = checkpoint.save_state(tmp_path, state.create(run, CPU), run)
    torch.save(torch.load(path, weights_only=True) | {"dials": dials}, path)
    with pytest.raises(UserError, match="is not a whole training state"):
        checkpoint.load_state(path, run, CPU)


def test_another_optimizer_starts_without_moments(tmp_path: Path) -> None:
    """Adam's mean nothing to RMSProp."""
    run, other = tiny_run(), tiny_run(optimizer="rmsprop", beta2=0.9)
    path = checkpoint.save_state(tmp_path, state.create(run, CPU), run)
    loaded = checkpoint.load_state(path, other, CPU)
    descend(loaded.g_optimizer, loaded.generator.to_rgb["4x4"].bias.sum(), 0.1)
    assert loaded.g_optimizer.param_groups[0]["alpha"] == 0.9


def test_settings_of_the_optimizer_are_those_of_the_run_that_goes_on(tmp_path: Path) -> None:
    """--resume --beta2 0.5 is not forgotten; the moments stay."""
    run = tiny_run()
    saved = state.create(run, CPU)
    bias = saved.generator.to_rgb["4x4"].bias
    descend(saved.g_optimizer, bias.sum(), 0.1)
    loaded = checkpoint.load_state(checkpoint.save_state(tmp_path, saved, run),
                                   tiny_run(beta2=0.5), CPU)
    assert loaded.g_optimizer.param_groups[0]["betas"] == (0.0, 0.5)
    before = saved.g_optimizer.state[bias]
    after = loaded.g_optimizer.state[loaded.generator.to_rgb["4x4"].bias]
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)

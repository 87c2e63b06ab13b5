"""States on disk: whole, bounded in number, and refused where they do not fit."""

from pathlib import Path

import pytest
import torch

from progan.errors import UserError
from progan.run_directory import states
from progan.training import checkpoint, state
from tests.builders import tiny_run

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

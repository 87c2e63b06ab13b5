"""What a restart by torchrun continues: one process under torchrun's environment."""

import re
import shutil
from pathlib import Path

import pytest
from click.testing import Result

from progan.cli import train_run
from progan.run_directory import list_states
from tests.builders import noise_dataset, tiny_options
from tests.commands.test_train import train

# States at 0.016, 0.032 and 0.048 kimg.
OPTIONS = tiny_options(
    batch=8, resolution=8, total_kimg=0.048, training_kimg=0.016, transition_kimg=0.016,
    tick_kimg=0.016, minibatch_repeats=1, stddev_group=4,
)  # fmt: skip
ONE_STEP = ("--total-kimg", "1", "--max-hours", "1e-9")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    data = noise_dataset(folder / "data", resolution=8).path
    result = train("--data", data, "--outdir", folder / "runs", "--preset", "demo", *OPTIONS)
    assert result.exit_code == 0, result.output
    return folder / "runs/00000-data-demo"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "runs" / trained.name))


def add_newer_run(run: Path) -> Path:
    return Path(shutil.copytree(run, run.with_name("00001-data-demo")))


def resume(patch: pytest.MonkeyPatch, attempt: int, *words: object) -> Result:
    """Resume and train one step, in an attempt of one torchrun."""
    for name, value in dict(
        RANK=0, WORLD_SIZE=1, LOCAL_RANK=0, LOCAL_WORLD_SIZE=1, TORCHELASTIC_RUN_ID="mine",
        TORCHELASTIC_RESTART_COUNT=attempt,
    ).items():  # fmt: skip
        patch.setenv(name, str(value))
    return train("--resume", *words, *ONE_STEP)


def resumed_at(result: Result) -> tuple[str, float]:
    """The run that was resumed, and its kimg."""
    assert result.exit_code == 0, result.output
    found = re.search(r"(\d{5}-data-demo): .* from kimg ([\d.]+) to", result.output)
    assert found, result.output
    return found[1], float(found[2])


def test_a_restart_continues_the_run_that_was_the_newest(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--outdir", run.parent)
    assert resumed_at(resume(monkeypatch, 0, *words)) == (run.name, 0.048)
    newer = add_newer_run(run)
    (newer / ".launch").unlink(missing_ok=True)
    assert resumed_at(resume(monkeypatch, 1, *words)) == (run.name, 0.056)
    assert resumed_at(resume(monkeypatch, 2, *words)) == (run.name, 0.064)
    assert resumed_at(resume(monkeypatch, 0, *words))[0] == newer.name  # another torchrun


def test_a_restart_keeps_the_run_of_an_attempt_that_failed_to_load_it(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_to_load(monkeypatch, "--outdir", run.parent)
    (add_newer_run(run) / ".launch").unlink(missing_ok=True)
    assert resumed_at(resume(monkeypatch, 1, "--outdir", run.parent)) == (run.name, 0.048)


def fail_to_load(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("a failure of the machine")

    with monkeypatch.context() as patch:
        patch.setattr(train_run, "load_resumed_state", fail)
        with pytest.raises(RuntimeError, match="of the machine"):
            resume(patch, 0, *words)


def test_a_restart_resumes_from_the_file_until_an_attempt_has(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = list_states(run)[0]
    fail_to_load(monkeypatch, file)
    assert resumed_at(resume(monkeypatch, 1, file)) == (run.name, 0.016)
    assert resumed_at(resume(monkeypatch, 2, file)) == (run.name, 0.024)
    file.unlink()  # as --keep-states does
    assert resumed_at(resume(monkeypatch, 3, file)) == (run.name, 0.032)


def test_a_file_precedes_what_a_launch_of_the_same_name_has_left(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--rdzv-id is often the same from one torchrun to the next."""
    assert resumed_at(resume(monkeypatch, 0, run)) == (run.name, 0.048)
    file = list_states(run)[0]
    fail_to_load(monkeypatch, file)
    assert resumed_at(resume(monkeypatch, 1, file)) == (run.name, 0.016)

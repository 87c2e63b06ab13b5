"""Runs that were renamed, and datasets that were moved."""

import shutil
from pathlib import Path

import pytest

from progan.cli.generate import main as generate
from progan.cli.train import main as train
from tests.builders import call, message, noise_dataset, tiny_options

BRIEF: dict[str, object] = dict(
    total_kimg=0.064, batch=16, tick_kimg=0.032, training_kimg=0.032, transition_kimg=0.032,
    initial_resolution=16,
)  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, 'data', and a finished run of it, 'runs/00000-data-demo'."""
    folder = tmp_path_factory.mktemp("finished")
    data = noise_dataset(folder / "data", count=16).path
    result = call(
        train, "--data", data, "--outdir", folder / "runs", "--preset", "demo",
        *tiny_options(**BRIEF),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return folder


def test_a_renamed_run_is_found(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "my best run"
    shutil.copytree(finished / "runs" / "00000-data-demo", run)
    result = call(train, "--resume", tmp_path, "--total-kimg", 0.08)
    assert result.exit_code == 0 and str(run) in result.output
    result = call(generate, "--network", tmp_path, "--seeds", "0", "--outdir", tmp_path / "out")
    assert result.exit_code == 0 and f"network: {run}" in result.stderr


@pytest.mark.parametrize("words", ["resume", "init-from"])
def test_a_moved_dataset_is_asked_for(finished: Path, tmp_path: Path, words: str) -> None:
    run, data = tmp_path / "runs" / "copy", finished / "data"
    shutil.copytree(finished / "runs" / "00000-data-demo", run)
    data.rename(tmp_path / "moved")
    outdir = ("--outdir", tmp_path / "out") if words == "init-from" else ()
    command = (f"--{words}", run, "--total-kimg", 0.08, *outdir)
    try:
        said = message(call(train, *command))
        assert f"The dataset of the run {run} is no longer at {data}" in said and "--data" in said
        data.mkdir()
        said = message(call(train, *command))
        assert f"The dataset of the run {run} cannot be used" in said and "--data" in said
        assert call(train, *command, "--data", tmp_path / "moved").exit_code == 0
    finally:
        shutil.rmtree(data, ignore_errors=True)
        shutil.move(tmp_path / "moved", data)

"""What TORCHINDUCTOR_CACHE_DIR does to train.py when it cannot be used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from progan.cli.train import main
from tests.builders import message, noise_dataset, tiny_options

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


def words(folder: Path, *more: str) -> list[str]:
    data = noise_dataset(folder / "noise", resolution=8).path
    return [
        "--data", str(data), "--outdir", str(folder / "runs"), "--device", "cpu",
        *tiny_options(resolution=8, total_kimg=0.1), *more,
    ]  # fmt: skip


@pytest.mark.parametrize("acceleration", ["compile", "graph"])
def test_compilation_is_refused_with_the_variable(
    tmp_path: Path, acceleration: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    result = CliRunner().invoke(main, words(tmp_path, "--acceleration", acceleration))
    said = message(result)
    assert said.startswith(f"Error: {VARIABLE} is '{tmp_path / 'file'}'")
    assert "it is not a directory" in said and "--acceleration eager" in said
    assert not (tmp_path / "runs").exists()


def test_eager_training_does_not_care(tmp_path: Path) -> None:
    """In a process of its own: torch looks at the variable once."""
    (tmp_path / "file").touch()
    result = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | {VARIABLE: str(tmp_path / "file" / "below"), "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr
    assert list(tmp_path.glob("runs/*/network-snapshot-*.safetensors"))

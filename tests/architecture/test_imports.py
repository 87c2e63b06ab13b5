"""Entry points answer before anything heavy is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "torch", "torchvision", "numpy", "PIL", "scipy", "tensorboard", "safetensors", "lmdb", "h5py",
    "onnx", "onnxruntime", "gradio", "uvicorn", "matplotlib", "av",
)  # fmt: skip
ENTRY_POINTS = (
    "progan.cli.train", "progan.cli.generate", "progan.cli.dataset", "progan.cli.main",
    "metrics.cli", "progan.diagnosis.cli", "progan.interop.cli", "progan.report.cli",
    "progan.projection.cli",
)  # fmt: skip
PRESENT = [
    entry_point
    for entry_point in ENTRY_POINTS
    if (ROOT / f"{entry_point.replace('.', '/')}.py").is_file()
]

OPTIONS = {
    "train.py": (
        "--data", "--outdir", "--preset", "--resume", "--total-kimg", "--seed", "--device",
        "--precision", "--dry-run", "--batch-at", "--no-mirror", "--init-from", "--freeze-d",
    ),
    "generate.py": (
        "--network", "--seeds", "--latents", "--class", "--resolution", "--grid", "--sheet",
        "--batch", "--format", "--float", "--video", "--seconds", "--fps", "--walk", "--growth",
        "--explore", "--port", "--outdir", "--device",
    ),
    "dataset_tool.py": (
        "create-from-images", "create-mnist", "create-mnist-rgb", "create-cifar10",
        "create-cifar100", "create-svhn", "create-celeba", "create-celebahq", "create-lsun",
        "create-cub200", "create-from-tfrecords", "create-from-hdf5", "create-from-dataset",
        "create-demo", "info", "verify", "display",
    ),
}  # fmt: skip


def python(*words: str) -> str:
    """What a fresh Python prints; it must end well."""
    result = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def heavy_modules_after(statement: str) -> list[str]:
    report = f"import sys; print(*(name for name in {HEAVY} if name in sys.modules))"
    return python("-c", f"{statement}\n{report}").split()


@pytest.mark.parametrize("entry_point", PRESENT)
def test_an_entry_point_imports_nothing_heavy(entry_point: str) -> None:
    assert heavy_modules_after(f"import {entry_point}") == []


def test_heavy_modules_would_be_noticed() -> None:
    assert "numpy" in heavy_modules_after("import progan.data.pyramid")


def test_the_package_is_light_until_it_loads_a_network() -> None:
    assert heavy_modules_after("import progan; progan.load") == []


def test_datasets_are_made_without_torch() -> None:
    assert "torch" not in heavy_modules_after("import progan.data.writer")


def test_pictures_wait_for_nothing_that_they_do_not_need() -> None:
    loaded = heavy_modules_after("import progan.sampling.generate, progan.interop.load")
    assert {"torch", "numpy", "PIL", "safetensors"} == set(loaded)


@pytest.mark.parametrize("script", OPTIONS)
def test_help_lists_the_options_of_a_command(script: str) -> None:
    option = "--help-all" if script == "train.py" else "--help"
    words = python(script, option).replace("/", " ").split()
    assert [option for option in OPTIONS[script] if option not in words] == []

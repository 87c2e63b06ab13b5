"""What cannot work is refused by every command before any work, and before torch is imported."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.builders import noise_dataset
from tests.for_each import for_each

ROOT = Path(__file__).resolve().parents[2]
# Runs commands one after another in one process that cannot import torch.
RUNNER = """
import importlib.abc, json, sys
class NoTorch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision"):
            raise AssertionError("torch was imported")
        if name in ("av", "onnxscript", "gradio"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, NoTorch())
from importlib import util
find_spec = util.find_spec
util.find_spec = lambda name: None if name == "onnxscript" else find_spec(name)
from click.testing import CliRunner
from progan.cli.main import main
for words in json.load(sys.stdin):
    result = CliRunner().invoke(main, words)
    fault = repr(result.exception) if isinstance(result.exception, Exception) else ""
    print(json.dumps([result.exit_code, result.output + fault]))
"""
NETWORK = "--network run.safetensors"
METRICS = f"metrics {NETWORK} --data data"
REFUSED = {
    # Values, names and options that are missing.
    "train --preset nope --data data": "Unknown preset 'nope'",
    "train --data data --metrics swd,nope": "no such metric: 'nope'",
    "train --data data --metrics swd --best fid": "--best fid is not one of the metrics",
    "train --data data --batch 0": "batch",
    "train --data data --learning 3": "No such option",
    "train": "Name a dataset with --data DIR; python dataset_tool.py makes one",
    "train --data data --freeze-d 2": "it needs --init-from",
    f"generate {NETWORK} --seeds 0-x --outdir out": "0-x",
    f"generate {NETWORK} --outdir out": "Name either --seeds",
    f"generate {NETWORK} --seeds 0": "--outdir",
    f"generate {NETWORK} --seeds 0 --latents file --outdir out": "not both",
    f"generate {NETWORK} --seeds 0-3 --grid 1x1 --outdir out": "has 1 cell, too few",
    f"generate {NETWORK} --seeds 0-3 --grid x --outdir out": "COLSxROWS",
    f"generate {NETWORK} --video a.avi": "must end in .mp4",
    f"generate {NETWORK} --video a.gif --fps 100": "maximum of 50",
    f"generate {NETWORK} --explore --seeds 1,2": "Name one",
    "metrics nope": "nope",
    "metrics compare run --outdir out --seeds x": "x",
    "metrics compare run --outdir out --metrics nope": "no such metric: 'nope'",
    "interop run.safetensors --to x.xyz": "must end in .safetensors",
    "interop run.safetensors --to file.npz": "exists already",
    # Extras that are not installed.
    f"generate {NETWORK} --video a.mp4": 'pip install "progan[video]"',
    f"generate {NETWORK} --explore": 'pip install "progan[web]"',
    f"projection file {NETWORK} --outdir out --video a.mp4": 'pip install "progan[video]"',
    "interop run.safetensors --to a.onnx": "ONNX needs onnxscript",
    # Inputs that do not exist.
    "train --data none": "none does not exist",
    "train --init-from none --data data": "No such file or directory: none",
    "train --resume none": "No such file or directory: none",
    "train --data data --metrics fid --detector nix": "No such file: nix",
    "generate --network none --seeds 0 --outdir out": "No such file or directory: none",
    "generate --network none --explore": "No such file or directory: none",
    f"generate {NETWORK} --latents none --outdir out": "No such file or directory: none",
    f"projection none {NETWORK} --outdir out": "No such file or directory: none",
    "projection file --network none --outdir out": "No such file or directory: none",
    f"projection file {NETWORK} --outdir out --detector none": "No such file: none",
    "metrics --network none --data data": "No such file or directory: none",
    f"metrics {NETWORK} --data none": "No such file or directory: none",
    "metrics --images none --reference data": "No such file or directory: none",
    f"{METRICS} --detector none": "No such file: none",
    f"metrics neighbours {NETWORK} --data none": "No such file or directory: none",
    f"metrics discrete-modes {NETWORK} --data data --classifier none": "No such file: none",
    "metrics discrete-modes --train-classifier --data none --classifier x": "No such file",
    "metrics compare none nix --outdir out": "no such file: none, nix",
    "metrics compare run --outdir out --metrics swd --data none": "No such file or directory: none",
    "interop none": "No such file or directory: none",
    "report none": "No such file or directory: none",
    "report run --neighbours 4 --data none": "No such file or directory: none",
    "diagnosis none": "No such file or directory: none",
    "dataset info none": "none does not exist",
    # Outputs that cannot be written.
    "train --data data --outdir file": "Cannot create the folder file",
    "train --data data --outdir /proc/x": "Cannot write to /proc/x",
    f"generate {NETWORK} --seeds 0 --outdir file/x": "Cannot create the folder file/x",
    f"generate {NETWORK} --seeds 0 --outdir /proc/x": "Cannot write to /proc/x",
    f"generate {NETWORK} --video none/a.gif": "no such folder",
    f"generate {NETWORK} --video a.gif --outdir file": "Cannot create the folder file",
    f"generate {NETWORK} --explore --outdir file": "Cannot create the folder file",
    f"projection file {NETWORK} --outdir file": "Cannot create the folder file",
    f"projection file {NETWORK} --outdir out --video none/a.gif": "no such folder",
    f"{METRICS} --json data": "Is a directory",
    f"{METRICS} --json file/x": "Cannot create the folder",
    f"metrics neighbours {NETWORK} --data data --sheet data": "it is a folder",
    f"metrics discrete-modes {NETWORK} --data data --classifier file --json data": "Is a directory",
    "metrics discrete-modes --train-classifier --data data --classifier data": "is a folder",
    "metrics compare run --outdir file": "Cannot create the folder file",
    "interop run.safetensors --to none/x.npz": "no such folder",
    "interop run.safetensors --to /proc/x.npz": "Cannot write to",
    "report run --output none/x.html": "no such folder",
    "report run --output data": "it is a folder",
    "diagnosis run --plot none/x.png": "no such folder",
    "dataset create-demo --dest /proc/x --num-images 9999": "Cannot write to /proc/x",
    "dataset create-from-images --source data --dest file/x": "Cannot create the folder",
    "dataset extract --source data --dest /proc/x": "Cannot write to /proc/x",
    "dataset check data --json none/x": "no such folder",
    "dataset display data --out none/x.png": "no such folder",
}
GROUPS = [
    "", "dataset", "train", "generate", "metrics", "metrics neighbours", "metrics compare",
    "metrics discrete-modes", "diagnosis", "report", "interop", "projection",
]  # fmt: skip
ANSWERED = [
    f"{command} {option}".strip() for command in GROUPS for option in ("--help", "--version")
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """What each command line is answered: its exit code, and one line."""
    place = tmp_path_factory.mktemp("refusals")
    noise_dataset(place / "data")
    (place / "run").mkdir()
    (place / "run" / "config.json").write_text('{"network": {}, "growth": {}}')
    for name in ("file", "file.npz", "run.safetensors"):
        (place / name).write_text("words")
    before = sorted(place.rglob("*"))
    lines = [*REFUSED, *ANSWERED]
    done = subprocess.run(
        [sys.executable, "-c", RUNNER], cwd=place, text=True, check=True,
        input=json.dumps([line.split() for line in lines]), timeout=300, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    found: list[Any] = list(map(json.loads, done.stdout.splitlines()))
    assert sorted(place.rglob("*")) == before, "something was written"
    return {
        line: (code, " ".join(text.split()))
        for line, (code, text) in zip(lines, found, strict=True)
    }


@for_each("line", REFUSED)
def test_what_cannot_work_is_refused_without_torch(
    answers: dict[str, tuple[int, str]], line: str
) -> None:
    code, text = answers[line]
    assert "torch was imported" not in text
    assert code in (1, 2) and "Error: " in text and REFUSED[line] in text


@for_each("line", ANSWERED)
def test_help_and_version_need_no_torch(answers: dict[str, tuple[int, str]], line: str) -> None:
    code, text = answers[line]
    assert code == 0
    assert text.startswith("Usage: " if "--help" in line else "progan 0.")


def test_torch_would_be_noticed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUNNER], cwd=tmp_path, text=True, check=True,
        input=json.dumps([["metrics", "--images", ".", "--data", "."]]), stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "torch was imported" in done.stdout

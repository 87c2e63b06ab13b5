"""The card of a real training: what it says can be typed, in the directory of the run."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from metrics.cli import main as metrics
from progan.cli.generate import main as generate
from progan.cli.train import main as train
from progan.interop.cli import main as interop
from progan.sampling.model_card import is_unedited
from tests.builders import noise_dataset, tiny_options

COMMANDS_BY_NAME: dict[str, click.Command] = {
    "generate.py": generate,
    "-m metrics": metrics,
    "-m progan.interop": interop,
}
TYPED = re.compile(rf"^ {{4}}python ({'|'.join(map(re.escape, COMMANDS_BY_NAME))}) (.*)$", re.M)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a dataset `hills` is, and `runs`."""
    place = tmp_path_factory.mktemp("place")
    noise_dataset(place / "hills", count=80, classes=2, holdout=0.25)
    words = [
        "--data", str(place / "hills"), "--outdir", str(place / "runs"), "--preset", "demo",
        "--conditional", "--metrics", "swd16", "--best", "swd",
        *tiny_options(total_kimg=3, training_kimg=1, transition_kimg=0.5),
    ]  # fmt: skip
    result = CliRunner().invoke(train, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return place


def newest(place: Path) -> Path:
    return sorted(place.glob("runs/*/network-snapshot-*.safetensors"))[-1].with_suffix(".md")


def test_a_card_tells_of_the_run_and_not_of_the_disk(place: Path) -> None:
    text = newest(place).read_text()
    for words in (
        "trained on `hills`",
        "`hills`, 60 images of 16x16; 20 more were held out",
        "2: `class-0`, `class-1`",
        "diagnostics at that time: too early to tell (",
        "| SWDx1e3\\_16 |",
        "| 16 | 3",
        "seed k is numpy.random",
    ):
        assert words in text, words
    assert str(place) not in text and "was not measured" not in text
    assert is_unedited(newest(place).read_bytes())


def test_every_network_has_a_card(place: Path) -> None:
    networks = list(place.glob("runs/*/*.safetensors"))
    assert "network-best-swd16" in [path.stem for path in networks]
    assert all(path.with_suffix(".md").is_file() for path in networks)


def test_the_card_of_a_conversion_tells_of_the_run(place: Path, tmp_path: Path) -> None:
    network, target = newest(place).with_suffix(".safetensors"), tmp_path / "lower.safetensors"
    result = CliRunner().invoke(interop, [str(network), "--to", str(target), "--resolution", "8"])
    assert result.exit_code == 0, result.output
    text = target.with_suffix(".md").read_text()
    assert "Generator of 8x8 images" in text
    for words in (
        "`hills`, 60 images of 16x16",
        "- **Objective:** wgan-gp",
        "| SWDx1e3\\_16 |",
        f"Copied from the card of `{network.name}`.",
    ):
        assert text.count(words) == 1, words
    assert text.count("## Usage") == 1 and "does not say" not in text
    assert is_unedited(target.with_suffix(".md").read_bytes())


def test_what_a_card_says_can_be_typed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    text = newest(place).read_text()
    monkeypatch.chdir(newest(place).parent)
    commands = TYPED.findall(text.replace("DATASET", str(place / "hills")))
    assert [script for script, _ in commands] == ["generate.py", "-m progan.interop", "-m metrics"]
    for script, words in commands:
        result = CliRunner().invoke(
            COMMANDS_BY_NAME[script], shlex.split(words), catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
    images = ran(python_of(text))["images"]
    assert images.shape == (16, 16, 16, 3)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["x.pt2", "x.onnx"])
def test_what_the_card_of_an_export_says_can_be_typed(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pytest.importorskip("onnxruntime")
    network = newest(place).with_suffix(".safetensors")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(interop, [str(network), "--to", name], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    text = Path(f"{name}.md").read_text()
    ((_, words),) = TYPED.findall(text)
    assert f"neighbours --network {network.name} " in words
    pixels = ran(python_of(text))["pixels"]
    assert pixels.shape == (1, 3, 16, 16)  # type: ignore[attr-defined]


def python_of(text: str) -> list[str]:
    return [
        line[4:] for line in text.splitlines() if line.startswith("    ") and not TYPED.match(line)
    ]


def ran(lines: list[str]) -> dict[str, object]:
    """The names that lines of Python leave."""
    names: dict[str, object] = {}
    exec("\n".join(lines), names)
    return names

"""dataset_tool.py counts one image as one."""

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from progan.cli.dataset import main


def output(*arguments: object) -> str:
    return CliRunner().invoke(main, [str(item) for item in arguments]).output


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A dataset of one image."""
    (tmp_path / "in").mkdir()
    pixels = np.random.RandomState(0).randint(0, 256, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in/a.png")
    (tmp_path / "in/notes.txt").touch()
    output("create-from-images", "--source", tmp_path / "in", "--dest", tmp_path / "one")
    return tmp_path / "one"


@pytest.mark.parametrize(
    "words",
    [
        ("check", "in"),
        ("check", "in", "--resolution", "16"),
        ("info", "one"),
        ("verify", "one"),
        ("compare", "one", "one"),
        ("compare", "one", "in"),
        ("create-from-images", "--source", "in", "--dest", "a"),
        ("create-from-images", "--source", "in", "--dest", "a", "--resolution", "16"),
        ("create-from-images", "--source", "in", "--dest", "a", "--holdout", "0.5"),
        ("create-from-images", "--source", "in", "--dest", "a", "--shard", "1/2"),
        ("create-from-dataset", "--source", "one", "--dest", "a"),
        ("create-demo", "--num-images", "1", "--resolution", "8", "--dest", "a"),
    ],
    ids=" ".join,
)
def test_one_image_is_counted_as_one(
    one: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(one.parent)
    text = output(*words)
    assert text
    assert not re.search(r"(?<![\d.])1 (\w+ )?(images|files|problems|errors|parts)\b", text)
    assert not re.search(r"(?<![\d.])1 (image|file) (are|were|have)\b", text)

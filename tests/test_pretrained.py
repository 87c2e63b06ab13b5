"""Networks in the package, by name."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

import progan
from progan import pretrained
from progan.cli.generate import main as generate
from progan.errors import UserError
from progan.pretrained import list_pretrained, resolve_network

MAX_BYTES = 2_000_000


@pytest.mark.parametrize("name", list_pretrained())
def test_each_is_small_has_a_card_and_generates(name: str, tmp_path: Path) -> None:
    file = Path(pretrained.__file__).parent / f"{name}.safetensors"
    assert file.stat().st_size <= MAX_BYTES
    assert f"**File:** `{name}.safetensors`" in file.with_suffix(".md").read_text()
    words = ["--network", name, "--seeds", "0-1", "--outdir", str(tmp_path)]
    assert CliRunner().invoke(generate, words, catch_exceptions=False).exit_code == 0
    size = progan.load(name).size
    with Image.open(tmp_path / "seed0001.png") as image:
        assert image.size == (size.width, size.height)
        assert len(image.getcolors(1 << 16) or ()) > 100  # not one colour


def test_there_is_one() -> None:
    assert "portraits" in list_pretrained()


def test_files_and_folders_precede_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    inside = Path(pretrained.__file__).parent / "portraits.safetensors"
    assert resolve_network(Path("portraits")) == inside
    assert resolve_network(Path("./other")) == Path("other")
    (tmp_path / "portraits").mkdir()
    assert resolve_network(Path("portraits")) == Path("portraits")
    with pytest.raises(UserError, match="hides the network of that name in the package"):
        progan.load("portraits")


@pytest.mark.parametrize("name", ["portrait", "Portraits"])
def test_the_nearest_name_is_suggested(name: str, tmp_path: Path) -> None:
    words = ["--network", name, "--seeds", "0", "--outdir", str(tmp_path)]
    result = CliRunner().invoke(generate, words)
    assert result.exit_code == 2
    assert "Did you mean portraits? It is in the package." in result.output


def test_no_number_is_no_truncation(tmp_path: Path) -> None:
    words = ["--network", "portraits", "--seeds", "0", "--outdir", str(tmp_path), "--trunc", "nan"]
    result = CliRunner().invoke(generate, words)
    assert result.exit_code == 2 and "nan is not a finite number" in result.output

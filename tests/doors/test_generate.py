"""generate.py as its users know it, on the network of a real, small run."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from progan.cli.generate import main
from progan.cli.train import main as train
from progan.images import to_pixels
from progan.sampling.network_file import find_network, load_network
from tests.builders import message, noise_dataset, tiny_options

ROOT = Path(__file__).resolve().parents[2]


def generate(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conditional run of three classes, in grey, that ended within the fade to 16x16."""
    folder = tmp_path_factory.mktemp("run")
    dataset = noise_dataset(folder / "noise", classes=3, channels=1)
    result = CliRunner().invoke(train, [
        "--data", str(dataset.path), "--outdir", str(folder), "--conditional",
        *tiny_options(total_kimg=5, snapshot_ticks=2)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return folder / "00000-noise-v2-1gpu"


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_seeds_are_drawn_from_numpy_and_rounded(run: Path, tmp_path: Path) -> None:
    assert generate("--network", run, "--seeds", "3,7-8", "--outdir", tmp_path).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "seed0003.png", "seed0007.png", "seed0008.png"]
    snapshot = load_network(find_network(run), torch.device("cpu"))
    latent = np.random.RandomState(7).randn(1, 8).astype(np.float32)
    label = torch.eye(3)[[7 % 3]]
    with torch.no_grad():
        image = snapshot.generator(torch.from_numpy(latent), label, snapshot.level,
                                   torch.tensor(snapshot.alpha))
    assert 0 < snapshot.alpha < 1
    np.testing.assert_array_equal(pixels(tmp_path / "seed0007.png"), to_pixels(image)[0, ..., 0])


def test_the_training_grid_shows_the_same_pictures(run: Path, tmp_path: Path) -> None:
    """Cell k of fakes-*.png is seed k."""
    assert generate("--network", run, "--seeds", "0-127", "--outdir", tmp_path).exit_code == 0
    sheet = pixels(sorted(run.glob("fakes-0*.png"))[-1])
    for seed in (0, 1, 17, 127):
        row, column = divmod(seed, 16)
        cell = sheet[row * 64:row * 64 + 64:4, column * 64:column * 64 + 64:4].astype(int)
        picture = pixels(tmp_path / f"seed{seed:04d}.png").astype(int)
        assert abs(cell - picture).max() <= 1  # another batch size may round differently


def test_latents_from_a_file(run: Path, tmp_path: Path) -> None:
    latents = np.concatenate([np.random.RandomState(seed).randn(1, 8) for seed in (0, 1)])
    np.save(tmp_path / "z.npy", latents.astype(np.float32))
    generate("--network", run, "--latents", tmp_path / "z.npy", "--outdir", tmp_path)
    generate("--network", run, "--seeds", "0-1", "--outdir", tmp_path)
    for row in (0, 1):
        np.testing.assert_array_equal(pixels(tmp_path / f"latent{row:04d}.png"),
                                      pixels(tmp_path / f"seed{row:04d}.png"))


def test_class_by_name_and_by_index(run: Path, tmp_path: Path) -> None:
    for folder, words in [("name", ["--class", "class-2"]), ("index", ["--class", "2"]),
                          ("other", ["--class", "0"]), ("default", [])]:
        assert generate("--network", run, "--seeds", "5", *words, "--outdir",
                        tmp_path / folder).exit_code == 0
    by = {folder.name: pixels(folder / "seed0005.png") for folder in tmp_path.iterdir()}
    np.testing.assert_array_equal(by["name"], by["index"])
    np.testing.assert_array_equal(by["name"], by["default"])  # 5 mod 3
    assert (by["name"] != by["other"]).any()


@pytest.mark.parametrize("resolution", [4, 8, 16])
def test_any_trained_resolution(run: Path, tmp_path: Path, resolution: int) -> None:
    generate("--network", run, "--seeds", "0", "--resolution", resolution, "--outdir", tmp_path)
    assert pixels(tmp_path / "seed0000.png").shape == (resolution, resolution)


def test_grid(run: Path, tmp_path: Path) -> None:
    result = generate("--network", run, "--seeds", "0-4", "--grid", "3x2", "--outdir", tmp_path)
    assert result.stdout.split() == [str(tmp_path / "grid.png")]
    assert result.stderr.split() == ["network:", str(find_network(run))]
    sheet = pixels(tmp_path / "grid.png")
    assert sheet.shape == (32, 48)
    assert not sheet[16:, 32:].any()  # the sixth cell is empty


def test_pictures_know_where_they_come_from(run: Path, tmp_path: Path) -> None:
    generate("--network", run, "--seeds", "1", "--outdir", tmp_path)
    text = Image.open(tmp_path / "seed0001.png").text
    assert text["Latent"] == "seed0001"
    assert text["Network"].startswith("network-snapshot-00000")
    assert text["Software"].startswith("progan ")


def test_the_script_needs_no_dataset(run: Path, tmp_path: Path) -> None:
    """Only the network file, in a folder of its own, through the real script."""
    network = tmp_path / "mine.safetensors"
    network.write_bytes(find_network(run).read_bytes())
    done = subprocess.run([sys.executable, ROOT / "generate.py", "--network", network, "--seeds",
                           "0", "--outdir", tmp_path / "out"], capture_output=True, text=True,
                          check=True)
    assert done.stdout.split() == [str(tmp_path / "out" / "seed0000.png")]
    assert f"--network {network}" in Image.open(tmp_path / "out" / "seed0000.png").text["Command"]


class TestMistakes:
    """Each is answered with what is wrong, where, and how to mend it."""

    @pytest.mark.parametrize("words, expected", [
        ([], "Name either --seeds"),
        (["--seeds", "1", "--latents", "z.npy"], "Name either --seeds"),
        (["--seeds", "cat"], "such as 0-15,20"),
        (["--seeds", "9-3"], "upwards"),
        (["--seeds", "0", "--class", "dog"], "Classes: 0 class-0, 1 class-1, 2 class-2"),
        (["--seeds", "0", "--class", "3"], "There is no class '3'"),
        (["--seeds", "0", "--resolution", "32"], "choose one of 4, 8, 16"),
        (["--seeds", "0-9", "--grid", "3x3"], "too few for 10 pictures"),
        (["--seeds", "0", "--grid", "big"], "COLSxROWS"),
        (["--seeds", "0", "--grid", "99999x99999"], "Ask for fewer"),
        (["--latents", "missing.npy"], "missing.npy"),
    ])
    def test_options(self, run: Path, tmp_path: Path, words: list[str], expected: str) -> None:
        outdir = tmp_path / "out"
        assert expected in message(generate("--network", run, *words, "--outdir", outdir))
        assert not outdir.exists()

    def test_latents_of_another_width(self, run: Path, tmp_path: Path) -> None:
        np.save(tmp_path / "z.npy", np.zeros((2, 5), np.float32))
        text = message(generate("--network", run, "--latents", tmp_path / "z.npy", "--outdir",
                                tmp_path))
        assert "[2, 5]" in text and "[N, 8]" in text

    def test_a_file_that_is_no_network(self, tmp_path: Path) -> None:
        (tmp_path / "cat.safetensors").write_bytes(b"meow" * 100)
        text = message(generate("--network", tmp_path / "cat.safetensors", "--seeds", "0",
                                "--outdir", tmp_path / "out"))
        assert "is not a network file of progan" in text

    def test_a_truncated_network(self, run: Path, tmp_path: Path) -> None:
        network = tmp_path / "cut.safetensors"
        network.write_bytes(find_network(run).read_bytes()[:-100])
        assert "is not a network file" in message(
            generate("--network", network, "--seeds", "0", "--outdir", tmp_path / "out"))

    def test_a_state_instead_of_a_network(self, run: Path, tmp_path: Path) -> None:
        state = next(run.glob("state-*.pt"))
        assert "is not a network file" in message(
            generate("--network", state, "--seeds", "0", "--outdir", tmp_path / "out"))

    def test_a_folder_without_a_network(self, tmp_path: Path) -> None:
        assert "holds no network-snapshot-" in message(
            generate("--network", tmp_path, "--seeds", "0", "--outdir", tmp_path / "out"))

    def test_an_outdir_below_a_file(self, run: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        assert str(tmp_path / "file") in message(
            generate("--network", run, "--seeds", "0", "--outdir", tmp_path / "file" / "out"))

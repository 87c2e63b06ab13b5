"""generate.py as its users know it, on the network of a real, small run."""

import json
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
from progan.sampling.find_network import find_network, find_networks
from progan.sampling.snapshot_file import load_network
from tests.builders import message, noise_dataset, tiny_options

ROOT = Path(__file__).resolve().parents[2]


def generate(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conditional run of three classes, in grey, that ended within the fade to 16x16."""
    folder = tmp_path_factory.mktemp("run")
    dataset = noise_dataset(folder / "noise", classes=3, channels=1)
    result = CliRunner().invoke(
        train,
        [
            "--data", str(dataset.path), "--outdir", str(folder), "--conditional",
            *tiny_options(total_kimg=5, snapshot_ticks=2),
        ],
        catch_exceptions=False,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return folder / "00000-noise-v2-1gpu"


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_seeds_are_drawn_from_numpy_and_rounded(run: Path, tmp_path: Path) -> None:
    assert generate("--network", run, "--seeds", "3,7-8", "--outdir", tmp_path).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "seed0003.png",
        "seed0007.png",
        "seed0008.png",
    ]
    snapshot = load_network(find_network(run), torch.device("cpu"))
    latent = np.random.RandomState(7).randn(1, 8).astype(np.float32)
    label = torch.eye(3)[[7 % 3]]
    with torch.no_grad():
        image = snapshot.generator(
            torch.from_numpy(latent), label, snapshot.level, torch.tensor(snapshot.alpha)
        )
    assert 0 < snapshot.alpha < 1
    np.testing.assert_array_equal(pixels(tmp_path / "seed0007.png"), to_pixels(image)[0, ..., 0])


def test_the_training_grid_shows_the_same_pictures(run: Path, tmp_path: Path) -> None:
    """Cell k of fakes-*.png is seed k."""
    assert generate("--network", run, "--seeds", "0-127", "--outdir", tmp_path).exit_code == 0
    sheet = pixels(sorted(run.glob("fakes-0*.png"))[-1])
    for seed in (0, 1, 17, 127):
        row, column = divmod(seed, 16)
        cell = sheet[row * 64 : row * 64 + 64 : 4, column * 64 : column * 64 + 64 : 4].astype(int)
        picture = pixels(tmp_path / f"seed{seed:04d}.png").astype(int)
        assert abs(cell - picture).max() <= 1  # another batch size may round differently


def test_latents_from_a_file(run: Path, tmp_path: Path) -> None:
    latents = np.concatenate([np.random.RandomState(seed).randn(1, 8) for seed in (0, 1)])
    np.save(tmp_path / "z.npy", latents.astype(np.float32))
    generate("--network", run, "--latents", tmp_path / "z.npy", "--outdir", tmp_path)
    generate("--network", run, "--seeds", "0-1", "--outdir", tmp_path)
    for row in (0, 1):
        np.testing.assert_array_equal(
            pixels(tmp_path / f"latent{row:04d}.png"), pixels(tmp_path / f"seed{row:04d}.png")
        )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("latent0000.npy", ["--float"]),
        ("grid.png", ["--grid", "2x1"]),
        ("a.gif", ["--video", "a.gif"]),
    ],
)
def test_latents_are_not_written_over(
    run: Path, tmp_path: Path, name: str, words: list[str]
) -> None:
    np.save(tmp_path / "z.npy", np.zeros((2, 8), np.float32))
    (tmp_path / "z.npy").rename(tmp_path / name)
    before = (tmp_path / name).read_bytes()
    result = generate("--network", run, "--latents", tmp_path / name, "--outdir", tmp_path, *words)
    assert result.exit_code == 1
    assert f"{name} is the file of --latents and would be overwritten" in message(result)
    assert (tmp_path / name).read_bytes() == before


def test_a_folder_whose_name_is_no_utf_8(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bad\udcff"
    try:
        folder.mkdir()
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    result = generate("--network", run, "--seeds", "0", "--outdir", folder)
    assert result.exit_code == 0, result.output
    assert [path.name for path in folder.iterdir()] == ["seed0000.png"]


def test_class_by_name_and_by_index(run: Path, tmp_path: Path) -> None:
    for folder, words in [
        ("name", ["--class", "class-2"]),
        ("index", ["--class", "2"]),
        ("other", ["--class", "0"]),
        ("default", []),
    ]:
        assert (
            generate(
                "--network", run, "--seeds", "5", *words, "--outdir", tmp_path / folder
            ).exit_code
            == 0
        )
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


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_no_pixel_depends_on_the_batch_or_the_grid(run: Path, tmp_path: Path, batch: int) -> None:
    generate("--network", run, "--seeds", "0-6", "--batch", batch, "--outdir", tmp_path)
    generate("--network", run, "--seeds", "0-6", "--grid", "4x2", "--outdir", tmp_path)
    sheet = pixels(tmp_path / "grid.png")
    for seed in range(7):
        generate("--network", run, "--seeds", seed, "--outdir", tmp_path / "alone")
        picture = pixels(tmp_path / "alone" / f"seed{seed:04d}.png")
        row, column = divmod(seed, 4)
        np.testing.assert_array_equal(pixels(tmp_path / f"seed{seed:04d}.png"), picture)
        np.testing.assert_array_equal(
            sheet[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16], picture
        )


def test_a_contact_sheet_lays_itself_out(run: Path, tmp_path: Path) -> None:
    result = generate("--network", run, "--seeds", "0-5", "--sheet", "--outdir", tmp_path)
    assert result.stdout.split() == [str(tmp_path / "sheet.png")]
    height, width, _ = pixels(tmp_path / "sheet.png").shape
    assert width > 3 * 64 and 2 * 64 < height < 3 * 64  # 3 columns and 2 rows
    generate("--network", run, "--seeds", "0-5", "--sheet", "--grid", "6x1", "--outdir", tmp_path)
    assert pixels(tmp_path / "sheet.png").shape[:2] == (height // 2, 2 * width)


@pytest.mark.parametrize(("kind", "name"), [("jpeg", "seed0001.jpg"), ("webp", "seed0001.webp")])
def test_other_formats_know_where_they_come_from(
    run: Path, tmp_path: Path, kind: str, name: str
) -> None:
    generate("--network", run, "--seeds", "1", "--format", kind, "--outdir", tmp_path)
    with Image.open(tmp_path / name) as image:
        text = json.loads(image.getexif()[0x010E])
        assert image.size == (16, 16)
    assert text["Latent"] == "seed0001" and text["Network"].startswith("network-snapshot-00000")
    assert text["Software"].startswith("progan ") and "Command" in text


def test_floats(run: Path, tmp_path: Path) -> None:
    generate("--network", run, "--seeds", "1", "--float", "--outdir", tmp_path)
    generate("--network", run, "--seeds", "1", "--outdir", tmp_path)
    floats = np.load(tmp_path / "seed0001.npy")
    assert (floats.dtype, floats.shape) == (np.float32, (16, 16, 1))
    np.testing.assert_array_equal(
        pixels(tmp_path / "seed0001.png"), np.clip(np.rint(floats * 127.5 + 127.5), 0, 255)[..., 0]
    )


class TestFilms:
    """Read back from the file."""

    def frames(self, path: Path) -> tuple[float, list[np.ndarray]]:
        """Frames per second, and the frames."""
        if path.suffix == ".mp4":
            import av

            with av.open(str(path)) as file:
                rate = file.streams.video[0].average_rate
                return float(rate or 0), [
                    frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)
                ]
        with Image.open(path) as image:
            durations, frames = [], []
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                frames.append(np.asarray(image.convert("RGB")))
                durations.append(image.info["duration"])
        return 1000 * len(frames) / sum(durations), frames

    @pytest.mark.parametrize("name", ["walk.mp4", "walk.gif", "walk.webp"])
    @pytest.mark.parametrize("way", [(), ("--seeds", "3,14,15"), ("--walk", "7", "--class", "1")])
    def test_they_are_as_long_as_asked_and_join(
        self, run: Path, tmp_path: Path, name: str, way: tuple[str, ...]
    ) -> None:
        if name.endswith("mp4"):
            pytest.importorskip("av", reason='no encoder: pip install ".[video]"')
        result = generate(
            "--network", run, "--video", name, "--seconds", "2.4", "--fps", "10", *way, "--outdir",
            tmp_path / "new",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        assert result.stdout.split() == [str(tmp_path / "new" / name)]
        fps, frames = self.frames(tmp_path / "new" / name)
        assert len(frames) == 24 and abs(fps - 10) < 0.01
        film = np.stack(frames).astype(float)
        assert film.shape[1:] == (256, 256, 3)
        *between, closing = abs(np.roll(film, -1, 0) - film).mean((1, 2, 3))
        assert 0 < closing <= 1.2 * max(between)

    def test_grids_of_walks(self, run: Path, tmp_path: Path) -> None:
        common = ("--network", run, "--seconds", "0.5", "--fps", "8", "--outdir", tmp_path)
        generate(*common, "--video", "grid.webp", "--grid", "3x2")
        generate(*common, "--video", "third.webp", "--walk", "2")
        _, grid = self.frames(tmp_path / "grid.webp")
        _, third = self.frames(tmp_path / "third.webp")
        assert grid[0].shape == (256, 384, 3)
        for together, alone in zip(grid, third, strict=True):
            cell = together[:128, 256:].astype(int)
            assert abs(cell - alone[::2, ::2]).mean() < 3  # WebP loses a little

    def test_growth(self, run: Path, tmp_path: Path) -> None:
        """From the first snapshot to the last."""
        count = len(find_networks(run))
        result = generate(
            "--network", run, "--video", "growth.gif", "--growth", "--seconds", count, "--fps", "1",
            "--outdir", tmp_path,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        fps, frames = self.frames(tmp_path / "growth.gif")
        assert (len(frames), frames[0].shape) == (count, (256, 384, 3)) and count > 1
        assert abs(fps - 1) < 0.01

    def test_without_a_folder_they_go_to_the_present_one(
        self, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        generate("--network", run, "--video", "a.gif", "--seconds", "0.3", "--fps", "10")
        assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]

    @pytest.mark.parametrize(
        "words, expected",
        [
            (["--video", "a.avi"], "must end in .mp4, .gif, .webp"),
            (["--video", "a.gif", "--seconds", "0"], "--seconds 0 must be above 0"),
            (["--video", "a.gif", "--seconds", "0.01"], "makes no frame"),
            (["--video", "a.gif", "--fps", "60"], "above the maximum of 50"),
            (["--video", "a.gif", "--seconds", "9999"], "above the maximum of 600"),
            (["--video", "a.gif", "--seeds", "cat"], "such as 0-15,20"),
            (["--video", "a.gif", "--seeds", "1"], "at least two"),
            (
                ["--video", "a.gif", "--seeds", "1,2", "--walk", "3"],
                "cannot be combined with --walk",
            ),
            (["--video", "a.gif", "--smoothing", "0"], "above 0"),
            (["--video", "a.gif", "--resolution", "32"], "choose one of 4, 8, 16"),
            (["--video", "a.gif", "--class", "dog"], "No such class: 'dog'"),
            (["--video", "a.gif", "--grid", "3"], "COLSxROWS"),
            (["--video", "a.gif", "--grid", "999x999"], "Choose a shorter video"),
            (["--video", "a.gif", "--grid", "700x1", "--seconds", "1"], "larger than 8192x8192"),
            (["--video", "a.gif", "--sheet"], "--sheet is for images"),
            (["--video", "a.gif", "--float"], "--float is for images"),
            (["--video", "a.gif", "--growth", "--resolution", "8"], "cannot be combined"),
            (["--video", "a.gif", "--growth", "--seeds", "0-9", "--grid", "3x3"], "too few"),
        ],
    )
    def test_mistakes(self, run: Path, tmp_path: Path, words: list[str], expected: str) -> None:
        outdir = tmp_path / "out"
        assert expected in message(generate("--network", run, *words, "--outdir", outdir))
        assert not outdir.exists()

    def test_one_network_has_not_grown(self, run: Path, tmp_path: Path) -> None:
        assert "is the only one" in message(
            generate("--network", find_network(run), "--video", tmp_path / "a.gif", "--growth")
        )

    def test_no_folder(self, run: Path, tmp_path: Path) -> None:
        assert "no such folder" in message(
            generate("--network", run, "--video", tmp_path / "absent/a.gif", "--seconds", "0.1")
        )


def test_the_script_needs_no_dataset(run: Path, tmp_path: Path) -> None:
    """Only the network file, in a folder of its own, through the real script."""
    network = tmp_path / "mine.safetensors"
    network.write_bytes(find_network(run).read_bytes())
    done = subprocess.run(
        [
            sys.executable, ROOT / "generate.py", "--network", network, "--seeds", "0", "--outdir",
            tmp_path / "out",
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [str(tmp_path / "out" / "seed0000.png")]
    assert f"--network {network}" in Image.open(tmp_path / "out" / "seed0000.png").text["Command"]


class TestMistakes:
    """Each is answered with what is wrong, where, and how to mend it."""

    @pytest.mark.parametrize(
        "words, expected",
        [
            ([], "Name either --seeds"),
            (["--seeds", "1", "--latents", "z.npy"], "Name either --seeds"),
            (["--seeds", "cat"], "such as 0-15,20"),
            (["--seeds", "9-3"], "upwards"),
            (["--seeds", "0", "--class", "dog"], "Classes: 0 class-0, 1 class-1, 2 class-2"),
            (["--seeds", "0", "--class", "3"], "No such class: '3'"),
            (["--seeds", "0", "--resolution", "32"], "choose one of 4, 8, 16"),
            (["--seeds", "0-9", "--grid", "3x3"], "too few for 10 images"),
            (["--seeds", "0", "--grid", "big"], "COLSxROWS"),
            (["--seeds", "0", "--grid", "99999x99999"], "Choose fewer"),
            (["--latents", "missing.npy"], "missing.npy"),
            (["--seeds", "0", "--seconds", "3"], "--seconds is for videos"),
            (["--seeds", "0", "--growth"], "--growth is for videos"),
            (["--seeds", "0", "--float", "--grid", "1x1"], "one file for each image"),
            (["--seeds", "0", "--batch", "1", "--grid", "1x1"], "--batch is for single files"),
            (["--seeds", "0", "--batch", "1", "--sheet"], "--batch is for single files"),
            (["--seeds", "0", "--float", "--format", "webp"], "Omit --format"),
            (["--seeds", "0", "--batch", "0"], "--batch"),
            (["--seeds", "0", "--format", "tiff"], "png"),
        ],
    )
    def test_options(self, run: Path, tmp_path: Path, words: list[str], expected: str) -> None:
        outdir = tmp_path / "out"
        assert expected in message(generate("--network", run, *words, "--outdir", outdir))
        assert not outdir.exists()

    def test_no_folder_for_the_images(self, run: Path) -> None:
        assert "Missing option '--outdir'. Name a folder" in message(
            generate("--network", run, "--seeds", "0")
        )

    def test_latents_of_another_width(self, run: Path, tmp_path: Path) -> None:
        np.save(tmp_path / "z.npy", np.zeros((2, 5), np.float32))
        text = message(
            generate("--network", run, "--latents", tmp_path / "z.npy", "--outdir", tmp_path)
        )
        assert "[2, 5]" in text and "[N, 8]" in text

    def test_a_file_that_is_no_network(self, tmp_path: Path) -> None:
        (tmp_path / "cat.safetensors").write_bytes(b"meow" * 100)
        text = message(
            generate("--network", tmp_path / "cat.safetensors", "--seeds", "0",
                     "--outdir", tmp_path / "out"),
        )  # fmt: skip
        assert "is a text file that begins with 'meow" in text

    def test_seeds_are_read_before_the_network(self, tmp_path: Path) -> None:
        (tmp_path / "cat.safetensors").write_bytes(b"meow" * 100)
        assert "is not a list of seeds" in message(
            generate("--network", tmp_path / "cat.safetensors", "--seeds", "a")
        )

    def test_a_truncated_network(self, run: Path, tmp_path: Path) -> None:
        network = tmp_path / "cut.safetensors"
        network.write_bytes(find_network(run).read_bytes()[:-100])
        assert "is damaged or cut short" in message(
            generate("--network", network, "--seeds", "0", "--outdir", tmp_path / "out")
        )

    def test_a_folder_without_a_network(self, tmp_path: Path) -> None:
        assert "holds no network-snapshot-" in message(
            generate("--network", tmp_path, "--seeds", "0", "--outdir", tmp_path / "out")
        )

    def test_an_outdir_below_a_file(self, run: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        assert str(tmp_path / "file") in message(
            generate("--network", run, "--seeds", "0", "--outdir", tmp_path / "file" / "out")
        )

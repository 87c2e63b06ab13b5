"""python -m progan.projection as its users know it."""

import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from progan.api import load
from progan.cli.generate import main as generate
from progan.cli.train import main as train
from progan.projection import project as project_module
from progan.projection.cli import main
from progan.projection.search import search_latent
from progan.sampling.snapshot_file import save_network
from tests.builders import message, noise_dataset, tiny_options, tiny_snapshot

QUICK = ("--starts", "8", "--steps", "6")


def project(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("network") / "network-snapshot-000001.safetensors"
    save_network(path, tiny_snapshot(("cat", "dog")))
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / "me.png", folder / "you.jpg"]
    for seed, path in enumerate(paths):
        values = np.random.RandomState(seed).randint(0, 256, (20, 20, 3)).astype(np.uint8)
        Image.fromarray(values).save(path)
    return paths


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def test_latents_draw_what_was_found(network: Path, pictures: list[Path], tmp_path: Path) -> None:
    result = project(
        *pictures, "--network", network, "--outdir", tmp_path, "--class", "dog", *QUICK
    )
    assert result.exit_code == 0, result.output
    assert "only pixels are compared" in result.stderr
    assert "me: the best of 8 seeds, and from there 6 steps" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{tmp_path / 'me-projected.png'}  ")
    assert lines[0].endswith(" of 255 from the target, class dog")
    assert lines[-1] == str(tmp_path / "projected.npy")
    latents = np.load(tmp_path / "projected.npy")
    assert latents.shape == (2, 8) and latents.dtype == np.float32
    drawn = CliRunner().invoke(
        generate,
        [
            "--network", str(network), "--latents", str(tmp_path / "projected.npy"), "--class",
            "dog", "--outdir", str(tmp_path / "again"),
        ],
    )  # fmt: skip
    assert drawn.exit_code == 0, drawn.output
    for row, name in enumerate(("me", "you")):
        found = pixels(tmp_path / f"{name}-projected.png")
        np.testing.assert_array_equal(found, pixels(tmp_path / f"again/latent000{row}.png"))
        target = pixels(tmp_path / f"{name}-target.png")
        off = np.sqrt(np.mean((found.astype(float) - target) ** 2))
        assert f"{off:.1f} of 255" in lines[row]
    text = Image.open(tmp_path / "me-projected.png").text
    assert text["Target"] == "me" and text["Network"].startswith(network.name)


def test_a_film_ends_with_what_was_found(
    network: Path, pictures: list[Path], tmp_path: Path
) -> None:
    film = tmp_path / "out" / "way.gif"
    result = project(
        *pictures, "--network", network, "--outdir", tmp_path / "out", "--resolution", 8, "--video",
        "way.gif", "--fps", 10, *QUICK,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == str(film)
    with Image.open(film) as frames:
        shown = []
        for frame in range(frames.n_frames):
            frames.seek(frame)
            shown.append(frames.info["duration"])
        last = np.asarray(frames.convert("RGB")).astype(int)
    assert sum(shown) == 100 * (1 + 6) + 1000  # ms: the start, six steps, and a rest
    cells = np.concatenate(
        [
            np.concatenate(
                [pixels(tmp_path / f"out/{name}-{what}.png") for what in ("target", "projected")], 1
            )
            for name in ("me", "you")
        ]
    )
    factor = len(last) // len(cells)
    assert abs(last[::factor, ::factor] - cells).mean() < 8  # 256 colours


def test_names_may_be_any_bytes(network: Path, pictures: list[Path], tmp_path: Path) -> None:
    picture = tmp_path / "me\udcff.png"
    picture.write_bytes(pictures[0].read_bytes())
    result = project(
        picture, "--network", network, "--outdir", tmp_path / "out\udcff", "--video", "way.gif",
        *QUICK,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert Image.open(tmp_path / "out\udcff" / "me\udcff-projected.png").text["Target"] == "me?"


def test_names_with_control_characters_are_escaped(
    network: Path, pictures: list[Path], tmp_path: Path
) -> None:
    picture = tmp_path / "new\nli\x1bne.png"
    picture.write_bytes(pictures[0].read_bytes())
    folder = tmp_path / "o\tut"
    result = project(picture, "--network", network, "--outdir", folder, *QUICK)
    assert result.exit_code == 0, result.output
    assert (folder / "new\nli\x1bne-projected.png").is_file()
    assert "new\\nli\\x1bne: the best of 8 seeds" in result.stderr
    first, last = result.stdout.splitlines()
    assert first.startswith(str(tmp_path / "o\\tut" / "new\\nli\\x1bne-projected.png"))
    assert last == str(tmp_path / "o\\tut" / "projected.npy")


def test_more_steps_come_nearer(network: Path, tmp_path: Path) -> None:
    CliRunner().invoke(
        generate, ["--network", str(network), "--seeds", "77", "--outdir", str(tmp_path)]
    )
    off = []
    for steps in (1, 60):
        result = project(
            tmp_path / "seed0077.png",
            "--network",
            network,
            "--outdir",
            tmp_path,
            "--steps",
            steps,
            "--starts",
            16,
            "--class",
            "dog",
        )  # 77 is odd
        off.append(float(result.stdout.split("png  ")[1].split()[0]))
    assert off[1] < off[0] / 5


def test_a_network_without_classes_names_none(pictures: list[Path], tmp_path: Path) -> None:
    network = tmp_path / "plain.safetensors"
    save_network(network, tiny_snapshot())
    result = project(pictures[0], "--network", network, "--outdir", tmp_path, *QUICK)
    assert result.stdout.splitlines()[0].endswith(" of 255 from the target")


def test_what_was_found_before_an_interruption_stays(
    network: Path, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, searched = search_latent, []

    def interrupted(*words: object) -> object:
        searched.append(words)
        if len(searched) == 2:
            raise KeyboardInterrupt
        return whole(*words)

    monkeypatch.setattr(project_module, "search_latent", interrupted)
    result = project(*pictures, "--network", network, "--outdir", tmp_path, *QUICK)
    assert result.exit_code == 130 and "Interrupted" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "me-projected.npy",
        "me-projected.png",
        "me-target.png",
    ]
    assert np.load(tmp_path / "me-projected.npy").shape == (1, 8)


def test_the_latents_of_an_earlier_call_stay(
    network: Path, pictures: list[Path], tmp_path: Path
) -> None:
    for picture in pictures:
        project(picture, "--network", network, "--outdir", tmp_path, *QUICK)
    alone = [np.load(tmp_path / f"{name}-projected.npy") for name in ("me", "you")]
    assert (alone[0] != alone[1]).any()
    np.testing.assert_array_equal(np.load(tmp_path / "projected.npy"), alone[1])


@pytest.mark.parametrize(
    ("name", "film"),
    [("me-target.png", "way.gif"), ("me-projected.png", "way.gif"), ("way.gif", "way.gif")],
)
def test_pictures_are_never_written_over(
    network: Path, tmp_path: Path, name: str, film: str
) -> None:
    for each in ("me.png", name):
        Image.new("RGB", (16, 16)).save(tmp_path / each)
    before = (tmp_path / name).read_bytes()
    said = refused(
        tmp_path / "me.png",
        tmp_path / name,
        "--network",
        network,
        "--outdir",
        tmp_path,
        "--video",
        film,
        *QUICK,
    )
    assert f"{name} is an input and would be overwritten" in said
    assert (tmp_path / name).read_bytes() == before


def refused(*words: object) -> str:
    return message(project(*words))


def test_bad_input_is_named_before_the_search(
    network: Path, pictures: list[Path], tmp_path: Path
) -> None:
    usual = (pictures[0], "--network", network, "--outdir", tmp_path / "out")
    assert "No such class: 'cow'. Classes: 0 cat, 1 dog." in refused(*usual, "--class", "cow")
    assert "choose one of 4, 8, 16" in refused(*usual, "--resolution", 32)
    assert "must end in .mp4, .gif, .webp" in refused(*usual, "--video", "x.avi")
    assert "Ask for more --fps" in refused(*usual, "--video", "x.mp4", "--steps", 9999, "--fps", 1)
    assert "VGG-16" in refused(*usual, "--detector", pictures[0])
    assert "me.jpg" in refused("me.jpg", *usual[1:])
    assert "No such file" in refused(pictures[0], "--network", "nowhere", "--outdir", tmp_path)
    assert "is a file" in refused(*usual[:-1], network)
    assert "Missing argument" in refused(*usual[1:])
    assert "--fps is for videos" in refused(*usual, "--fps", 3)
    assert "nan is not a finite number" in refused(*usual, "--video", "x.gif", "--fps", "nan")
    assert "no such folder" in refused(*usual, "--video", "deep/x.gif")
    assert "No such file" in refused(*usual, "--detector", "nowhere.pth")
    assert not (tmp_path / "out").exists()


def test_a_film_needs_its_encoder(
    network: Path, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    said = refused(
        pictures[0], "--network", network, "--outdir", tmp_path / "out", "--video",
        tmp_path / "x.mp4",
    )  # fmt: skip
    assert 'pip install "progan[video]"' in said
    assert not (tmp_path / "out").exists()


def test_a_network_without_labels_has_no_classes_though_its_dataset_has(
    pictures: list[Path], tmp_path: Path
) -> None:
    """Sub-folders of images become classes, which most trainings leave alone."""
    noise_dataset(tmp_path / "data", classes=2)
    trained = CliRunner().invoke(
        train,
        [
            "--data",
            str(tmp_path / "data"),
            "--outdir",
            str(tmp_path / "runs"),
            *tiny_options(total_kimg=0.032),
        ],
        catch_exceptions=False,
    )
    assert trained.exit_code == 0, trained.output
    (file,) = tmp_path.glob("runs/*/network-snapshot-*.safetensors")
    assert load(file).class_names == ()
    assert "**Classes:** none" in file.with_suffix(".md").read_text("utf-8")
    result = project(pictures[0], "--network", file, "--outdir", tmp_path / "out", *QUICK)
    assert result.exit_code == 0, result.output
    assert "class" not in result.stdout

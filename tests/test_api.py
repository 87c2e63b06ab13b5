"""progan.load: the pictures of generate.py, in Python."""

from dataclasses import replace
from pathlib import Path
from typing import SupportsFloat

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import progan
from progan import networks as nets
from progan.api import TrainedGenerator
from progan.cli.generate import main as generate
from progan.config import Network
from progan.errors import UserError
from progan.images import to_pixels
from progan.sampling.snapshot_file import Snapshot, save_network
from progan.sizes import Size
from tests.builders import tiny_snapshot
from tests.interop import official_files, zoo_files

CLASSES = ("3", "7", "1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_network(tmp_path / "network-snapshot-001234.safetensors", tiny_snapshot(alpha=0.25))
    return tmp_path / "network-snapshot-001234.safetensors"


@pytest.fixture
def with_classes() -> TrainedGenerator:
    return TrainedGenerator(tiny_snapshot(CLASSES))


def pictures(network: Path, outdir: Path, *words: str) -> np.ndarray:
    """Seeds 0 to 3, by generate.py."""
    result = CliRunner().invoke(
        generate,
        [
            "--network",
            str(network),
            "--seeds",
            "0-3",
            "--outdir",
            str(outdir),
            "--device",
            "cpu",
            *words,
        ],
    )
    assert result.exit_code == 0, result.output
    return np.stack([np.asarray(Image.open(outdir / f"seed{seed:04d}.png")) for seed in range(4)])


def test_three_lines_generate_the_images_of_the_command(path: Path, tmp_path: Path) -> None:
    G = progan.load(path, device="cpu")
    images = G.render(range(4))
    assert (images.dtype, images.shape) == (np.uint8, (4, 16, 16, 3))
    np.testing.assert_array_equal(images, pictures(path, tmp_path))
    np.testing.assert_array_equal(
        G.render(range(4), resolution=8), pictures(path, tmp_path / "8", "--resolution", "8")
    )


def test_a_run_an_official_pickle_and_a_file_of_the_zoo(path: Path, tmp_path: Path) -> None:
    official = official_files.write(tmp_path / "karras.pkl", official_files.networks())
    zoo = zoo_files.write(tmp_path / "celeba.pth")
    for source in (path.parent, official, zoo):
        np.testing.assert_array_equal(
            progan.load(str(source), "cpu").render(range(4)),
            pictures(source, tmp_path / "out" / source.name),
        )


def test_latents_become_images_before_rounding(path: Path) -> None:
    G = progan.load(path, device="cpu")
    images = G(G.latents([5, 6]))
    assert (images.dtype, images.shape, images.requires_grad) == (
        torch.float32,
        (2, 3, 16, 16),
        False,
    )
    np.testing.assert_array_equal(to_pixels(images), G.render([5, 6]))
    assert torch.equal(G(G.latents([5, 6]).double().numpy()), images)
    assert G(G.latents([5]), resolution=4).shape == (1, 3, 4, 4)


def test_what_it_says_of_itself(path: Path, with_classes: TrainedGenerator) -> None:
    G = progan.load(path, device="cpu")
    assert (G.latent_size, G.channels, G.resolution, G.size) == (8, 3, 16, Size(16, 16))
    assert (G.resolutions, G.class_names) == ((4, 8, 16), ())
    assert with_classes.class_names == CLASSES
    assert repr(G) == "<progan generator: 16x16, 3 channels, no classes, latents of 8>"
    assert "3 classes" in repr(with_classes)


def test_networks_that_do_not_grow_have_one_resolution() -> None:
    generator = nets.build_generator(Network(kind="dcgan", resolution=16))
    G = TrainedGenerator(Snapshot(generator=generator, level=4, alpha=1.0, images_seen=0))
    assert G.resolutions == (16,)
    with pytest.raises(UserError, match="Unknown resolution 8: this network was trained up to 16"):
        G(torch.zeros(1, 512), resolution=8)


def test_classes_by_name_by_index_and_as_rows(with_classes: TrainedGenerator) -> None:
    z = with_classes.latents(range(3))
    rows = with_classes(z, torch.eye(3))
    assert torch.equal(with_classes(z), rows)
    assert torch.equal(with_classes(z, np.eye(3)), rows)
    for index, name in enumerate(CLASSES):
        one = with_classes(z, name)
        torch.testing.assert_close(one[index], rows[index])
        assert torch.equal(with_classes(z, index), one)
    np.testing.assert_array_equal(
        with_classes.render([7], "7"), to_pixels(with_classes(with_classes.latents([7]), 1))
    )
    assert (
        with_classes.render([4, 4], torch.eye(3)[:2])[0]
        != with_classes.render([4, 4], torch.eye(3)[:2])[1]
    ).any()


@pytest.mark.parametrize(
    ("shape", "said"), [((8,), r"\[8\]"), ((2, 7), r"\[2, 7\]"), ((0, 8), r"\[0, 8\]")]
)
def test_latents_of_another_shape(path: Path, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(UserError, match=rf"Latents of this network are \[N, 8\], not {said}"):
        progan.load(path, "cpu")(torch.zeros(shape))


def test_classes_that_there_are_not(path: Path, with_classes: TrainedGenerator) -> None:
    z = torch.zeros(1, 8)
    for wrong in ("cat", 9, -1):
        with pytest.raises(UserError, match=f"No such class: '{wrong}'. Classes: 0 3, 1 7, 2 1"):
            with_classes(z, wrong)
    with pytest.raises(UserError, match="trained without labels"):
        progan.load(path, "cpu")(z, 0)
    with pytest.raises(UserError, match=r"Labels of this network are \[N, 3\], not \[1, 2\]"):
        with_classes(z, torch.zeros(1, 2))


def test_mistakes_are_answered_in_words(tmp_path: Path, path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        progan.load(tmp_path / "nothing.safetensors")
    with pytest.raises(UserError, match="No seeds"):
        progan.load(path, "cpu").render([])
    with pytest.raises(UserError, match="choose one of 4, 8, 16"):
        progan.load(path, "cpu").render([0], resolution=32)


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ("0-3", "Seeds are whole numbers .* not '0-3'"),
        ([1.5], r"Seeds are .* not \[1.5\]"),
        (7, "Seeds are .* not 7"),
        (torch.zeros(2, 3, dtype=torch.int64), "Seeds are whole numbers"),
        ([-1], "from 0 to 4294967295; -1 is not one"),
        ([2**32], "4294967296 is not one"),
    ],
)
def test_seeds_are_whole_numbers(path: Path, seeds: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        progan.load(path, "cpu").render(seeds)  # type: ignore[arg-type]


def test_seeds_of_numpy_and_torch(path: Path) -> None:
    G = progan.load(path, "cpu")
    for seeds in (np.arange(2), torch.arange(2)):
        np.testing.assert_array_equal(G.render(seeds), G.render([0, 1]))


@pytest.mark.parametrize("number", [np.nan, 1e300])
def test_latents_that_are_no_numbers(path: Path, number: float) -> None:
    with pytest.raises(UserError, match="Latents hold numbers that are not finite"):
        progan.load(path, "cpu")(np.full((1, 8), number))


def test_latents_that_are_words(path: Path) -> None:
    with pytest.raises(UserError, match=r"Latents of this network are numbers \[N, 8\]"):
        progan.load(path, "cpu")(["a", "b"])  # type: ignore[arg-type]


def test_a_network_that_is_not_fully_grown_draws_what_it_has_learned() -> None:
    young = TrainedGenerator(replace(tiny_snapshot(), level=3))
    assert (young.resolution, young.render([0]).shape) == (8, (1, 8, 8, 3))


@pytest.mark.parametrize("device", ["gpu", "cpu:9", "cuda:99", "xla"])
def test_unknown_devices_are_refused_by_name(path: Path, device: str) -> None:
    with pytest.raises(UserError, match=f"Unknown device '{device}': choose auto, cpu, cuda, mps"):
        progan.load(path, device)


def test_labels_that_do_not_fit_the_images(with_classes: TrainedGenerator) -> None:
    for draw in (
        lambda labels: with_classes.render(range(4), labels),
        lambda labels: with_classes(with_classes.latents(range(4)), labels),
    ):
        with pytest.raises(UserError, match="2 rows of labels for 4 images"):
            draw(np.eye(3)[:2])
        assert np.array_equal(draw(np.int64(2)), draw(2))
        assert np.array_equal(draw(torch.tensor(1)), draw(1))


@pytest.mark.parametrize("psi", [np.float32(0.5), np.float64(0.5), torch.tensor(0.5)])
def test_truncation_is_a_number_of_any_library(
    with_classes: TrainedGenerator, psi: SupportsFloat
) -> None:
    np.testing.assert_array_equal(
        with_classes.render([0], truncation=psi), with_classes.render([0], truncation=0.5)
    )


@pytest.mark.parametrize("psi", [-0.1, 2.5, float("nan"), "0.7", torch.ones(2)])
def test_truncation_has_the_range_of_the_option(with_classes: TrainedGenerator, psi: float) -> None:
    with pytest.raises(UserError, match="truncation is a number from 0 to 2, not"):
        with_classes.render([0], truncation=psi)


def test_images_without_a_class_can_be_truncated(with_classes: TrainedGenerator) -> None:
    assert with_classes.render([0, 1], np.zeros((2, 3)), truncation=0.5).shape == (2, 16, 16, 3)

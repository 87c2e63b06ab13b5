"""Classes without images: told at every step, and never shown unless they are asked for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from progan.cli.dataset import main as dataset_tool
from progan.cli.generate import main as generate
from progan.cli.train import main as train
from progan.data.reader import Dataset
from progan.images import to_pixels
from progan.sampling.checkpoint_format import load_g_ema
from progan.sampling.find_network import find_network
from progan.sampling.snapshot_file import load_network
from tests.builders import call, tiny_options

BRIEF: dict[str, object] = dict(
    total_kimg=0.032, batch=16, tick_kimg=0.032, training_kimg=0.032, transition_kimg=0.032,
    initial_resolution=16,
)  # fmt: skip


def label_file(source: Path, labels: list[int]) -> None:
    pairs = ", ".join(f'["{number}.png", {label}]' for number, label in enumerate(labels))
    (source / "dataset.json").write_text(f'{{"labels": [{pairs}]}}')


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images in 'images', whose labels count from 1, a dataset of them, 'data', and a run."""
    folder = tmp_path_factory.mktemp("one-based")
    (folder / "images").mkdir()
    pixels = np.random.RandomState(0).randint(0, 256, (8, 16, 16, 3)).astype(np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
    label_file(folder / "images", [1, 2] * 4)
    made = call(
        dataset_tool, "create-from-images", "--source", folder / "images", "--dest", folder / "data"
    )
    assert made.exit_code == 0 and "1 of 3 classes has no image: '0'." in made.stderr
    assert "--seed" not in made.output
    trained = call(
        train, "--data", folder / "data", "--outdir", folder / "runs", "--conditional",
        *tiny_options(**BRIEF),
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output
    assert "1 of 3 classes has no image to train on: '0'." in trained.output
    return folder


def test_info_counts_them(folder: Path) -> None:
    said = call(dataset_tool, "info", folder / "data").stdout
    assert "1 class has no image" in said


def test_seeds_show_the_other_classes(folder: Path, tmp_path: Path) -> None:
    snapshot = load_network(find_network(folder / "runs"), torch.device("cpu"))
    assert snapshot.untrained_classes == (0,)
    drawn = call(generate, "--network", folder / "runs", "--seeds", "0-2", "--outdir", tmp_path)
    assert "1 class had no training images, so seeds skip it: '0'." in drawn.stderr
    for seed, shown in ((0, 1), (1, 2), (2, 1)):
        latent = np.random.RandomState(seed).randn(1, 8).astype(np.float32)
        with torch.no_grad():
            image = snapshot.generator(
                torch.from_numpy(latent),
                torch.eye(3)[[shown]],
                snapshot.level,
                torch.tensor(snapshot.alpha),
            )
        np.testing.assert_array_equal(
            np.asarray(Image.open(tmp_path / f"seed000{seed}.png")), to_pixels(image)[0]
        )


@pytest.mark.parametrize(("name", "told"), [("0", True), ("1", False), ("2", False)])
def test_a_class_is_shown_if_it_is_asked_for(
    folder: Path, tmp_path: Path, name: str, told: bool
) -> None:
    drawn = call(
        generate, "--network", folder / "runs", "--seeds", "0", "--class", name, "--outdir",
        tmp_path,
    )  # fmt: skip
    assert drawn.exit_code == 0
    assert (f"--class {name}: no training image had this class" in drawn.stderr) == told


def test_classes_that_are_held_out_alone_are_not_trained(folder: Path, tmp_path: Path) -> None:
    images = folder / "images"
    label_file(images, [0, 1, 2, 3, 4, 5, 6, 7])
    try:
        made = call(
            dataset_tool, "create-from-images", "--source", images, "--dest", tmp_path / "data",
            "--holdout", 0.25,
        )  # fmt: skip
    finally:
        label_file(images, [1, 2] * 4)
    assert made.exit_code == 0 and "classes ha" not in made.output
    dataset = Dataset.open(tmp_path / "data")
    assert dataset.untrained_classes == tuple(dataset.held_out_rows.tolist())


def test_a_run_of_one_class_shows_that_one_from_its_states_too(
    folder: Path, tmp_path: Path
) -> None:
    trained = call(
        train, "--data", folder / "data", "--outdir", tmp_path / "runs", "--conditional",
        "--subset", 2, *tiny_options(**BRIEF),
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output
    network = find_network(tmp_path / "runs")
    snapshots = [load_network(network, torch.device("cpu"))]
    for each in network.parent.glob("network-*"):
        each.unlink()
    state = find_network(tmp_path / "runs")
    assert state.name.startswith("state-")
    snapshots.append(load_g_ema(state, torch.device("cpu")))
    assert [each.untrained_classes for each in snapshots] == [(0, 1), (0, 1)]
    assert [each.first_level for each in snapshots] == [4, 4]  # --initial-resolution 16

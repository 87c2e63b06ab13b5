"""How unlike each other pictures are: against a plain transcription, and without a trace."""

from pathlib import Path

import numpy as np
import pytest
import torch

from progan import schedule
from progan.data.image_source import ImageSource, Sample
from progan.data.reader import Dataset
from progan.data.writer import write_dataset
from progan.training import state
from progan.training.diagnostics import (
    flatten_downsampled,
    measure_diversity,
    measure_mean_distances,
)
from tests.builders import noise_dataset, tiny_run

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return noise_dataset(tmp_path_factory.mktemp("diversity") / "noise")


def test_distances_are_those_of_numpy() -> None:
    places = np.random.RandomState(0).randn(9, 5)
    between = np.linalg.norm(places[:, None] - places[None], axis=-1)
    others = between[~np.eye(9, dtype=bool)].reshape(9, 8)
    assert measure_mean_distances(torch.from_numpy(places)) == pytest.approx(
        (others.mean(), others.min(axis=1).mean()), rel=1e-12
    )


def test_images_are_halved_by_averaging() -> None:
    images = torch.arange(32.0).reshape(1, 2, 4, 4)
    assert flatten_downsampled(images, 1)[0, 0] == images[0, 0, :2, :2].mean()
    assert flatten_downsampled(images, 0).shape == (1, 32) and flatten_downsampled(
        images, 2
    ).shape == (1, 2)


@pytest.mark.parametrize(
    "overrides",
    [dict(), dict(kind="dcgan", g_norm="batch", objective="gan"), dict(label_size=3)],
    ids=["growing", "batch normalisation", "classes"],
)
@pytest.mark.parametrize("images_seen", [0, 2200, 9000])
def test_measuring_leaves_no_trace(
    dataset: Dataset, overrides: dict[str, object], images_seen: int
) -> None:
    run = tiny_run(**overrides)
    live = state.create_state(run, CPU)
    before = {name: value.clone() for name, value in live.generator.state_dict().items()}
    chance = torch.random.get_rng_state()
    stage = schedule.stage_at(run.growth, run.network, images_seen)
    first, again = (measure_diversity(live, run, dataset, stage, CPU) for _ in range(2))
    assert first == again and first.keys() == {"diversity/distance", "diversity/nearest"}
    assert all(0 < value < 10 for value in first.values())
    assert live.generator.training and torch.equal(chance, torch.random.get_rng_state())
    assert all(
        torch.equal(before[name], value) for name, value in live.generator.state_dict().items()
    )


def test_one_picture_for_all_has_none(dataset: Dataset) -> None:
    run = tiny_run()
    live = state.create_state(run, CPU)
    with torch.no_grad():
        for parameter in live.generator.parameters():
            parameter.zero_()
    stage = schedule.stage_at(run.growth, run.network, 9000)
    assert measure_diversity(live, run, dataset, stage, CPU) == {
        "diversity/distance": 0.0,
        "diversity/nearest": 0.0,
    }


def test_too_few_images_tell_nothing(tmp_path: Path) -> None:
    run = tiny_run()
    stage = schedule.stage_at(run.growth, run.network, 0)
    few = noise_dataset(tmp_path / "few", count=2)
    assert measure_diversity(state.create_state(run, CPU), run, few, stage, CPU) == {}


def test_reals_that_all_have_duplicates_are_no_reference(tmp_path: Path) -> None:
    """A value of 0 would be a mode collapse, whatever the generator does."""
    pixels = np.random.RandomState(0).randint(0, 256, (4, 16, 16, 3)).astype(np.uint8)
    doubled = ImageSource(
        description="each twice", resolution=16, channels=3, count=8,
        read=lambda row: Sample(pixels[row // 2]),
    )  # fmt: skip
    write_dataset(doubled, tmp_path / "d")
    run = tiny_run()
    stage = schedule.stage_at(run.growth, run.network, 9000)
    found = measure_diversity(
        state.create_state(run, CPU), run, Dataset.open(tmp_path / "d"), stage, CPU
    )
    assert found.keys() == {"diversity/distance"} and found["diversity/distance"] > 0

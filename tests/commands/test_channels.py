"""Grey, colour and transparent images on the whole way: folder, dataset, training, pictures."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from metrics.cli import main as metrics
from progan.cli.dataset import main as dataset_tool
from progan.cli.generate import main as generate
from progan.cli.train import main as train
from tests.builders import tiny_options

MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def run(command: object, *words: object) -> Result:
    result = CliRunner().invoke(command, [str(word) for word in words])  # type: ignore[arg-type]
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize("channels", MODES)
def test_images_of_one_kind_become_pictures_of_that_kind(tmp_path: Path, channels: int) -> None:
    (tmp_path / "in").mkdir()
    shape = (24, 16, 16, channels)
    for number, pixels in enumerate(np.random.RandomState(0).randint(0, 256, shape)):
        picture = pixels.astype(np.uint8).squeeze()
        Image.fromarray(picture, MODES[channels]).save(tmp_path / "in" / f"{number}.png")
    data, runs, out = tmp_path / "data", tmp_path / "runs", tmp_path / "out"
    run(dataset_tool, "create-from-images", "--source", tmp_path / "in", "--dest", data)
    run(
        train, "--data", data, "--outdir", runs, "--preset", "demo",
        *tiny_options(total_kimg=0.5, training_kimg=0.1, transition_kimg=0.1, tick_kimg=0.5),
        "--metrics", "swd",
    )  # fmt: skip
    place = runs / "00000-data-demo"
    assert Image.open(place / "fakes-init.png").mode == MODES[channels]
    assert Image.open(place / "reals.png").mode == MODES[channels]
    run(generate, "--network", place, "--seeds", "0-2", "--outdir", out, "--device", "cpu")
    for path in out.iterdir():
        assert (Image.open(path).mode, Image.open(path).size) == (MODES[channels], (16, 16))
    said = run(metrics, "swd", "ms-ssim", "--network", place, "--data", data, "--device", "cpu")
    assert f"size: 16x16x{channels}" in said.stdout
    run(
        metrics, "neighbours", "--network", place, "--data", data, "--detector", "pixels",
        "--num-images", 4, "--sheet", tmp_path / "sheet.png", "--device", "cpu",
    )  # fmt: skip
    assert Image.open(tmp_path / "sheet.png").mode == "RGB"

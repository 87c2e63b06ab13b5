"""Three digits in three channels."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from progan.cli.dataset import main
from progan.data.importers.mnist_rgb import import_mnist_rgb
from progan.data.reader import Dataset
from progan.errors import UserError
from tests.data.importers.test_mnist import IMAGES, LABELS, folder_with, idx


def test_images_are_drawn_as_the_official_tool_draws_them(tmp_path: Path) -> None:
    images = import_mnist_rgb(folder_with(tmp_path, idx(IMAGES), idx(LABELS)), num_images=50,
                              seed=123)
    assert (images.resolution, images.channels, images.count) == (32, 3, 50)
    assert images.label_names[:2] == ("000", "001")
    assert len(images.label_names) == 1000
    assert images.labels is not None
    state = np.random.RandomState(123)
    for row in range(50):
        three = state.randint(len(IMAGES), size=3)
        image = images.read(row).image
        np.testing.assert_array_equal(image[2:30, 2:30], IMAGES[three].transpose(1, 2, 0))
        name = images.label_names[images.labels[row]]
        assert name == "".join(str(LABELS[index]) for index in three)
    image[2:30, 2:30] = 0
    assert not image.any()


def test_the_command(tmp_path: Path) -> None:
    folder_with(tmp_path, idx(IMAGES), idx(LABELS))
    for name, seed in (("a", []), ("b", ["--seed", "123"]), ("c", ["--seed", "124"])):
        result = CliRunner().invoke(main, [
            "create-mnist-rgb", "--source", str(tmp_path), "--dest", str(tmp_path / name),
            "--num_images", "30", "--holdout", "0.1", *seed])
        assert result.exit_code == 0, result.output
    a, b, c = (Dataset.open(tmp_path / name) for name in "abc")
    assert (len(a), len(a.held_out_rows), a.label_size) == (30, 3, 1000)
    assert a.fingerprint == b.fingerprint != c.fingerprint


def test_no_digits_are_refused(tmp_path: Path) -> None:
    folder_with(tmp_path, idx(IMAGES[:0]), idx(LABELS[:0]))
    with pytest.raises(UserError, match="There is no digit in"):
        import_mnist_rgb(tmp_path, num_images=3, seed=0)

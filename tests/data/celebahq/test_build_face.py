"""Networks that improve pictures first."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from progan.data.celebahq.build_face import Enhancer
from progan.errors import UserError
from tests.builders import detector_file

IMAGE = np.random.RandomState(0).randint(0, 256, (6, 9, 3)).astype(np.uint8)


class Doubled(torch.nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.repeat_interleave(2, 2).repeat_interleave(2, 3)


class Brighter(torch.nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float() + 100.4


class Wider(torch.nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.repeat_interleave(2, 3)


class Strange(torch.nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float() / 0.0


def enhancer(folder: Path, network: torch.nn.Module) -> Enhancer:
    return Enhancer(detector_file(folder / "network.pt", network), 1)


def test_pictures_may_grow(tmp_path: Path) -> None:
    made = enhancer(tmp_path, Doubled())(IMAGE)
    np.testing.assert_array_equal(made, IMAGE.repeat(2, axis=0).repeat(2, axis=1))


def test_floats_are_rounded_and_clipped(tmp_path: Path) -> None:
    made = enhancer(tmp_path, Brighter())(IMAGE)
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made, np.minimum(IMAGE.astype(int) + 100, 255))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Wider(), r"makes \[1, 3, 6, 18\] of an image \[1,3,6,9\]"),
        (Strange(), "not finite"),
        (torch.nn.Conv2d(4, 3, 1), "fails on an image"),
    ],
)
def test_networks_that_do_other_things(
    tmp_path: Path, network: torch.nn.Module, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        enhancer(tmp_path, network)(IMAGE)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"no network")
    with pytest.raises(UserError, match="cannot be loaded as TorchScript"):
        Enhancer(tmp_path / "x.pt", 1)(IMAGE)

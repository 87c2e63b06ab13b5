"""Files such as pytorch_GAN_zoo's PGAN saves, of tiny networks with seeded weights."""

import sys
import types
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

DEPTHS = (8, 8, 4)  # at 4x4, 8x8 and 16x16
LATENTS = 6
SETTINGS: dict[str, Any] = {
    "alpha": 0,
    "attribKeysOrder": None,
    "leakyReluLeak": 0.2,
    "lossCriterion": "WGANGP",
    "equalizedlR": True,
    "perChannelNormalization": True,
    "miniBatchStdDev": True,
}


class BaseConfig:
    """The class of the zoo's settings."""

    __module__, __qualname__ = "models.utils.config", "BaseConfig"

    def __init__(self, **settings: Any) -> None:
        self.__dict__ = settings


def painter(seed: int = 0, depths: tuple[int, ...] = DEPTHS) -> dict[str, Tensor]:
    shapes: dict[str, tuple[int, ...]] = {
        "formatLayer": (16 * depths[0], LATENTS),
        "groupScale0.0": (depths[0], depths[0], 3, 3),
    }
    for scale, (before, after) in enumerate(zip(depths, depths[1:], strict=False)):
        shapes[f"scaleLayers.{scale}.0"] = (after, before, 3, 3)
        shapes[f"scaleLayers.{scale}.1"] = (after, after, 3, 3)
    shapes |= {f"toRGBLayers.{scale}": (3, maps, 1, 1) for scale, maps in enumerate(depths)}
    return _drawn(shapes, seed)


def judge(seed: int = 1, depths: tuple[int, ...] = DEPTHS, extra: int = 1) -> dict[str, Tensor]:
    shapes: dict[str, tuple[int, ...]] = {
        "groupScaleZero.0": (depths[0], depths[0] + extra, 3, 3),
        "groupScaleZero.1": (depths[0], 16 * depths[0]),
        "decisionLayer": (1, depths[0]),
    }
    for scale, (below, own) in enumerate(zip(depths, depths[1:], strict=False)):
        shapes[f"scaleLayers.{scale}.0"] = (own, own, 3, 3)
        shapes[f"scaleLayers.{scale}.1"] = (below, own, 3, 3)
    shapes |= {f"fromRGBLayers.{scale}": (maps, 3, 1, 1) for scale, maps in enumerate(depths)}
    return _drawn(shapes, seed)


def write(path: Path, *, zipped: bool = False, **content: Any) -> Path:
    """Save with torch.save, by default in the format of the zoo's time."""
    names = ("models", "models.utils", "models.utils.config")
    modules = {name: types.ModuleType(name) for name in names}
    modules[names[-1]].BaseConfig = BaseConfig  # type: ignore[attr-defined]
    with patch.dict(sys.modules, modules):
        torch.save(
            {
                "config": BaseConfig(**SETTINGS),
                "netG": painter(),
                "netD": judge(),
                "avgG": painter(2),
            }
            | content,
            path,
            _use_new_zipfile_serialization=zipped,
        )
    return path


def _drawn(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, Tensor]:
    stream = torch.Generator().manual_seed(seed)
    return {
        f"{name}.module.{part}": torch.randn(own, generator=stream)
        for name, shape in shapes.items()
        for part, own in (("weight", shape), ("bias", shape[:1]))
    }

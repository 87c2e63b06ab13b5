"""Files such as the official code writes, of tiny networks with seeded weights."""

import pickle
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

MAPS = {4: 8, 8: 8, 16: 4}  # of fmap_base 32 and fmap_max 8
ARGUMENTS = {"num_channels": 3, "resolution": 16, "label_size": 0, "fmap_base": 32, "fmap_max": 8}


class Network:
    """What `tfutil.Network` pickles of itself."""

    __module__, __qualname__ = "tfutil", "Network"

    def __init__(self, **state: Any) -> None:
        self.state = state

    def __getstate__(self) -> dict[str, Any]:
        return self.state


@contextmanager
def importable() -> Iterator[None]:
    """Let `pickle` find the class where it says that it is."""
    module = types.ModuleType("tfutil")
    module.Network = Network  # type: ignore[attr-defined]
    with patch.dict(sys.modules, tfutil=module):
        yield


def write(path: Path, content: Any, protocol: int = 4) -> Path:
    with importable():
        path.write_bytes(pickle.dumps(content, protocol))
    return path


def network(name: str, *, lod: float = 0.0, seed: int = 0, **arguments: Any) -> Network:
    """One of 'G', 'D' and 'Gs' with random variables."""
    given = ARGUMENTS | arguments
    shapes = _judge(given) if name == "D" else _painter(given)
    random = np.random.RandomState(seed)
    variables = [
        (variable, random.randn(*shape).astype(np.float32)) for variable, shape in shapes.items()
    ]
    return Network(
        version=2,
        name=name,
        static_kwargs=given,
        build_module_src="raise SystemExit('run!')",
        build_func_name="D_paper" if name == "D" else "G_paper",
        variables=[("lod", np.float32(lod)), *variables],
    )


def networks(**settings: Any) -> tuple[Network, Network, Network]:
    """G, D and Gs, whose weights are all different."""
    g, d, gs = (network(name, seed=seed, **settings) for seed, name in enumerate(("G", "D", "Gs")))
    return g, d, gs


def _painter(given: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the variables of G, as the official code makes them."""
    latents = given.get("latent_size") or 8
    shapes: dict[str, tuple[int, ...]] = {
        "4x4/Dense/weight": (latents + given["label_size"], 16 * MAPS[4]),
        "4x4/Dense/bias": (MAPS[4],),
        "4x4/Conv/weight": (3, 3, MAPS[4], MAPS[4]),
        "4x4/Conv/bias": (MAPS[4],),
    }
    for resolution, below in ((8, 4), (16, 8)):
        before, after, place = MAPS[below], MAPS[resolution], f"{resolution}x{resolution}"
        if given.get("fused_scale", True):
            shapes[f"{place}/Conv0_up/weight"], up = (3, 3, after, before), "Conv0_up"
        else:
            shapes[f"{place}/Conv0/weight"], up = (3, 3, before, after), "Conv0"
        shapes |= {
            f"{place}/{up}/bias": (after,),
            f"{place}/Conv1/weight": (3, 3, after, after),
            f"{place}/Conv1/bias": (after,),
        }
    return shapes | _colors("ToRGB", given["num_channels"], to_rgb=True)


def _judge(given: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the variables of D."""
    extra = given.get("mbstd_group_size", 4) > 1
    shapes: dict[str, tuple[int, ...]] = {
        "4x4/Conv/weight": (3, 3, MAPS[4] + extra, MAPS[4]),
        "4x4/Conv/bias": (MAPS[4],),
        "4x4/Dense0/weight": (16 * MAPS[4], 8),
        "4x4/Dense0/bias": (8,),
        "4x4/Dense1/weight": (8, 1 + given["label_size"]),
        "4x4/Dense1/bias": (1 + given["label_size"],),
    }
    down = "Conv1_down" if given.get("fused_scale", True) else "Conv1"
    for resolution, below in ((8, 4), (16, 8)):
        place, before, after = f"{resolution}x{resolution}", MAPS[resolution], MAPS[below]
        shapes |= {
            f"{place}/Conv0/weight": (3, 3, before, before),
            f"{place}/Conv0/bias": (before,),
            f"{place}/{down}/bias": (after,),
            f"{place}/{down}/weight": (3, 3, before, after),
        }
    return shapes | _colors("FromRGB", given["num_channels"], to_rgb=False)


def _colors(name: str, channels: int, *, to_rgb: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for lod, resolution in enumerate((16, 8, 4)):
        maps = MAPS[resolution]
        shapes[f"{name}_lod{lod}/weight"] = (
            1,
            1,
            *((maps, channels) if to_rgb else (channels, maps)),
        )
        shapes[f"{name}_lod{lod}/bias"] = (channels if to_rgb else maps,)
    return shapes

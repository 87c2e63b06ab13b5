"""Does a generator copy its training images?

One that does is nearer to them than other images of the same kind are (Meehan et al. 2020): than
the held-out ones, or, where none are, than each training image is to all the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import mannwhitneyu

from metrics.detector import Setup
from metrics.neighbours import Distances, Neighbours, Window, features, nearest
from metrics.samples import ImageSample, Rows
from metrics.sources import Source
from progan import __version__
from progan.errors import UserError
from progan.runtime.files import atomic_path
from progan.runtime.seeding import numpy_generator
from progan.runtime.text import format_count

SUSPICIOUS = 0.001  # probability by chance alone below which copying is reported


@dataclass(frozen=True, kw_only=True, slots=True)
class Lookup:
    """Images and their nearest training images.

    Attributes:
        neighbours: Of the images, [Q, k].
        others: Distances of other images of the same kind to their nearest training image, [M].
        kind: What these others are, for people.
        nearer: Probability that an image is nearer than one of the others; 0.5 if it is like them.
        p_value: Probability of such a `nearer`, or a larger one, by chance alone.
    """

    images: ImageSample
    training: ImageSample
    detector: str
    neighbours: Neighbours
    others: Distances
    kind: str
    nearer: float
    p_value: float

    @property
    def nearest(self) -> Distances:
        """Distance of each image to its nearest training image, [Q]."""
        distances: Distances = self.neighbours.distances[:, 0]
        return distances

    def record(self) -> dict[str, Any]:
        """One JSON object."""
        return {
            "metric": "neighbours",
            "images": self.images.description,
            "reals": self.training.description,
            "size": list(self.images.size),
            "num_images": self.images.count,
            "num_training": self.training.count,
            "detector": self.detector,
            "others": self.kind,
            "num_others": len(self.others),
            "progan": __version__,
            "values": {
                "median": float(np.median(self.nearest)),
                "median_others": float(np.median(self.others)),
                "nearer": self.nearer,
                "p_value": self.p_value,
            },
        }


def look_up(
    images: Source, reals: Source, setup: Setup, *, num_images: int, k: int, window: Window
) -> Lookup:
    """Find the k nearest training images of some images; raises UserError for too few images."""
    assert setup.detector is not None, "neighbours need a detector"
    if images.count is not None and num_images > images.count:
        raise UserError(
            f"{images.description} has {format_count(images.count, 'image')}, and "
            f"{num_images} are asked for. Say --num-images {images.count} or less."
        )
    trained = reals.trained_on
    if k >= len(trained):
        fewer = f"Say -k {len(trained) - 1} or less, or name" if len(trained) > 1 else "Name"
        raise UserError(
            f"{reals.description} has {format_count(len(trained), 'training image')}, "
            f"too few for {format_count(k, 'neighbour')} of each. {fewer} more images."
        )
    training = reals.draw(trained)
    asked = images.draw(_some(images, num_images, setup))
    pool = reals.held_out if len(reals.held_out) else trained
    others = reals.draw(numpy_generator(setup.seed, "others").permutation(pool)[:num_images])
    queries = torch.cat([features(draw, setup, window) for draw in (asked, others)])
    own = np.concatenate([np.full(asked.count, -1), others.rows])
    found = nearest(queries, own, training, setup, k, window)
    of_images = Neighbours(found.distances[: asked.count], found.rows[: asked.count])
    of_others = found.distances[asked.count :, 0]
    nearer, p_value = compare(of_images.distances[:, 0], of_others)
    return Lookup(
        images=asked,
        training=training,
        detector=setup.detector.name,
        neighbours=of_images,
        others=of_others,
        nearer=nearer,
        p_value=p_value,
        kind="held-out images" if len(reals.held_out) else "training images among the others",
    )


def compare(images: Distances, others: Distances) -> tuple[float, float]:
    """Probability that an image is nearer than one of the others, and that by chance alone.

    By the test of Mann and Whitney; a tie counts half.

    Args:
        images: Distances to the nearest training image, [N].
        others: [M].
    """
    test = mannwhitneyu(images, others, alternative="less")
    return 1 - float(test.statistic) / (len(images) * len(others)), float(test.pvalue)


def sentences(record: Mapping[str, Any]) -> str:
    """What the distances of `Lookup.record` say, for people."""
    values = record["values"]
    sign = (
        "The images are nearer: a sign of copying."
        if values["p_value"] < SUSPICIOUS
        else "No sign of copying."
    )
    return "\n".join(
        [
            f"Compared by {record['detector']}, with "
            f"{format_count(record['num_training'], 'training image')} of {record['reals']}.",
            f"Distance to the nearest one, median of {format_count(record['num_images'], 'image')}"
            f": {values['median']:.4g}; of {record['num_others']} {record['others']}: "
            f"{values['median_others']:.4g}.",
            f"An image is the nearer of the two with probability {values['nearer']:.2f} "
            f"(0.5: alike; by chance alone p = {values['p_value']:.2g}). {sign}",
        ]
    )


def figure(found: Lookup, path: Path) -> None:
    """Draw which share of the images, and of the others, is nearer than each distance."""
    from matplotlib.figure import Figure

    page = Figure(figsize=(7, 4), layout="constrained")
    axes = page.subplots()
    for values, label in ((found.nearest, "images"), (found.others, found.kind)):
        axes.ecdf(values, label=f"{len(values)} {label}")
    axes.set(
        xlabel=f"distance to the nearest training image ({found.detector})",
        ylabel="share that is nearer",
        title=f"nearer with probability {found.nearer:.2f}, p = {found.p_value:.2g}",
    )
    axes.legend(frameon=False)
    with atomic_path(path) as temporary:
        page.savefig(temporary, format="png", dpi=120)


def _some(images: Source, count: int, setup: Setup) -> Rows:
    """The seeds 0, 1, 2 … of a network; files are drawn from."""
    if images.count is None:
        return np.arange(count)
    return np.sort(numpy_generator(setup.seed, "images").permutation(images.count)[:count])

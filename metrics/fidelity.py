"""Metrics of features and of class probabilities, as torch-fidelity computes them.

FID (Heusel et al. 2017) is the Fréchet distance of two Gaussians that have the means and the
covariances of the features; KID (Binkowski et al. 2018) is the squared maximum mean discrepancy
under the kernel (x·y / D + 1)³, without bias; IS (Salimans et al. 2016) is exp E KL(p(y|x) ‖ p(y));
precision and recall (Kynkäänniemi et al. 2019) are the shares of images and of reals that lie
within the third nearest neighbours of the other side.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metrics.detector import FID_EXTRA, Embedding, MetricContext
from metrics.samples import ImageSample, ImageShape
from progan.errors import UserError
from progan.runtime.seeding import derive_seed

KID_SUBSETS, KID_SUBSET_SIZE = 100, 1000  # Binkowski et al. 2018, section 4
KID_BATCH = 128  # images; Keras' example of adaptive discriminator augmentation
KID_SIDE = 75  # px, the least that Inception takes; the same example
IS_SPLITS = 10
FID_MOST = 8192  # features: their covariances take 0.5 GiB, and minutes
SCALE = 1e3


def require_measurable(size: ImageShape, num_images: int) -> None:
    """Raise UserError unless torch-fidelity is installed and there are enough images."""
    try:
        import torch_fidelity  # noqa: F401
    except ImportError as error:
        raise UserError(FID_EXTRA) from error
    if num_images < IS_SPLITS:
        raise UserError(
            f"{num_images} images on each side are too few to compare features: at least "
            f"{IS_SPLITS} are needed, also for the real-vs-real baseline, and thousands for a "
            "reliable result. Ask for more, or name a source of more images."
        )


def fid(images: ImageSample, reals: ImageSample, context: MetricContext) -> dict[str, float]:
    """Return the Fréchet distance 'FID': 0 is best."""

    def require_few_features(embedding: Embedding) -> None:
        count = embedding[0].shape[1]
        if count > FID_MOST:
            assert context.detector is not None
            raise UserError(
                f"fid compares covariances of at most {FID_MOST} features, and the detector "
                f"{context.detector.name} has {count}. Name another --detector, or omit fid."
            )

    first, second = (
        _embed_cached(sample, context, require=require_few_features)[0]
        for sample in (images, reals)
    )
    return {"FID": frechet_distance(first, second)}


def kid(images: ImageSample, reals: ImageSample, context: MetricContext) -> dict[str, float]:
    """Return 'KIDx1e3', the mean over 100 random subsets of 1000; about 0 is best."""
    first, second = (_embed_cached(sample, context)[0] for sample in (images, reals))
    return {"KIDx1e3": SCALE * kernel_distance(first, second, context.seed)}


def kid75(images: ImageSample, reals: ImageSample, context: MetricContext) -> dict[str, float]:
    """Return 'KID75x1e3' of images resized to 75x75, the mean over consecutive batches of 128."""
    first, second = (_embed_cached(sample, context, KID_SIDE)[0] for sample in (images, reals))
    return {"KID75x1e3": SCALE * kernel_distance_of_batches(first, second)}


def inception_score(
    images: ImageSample, reals: ImageSample, context: MetricContext
) -> dict[str, float]:
    """Return the Inception score 'IS' of the images, ignoring the reals; 1 is worst."""
    from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric

    def require_logits(embedding: Embedding) -> None:
        if embedding[1] is None:
            assert context.detector is not None
            raise UserError(
                f"is needs classes, and the detector {context.detector.name} has only "
                "features. Name another --detector, or omit is."
            )

    logits = _embed_cached(images, context, require=require_logits)[1]
    score = isc_features_to_metric(logits, IS_SPLITS, rng_seed=_derive_numpy_seed(context.seed))
    return {"IS": score[KEY_METRIC_ISC_MEAN]}


def precision_recall(
    images: ImageSample, reals: ImageSample, context: MetricContext
) -> dict[str, float]:
    """Return 'precision' and 'recall', 0…1."""
    from torch_fidelity.metric_prc import (
        KEY_METRIC_PRECISION,
        KEY_METRIC_RECALL,
        prc_features_to_metric,
    )

    # In float32, the distances of features far from 0 lose their digits.
    first, second = (_embed_cached(sample, context)[0].double() for sample in (images, reals))
    found = prc_features_to_metric(first, second, save_cpu_ram=True, verbose=False)
    return {"precision": found[KEY_METRIC_PRECISION], "recall": found[KEY_METRIC_RECALL]}


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Return the FID of two sets of features [N, D]."""
    from torch_fidelity.metric_fid import (
        KEY_METRIC_FID,
        fid_features_to_statistics,
        fid_statistics_to_metric,
    )

    statistics = [fid_features_to_statistics(features.double()) for features in (first, second)]
    return float(fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID])


def kernel_distance(
    first: Tensor,
    second: Tensor,
    seed: int,
    subsets: int = KID_SUBSETS,
    size: int = KID_SUBSET_SIZE,
) -> float:
    """Return the KID of features [N, D], the mean over random subsets of `size` of each set."""
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    size = min(size, len(first), len(second))
    if size == len(first) == len(second):
        subsets = 1  # they would all be the same
    found = kid_features_to_metric(
        first.double(),
        second.double(),
        kid_subsets=subsets,
        kid_subset_size=size,
        rng_seed=_derive_numpy_seed(seed),
        verbose=False,
    )
    return float(found[KEY_METRIC_KID_MEAN])


def kernel_distance_of_batches(first: Tensor, second: Tensor) -> float:
    """Return the KID of features [N, D], the mean over whole batches; of all if they fill none."""
    size = min(KID_BATCH, len(first), len(second))
    pairs = zip(_split_whole_batches(first, size), _split_whole_batches(second, size), strict=False)
    return float(np.mean([kernel_distance(*pair, seed=0) for pair in pairs]))


def _split_whole_batches(features: Tensor, size: int) -> Sequence[Tensor]:
    return torch.split(features[: len(features) // size * size], size)


def _embed_cached(
    sample: ImageSample,
    context: MetricContext,
    side: int | None = None,
    require: Callable[[Embedding], None] = lambda embedding: None,
) -> Embedding:
    """Return features [N, D] and logits [N, K] or None of a sample, cached with it.

    Args:
        side: Side in px that images are resized to; None: that of the detector.
        require: Raises UserError for features or logits that do not suit the metric. It is called
            after the first batch, as all of them may take hours.
    """
    detector = context.detector
    assert detector is not None, "opened for the metrics that need it"

    def compute() -> dict[str, Any]:
        found = []
        for batch in sample.batches(context.device, "features"):
            found.append(detector.embed(batch, side))
            require(found[-1])
        logits = [part for _, part in found if part is not None]
        return {
            "features": torch.cat([part for part, _ in found]).numpy(),
            **({"logits": torch.cat(logits).numpy()} if logits else {}),
        }

    stored = sample.get_or_compute(f"features {detector.fingerprint} {side}", compute)
    logits = stored.get("logits")
    embedding = (
        torch.from_numpy(stored["features"]),
        None if logits is None else torch.from_numpy(logits),
    )
    require(embedding)  # it may have been cached for another metric
    return embedding


def _derive_numpy_seed(seed: int) -> int:
    """Derive a seed that NumPy's RandomState takes."""
    return derive_seed(seed, "fidelity") % 2**32

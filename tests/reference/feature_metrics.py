"""The metrics of features in plain NumPy and SciPy, in float64 and as literally as possible."""

import numpy as np
from scipy import linalg


def with_moments(
    mean: np.ndarray, covariance: np.ndarray, count: int, random: np.random.RandomState
) -> np.ndarray:
    """Points [count, D] that have this mean and covariance themselves: whitened, then coloured."""
    points = random.randn(count, len(mean))
    points -= points.mean(0)
    whitened = linalg.solve_triangular(
        linalg.cholesky(np.cov(points, rowvar=False), lower=True), points.T, lower=True
    )
    return mean + (linalg.cholesky(covariance, lower=True) @ whitened).T


def frechet(
    mean_1: np.ndarray, covariance_1: np.ndarray, mean_2: np.ndarray, covariance_2: np.ndarray
) -> float:
    """|m1 - m2|² + tr(S1 + S2 - 2 (S1 S2)^½), the root by way of symmetric matrices."""
    root = _root(covariance_1)
    both = _root(root @ covariance_2 @ root)
    return float(np.sum((mean_1 - mean_2) ** 2) + np.trace(covariance_1 + covariance_2 - 2 * both))


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = linalg.eigh(matrix)
    return vectors @ np.diag(np.sqrt(values.clip(0))) @ vectors.T


def squared_mmd(first: np.ndarray, second: np.ndarray, *, biased: bool = False) -> float:
    """Of the kernel (x·y / D + 1)³; without bias no point meets itself."""

    def within(points: np.ndarray) -> float:
        pairs = [
            _kernel(points[i], points[j])
            for i in range(len(points))
            for j in range(len(points))
            if biased or i != j
        ]
        return float(np.mean(pairs))

    across = np.mean([_kernel(x, y) for x in first for y in second])
    return within(first) + within(second) - 2 * float(across)


def _kernel(x: np.ndarray, y: np.ndarray) -> float:
    return float((np.dot(x, y) / len(x) + 1) ** 3)


def inception_score(probabilities: np.ndarray) -> float:
    """exp E KL(p(y|x) ‖ p(y)) of one split, [N, K]."""
    everywhere = probabilities.mean(0)
    return float(
        np.exp(np.mean(np.sum(probabilities * np.log(probabilities / everywhere), axis=1)))
    )


def precision_recall(images: np.ndarray, reals: np.ndarray) -> tuple[float, float]:
    """Shares of images among the reals, and of reals among the images."""
    return _covered(images, reals), _covered(reals, images)


def _covered(points: np.ndarray, others: np.ndarray) -> float:
    """Share of points that lie no further from one of the others than its third neighbour."""
    reach = np.sort(_distances(others, others), axis=1)[:, 3]  # 0 is itself
    return float(np.mean((_distances(points, others) <= reach).any(1)))


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.sqrt(((first[:, None] - second[None]) ** 2).sum(2))

"""Random numbers that depend on their generator and on nothing else."""

import numpy as np
import pytest
import torch
from scipy import stats

from progan.augment import TRANSFORMS
from progan.config import AUGMENT_KINDS, Augment
from tests.augment.numbers import drawn


def test_the_same_generator_gives_the_same_numbers_whatever_the_kinds() -> None:
    first = drawn(Augment(), 5)
    for ours, theirs in zip(first, drawn(Augment(augment_kinds="color"), 5), strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(first.gates, drawn(Augment(), 5, seed=1).gates)


def test_numbers_have_their_distributions() -> None:
    draws = drawn(Augment(), 4000)
    for column in range(len(TRANSFORMS)):
        for uniform in (draws.gates[:, column], *draws.uniform[:, column].T):
            assert stats.kstest(uniform, "uniform").pvalue > 1e-4
        assert stats.kstest(draws.normal[:, column], "norm").pvalue > 1e-4
    columns = torch.cat([draws.gates, draws.uniform.flatten(1), draws.normal], dim=1).T
    correlations = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(correlations).max() < 5 / np.sqrt(4000)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_together_means_all_or_nothing(p: float) -> None:
    draws = drawn(Augment(augment_together=True), 2000)
    acts = torch.stack([draws.is_active(name, torch.tensor(p)) for name in TRANSFORMS])
    assert torch.equal(acts.all(dim=0), acts.any(dim=0))
    assert abs(acts[0].double().mean() - p) <= 4 * np.sqrt(p * (1 - p) / 2000)


def test_every_kind_has_a_transform() -> None:
    assert set(AUGMENT_KINDS) - {"color"} < set(TRANSFORMS)

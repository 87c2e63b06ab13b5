"""Synthetic histories, made iteration by iteration and then cut into ticks."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from progan.config import LossConfig
from progan.diagnosis.history import History, Row

Steps = list[dict[str, float]]  # statistics of each iteration
Curve = Callable[[int], float]  # iteration -> value

GOOD: Mapping[str, float] = {
    "loss/critic-real": 0.6,
    "loss/critic-fake": 0.6,
    "loss/critic": 1.2,
    "loss/generator": 1.0,
    "accuracy/real": 0.8,
    "accuracy/fake": 0.8,
    "scores/real": 1.0,
    "scores/fake": -1.0,
    "gradient/generator-weights": 1.0,
    "gradient/critic-weights": 1.0,
    "gradient/norm": 1.0,
    "diversity/nearest": 0.9,
    "diversity/distance": 0.95,
    "speed/data-wait-percent": 0.1,
    "overfitting/training": 1.0,
    "overfitting/held-out": 0.9,
    "overfitting/fake": -1.0,
    "schedule/resolution": 32.0,
    "schedule/alpha": 1.0,
}

# Lines of stats.jsonl that are no statistics.
DAMAGED_LINES = (
    "",
    "[]",
    "{}",
    "x",
    '{"images_seen": "many"}',
    '{"images_seen": "5"}',
    '{"images_seen": -1}',
    '{"images_seen": 1e999}',
    '{"images_seen": NaN}',
    '{"images_seen": 1%s}' % ("0" * 400),
    '{"images_seen": 128, "loss": 1%s}' % ("0" * 400),
    '{"images_seen": 128, "schedule/resolution": NaN}',
    '{"metric": "swd", "values": {}}',
    "[" * 100_000,
)


def steps(count: int, noise: float = 0.0, seed: int = 0, **curves: Curve) -> Steps:
    """Return a good training except for some statistics ('loss__generator') that have a curve.

    Args:
        noise: Standard deviation of relative noise on every statistic but the schedule.
    """
    draw = random.Random(seed)
    changed = {name.replace("__", "/").replace("_", "-"): curve for name, curve in curves.items()}
    return [
        {
            name: (changed[name](number) if name in changed else value)
            * (1 if name.startswith("schedule") else 1 + draw.gauss(0, noise))
            for name, value in (GOOD | dict.fromkeys(changed, 0.0)).items()
        }
        for number in range(count)
    ]


def history(
    each: Steps,
    tick: int = 16,
    objective: str = "gan",
    batch: int = 64,
    d_repeats: int = 1,
    **settings: Any,
) -> History:
    """Mean the iterations over ticks of `tick` of them; a last one may be shorter."""
    rows: list[Row] = []
    for start in range(0, len(each), tick):
        part = each[start : start + tick]
        means = {name: sum(step[name] for step in part) / len(part) for name in part[0]}
        means |= {name: part[-1][name] for name in part[0] if name.startswith("schedule/")}
        rows.append(
            {
                "images_seen": float((start + len(part)) * batch * d_repeats),
                **means,
                "schedule/batch": float(batch),
            }
        )
    return History(rows, LossConfig(objective=objective, **settings), d_repeats)


def after(start: int, value: float, before: float) -> Curve:
    """One value up to an iteration, another one from then on."""
    return lambda number: value if number >= start else before

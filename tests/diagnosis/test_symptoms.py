"""Each symptom is found where it is, and nowhere else."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progan.config import LossConfig
from progan.diagnosis.balance import LOSS_SCALES, interpolate_loss_limits
from progan.diagnosis.diagnose import SYMPTOMS, diagnose, diagnose_after_each_tick
from progan.diagnosis.history import History
from progan.diagnosis.status import Status, list_coverage_facts
from tests.diagnosis.synthetic import Steps, after, history, steps
from tests.for_each import for_each

LENGTH = 640
ILL_FROM = 320
WON = dict(
    loss__critic_real=after(ILL_FROM, 0.001, 0.6),
    loss__critic_fake=after(ILL_FROM, 0.001, 0.6),
    accuracy__real=after(ILL_FROM, 1.0, 0.8),
    accuracy__fake=after(ILL_FROM, 1.0, 0.8),
)
RISING = dict(loss__generator=lambda n: 1.0 if n < ILL_FROM else 5 + n / 100)

# name of the symptom: (steps of a training that has it, its objective)
CASES: dict[str, tuple[Steps, str]] = {
    "convergence failure": (
        steps(LENGTH, **WON, **RISING, diversity__nearest=after(ILL_FROM, 0.01, 0.9)),
        "gan",
    ),
    "diverging D": (steps(LENGTH, scores__real=after(ILL_FROM, -2.0, 1.0)), "wgan-gp"),
    "mode collapse": (steps(LENGTH, diversity__nearest=after(ILL_FROM, 0.1, 0.9)), "wgan-gp"),
    "vanishing gradients": (
        steps(LENGTH, gradient__generator_weights=after(ILL_FROM, 1e-4, 1.0)),
        "gan",
    ),
    "exploding gradients": (
        steps(LENGTH, gradient__critic_weights=after(ILL_FROM + 100, 500.0, 1.0)),
        "wgan",
    ),
    "D too strong": (
        steps(
            LENGTH,
            **RISING,
            accuracy__real=after(ILL_FROM, 0.98, 0.8),
            accuracy__fake=after(ILL_FROM, 0.97, 0.8),
        ),
        "gan",
    ),
    "D too weak": (
        steps(
            LENGTH,
            accuracy__real=after(ILL_FROM, 0.5, 0.8),
            accuracy__fake=after(ILL_FROM, 0.5, 0.8),
            diversity__nearest=after(ILL_FROM, 3.0, 0.9),
        ),
        "lsgan",
    ),
    "overfitting D": (steps(LENGTH, overfitting__held_out=after(ILL_FROM, -0.5, 0.9)), "r1"),
    "data starvation": (steps(LENGTH, speed__data_wait_percent=after(ILL_FROM, 40.0, 0.1)), "gan"),
    "fade-in shock": (
        steps(
            LENGTH,
            schedule__resolution=after(600, 64.0, 32.0),
            schedule__alpha=after(600, 0.3, 1.0),
            gradient__generator_weights=after(600, 40.0, 1.0),
        ),
        "wgan-gp",
    ),
}
GOOD: dict[str, Callable[[float, int], Steps]] = {
    "steady": lambda noise, seed: steps(LENGTH, noise, seed),
    "the equilibrium: D cannot tell, and pictures are as they should be": lambda noise, seed: steps(
        LENGTH,
        noise,
        seed,
        accuracy__real=lambda n: 0.5,
        accuracy__fake=lambda n: 0.5,
        loss__critic_real=lambda n: 0.69,
        loss__critic_fake=lambda n: 0.69,
    ),
    "wild in the beginning": lambda noise, seed: steps(
        LENGTH,
        noise,
        seed,
        accuracy__real=lambda n: 1.0 if n < 90 else 0.8,
        accuracy__fake=lambda n: 1.0 if n < 90 else 0.8,
        loss__critic_real=lambda n: 0.01 if n < 90 else 0.6,
        loss__critic_fake=lambda n: 0.01 if n < 90 else 0.6,
        diversity__nearest=lambda n: min(0.02 + n / 200, 0.9),
    ),
    "D wins now and then": lambda noise, seed: steps(
        LENGTH,
        noise,
        seed,
        accuracy__real=lambda n: 1.0 if n % 100 < 20 else 0.8,
        accuracy__fake=lambda n: 1.0 if n % 100 < 20 else 0.8,
        loss__critic_real=lambda n: 0.01 if n % 100 < 20 else 0.6,
        loss__critic_fake=lambda n: 0.01 if n % 100 < 20 else 0.6,
    ),
    "a strong D whose pictures are diverse, as with batch normalisation": lambda noise, seed: steps(
        LENGTH,
        noise,
        seed,
        accuracy__real=lambda n: 0.995,
        accuracy__fake=lambda n: 0.995,
        loss__critic_real=lambda n: 0.04,
        loss__critic_fake=lambda n: 0.04,
    ),
    "gradients that calm down": lambda noise, seed: steps(
        LENGTH, noise, seed, gradient__generator_weights=lambda n: 1 + 10 * math.exp(-n / 100)
    ),
    "a calm fade": lambda noise, seed: steps(
        LENGTH,
        noise,
        seed,
        schedule__resolution=after(400, 64.0, 32.0),
        schedule__alpha=lambda n: 1.0 if n < 400 else min(1.0, (n - 390) / 200),
        gradient__generator_weights=after(400, 4.0, 1.0),
    ),
}
every_case = for_each("name", CASES)


def named(status: Status) -> list[str]:
    return [finding.name for finding in status.findings]


def judged(name: str, tick: int = 16) -> Status:
    each, objective = CASES[name]
    return diagnose(history(each, tick, objective))


@every_case
def test_the_symptom_is_found_alone_with_its_time_and_evidence(name: str) -> None:
    status = judged(name)
    assert named(status) == [name] and status.name == name
    (finding,) = status.findings
    start = next(
        n
        for n, (now, then) in enumerate(zip(CASES[name][0][1:], CASES[name][0], strict=False), 1)
        if any(now[key] != then[key] for key in now)
    )
    assert finding.since_kimg == pytest.approx(start * 64 / 1000, abs=16 * 64 / 1000)
    assert finding.evidence and all(any(mark.isdigit() for mark in one) for one in finding.evidence)
    assert "--" in finding.advice


def test_every_symptom_has_a_case() -> None:
    assert {symptom.name for symptom in SYMPTOMS} == CASES.keys() | {"non-finite"}
    for symptom in SYMPTOMS:
        assert set(symptom.explains) <= CASES.keys()


@every_case
@for_each("tick", [1, 3, 7, 16, 20, 40, 64])
def test_the_status_does_not_depend_on_the_length_of_the_ticks(name: str, tick: int) -> None:
    reference, status = judged(name), judged(name, tick)
    assert named(status) == named(reference)
    assert status.findings[0].since_kimg == pytest.approx(
        reference.findings[0].since_kimg, abs=2 * max(tick, 16) * 64 / 1000
    )


@pytest.mark.parametrize("name", GOOD)
@settings(max_examples=15, deadline=None)
@given(
    noise=st.floats(0, 0.02),
    seed=st.integers(0, 99),
    tick=st.sampled_from([1, 5, 16, 50]),
    objective=st.sampled_from(sorted(LOSS_SCALES)),
)
def test_good_trainings_never_alarm(
    name: str, noise: float, seed: int, tick: int, objective: str
) -> None:
    for _, status in diagnose_after_each_tick(
        history(GOOD[name](noise, seed), tick * 8, objective)
    ):
        assert not status.findings, status
    assert diagnose(history(GOOD[name](noise, seed), tick, objective)).name == "ok"


@every_case
def test_what_has_passed_is_no_finding_any_more(name: str) -> None:
    each, objective = CASES[name]
    assert diagnose(history(each + steps(160), 16, objective)).name == "ok"


@pytest.mark.parametrize("objective", ["wgan", "wgan-gp", "began"])
def test_accuracies_mean_nothing_to_some_objectives(objective: str) -> None:
    for name in ("convergence failure", "D too strong"):
        each, _ = CASES[name]
        assert name not in named(diagnose(history(each, 16, objective)))


@pytest.mark.parametrize(
    "k, fake_energy, name",
    [(0.0, 0.3, "D too strong"), (1.0, 0.05, "D too weak"), (0.5, 0.1, "ok"), (0.0, 0.1, "ok")],
)
def test_the_balance_of_began(k: float, fake_energy: float, name: str) -> None:
    each = steps(
        LENGTH,
        dials__balance=lambda n: k,
        scores__real=lambda n: -0.2,
        scores__fake=lambda n: -fake_energy,
    )
    assert diagnose(history(each, 16, "began")).name == name


def test_scores_change_sides_in_fades_at_4x4_and_with_other_losses() -> None:
    reversed_scores = {"scores__real": lambda n: -2.0}
    fading = steps(LENGTH, **reversed_scores, schedule__alpha=lambda n: 0.5)
    lowest = steps(LENGTH, **reversed_scores, schedule__resolution=lambda n: 4.0)
    assert all(diagnose(history(each, 16, "wgan-gp")).name == "ok" for each in (fading, lowest))
    each = steps(LENGTH, **reversed_scores)
    assert diagnose(history(each, 16, "gan")).name == "ok"
    assert diagnose(history(each, 16, "wgan-gp", gp_target=750.0)).name == "ok"


def test_a_critic_far_steeper_than_its_penalty_asks_for() -> None:
    each = steps(LENGTH, gradient__norm=lambda n: 750.0)
    assert diagnose(history(each, 16, "wgan-gp", gp_target=750.0)).name == "ok"
    status = diagnose(history(each, 16, "wgan-gp"))
    assert status.name == "exploding gradients" and "750" in status.findings[0].evidence[0]


def test_a_weak_penalty_allows_the_slope_at_which_it_balances_the_loss() -> None:
    """With a difference of w per slope and no drift, it is target + w target^2 / (2 weight)."""

    def name_at(slope: float, **penalty: float) -> str:
        scores = {"scores__real": lambda n: 3 * slope, "scores__fake": lambda n: 0.0}
        each = steps(LENGTH, gradient__norm=lambda n: slope, loss__drift=lambda n: 0.0, **scores)
        return diagnose(history(each, 16, "wgan-gp", **penalty)).name

    for penalty, balanced in (
        ({"gp_weight": 10.0}, 1.15),
        ({"gp_weight": 0.5}, 4.0),
        ({"gp_weight": 0.5, "gp_target": 2.0}, 14.0),
    ):
        assert name_at(2.99 * balanced, **penalty) == "ok"
        assert name_at(3.01 * balanced, **penalty) == "exploding gradients"
    assert name_at(1e6, gp_weight=0.0) == "ok"  # nothing bounds it


def test_numbers_that_are_none_are_said_at_once() -> None:
    each = steps(16)
    each[-1]["loss/critic"] = math.nan
    status = diagnose(history(each))
    assert named(status) == ["non-finite"] and status.failing
    assert status.findings[0].evidence == ("not finite: loss/critic",)


def test_iterations_are_those_of_the_generator() -> None:
    """Five critic steps each: it takes five times the images until something can be said."""
    one, five = (diagnose_after_each_tick(history(steps(400), 16, d_repeats=n)) for n in (1, 5))
    first_one, first_five = (
        next(kimg for kimg, status in all_ if status.is_conclusive) for all_ in (one, five)
    )
    assert first_five == 5 * first_one


def test_nothing_is_said_too_early() -> None:
    assert diagnose(History([])).name == "too early to tell"
    names = [
        status.name
        for _, status in diagnose_after_each_tick(history(CASES["mode collapse"][0][ILL_FROM:]))
    ]
    assert names[:8] == ["too early to tell"] * 8 and names[-1] == "mode collapse"
    assert names[8] == "mode collapse"  # as soon as any status is given


def test_a_generator_on_its_way_to_many_pictures_has_not_collapsed() -> None:
    for speed in (1 / 500, 1 / 2000):
        each = steps(700, diversity__nearest=lambda n: min(0.01 + n * speed, 0.9))  # noqa: B023
        assert all(not status.findings for _, status in diagnose_after_each_tick(history(each)))


def test_diversity_that_falls_by_half_is_a_collapse_before_it_is_deep() -> None:
    each = steps(LENGTH, diversity__nearest=after(ILL_FROM, 0.4, 0.9))
    assert diagnose(history(each)).name == "mode collapse"
    assert diagnose(history(steps(LENGTH, diversity__nearest=lambda n: 0.4))).name == "ok"


def test_older_histories_without_some_statistics_can_be_read() -> None:
    each = [
        {
            name: value
            for name, value in step.items()
            if not name.startswith(("diversity", "accuracy", "overfitting"))
        }
        for step in CASES["vanishing gradients"][0]
    ]
    assert diagnose(history(each)).name == "vanishing gradients"


@pytest.mark.parametrize(
    "options, real, fake",
    [
        (dict(objective="gan"), 0.05, 0.05),
        (dict(objective="lsgan"), 0.009, 0.009),
        (dict(objective="gan", label_smoothing=0.1), 0.35, 0.05),
        (dict(objective="gan", label_noise=0.1), 0.23, 0.05),
        (dict(objective="lsgan", fake_weight=0.1), 0.009, 0.0009),
    ],
)
def test_soft_targets_keep_a_loss_away_from_zero(
    options: dict[str, Any], real: float, fake: float
) -> None:
    assert interpolate_loss_limits(LossConfig(**options), 0.07) == pytest.approx(
        (real, fake), rel=0.1
    )
    assert interpolate_loss_limits(LossConfig(objective="wgan-gp"), 0.07) is None


def test_every_objective_has_a_scale() -> None:
    field = next(
        item for item in LossConfig.__dataclass_fields__.values() if item.name == "objective"
    )
    assert set(LOSS_SCALES) == set(field.metadata["choices"])


@pytest.mark.parametrize(
    ("statistic", "objective", "calm", "ill", "name"),
    [
        ("gradient__critic_weights", "wgan", 29.0, 31.0, "exploding gradients"),
        ("gradient__generator_weights", "gan", 0.011, 0.009, "vanishing gradients"),
        ("speed__data_wait_percent", "gan", 9.9, 10.1, "data starvation"),
        ("overfitting__held_out", "r1", 0.05, -0.05, "overfitting D"),
        ("scores__real", "wgan-gp", -1.05, -1.15, "diverging D"),
        ("diversity__nearest", "gan", 0.46, 0.44, "mode collapse"),
    ],
)
def test_limits_are_where_the_docs_have_them(
    statistic: str, objective: str, calm: float, ill: float, name: str
) -> None:
    """The usual values are those of `synthetic.GOOD`: norms of 1, fakes of score -1, 0.9 apart."""
    for value, expected in ((calm, "ok"), (ill, name)):
        each = steps(
            LENGTH, **{statistic: after(ILL_FROM + 100, value, steps(1)[0][key(statistic)])}
        )
        assert diagnose(history(each, 16, objective)).name == expected, value


@pytest.mark.parametrize(
    ("statistic", "value", "name"),
    [
        ("gradient__critic_weights", 500.0, "exploding gradients"),
        ("gradient__generator_weights", 1e-4, "vanishing gradients"),
    ],
)
@pytest.mark.parametrize("length", [LENGTH, 3 * LENGTH])
def test_gradients_stay_unusual_however_long_they_are_so(
    statistic: str, value: float, name: str, length: int
) -> None:
    each = steps(length, **{statistic: after(200, value, 1.0)})
    assert diagnose(history(each, 16, "gan")).name == name


def key(statistic: str) -> str:
    return statistic.replace("__", "/").replace("_", "-")


@pytest.mark.parametrize(
    ("statistic", "before", "calm", "ill"),
    [("gradient__generator_weights", 1.0, 9.9, 10.1), ("diversity__nearest", 0.9, 0.46, 0.44)],
)
def test_a_fade_may_raise_gradients_tenfold_and_halve_the_diversity(
    statistic: str, before: float, calm: float, ill: float
) -> None:
    fade = {"schedule__resolution": after(600, 64.0, 32.0), "schedule__alpha": after(600, 0.3, 1.0)}
    for value, expected in ((calm, "ok"), (ill, "fade-in shock")):
        each = steps(LENGTH, **fade, **{statistic: after(600, value, before)})
        assert diagnose(history(each, 16, "wgan-gp")).name == expected, value


def test_what_could_not_be_checked_is_listed_when_nothing_could() -> None:
    each = [
        {name: value for name, value in row.items() if name.startswith("schedule/")}
        for row in steps(LENGTH)
    ]
    status = diagnose(history(each, 16, "gan"))
    assert status.name == "not checked"
    listed = dict(list_coverage_facts(status))["not checked"]
    assert "mode collapse (" in listed and "data starvation (" in listed

"""Places have names that lead there again."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from progan.explorer.view_state import (
    SEEDS,
    NamedLatent,
    PathStep,
    add_step,
    describe_latent,
    drop_last_step,
    format_latent,
    latent_at,
    next_seeds,
    parse_latent,
)
from progan.sampling.latents import seed_latents
from tests.for_each import for_each

SIZE = 8
PLACES = st.builds(
    NamedLatent, st.integers(0, SEEDS - 1),
    st.lists(st.builds(PathStep, st.integers(1, 100), st.integers(0, SEEDS - 1)), max_size=4
             ).map(tuple))


def seed(number: int) -> np.ndarray:
    return np.random.RandomState(number).randn(SIZE)


def test_a_seed_is_what_it_is_everywhere() -> None:
    np.testing.assert_array_equal(latent_at(NamedLatent(7), SIZE).numpy(), seed_latents([7], SIZE))


def test_a_step_is_a_turn_towards_a_seed() -> None:
    """Independently: a fifth of the angle, in the plane of both, and a fifth of the length."""
    found = latent_at(add_step(NamedLatent(7), 12, 20), SIZE).numpy()[0].astype(float)
    one, other = seed(7), seed(12)
    along = one / np.linalg.norm(one)
    across = other - (other @ along) * along
    across /= np.linalg.norm(across)
    angle = np.arctan2(other @ across, other @ along) / 5
    length = .8 * np.linalg.norm(one) + .2 * np.linalg.norm(other)
    np.testing.assert_allclose(found, length * (np.cos(angle) * along + np.sin(angle) * across),
                               rtol=1e-5)


def test_the_ends_of_a_way_are_exact() -> None:
    assert add_step(NamedLatent(7), 12, 0) == NamedLatent(7)
    np.testing.assert_array_equal(latent_at(add_step(NamedLatent(7), 12, 100), SIZE).numpy(),
                                  latent_at(NamedLatent(12), SIZE).numpy())


def test_steps_follow_each_other() -> None:
    place = add_step(add_step(NamedLatent(7), 12, 100), 13, 40)
    np.testing.assert_array_equal(latent_at(place, SIZE).numpy(),
                                  latent_at(add_step(NamedLatent(12), 13, 40), SIZE).numpy())
    assert drop_last_step(place) == add_step(NamedLatent(7), 12, 100)
    assert drop_last_step(NamedLatent(7)) == NamedLatent(7)


def test_every_step_opens_other_directions() -> None:
    assert next_seeds(NamedLatent(7), 0, 3) == (8, 9, 10)
    assert next_seeds(NamedLatent(7), 1, 3) == (11, 12, 13)
    assert next_seeds(add_step(NamedLatent(7), 12, 5), 0, 3) == (13, 14, 15)
    assert next_seeds(NamedLatent(SEEDS - 2), 0, 3) == (SEEDS - 1, 0, 1)


def test_words() -> None:
    assert describe_latent(NamedLatent(7)) == "seed 7"
    assert describe_latent(NamedLatent(7, (PathStep(25, 12), PathStep(50, 13)))) == (
        "seed 7, then 25% of the way to seed 12, 50% to seed 13")


@given(PLACES)
def test_a_brief_name_leads_back(place: NamedLatent) -> None:
    assert parse_latent(format_latent(place)) == place
    latent = latent_at(place, SIZE)
    assert latent.shape == (1, SIZE) and bool(latent.isfinite().all())


@for_each("text", [
    "", "x", "-1", "7,", "7,25", "7,25to", "7,0to1", "7,101to1", "4294967296", "7,5to4294967296",
    "7" + ",5to1" * 257, "7 ", "٧", "7,25to1\n", "1" * 99])
def test_anything_else_is_no_place(text: str) -> None:
    assert parse_latent(text) is None

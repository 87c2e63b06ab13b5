"""Places have names that lead there again."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from progan.explorer.places import (
    SEEDS,
    Place,
    Step,
    back,
    brief,
    from_brief,
    in_words,
    latent_at,
    next_seeds,
    onward,
)
from progan.sampling.latents import seed_latents
from tests.for_each import for_each

SIZE = 8
PLACES = st.builds(
    Place, st.integers(0, SEEDS - 1),
    st.lists(st.builds(Step, st.integers(1, 100), st.integers(0, SEEDS - 1)), max_size=4
             ).map(tuple))


def seed(number: int) -> np.ndarray:
    return np.random.RandomState(number).randn(SIZE)


def test_a_seed_is_what_it_is_everywhere() -> None:
    np.testing.assert_array_equal(latent_at(Place(7), SIZE).numpy(), seed_latents([7], SIZE))


def test_a_step_is_a_turn_towards_a_seed() -> None:
    """Independently: a fifth of the angle, in the plane of both, and a fifth of the length."""
    found = latent_at(onward(Place(7), 12, 20), SIZE).numpy()[0].astype(float)
    one, other = seed(7), seed(12)
    along = one / np.linalg.norm(one)
    across = other - (other @ along) * along
    across /= np.linalg.norm(across)
    angle = np.arctan2(other @ across, other @ along) / 5
    length = .8 * np.linalg.norm(one) + .2 * np.linalg.norm(other)
    np.testing.assert_allclose(found, length * (np.cos(angle) * along + np.sin(angle) * across),
                               rtol=1e-5)


def test_the_ends_of_a_way_are_exact() -> None:
    assert onward(Place(7), 12, 0) == Place(7)
    np.testing.assert_array_equal(latent_at(onward(Place(7), 12, 100), SIZE).numpy(),
                                  latent_at(Place(12), SIZE).numpy())


def test_steps_follow_each_other() -> None:
    place = onward(onward(Place(7), 12, 100), 13, 40)
    np.testing.assert_array_equal(latent_at(place, SIZE).numpy(),
                                  latent_at(onward(Place(12), 13, 40), SIZE).numpy())
    assert back(place) == onward(Place(7), 12, 100)
    assert back(Place(7)) == Place(7)


def test_every_step_opens_other_directions() -> None:
    assert next_seeds(Place(7), 0, 3) == (8, 9, 10)
    assert next_seeds(Place(7), 1, 3) == (11, 12, 13)
    assert next_seeds(onward(Place(7), 12, 5), 0, 3) == (13, 14, 15)
    assert next_seeds(Place(SEEDS - 2), 0, 3) == (SEEDS - 1, 0, 1)


def test_words() -> None:
    assert in_words(Place(7)) == "seed 7"
    assert in_words(Place(7, (Step(25, 12), Step(50, 13)))) == (
        "seed 7, then 25% of the way to seed 12, 50% to seed 13")


@given(PLACES)
def test_a_brief_name_leads_back(place: Place) -> None:
    assert from_brief(brief(place)) == place
    latent = latent_at(place, SIZE)
    assert latent.shape == (1, SIZE) and bool(latent.isfinite().all())


@for_each("text", [
    "", "x", "-1", "7,", "7,25", "7,25to", "7,0to1", "7,101to1", "4294967296", "7,5to4294967296",
    "7" + ",5to1" * 257, "7 ", "٧", "7,25to1\n", "1" * 99])
def test_anything_else_is_no_place(text: str) -> None:
    assert from_brief(text) is None

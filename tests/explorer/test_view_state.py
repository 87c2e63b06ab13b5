"""Named latents, and the state of the page."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from progan.explorer.view_state import (
    MAX_STEPS,
    NEIGHBOURS,
    NUM_SEEDS,
    ImageSpec,
    NamedLatent,
    PathStep,
    ViewState,
    add_step,
    compute_latent,
    describe_latent,
    drop_last_step,
    format_latent,
    format_query,
    list_neighbour_seeds,
    move_slider_and_reset_page,
    parse_latent,
    parse_query,
    restart_at_seed,
    set_target_and_reset_page,
    step_to_neighbour,
    undo_slider_or_last_step,
)
from progan.sampling.latents import seed_latents

SIZE = 8
PLACES = st.builds(
    NamedLatent,
    st.integers(0, NUM_SEEDS - 1),
    st.lists(
        st.builds(PathStep, st.integers(1, 100), st.integers(0, NUM_SEEDS - 1)), max_size=4
    ).map(tuple),
)
FIRST = ViewState(latent=NamedLatent(7), target=8, level=4)


def seed(number: int) -> np.ndarray:
    return np.random.RandomState(number).randn(SIZE)


def test_a_seed_is_what_it_is_everywhere() -> None:
    np.testing.assert_array_equal(
        compute_latent(NamedLatent(7), SIZE).numpy(), seed_latents([7], SIZE)
    )


def test_a_step_is_a_turn_towards_a_seed() -> None:
    """Independently: a fifth of the angle, in the plane of both, and a fifth of the length."""
    found = compute_latent(add_step(NamedLatent(7), 12, 20), SIZE).numpy()[0].astype(float)
    one, other = seed(7), seed(12)
    along = one / np.linalg.norm(one)
    across = other - (other @ along) * along
    across /= np.linalg.norm(across)
    angle = np.arctan2(other @ across, other @ along) / 5
    length = 0.8 * np.linalg.norm(one) + 0.2 * np.linalg.norm(other)
    np.testing.assert_allclose(
        found, length * (np.cos(angle) * along + np.sin(angle) * across), rtol=1e-5
    )


def test_the_ends_of_a_way_are_exact() -> None:
    assert add_step(NamedLatent(7), 12, 0) == NamedLatent(7)
    np.testing.assert_array_equal(
        compute_latent(add_step(NamedLatent(7), 12, 100), SIZE).numpy(),
        compute_latent(NamedLatent(12), SIZE).numpy(),
    )


def test_steps_follow_each_other() -> None:
    latent = add_step(add_step(NamedLatent(7), 12, 100), 13, 40)
    np.testing.assert_array_equal(
        compute_latent(latent, SIZE).numpy(),
        compute_latent(add_step(NamedLatent(12), 13, 40), SIZE).numpy(),
    )
    assert drop_last_step(latent) == add_step(NamedLatent(7), 12, 100)
    assert drop_last_step(NamedLatent(7)) == NamedLatent(7)


def test_every_step_opens_other_directions() -> None:
    assert list_neighbour_seeds(NamedLatent(7), 0, 3) == (8, 9, 10)
    assert list_neighbour_seeds(NamedLatent(7), 1, 3) == (11, 12, 13)
    assert list_neighbour_seeds(add_step(NamedLatent(7), 12, 5), 0, 3) == (13, 14, 15)
    assert list_neighbour_seeds(NamedLatent(NUM_SEEDS - 2), 0, 3) == (NUM_SEEDS - 1, 0, 1)


def test_words() -> None:
    assert describe_latent(NamedLatent(7)) == "seed 7"
    assert describe_latent(NamedLatent(7, (PathStep(25, 12), PathStep(50, 13)))) == (
        "seed 7, then 25% of the way to seed 12, 50% to seed 13"
    )


@given(PLACES)
def test_a_brief_name_leads_back(latent: NamedLatent) -> None:
    assert parse_latent(format_latent(latent)) == latent
    latent = compute_latent(latent, SIZE)
    assert latent.shape == (1, SIZE) and bool(latent.isfinite().all())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "-1",
        "7,",
        "7,25",
        "7,25to",
        "7,0to1",
        "7,101to1",
        "4294967296",
        "7,5to4294967296",
        "7" + ",5to1" * 257,
        "7 ",
        "٧",
        "7,25to1\n",
        "1" * 99,
    ],
)
def test_anything_else_is_no_place(text: str) -> None:
    assert parse_latent(text) is None


def parsed(text: str) -> dict[str, str]:
    return dict(part.split("=") for part in text.split("&"))


def test_a_seed_begins_anew() -> None:
    view = restart_at_seed(
        replace(
            move_slider_and_reset_page(set_target_and_reset_page(FIRST, 12), 30),
            neighbour_page=2,
            class_index=1,
            level=3,
        ),
        20,
    )
    assert view.current_latent == NamedLatent(20) and view.target == 21
    assert (view.neighbour_page, view.class_index, view.level) == (0, 1, 3)
    assert restart_at_seed(FIRST, -1).current_latent == NamedLatent(NUM_SEEDS - 1)
    assert restart_at_seed(FIRST, NUM_SEEDS).current_latent == NamedLatent(0)


def test_the_slider_goes_to_and_fro() -> None:
    assert move_slider_and_reset_page(
        set_target_and_reset_page(FIRST, 12), 30
    ).current_latent == NamedLatent(7, (PathStep(30, 12),))
    assert move_slider_and_reset_page(
        move_slider_and_reset_page(set_target_and_reset_page(FIRST, 12), 30), 0
    ).current_latent == NamedLatent(7)


def test_what_is_touched_at_once_may_come_in_any_order() -> None:
    assert move_slider_and_reset_page(
        set_target_and_reset_page(FIRST, 12), 30
    ) == set_target_and_reset_page(move_slider_and_reset_page(FIRST, 30), 12)


def test_a_step_starts_where_the_slider_is() -> None:
    view = step_to_neighbour(
        move_slider_and_reset_page(set_target_and_reset_page(FIRST, 12), 30), 13
    )
    assert view.current_latent == NamedLatent(
        7, (PathStep(30, 12), PathStep(view.step_percent, 13))
    )
    assert view.percent == 0


def test_neighbours_are_where_a_step_leads() -> None:
    neighbours = FIRST.neighbours
    assert list(neighbours) == list(range(8, 8 + NEIGHBOURS))
    for seed, spec in neighbours.items():
        assert step_to_neighbour(FIRST, seed).spec == spec


def test_the_way_back_is_the_way_here() -> None:
    view = move_slider_and_reset_page(
        set_target_and_reset_page(step_to_neighbour(FIRST, 9), 12), 30
    )
    ways = [
        view.current_latent,
        undo_slider_or_last_step(view).current_latent,
        undo_slider_or_last_step(undo_slider_or_last_step(view)).current_latent,
    ]
    assert ways == [
        NamedLatent(7, (PathStep(25, 9), PathStep(30, 12))),
        NamedLatent(7, (PathStep(25, 9),)),
        NamedLatent(7),
    ]
    assert undo_slider_or_last_step(FIRST) == FIRST


@pytest.mark.parametrize("percent", [0, 30])
def test_no_way_is_so_long_that_it_has_no_pictures(percent: int) -> None:
    view = FIRST
    while view.can_step:
        assert all(parse_query(parsed(format_query(spec))) for spec in view.neighbours.values())
        view = move_slider_and_reset_page(step_to_neighbour(view, 9), percent)
    assert step_to_neighbour(view, 9) == view and view.neighbours == {}
    assert MAX_STEPS - 1 <= len(view.current_latent.steps) <= MAX_STEPS
    assert (
        parse_query(parsed(format_query(move_slider_and_reset_page(view, 50).spec)))
        == move_slider_and_reset_page(view, 50).spec
    )
    assert undo_slider_or_last_step(undo_slider_or_last_step(view)).can_step


@given(PLACES, st.none() | st.integers(0, 99), st.integers(2, 10), st.integers(0, 200))
def test_an_address_names_a_picture(
    latent: NamedLatent, class_index: int | None, level: int, truncation: int
) -> None:
    spec = ImageSpec(latent, class_index, level, truncation)
    assert parse_query(parsed(format_query(spec))) == spec


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"at": "7"},
        {"level": "4"},
        {"at": "7", "level": "x"},
        {"at": "7", "level": "-4"},
        {"at": "7", "level": "9" * 5000},
        {"at": "7", "level": "4", "class": "9" * 5000},
        {"at": "7", "level": "4", "class": ""},
        {"at": "7", "level": "4", "psi": "-7"},
        {"at": "/etc/passwd", "level": "4"},
    ],
)
def test_anything_else_is_no_picture(query: dict[str, str]) -> None:
    assert parse_query(query) is None

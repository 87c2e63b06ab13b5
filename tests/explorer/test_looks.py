"""How the page changes, without a page."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progan.explorer.view_state import (
    MAX_STEPS,
    NEIGHBOURS,
    SEEDS,
    ImageSpec,
    NamedLatent,
    PathStep,
    ViewState,
    format_query,
    parse_query,
    set_percent,
    set_target,
    start_at_seed,
    step_back,
    step_to_neighbour,
)
from tests.explorer.test_places import PLACES

FIRST = ViewState(place=NamedLatent(7), target=8, level=4)


def parsed(text: str) -> dict[str, str]:
    return dict(part.split("=") for part in text.split("&"))


def test_a_seed_begins_anew() -> None:
    look = start_at_seed(replace(set_percent(set_target(FIRST,
                                                        12), 30), hand=2, kind=1, level=3), 20)
    assert look.here == NamedLatent(20) and look.target == 21
    assert (look.hand, look.kind, look.level) == (0, 1, 3)
    assert start_at_seed(FIRST, -1).here == NamedLatent(SEEDS - 1)
    assert start_at_seed(FIRST, SEEDS).here == NamedLatent(0)


def test_the_slider_goes_to_and_fro() -> None:
    assert set_percent(set_target(FIRST, 12), 30).here == NamedLatent(7, (PathStep(30, 12),))
    assert set_percent(set_percent(set_target(FIRST, 12), 30), 0).here == NamedLatent(7)


def test_what_is_touched_at_once_may_come_in_any_order() -> None:
    assert set_percent(set_target(FIRST, 12), 30) == set_target(set_percent(FIRST, 30), 12)


def test_a_step_starts_where_the_slider_is() -> None:
    look = step_to_neighbour(set_percent(set_target(FIRST, 12), 30), 13)
    assert look.here == NamedLatent(7, (PathStep(30, 12), PathStep(look.far, 13)))
    assert look.percent == 0


def test_neighbours_are_where_a_step_leads() -> None:
    neighbours = FIRST.neighbours
    assert list(neighbours) == list(range(8, 8 + NEIGHBOURS))
    for seed, sight in neighbours.items():
        assert step_to_neighbour(FIRST, seed).sight == sight


def test_the_way_back_is_the_way_here() -> None:
    look = set_percent(set_target(step_to_neighbour(FIRST, 9), 12), 30)
    ways = [look.here, step_back(look).here, step_back(step_back(look)).here]
    assert ways == [NamedLatent(7, (PathStep(25, 9), PathStep(30, 12))),
                    NamedLatent(7, (PathStep(25, 9),)), NamedLatent(7)]
    assert step_back(FIRST) == FIRST


@pytest.mark.parametrize("percent", [0, 30])
def test_no_way_is_so_long_that_it_has_no_pictures(percent: int) -> None:
    look = FIRST
    while look.leads_on:
        assert all(parse_query(parsed(format_query(sight))) for sight in look.neighbours.values())
        look = set_percent(step_to_neighbour(look, 9), percent)
    assert step_to_neighbour(look, 9) == look and look.neighbours == {}
    assert MAX_STEPS - 1 <= len(look.here.steps) <= MAX_STEPS
    assert parse_query(parsed(format_query(set_percent(look, 50).sight))) == set_percent(look,
                                                                                         50).sight
    assert step_back(step_back(look)).leads_on


@given(PLACES, st.none() | st.integers(0, 99), st.integers(2, 10))
def test_an_address_names_a_picture(place: NamedLatent, kind: int | None, level: int) -> None:
    sight = ImageSpec(place, kind, level)
    assert parse_query(parsed(format_query(sight))) == sight


@pytest.mark.parametrize("query", [
    {}, {"at": "7"}, {"level": "4"}, {"at": "7", "level": "x"}, {"at": "7", "level": "-4"},
    {"at": "7", "level": "9" * 5000}, {"at": "7", "level": "4", "class": "9" * 5000},
    {"at": "7", "level": "4", "class": ""}, {"at": "/etc/passwd", "level": "4"}])
def test_anything_else_is_no_picture(query: dict[str, str]) -> None:
    assert parse_query(query) is None

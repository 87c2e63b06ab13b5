"""How the page changes, without a page."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progan.explorer.looks import (
    NEIGHBOURS,
    Look,
    Sight,
    address,
    aimed,
    at_seed,
    from_address,
    pushed,
    returned,
    stepped,
)
from progan.explorer.places import MOST_STEPS, SEEDS, Place, Step
from tests.explorer.test_places import PLACES

FIRST = Look(place=Place(7), target=8, level=4)


def parsed(text: str) -> dict[str, str]:
    return dict(part.split("=") for part in text.split("&"))


def test_a_seed_begins_anew() -> None:
    look = at_seed(replace(pushed(aimed(FIRST, 12), 30), hand=2, kind=1, level=3), 20)
    assert look.here == Place(20) and look.target == 21
    assert (look.hand, look.kind, look.level) == (0, 1, 3)
    assert at_seed(FIRST, -1).here == Place(SEEDS - 1)
    assert at_seed(FIRST, SEEDS).here == Place(0)


def test_the_slider_goes_to_and_fro() -> None:
    assert pushed(aimed(FIRST, 12), 30).here == Place(7, (Step(30, 12),))
    assert pushed(pushed(aimed(FIRST, 12), 30), 0).here == Place(7)


def test_what_is_touched_at_once_may_come_in_any_order() -> None:
    assert pushed(aimed(FIRST, 12), 30) == aimed(pushed(FIRST, 30), 12)


def test_a_step_starts_where_the_slider_is() -> None:
    look = stepped(pushed(aimed(FIRST, 12), 30), 13)
    assert look.here == Place(7, (Step(30, 12), Step(look.far, 13)))
    assert look.percent == 0


def test_neighbours_are_where_a_step_leads() -> None:
    neighbours = FIRST.neighbours
    assert list(neighbours) == list(range(8, 8 + NEIGHBOURS))
    for seed, sight in neighbours.items():
        assert stepped(FIRST, seed).sight == sight


def test_the_way_back_is_the_way_here() -> None:
    look = pushed(aimed(stepped(FIRST, 9), 12), 30)
    ways = [look.here, returned(look).here, returned(returned(look)).here]
    assert ways == [Place(7, (Step(25, 9), Step(30, 12))), Place(7, (Step(25, 9),)), Place(7)]
    assert returned(FIRST) == FIRST


@pytest.mark.parametrize("percent", [0, 30])
def test_no_way_is_so_long_that_it_has_no_pictures(percent: int) -> None:
    look = FIRST
    while look.leads_on:
        assert all(from_address(parsed(address(sight))) for sight in look.neighbours.values())
        look = pushed(stepped(look, 9), percent)
    assert stepped(look, 9) == look and look.neighbours == {}
    assert MOST_STEPS - 1 <= len(look.here.steps) <= MOST_STEPS
    assert from_address(parsed(address(pushed(look, 50).sight))) == pushed(look, 50).sight
    assert returned(returned(look)).leads_on


@given(PLACES, st.none() | st.integers(0, 99), st.integers(2, 10))
def test_an_address_names_a_picture(place: Place, kind: int | None, level: int) -> None:
    sight = Sight(place, kind, level)
    assert from_address(parsed(address(sight))) == sight


@pytest.mark.parametrize("query", [
    {}, {"at": "7"}, {"level": "4"}, {"at": "7", "level": "x"}, {"at": "7", "level": "-4"},
    {"at": "7", "level": "9" * 5000}, {"at": "7", "level": "4", "class": "9" * 5000},
    {"at": "7", "level": "4", "class": ""}, {"at": "/etc/passwd", "level": "4"}])
def test_anything_else_is_no_picture(query: dict[str, str]) -> None:
    assert from_address(query) is None

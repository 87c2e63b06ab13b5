"""Numbers that people type, and the state of a tab."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest

from progan.explorer.callbacks import TabSession, parse_bounded_int
from progan.explorer.view_state import NamedLatent, ViewState, restart_at_seed

FIRST = ViewState(latent=NamedLatent(7), target=8, level=4)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7),
        (7.6, 8),
        (-3, 0),
        (250, 100),
        (1e30, 100),
        (None, None),
        ("", None),
        ("7", None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        ([7], None),
    ],
)
def test_numbers_are_the_nearest_possible_ones(value: object, number: int | None) -> None:
    assert parse_bounded_int(value, 0, 100) == number


def test_without_bounds_any_whole_number_will_do() -> None:
    assert parse_bounded_int(-(10**30)) == -(10**30)


def test_no_change_is_lost() -> None:
    session = TabSession(FIRST)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(200):
            pool.submit(session.change, lambda view: restart_at_seed(view, view.latent.seed + 1))
    assert session.view.latent == NamedLatent(207)


def test_each_tab_has_its_own() -> None:
    session = TabSession(FIRST)
    copy.deepcopy(session).change(lambda view: restart_at_seed(view, 3))
    assert session.view == FIRST

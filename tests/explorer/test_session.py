"""Changes of one tab."""

import copy
from concurrent.futures import ThreadPoolExecutor

from progan.explorer.looks import Look, at_seed
from progan.explorer.places import Place
from progan.explorer.session import Session

FIRST = Look(place=Place(7), target=8, level=4)


def test_no_change_is_lost() -> None:
    session = Session(FIRST)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(200):
            pool.submit(session.change, lambda look: at_seed(look, look.place.seed + 1))
    assert session.look.place == Place(207)


def test_each_tab_has_its_own() -> None:
    session = Session(FIRST)
    copy.deepcopy(session).change(lambda look: at_seed(look, 3))
    assert session.look == FIRST

"""Changes of one tab."""

import copy
from concurrent.futures import ThreadPoolExecutor

from progan.explorer.callbacks import TabSession
from progan.explorer.view_state import NamedLatent, ViewState, start_at_seed

FIRST = ViewState(place=NamedLatent(7), target=8, level=4)


def test_no_change_is_lost() -> None:
    session = TabSession(FIRST)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(200):
            pool.submit(session.change, lambda look: start_at_seed(look, look.place.seed + 1))
    assert session.look.place == NamedLatent(207)


def test_each_tab_has_its_own() -> None:
    session = TabSession(FIRST)
    copy.deepcopy(session).change(lambda look: start_at_seed(look, 3))
    assert session.look == FIRST

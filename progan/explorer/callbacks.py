"""Callbacks of the page: each control changes the view state, and changed controls are updated."""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from progan.explorer import markup
from progan.explorer.renderer import Renderer
from progan.explorer.view_state import (
    MAX_PERCENT,
    MAX_TRUNCATION,
    NUM_SEEDS,
    NamedLatent,
    ViewState,
    move_slider_and_reset_page,
    restart_at_seed,
    set_target_and_reset_page,
    step_to_neighbour,
)

CLASS_OF_SEED = -1  # choice in the list of classes
# Results come in the responses to the requests: Gradio's queue sometimes loses events if another
# request begins at that moment.
QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
Change = Callable[[ViewState], ViewState]
NumberChange = Callable[[ViewState, int], ViewState]


def parse_bounded_int(
    value: object, least: int | None = None, most: int | None = None
) -> int | None:
    """Return the nearest integer from `least` to `most`; None for anything but a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    number = round(value)
    number = number if least is None else max(number, least)
    return number if most is None else min(number, most)


class TabSession:
    """The view state of a browser tab; concurrent changes are applied one after the other."""

    def __init__(self, view: ViewState) -> None:
        self.view = view
        self._lock = threading.Lock()

    def change(self, change: Change) -> tuple[ViewState, ViewState]:
        """Apply a change; return the view before and after it."""
        with self._lock:
            before = self.view
            self.view = change(before)
            return before, self.view

    def __deepcopy__(self, memo: dict[int, Any]) -> "TabSession":
        """Gradio copies the initial session for each tab."""
        return TabSession(self.view)


@dataclass(frozen=True, kw_only=True, slots=True)
class Controls:
    """The components that show a view."""

    image: gr.HTML
    back: gr.Button
    tiles: gr.HTML
    seed: gr.Number
    target: gr.Number
    percent: gr.Slider
    step_percent: gr.Slider
    class_index: gr.Dropdown
    level: gr.Slider
    truncation: gr.Slider


NAMES = Controls.__slots__


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Connect controls to the session; each changes only its own part of the view."""

    renderer: Renderer
    session: gr.State
    controls: Controls

    def connect(self, buttons: Mapping[gr.Button, Change]) -> None:
        """Connect the buttons, the tiles of neighbours, the fields and the sliders."""
        for button, change in buttons.items():
            self._connect_button(button, change)
        self._connect_tiles()
        for name, (set_number, allowed) in make_number_changes(self.renderer).items():
            self._connect_number(name, set_number, allowed)

    def connect_save(
        self, button: gr.Button, result: gr.HTML, save: Callable[[ViewState], str]
    ) -> None:
        """Show the HTML that `save` returns."""
        button.click(lambda session: save(session.view), self.session, result, **QUIET)

    def _connect_button(self, button: gr.Button, change: Change) -> None:
        def update(session: TabSession) -> list[Any]:
            return self._updates(*session.change(change), NAMES)

        button.click(
            update, self.session, self._components(NAMES), trigger_mode="multiple", **QUIET
        )

    def _connect_tiles(self) -> None:
        def update(session: TabSession, event: gr.EventData) -> list[Any]:
            seed = int(event.seed)
            views = session.change(lambda view: step_to_neighbour(view, seed))
            return self._updates(*views, NAMES)

        self.controls.tiles.click(
            update, self.session, self._components(NAMES), trigger_mode="multiple", **QUIET
        )

    def _connect_number(self, name: str, set_number: NumberChange, allowed: range) -> None:
        """Connect a field or slider; it is updated itself only if its number was corrected.

        Otherwise an update could overwrite what is being typed.
        """
        others = [other for other in NAMES if other != name]
        control = getattr(self.controls, name)

        def update(session: TabSession, typed: object) -> list[Any]:
            number = parse_bounded_int(typed, allowed[0], allowed[-1])
            views = session.change(
                lambda view: view if number is None else set_number(view, number)
            )
            own = gr.skip() if number is None or number == typed else number
            return [own, *self._updates(*views, others)]

        control.input(
            update,
            [self.session, control],
            [control, *self._components(others)],
            preprocess=False,
            trigger_mode="always_last",
            **QUIET,
        )

    def _components(self, names: Sequence[str]) -> list[Any]:
        return [getattr(self.controls, name) for name in names]

    def _updates(self, before: ViewState, after: ViewState, names: Sequence[str]) -> list[Any]:
        """Return the values of these controls, `gr.skip()` for unchanged ones."""
        old, new = control_values(self.renderer, before), control_values(self.renderer, after)
        return [gr.skip() if old[name] == new[name] else new[name] for name in names]


def make_number_changes(renderer: Renderer) -> dict[str, tuple[NumberChange, range]]:
    """Return how each field and slider changes the view, and its allowed numbers."""
    return {
        "seed": (restart_at_seed, range(NUM_SEEDS)),
        "target": (set_target_and_reset_page, range(NUM_SEEDS)),
        "percent": (move_slider_and_reset_page, range(MAX_PERCENT + 1)),
        "step_percent": (
            lambda view, percent: replace(view, step_percent=percent),
            range(1, MAX_PERCENT + 1),
        ),
        "class_index": (set_class_or_default, range(CLASS_OF_SEED, len(renderer.class_names))),
        "level": (
            lambda view, level: replace(view, level=level),
            range(renderer.levels[0], renderer.levels[-1] + 1),
        ),
        "truncation": (
            lambda view, percent: replace(view, truncation=percent),
            range(MAX_TRUNCATION + 1),
        ),
    }


def set_class_or_default(view: ViewState, index: int) -> ViewState:
    return replace(view, class_index=None if index == CLASS_OF_SEED else index)


def control_values(renderer: Renderer, view: ViewState) -> dict[str, Any]:
    """Return the value of each control for a view."""
    return {
        "image": markup.image_html(renderer, view),
        "back": gr.update(interactive=view.current_latent != NamedLatent(view.latent.seed)),
        "tiles": markup.neighbours_html(renderer, view),
        "seed": view.latent.seed,
        "target": view.target,
        "percent": view.percent,
        "step_percent": view.step_percent,
        "class_index": CLASS_OF_SEED if view.class_index is None else view.class_index,
        "level": view.level,
        "truncation": view.truncation,
    }

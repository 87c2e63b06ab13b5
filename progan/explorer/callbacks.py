"""What the controls of the page do: input -> new view state -> what has changed."""

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
    NUM_SEEDS,
    NamedLatent,
    ViewState,
    set_percent,
    set_target,
    start_at_seed,
    step_to_neighbour,
)

CLASS_OF_SEED = -1  # in the list of classes: that of the seed
# Answers come at once, in the requests themselves: those of the queue are lost now and then if
# another request begins just when they are sent.
QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
Change = Callable[[ViewState], ViewState]


def parse_bounded_int(
    value: object, least: int | None = None, most: int | None = None
) -> int | None:
    """The nearest whole number from `least` to `most`; None if it is no number (yet)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    number = round(value)
    number = number if least is None else max(number, least)
    return number if most is None else min(number, most)


class TabSession:
    """Holds a view; of changes that come at once, each begins where another one has ended."""

    def __init__(self, view: ViewState) -> None:
        self.view = view
        self._turn = threading.Lock()

    def change(self, change: Callable[[ViewState], ViewState]) -> tuple[ViewState, ViewState]:
        """The view before and after."""
        with self._turn:
            before = self.view
            self.view = change(before)
            return before, self.view

    def __deepcopy__(self, memo: dict[int, Any]) -> "TabSession":
        """Each tab gets its own from the one that the page was made with."""
        return TabSession(self.view)


@dataclass(frozen=True, kw_only=True, slots=True)
class Controls:
    """What shows a view."""

    image: gr.HTML
    back: gr.Button
    tiles: gr.HTML
    seed: gr.Number
    target: gr.Number
    percent: gr.Slider
    step_percent: gr.Slider
    class_index: gr.Dropdown
    level: gr.Slider


NAMES = Controls.__slots__


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Each control changes what is its own, so that their order makes little difference."""

    renderer: Renderer
    session: gr.State
    controls: Controls

    def listen(self) -> None:
        """To all that shows a view."""
        self._to_tiles()
        self._to_number("seed", start_at_seed, 0, NUM_SEEDS - 1)
        self._to_number("target", set_target, 0, NUM_SEEDS - 1)
        self._to_number("percent", set_percent, 0, MAX_PERCENT)
        self._to_number(
            "step_percent",
            lambda view, percent: replace(view, step_percent=percent),
            1,
            MAX_PERCENT,
        )
        self._to_number("class_index", set_class, CLASS_OF_SEED, len(self.renderer.class_names) - 1)
        self._to_number(
            "level",
            lambda view, level: replace(view, level=level),
            self.renderer.levels[0],
            self.renderer.levels[-1],
        )

    def listen_to_buttons(self, changes: Mapping[gr.Button, Change]) -> None:
        for button, change in changes.items():
            self._to_button(button, change)

    def listen_to_saving(
        self, button: gr.Button, news: gr.HTML, save: Callable[[ViewState], str]
    ) -> None:
        """
        Args:
            save: Returns what to tell.
        """
        button.click(lambda held: save(held.view), self.session, news, **QUIET)

    def _to_button(self, button: gr.Button, change: Change) -> None:
        def answer(held: TabSession) -> list[Any]:
            return self._differences(*held.change(change), NAMES)

        button.click(answer, self.session, self._those(NAMES), trigger_mode="multiple", **QUIET)

    def _to_tiles(self) -> None:
        def answer(held: TabSession, event: gr.EventData) -> list[Any]:
            seed = int(event.seed)
            return self._differences(
                *held.change(lambda view: step_to_neighbour(view, seed)), NAMES
            )

        self.controls.tiles.click(
            answer, self.session, self._those(NAMES), trigger_mode="multiple", **QUIET
        )

    def _to_number(
        self, name: str, change: Callable[[ViewState, int], ViewState], *bounds: int
    ) -> None:
        """To a field or slider, which is left alone itself, as somebody may be typing on there,
        unless what counts is another number.
        """
        others = [other for other in NAMES if other != name]
        control = getattr(self.controls, name)

        def answer(held: TabSession, typed: object) -> list[Any]:
            number = parse_bounded_int(typed, *bounds)
            views = held.change(lambda view: view if number is None else change(view, number))
            own = gr.skip() if number is None or number == typed else number
            return [own, *self._differences(*views, others)]

        control.input(
            answer,
            [self.session, control],
            [control, *self._those(others)],
            preprocess=False,
            trigger_mode="always_last",
            **QUIET,
        )

    def _those(self, names: Sequence[str]) -> list[Any]:
        return [getattr(self.controls, name) for name in names]

    def _differences(self, before: ViewState, after: ViewState, names: Sequence[str]) -> list[Any]:
        """What these controls show of a view, where that is something new."""
        old, new = control_values(self.renderer, before), control_values(self.renderer, after)
        return [gr.skip() if old[name] == new[name] else new[name] for name in names]


def set_class(view: ViewState, kind: int) -> ViewState:
    return replace(view, class_index=None if kind == CLASS_OF_SEED else kind)


def control_values(renderer: Renderer, view: ViewState) -> dict[str, Any]:
    """What each control shows of a view."""
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
    }

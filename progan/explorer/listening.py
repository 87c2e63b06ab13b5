"""What happens when somebody touches the page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from progan.explorer import markup
from progan.explorer.fields import whole
from progan.explorer.looks import Look, aimed, at_seed, pushed, stepped
from progan.explorer.painter import Painter
from progan.explorer.places import SEEDS, WHOLE, Place
from progan.explorer.session import Session

OF_SEED = -1  # in the list of classes: that of the seed
# Answers come at once, in the requests themselves: those of the queue are lost now and then if
# another request begins just when they are sent.
QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}

Change = Callable[[Look], Look]


@dataclass(frozen=True, kw_only=True, slots=True)
class Controls:
    """What shows a look."""

    picture: gr.HTML
    back: gr.Button
    tiles: gr.HTML
    seed: gr.Number
    target: gr.Number
    percent: gr.Slider
    far: gr.Slider
    kind: gr.Dropdown
    level: gr.Slider


NAMES = Controls.__slots__


@dataclass(frozen=True, slots=True)
class Listener:
    """Each control changes what is its own, so that their order makes little difference."""

    painter: Painter
    session: gr.State
    controls: Controls

    def listen(self) -> None:
        """To all that shows a look."""
        self._to_tiles()
        self._to_number("seed", at_seed, 0, SEEDS - 1)
        self._to_number("target", aimed, 0, SEEDS - 1)
        self._to_number("percent", pushed, 0, WHOLE)
        self._to_number("far", lambda look, far: replace(look, far=far), 1, WHOLE)
        self._to_number("kind", of_kind, OF_SEED, len(self.painter.kinds) - 1)
        self._to_number("level", lambda look, level: replace(look, level=level),
                        self.painter.levels[0], self.painter.levels[-1])

    def listen_to_buttons(self, changes: Mapping[gr.Button, Change]) -> None:
        for button, change in changes.items():
            self._to_button(button, change)

    def listen_to_saving(self, button: gr.Button, news: gr.HTML, save: Callable[[Look], str]
                         ) -> None:
        """
        Args:
            save: Returns what to tell.
        """
        button.click(lambda held: save(held.look), self.session, news, **QUIET)

    def _to_button(self, button: gr.Button, change: Change) -> None:
        def answer(held: Session) -> list[Any]:
            return self._differences(*held.change(change), NAMES)
        button.click(answer, self.session, self._those(NAMES), trigger_mode="multiple", **QUIET)

    def _to_tiles(self) -> None:
        def answer(held: Session, event: gr.EventData) -> list[Any]:
            seed = int(event.seed)
            return self._differences(*held.change(lambda look: stepped(look, seed)), NAMES)
        self.controls.tiles.click(answer, self.session, self._those(NAMES),
                                  trigger_mode="multiple", **QUIET)

    def _to_number(self, name: str, change: Callable[[Look, int], Look], *bounds: int) -> None:
        """To a field or slider, which is left alone itself, as somebody may be typing on there,
        unless what counts is another number.
        """
        others = [other for other in NAMES if other != name]
        control = getattr(self.controls, name)

        def answer(held: Session, typed: object) -> list[Any]:
            number = whole(typed, *bounds)
            looks = held.change(lambda look: look if number is None else change(look, number))
            own = gr.skip() if number is None or number == typed else number
            return [own, *self._differences(*looks, others)]
        control.input(answer, [self.session, control], [control, *self._those(others)],
                      preprocess=False, trigger_mode="always_last", **QUIET)

    def _those(self, names: Sequence[str]) -> list[Any]:
        return [getattr(self.controls, name) for name in names]

    def _differences(self, before: Look, after: Look, names: Sequence[str]) -> list[Any]:
        """What these controls show of a look, where that is something new."""
        old, new = shown(self.painter, before), shown(self.painter, after)
        return [gr.skip() if old[name] == new[name] else new[name] for name in names]


def of_kind(look: Look, kind: int) -> Look:
    return replace(look, kind=None if kind == OF_SEED else kind)


def shown(painter: Painter, look: Look) -> dict[str, Any]:
    """What each control shows of a look."""
    return {"picture": markup.picture(painter, look),
            "back": gr.update(interactive=look.here != Place(look.place.seed)),
            "tiles": markup.neighbours(painter, look), "seed": look.place.seed,
            "target": look.target, "percent": look.percent, "far": look.far,
            "kind": OF_SEED if look.kind is None else look.kind, "level": look.level}

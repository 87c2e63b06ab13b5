"""The page: Gradio's components, and what happens when somebody touches one."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import gradio as gr

from progan.errors import UserError
from progan.explorer import markup
from progan.explorer.fields import whole
from progan.explorer.looks import Look, aimed, at_seed, pushed, returned, stepped
from progan.explorer.painter import Painter
from progan.explorer.places import WHOLE, Place
from progan.explorer.saving import save
from progan.explorer.session import Session

TITLE = "progan explorer"
RANDOM_SEEDS = 10_000  # such that people can remember them
OF_SEED = -1  # in the list of classes: that of the seed
FONTS = ["system-ui", "sans-serif"]
CODE_FONTS = ["ui-monospace", "monospace"]
# Answers come at once, in the requests themselves: those of the queue are lost now and then if
# another request begins just when they are sent.
QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}

Change = Callable[..., Look]


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


def page(painter: Painter, first: Look, folder: Path, text: Mapping[str, str]) -> gr.Blocks:
    """The page of a network.

    Args:
        first: What is shown at first.
        folder, text: Where pictures are saved, and what is written into them.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as blocks:
        session = gr.State(Session(first))
        gr.HTML(markup.heading(painter), elem_id="heading", apply_default_css=False)
        with gr.Row(elem_id="rooms"):
            with gr.Column(elem_id="easel", min_width=280, scale=6):
                picture = _pictures(markup.picture(painter, first), "picture")
                with gr.Row(elem_classes="buttons"):
                    back = _button("Step back", interactive=False)
                    keep = _button("Save", variant="primary")
                saved = gr.HTML("", elem_id="saved", apply_default_css=False)
            with gr.Column(elem_id="controls", min_width=280, scale=5):
                seed, turns = _seed(first)
                target, percent = _way(first)
                tiles, far, others = _neighbours(painter, first)
                with gr.Row():
                    kind, level = _kind(painter, first), _level(painter, first)
        controls = Controls(picture=picture, back=back, tiles=tiles, seed=seed, target=target,
                            percent=percent, far=far, kind=kind, level=level)
        _listen(painter, session, controls, turns, others)
        keep.click(lambda held: _saved(painter, held.look, folder, text), session, saved, **QUIET)
    return blocks


def _pictures(content: str, name: str) -> gr.HTML:
    return gr.HTML(content, elem_id=name, apply_default_css=False, js_on_load=_part("page.js"))


def _button(words: str, **settings: Any) -> gr.Button:
    """Known to style sheets and tests by its first word."""
    return gr.Button(words, min_width=70, elem_id=words.split()[0].lower(), **settings)


def style() -> dict[str, Any]:
    """Looks of the page: greys, as colours are the pictures', and the machine's own letters."""
    theme = gr.themes.Base(primary_hue="neutral", secondary_hue="neutral", neutral_hue="neutral",
                           font=FONTS, font_mono=CODE_FONTS).set(
        block_background_fill="transparent", block_background_fill_dark="transparent",
        block_border_width="0px", block_shadow="none",
        block_padding="0px", block_label_text_size="*text_sm", layout_gap="1rem",
        body_background_fill="*neutral_50", body_background_fill_dark="*neutral_950",
        button_border_width="1px", button_large_text_weight="500",
        button_secondary_background_fill="transparent",
        button_secondary_background_fill_dark="transparent",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        button_primary_background_fill="*neutral_800",
        button_primary_background_fill_hover="*neutral_700",
        button_primary_background_fill_dark="*neutral_200",
        button_primary_background_fill_hover_dark="*neutral_50",
        button_primary_text_color_dark="*neutral_900",
        slider_color="*neutral_600", slider_color_dark="*neutral_300")
    return {"theme": theme, "css": _part("page.css")}


def _part(name: str) -> str:
    return (files("progan.explorer") / name).read_text("utf-8")


def _seed(first: Look) -> tuple[gr.Number, dict[gr.Button, Change]]:
    with gr.Row(elem_classes="buttons"):
        seed = _seed_number(first.place.seed, "Seed", "seed")
        turns: dict[gr.Button, Change] = {
            _button("Previous"): lambda look: at_seed(look, look.place.seed - 1),
            _button("Next"): lambda look: at_seed(look, look.place.seed + 1),
            _button("Random"): lambda look: at_seed(look, secrets.randbelow(RANDOM_SEEDS))}
    return seed, turns


def _way(first: Look) -> tuple[gr.Number, gr.Slider]:
    with gr.Row():
        target = _seed_number(first.target, "Towards seed", "target")
        percent = _percents(first.percent, 0, "How far, %", "percent", scale=3)
    return target, percent


def _neighbours(painter: Painter, first: Look) -> tuple[gr.HTML, gr.Slider, gr.Button]:
    tiles = _pictures(markup.neighbours(painter, first), "tiles")
    with gr.Row(elem_classes="buttons"):
        far = _percents(first.far, 1, "Step, %", "far", scale=3)
        others = _button("Others")
    return tiles, far, others


def _seed_number(value: int, words: str, name: str) -> gr.Number:
    return gr.Number(value, label=words, precision=0, min_width=110, elem_id=name)


def _percents(value: int, least: int, words: str, name: str, scale: int) -> gr.Slider:
    return gr.Slider(least, WHOLE, value, step=1, label=words, min_width=150, scale=scale,
                     buttons=[], elem_id=name)


def _kind(painter: Painter, first: Look) -> gr.Dropdown:
    choices = [("that of the seed", OF_SEED), *((name, index) for index, name in
                                                enumerate(painter.kinds))]
    return gr.Dropdown(choices, value=OF_SEED if first.kind is None else first.kind, label="Class",
                       visible=bool(painter.kinds), min_width=150, elem_id="kind")


def _level(painter: Painter, first: Look) -> gr.Slider:
    lowest, highest = painter.levels[0], painter.levels[-1]
    words = " to ".join(painter.size(level).brief for level in (lowest, highest))
    return gr.Slider(lowest, highest, first.level, step=1, label=f"Resolution, {words}",
                     visible=lowest < highest, min_width=150, buttons=[], elem_id="level")


def _listen(painter: Painter, session: gr.State, controls: Controls,
            turns: dict[gr.Button, Change], others: gr.Button) -> None:
    """Each control changes what is its own, so that their order makes little difference."""
    everywhere = Controls.__slots__

    def on(event: Any, change: Change) -> None:
        """Of a button."""
        def answer(held: Session) -> list[Any]:
            return _differences(painter, *held.change(change), everywhere)
        event(answer, session, [getattr(controls, name) for name in everywhere],
              trigger_mode="multiple", **QUIET)

    def on_number(name: str, change: Change, *bounds: int) -> None:
        """Of a field or slider, which is left alone itself: somebody may be typing on."""
        names = [other for other in everywhere if other != name]

        def answer(held: Session, typed: object) -> list[Any]:
            number = whole(typed, *bounds)
            looks = held.change(lambda look: look if number is None else change(look, number))
            return _differences(painter, *looks, names)
        event = getattr(controls, name).input
        event(answer, [session, getattr(controls, name)],
              [getattr(controls, other) for other in names], preprocess=False,
              trigger_mode="always_last", **QUIET)

    def step(held: Session, event: gr.EventData) -> list[Any]:
        looks = held.change(lambda look: stepped(look, int(event.seed)))
        return _differences(painter, *looks, everywhere)

    for button, change in turns.items():
        on(button.click, change)
    on(controls.back.click, returned)
    on(others.click, lambda look: replace(look, hand=look.hand + 1))
    controls.tiles.click(step, session, [getattr(controls, name) for name in everywhere],
                         trigger_mode="multiple", **QUIET)
    on_number("seed", at_seed)
    on_number("target", aimed)
    on_number("percent", pushed, 0, WHOLE)
    on_number("far", lambda look, far: replace(look, far=far), 1, WHOLE)
    on_number("kind", lambda look, kind: replace(look, kind=None if kind == OF_SEED else kind),
              OF_SEED, len(painter.kinds) - 1)
    on_number("level", lambda look, level: replace(look, level=level), painter.levels[0],
              painter.levels[-1])


def _differences(painter: Painter, before: Look, after: Look, names: Sequence[str]) -> list[Any]:
    """What these controls show of a look, where that is something new."""
    old, new = _shown(painter, before), _shown(painter, after)
    return [gr.skip() if old[name] == new[name] else new[name] for name in names]


def _shown(painter: Painter, look: Look) -> dict[str, Any]:
    """What each control shows of a look."""
    return {"picture": markup.picture(painter, look),
            "back": gr.update(interactive=look.here != Place(look.place.seed)),
            "tiles": markup.neighbours(painter, look), "seed": look.place.seed,
            "target": look.target, "percent": look.percent, "far": look.far,
            "kind": OF_SEED if look.kind is None else look.kind, "level": look.level}


def _saved(painter: Painter, look: Look, folder: Path, text: Mapping[str, str]) -> str:
    try:
        return markup.saved(save(painter, look.sight, folder, text))
    except (UserError, OSError) as error:
        return markup.failed(str(error))

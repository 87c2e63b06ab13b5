"""The page: Gradio's components, in their places."""

import secrets
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from progan.door import in_words
from progan.errors import UserError
from progan.explorer import markup
from progan.explorer.listening import OF_SEED, Change, Controls, Listener
from progan.explorer.looks import Look, at_seed, on_to_others, returned
from progan.explorer.painter import Painter
from progan.explorer.places import WHOLE
from progan.explorer.saving import save
from progan.explorer.session import Session
from progan.explorer.theme import part

TITLE = "progan explorer"
RANDOM_SEEDS = 10_000  # such that people can remember them


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
        listener = Listener(painter, session, controls)
        listener.listen()
        listener.listen_to_buttons({back: returned, others: on_to_others, **turns})
        listener.listen_to_saving(keep, saved, lambda look: _saved(painter, look, folder, text))
    return blocks


def _pictures(content: str, name: str) -> gr.HTML:
    return gr.HTML(content, elem_id=name, apply_default_css=False, js_on_load=part("page.js"))


def _button(words: str, **settings: Any) -> gr.Button:
    """Known to style sheets and tests by its first word."""
    return gr.Button(words, min_width=70, elem_id=words.split()[0].lower(), **settings)


def _seed(first: Look) -> tuple[gr.Number, dict[gr.Button, Change]]:
    with gr.Row(elem_classes="buttons"):
        seed = _seed_number(first.place.seed, "Seed", "seed")
        turns: dict[gr.Button, Change] = {
            _button("Previous"): lambda look: at_seed(look, look.place.seed - 1),
            _button("Next"): lambda look: at_seed(look, look.place.seed + 1),
            _button("Random"): lambda look: at_seed(look, _another(look.place.seed))}
    return seed, turns


def _another(seed: int) -> int:
    """A random seed that is not this one."""
    return (seed + 1 + secrets.randbelow(RANDOM_SEEDS - 1)) % RANDOM_SEEDS


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
    choices = [("that of the seed", OF_SEED), *((markup.readable(name), index)
                                                for index, name in enumerate(painter.kinds))]
    return gr.Dropdown(choices, value=OF_SEED if first.kind is None else first.kind, label="Class",
                       visible=bool(painter.kinds), min_width=150, elem_id="kind")


def _level(painter: Painter, first: Look) -> gr.Slider:
    lowest, highest = painter.levels[0], painter.levels[-1]
    words = " to ".join(painter.size(level).brief for level in (lowest, highest))
    return gr.Slider(lowest, highest, first.level, step=1, label=f"Resolution, {words}",
                     visible=lowest < highest, min_width=150, buttons=[], elem_id="level")


def _saved(painter: Painter, look: Look, folder: Path, text: Mapping[str, str]) -> str:
    """What to tell; the page must never answer nothing, as if all were well."""
    try:
        return markup.saved(save(painter, look.sight, folder, text))
    except UserError as error:
        return markup.failed(str(error))
    except OSError as error:
        return markup.failed(in_words(error))
    except Exception:  # bugs keep their traceback, where the door would show it
        traceback.print_exc()
        return markup.failed("That is a mistake of this program: the terminal says more.")

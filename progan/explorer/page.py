"""The page: Gradio's components and style, and the ASGI app that serves it with its images."""

import asyncio
import secrets
import traceback
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from progan.command import describe_os_error
from progan.errors import UserError
from progan.explorer import markup
from progan.explorer.callbacks import CLASS_OF_SEED, Callbacks, Change, Controls, TabSession
from progan.explorer.renderer import Renderer, save_image_and_latent
from progan.explorer.server import ICON_PATH, IMAGE_PATH, MANIFEST_PATH, App, restrict_to_local_page
from progan.explorer.view_state import (
    MAX_PERCENT,
    ImageSpec,
    NamedLatent,
    ViewState,
    next_neighbours,
    parse_query,
    start_at_seed,
    step_back,
)

FONTS = ["system-ui", "sans-serif"]  # the machine's own: none are fetched
CODE_FONTS = ["ui-monospace", "monospace"]
TITLE = "progan explorer"
RANDOM_SEEDS = 10_000  # such that people can remember them
# The address names network and picture, so what is there never changes.
CACHE_HEADERS = {"cache-control": "private, max-age=86400, immutable"}


def gradio_style() -> dict[str, Any]:
    """Greys, so that the pictures have the colours; as Gradio takes it."""
    theme = gr.themes.Base(
        primary_hue="neutral",
        secondary_hue="neutral",
        neutral_hue="neutral",
        font=FONTS,
        font_mono=CODE_FONTS,
    ).set(
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_shadow="none",
        block_padding="0px",
        block_label_text_size="*text_sm",
        layout_gap="1rem",
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        button_border_width="1px",
        button_large_text_weight="500",
        button_secondary_background_fill="transparent",
        button_secondary_background_fill_dark="transparent",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        button_primary_background_fill="*neutral_800",
        button_primary_background_fill_hover="*neutral_700",
        button_primary_background_fill_dark="*neutral_200",
        button_primary_background_fill_hover_dark="*neutral_50",
        button_primary_text_color_dark="*neutral_900",
        slider_color="*neutral_600",
        slider_color_dark="*neutral_300",
    )
    return {"theme": theme, "css": read_asset("page.css")}


def read_asset(name: str) -> str:
    """A file of the page."""
    return (files("progan.explorer") / name).read_text("utf-8")


def build_page(
    renderer: Renderer, first: ViewState, folder: Path, text: Mapping[str, str]
) -> gr.Blocks:
    """The page of a network.

    Args:
        first: What is shown at first.
        folder, text: Where pictures are saved, and what is written into them.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as blocks:
        session = gr.State(TabSession(first))
        gr.HTML(markup.heading_html(renderer), elem_id="heading", apply_default_css=False)
        with gr.Row(elem_id="rooms"):
            with gr.Column(elem_id="easel", min_width=280, scale=6):
                image = _image_html(markup.image_html(renderer, first), "image")
                with gr.Row(elem_classes="buttons"):
                    back = _button("Step back", interactive=False)
                    keep = _button("Save", variant="primary")
                saved = gr.HTML("", elem_id="saved", apply_default_css=False)
            with gr.Column(elem_id="controls", min_width=280, scale=5):
                seed, turns = _seed(first)
                target, percent = _way(first)
                tiles, far, others = _neighbours(renderer, first)
                with gr.Row():
                    kind, level = _kind(renderer, first), _level(renderer, first)
        controls = Controls(
            image=image,
            back=back,
            tiles=tiles,
            seed=seed,
            target=target,
            percent=percent,
            step_percent=far,
            class_index=kind,
            level=level,
        )
        listener = Callbacks(renderer, session, controls)
        listener.listen()
        listener.listen_to_buttons({back: step_back, others: next_neighbours, **turns})
        listener.listen_to_saving(keep, saved, lambda view: _save(renderer, view, folder, text))
    return blocks


def _image_html(content: str, name: str) -> gr.HTML:
    return gr.HTML(content, elem_id=name, apply_default_css=False, js_on_load=read_asset("page.js"))


def _button(words: str, **settings: Any) -> gr.Button:
    """Known to style sheets and tests by its first word."""
    return gr.Button(words, min_width=70, elem_id=words.split()[0].lower(), **settings)


def _seed(first: ViewState) -> tuple[gr.Number, dict[gr.Button, Change]]:
    with gr.Row(elem_classes="buttons"):
        seed = _seed_number(first.latent.seed, "Seed", "seed")
        turns: dict[gr.Button, Change] = {
            _button("Previous"): lambda view: start_at_seed(view, view.latent.seed - 1),
            _button("Next"): lambda view: start_at_seed(view, view.latent.seed + 1),
            _button("Random"): lambda view: start_at_seed(
                view, _random_other_seed(view.latent.seed)
            ),
        }
    return seed, turns


def _random_other_seed(seed: int) -> int:
    """A random seed that is not this one."""
    return (seed + 1 + secrets.randbelow(RANDOM_SEEDS - 1)) % RANDOM_SEEDS


def _way(first: ViewState) -> tuple[gr.Number, gr.Slider]:
    with gr.Row():
        target = _seed_number(first.target, "Towards seed", "target")
        percent = _percents(first.percent, 0, "How far, %", "percent", scale=3)
    return target, percent


def _neighbours(renderer: Renderer, first: ViewState) -> tuple[gr.HTML, gr.Slider, gr.Button]:
    tiles = _image_html(markup.neighbours_html(renderer, first), "tiles")
    with gr.Row(elem_classes="buttons"):
        far = _percents(first.step_percent, 1, "Step, %", "far", scale=3)
        others = _button("Others")
    return tiles, far, others


def _seed_number(value: int, words: str, name: str) -> gr.Number:
    return gr.Number(value, label=words, precision=0, min_width=110, elem_id=name)


def _percents(value: int, least: int, words: str, name: str, scale: int) -> gr.Slider:
    return gr.Slider(
        least,
        MAX_PERCENT,
        value,
        step=1,
        label=words,
        min_width=150,
        scale=scale,
        buttons=[],
        elem_id=name,
    )


def _kind(renderer: Renderer, first: ViewState) -> gr.Dropdown:
    choices = [
        ("that of the seed", CLASS_OF_SEED),
        *((markup.utf8_safe(name), index) for index, name in enumerate(renderer.class_names)),
    ]
    return gr.Dropdown(
        choices,
        value=CLASS_OF_SEED if first.class_index is None else first.class_index,
        label="Class",
        visible=bool(renderer.class_names),
        min_width=150,
        elem_id="kind",
    )


def _level(renderer: Renderer, first: ViewState) -> gr.Slider:
    lowest, highest = renderer.levels[0], renderer.levels[-1]
    words = " to ".join(renderer.size(level).brief for level in (lowest, highest))
    return gr.Slider(
        lowest,
        highest,
        first.level,
        step=1,
        label=f"Resolution, {words}",
        visible=lowest < highest,
        min_width=150,
        buttons=[],
        elem_id="level",
    )


def _save(renderer: Renderer, view: ViewState, folder: Path, text: Mapping[str, str]) -> str:
    """What to tell; the page must never answer nothing, as if all were well."""
    try:
        return markup.saved_html(save_image_and_latent(renderer, view.spec, folder, text))
    except UserError as error:
        return markup.save_error_html(str(error))
    except OSError as error:
        return markup.save_error_html(describe_os_error(error))
    except Exception:  # bugs keep their traceback, where the door would show it
        traceback.print_exc()
        return markup.save_error_html("That is a mistake of this program: the terminal says more.")


def asgi_app(renderer: Renderer, blocks: gr.Blocks) -> App:
    """An app of ASGI that shows the page to browsers on this machine."""
    app = FastAPI(openapi_url=None)
    app.add_route(IMAGE_PATH, _image_route(renderer))
    app.add_route(ICON_PATH, _icon_route(renderer))
    app.add_route(MANIFEST_PATH, lambda request: JSONResponse({"name": TITLE}))
    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        root_path="",
        **gradio_style(),
    )
    return restrict_to_local_page(app)


def _image_route(renderer: Renderer) -> Callable[[Request], Awaitable[Response]]:
    turn = asyncio.Lock()

    async def picture(request: Request) -> Response:
        """The PNG file of a spec; nothing for a browser that has gone on to another one."""
        spec = parse_query(request.query_params)
        if spec is None or not renderer.can_render(spec):
            return Response(status_code=404)
        await request.body()  # empty, and in the way of the news that nobody waits any more
        async with turn:
            if await request.is_disconnected():
                return Response(status_code=204)
            content = await asyncio.to_thread(renderer.png, spec)
        return Response(content, media_type="image/png", headers=CACHE_HEADERS)

    return picture


def _icon_route(renderer: Renderer) -> Callable[[Request], Response]:
    """The tab's icon: what the network draws at its lowest resolution."""
    content = renderer.png(ImageSpec(NamedLatent(0), None, renderer.levels[0]))
    return lambda request: Response(content, media_type="image/png")

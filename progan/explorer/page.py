"""The page: Gradio's components and style, and the ASGI app that serves it with its images."""

import asyncio
import secrets
import traceback
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from progan.command import describe_os_error
from progan.errors import UserError
from progan.explorer import markup
from progan.explorer.callbacks import CLASS_OF_SEED, Callbacks, Change, Controls, TabSession
from progan.explorer.renderer import IMAGE_PATH, Renderer, save_image_and_latent
from progan.explorer.server import ICON_PATH, MANIFEST_PATH, restrict_to_local_page
from progan.explorer.view_state import (
    MAX_PERCENT,
    MAX_TRUNCATION,
    ImageSpec,
    NamedLatent,
    ViewState,
    parse_query,
    restart_at_seed,
    turn_neighbour_page,
    undo_slider_or_last_step,
)

if TYPE_CHECKING:
    from starlette.types import ASGIApp

TITLE = "progan explorer"
RANDOM_SEEDS = 10_000  # few digits are easy to remember
# The URL names network and image, so the response never changes.
CACHE_HEADERS = {"cache-control": "private, max-age=86400, immutable"}
COLORS = {  # greys, so that only the images are coloured
    "block_background_fill": "transparent",
    "block_background_fill_dark": "transparent",
    "body_background_fill": "*neutral_50",
    "body_background_fill_dark": "*neutral_950",
    "button_secondary_background_fill": "transparent",
    "button_secondary_background_fill_dark": "transparent",
    "button_secondary_border_color": "*neutral_300",
    "button_secondary_border_color_dark": "*neutral_700",
    "button_primary_background_fill": "*neutral_800",
    "button_primary_background_fill_hover": "*neutral_700",
    "button_primary_background_fill_dark": "*neutral_200",
    "button_primary_background_fill_hover_dark": "*neutral_50",
    "button_primary_text_color_dark": "*neutral_900",
    "slider_color": "*neutral_600",
    "slider_color_dark": "*neutral_300",
}


def gradio_style() -> dict[str, Any]:
    """Return theme and CSS as arguments of Gradio."""
    theme = gr.themes.Base(
        primary_hue="neutral",
        secondary_hue="neutral",
        neutral_hue="neutral",
        font=["system-ui", "sans-serif"],  # installed fonts: none are fetched
        font_mono=["ui-monospace", "monospace"],
    ).set(
        block_border_width="0px",
        block_shadow="none",
        block_padding="0px",
        block_label_text_size="*text_sm",
        layout_gap="1rem",
        button_border_width="1px",
        button_large_text_weight="500",
        **COLORS,
    )
    return {"theme": theme, "css": read_asset("page.css")}


def read_asset(name: str) -> str:
    """Read a CSS or script file of the page."""
    return (files("progan.explorer") / name).read_text("utf-8")


def build_page(
    renderer: Renderer, first: ViewState, folder: Path, text: Mapping[str, str]
) -> gr.Blocks:
    """Build the page of a network.

    Args:
        first: The initial view.
        folder, text: Where images are saved, and the provenance to write into them.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as blocks:
        session = gr.State(TabSession(first))
        gr.HTML(markup.heading_html(renderer), elem_id="heading", apply_default_css=False)
        with gr.Row(elem_id="layout"):
            with gr.Column(elem_id="image-column", min_width=280, scale=6):
                image = _image_html(markup.image_html(renderer, first), "image")
                with gr.Row(elem_classes="buttons"):
                    back = _button("Step back", interactive=False)
                    save = _button("Save", variant="primary")
                saved = gr.HTML("", elem_id="saved", apply_default_css=False)
            with gr.Column(elem_id="controls", min_width=280, scale=5):
                with gr.Row(elem_classes="buttons"):
                    seed = _seed_number(first.latent.seed, "Seed", "seed")
                    seed_buttons = _seed_buttons()
                with gr.Row():
                    target = _seed_number(first.target, "Towards seed", "target")
                    percent = _percent_slider(first.percent, 0, "How far, %", "percent")
                tiles = _image_html(markup.neighbours_html(renderer, first), "tiles")
                with gr.Row(elem_classes="buttons"):
                    step_percent = _percent_slider(first.step_percent, 1, "Step, %", "far")
                    others = _button("Others")
                with gr.Row():
                    class_index = _class_dropdown(renderer, first)
                    level = _level_slider(renderer, first)
                truncation = _truncation_slider(first)
        controls = Controls(
            image=image,
            back=back,
            tiles=tiles,
            seed=seed,
            target=target,
            percent=percent,
            step_percent=step_percent,
            class_index=class_index,
            level=level,
            truncation=truncation,
        )
        callbacks = Callbacks(renderer, session, controls)
        callbacks.connect(
            {back: undo_slider_or_last_step, others: turn_neighbour_page, **seed_buttons}
        )
        callbacks.connect_save(
            save, saved, lambda view: _save_and_render_message(renderer, view, folder, text)
        )
    return blocks


def _image_html(content: str, name: str) -> gr.HTML:
    return gr.HTML(content, elem_id=name, apply_default_css=False, js_on_load=read_asset("page.js"))


def _button(label: str, **settings: Any) -> gr.Button:
    """Make a button whose id, for style sheets and tests, is its first word."""
    return gr.Button(label, min_width=70, elem_id=label.split()[0].lower(), **settings)


def _seed_buttons() -> dict[gr.Button, Change]:
    return {
        _button("Previous"): lambda view: restart_at_seed(view, view.latent.seed - 1),
        _button("Next"): lambda view: restart_at_seed(view, view.latent.seed + 1),
        _button("Random"): lambda view: restart_at_seed(view, _choose_other_seed(view.latent.seed)),
    }


def _choose_other_seed(seed: int) -> int:
    """Return a random seed that is not this one."""
    return (seed + 1 + secrets.randbelow(RANDOM_SEEDS - 1)) % RANDOM_SEEDS


def _seed_number(value: int, label: str, name: str) -> gr.Number:
    return gr.Number(value, label=label, precision=0, min_width=110, elem_id=name)


def _percent_slider(value: int, least: int, label: str, name: str) -> gr.Slider:
    sizes = {"min_width": 150, "scale": 3}
    return gr.Slider(
        least, MAX_PERCENT, value, step=1, label=label, buttons=[], elem_id=name, **sizes
    )


def _class_dropdown(renderer: Renderer, first: ViewState) -> gr.Dropdown:
    choices = [
        ("that of the seed", CLASS_OF_SEED),
        *(
            (markup.escape_surrogates(name), index)
            for index, name in enumerate(renderer.class_names)
        ),
    ]
    return gr.Dropdown(
        choices,
        value=CLASS_OF_SEED if first.class_index is None else first.class_index,
        label="Class",
        visible=bool(renderer.class_names),
        min_width=150,
        elem_id="kind",
    )


def _level_slider(renderer: Renderer, first: ViewState) -> gr.Slider:
    lowest, highest = renderer.levels[0], renderer.levels[-1]
    sizes = " to ".join(renderer.size(level).brief for level in (lowest, highest))
    return gr.Slider(
        lowest,
        highest,
        first.level,
        step=1,
        label=f"Resolution, {sizes}",
        visible=lowest < highest,
        min_width=150,
        buttons=[],
        elem_id="level",
    )


def _truncation_slider(first: ViewState) -> gr.Slider:
    return gr.Slider(
        0,
        MAX_TRUNCATION,
        first.truncation,
        step=5,
        label="Truncation, %: less is more typical, 100 as it is",
        min_width=150,
        buttons=[],
        elem_id="truncation",
    )


def _save_and_render_message(
    renderer: Renderer, view: ViewState, folder: Path, text: Mapping[str, str]
) -> str:
    """Save the image; return a message as HTML, also after any error."""
    try:
        return markup.saved_html(save_image_and_latent(renderer, view.spec, folder, text))
    except UserError as error:
        return markup.save_error_html(str(error))
    except OSError as error:
        return markup.save_error_html(describe_os_error(error))
    except Exception:  # bugs keep their traceback, as on a command line
        traceback.print_exc()
        return markup.save_error_html("This is a bug in progan; the terminal shows the traceback.")


def asgi_app(renderer: Renderer, blocks: gr.Blocks) -> "ASGIApp":
    """Return an ASGI app that serves the page to browsers on this machine."""
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
    lock = asyncio.Lock()

    async def get_image(request: Request) -> Response:
        """Return the PNG file of a spec; 204 if the browser cancelled the request."""
        spec = parse_query(request.query_params)
        if spec is None or not renderer.can_render(spec):
            return Response(status_code=404)
        await request.body()  # empty, but precedes the message that the browser disconnected
        async with lock:
            if await request.is_disconnected():
                return Response(status_code=204)
            content = await asyncio.to_thread(renderer.png, spec)
        return Response(content, media_type="image/png", headers=CACHE_HEADERS)

    return get_image


def _icon_route(renderer: Renderer) -> Callable[[Request], Response]:
    """Return the route of the tab's icon: seed 0 at the lowest resolution."""
    content = renderer.png(ImageSpec(NamedLatent(0), None, renderer.levels[0]))
    return lambda request: Response(content, media_type="image/png")

"""The page and its pictures, behind their fence."""

import asyncio
from collections.abc import Awaitable, Callable

import gradio as gr
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from progan.explorer.fence import ICON, MANIFEST, PICTURES, App, fenced
from progan.explorer.looks import Sight, from_address
from progan.explorer.page import TITLE
from progan.explorer.painter import Painter
from progan.explorer.places import Place
from progan.explorer.theme import style

# The address names network and picture, so what is there never changes.
FOREVER = {"cache-control": "private, max-age=86400, immutable"}


def site(painter: Painter, blocks: gr.Blocks) -> App:
    """An app of ASGI that shows the page to browsers on this machine."""
    app = FastAPI(openapi_url=None)
    app.add_route(PICTURES, _pictures(painter))
    app.add_route(ICON, _icon(painter))
    app.add_route(MANIFEST, lambda request: JSONResponse({"name": TITLE}))
    gr.mount_gradio_app(app, blocks, path="/", footer_links=[], run_history=False, ssr_mode=False,
                        mcp_server=False, pwa=False, enable_monitoring=False, root_path="",
                        **style())
    return fenced(app)


def _pictures(painter: Painter) -> Callable[[Request], Awaitable[Response]]:
    turn = asyncio.Lock()

    async def picture(request: Request) -> Response:
        """The PNG file of a sight; nothing for a browser that has gone on to another one."""
        sight = from_address(request.query_params)
        if sight is None or not painter.knows(sight):
            return Response(status_code=404)
        await request.body()  # empty, and in the way of the news that nobody waits any more
        async with turn:
            if await request.is_disconnected():
                return Response(status_code=204)
            content = await asyncio.to_thread(painter.png, sight)
        return Response(content, media_type="image/png", headers=FOREVER)
    return picture


def _icon(painter: Painter) -> Callable[[Request], Response]:
    """The tab's icon: what the network draws at its lowest resolution."""
    content = painter.png(Sight(Place(0), None, painter.levels[0]))
    return lambda request: Response(content, media_type="image/png")

"""Pictures at their addresses, without a browser."""

import asyncio
from typing import Any

import pytest

from progan.explorer.renderer import Renderer
from progan.explorer.view_state import (
    ImageSpec,
    NamedLatent,
    ViewState,
    format_query,
    restart_at_seed,
)
from tests.explorer.test_renderer import make_renderer

pytest.importorskip("gradio", reason="gradio is not installed: there is no site")

FIRST = restart_at_seed(ViewState(latent=NamedLatent(7), target=8, level=4), 7)


def answer(here: Renderer, path: str, query: str, *, leaves: bool = False) -> tuple[int, bytes]:
    """Status and content of a GET; `leaves`: who asks does not wait for it."""
    from progan.explorer.page import asgi_app, build_page

    sent: list[dict[str, Any]] = []
    news = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        if (message := next(news, None)) is not None:
            return message
        if not leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost")],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("localhost", 80),
    }
    asyncio.run(asgi_app(here, build_page(here, FIRST, here.file, {}))(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def test_a_picture_has_an_address() -> None:
    here = make_renderer()
    assert answer(here, "/image", format_query(FIRST.spec)) == (200, here.png(FIRST.spec))


def test_nothing_is_drawn_for_nobody() -> None:
    assert answer(make_renderer(), "/image", format_query(FIRST.spec), leaves=True) == (204, b"")


@pytest.mark.parametrize("query", ["", "at=7&level=5", "at=7&level=4&class=0", "at=x&level=4"])
def test_there_are_no_other_pictures(query: str) -> None:
    assert answer(make_renderer(), "/image", query)[0] == 404


def test_the_icon_is_the_lowest_resolution() -> None:
    here = make_renderer()
    assert answer(here, "/favicon.ico", "") == (200, here.png(ImageSpec(NamedLatent(0), None, 2)))


def test_names_that_nothing_can_show_are_no_obstacle() -> None:
    status, content = answer(make_renderer(("cat", "\ud800")), "/", "")
    assert status == 200 and b"ud800" in content


def test_the_page_names_no_other_address() -> None:
    """But for those that name it to search engines, which are not fetched."""
    status, content = answer(make_renderer(), "/", "")
    assert status == 200
    assert b"fonts.google" not in content and b"cdnjs" not in content
    assert b'<script src="http' not in content and b'rel="preconnect"' not in content

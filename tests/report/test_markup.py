"""HTML that no content can break."""

import pytest

from progan.errors import UserError
from progan.report.page import dump_json_for_script, render_section
from tests.report.pages import Page

HOSTILE = """</script><script>alert(1)</script><img src=x onerror=alert(1)> "'&\\u003c"""
CURVE = {"name": HOSTILE, "last": HOSTILE, "level": None}


def fail() -> dict[str, object]:
    raise UserError(HOSTILE)


@pytest.mark.parametrize(
    ("macro", "build"),
    [
        ("growth", lambda: {"headings": [HOSTILE], "rows": [[HOSTILE, HOSTILE]]}),
        ("growth", fail),
        ("growth", lambda: {HOSTILE: 1}),  # an unknown parameter: the message names it
        (
            "curves",
            lambda: {
                "charts": [{"title": HOSTILE, "description": HOSTILE, "curves": [CURVE]}],
                "errors": [HOSTILE],
            },
        ),
        (
            "neighbours",
            lambda: {
                "lines": [HOSTILE],
                "figures": [({"uri": HOSTILE, "width": 1, "height": 1}, HOSTILE)],
            },
        ),
    ],
)
def test_text_stays_text(macro, build) -> None:
    page = Page(render_section(macro, build))
    assert "script" not in page.tags and page.handlers == []
    assert "alert(1)" in page.text[""]


def test_json_cannot_end_its_script() -> None:
    for text in (HOSTILE, "<!--"):
        assert "<" not in dump_json_for_script({"x": text})

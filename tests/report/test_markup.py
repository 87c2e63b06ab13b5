"""HTML that cannot be broken by what is in it."""

import pytest

from progan.report.page import json_for_script
from progan.report.run_data import Markup, data_uri, element, facts, joined, table
from tests.report.pages import Page

HOSTILE = """</script><script>alert(1)</script><img src=x onerror=alert(1)> "'&\\u003c"""


@pytest.mark.parametrize(
    "made",
    [
        element("p", HOSTILE),
        element("p", "x", title=HOSTILE),
        table([HOSTILE], [[HOSTILE, HOSTILE]]),
        facts([(HOSTILE, HOSTILE)]),
        joined([HOSTILE]),
        element("img", alt=HOSTILE),
    ],
)
def test_text_stays_text(made: Markup) -> None:
    page = Page(made)
    assert "script" not in page.tags and page.handlers == []


def test_markup_is_not_escaped_twice() -> None:
    assert element("p", element("b", "a & b"), " < c") == "<p><b>a &amp; b</b> &lt; c</p>"


def test_names_of_attributes_are_those_of_html() -> None:
    assert element("i", class_="x", data_kimg="1", hidden=None) == '<i class="x" data-kimg="1"></i>'


def test_json_cannot_end_its_script() -> None:
    assert "</" not in json_for_script({"x": HOSTILE}) and "<!--" not in json_for_script(
        {"x": "<!--"}
    )


def test_a_file_can_be_an_address() -> None:
    assert data_uri(b"abc", "image/png") == "data:image/png;base64,YWJj"

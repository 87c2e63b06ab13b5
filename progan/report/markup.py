"""HTML that is safe by construction: whatever is not Markup is escaped."""

import base64
from collections.abc import Iterable, Sequence
from html import escape

VOID = ("img", "input")


class Markup(str):
    """HTML as it is. Every other string is text, and becomes HTML only by being escaped."""


def element(tag: str, *children: str, **attributes: str | None) -> Markup:
    """<tag name="value">…</tag>.

    Args:
        attributes: `class_` is class, and `data_kimg` data-kimg; None: without it.
    """
    words = "".join(f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"'
                    for name, value in attributes.items() if value is not None)
    end = "" if tag in VOID else f"{joined(children)}</{tag}>"
    return Markup(f"<{tag}{words}>{end}")


def joined(children: Iterable[str]) -> Markup:
    """One after the other."""
    return Markup("".join(child if isinstance(child, Markup) else escape(child)
                          for child in children))


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], brief: bool = False) -> Markup:
    """A table that scrolls sideways by itself where the screen is narrow.

    Args:
        brief: Its cells are a word or a number each, and none is broken into lines.
    """
    head = element("tr", *(element("th", each, scope="col") for each in headings))
    body = [element("tr", element("th", row[0], scope="row"),
                    *(element("td", cell) for cell in row[1:])) for row in rows]
    return element("div", element("table", element("thead", head), element("tbody", *body)),
                   class_="wide brief" if brief else "wide", tabindex="0", role="region",
                   aria_label=", ".join(headings))


def facts(pairs: Iterable[tuple[str, str]]) -> Markup:
    """Names with their values."""
    return element("dl", *(element("div", element("dt", name), element("dd", value))
                           for name, value in pairs))


def data_uri(content: bytes, kind: str) -> str:
    """The address of a file that holds itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"

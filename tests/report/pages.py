"""What is in a page."""

import json
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "img", "input", "link", "rect", "line"}
ADDRESSES = ("src", "href", "srcset", "action", "data", "poster", "xlink:href")


class Page(HTMLParser):
    """Reads a page, and insists that all that is opened is closed again, in order.

    Attributes:
        text: What people read, by section; '' is outside of all.
        addresses: All that a browser would follow.
        tags: How often each tag occurs.
        handlers: Attributes that are scripts.
    """

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: dict[str, str] = {}
        self.addresses: list[str] = []
        self.tags: dict[str, int] = {}
        self.handlers: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.policy = ""
        self.scripts: list[str] = []
        self._section = ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.addresses += [value or "" for name, value in attrs if name in ADDRESSES]
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        if tag == "img":
            self.images.append(values)
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"] or ""
        if tag == "section":
            self._section = values["id"] or ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "section":
            self._section = ""

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            self.scripts.append(data)
        else:
            self.text[self._section] = self.text.get(self._section, "") + data

    @property
    def numbers(self) -> dict[str, Any]:
        """What the script draws."""
        found: dict[str, Any] = json.loads(self.scripts[1])
        return found

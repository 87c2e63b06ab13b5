"""Text from outside that can break no Markdown, and blocks made of it."""

import re
from collections.abc import Iterable, Sequence
from textwrap import indent

from progan.sampling.one_line import on_one_line

_SPECIAL = re.compile(r"([\\`*_\[\]<>&#|~$!@])")


def plain(text: str) -> str:
    """The text on one line, every character as it is; it may stand in a table, too."""
    return _SPECIAL.sub(r"\\\1", on_one_line(text))


def code(text: str) -> str:
    """A name as a span of code; in tables use `plain`, where a | would end the cell."""
    line = on_one_line(text) or " "
    ticks = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def block(lines: Iterable[str]) -> str:
    """Lines to be typed, word for word, as far as UTF-8 has their characters."""
    text = "\n".join(lines).encode("utf-8", "backslashreplace").decode()
    return indent(text, "    ", lambda line: True)


def items(facts: Iterable[tuple[str, str]]) -> str:
    """A list of facts with their names."""
    return "\n".join(f"- **{name}:** {text}" for name, text in facts)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, whose numbers are aligned to the right; its cells must be `plain`."""
    rule = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, rule, *rows))

"""Text from files and data, made safe to print."""

import unicodedata

_CONTROLS = {"Cc", "Cs", "Zl", "Zp"}  # control characters, surrogates, line separators
_BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
MAX_LINE_LENGTH = 80  # characters of a name


def escape_controls(text: str, keep: str = "") -> str:
    """Write characters that a terminal would act on, or cannot print, as escapes: '\\x1b'.

    Args:
        keep: Characters that stay as they are, such as line feeds in messages of several lines.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(each.encode("unicode_escape").decode("ascii")
                   if _is_control(each) and each not in keep else each for each in text)


def _is_control(character: str) -> bool:
    return (unicodedata.category(character) in _CONTROLS
            or unicodedata.bidirectional(character) in _BIDI_CONTROLS)


def sanitize_line(text: str) -> str:
    """Without what is no character to be seen: ends of lines, turns of the direction, bytes."""
    seen = "".join(each if each.isprintable() else " " for each in text)
    line = " ".join(seen.split())
    return line if len(line) <= MAX_LINE_LENGTH else f"{line[:MAX_LINE_LENGTH - 1]}…"

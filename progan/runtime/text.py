"""Text for people, terminals and file systems: counts, escapes, file names."""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from difflib import get_close_matches
from itertools import chain, count

PrintLine = Callable[[str], None]  # prints a line for people, or keeps it

_CONTROLS = {"Cc", "Cs", "Zl", "Zp"}  # control characters, surrogates, line separators
_BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_MAX_BYTES = 240  # most file systems allow 255; the rest is for a number
_UNSAFE = re.compile(r'[/\\:*?"<>|]')  # what POSIX or Windows forbid in names
_UNSAFE_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, formats, surrogates, line ends
_JOINERS = "\u200c\u200d"  # formats that belong to the spelling of words and emoji
# Devices of Windows, whatever their extension.
_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.IGNORECASE
)
_IGNORED = "__MACOSX"  # a folder that readers of archives leave out


def format_count(count: int, noun: str, plural: str | None = None, *, none: str = "0") -> str:
    """Write a count with its noun: '1 image', '2,000 images', '2 classes'.

    Args:
        plural: Of nouns that do not take an s.
        none: What to write for zero.
    """
    return f"{f'{count:,}' if count else none} {pluralize(count, noun, plural)}"


def pluralize(count: int, singular: str, plural: str | None = None) -> str:
    """Return the form of a word that agrees with a count; by default, the plural adds an s."""
    if count == 1:
        return singular
    return f"{singular}s" if plural is None else plural


def escape_controls(text: str, keep: str = "") -> str:
    """Write characters that a terminal would act on, or cannot print, as escapes: '\\x1b'.

    Args:
        keep: Characters that stay as they are, such as line feeds in messages of several lines.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        each.encode("unicode_escape").decode("ascii")
        if _is_control(each) and each not in keep
        else each
        for each in text
    )


def _is_control(character: str) -> bool:
    """True if a terminal would act on a character or cannot print it."""
    return (
        unicodedata.category(character) in _CONTROLS
        or unicodedata.bidirectional(character) in _BIDI_CONTROLS
    )


def make_safe_file_name(name: str, default: str) -> str:
    """Return `name` as one component of a path that every file system can hold.

    A name that is safe stays as it is. Separators, control characters and characters that
    Windows forbids become '-'; dots and blanks at the ends are removed, since they hide a file or
    are lost on Windows; reserved names get a '_' in front; long names are cut.

    Args:
        default: A safe name for one that nothing is left of.
    """
    replaced = "".join("-" if _is_unsafe(each) else each for each in name)
    cut = _truncate(replaced.strip().strip(". ")).rstrip(". ")
    if not cut:
        return default
    return f"_{cut}" if _RESERVED.fullmatch(cut) or cut == _IGNORED else cut


def make_distinct_file_names(names: Sequence[str], default: str) -> list[str]:
    """Return a safe file name for each of `names`, no two alike.

    Names that differ only by case or by Unicode normalization are alike: many file systems take
    them for one. The first of them keeps the name and the others get a number; a name that is
    safe as it is comes before one that has to be changed.

    Args:
        default: What a name that nothing is left of begins with; its index follows.
    """
    wanted = [make_safe_file_name(name, f"{default}-{index}") for index, name in enumerate(names)]
    found: dict[int, str] = {}
    taken: set[str] = set()
    for index, name in enumerate(names):
        if wanted[index] == name and make_caseless_key(name) not in taken:
            found[index] = name
            taken.add(make_caseless_key(name))
    for index, base in enumerate(wanted):
        if index not in found:
            candidates = chain([base], (f"{base}-{number}" for number in count(2)))
            found[index] = next(each for each in candidates if make_caseless_key(each) not in taken)
            taken.add(make_caseless_key(found[index]))
    return [found[index] for index in range(len(names))]


def _is_unsafe(character: str) -> bool:
    """True if a character is unsafe in a file name on some system, or invisible."""
    return bool(_UNSAFE.match(character)) or (
        unicodedata.category(character) in _UNSAFE_CATEGORIES and character not in _JOINERS
    )


def _truncate(name: str) -> str:
    """Return the first characters of a name that take at most _MAX_BYTES in UTF-8."""
    return name.encode("utf-8")[:_MAX_BYTES].decode("utf-8", "ignore")


def make_caseless_key(name: str) -> str:
    """Return a key that names share if a file system may take them for one."""
    folded = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFD", folded)


MAX_LINE_LENGTH = 80  # characters of a name


def sanitize_and_truncate_line(text: str, max_length: int = MAX_LINE_LENGTH) -> str:
    """Replace invisible characters (line ends, direction marks, bytes) by blanks and truncate."""
    seen = "".join(each if each.isprintable() else " " for each in text)
    line = " ".join(seen.split())
    return line if len(line) <= max_length else f"{line[: max_length - 1]}…"


def suggest_nearest(name: str, known: Iterable[str]) -> str:
    """Return ' Did you mean …?' with the nearest of the known names; '' if none is near."""
    near = get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]}?" if near else ""


def format_rate(per_second: float) -> str:
    """Format a speed: '0.0234', '5.6', '1770'."""
    return f"{per_second:.0f}" if per_second >= 100 else f"{per_second:.3g}"


TEN_YEARS = 10 * 365.25 * 86400  # seconds


def format_percent(fraction: float) -> str:
    """Format a fraction as a percentage from 0 to 100: '43.0%'."""
    return f"{100 * min(max(fraction, 0.0), 1.0):.1f}%"


def format_duration(seconds: float) -> str:
    """Format a duration: '42s', '3m 07s', '1h 02m', '2d 04h', at least '0s'."""
    if not seconds <= TEN_YEARS:  # nan too, from an unknown speed
        return "more than 10 years"
    seconds = max(seconds, 0.0)
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours:02d}h"
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"


def format_table(rows: Sequence[Sequence[str]], left: Collection[int] = ()) -> str:
    """Align the cells of each column to the right, those of the columns `left` to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )

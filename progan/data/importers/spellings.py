"""Names of classes that look alike: of different Unicode composition, or of different case."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable

from progan.runtime.text import escape_controls, format_count

_MOST_NOTES = 5


def merge_compositions(names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Map names that are equal but for their Unicode composition to one of them.

    macOS stores 'é' as a letter and an accent (NFD), other systems as one character (NFC). A name
    that is written in one way only stays as it is; of several spellings the composed one counts.

    Returns:
        The name of the class for each spelling, and a line for each class with several.
    """
    groups = _groups(names, composed)
    merged = {
        name: spellings[0] if len(spellings) == 1 else form
        for form, spellings in groups.items()
        for name in spellings
    }
    several = [form for form, spellings in groups.items() if len(spellings) > 1]
    return merged, _limited(
        [
            f"The name {form!r} is written with different Unicode compositions (NFC and NFD): "
            "this is one class."
            for form in sorted(several)
        ]
    )


def case_notes(names: Iterable[str]) -> list[str]:
    """Lines that name the classes that differ by case only, which stay apart."""
    groups = [sorted(group) for group in _groups(names, _caseless).values() if len(group) > 1]
    return _limited(
        [
            f"{' and '.join(map(repr, group))} differ by case only and are "
            f"{format_count(len(group), 'class', 'classes')}: rename them if they are one."
            for group in sorted(groups)
        ]
    )


def _groups(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for name in dict.fromkeys(names):
        groups[key(name)].append(name)
    return groups


def _limited(lines: list[str]) -> list[str]:
    rest = len(lines) - _MOST_NOTES
    shown = [escape_controls(line) for line in lines[:_MOST_NOTES]]
    return [*shown, f"The same holds for {rest:,} more."] if rest > 0 else shown


def composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _caseless(name: str) -> str:
    return composed(composed(name).casefold())

"""Counts in sentences: '1 image', '2 images', '1 image is', '2 images are'."""


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

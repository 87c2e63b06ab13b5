"""Numbers in sentences."""


def counted(count: int, noun: str, plural: str = "", *, none: str = "0") -> str:
    """Write a number with its noun: '1 image', '2,000 images', '2 classes'.

    Args:
        plural: Of nouns that do not take an s.
        none: What to write for zero.
    """
    number = f"{count:,}" if count else none
    return f"{number} {noun if count == 1 else plural or noun + 's'}"

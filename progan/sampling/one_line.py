"""Text from outside as a few words on one line."""

LONGEST = 80  # characters of a name


def on_one_line(text: str) -> str:
    """Without what is no character to be seen: ends of lines, turns of the direction, bytes."""
    seen = "".join(each if each.isprintable() else " " for each in text)
    line = " ".join(seen.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST - 1]}…"

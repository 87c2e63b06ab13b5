"""The list beside the published deltas, image_list.txt."""

from dataclasses import dataclass
from pathlib import Path

from progan.errors import UserError

LIST_FILE = "image_list.txt"
_COLUMNS = {"idx", "orig_idx", "orig_file", "proc_md5", "final_md5"}
_WANTED = "It comes with the deltas of CelebA-HQ; fetch it again."


@dataclass(frozen=True, slots=True)
class Listed:
    """One image of CelebA-HQ.

    Attributes:
        index: Its number in CelebA-HQ.
        name: File of CelebA that it is made from.
        made_md5: Of the face that was cut out (`proc_md5`).
        final_md5: Of the face with its delta.
    """

    index: int
    name: str
    made_md5: str
    final_md5: str


def read_image_list(path: Path) -> tuple[Listed, ...]:
    """Read the list, whose first line names its columns; raises UserError."""
    try:
        titles, *lines = [line.split() for line in path.read_text("utf-8").splitlines()
                          if line.strip()] or [[]]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {path}: {error}. {_WANTED}") from error
    missing = sorted(_COLUMNS - set(titles))
    if missing:
        raise UserError(f"{path} has no column {', '.join(missing)}. {_WANTED}")
    return tuple(_listed(dict(zip(titles, line, strict=False)), path) for line in lines)


def _listed(line: dict[str, str], path: Path) -> Listed:
    try:
        entry = Listed(int(line["idx"]), line["orig_file"], line["proc_md5"].lower(),
                       line["final_md5"].lower())
        if entry.index < 0 or "/" in entry.name or not entry.name.isascii():
            raise ValueError
    except (KeyError, ValueError) as error:
        words = " ".join(line.values())
        raise UserError(f"{path} has a line that does not fit its columns: {words!r}. "
                        f"{_WANTED}") from error
    return entry

"""The directory in which torch keeps compiled code."""

import os
import tempfile

from progan.errors import UserError

VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


def require_compile_cache(needed: bool) -> None:
    """Check the directory that TORCHINDUCTOR_CACHE_DIR names; to be called before optimizers exist.

    torch creates that directory as soon as there is an optimizer, although nothing is compiled,
    and fails if it cannot. Where no compiled code is needed the variable is therefore replaced
    in this process.

    Raises UserError if compiled code is needed and cannot be kept there.
    """
    place = os.environ.get(VARIABLE)
    why = None if place is None else _why_unusable(place)
    if why is None:
        return
    if needed:
        raise UserError(f"{VARIABLE} is {place!r}, and torch cannot keep compiled code there: "
                        f"{why}. Set it to a directory that can be written to, unset it, or "
                        "choose --acceleration eager.")
    os.environ[VARIABLE] = tempfile.gettempdir()


def _why_unusable(place: str) -> str | None:
    """What the system says when the directory is created and written to; None if it can be."""
    if os.path.exists(place) and not os.path.isdir(place):
        return "it is not a directory"
    try:
        os.makedirs(place, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return None
    except OSError as error:
        return error.strerror or str(error)

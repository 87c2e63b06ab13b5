"""Cards on disk: written beside their network, and left alone once somebody has edited them."""

import hashlib
import re
from pathlib import Path

from progan.runtime.files import write_atomically

SUFFIX = ".md"
# The last line of a card, which renders as nothing. An edited card does not fit it any more.
_SEAL = "<!-- As progan wrote it: {}. Edited cards are not written over. -->\n"
_SEALED = re.compile(re.escape(_SEAL).replace(r"\{\}", "([0-9a-f]{16})"))


def card_path(network: Path) -> Path:
    """Where the card of a network file of ours is: network-snapshot-000012.md."""
    return network.with_suffix(SUFFIX)


def export_card_path(export: Path) -> Path:
    """Where that of another file is: mine.onnx.md, beside the card of mine.safetensors."""
    return export.with_name(export.name + SUFFIX)


def write_card(path: Path, text: str) -> bool:
    """Write a card, whole or not at all, unless there is one that somebody has edited.

    Returns whether it was written.
    """
    if path.is_file() and not is_untouched(path.read_bytes()):
        return False
    write_atomically(path, sealed(text))
    return True


def sealed(text: str) -> str:
    """The text with a last line by which `is_untouched` knows it."""
    return f"{text}\n{_SEAL.format(_digest(text.encode()))}"


def is_untouched(content: bytes) -> bool:
    """Whether a card is as it was written."""
    text, _, seal = content.rpartition(b"\n<!--")
    match = _SEALED.fullmatch((b"<!--" + seal).decode("utf-8", "replace"))
    return match is not None and match[1] == _digest(text)


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]

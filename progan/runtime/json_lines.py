"""Files of JSON objects, one in each line, that somebody may be writing to."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def json_objects(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file, which need not exist; the last line may have been cut."""
    for text in path.read_text("utf-8", "replace").splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line

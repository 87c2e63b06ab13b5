"""What one tab of a browser shows."""

import threading
from collections.abc import Callable
from typing import Any

from progan.explorer.looks import Look


class Session:
    """Holds a look; of changes that come at once, each begins where another one has ended."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self._turn = threading.Lock()

    def change(self, change: Callable[[Look], Look]) -> tuple[Look, Look]:
        """The look before and after."""
        with self._turn:
            before = self.look
            self.look = change(before)
            return before, self.look

    def __deepcopy__(self, memo: dict[int, Any]) -> "Session":
        """Each tab gets its own from the one that the page was made with."""
        return Session(self.look)

"""How images that cannot be read are reported."""

from collections.abc import Sequence
from pathlib import Path

from progan.data.format import Skipped
from progan.errors import UserError
from progan.invocation import command
from progan.runtime.text import escape_controls, format_count

_NUM_LISTED = 10


def require_readable(source: Path | str, total: int, unreadable: Sequence[Skipped]) -> None:
    """Raise UserError that lists the unreadable images, if there are any."""
    if unreadable:
        raise UserError(f"{len(unreadable):,} of {format_count(total, 'image')} in {source} cannot "
                        f"be read:\n{listed(unreadable)}\nRepair or remove them, or leave them out "
                        "with --on-error skip.")


def listed(skipped: Sequence[Skipped]) -> str:
    """The first ten with their reasons, one in a line, and how many more there are."""
    lines = [f"  {escape_controls(f'{item.path}: {item.reason}')}"
             for item in skipped[:_NUM_LISTED]]
    more = len(skipped) - _NUM_LISTED
    return "\n".join(lines + [f"  and {more:,} more; {command('dataset', 'check')} names them all"]
                     * (more > 0))

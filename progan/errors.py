"""The one exception that is addressed to the user, and what others say in a line."""


class UserError(Exception):
    """A mistake that the user can mend.

    The text says what is wrong, where, and how to mend it. The doors print it without a
    traceback and exit with 1; every other exception is a bug of ours.
    """


def first_line(error: BaseException) -> str:
    """What an error says first, and no more of it than people read; its type if it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:200]

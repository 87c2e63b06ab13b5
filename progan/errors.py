"""The exception for mistakes that users can fix, and one-line texts of other exceptions."""


class UserError(Exception):
    """A mistake that the user can fix.

    The text says what is wrong, where, and how to fix it. The commands print it without a
    traceback and exit with 1; every other exception is a bug of progan.
    """


def get_first_error_line(error: BaseException) -> str:
    """Return the first line of an error's text, 200 characters at most; its type if it is empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:200]

"""The one exception that is addressed to the user."""


class UserError(Exception):
    """A mistake that the user can mend.

    The text says what is wrong, where, and how to mend it. The doors print it without a
    traceback and exit with 1; every other exception is a bug of ours.
    """

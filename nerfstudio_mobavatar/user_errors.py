"""How commands end on what a user can repair: with the message and exit code 1, without a stack trace."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

PACKAGE = "nerfstudio_mobavatar"


def is_for_users(error: BaseException) -> bool:
    """The errors of this package are all meant for its users: each says what was found and what to do. So do the
    system's own about files. Anything else is a mistake of ours, whose stack trace is wanted."""
    return isinstance(error, OSError) or type(error).__module__.startswith(f"{PACKAGE}.")


@contextmanager
def user_errors(command: str) -> Iterator[None]:
    """Leave the program with `command: message` where an error is for users."""
    try:
        yield
    except Exception as error:
        if is_for_users(error):
            sys.exit(f"{command}: {error}")
        raise

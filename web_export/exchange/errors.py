"""The one error of this folder."""


class ExchangeError(ValueError):
    """A file that cannot be read or made. The message says what was expected, what was found, where, what to do."""

"""The licence that an author gives an avatar: checked, stored in the file's `meta`, shown wherever the avatar is.

What the body under it asks for is another matter: `meta.body_license`, docs/rights.md.
"""

from pathlib import Path

MAX_CHARACTERS = 20_000
"""The licence travels in every copy of the avatar: a long one is better linked to."""
UNSTATED = "not stated; ask whoever gave you this avatar before you use it"


class LicenseError(ValueError):
    """A licence that cannot be stored; the message says why and what to do."""


def read_license(given: str) -> str:
    """The text itself, or that of the file whose path is given; empty for none.

    Raises:
        LicenseError: a name that looks like a file's and is none, a file that is not text, or one that is too long.
    """
    path = Path(given)
    looks_like_a_file = len(given.split()) == 1 and (path.suffix in (".txt", ".md") or "/" in given)
    if looks_like_a_file and "://" not in given and not path.is_file():
        raise LicenseError(f"--license {given}: no such file; give the text itself, or the path of a text file")
    text = given
    if given and len(given) < 4096 and path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise LicenseError(f"--license {given}: not a text file in UTF-8; give the licence as plain text") from None
    if len(text) > MAX_CHARACTERS:
        raise LicenseError(
            f"--license: {len(text):,} characters, more than {MAX_CHARACTERS:,}; name it and say where it can be read"
        )
    return text.strip()

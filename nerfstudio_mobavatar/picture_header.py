"""Width and height of a JPEG or PNG from its header: known before a decoder sets memory aside for what a file claims.

Decoders go by content, not by name: a file that is neither of the two never reaches one.
"""

from pathlib import Path
from typing import Any

from nerfstudio_mobavatar.plain_data import NotPlainError

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
"""Markers of a JPEG's frame header."""
ALONE = {0x01, *range(0xD0, 0xD9)}
"""Markers without a length."""
MOST_SEGMENTS = 10_000
MOST_PIXELS = 120_000_000
"""More than studio cameras have (65 million)."""


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height.

    Raises:
        NotPlainError: neither JPEG nor PNG, damaged, or larger than any camera's pictures.
        OSError: no such file.
    """
    with path.open("rb") as stream:
        return size_in(stream)


def size_in(stream: Any) -> tuple[int, int]:
    """The same of a binary stream."""
    start = stream.read(24)
    if start.startswith(PNG) and start[12:16] == b"IHDR" and len(start) == 24:
        width, height = int.from_bytes(start[16:20], "big"), int.from_bytes(start[20:24], "big")
        _check_chunks(stream)
    elif start.startswith(JPEG):
        stream.seek(2)
        width, height = _jpeg_size(stream)
    else:
        raise NotPlainError("that it cannot be read (it is neither a JPEG nor a PNG)")
    if width < 1 or height < 1 or width * height > MOST_PIXELS:
        raise NotPlainError(f"that it cannot be read (it claims {width}x{height} pixels)")
    return width, height


def _check_chunks(stream: Any) -> None:
    """Decoders set memory aside for the length of a PNG's chunk before they read it, and for its animation."""
    end = stream.seek(0, 2)
    at = len(PNG)
    for _ in range(MOST_SEGMENTS):
        stream.seek(at)
        head = stream.read(8)
        at += 12 + int.from_bytes(head[:4], "big")
        if at > end or len(head) < 8 or head[4:] == b"acTL":
            raise NotPlainError("that it cannot be read (a PNG that is cut off, or moves)")
        if head[4:] == b"IEND":
            return
    raise NotPlainError("that it cannot be read (a PNG without an end)")


def _jpeg_size(stream: Any) -> tuple[int, int]:
    """Of the first frame header after the start of the picture."""
    for _ in range(MOST_SEGMENTS):
        byte = stream.read(1)
        if byte != b"\xff":
            break
        while byte == b"\xff":  # any number of them may come before a marker
            byte = stream.read(1)
        marker = byte[0] if byte else 0xD9
        if marker in ALONE:
            continue
        if marker in (0xD9, 0xDA):  # the end, or the pixels
            break
        length = int.from_bytes(stream.read(2), "big")
        if marker in FRAMES:
            header = stream.read(5)
            if len(header) == 5:
                return int.from_bytes(header[3:5], "big"), int.from_bytes(header[1:3], "big")
            break
        if length < 2:
            break
        stream.seek(length - 2, 1)
    raise NotPlainError("that it cannot be read (a JPEG without a frame)")

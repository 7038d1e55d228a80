"""The bytes around the sections of an avatar file: preamble, JSON header, gzipped sections, checksums (FORMAT.md)."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .arrays import BundleError
from .header import parse as parse_header

MAGIC = b"MOBAVATR"
VERSION = 2
"""What is written, and the newest that is read."""
PREAMBLE_BYTES = 16
"""Magic, version, length of the header. From version 2 on the header's checksum (4 bytes) follows."""
CHECKSUM_BYTES = 4
ALIGN = 16
MAX_HEADER_BYTES = 1 << 20
MAX_SECTION_BYTES = 1 << 30
MAX_DEFLATE_RATIO = 1032
"""Deflate cannot expand data further than that: a section that claims more lies, and no memory is set aside for it."""


@contextmanager
def damage_as_bundle_error() -> Iterator[None]:
    """Whatever the header of a damaged file leads to is one kind of error to the caller."""
    try:
        yield
    except BundleError:
        raise
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        raise BundleError(
            f"the header does not describe what follows ({type(error).__name__}: {error}); copy or export it again"
        ) from error


def write(header: dict[str, Any], sections: Iterable[tuple[dict[str, Any], bytes]]) -> bytes:
    """A whole file. `sections` are their header entries, to which place, size and checksum are added, and raw bytes."""
    entries, payload = [], bytearray()
    for entry, raw in sections:
        stored = gzip.compress(raw, 9, mtime=0)
        payload += bytes(-len(payload) % ALIGN)
        place = {"offset": len(payload), "stored_bytes": len(stored), "crc32": zlib.crc32(stored)}
        entries.append(entry | place)
        payload += stored
    whole = header | {"sections": entries, "payload_bytes": len(payload)}
    text = json.dumps(whole, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-(PREAMBLE_BYTES + CHECKSUM_BYTES + len(text)) % ALIGN)
    preamble = MAGIC + np.array([VERSION, len(text)], "<u4").tobytes()
    return preamble + np.uint32(zlib.crc32(preamble + text)).astype("<u4").tobytes() + text + bytes(payload)


def read(data: bytes) -> tuple[int, dict[str, Any], int]:
    """Version, header and the offset of the payload. Raises `BundleError` on anything that is not an avatar file."""
    if len(data) < PREAMBLE_BYTES or data[:8] != MAGIC:
        raise BundleError(f"not an avatar file: it starts with {data[:8]!r}, expected {MAGIC!r}; export it again")
    version, length = (int(x) for x in np.frombuffer(data, "<u4", 2, 8))
    if version < 1:
        raise BundleError("the header is damaged: there is no format 0; copy or export the file again")
    if version > VERSION:
        raise BundleError(f"made by a newer version (format {version}, this one reads up to {VERSION}): update")
    text_start = PREAMBLE_BYTES + (CHECKSUM_BYTES if version > 1 else 0)
    start = text_start + length
    if length > MAX_HEADER_BYTES or start > len(data):
        raise BundleError(f"truncated: the header needs {start} bytes, found {len(data)}; copy it again")
    text = data[text_start:start]
    if version > 1:
        (expected,) = np.frombuffer(data, "<u4", 1, PREAMBLE_BYTES)
        if zlib.crc32(data[:PREAMBLE_BYTES] + text) != expected:
            raise BundleError("the header is damaged (checksum differs); copy or export the file again")
    return version, parse_header(text), start


def check_length(data: bytes, payload_bytes: int, start: int) -> None:
    """Raise `BundleError` unless the payload ends where the file does."""
    end = start + payload_bytes
    if len(data) < end:
        raise BundleError(f"truncated: expected {end} bytes, found {len(data)}; copy it again")
    if len(data) > end:
        raise BundleError(f"damaged: expected {end} bytes, found more; copy or export the file again")


def sections(data: bytes, header: dict[str, Any], start: int, raw_bytes: Callable[[dict], int | None]) -> Iterator:
    """(entry, raw bytes) of each section in the order of the file. `raw_bytes` says how long a section must be, None
    where it is not known: it is left out then, since a later writer may add what this reader can do without."""
    end = 0
    for entry in sorted(header["sections"], key=lambda e: e["offset"]):
        name, offset, size = entry["name"], entry["offset"], entry["stored_bytes"]
        expected = raw_bytes(entry)
        if expected is None:
            continue
        if offset < end:
            raise BundleError(f"section '{name}' lies inside another one; export the file again")
        stored = data[start + offset : start + offset + size]
        if len(stored) != size:
            raise BundleError(f"truncated: section '{name}' needs {size} bytes, found {len(stored)}; copy it again")
        end = offset + size
        if zlib.crc32(stored) != entry["crc32"]:
            raise BundleError(f"section '{name}' is damaged (checksum differs); copy or export the file again")
        yield entry, _gunzip(stored, expected, name)


def _gunzip(stored: bytes, size: int, name: str) -> bytes:
    """Expand into exactly `size` bytes; memory is never set aside for more than the stored bytes can hold."""
    if size > min(MAX_SECTION_BYTES, MAX_DEFLATE_RATIO * len(stored)):
        raise BundleError(f"section '{name}' claims {size} bytes, more than {len(stored)} stored bytes can hold")
    expander = zlib.decompressobj(wbits=31)
    try:
        raw = expander.decompress(stored, size + 1)
    except zlib.error:
        raise BundleError(f"section '{name}' is damaged (not gzip); copy or export the file again") from None
    if len(raw) > size:
        raise BundleError(f"section '{name}' expands to more than {size} bytes, expected {size}; export the file again")
    if not expander.eof or expander.unused_data or expander.unconsumed_tail:
        raise BundleError(f"section '{name}' is damaged (not one whole gzip stream); copy or export the file again")
    if len(raw) != size:
        raise BundleError(f"section '{name}' expands to {len(raw)} bytes, expected {size}; export the file again")
    return raw

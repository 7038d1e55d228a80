"""Integers as bytes: differences along the rows, zigzag, byte planes. Exact both ways; twin: viewer/src/streams.ts.

What avatar files (web_export/bundle.py) and motions (motion/pose_binary.py) consist of. A stream is a table of
integers, `rows x columns`, each of 1 to 4 bytes. It is stored column by column, and of each column the lowest byte of
every row first, then the next byte of every row, and so on: like bytes lie together, which gzip rewards. All arithmetic
wraps at the integer's width.
"""

import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

Coding = Literal["plain", "zigzag", "delta"]
"""`plain`: the number itself. `zigzag`: 0, -1, 1, -2 ... as 0, 1, 2, 3 ... `delta`: zigzag of the difference to the
row above (of the first row: to 0)."""
CODINGS: tuple[Coding, ...] = ("plain", "zigzag", "delta")
MAX_PLANES = 4


@dataclass(frozen=True)
class StreamShape:
    """What the header's counts say a stream must be."""

    rows: int
    columns: int
    signed: bool = False

    @property
    def items(self) -> int:
        return self.rows * self.columns


def _fold(values: np.ndarray, bits: int, coding: Coding) -> np.ndarray:
    """Integers -> what is stored, uint32."""
    if coding == "plain":
        return (values & ((1 << bits) - 1)).astype(np.uint32)
    if coding == "delta":
        values = np.diff(values, axis=0, prepend=0)
    wrapped = _wrap(values, bits)
    return (((wrapped << 1) ^ (wrapped >> (bits - 1))) & ((1 << bits) - 1)).astype(np.uint32)


def _wrap(values: np.ndarray, bits: int) -> np.ndarray:
    """Into -2^(bits-1) .. 2^(bits-1) - 1."""
    half = 1 << (bits - 1)
    return ((values + half) & ((1 << bits) - 1)) - half


def _planes(stored: np.ndarray, count: int) -> bytes:
    columns = stored.T[:, None, :] >> (8 * np.arange(count, dtype=np.uint32))[None, :, None]
    return (columns & 255).astype(np.uint8).tobytes()


def encode(values: np.ndarray, signed: bool) -> tuple[Coding, int, bytes]:
    """(coding, bytes per integer, raw bytes) of a [rows, columns] table, with the coding that gzip makes least of."""
    values = np.asarray(values, np.int64)
    reach = int(max(values.max(initial=0), -values.min(initial=0) - 1))
    bits = reach.bit_length() + (1 if signed else 0)
    planes = max(1, -(-bits // 8))
    if planes > MAX_PLANES or (not signed and values.min(initial=0) < 0):
        raise ValueError(f"a stream holds integers of up to {MAX_PLANES} bytes, found {values.min()}..{values.max()}")
    raws = {coding: as_bytes(values, coding, planes) for coding in CODINGS}
    best = min(CODINGS, key=lambda coding: len(zlib.compress(raws[coding], 6)))
    return best, planes, raws[best]


def as_bytes(values: np.ndarray, coding: Coding, planes: int) -> bytes:
    """The raw bytes of a [rows, columns] table of int64 in one coding."""
    return _planes(_fold(values, 8 * planes, coding), planes)


def decode(raw: bytes, shape: StreamShape, coding: str, planes: int) -> np.ndarray:
    """[rows, columns] int64."""
    bits = 8 * planes
    parts = np.frombuffer(raw, np.uint8).reshape(shape.columns, planes, shape.rows)
    stored = np.zeros((shape.columns, shape.rows), np.int64)
    for k in range(planes):
        stored |= parts[:, k].astype(np.int64) << (8 * k)
    if coding != "plain":
        stored = (stored >> 1) ^ -(stored & 1)
    if coding == "delta":
        stored = np.cumsum(stored, 1)
    values = _wrap(stored, bits) if shape.signed else stored & ((1 << bits) - 1)
    return np.ascontiguousarray(values.T)

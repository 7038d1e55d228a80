"""`.pose.bin`: the rows of a `.pose.json` as integers (web_export/FORMAT.md). Twin: viewer/src/motion_file.ts.

Every number is rounded to a step, so errors are half of one: no joint turns by more than 0.0031 degrees, the root by
0.0018; the body moves by 0.053 mm, an expression's number by 0.00007. Axis-angle numbers stay what they are, in
whatever turn they were given. Second differences along time are small, and gzip does the rest.
"""

import gzip
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy import ndarray

from nerfstudio_mobavatar.integer_tables import StreamShape, as_bytes, decode
from nerfstudio_mobavatar.plain_data import ALWAYS_FINE, MOST_EXPANDED

from .load import check_size
from .types import MAX_FRAMES, MotionError, PoseRow

ENDING = ".pose.bin"
MAGIC = b"MOBAPOSE"
VERSION = 1
HEADER = struct.Struct("<8sIIIfI")
"""Magic, version, frames, expressions, frames a second (0: not known), CRC-32 of what stands before it and after it."""
STEPS = {"pose": 2.0**-14, "root": 2.0**-16, "metres": 2.0**-14, "expression": 2.0**-13}
"""Radians, parts of a unit quaternion, metres, one."""
NORM, NORM_SLACK = 2.0**32, 2.0**18
"""Square of a unit quaternion in steps, and how far rounding its four numbers takes it from there."""
PLANES = 4
MAX_EXPRESSIONS = 400
MAX_DEFLATE_RATIO = 1032
NOT_ROTATIONS = 0.01
"""How far a matrix may be from a rotation."""


@dataclass(frozen=True)
class PoseSequence:
    """What a file holds."""

    rows: tuple[PoseRow, ...]
    frame_ids: tuple[int, ...]
    fps: float
    """Frames a second; 0: not known."""


def write(path: Path, rows: Sequence[PoseRow], frame_ids: Sequence[int], fps: float = 0.0) -> None:
    """Write the rows.

    Raises:
        MotionError: none or too many, numbers that are not finite or too large, or an `Rh` that is no rotation.
    """
    path.write_bytes(encode(rows, frame_ids, fps))


def encode(rows: Sequence[PoseRow], frame_ids: Sequence[int], fps: float = 0.0) -> bytes:
    """The bytes of a file, see `write`."""
    if not 0 < len(rows) <= MAX_FRAMES or len(frame_ids) != len(rows):
        raise MotionError(f"expected 1 to {MAX_FRAMES} frames and a number for each, found {len(rows)}.")
    width = max(len(row.expression) for row in rows)
    expression = np.zeros((len(rows), width))
    for out, row in zip(expression, rows):
        out[: len(row.expression)] = row.expression
    real = [
        (np.stack([row.pose.ravel() for row in rows]), STEPS["pose"]),
        (_quaternions(np.stack([row.Rh for row in rows])), STEPS["root"]),
        (np.stack([row.Th for row in rows]), STEPS["metres"]),
        (expression, STEPS["expression"]),
    ]
    table = np.concatenate([np.array(frame_ids)[:, None], *(np.rint(x.astype(np.float64) / s) for x, s in real)], 1)
    if not (np.abs(table) < 1 << 31).all():
        raise MotionError("expected finite numbers of a size that a motion has, found others. Fit these frames again.")
    change = table.astype(np.int64)
    for _ in range(2):
        change = np.diff(change, axis=0, prepend=0)
    stored = gzip.compress(as_bytes(change, "zigzag", PLANES), 9, mtime=0)
    head = HEADER.pack(MAGIC, VERSION, len(rows), width, fps, 0)[:-4]
    return head + struct.pack("<I", zlib.crc32(stored, zlib.crc32(head))) + stored


def _quaternions(Rh: ndarray) -> ndarray:
    """[t, 4] unit quaternions wxyz of matrices [t, 3, 3], of the two that each has the one next to the row before."""
    from scipy.spatial.transform import Rotation

    Rh = Rh.astype(np.float64)
    wrong = np.flatnonzero(~(np.abs(Rh @ Rh.transpose(0, 2, 1) - np.eye(3)).max((1, 2)) <= NOT_ROTATIONS))
    if len(wrong):
        raise MotionError(f"frame {wrong[0]}: expected a rotation in Rh, found a matrix that is none. Export it again.")
    q = Rotation.from_matrix(Rh).as_quat()[:, [3, 0, 1, 2]]
    same = np.sign(np.einsum("ij,ij->i", q[1:], q[:-1]) + 0.0)
    q[1:] *= np.cumprod(np.where(same < 0, -1.0, 1.0))[:, None]
    return q


def read(path: Path) -> PoseSequence:
    """What the file holds; raises `MotionError` naming it."""
    check_size(path)
    try:
        return decode_file(path.read_bytes())
    except MotionError as error:
        raise MotionError(f"{path}: {error}") from None


def decode_file(data: bytes) -> PoseSequence:
    """What the bytes of a file hold, in float32 as a page has it."""
    if len(data) < HEADER.size or data[:8] != MAGIC:
        raise MotionError(f"not a motion in binary: it starts with {data[:8]!r}, expected {MAGIC!r}; export it again")
    _, version, frames, width, fps, crc = HEADER.unpack(data[: HEADER.size])
    if version != VERSION:
        raise MotionError(f"made by another version (format {version}, this one reads {VERSION}): update")
    stored = data[HEADER.size :]
    if zlib.crc32(stored, zlib.crc32(data[: HEADER.size - 4])) != crc:
        raise MotionError("damaged or cut off (checksum differs); copy or export it again")
    if not 0 < frames <= MAX_FRAMES or width > MAX_EXPRESSIONS or not 0 <= fps < np.inf:
        found = f"{frames} of {width} expressions at {fps:g} a second"
        raise MotionError(f"expected 1 to {MAX_FRAMES} frames, found {found}; export it again")
    shape = StreamShape(frames, 1 + 165 + 4 + 3 + width, True)
    table = decode(_gunzip(stored, PLANES * shape.items), shape, "zigzag", PLANES)
    for _ in range(2):
        table = np.cumsum(table, 0)
    table = ((table + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
    ids, pose, root, Th, expression = np.split(table, np.cumsum([1, 165, 4, 3]), 1)
    Rh = _matrices(root.astype(np.float64))

    def real(x: ndarray, step: float) -> ndarray:
        return (x * step).astype(np.float32)

    parts = (
        real(pose, STEPS["pose"]).reshape(-1, 55, 3),
        Rh,
        real(Th, STEPS["metres"]),
        real(expression, STEPS["expression"]),
    )
    return PoseSequence(tuple(PoseRow(*row) for row in zip(*parts)), tuple(ids[:, 0].tolist()), float(fps))


def _matrices(q: ndarray) -> ndarray:
    """[t, 3, 3] float32 of quaternions [t, 4] in steps; every product of two is exact in double precision."""
    w, x, y, z = q.T
    norm = w * w + x * x + y * y + z * z
    if not (np.abs(norm - NORM) <= NORM_SLACK).all():
        raise MotionError("holds quaternions that are not of unit length; export it again")
    s = 2.0 / norm
    R = [
        *(1.0 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)),
        *(s * (x * y + w * z), 1.0 - s * (x * x + z * z), s * (y * z - w * x)),
        *(s * (x * z - w * y), s * (y * z + w * x), 1.0 - s * (x * x + y * y)),
    ]
    return np.stack(R, 1).reshape(-1, 3, 3).astype(np.float32)


def _gunzip(stored: bytes, size: int) -> bytes:
    """Expand into exactly `size` bytes; memory is never set aside for more than the stored bytes can hold."""
    if size > min(MAX_DEFLATE_RATIO * len(stored), max(ALWAYS_FINE, MOST_EXPANDED * len(stored))):
        raise MotionError(f"claims {size} bytes, more than {len(stored)} stored bytes can hold; export it again")
    expander = zlib.decompressobj(wbits=31)
    try:
        raw = expander.decompress(stored, size + 1)
    except zlib.error:
        raise MotionError("damaged (not gzip); copy or export it again") from None
    if len(raw) != size or not expander.eof or expander.unused_data:
        raise MotionError(f"expands to another size than {size} bytes; export it again")
    return raw

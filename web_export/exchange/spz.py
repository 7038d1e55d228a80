"""Splats as Niantic's `.spz`, version 3: gzip over fixed point numbers, 20 bytes a splat before that, y up.

Facts from the format's README (github.com/nianticlabs/spz): right, up, back axes; after a header of 16 bytes come all
positions (3 x 24-bit fixed point), alphas, colours, scales, rotations (smallest three, 10 bits each). Version 3 is what
readers know today; 4 (zstd) is younger, 2 has 8-bit rotations.
"""

import gzip
import struct
from pathlib import Path

import numpy as np

from .errors import ExchangeError
from .splats import Splats

MAGIC, VERSION = 0x5053474E, 3
FRACTIONAL_BITS = 14
"""Positions in steps of 0.06 mm, a tenth of a splat's width, within 512 m of the origin."""
COLOR_SCALE = 0.15
"""Colour byte = 255 * (0.15 * coefficient of band 0 + 0.5): rgb from -0.44 to 1.44."""


def write(path: Path, splats: Splats) -> None:
    """Write the file. Raises ExchangeError where a splat is further than 512 m from the origin."""
    s = splats.in_space_order()
    fixed = np.rint(s.mean * (1 << FRACTIONAL_BITS)).astype(np.int64)
    if np.abs(fixed).max(initial=0) >= 1 << 23:
        raise ExchangeError(
            f"{path}: .spz holds splats within {(1 << 23) >> FRACTIONAL_BITS} m of the origin, found one at "
            f"{np.abs(s.mean).max():.0f} m; choose another frame or write a .ply."
        )
    positions = fixed.astype("<i4").view(np.uint8).reshape(-1, 3, 4)[:, :, :3]
    sections = (
        positions,
        _byte(255 * s.opacity),
        _byte(255 * (COLOR_SCALE * s.sh0 + 0.5)),
        _byte(16 * (s.log_scale + 10)),
        _smallest_three(s.rotation),
    )
    header = struct.pack("<IIIBBBB", MAGIC, VERSION, len(s), 0, FRACTIONAL_BITS, 0, 0)
    path.write_bytes(gzip.compress(header + b"".join(x.tobytes() for x in sections), 9, mtime=0))


def _byte(x: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def _smallest_three(wxyz: np.ndarray) -> np.ndarray:
    """[N] uint32: from the top, 2 bits for the largest of x, y, z, w, then the others as a sign and 9 bits each."""
    q = np.roll(wxyz, -1, axis=1)
    largest = np.abs(q).argmax(1)
    q = q * np.where(np.take_along_axis(q, largest[:, None], 1) < 0, -1, 1)
    others = np.array([[j for j in range(4) if j != i] for i in range(4)])[largest]
    small = np.take_along_axis(q, others, 1)
    magnitude = np.clip(np.rint(np.abs(small) * np.sqrt(2) * 511), 0, 511).astype(np.uint32)
    fields = magnitude | ((small < 0).astype(np.uint32) << np.uint32(9))
    packed = largest.astype(np.uint32)
    for i in range(3):
        packed = (packed << np.uint32(10)) | fields[:, i]
    return packed.astype("<u4")

"""COLMAP's `cameras` and `images`, binary or text, without the points: lenses and poses only.

The binary format says how many points follow before it lists them. nerfstudio's reader sets memory aside for as many as
a damaged file claims; here they are passed over. Checked against nerfstudio 1.1.5 (data/utils/colmap_parsing_utils.py).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from nerfstudio_mobavatar.plain_data import NotPlainError, read_text

MODELS = (
    ("SIMPLE_PINHOLE", 3), ("PINHOLE", 4), ("SIMPLE_RADIAL", 4), ("RADIAL", 5), ("OPENCV", 8), ("OPENCV_FISHEYE", 8),
    ("FULL_OPENCV", 12), ("FOV", 5), ("SIMPLE_RADIAL_FISHEYE", 4), ("RADIAL_FISHEYE", 5), ("THIN_PRISM_FISHEYE", 12),
)  # fmt: skip
"""Name and number of parameters by COLMAP's number."""
PARAMS = dict(MODELS)
MOST_BYTES = 2 << 30
MOST_NAME = 1024
"""Bytes of a picture's name."""


@dataclass(frozen=True)
class Lens:
    """One camera of COLMAP."""

    id: int
    model: str
    width: int
    height: int
    params: Float[ndarray, " p"]


@dataclass(frozen=True)
class Pose:
    """One registered picture."""

    name: str
    camera_id: int
    T_cam_world: Float[ndarray, "4 4"]


def read_model(folder: Path) -> tuple[dict[int, Lens], list[Pose]]:
    """Lenses by number, and the poses in the order of the file.

    Raises:
        NotPlainError: absent or damaged.
    """
    if (folder / "images.bin").is_file():
        lenses, poses = _binary_lenses(_stream(folder / "cameras.bin")), _binary_poses(_stream(folder / "images.bin"))
    else:
        lenses, poses = _text_lenses(_lines(folder / "cameras.txt")), _text_poses(_lines(folder / "images.txt"))
    return {lens.id: lens for lens in lenses}, list(poses)


def _stream(path: Path) -> BytesIO:
    _exists(path)
    if path.stat().st_size > MOST_BYTES:
        raise NotPlainError(f"{path.name} of {path.stat().st_size >> 20} MB")
    return BytesIO(path.read_bytes())


def _lines(path: Path) -> list[str]:
    _exists(path)
    return [line for line in read_text(path).splitlines() if not line.startswith("#")]


def _exists(path: Path) -> None:
    if not path.is_file():
        raise NotPlainError(f"no {path.name}, so that they cannot be read")


def _take(stream: BytesIO, layout: str) -> tuple:
    size = struct.calcsize(f"<{layout}")
    raw = stream.read(size)
    if len(raw) != size:
        raise NotPlainError("that they cannot be read (a file ends early)")
    return struct.unpack(f"<{layout}", raw)


def _binary_lenses(stream: BytesIO) -> Iterator[Lens]:
    (count,) = _take(stream, "Q")
    for _ in range(count):
        number, model, width, height = _take(stream, "iiQQ")
        if not 0 <= model < len(MODELS):
            raise NotPlainError(f"that they cannot be read (camera model {model})")
        name, params = MODELS[model]
        yield Lens(number, name, width, height, np.array(_take(stream, f"{params}d")))


def _binary_poses(stream: BytesIO) -> Iterator[Pose]:
    (count,) = _take(stream, "Q")
    for _ in range(count):
        _, *numbers, camera = _take(stream, "i7di")
        name = bytearray()
        while (letter := stream.read(1)) != b"\0":
            name += letter
            if not letter or len(name) > MOST_NAME:
                raise NotPlainError("that they cannot be read (a picture's name without an end)")
        (points,) = _take(stream, "Q")
        left = len(stream.getbuffer()) - stream.tell()
        if 24 * points > left:
            raise NotPlainError(f"that they cannot be read ({points} points in {left} bytes)")
        stream.seek(24 * points, 1)
        yield Pose(name.decode("utf-8"), camera, _transform(numbers))


def _text_lenses(lines: list[str]) -> Iterator[Lens]:
    for line in filter(str.strip, lines):
        number, model, width, height, *params = line.split()
        if PARAMS.get(model) != len(params):
            raise NotPlainError(f"that they cannot be read (a camera '{model[:40]}' of {len(params)} numbers)")
        yield Lens(int(number), model, int(width), int(height), np.array(params, np.float64))


def _text_poses(lines: list[str]) -> Iterator[Pose]:
    """Two lines each: the pose, then the points, which may be none."""
    at = 0
    while at < len(lines):
        if lines[at].strip():
            _, *numbers, camera, name = lines[at].split(maxsplit=9)
            yield Pose(name.strip(), int(camera), _transform([float(x) for x in numbers]))
            at += 1
        at += 1


def _transform(numbers: list[float]) -> Float[ndarray, "4 4"]:
    """World to camera from a quaternion wxyz and a shift."""
    q, t = np.array(numbers[:4], np.float64), np.array(numbers[4:], np.float64)
    if q.shape != (4,) or t.shape != (3,) or not np.isfinite(numbers).all() or not 0.9 < q @ q < 1.1:
        raise NotPlainError(f"that they cannot be read (the pose {numbers})")
    w, x, y, z = q / np.linalg.norm(q)
    T = np.eye(4)
    T[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    T[:3, 3] = t
    return T

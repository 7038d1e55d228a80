"""Which way is up, and turning a motion so that another axis is."""

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from .types import RawMotion, Up

UPS: tuple[Up, ...] = ("x", "y", "z", "-x", "-y", "-z")
_AGREES = 0.5
"""The body's mean up direction within 60 degrees of what the format means."""

_FROM_Y: dict[str, tuple[str, float]] = {
    "y": ("x", 0.0), "z": ("x", 90.0), "-y": ("x", 180.0), "-z": ("x", -90.0), "x": ("z", -90.0), "-x": ("z", 90.0),
}  # fmt: skip
"""Up axis -> the rotation (axis, degrees) that turns y into it. Half a turn is about x, as camera axes differ."""


def vector(up: str) -> np.ndarray:
    """Unit vector [3] of "x", "-x", ..."""
    out = np.zeros(3)
    out["xyz".index(up[-1])] = -1.0 if up.startswith("-") else 1.0
    return out


def name(direction: tuple[float, float, float] | np.ndarray) -> Up:
    """The nearest signed axis."""
    axis = int(np.abs(np.asarray(direction)).argmax())
    return UPS[axis + (3 if np.asarray(direction)[axis] < 0 else 0)]


def detect(raw: RawMotion) -> tuple[Up, str, tuple[str, ...]]:
    """Up axis, how it was found, notes."""
    mean = Rotation.from_rotvec(raw.pose[:, 0]).apply([0.0, 1.0, 0.0]).mean(0)
    seen = name(mean)
    if raw.up is not None and mean @ vector(raw.up) >= _AGREES:
        return raw.up, f"{raw.up} (the format's)", ()
    if np.linalg.norm(mean) < _AGREES:
        chosen = raw.up or seen
        return (
            chosen,
            f"{chosen} (uncertain)",
            ("the body is upright too rarely to tell the up axis; check, or give --up.",),
        )
    if raw.up is None:
        return seen, f"{seen} (from the body)", ()
    note = f"{raw.format} files have {raw.up} up, but this body points to {seen}; give --up {raw.up} if it lies."
    return seen, f"{seen} (from the body)", (note,)


def turn(raw: RawMotion, source: str, target: str) -> RawMotion:
    """The same motion in a world whose `target` axis is up; turned about the origin."""
    if source == target:
        return raw
    fix = _from_y(target) * _from_y(source).inv()
    pose = raw.pose.copy()
    pose[:, 0] = (fix * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    return replace(raw, pose=pose, pelvis=fix.apply(raw.pelvis))


def _from_y(up: str) -> Rotation:
    axis, degrees = _FROM_Y[up]
    return Rotation.from_euler(axis, degrees, degrees=True)

"""What a motion is, what a format's reader hands over, and what a user may override.

Conventions as everywhere in this package: metres, radians, SMPL-X joint order, `x_world = LBS(pose) + transl`.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

FormatName = Literal["amass", "bvh", "emage", "gvhmr", "pose-json", "smpler-x", "smplx-params", "tram", "wham"]
Up = Literal["x", "y", "z", "-x", "-y", "-z"]
Hands = Literal["given", "relative", "relaxed"]
Unit = Literal["m", "cm", "mm", "inch"]

METRES: dict[str, float] = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254}
MAX_FRAMES = 200_000
"""Two hours at 30 frames a second; more is a damaged or hostile file."""
DEFAULT_FPS = 30.0
MAX_NUMBER = 1e8
"""Radians, or units of length: further than anybody turns or walks, near enough to calculate with."""
MAX_FPS = 10_000.0
"""Faster than any motion capture."""
NUM_EXPRESSIONS = 10


class MotionError(ValueError):
    """A motion that cannot be used as it is. The message says where, what was expected, what was found, what to do."""


@dataclass(frozen=True)
class MotionOptions:
    """What to take instead of what is detected, and what to make of it."""

    format: Literal[
        "auto", "amass", "bvh", "emage", "gvhmr", "pose-json", "smpler-x", "smplx-params", "tram", "wham"
    ] = "auto"
    """Source format."""
    fps: float = 0.0
    """Frames per second of the file; 0: what the file says, else what its format usually has."""
    up: Literal["auto", "x", "y", "z", "-x", "-y", "-z"] = "auto"
    """Axis of the file that points up; auto: where the body's spine points on average."""
    unit: Literal["auto", "m", "cm", "mm", "inch"] = "auto"
    """Unit of the file's positions; auto: metres, for BVH the scale at which the legs are as long as the avatar's."""
    hands: Literal["auto", "given", "relative", "relaxed"] = "auto"
    """given: hand angles as they stand. relative: the body's mean hand pose is added to them. relaxed: the mean hand
    pose instead of the file's. auto: what the format means, relaxed where it has no hands."""
    person: int = -1
    """Which person of a file or folder with several (the number the tool gave); -1: the one seen longest."""
    camera_space: bool = False
    """GVHMR, WHAM, TRAM: the motion as the camera sees it, not the one in the world."""
    target_fps: float = DEFAULT_FPS
    """Frames per second of the result; 0 keeps those of the file."""
    target_up: Literal["x", "y", "z", "-x", "-y", "-z"] = "y"
    """World axis that points up in the result."""


@dataclass(frozen=True)
class Rig:
    """The skeleton that a motion is meant for."""

    joint_rest: Float[ndarray, "55 3"]
    """Rest joints in metres: y up, facing +z, arms along x."""
    parents: tuple[int, ...]
    """55 entries, -1 for the pelvis."""
    hand_mean: Float[ndarray, "30 3"]
    """Mean hand pose of the body, axis-angle: the relaxed hand."""


@dataclass(frozen=True)
class PoseRow:
    """One frame of a `.pose.json` or `.pose.bin`: `x_world = Rh @ skin(x) + Th`."""

    pose: Float[ndarray, "55 3"]
    Rh: Float[ndarray, "3 3"]
    Th: Float[ndarray, " 3"]
    expression: Float[ndarray, " e"]


@dataclass(frozen=True)
class RawMotion:
    """What a format's reader found, still in the file's axes, unit and frame rate. `t` frames."""

    format: FormatName
    pose: Float[ndarray, "t 55 3"]
    """Axis-angle of every joint relative to its parent; zero where the file has none."""
    pelvis: Float[ndarray, "t 3"]
    """Where joint 0 is in the world (metres, or in `unit`)."""
    expression: Float[ndarray, "t 10"]
    fps: float | None
    """What the file says; None: nothing."""
    usual_fps: float
    """What the format usually has."""
    up: Up | None
    """What the format means; None: anything."""
    hands: Hands
    unit: str = "m"
    """For the report."""
    scale: float = 1.0
    """Metres per unit of `pelvis`."""
    frame: Float[ndarray, " t"] | None = None
    """Ascending frame numbers where some are missing; None: 0, 1, 2, ..."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Motion:
    """Body parameters of `t` frames, hand mean inside, for one rig."""

    pose: Float[ndarray, "t 55 3"]
    transl: Float[ndarray, "t 3"]
    """`x_world = LBS(pose) + transl`: joint 0 is at `rig.joint_rest[0] + transl`."""
    expression: Float[ndarray, "t 10"]
    fps: float
    up: Up

    def __len__(self) -> int:
        return len(self.pose)


@dataclass(frozen=True)
class MotionReport:
    """What was detected, so that a wrong guess is seen."""

    file: str
    format: str
    frames: int
    fps: str
    up: str
    hands: str
    unit: str
    result: str
    notes: tuple[str, ...] = field(default=())

    def describe(self) -> str:
        """Lines for the terminal."""
        lines = [
            f"{self.file}: {self.format}, {self.frames} frames at {self.fps}",
            f"  up {self.up}; hands {self.hands}; unit {self.unit}",
            f"  -> {self.result}",
        ]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def pad_expression(expression: Any, frames: int) -> Float[ndarray, "t 10"]:
    """The first ten coefficients, zeros where there are fewer or none (`None`)."""
    out = np.zeros((frames, NUM_EXPRESSIONS))
    if expression is not None:
        given = np.asarray(expression, np.float64).reshape(frames, -1)[:, :NUM_EXPRESSIONS]
        out[:, : given.shape[1]] = given
    return out

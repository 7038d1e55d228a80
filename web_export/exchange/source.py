"""What `mobavatar convert` reads: an exported folder, an avatar file, or the published runtime's `.npz`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import bundle, pose_sequence
from ..bundle import AvatarArrays
from ..evaluate import Pose
from ..page_folder import AVATAR_FILE
from . import runtime_npz
from .errors import ExchangeError

DEFAULT_FPS = 30.0
READABLE = "a folder that `ns-export mobavatar` wrote, an avatar file (.mobavatar), or the published runtime's .npz"


@dataclass(frozen=True)
class Source:
    """An avatar, and the motion that lies in its folder."""

    path: Path
    arrays: AvatarArrays
    motion: Path | None
    notes: tuple[str, ...] = ()
    """What was found out while reading, for the terminal."""

    @property
    def fps(self) -> float:
        """Of the avatar's own motion."""
        return float(self.arrays.meta.get("fps") or DEFAULT_FPS)

    @property
    def up(self) -> np.ndarray:
        return np.array(self.arrays.meta.get("up", (0.0, 1.0, 0.0)), np.float64)

    def own_poses(self) -> list[Pose]:
        """Of the motion in its folder, over which rounding errors are weighed; none: poses at random are taken."""
        return pose_sequence.read(self.motion) if self.motion else []

    @property
    def rights(self) -> str:
        """One line: the author's licence, then the body's."""
        meta = self.arrays.meta
        return " | ".join(str(meta[key]) for key in ("license", "body_license") if meta.get(key))


def open_source(path: Path) -> Source:
    """Read the avatar. Raises ExchangeError, BundleError."""
    if path.is_dir():
        avatar, motion = path / AVATAR_FILE, pose_sequence.motion_of(path)
        if not avatar.is_file():
            raise ExchangeError(f"{path}: expected {READABLE}; this folder has no {AVATAR_FILE}.")
        return Source(path, bundle.load(avatar), motion if motion.is_file() else None)
    if not path.is_file():
        raise ExchangeError(f"{path}: no such file or folder; give {READABLE}.")
    if path.suffix.lower() == ".npz":
        arrays, width = runtime_npz.read(path)
        known = {73: "63 pose, 10 expression", 74: "63 pose, a zero, 10 expression",
                 80: "63 pose, a zero, 10 expression, padding"}  # fmt: skip
        return Source(path, arrays, None, (f"network input {width} wide: {known[width]}",))
    if path.suffix.lower() == ".mobavatar":
        return Source(path, bundle.load(path), None)
    raise ExchangeError(f"{path}: expected {READABLE}. Splats (.ply, .spz, .sog, .glb) cannot become an avatar again.")


def rest_pose() -> Pose:
    """All angles zero: a T-pose at the origin."""
    zero = np.zeros(3, np.float32)
    return Pose(np.zeros((55, 3), np.float32), np.eye(3, dtype=np.float32), zero, np.zeros(10, np.float32))


def frame_of(path: Path, frame: int) -> Pose:
    """One frame of a motion. Raises ExchangeError, MotionError."""
    poses = pose_sequence.read(path)
    if not 0 <= frame < len(poses):
        raise ExchangeError(f"--frame {frame}: {path} has frames 0 to {len(poses) - 1}")
    return poses[frame]

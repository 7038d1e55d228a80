"""`.pose.json`, `.pose.bin` and the training fit as poses of an avatar: `x_world = Rh @ skin(x) + Th`.

The files are read and written by `motion.pose_json`, which goes by their endings. SMPL-X puts the root rotation about
the pelvis `J0`: `Rh = R(global_orient)`, `Th = transl + J0 - Rh @ J0`, so what is written has `pose[:3] = 0`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nerfstudio_mobavatar.motion import pose_json

from .evaluate import Pose, rotation_matrices

MOTION_FILE, OLD_MOTION_FILE = "motion.pose.bin", "motion.pose.json"
"""The first motion of an exported folder, now and in earlier versions."""


def motion_of(folder: Path) -> Path:
    """The first motion of an exported folder; where there is none, the path that it would have."""
    return next((p for p in (folder / MOTION_FILE, folder / OLD_MOTION_FILE) if p.is_file()), folder / MOTION_FILE)


def from_smplx(pose: np.ndarray, transl: np.ndarray, expression: np.ndarray, pelvis: np.ndarray) -> Pose:
    """One SMPL-X frame ([55, 3] pose, [3] transl) -> `Pose` with a zero root rotation. `pelvis` is rest joint 0."""
    Rh = rotation_matrices(np.asarray(pose[0], np.float64))
    rest = np.array(pose, np.float32)
    rest[0] = 0
    return Pose(rest, Rh.astype(np.float32), (transl + pelvis - Rh @ pelvis).astype(np.float32), expression)


def write(path: Path, poses: Sequence[Pose], frame_ids: Sequence[int], fps: float = 0.0) -> None:
    """Write the poses; `.pose.bin` keeps the rate (0: not known)."""
    rows = [pose_json.PoseRow(p.pose, p.Rh, p.Th, p.expression) for p in poses]
    pose_json.write_rows(path, rows, frame_ids, fps)


def read(path: Path) -> list[Pose]:
    """Read a sequence; raises `MotionError` naming the file and the frame that is not one."""
    return from_rows(pose_json.read_rows(path))


def from_rows(rows: Sequence[pose_json.PoseRow]) -> list[Pose]:
    """What `evaluate` takes."""
    return [Pose(*(x.astype(np.float32) for x in (row.pose, row.Rh, row.Th, row.expression))) for row in rows]

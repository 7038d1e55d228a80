"""`.pose.json`: a pose sequence as this family of tools writes it. `x_world = Rh @ skin(x) + Th`.

A top-level array of `{"frame_id", "pose": [165], "Th": [3], "Rh": [[3],[3],[3]], "expression": [E] or null}`.
SMPL-X puts the root rotation about the pelvis `J0`: `Rh = R(global_orient)`, `Th = transl + J0 - Rh @ J0`, so what is
written has `pose[:3] = 0`. numpy only.
"""

import json
from pathlib import Path

import numpy as np

from .evaluate import Pose, rotation_matrices


def from_smplx(pose: np.ndarray, transl: np.ndarray, expression: np.ndarray, pelvis: np.ndarray) -> Pose:
    """One SMPL-X frame ([55, 3] pose, [3] transl) -> `Pose` with a zero root rotation. `pelvis` is rest joint 0."""
    Rh = rotation_matrices(np.asarray(pose[0], np.float64))
    rest = np.array(pose, np.float32)
    rest[0] = 0
    return Pose(rest, Rh.astype(np.float32), (transl + pelvis - Rh @ pelvis).astype(np.float32), expression)


def write(path: Path, poses: list[Pose], frame_ids: list[int]) -> None:
    """Write the array, five decimals for angles (1e-5 rad) and positions (10 micrometres)."""
    rows = [
        {
            "frame_id": int(i),
            "pose": np.round(p.pose.astype(np.float64).ravel(), 5).tolist(),
            "Th": np.round(p.Th.astype(np.float64), 5).tolist(),
            "Rh": np.round(p.Rh.astype(np.float64), 7).tolist(),
            "expression": np.round(p.expression.astype(np.float64), 4).tolist(),
        }
        for i, p in zip(frame_ids, poses, strict=True)
    ]
    path.write_text(json.dumps(rows, separators=(",", ":")))


def read(path: Path) -> list[Pose]:
    """Read a sequence; raises ValueError naming the file and the frame that is not one."""
    rows = json.loads(path.read_text())
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{path}: expected a non-empty JSON array of frames")
    poses = []
    for i, row in enumerate(rows):
        try:
            pose = np.asarray(row["pose"], np.float32).reshape(55, 3)
            Rh, Th = np.asarray(row["Rh"], np.float32).reshape(3, 3), np.asarray(row["Th"], np.float32).reshape(3)
            expression = np.asarray(row.get("expression") or np.zeros(10), np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: frame {i} needs pose[165], Th[3], Rh[3][3] ({error})") from None
        poses.append(Pose(pose, Rh, Th, expression))
    return poses

"""`.pose.json`: a pose sequence as this family of tools writes it. `x_world = Rh @ skin(x) + Th`, after skinning.

A top-level array of `{"frame_id", "pose": [165], "Th": [3], "Rh": [[3],[3],[3]], "expression": [E] or null}`. A root
rotation may also stand in `pose[:3]`, about joint 0 (`J0`): the body then turns by `Rh exp(pose[:3])` and joint 0 is at
`Rh J0 + Th`. Files written here have it zero. The frame rate is not in the file: a `motions.json` beside it has it
(web_export/FORMAT.md), else 30 is taken.

`.pose.bin` holds the same rows in a fifteenth of the bytes, and the rate (pose_binary.py). Whatever reads or writes
one reads or writes the other, by the name's ending.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy import ndarray
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.plain_data import DAMAGE

from . import pose_binary
from .load import read_json
from .types import MAX_FPS, MAX_FRAMES, MAX_NUMBER, Motion, MotionError, PoseRow, RawMotion, Rig, pad_expression

INDEX = "motions.json"
ENDINGS = (".pose.json", pose_binary.ENDING)


def read_rows(path: Path) -> list[PoseRow]:
    """The file's frames; raises `MotionError` naming the frame that is not one."""
    return read_numbered(path)[0]


def read_numbered(path: Path) -> tuple[list[PoseRow], list[int]]:
    """The file's frames and their numbers, which count from 0 where the file has none."""
    if is_binary(path):
        found = pose_binary.read(path)
        return list(found.rows), list(found.frame_ids)
    rows = read_json(path)
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_FRAMES:
        found = f"{len(rows)} frames" if isinstance(rows, list) else type(rows).__name__
        raise MotionError(f"{path}: expected a non-empty JSON array of frames (at most {MAX_FRAMES}), found {found}.")
    out = []
    for i, row in enumerate(rows):
        try:
            pose = np.asarray(row["pose"], np.float64).reshape(55, 3)
            Rh, Th = np.asarray(row["Rh"], np.float64).reshape(3, 3), np.asarray(row["Th"], np.float64).reshape(3)
            expression = np.asarray(row.get("expression") or np.zeros(10), np.float64).reshape(-1)
        except DAMAGE as error:
            raise MotionError(
                f"{path}: frame {i} needs pose[165], Th[3], Rh[3][3] ({error}). Export it again."
            ) from None
        out.append(PoseRow(pose, Rh, Th, expression))
    ids = [row.get("frame_id") for row in rows]
    return out, ids if all(type(i) is int and abs(i) < 1 << 31 for i in ids) else list(range(len(out)))


def is_binary(path: Path) -> bool:
    """Whether the name says `.pose.bin`."""
    return path.name.lower().endswith(pose_binary.ENDING)


def write_rows(path: Path, rows: Sequence[PoseRow], frame_ids: Sequence[int], fps: float = 0.0) -> None:
    """Write the array, five decimals for angles (1e-5 rad) and positions (10 micrometres); or `.pose.bin`, whose errors
    pose_binary.py states and which keeps the rate (0: not known)."""
    if is_binary(path):
        pose_binary.write(path, rows, frame_ids, fps)
        return

    def numbers(x: ndarray, decimals: int) -> list:
        return np.round(np.asarray(x, np.float64), decimals).tolist()

    content = [
        {
            "frame_id": int(i),
            "pose": numbers(row.pose.ravel(), 5),
            "Th": numbers(row.Th, 5),
            "Rh": numbers(row.Rh, 7),
            "expression": numbers(row.expression, 4),
        }
        for i, row in zip(frame_ids, rows, strict=True)
    ]
    path.write_text(json.dumps(content, separators=(",", ":")))


def read(path: Path, rig: Rig) -> RawMotion:
    """See the module; the rig has to be that of the avatar which the file was made for."""
    rows = read_rows(path)
    pose = np.stack([row.pose for row in rows])
    Rh = np.stack([row.Rh for row in rows])
    if (
        not np.isfinite(Rh).all()
        or np.abs(Rh @ Rh.transpose(0, 2, 1) - np.eye(3)).max() > 0.01
        or np.linalg.det(Rh).min() < 0
    ):
        raise MotionError(f"{path}: expected rotations in Rh, found matrices that are none. Export it again.")
    bad = np.flatnonzero(~(np.abs(pose) < MAX_NUMBER).all((1, 2)))  # NaN is not below it
    if len(bad):
        raise MotionError(
            f"{path}: expected finite numbers, found others in the pose of frame {bad[0]}. Export it again."
        )
    root = Rotation.from_matrix(Rh)
    pelvis = root.apply(rig.joint_rest[0]) + np.stack([row.Th for row in rows])
    pose[:, 0] = (root * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    return RawMotion(
        format="pose-json",
        pose=pose,
        pelvis=pelvis,
        expression=np.concatenate([pad_expression(row.expression, 1) for row in rows]),
        fps=stored_fps(path),
        usual_fps=30.0,
        up=None,
        hands="given",
    )


def rows_of(motion: Motion, rig: Rig) -> list[PoseRow]:
    """The motion with its root rotation moved from the pose into `Rh`, `Th`."""
    Rh = Rotation.from_rotvec(motion.pose[:, 0]).as_matrix()
    J0 = np.asarray(rig.joint_rest[0], np.float64)
    Th = J0 + motion.transl - Rh @ J0
    rest = motion.pose.copy()
    rest[:, 0] = 0
    return [PoseRow(rest[i], Rh[i], Th[i], motion.expression[i]) for i in range(len(motion))]


def write(path: Path, motion: Motion, rig: Rig) -> None:
    """Write the motion with frames numbered from 0."""
    write_rows(path, rows_of(motion, rig), range(len(motion)), motion.fps)


def stored_fps(path: Path) -> float | None:
    """Frames a second that the file itself, or a `motions.json` beside it, says it has; None where neither does."""
    if is_binary(path):
        return pose_binary.read(path).fps or indexed_fps(path)
    return indexed_fps(path)


def indexed_fps(path: Path) -> float | None:
    """Frames a second that a `motions.json` beside the file says it has; None where there is none."""
    for entry in _index(path.parent):
        if entry.get("file") == path.name and isinstance(entry.get("fps"), (int, float)):
            return float(entry["fps"]) if 0 < entry["fps"] <= MAX_FPS else None
    return None


def listed(folder: Path) -> list[tuple[str, Path]]:
    """Names and files of the motions that a `motions.json` in the folder lists, in its order: those that are there, in
    the folder or below."""
    out = []
    for entry in _index(folder):
        name, file = entry.get("name"), entry.get("file")
        if isinstance(name, str) and isinstance(file, str):
            path = folder / file
            if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
                out.append((name, path))
    return out


def _index(folder: Path) -> list[dict]:
    """The entries of a folder's `motions.json`; none where there is none."""
    index = folder / INDEX
    entries = read_json(index) if index.is_file() else []
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []

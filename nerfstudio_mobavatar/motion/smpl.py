"""What the SMPL family's formats share: rotations in any shape, 24 or 55 joints, frames without numbers."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.spatial.transform import Rotation

from .types import MAX_FRAMES, MotionError

MAX_SKEW = 0.2
"""How far (largest entry of R Rᵀ - I) a matrix may be from a rotation before it counts as something else."""


def frames_of(path: Path, arrays: dict[str, Any], key: str) -> int:
    """Rows of the array `key`; raises where it is absent, empty or endless."""
    if key not in arrays:
        raise MotionError(
            f"{path}: expected an array '{key}', found {', '.join(sorted(map(str, arrays))) or 'nothing'}. "
            "Give the tool's own output, or name its format with --format."
        )
    frames = len(np.atleast_1d(arrays[key]))
    if not 0 < frames <= MAX_FRAMES:
        raise MotionError(f"{path}: expected 1 to {MAX_FRAMES} frames, found {frames} rows in {key}. Cut the motion.")
    return frames


def numbers(path: Path, key: str, array: Any) -> ndarray:
    """As float64. Raises `MotionError` for text, objects and complex numbers."""
    try:
        found = np.asarray(array)
        if found.dtype.kind in "biuf":
            return found.astype(np.float64)
    except (ValueError, TypeError, OverflowError):  # lists of lists of different lengths
        found = np.asarray(None)
    raise MotionError(
        f"{path}: expected numbers in {key}, found {found.dtype} of shape {found.shape}. Export it again."
    )


def joints(path: Path, key: str, array: Any, frames: int, *counts: int) -> Float[ndarray, "t j 3"]:
    """Axis-angle of `j` joints (one of `counts`) from `3j` numbers, `j x 3`, or `j x 3 x 3` matrices per frame.

    Matrices are projected to the nearest rotation. Raises `MotionError` for other shapes and for mirrored matrices.
    """
    a = numbers(path, key, array)
    if a.shape[:1] != (frames,):
        a = a.reshape(frames, -1) if frames and a.size % frames == 0 and a.ndim < 2 else a
    if a.shape[:1] != (frames,):
        raise MotionError(f"{path}: expected {frames} rows in {key}, found shape {a.shape}. Save one row per frame.")
    wanted = " or ".join(str(n) for n in counts)
    if a.ndim >= 3 and a.shape[-2:] == (3, 3) and a.size in {frames * n * 9 for n in counts}:
        return matrices_to_axis_angle(path, key, a.reshape(frames, -1, 3, 3))
    if a.size in {frames * n * 3 for n in counts}:
        return a.reshape(frames, -1, 3)
    hint = ""
    if key.endswith("hand_pose") and a.size <= frames * 45:
        hint = " This looks like PCA hands: expand them with the model's hand components, or give --hands relaxed."
    raise MotionError(
        f"{path}: expected {wanted} joints in {key} (3 numbers or a 3x3 matrix each), found shape {a.shape}.{hint}"
    )


def matrices_to_axis_angle(path: Path, key: str, matrices: Float[ndarray, "t j 3 3"]) -> Float[ndarray, "t j 3"]:
    """Nearest rotations (SciPy's orthogonal Procrustes) as axis-angle."""
    skew = np.abs(matrices @ np.swapaxes(matrices, -1, -2) - np.eye(3)).max((-1, -2))
    # written so that NaN is refused too
    if not (skew < MAX_SKEW).all() or (np.linalg.det(matrices) <= 0).any():
        frame, joint = np.unravel_index(int(np.nanargmax(np.where(np.isnan(skew), np.inf, skew))), skew.shape)
        raise MotionError(
            f"{path}: expected rotation matrices in {key}, found one that is none or mirrors (frame {frame}, joint "
            f"{joint}). Check which array this is; 6D rotations have to be turned into matrices first."
        )
    flat = Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_rotvec()
    return flat.reshape(*matrices.shape[:2], 3)


def vectors(path: Path, key: str, array: Any, frames: int) -> Float[ndarray, "t 3"]:
    """Three numbers per frame."""
    a = numbers(path, key, array)
    if a.size != 3 * frames:
        raise MotionError(f"{path}: expected {frames} x 3 numbers in {key}, found shape {a.shape}. Save one per frame.")
    return a.reshape(frames, 3)


def body_pose(*parts: tuple[int, Float[ndarray, "t _ 3"]]) -> Float[ndarray, "t 55 3"]:
    """A 55-joint pose from (first joint, angles) pairs."""
    pose = np.zeros((len(parts[0][1]), 55, 3))
    for first, angles in parts:
        pose[:, first : first + angles.shape[1]] = angles
    return pose


def smpl_to_smplx(pose: Float[ndarray, "t 24 3"]) -> Float[ndarray, "t 55 3"]:
    """SMPL's 24 joints: the first 22 are SMPL-X's, 22 and 23 are SMPL's rigid hands and have no counterpart."""
    return body_pose((0, pose[:, :22]))


def rate(arrays: dict[str, Any], *keys: str) -> float | None:
    """The first of these numbers that is there and positive."""
    for key in keys:
        if key in arrays and np.size(arrays[key]) == 1 and np.issubdtype(np.asarray(arrays[key]).dtype, np.number):
            value = float(np.asarray(arrays[key]).item())
            if np.isfinite(value) and value > 0:
                return value
    return None

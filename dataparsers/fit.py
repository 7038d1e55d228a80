"""`smpl_params.npz`: the body fit of AvatarReX and its relatives, checked and brought to `BodyFit`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from nerfstudio_mobavatar.capture import BodyFit, CaptureError
from nerfstudio_mobavatar.plain_data import NotPlainError, read_npz

POSE_PARTS = (
    ("global_orient", 0, 1),
    ("body_pose", 1, 21),
    ("jaw_pose", 22, 1),
    ("leye_pose", 23, 1),
    ("reye_pose", 24, 1),
    ("left_hand_pose", 25, 15),
    ("right_hand_pose", 40, 15),
)
"""Key, first joint and number of joints of each part of the pose, in SMPL-X joint order."""

MOST_ROWS = 200_000
"""Two hours at 30 frames a second; more is a damaged or hostile file."""

REQUIRED = ("global_orient", "body_pose", "transl", "betas")


@dataclass(frozen=True)
class RawFit:
    """A fit as stored: rows may still hold NaN."""

    path: Path
    fit: BodyFit
    finite: Bool[ndarray, " t"]
    """Rows in which every number is finite."""
    notes: tuple[str, ...]


def read_fit(path: Path) -> RawFit:
    """Read and check the file."""
    return fit_from_arrays(path, load_arrays(path))


def fit_from_arrays(path: Path, stored: Mapping[str, ndarray]) -> RawFit:
    """Check the arrays of `path` by smplx's parameter names; optional parts that are absent are zero, which a note
    says. What is not a number (a text beside the arrays) is not looked at."""
    arrays = {key: value.astype(np.float32) for key, value in stored.items() if np.issubdtype(value.dtype, np.number)}
    missing = [key for key in REQUIRED if key not in arrays]
    if missing:
        raise CaptureError(
            f"{path}: expected the SMPL-X keys {', '.join(REQUIRED)}, found {', '.join(sorted(arrays))} (missing: "
            f"{', '.join(missing)}). Save the fit with smplx's parameter names."
        )
    rows = len(np.atleast_1d(arrays["global_orient"]))
    if rows == 0:
        raise CaptureError(f"{path}: expected one row per frame, found global_orient without rows. Fit the body again.")
    if rows > MOST_ROWS:
        raise CaptureError(
            f"{path}: expected at most {MOST_ROWS} rows, found {rows} in global_orient. Cut the capture."
        )
    pose = np.zeros((rows, 55, 3), np.float32)
    absent = []
    for key, first, count in POSE_PARTS:
        if key in arrays:
            pose[:, first : first + count] = _joints(path, key, arrays[key], rows, count)
        else:
            absent.append(key)
    transl = _rows(path, "transl", arrays["transl"], rows)
    if transl.shape[1:] != (3,):
        raise CaptureError(f"{path}: expected transl of shape ({rows}, 3), found {transl.shape}. Save metres per row.")
    if "expression" not in arrays:
        absent.append("expression")
    expression = _rows(path, "expression", arrays.get("expression", np.zeros((rows, 10), np.float32)), rows)
    expression = _without_zeros(expression)
    finite = np.isfinite(pose).all((1, 2)) & np.isfinite(transl).all(1) & np.isfinite(expression).all(1)
    betas, beta_notes = _betas(path, arrays["betas"])
    notes = beta_notes + ((f"{path.name} has no {', '.join(absent)}: taken as zero.",) if absent else ())
    return RawFit(path, BodyFit(pose, transl, expression, betas), finite, notes)


def add_hand_mean(fit: BodyFit, hand_mean: Float[ndarray, "30 3"]) -> BodyFit:
    """The same poses with the body file's mean hand pose added (the fit was made with `flat_hand_mean=False`)."""
    pose = fit.pose.copy()
    pose[:, 25:55] += hand_mean.astype(pose.dtype)
    return BodyFit(pose, fit.transl, fit.expression, fit.betas)


def select_rows(fit: BodyFit, rows: Sequence[int]) -> BodyFit:
    """The fit of the given rows, in their order."""
    index = np.asarray(rows, dtype=np.int64)
    return BodyFit(fit.pose[index], fit.transl[index], fit.expression[index], fit.betas)


def load_arrays(path: Path) -> dict[str, ndarray]:
    """Everything in a `.npz`, as stored. Raises `CaptureError`."""
    if not path.is_file():
        raise CaptureError(
            f"{path}: expected the body fit, found no such file. Put the SMPL-X parameters of all frames there "
            "(see dataparsers/README.md for the keys)."
        )
    try:
        return read_npz(path)[0]
    except NotPlainError as error:
        raise CaptureError(
            f"{path}: expected a numpy .npz of plain arrays, found {error}. Save it again with numpy.savez and float "
            "arrays (no Python objects)."
        ) from error


def _rows(path: Path, key: str, array: ndarray, rows: int) -> Float[ndarray, "t d"]:
    if array.ndim < 2 or len(array) != rows:
        raise CaptureError(
            f"{path}: expected {rows} rows in {key} like global_orient, found shape {array.shape}. "
            "Save every parameter with one row per frame."
        )
    return array.reshape(rows, -1)


def _joints(path: Path, key: str, array: ndarray, rows: int, count: int) -> Float[ndarray, "t j 3"]:
    flat = _rows(path, key, array, rows)
    if flat.shape[1] == 3 * count:
        return flat.reshape(rows, count, 3)
    remedy = f"Save {count} axis-angle rotations per row ({3 * count} numbers)."
    if key == "body_pose" and flat.shape[1] == 69:
        remedy = (
            "69 numbers are a SMPL pose (23 joints): fit SMPL-X, or drop the last two joints and convert the shape."
        )
    elif key.endswith("hand_pose") and flat.shape[1] <= 45:
        remedy = "This looks like PCA hands: expand them to 45 axis-angle numbers with the model's hand components."
    raise CaptureError(f"{path}: expected {3 * count} numbers per row in {key}, found {flat.shape[1]}. {remedy}")


def _without_zeros(coefficients: Float[ndarray, "t e"]) -> Float[ndarray, "t f"]:
    """Without the coefficients after the tenth that are zero in every row and all later ones, too: files are filled up
    to the 300 or 100 that a model could take, which smaller models refuse."""
    used = np.flatnonzero(coefficients.any(0))
    return coefficients[:, : max(10, used[-1] + 1 if len(used) else 0)]


def _betas(path: Path, array: ndarray) -> tuple[Float[ndarray, " b"], tuple[str, ...]]:
    array = np.atleast_1d(array)
    first = array[None] if array.ndim == 1 else array.reshape(len(array), -1)[:1] if array.size else np.zeros((1, 0))
    betas = _without_zeros(first)[0]
    if betas.size == 0 or not np.isfinite(betas).all():
        raise CaptureError(
            f"{path}: expected finite shape coefficients in betas, found {betas[:20].tolist()}. "
            "The shape is shared by all frames and cannot be dropped: fit the body again."
        )
    if array.ndim > 1 and len(array) > 1 and np.abs(array - array[:1]).max() > 1e-6:
        return betas, (f"{path.name} has a shape per frame; the first one is used for all.",)
    return betas, ()

"""`calibration_full.json`: per camera `K` (9), `R` (9), `T` (3), `distCoeff` (5), `imgSize` [width, height].

World-to-camera, metres, OpenCV axes and OpenCV pixel centres (integers; half a pixel is added here).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from nerfstudio_mobavatar.capture import CaptureCamera, CaptureError
from nerfstudio_mobavatar.picture_header import picture_size
from nerfstudio_mobavatar.plain_data import DAMAGE, NotPlainError, damage_as, read_json

SIZE_TOLERANCE = 0.02
"""Share by which the image may differ from `imgSize` and still be taken for the calibrated image (padding to a codec's
block size, a few lines cut off): then the image's own size counts."""

FAR = 100.0
"""Metres between camera and body beyond which a calibration is taken for millimetres."""


def read_calibration(path: Path) -> dict[str, dict[str, Any]]:
    """The file's entries by camera name, in its order."""
    if not path.is_file():
        raise CaptureError(
            f"{path}: expected the camera calibration, found no such file. Put the JSON with K, R, T, distCoeff and "
            "imgSize of every camera there (see dataparsers/README.md)."
        )
    try:
        entries = read_json(path)
    except NotPlainError as error:
        raise CaptureError(f"{path}: expected JSON, found {error}. Export it again.") from error
    if not isinstance(entries, dict) or not entries or not all(isinstance(e, dict) for e in entries.values()):
        raise CaptureError(f"{path}: expected an object with one entry per camera, found none. Export it again.")
    return entries


def image_size(path: Path) -> tuple[int, int]:
    """Width and height from the file's header alone."""
    try:
        return picture_size(path)
    except NotPlainError as error:
        raise CaptureError(f"{path}: expected a picture, found {error}. Copy it again.") from error


def parse_camera(
    path: Path, name: str, entry: dict[str, Any], first_image: Path, pixel_shift: float = 0.5
) -> tuple[CaptureCamera, tuple[str, ...]]:
    """One camera, its size taken from `first_image`; notes say what differed from the file.

    `pixel_shift` is added to the principal point: 0.5 where the calibration has pixel centres at integers, as OpenCV,
    0 where it has them at half-integers.
    """
    K = _numbers(path, name, entry, "K", 9).reshape(3, 3)
    R = _numbers(path, name, entry, "R", 9).reshape(3, 3)
    T = _numbers(path, name, entry, "T", 3)
    if np.abs(R @ R.T - np.eye(3)).max() > 1e-3 or np.linalg.det(R) < 0:
        raise CaptureError(
            f"{path}: expected a rotation matrix in R of camera {name}, found {R.round(4).tolist()}. "
            "R holds the 9 numbers of a world-to-camera rotation, row by row."
        )
    if K[0, 0] <= 0 or K[1, 1] <= 0:
        raise CaptureError(f"{path}: expected positive focal lengths in K of camera {name}, found {K.tolist()}. Fix K.")
    size, notes = _reconcile_size(path, name, entry.get("imgSize"), K, first_image)
    K = K + pixel_shift * np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    T_cam_world = np.eye(4)
    T_cam_world[:3, :3], T_cam_world[:3, 3] = R, T
    distortion, more = _distortion(path, name, entry)
    return CaptureCamera(name, K, T_cam_world, size[0], size[1], distortion), notes + more


_NOTED: ContextVar[list[CaptureError] | None] = ContextVar("noted", default=None)


@contextmanager
def implausible_cameras_noted() -> Iterator[list[CaptureError]]:
    """Inside, `check_body_in_front` notes what it finds instead of raising it. For a reader who wants to know which
    other convention would make sense of such cameras, which needs them read first."""
    noted: list[CaptureError] = []
    token = _NOTED.set(noted)
    try:
        yield noted
    finally:
        _NOTED.reset(token)


def check_body_in_front(path: Path, camera: CaptureCamera, transl: Float[ndarray, "t 3"]) -> None:
    """Catch other units and camera-to-world calibrations: the body must stand before the camera, within `FAR`."""
    in_camera = transl @ camera.T_cam_world[:3, :3].T + camera.T_cam_world[:3, 3]
    distance = float(np.median(np.linalg.norm(in_camera, axis=1)))
    if distance > FAR:
        unit, factor = ("millimetres", 1000) if distance > 10 * FAR else ("centimetres", 100)
        # the larger of the two made the distance
        what = (
            "T" if np.linalg.norm(camera.T_cam_world[:3, 3]) > np.median(np.linalg.norm(transl, axis=1)) else "transl"
        )
        _refuse(
            f"{path}: expected camera {camera.name} within {FAR:.0f} m of the body, found {distance:.0f} m. {what} is "
            f"probably in {unit}: divide it by {factor}."
        )
    elif (in_camera[:, 2] <= 0).all():
        _refuse(
            f"{path}: expected the body in front of camera {camera.name}, found it behind in all frames. R and T must "
            "map world to camera with z forward: invert them if they are the camera's pose, and turn y and z if they "
            "have OpenGL axes."
        )


def _refuse(message: str) -> None:
    noted = _NOTED.get()
    if noted is None:
        raise CaptureError(message)
    noted.append(CaptureError(message))


def _numbers(path: Path, name: str, entry: dict[str, Any], key: str, count: int) -> Float[ndarray, " n"]:
    try:
        values = np.asarray(entry[key], dtype=np.float64).ravel()
    except DAMAGE:
        values = np.zeros(0)
    if len(values) != count or not np.isfinite(values).all():
        raise CaptureError(
            f"{path}: expected {count} finite numbers in {key} of camera {name}, found "
            f"{str(entry.get(key, 'no such key'))[:300]}. Export the calibration again."
        )
    return values


def _distortion(path: Path, name: str, entry: dict[str, Any]) -> tuple[Float[ndarray, " 5"], tuple[str, ...]]:
    if "distCoeff" not in entry:
        return np.zeros(5), (f"camera {name} has no distCoeff: taken as undistorted.",)
    remedy = "Undistort the images and set it to five zeros."
    with damage_as(CaptureError, path, f"OpenCV's k1, k2, p1, p2, k3 in distCoeff of camera {name}", remedy):
        values = np.asarray(entry["distCoeff"], dtype=np.float64).ravel()
    if len(values) < 4 or np.any(values[5:]) or not np.isfinite(values).all():
        raise CaptureError(
            f"{path}: expected OpenCV's k1, k2, p1, p2, k3 in distCoeff of camera {name}, found "
            f"{values[:20].tolist()}. {remedy}"
        )
    return np.pad(values[:5], (0, 5 - len(values[:5]))), ()


def _reconcile_size(
    path: Path, name: str, stated: Any, K: Float[ndarray, "3 3"], first_image: Path
) -> tuple[tuple[int, int], tuple[str, ...]]:
    """The image's own size, if the calibration can be meant for it."""
    width, height = image_size(first_image)
    cx, cy = K[0, 2], K[1, 2]
    centred = 0.25 * width < cx < 0.75 * width and 0.25 * height < cy < 0.75 * height
    try:
        w, h = (int(v) for v in stated) if stated is not None else (width, height)
    except DAMAGE:
        found = str(stated)[:100]
        raise CaptureError(f"{path}: expected [width, height] in imgSize of camera {name}, found {found}.") from None
    close = max(abs(width / w - 1), abs(height / h - 1)) <= SIZE_TOLERANCE if w > 0 and h > 0 else False
    if close and centred:
        note = f"camera {name}: imgSize says {w}x{h}, its images are {width}x{height}; the images' size is used."
        return (width, height), () if (w, h) == (width, height) else (note,)
    raise CaptureError(
        f"{path}: expected images of {w}x{h} pixels for camera {name} (imgSize) with the principal point "
        f"({cx:.1f}, {cy:.1f}) near their centre, found {width}x{height} in {first_image}. "
        f"{_size_remedy(w, h, width, height)}"
    )


def _size_remedy(w: int, h: int, width: int, height: int) -> str:
    if (w, h) == (height, width):
        return "imgSize is [width, height], or the images are turned by 90 degrees: turn them back."
    if w > 0 and h > 0 and math.isclose(width / w, height / h, rel_tol=SIZE_TOLERANCE) and (w, h) != (width, height):
        return (
            f"The images are {width / w:.3f} times the calibrated size: multiply fx, fy, cx, cy by that number and set "
            "imgSize, or use the full images with --image-scale."
        )
    return "Use the images the calibration was made for, or correct K and imgSize."

"""Pictures of a whole person from the front: the poster of a page, and what roundings of an avatar are judged by."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch

from .arrays import AvatarArrays
from .cameras import front_camera
from .evaluate import Pose, evaluate, rotation_matrices
from .page_folder import POSTER_FILE, ExportError
from .quality import Draw
from .reference import draw

HEIGHT = 960
"""Of a page's poster, pixels (3:4 portrait)."""
BACKGROUND = np.full(3, 0.94)


def stand(a: AvatarArrays, pose: Pose, up: Sequence[float]) -> dict[str, Any]:
    """Where the person is in one pose, as `meta` has it: `center` [3] and `radius` (metres) of a sphere that holds it,
    and `front`, the horizontal direction that it faces [3]."""
    means = evaluate(a, pose).mean.astype(np.float64)
    center = 0.5 * (means.min(0) + means.max(0))
    upward = np.array(up, np.float64)
    forward = pose.Rh @ rotation_matrices(pose.pose[0].astype(np.float64))[:, 2]
    front = forward - upward * (forward @ upward)
    if np.linalg.norm(front) < 0.1:  # lying down: any horizontal direction will do
        front = np.roll(upward, 1)
    return {
        "center": center.tolist(),
        "radius": float(np.linalg.norm(means - center, axis=1).max()),
        "front": (front / np.linalg.norm(front)).tolist(),
    }


def poster(a: AvatarArrays, pose: Pose, meta: dict[str, Any], height: int, device: torch.device) -> np.ndarray:
    """[h, w, 3] uint8 rgb: what the exported file looks like, not what the training model does."""
    width = height * 3 // 4
    T, K = front_camera(meta, width, height)
    rgb, _ = draw(evaluate(a, pose), T, K, width, height, BACKGROUND, a.pixels_per_metre, device)
    return np.rint(255 * rgb).astype(np.uint8)


def drawing(poses: Sequence[Pose], meta: dict[str, Any], height: int, device: torch.device) -> Draw:
    """Posters of an avatar in these poses: what roundings are judged by."""
    return lambda arrays: [poster(arrays, pose, meta, height, device) for pose in poses]


def as_jpeg(picture: np.ndarray) -> bytes:
    """The bytes of the poster's file. Raises `ExportError` where OpenCV cannot write one."""
    done, jpeg = cv2.imencode(".jpg", picture[..., ::-1])
    if not done:
        raise ExportError(f"{POSTER_FILE} could not be encoded by this OpenCV; nothing was written")
    return jpeg.tobytes()

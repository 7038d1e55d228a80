"""Is the mean hand pose in the fit? By plausibility, and by the masks around the hands."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..body_model import Body
from ..capture import BodyFit, Capture, CaptureError
from ..images import PERSON_THRESHOLD, UndistortMaps, load_matte, scaled_view
from .sampling import body_points
from .silhouette import iou, silhouette

SIDE = 1024
"""Longest side at which fingers are compared, pixels."""

LEAST_PIXELS = 24
"""Longer side of a hand in the picture below which its fingers cannot be told apart."""


@dataclass(frozen=True)
class HandReport:
    """Hands as they are read, and with the mean pose added or taken away."""

    share_of_mean: float
    """How much of the body's mean hand pose is in the fit's average: 1 is ordinary, 0 is none, 2 is twice."""
    flat: bool
    """All hand poses are exactly zero, or exactly the mean."""
    overlap: dict[str, float]
    """Overlap around the hands for "as read", "mean added" and "mean removed"; empty where hands are too small."""


def look_at_hands(capture: Capture, body: Body, rows: Sequence[int]) -> HandReport:
    """Compare in up to three frames."""
    mean = body.hand_mean.numpy()
    hands = capture.fit.pose[:, 25:]
    share = float((hands.mean(0) * mean).sum() / max(float((mean**2).sum()), 1e-9))
    flat = bool(np.ptp(hands, axis=0).max() == 0)
    overlap = {} if flat else _overlaps(capture, body, mean, list(rows)[:3])
    return HandReport(share, flat, overlap)


def _overlaps(capture: Capture, body: Body, mean: Float[ndarray, "30 3"], rows: list[int]) -> dict[str, float]:
    poses = {"as read": 0.0, "mean added": 1.0, "mean removed": -1.0}
    points = {key: body_points(_with_hands(capture, factor * mean), body, rows) for key, factor in poses.items()}
    sides = [(body.skin_weights[:, first : first + 15].sum(1) > 0.5).numpy() for first in (25, 40)]
    faces, maps = body.faces.numpy(), UndistortMaps()
    scores: dict[str, list[float]] = {key: [] for key in poses}
    for image in [image for image in capture.images if image.frame in rows][:24]:
        view = scaled_view(capture.cameras[image.camera], max_image_side=SIDE)
        camera = (view.K, view.T_cam_world, (view.width, view.height))
        boxes = [_box(points["as read"][image.frame][side], *camera) for side in sides]
        if not any(boxes):
            continue
        try:
            mask = load_matte(image.mask_path, view, maps) >= PERSON_THRESHOLD
        except (CaptureError, OSError, cv2.error):
            continue  # the sampling has reported it
        for key in poses:
            shadow = silhouette(points[key][image.frame], faces, *camera)
            scores[key] += [iou(shadow[box], mask[box]) for box in boxes if box]
    return {key: float(np.mean(values)) for key, values in scores.items() if values}


def _with_hands(capture: Capture, change: Float[ndarray, "30 3"]) -> Capture:
    fit = capture.fit
    pose = fit.pose.copy()
    pose[:, 25:] += change.astype(pose.dtype)
    return replace(capture, fit=BodyFit(pose, fit.transl, fit.expression, fit.betas))


def _box(
    points: Float[ndarray, "n 3"], K: Float[ndarray, "3 3"], T: Float[ndarray, "4 4"], size: tuple[int, int]
) -> tuple[slice, slice] | None:
    """Rows and columns around a hand that is large enough and wholly in the picture."""
    local = points @ T[:3, :3].T + T[:3, 3]
    if (local[:, 2] <= 0.1).any():
        return None
    u, v = (local @ K.T)[:, :2].T / local[:, 2]
    x0, x1, y0, y1 = (int(x) for x in (u.min(), u.max() + 1, v.min(), v.max() + 1))
    inside = x0 >= 0 and y0 >= 0 and x1 < size[0] and y1 < size[1]
    if not inside or max(x1 - x0, y1 - y0) < LEAST_PIXELS:
        return None
    return slice(y0, y1), slice(x0, x1)

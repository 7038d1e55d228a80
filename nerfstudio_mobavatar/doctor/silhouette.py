"""Where the fitted body should be in a picture, and how well that agrees with the mask."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from ..demo.mesh_raster import rasterize


def silhouette(
    points_world: Float[ndarray, "v 3"],
    faces: Int[ndarray, "f 3"],
    K: Float[ndarray, "3 3"],
    T_cam_world: Float[ndarray, "4 4"],
    size: tuple[int, int],
) -> Bool[ndarray, "h w"]:
    """Pixels whose centre a triangle covers, in a pinhole picture of `size` (width, height); metres."""
    width, height = size
    points = torch.from_numpy(points_world @ T_cam_world[:3, :3].T + T_cam_world[:3, 3]).float()
    hits = rasterize(points, torch.from_numpy(faces), torch.from_numpy(K).float(), width, height)
    shadow = np.zeros(width * height, bool)
    shadow[hits.pixel.numpy()] = True
    return shadow.reshape(height, width)


def iou(a: Bool[ndarray, "h w"], b: Bool[ndarray, "h w"]) -> float:
    """Intersection over union; 0 where both are empty, since a body that nobody sees agrees with nothing."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 0.0


def centre_offset(a: Bool[ndarray, "h w"], b: Bool[ndarray, "h w"]) -> float:
    """Distance in pixels between the centres of two silhouettes; NaN where one is empty."""
    if not (a.any() and b.any()):
        return float("nan")
    (ya, xa), (yb, xb) = (np.mean(np.nonzero(m), 1) for m in (a, b))
    return float(np.hypot(xa - xb, ya - yb))


@dataclass(frozen=True)
class Shift:
    """The move of the silhouettes that fits a camera's masks best."""

    dx: float
    """Pixels to the right."""
    dy: float
    """Pixels down."""
    iou: float
    """Overlap of all pictures together after the move."""
    iou_unmoved: float
    spread: float
    """How far single pictures' best moves scatter around the common one (median distance), pixels."""

    @property
    def length(self) -> float:
        return float(np.hypot(self.dx, self.dy))


def best_shift(pairs: Sequence[tuple[Bool[ndarray, "h w"], Bool[ndarray, "h w"]]], reach: int) -> Shift:
    """One common 2D move of all silhouettes (first of each pair) towards their masks (second).

    The overlap at every move within `reach` pixels comes from one correlation by Fourier transform; around the best
    whole pixel a parabola in each direction gives the fraction. Pixels moved out of the picture count as not covered.
    """
    side = 2 * reach + 1
    overlap, total, single = np.zeros((side, side)), 0.0, []
    for shadow, mask in pairs:
        shape = [scipy.fft.next_fast_len(n + reach, real=True) for n in shadow.shape]
        a, b = (np.asarray(scipy.fft.rfft2(x.astype(np.float32), shape)) for x in (shadow, mask))
        correlation = np.asarray(scipy.fft.irfft2(np.conj(a) * b, shape))
        window = np.roll(correlation, (reach, reach), (0, 1))[:side, :side].round()
        single.append(_top(window, reach))  # with the areas given, the largest overlap is the largest IoU
        overlap += window
        total += np.count_nonzero(shadow) + np.count_nonzero(mask)
    scores = overlap / np.maximum(total - overlap, 1)
    dx, dy = _top(scores, reach)
    spread = float(np.median(np.hypot(*(np.array(single) - (dx, dy)).T)))
    return Shift(dx, dy, float(scores.max()), float(scores[reach, reach]), spread)


def _top(scores: Float[ndarray, "s s"], reach: int) -> tuple[float, float]:
    """Move (right, down) of the highest score, to a fraction of a pixel."""
    row, column = (int(i) for i in np.unravel_index(int(scores.argmax()), scores.shape))
    return float(column - reach + _peak(scores[row], column)), float(row - reach + _peak(scores[:, column], row))


def _peak(values: Float[ndarray, " n"], at: int) -> float:
    """Offset of the parabola's top through the value at `at` and its neighbours, within half a step."""
    if not 0 < at < len(values) - 1:
        return 0.0
    left, middle, right = values[at - 1 : at + 2]
    bend = left - 2 * middle + right
    return float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0 else 0.0

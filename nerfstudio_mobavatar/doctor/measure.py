"""Numbers of one picture: how its mask and the fitted body's silhouette agree, and what the mask looks like."""

from dataclasses import dataclass

import cv2
import numpy as np
import scipy.ndimage
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray

from ..capture import CaptureImage
from .sampling import Sample
from .silhouette import iou, silhouette

SOFT = (20, 235)
"""Matte values strictly between these are a soft edge. JPEG rings up to about 10 around hard ones."""


@dataclass(frozen=True)
class Measured:
    """One picture, its silhouette kept as bits for later questions."""

    image: CaptureImage
    iou: float
    """Overlap of the silhouette and the mask."""
    inside: float
    """Share of the silhouette that lies in the mask. Low: the body is elsewhere."""
    covered: float
    """Share of the mask that the silhouette covers. Low alone: wide clothes or a slim body."""
    visible: float
    """Share of the body's vertices that project into the picture."""
    mask_share: float
    """Share of the picture that the mask covers."""
    border: float
    """Share of the picture's border that the mask covers."""
    holes: float
    """Area that the mask encloses, lacks, and the body covers, as a share of the mask."""
    soft: float
    """Share of the mask's pixels that are neither person nor background."""
    crumbs: float
    """Share of the mask outside its largest piece."""
    brightness: float | None
    """Median of the person's luma in the linear range, 0..1; None where the picture was not read."""
    tint: tuple[float, float] | None
    """Median red and blue of the person relative to green."""
    mask: Bool[ndarray, "h w"]
    shadow: Bool[ndarray, "h w"]


def measure(sample: Sample, points: Float[ndarray, "v 3"], faces: Int[ndarray, "f 3"]) -> Measured:
    """All numbers of one picture; `points` are the body's vertices in the world, metres."""
    view, mask = sample.view, sample.mask
    shadow = silhouette(points, faces, view.K, view.T_cam_world, (view.width, view.height))
    both, area, dark = np.count_nonzero(mask & shadow), np.count_nonzero(mask), np.count_nonzero(shadow)
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    soft = (sample.matte > SOFT[0]) & (sample.matte < SOFT[1])
    brightness, tint = _colour(sample.rgb, mask)
    return Measured(
        image=sample.image,
        iou=iou(shadow, mask),
        inside=both / dark if dark else 0.0,
        covered=both / area if area else 0.0,
        visible=_visible(points, sample),
        mask_share=area / mask.size,
        border=float(border.mean()),
        holes=_holes(mask, shadow),
        soft=np.count_nonzero(soft) / max(area, 1),
        crumbs=_crumbs(mask),
        brightness=brightness,
        tint=tint,
        mask=mask,
        shadow=shadow,
    )


def _visible(points: Float[ndarray, "v 3"], sample: Sample) -> float:
    """Every 20th vertex is enough."""
    view = sample.view
    local = points[::20] @ view.T_cam_world[:3, :3].T + view.T_cam_world[:3, 3]
    z = np.maximum(local[:, 2], 1e-6)
    u, v = (local @ view.K.T)[:, :2].T / z
    inside = (local[:, 2] > 0) & (u >= 0) & (v >= 0) & (u < view.width) & (v < view.height)
    return float(inside.mean())


def _holes(mask: Bool[ndarray, "h w"], shadow: Bool[ndarray, "h w"]) -> float:
    """Pixels that the mask encloses and where the body is: an arm on the hip also encloses background."""
    enclosed = scipy.ndimage.binary_fill_holes(mask) & ~mask
    return np.count_nonzero(enclosed & shadow) / max(np.count_nonzero(mask), 1)


def _crumbs(mask: Bool[ndarray, "h w"]) -> float:
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        return 0.0
    areas = stats[1:, cv2.CC_STAT_AREA]
    return float(1 - areas.max() / areas.sum())


def _colour(
    rgb: UInt8[ndarray, "h w 3"] | None, mask: Bool[ndarray, "h w"]
) -> tuple[float | None, tuple[float, float] | None]:
    """The person's brightness and tint in linear light (gamma 2.2 is near enough here)."""
    if rgb is None or not mask.any():
        return None, None
    person = (rgb[mask].astype(np.float32) / 255) ** 2.2
    luma = person @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    red, green, blue = (float(x) for x in person.mean(0))
    green = max(green, 1e-4)
    return float(np.median(luma)), (red / green, blue / green)

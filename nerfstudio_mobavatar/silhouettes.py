"""Masks as an optimiser wants them: how far outside the person a pixel lies, and points along the person's outline.

Everything is at a small working resolution, which is precise enough for a body fit and keeps hundreds of frames in
memory. Pixels have their centres at half-integers.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from torch import Tensor

from .capture import CaptureCamera, CaptureImage
from .images import PERSON_THRESHOLD, UndistortMaps, load_matte, scaled_view

OUTLINE_POINTS = 256
"""Points kept along the outlines of one mask, evenly spread."""
LEAST_PERSON = 50
"""Person pixels below which a mask says nothing (the person is out of this picture)."""
SMALLEST_OUTLINE = 20
"""Outlines shorter than this many pixels are specks of an automatic mask."""
THREADS = 4


@dataclass(frozen=True)
class Silhouettes:
    """Masks of `t` frames in `c` cameras."""

    outside: Float[Tensor, "t c h w"]
    """Distance to the nearest person pixel, pixels; 0 on the person."""
    outline: Float[Tensor, "t c m 2"]
    """Points of the outlines, pixels (x, y); without those along the picture's border, where the person is cut."""
    seen: Bool[Tensor, "t c"]
    """Whether there is such a picture with a person in it."""
    size: Float[Tensor, "c 2"]
    """Width and height of each camera's pictures; smaller ones are padded with zeros."""
    K: Float[Tensor, "c 3 3"]
    T_cam_world: Float[Tensor, "c 4 4"]

    @property
    def num_frames(self) -> int:
        return len(self.outside)

    def cameras(self, index: Sequence[int]) -> "Silhouettes":
        """The same frames, seen by these cameras only (positions along `c`)."""
        i = list(index)
        return Silhouettes(
            self.outside[:, i], self.outline[:, i], self.seen[:, i], self.size[i], self.K[i], self.T_cam_world[i]
        )


def load_silhouettes(
    cameras: Sequence[CaptureCamera],
    images: Sequence[CaptureImage],
    rows: Sequence[int],
    max_side: int,
    device: torch.device | str,
) -> Silhouettes:
    """Read the masks of `rows` in `cameras` (positions of `images[i].camera` in it are kept).

    Raises `CaptureError` naming the file where one cannot be read.
    """
    views = [scaled_view(camera, 1.0, max_side) for camera in cameras]
    height, width = max(v.height for v in views), max(v.width for v in views)
    place = {row: t for t, row in enumerate(rows)}
    shape = (len(rows), len(views))
    outside = np.zeros((*shape, height, width), np.float32)
    outline = np.zeros((*shape, OUTLINE_POINTS, 2), np.float32)
    seen = np.zeros(shape, bool)

    def read(image: CaptureImage) -> None:
        view = views[image.camera]
        # a table of its own per call: the maps' cache is not made for threads, and only few captures are distorted
        person = load_matte(image.mask_path, view, UndistortMaps()) >= PERSON_THRESHOLD
        found = mask_outline(person)
        if found is None:
            return
        t, c = place[image.frame], image.camera
        outside[t, c, : view.height, : view.width] = mask_distance(person)
        outline[t, c], seen[t, c] = found, True

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(read, [image for image in images if image.frame in place]))
    return Silhouettes(
        torch.from_numpy(outside).to(device),
        torch.from_numpy(outline).to(device),
        torch.from_numpy(seen).to(device),
        torch.tensor([[v.width, v.height] for v in views], dtype=torch.float32, device=device),
        _stack([v.K for v in views], device),
        _stack([v.T_cam_world for v in views], device),
    )


def mask_distance(person: Bool[ndarray, "h w"]) -> Float[ndarray, "h w"]:
    """Euclidean distance of every pixel to the nearest person pixel, pixels."""
    background: UInt8[ndarray, "h w"] = (~person).astype(np.uint8)
    return cv2.distanceTransform(background, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def mask_outline(person: Bool[ndarray, "h w"]) -> Float[ndarray, "m 2"] | None:
    """`OUTLINE_POINTS` points along the outer outlines (x, y at pixel centres), or None where there is no person."""
    if person.sum() < LEAST_PERSON:
        return None
    height, width = person.shape
    found, _ = cv2.findContours(person.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    long = [contour[:, 0] for contour in found if len(contour) > SMALLEST_OUTLINE]
    points = np.concatenate(long) if long else np.zeros((0, 2), np.int32)
    inner = (points > 1).all(1) & (points[:, 0] < width - 2) & (points[:, 1] < height - 2)
    points = points[inner]
    if len(points) == 0:
        return None
    chosen = np.linspace(0, len(points) - 1, OUTLINE_POINTS).round().astype(int)
    return points[chosen].astype(np.float32) + 0.5


def _stack(arrays: list[ndarray], device: torch.device | str) -> Tensor:
    return torch.from_numpy(np.stack(arrays).astype(np.float32)).to(device)

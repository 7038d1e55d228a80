"""Which pictures to look at, and looking at them: a few hundred, however large the capture is.

Pictures are read as training reads them (undistorted, masks by the layout's own convention), shrunk to a working size.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray

from ..body_model import Body
from ..capture import Capture, CaptureError, CaptureImage
from ..images import PERSON_THRESHOLD, CameraView, UndistortMaps, load_image, load_matte, scaled_view

SIDE = 256
"""Longest side of the working pictures, pixels."""

_READERS = 4
"""Threads that decode pictures; OpenCV and the disk let go of Python's lock."""


@dataclass(frozen=True)
class Budget:
    """How much is looked at."""

    pictures: int
    """Pictures whose mask is read."""
    min_frames: int
    max_frames: int
    """Frames they are taken from, evenly spread over the recording."""
    colour_frames: int
    """Of these, frames whose pictures are read too (a picture costs about as much as two masks)."""


FULL = Budget(pictures=384, min_frames=6, max_frames=40, colour_frames=4)
"""For `mobavatar doctor`: 24 frames of 16 cameras."""

QUICK = Budget(pictures=24, min_frames=2, max_frames=3, colour_frames=0)
"""For `ns-train`: two or three frames, at most a dozen cameras."""


@dataclass(frozen=True)
class Sample:
    """One picture at the working size."""

    image: CaptureImage
    view: CameraView
    matte: UInt8[ndarray, "h w"]
    rgb: UInt8[ndarray, "h w 3"] | None

    @property
    def mask(self) -> Bool[ndarray, "h w"]:
        """Pixels of the person."""
        return self.matte >= PERSON_THRESHOLD


@dataclass(frozen=True)
class Unreadable:
    """A picture that could not be read, and why."""

    image: CaptureImage
    error: str


def chosen_rows(capture: Capture, budget: Budget) -> tuple[int, ...]:
    """Evenly spread rows of the fit; fewer frames where there are many cameras."""
    count = int(np.clip(budget.pictures // len(capture.cameras), budget.min_frames, budget.max_frames))
    rows = np.linspace(0, len(capture.frames) - 1, min(count, len(capture.frames))).round().astype(int)
    return tuple(int(row) for row in np.unique(rows))


def chosen_images(capture: Capture, rows: Sequence[int], budget: Budget) -> list[CaptureImage]:
    """The pictures of these rows; of evenly spread cameras only where there are more than the budget allows."""
    most = max(1, budget.pictures // max(len(rows), 1))
    count = min(most, len(capture.cameras))
    cameras = set(np.linspace(0, len(capture.cameras) - 1, count).round().astype(int).tolist())
    wanted = set(rows)
    return [image for image in capture.images if image.frame in wanted and image.camera in cameras]


def views_of(capture: Capture, side: int = SIDE) -> tuple[CameraView, ...]:
    """Every camera at the working size."""
    return tuple(scaled_view(camera, max_image_side=side) for camera in capture.cameras)


def read(
    images: Sequence[CaptureImage],
    views: Sequence[CameraView],
    colour_rows: frozenset[int] = frozenset(),
    advance: Callable[[], None] = lambda: None,
) -> Iterator[Sample | Unreadable]:
    """The pictures in order, read ahead by a few threads; one that is broken is reported, not raised."""
    maps = UndistortMaps()
    for view in views:
        if np.any(view.distortion):
            maps.get(view)  # filled before the threads start: the cache is not made for several writers

    def one(image: CaptureImage) -> Sample | Unreadable:
        view = views[image.camera]
        try:
            matte = load_matte(image.mask_path, view, maps)
            rgb = load_image(image.image_path, view, maps) if image.frame in colour_rows else None
        except (CaptureError, OSError, cv2.error) as error:  # OpenCV raises its own for sizes it refuses
            return Unreadable(image, str(error))
        return Sample(image, view, matte, rgb)

    with ThreadPoolExecutor(min(_READERS, os.cpu_count() or 1)) as pool:
        for sample in pool.map(one, images):
            advance()
            yield sample


def body_points(capture: Capture, body: Body, rows: Sequence[int]) -> dict[int, Float[ndarray, "v 3"]]:
    """World vertices (metres) of the fitted body by row. Numbers beyond what the body knows are left out; checks.py
    says so."""
    fit, index = capture.fit, list(rows)
    vertices = body.vertices(
        torch.from_numpy(fit.pose[index]).float(),
        torch.from_numpy(fit.transl[index]).float(),
        torch.from_numpy(fit.betas[: body.num_betas]).float(),
        torch.from_numpy(fit.expression[index][:, : body.num_expressions]).float(),
    )
    return dict(zip(index, vertices.numpy()))

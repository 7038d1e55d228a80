"""What a multi-view capture is, once a dataparser has read it: cameras, images, masks and a body fit per frame.

One convention everywhere: OpenCV axes (x right, y down, z forward), metres, radians, world-to-camera transforms,
pixel centres at half-integers (the centre of the top-left pixel is (0.5, 0.5), as gsplat and nerfstudio have it; an
OpenCV calibration puts it at (0, 0), so its parser adds 0.5 to the principal point).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

NUM_JOINTS = 55
"""SMPL-X joint order: 0 pelvis, 1-21 body, 22 jaw, 23 left eye, 24 right eye, 25-39 left hand, 40-54 right hand."""

MaskCoding = Literal["matte", "inverted", "nonzero"]
"""What mask files hold. `matte`: 0 background .. 255 person. `inverted`: 255 background. `nonzero`: anything but 0 is
the person (labels of body parts, or 0 and 1)."""


class CaptureError(ValueError):
    """A capture that cannot be used as it is. The message says where, what was expected, what was found, what to do."""


@dataclass(frozen=True)
class CaptureCamera:
    """One calibrated camera."""

    name: str
    K: Float[ndarray, "3 3"]
    """Intrinsics in pixels of the original image, pixel centres at half-integers."""
    T_cam_world: Float[ndarray, "4 4"]
    """World to camera, metres, OpenCV axes."""
    width: int
    height: int
    distortion: Float[ndarray, " 5"]
    """OpenCV k1, k2, p1, p2, k3; all zero for an undistorted camera."""
    mask_coding: MaskCoding = "matte"


@dataclass(frozen=True)
class BodyFit:
    """Body parameters of `t` frames in SMPL-X conventions: `x_world = LBS(pose, betas, expression) + transl`."""

    pose: Float[ndarray, "t 55 3"]
    """Axis-angle of every joint relative to its parent, joint 0 is the global orientation. The mean hand pose is
    already added (as if `flat_hand_mean=True`), PCA hands are already expanded."""
    transl: Float[ndarray, "t 3"]
    expression: Float[ndarray, "t e"]
    betas: Float[ndarray, " b"]

    @property
    def num_frames(self) -> int:
        return len(self.pose)


@dataclass(frozen=True)
class CaptureImage:
    """One picture: which camera, which row of the fit, where the pixels are."""

    camera: int
    frame: int
    """Row of `Capture.frames` and of `Capture.fit`."""
    image_path: Path
    mask_path: Path


@dataclass(frozen=True)
class Capture:
    """A whole capture. `frames[i]` is the recorder's frame number of row `i` of `fit`."""

    root: Path
    layout: str
    """Registered name of the dataparser that read it."""
    cameras: tuple[CaptureCamera, ...]
    frames: tuple[int, ...]
    fit: BodyFit
    images: tuple[CaptureImage, ...]
    fps: float
    up: tuple[float, float, float]
    """World axis that points up (unit vector along one signed axis), taken from the fitted spine."""
    notes: tuple[str, ...] = ()
    """What the parser found and decided, in sentences for the user."""

    def describe(self) -> str:
        """One line: layout, cameras, frames, pictures."""
        return (
            f"{self.layout} capture at {self.root}: {len(self.cameras)} cameras, {len(self.frames)} frames, "
            f"{len(self.images)} images"
        )


def up_axis(pelvis_to_head: Float[ndarray, "t 3"]) -> tuple[float, float, float]:
    """The signed coordinate axis closest to the mean direction from pelvis to head."""
    mean = pelvis_to_head.mean(0)
    axis = int(np.abs(mean).argmax())
    up = [0.0, 0.0, 0.0]
    up[axis] = float(np.sign(mean[axis]))
    return (up[0], up[1], up[2])

"""Other ways to read the same numbers: each is tried on a few pictures, and the masks say which fits best.

A capture whose parser took camera-to-world for world-to-camera looks like any other set of numbers; its silhouettes do
not. Every alternative changes the cameras or the body of a `Capture` that has been read, never the files.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from ..body_model import Body, root_from_rh_th
from ..capture import Capture
from ..images import CameraView
from ..transforms import axis_angle_to_rotmat
from .measure import Measured
from .silhouette import iou, silhouette

OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
"""Turns camera axes from OpenGL (y up, z backward) to OpenCV and back."""

CLEARLY = 0.1
"""Overlap by which an alternative must win to be believed: other people's masks and fits differ by less."""

TOO_LITTLE = 0.3
"""Overlap below which even the best alternative explains nothing."""


@dataclass(frozen=True)
class Alternative:
    """One other reading."""

    code: str
    says: str
    """Ends the sentence "the silhouettes fit better if ..."."""
    remedy: str
    cameras: Callable[[Float[ndarray, "4 4"]], Float[ndarray, "4 4"]] = lambda T: T
    """`T_cam_world` as it should have been read."""
    turn: Float[ndarray, "3 3"] | None = None
    """Rotation of the body's world into the cameras' world."""
    move: Float[ndarray, "t 3"] | None = None
    """What has to be added to `transl`, metres."""

    def body(self, points: Float[ndarray, "v 3"], row: int) -> Float[ndarray, "v 3"]:
        """World points as they should have been read, given their row of the fit."""
        moved = points if self.move is None else points + self.move[row]
        return moved if self.turn is None else moved @ self.turn.T

    def corrected_camera(self, T: Float[ndarray, "4 4"]) -> Float[ndarray, "4 4"]:
        """`T_cam_world` for the body's own world: cameras are turned, not the body."""
        turned = np.eye(4)
        if self.turn is not None:
            turned[:3, :3] = self.turn
        return self.cameras(T) @ turned


@dataclass(frozen=True)
class Trial:
    """How an alternative did on the pictures it was tried on."""

    alternative: Alternative
    iou: float
    iou_as_read: float

    @property
    def wins(self) -> bool:
        return self.iou > max(self.iou_as_read + CLEARLY, TOO_LITTLE)


def turned(axis: int, degrees: float) -> Float[ndarray, "3 3"]:
    """Rotation about a coordinate axis."""
    vector = torch.zeros(3, dtype=torch.float64)
    vector[axis] = np.deg2rad(degrees)
    return axis_angle_to_rotmat(vector).numpy()


def scaled_translation(T: Float[ndarray, "4 4"], factor: float) -> Float[ndarray, "4 4"]:
    """The camera with its translation in another unit."""
    scaled = T.copy()
    scaled[:3, 3] *= factor
    return scaled


UNITS = {"millimetres": 0.001, "centimetres": 0.01}


def conventions(capture: Capture, body: Body) -> list[Alternative]:
    """Readings of cameras, units and the body's root that are tried for every capture."""
    transl = capture.fit.transl
    turned_about_origin = _rh_th_move(capture, body)
    invert = "Store world-to-camera: invert the 4x4 matrices (mobavatar doctor --fix OUT writes such a copy)."
    axes = "Negate the second and third row of R and T (mobavatar doctor --fix OUT writes such a copy)."
    tried = [
        Alternative("cameras-c2w", "R and T are the camera's pose (camera-to-world)", invert, np.linalg.inv),
        Alternative("cameras-opengl", "the cameras have OpenGL axes (y up, z backward)", axes, lambda T: OPENGL @ T),
        Alternative(
            "cameras-c2w-opengl",
            "R and T are the camera's pose with OpenGL axes (as in NeRF's transforms.json)",
            f"{invert} Negate y and z of the camera's axes first.",
            lambda T: OPENGL @ np.linalg.inv(T),
        ),
    ]
    for unit, factor in UNITS.items():
        remedy = f"Multiply the cameras' translations by {factor:g} (mobavatar doctor --fix OUT writes such a copy)."
        tried.append(
            Alternative(
                f"cameras-{unit}", f"the cameras are in {unit}", remedy, lambda T, f=factor: scaled_translation(T, f)
            )
        )
        tried.append(
            Alternative(
                f"body-{unit}",
                f"the body's transl is in {unit}",
                f"Multiply transl by {factor:g} (mobavatar doctor --fix OUT writes such a copy).",
                move=(factor - 1) * transl,
            )
        )
    for code, degrees, says in (
        ("body-y-up", 90.0, "the body's world is y-up and the cameras' z-up"),
        ("body-z-up", -90.0, "the body's world is z-up and the cameras' y-up"),
        ("body-y-down", 180.0, "the body's world points down where the cameras' points up"),
    ):
        remedy = f"Turn the fit by {degrees:g} degrees about x (mobavatar doctor --fix OUT turns the cameras instead)."
        tried.append(Alternative(code, says, remedy, turn=turned(0, degrees)))
    tried.append(
        Alternative(
            "root-rh-th",
            "global_orient and transl are EasyMocap's Rh and Th (rotation about the origin after skinning)",
            "Store transl = Th + Rh J0 - J0, J0 being the rest pelvis (mobavatar doctor --fix OUT writes such a copy).",
            move=turned_about_origin,
        )
    )
    return tried


def try_on(
    alternative: Alternative,
    pictures: Sequence[Measured],
    views: Sequence[CameraView],
    points: dict[int, Float[ndarray, "v 3"]],
    faces: ndarray,
) -> Trial:
    """Median overlap of an alternative over these pictures, beside that of the reading as it is."""
    scores = []
    for picture in pictures:
        view = views[picture.image.camera]
        T = alternative.cameras(view.T_cam_world)
        row = picture.image.frame
        body = alternative.body(points[row], row)
        scores.append(iou(silhouette(body, faces, view.K, T, (view.width, view.height)), picture.mask))
    return Trial(alternative, float(np.median(scores)), float(np.median([picture.iou for picture in pictures])))


def best_convention(
    pictures: Sequence[Measured],
    views: Sequence[CameraView],
    points: dict[int, Float[ndarray, "v 3"]],
    faces: ndarray,
    tried: Iterable[Alternative],
) -> Trial | None:
    """The alternative that fits these pictures best, if it clearly beats the reading as it is."""
    trials = [try_on(alternative, pictures, views, points, faces) for alternative in tried]
    winners = [trial for trial in trials if trial.wins]
    return max(winners, key=lambda trial: trial.iou, default=None)


def _rh_th_move(capture: Capture, body: Body) -> Float[ndarray, "t 3"]:
    """How far each row's body moves if the stored numbers are EasyMocap's Rh and Th."""
    fit = capture.fit
    root = body.rest(torch.from_numpy(fit.betas[: body.num_betas]).float())[1][0]
    R = axis_angle_to_rotmat(torch.from_numpy(fit.pose[:, 0]).float())
    transl = torch.from_numpy(fit.transl).float()
    return (root_from_rh_th(R, transl, root) - transl).numpy()

"""The truth: the bare open body in a few asymmetric cameras, in our own convention, with pictures in memory.

Everything that a parser could get wrong differs between cameras, frames and axes: cameras roll and have unequal focal
lengths and principal points off the centre, the root turns about all three axes, fingers, jaw and expression move. The
body is bare, so that its own silhouette is exactly what the mattes show.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from nerfstudio_mobavatar.body_model import Body, load_body
from nerfstudio_mobavatar.capture import BodyFit, Capture, CaptureCamera
from nerfstudio_mobavatar.demo.mesh_raster import Hits, rasterize
from nerfstudio_mobavatar.demo.motion import procedural_motion
from nerfstudio_mobavatar.transforms import axis_angle_to_rotmat, rotmat_to_axis_angle

WIDTH, HEIGHT = 96, 128
CAMERAS, FRAMES = 4, 6
SUPERSAMPLING = 4
BACKGROUND = 90
"""Grey level around the person, as in a studio."""
AZIMUTHS = (0.3, 1.5, 3.3, 4.6)
HEIGHTS = (1.2, 2.0, 0.4, 1.5)
ROLLS = (0.05, -0.08, 0.1, -0.03)


@dataclass(frozen=True, eq=False)
class Truth:
    """What a layout's writer writes and what its parser has to give back."""

    cameras: tuple[CaptureCamera, ...]
    fit: BodyFit
    rgb: np.ndarray
    """uint8 [c, t, h, w, 3]"""
    alpha: np.ndarray
    """uint8 [c, t, h, w]: the covered share of each pixel, times 255."""

    @property
    def num_frames(self) -> int:
        return len(self.fit.pose)

    def capture(self) -> Capture:
        """The truth as a parser would return it, without files."""
        frames = tuple(range(self.num_frames))
        return Capture(Path(), "truth", self.cameras, frames, self.fit, (), 30.0, (0.0, 1.0, 0.0))

    def matted(self, background: int = 0) -> np.ndarray:
        """The pictures over an even background, uint8 [c, t, h, w, 3]; 0 is what "already matted" data sets hold."""
        a = self.alpha[..., None] / 255.0
        return (self.rgb - BACKGROUND * (1 - a) + background * (1 - a)).clip(0, 255).round().astype(np.uint8)

    def subset(self, cameras: Sequence[int]) -> "Truth":
        """The same with some of the cameras."""
        index = list(cameras)
        return replace(
            self, cameras=tuple(self.cameras[c] for c in index), rgb=self.rgb[index], alpha=self.alpha[index]
        )

    def distorted(self, coefficients: Sequence[float]) -> "Truth":
        """The same recorded through lenses with OpenCV's k1, k2, p1, p2, k3."""
        d = np.asarray(coefficients, np.float64)
        cameras = tuple(replace(camera, distortion=d) for camera in self.cameras)
        rgb, alpha = self.rgb.copy(), self.alpha.copy()
        for c, camera in enumerate(cameras):
            x, y = _undistorted_pixels(camera)
            for t in range(self.num_frames):
                border = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": (BACKGROUND,) * 3}
                rgb[c, t] = cv2.remap(self.rgb[c, t], x, y, cv2.INTER_LINEAR, **border)
                alpha[c, t] = cv2.remap(self.alpha[c, t], x, y, cv2.INTER_LINEAR)
        return replace(self, cameras=cameras, rgb=rgb, alpha=alpha)


@lru_cache(maxsize=4)
def make_truth(smpl: bool = False, frames: int = FRAMES, cameras: int = CAMERAS) -> Truth:
    """The truth of every layout. `smpl`: only what SMPL can say, so hands, jaw and expression are zero."""
    motion = procedural_motion(frames, 23, 3)
    rng = np.random.default_rng(5)
    pose = motion.pose.astype(np.float64)
    turns = np.stack([0.2 * np.sin(np.arange(frames)), 0.6 * np.arange(frames), 0.15 * np.cos(np.arange(frames))], 1)
    pose[:, 0] = turns + rng.normal(0, 0.02, (frames, 3))
    pose[:, 25:55] += rng.normal(0, 0.08, (frames, 30, 3))
    pose[:, 23:25] = 0  # several layouts have no eyes
    expression = motion.expression + rng.normal(0, 0.3, motion.expression.shape)
    if smpl:
        pose[:, 22:], expression = 0, expression * 0
    transl = rng.normal(0, 0.06, (frames, 3)) + np.array([0.25, 0.1, -0.4])
    betas = rng.normal(0, 0.7, 10)
    fit = BodyFit(*(x.astype(np.float32) for x in (pose, transl, expression, betas)))
    points = body_points(fit, load_body("open"))
    views = tuple(_camera(c, points.mean((0, 1)).numpy().astype(np.float64)) for c in range(cameras))
    rgb, alpha = draw(views, points)
    return Truth(views, fit, rgb, alpha)


def body_points(fit: BodyFit, body: Body) -> torch.Tensor:
    """[t, v, 3] metres, world."""
    pose, transl, betas, expression = (
        torch.from_numpy(x).float() for x in (fit.pose, fit.transl, fit.betas, fit.expression)
    )
    return body.vertices(pose, transl, betas, expression)


def hits_of(points: torch.Tensor, body: Body, camera: CaptureCamera, factor: int) -> Hits:
    """What a camera sees of the body's surface, in a picture `factor` times as large."""
    T = torch.from_numpy(camera.T_cam_world).to(points)
    K = torch.from_numpy(camera.K).to(points)
    K[:2] *= factor
    return rasterize(points @ T[:3, :3].T + T[:3, 3], body.faces, K, camera.width * factor, camera.height * factor)


def coverage(hits: Hits, camera: CaptureCamera, factor: int) -> np.ndarray:
    """Share of each pixel that the body covers, [h, w]."""
    covered = np.zeros((camera.height * factor, camera.width * factor), np.float32)
    covered.ravel()[hits.pixel.numpy()] = 1
    return shrink(covered, factor)


def shrink(picture: np.ndarray, factor: int) -> np.ndarray:
    """Mean over blocks of `factor` x `factor` pixels."""
    h, w = picture.shape[0] // factor, picture.shape[1] // factor
    return picture.reshape(h, factor, w, factor, *picture.shape[2:]).mean((1, 3))


def save_picture(path: Path, pixels: np.ndarray) -> None:
    """Write one picture or matte; `.jpg` in high quality, `.png` exactly."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {"quality": 95, "subsampling": 0} if path.suffix == ".jpg" else {}
    Image.fromarray(pixels).save(path, **options)


def to_opencv_pixels(K: np.ndarray) -> np.ndarray:
    """Intrinsics with the centre of the first pixel at (0, 0), as OpenCV calibrations are stored."""
    shifted = K.copy()
    shifted[:2, 2] -= 0.5
    return shifted


def turn(fit: BodyFit, R: np.ndarray, pelvis: np.ndarray) -> BodyFit:
    """The same bodies in a world turned by `R` [3, 3]; `pelvis` [3] is joint 0 of the rest body, which the root turns
    about."""
    root = axis_angle_to_rotmat(torch.from_numpy(fit.pose[:, 0]).double())
    pose = fit.pose.copy()
    pose[:, 0] = rotmat_to_axis_angle(torch.from_numpy(R) @ root).numpy()
    return replace(fit, pose=pose, transl=((fit.transl + pelvis) @ R.T - pelvis).astype(np.float32))


def _camera(c: int, target: np.ndarray) -> CaptureCamera:
    distance = 2.9 + 0.2 * c
    eye = target + distance * np.array([np.sin(AZIMUTHS[c]), 0, np.cos(AZIMUTHS[c])])
    eye[1] = HEIGHTS[c]
    z = (target - eye) / np.linalg.norm(target - eye)
    x = np.cross(z, [0.0, 1.0, 0.0])
    x /= np.linalg.norm(x)
    R = np.stack([x, np.cross(z, x), z])
    roll = np.array([[np.cos(ROLLS[c]), -np.sin(ROLLS[c]), 0], [np.sin(ROLLS[c]), np.cos(ROLLS[c]), 0], [0, 0, 1]])
    T = np.eye(4)
    T[:3, :3] = roll @ R
    T[:3, 3] = -T[:3, :3] @ eye
    focal = 0.49 * HEIGHT * distance
    K = np.array([[focal, 0, WIDTH * (0.5 + 0.02 * (c - 1))], [0, focal * 1.03, HEIGHT * (0.53 - 0.02 * c)], [0, 0, 1]])
    return CaptureCamera(f"{22010700 + 3 * c}", K, T, WIDTH, HEIGHT, np.zeros(5))


def draw(cameras: tuple[CaptureCamera, ...], points: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and mattes of all cameras and frames, [c, t, h, w, (3)]."""
    body = load_body("open")
    rest = body.v_template.numpy()
    paint = 0.5 + 0.3 * np.sin(rest @ np.array([[17.0, 5, 3], [11, 29, 7], [23, 3, 19]]))  # unlike in any two places
    pictures = np.empty((len(cameras), len(points), HEIGHT, WIDTH, 4))
    for c, camera in enumerate(cameras):
        for t in range(len(points)):
            hits = hits_of(points[t], body, camera, SUPERSAMPLING)
            large = np.full((camera.height * SUPERSAMPLING * camera.width * SUPERSAMPLING, 4), BACKGROUND / 255.0)
            large[:, 3] = 0
            corners = body.faces[hits.triangle].numpy()
            large[hits.pixel.numpy(), :3] = (paint[corners] * hits.barycentric.numpy()[..., None]).sum(1)
            large[hits.pixel.numpy(), 3] = 1
            size = (camera.height * SUPERSAMPLING, camera.width * SUPERSAMPLING, 4)
            pictures[c, t] = shrink(large.reshape(size), SUPERSAMPLING)
    byte = (pictures * 255).round().astype(np.uint8)
    return byte[..., :3], byte[..., 3]


def _undistorted_pixels(camera: CaptureCamera) -> tuple[np.ndarray, np.ndarray]:
    """Where each recorded pixel comes from in the picture without distortion (OpenCV pixel centres)."""
    K = to_opencv_pixels(camera.K)
    grid = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), -1).reshape(-1, 1, 2)
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-9)
    ideal = cv2.undistortPointsIter(grid.astype(np.float64), K, camera.distortion, np.eye(3), K, stop)
    x, y = ideal.reshape(camera.height, camera.width, 2).astype(np.float32).transpose(2, 0, 1)
    return np.ascontiguousarray(x), np.ascontiguousarray(y)

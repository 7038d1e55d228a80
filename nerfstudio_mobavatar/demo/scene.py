"""The synthetic scene in memory: person, motion, cameras; renders one frame for all cameras."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor, nn
from torch.nn.functional import normalize

from nerfstudio_mobavatar.body_model import forward_kinematics, load_body
from nerfstudio_mobavatar.capture import CaptureCamera
from nerfstudio_mobavatar.demo.clothed import ClothedHuman, Outfit
from nerfstudio_mobavatar.demo.folds import Folds
from nerfstudio_mobavatar.demo.mesh import point_normals
from nerfstudio_mobavatar.demo.mesh_raster import rasterize_views, views_at_once
from nerfstudio_mobavatar.demo.motion import Motion
from nerfstudio_mobavatar.demo.shading import (
    FrameLight,
    Lighting,
    albedo,
    light_frame,
    refine_material,
    shade,
    value_noise,
)
from nerfstudio_mobavatar.transforms import axis_angle_to_rotmat

_RADIUS = 3.0
"""Metres from the person to the cameras."""
_EYE_HEIGHTS = (1.1, 1.7, 0.5, 2.2)
"""Metres above the ground, by camera number."""
_FLESH = 0.17
"""Metres around a joint that still belong to the person (top of the head, finger tips, shoes)."""
_SUPERSAMPLING = 2
_NOISE = 0.006
"""Standard deviation of the sensor noise, of the 0..1 range."""
_SMALL_IMAGE = 400
"""Pixels: up to this size coarser garments and fewer sky directions cannot be told apart."""


@dataclass(frozen=True)
class RenderedFrame:
    """One frame seen by all `c` cameras."""

    rgb: UInt8[ndarray, "c h w 3"]
    alpha: UInt8[ndarray, "c h w"]
    """Share of each pixel that the person covers, times 255."""


class Scene:
    """Person, cameras and light; `render` is a pure function of the frame's parameters, its number and the seed."""

    def __init__(
        self,
        betas: Float[ndarray, " b"],
        cameras: tuple[CaptureCamera, ...],
        lighting: Lighting,
        seed: int,
        device: torch.device,
        folds: Folds = "plain",
        outfit: Outfit = "trousers",
    ):
        self.cameras, self.seed, self.device = cameras, seed, device
        self.lighting: Lighting = lighting
        small = max(cameras[0].width, cameras[0].height) <= _SMALL_IMAGE
        detail = 1 if small else 2
        self.human = ClothedHuman(load_body(), torch.from_numpy(betas), detail, device, folds, outfit)
        self.quality = 1 if small else 3
        self.mottle = value_noise(self.human.rest, 18.0)[:, None]

    def render(
        self,
        pose: Float[ndarray, "55 3"],
        transl: Float[ndarray, " 3"],
        expression: Float[ndarray, " e"],
        row: int,
    ) -> RenderedFrame:
        """All cameras' pictures of one frame. `row` seeds the sensor noise."""
        p, t, e = (torch.from_numpy(x).to(self.device) for x in (pose, transl, expression))
        rgb, alpha = self.draw(p, t, e, row)
        return RenderedFrame(rgb.cpu().numpy(), alpha.cpu().numpy())

    @torch.no_grad()
    def draw(
        self, pose: Float[Tensor, "55 3"], transl: Float[Tensor, " 3"], expression: Float[Tensor, " e"], row: int
    ) -> tuple[UInt8[Tensor, "c h w 3"], UInt8[Tensor, "c h w"]]:
        """Pictures and mattes of `render`, left on the scene's device; on a GPU all cameras are drawn together."""
        points = self.human.pose(pose, transl, expression)
        normals = point_normals(points, self.human.faces, self.human.face_table)
        light = light_frame(points, normals, self.human, self.lighting, self.quality)
        pixels = self.cameras[0].width * self.cameras[0].height * _SUPERSAMPLING**2
        at_once = views_at_once(self.device, pixels)
        parts = [
            self._pictures(self.cameras[k : k + at_once], points, normals, light)
            for k in range(0, len(self.cameras), at_once)
        ]
        rgb, alpha = (torch.cat(x) for x in zip(*parts))
        noise = torch.stack([self._noise(row, k, picture) for k, picture in enumerate(rgb)])
        return _to_bytes(rgb + noise), _to_bytes(alpha)

    def _pictures(
        self, cameras: tuple[CaptureCamera, ...], points: Tensor, normals: Tensor, light: FrameLight
    ) -> tuple[Float[Tensor, "c h w 3"], Float[Tensor, "c h w"]]:
        width, height = cameras[0].width * _SUPERSAMPLING, cameras[0].height * _SUPERSAMPLING
        T = torch.from_numpy(np.stack([camera.T_cam_world for camera in cameras])).to(points)
        K = torch.from_numpy(np.stack([camera.K for camera in cameras])).to(points)
        K[:, :2] *= _SUPERSAMPLING
        hits = rasterize_views(points @ T[:, :3, :3].mT + T[:, None, :3, 3], self.human.faces, K, width, height)
        corners = self.human.faces[hits.triangle]
        w0, w1, w2 = hits.barycentric[:, :, None].unbind(1)

        def interpolate(x: Float[Tensor, "v k"]) -> Float[Tensor, "p k"]:
            return x[corners[:, 0]] * w0 + x[corners[:, 1]] * w1 + x[corners[:, 2]] * w2

        rest = interpolate(self.human.rest)
        material = refine_material(self.human.material[corners[:, 0]], rest, self.human)
        eye = -(T[:, :3, :3].mT @ T[:, :3, 3:])[..., 0]
        # the last channel is the matte
        image = torch.zeros(len(cameras) * height * width, 4, device=points.device)
        image.view(len(cameras), height, -1, 4)[..., :3] = _backdrop(height, points)
        image[hits.pixel] = nn.functional.pad(
            shade(
                light,
                interpolate(points),
                normalize(interpolate(normals), dim=1),
                interpolate(light.openness[:, None])[:, 0],
                albedo(rest, material, interpolate(self.mottle)[:, 0], self.human),
                material,
                eye[hits.pixel // (width * height)],
            ),
            (0, 1),
            value=1.0,
        )
        # averaged in display space, where Gaussians are blended too: the matte then composites exactly
        stack = image.view(len(cameras), height, width, 4).permute(0, 3, 1, 2)
        small = nn.functional.avg_pool2d(stack, _SUPERSAMPLING).permute(0, 2, 3, 1)
        return small[..., :3], small[..., 3]

    def _noise(self, row: int, camera: int, like: Float[Tensor, "h w 3"]) -> Float[Tensor, "h w 3"]:
        """Its own seed for each picture: the same whoever renders it, in whatever order."""
        generator = torch.Generator(like.device).manual_seed((self.seed * 1_000_003 + row) * 1_009 + camera)
        return _NOISE * torch.randn(like.shape, generator=generator, device=like.device)


def stand_on_ground(motion: Motion, betas: Float[ndarray, " b"]) -> Motion:
    """The motion with its lowest shoe on y = 0 in every frame (walking on the spot) or overall (travelling)."""
    human = ClothedHuman(load_body(), torch.from_numpy(betas), detail=0, device=torch.device("cpu"))
    low = human.lowest_points(torch.from_numpy(motion.pose)).numpy() + motion.transl[:, 1]
    transl = motion.transl.copy()
    travelling = bool(np.abs(motion.transl).max() > 0)
    transl[:, 1] -= low.min() if travelling else low
    return Motion(motion.pose, transl, motion.expression)


def dome_cameras(
    motion: Motion, betas: Float[ndarray, " b"], count: int, width: int, height: int, seed: int
) -> tuple[CaptureCamera, ...]:
    """`count` calibrated cameras around the whole motion, at several heights, zoomed so that it fills the picture."""
    body = load_body()
    _, joints = body.rest(torch.from_numpy(betas))
    R = axis_angle_to_rotmat(torch.from_numpy(motion.pose))
    T_world_joint = forward_kinematics(R, joints, body.parents, torch.from_numpy(motion.transl))
    places = T_world_joint[..., :3, 3].reshape(-1, 3).numpy().astype(np.float64)
    center = 0.5 * (places.min(0) + places.max(0))
    jitter = np.random.default_rng(seed).uniform(-0.06, 0.06, count)
    cameras = []
    for i in range(count):
        azimuth = 2 * math.pi * i / count + jitter[i]
        eye = center + _RADIUS * np.array([math.sin(azimuth), 0, math.cos(azimuth)])
        eye[1] = _EYE_HEIGHTS[i % len(_EYE_HEIGHTS)]
        T = _look_at(eye, center)
        local = places @ T[:3, :3].T + T[:3, 3]
        reach = ((np.abs(local[:, :2]) + _FLESH) / np.maximum(local[:, 2:] - _FLESH, 0.3)).max(0)
        focal = 0.97 * min(0.5 * width / reach[0], 0.5 * height / reach[1])
        shift = (i % 3 - 1) * 0.01 * width  # real lenses are not centred
        K = np.array([[focal, 0, width / 2 + shift], [0, focal, height / 2], [0, 0, 1.0]])
        cameras.append(CaptureCamera(f"{22010700 + i}", K, T, width, height, np.zeros(5)))
    return tuple(cameras)


def _look_at(eye: Float[ndarray, " 3"], target: Float[ndarray, " 3"]) -> Float[ndarray, "4 4"]:
    """World-to-camera transform (OpenCV axes), y up."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, -R @ eye
    return T


def _backdrop(height: int, like: Tensor) -> Float[Tensor, "h 1 1"]:
    """Grey studio wall, darker towards the floor."""
    y = torch.linspace(0, 1, height, device=like.device, dtype=like.dtype)[:, None, None]
    return 0.55 - 0.2 * y


def _to_bytes(x: Float[Tensor, "*s"]) -> UInt8[Tensor, "*s"]:
    return (x.clamp(0, 1) * 255).round().to(torch.uint8)

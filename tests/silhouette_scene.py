"""A capture on disk whose masks are silhouettes of the open body, the truth beside it, and a fit that is wrong."""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from nerfstudio_mobavatar.body_model import Body, load_body
from nerfstudio_mobavatar.capture import BodyFit, Capture, CaptureCamera, CaptureImage
from nerfstudio_mobavatar.demo.mesh_raster import rasterize
from tests.tiny_capture import look_at_origin

WIDTH, HEIGHT, CAMERAS, FRAMES = 96, 128, 4, 5
HELD_OUT_CAMERA, TRAIN_CAMERAS, TRAIN_ROWS = 3, (0, 1, 2), (0, 1, 2, 3)
LEFT_SHOULDER, RIGHT_HIP = 16, 2


@dataclass(frozen=True)
class Scene:
    """`capture.fit` is the truth."""

    body: Body
    capture: Capture

    def wrong(self) -> Capture:
        """The same masks with a fit that is wrong by 20 degrees in a shoulder, 12 in a hip, and 4 cm."""
        fit = self.capture.fit
        pose, transl = fit.pose.copy(), fit.transl.copy()
        pose[:, LEFT_SHOULDER, 2] += np.radians(20)
        pose[:, RIGHT_HIP, 2] -= np.radians(12)
        transl += np.array([0.04, 0.0, -0.03], np.float32)
        return replace(self.capture, fit=BodyFit(pose, transl, fit.expression, fit.betas))

    def vertices(self, fit: BodyFit) -> torch.Tensor:
        arrays = (torch.from_numpy(x).float() for x in (fit.pose, fit.transl, fit.betas, fit.expression))
        return self.body.vertices(*arrays)


def make_scene(folder: Path) -> Scene:
    """Arms swing a little from frame to frame; four cameras on a ring."""
    body = load_body()
    pose = np.zeros((FRAMES, 55, 3), np.float32)
    pose[:, LEFT_SHOULDER, 2], pose[:, 17, 2] = np.linspace(-0.9, -0.6, FRAMES), np.linspace(0.5, 0.9, FRAMES)
    transl = np.zeros((FRAMES, 3), np.float32) - body.v_template.mean(0).numpy()
    fit = BodyFit(pose, transl, np.zeros((FRAMES, 10), np.float32), np.zeros(10, np.float32))
    cameras, images = [], []
    for c in range(CAMERAS):
        R, t = look_at_origin(2 * np.pi * c / CAMERAS + 0.3)
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = R, t
        K = np.array([[150.0, 0, WIDTH / 2], [0, 150.0, HEIGHT / 2], [0, 0, 1]])
        cameras.append(CaptureCamera(f"cam{c}", K, T, WIDTH, HEIGHT, np.zeros(5)))
        (folder / f"cam{c}").mkdir(parents=True)
        for row in range(FRAMES):
            path = folder / f"cam{c}" / f"{row}.png"
            images.append(CaptureImage(c, row, path, path))
    capture = Capture(folder, "test", tuple(cameras), tuple(range(FRAMES)), fit, tuple(images), 30.0, (0.0, 1.0, 0.0))
    scene = Scene(body, capture)
    vertices = scene.vertices(fit)
    for image in images:
        camera = cameras[image.camera]
        x = vertices[image.frame].double() @ torch.from_numpy(camera.T_cam_world[:3, :3]).T
        x = (x + torch.from_numpy(camera.T_cam_world[:3, 3])).float()
        hits = rasterize(x, body.faces, torch.from_numpy(camera.K).float(), WIDTH, HEIGHT)
        mask = np.zeros(WIDTH * HEIGHT, np.uint8)
        mask[hits.pixel.numpy()] = 255
        cv2.imwrite(str(image.mask_path), mask.reshape(HEIGHT, WIDTH))
    return scene

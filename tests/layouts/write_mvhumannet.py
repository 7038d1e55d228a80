"""MVHumanNet layout: EasyMocap's SMPL-X with PCA hands, pictures at half the calibrated size, numbered in steps of 5.

Checked against: visual_smpl/ of github.com/GAP-LAB-CUHK-SZ/MVHumanNet (camera_utils.py and sample data).
"""

import json
import pickle
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.body_model import load_body
from nerfstudio_mobavatar.dataparsers.mvhumannet import LARGE
from tests.layouts.truth import Truth, body_points, draw, make_truth, save_picture, to_opencv_pixels

SCALE = 120 / 65


def _components() -> np.ndarray:
    """[2, 6, 45]: what the layout's hand coefficients multiply."""
    return load_body("open").hand_components.numpy()[:, :6].astype(np.float64)


@lru_cache
def pca_truth() -> Truth:
    """The truth with one lens for all cameras, as the layout has it, and hands that six coefficients can say."""
    truth = make_truth()
    first = truth.cameras[0].K
    cameras = tuple(replace(x, K=first, name=f"CC32871A00{c}") for c, x in enumerate(truth.cameras))
    pose = truth.fit.pose.astype(np.float64)
    hands = np.einsum("thn,hnk->thk", _coefficients(pose), _components())
    pose[:, 25:] = hands.reshape(-1, 30, 3)
    fit = replace(truth.fit, pose=pose.astype(np.float32))
    rgb, alpha = draw(cameras, body_points(fit, load_body("open")))
    return replace(truth, cameras=cameras, fit=fit, rgb=rgb, alpha=alpha)


def _coefficients(pose: np.ndarray) -> np.ndarray:
    """[t, 2, 6] closest to the hands of `pose`."""
    hands = pose[:, 25:].reshape(-1, 2, 45)
    return np.stack([hands[:, h] @ np.linalg.pinv(_components()[h]) for h in range(2)], 1)


def write(truth: Truth, folder: Path) -> None:
    """One outfit."""
    (folder / "smplx" / "smpl").mkdir(parents=True)
    (folder / "camera_scale.pkl").write_bytes(pickle.dumps(SCALE))
    size = (truth.cameras[0].width, truth.cameras[0].height)
    enlarge = np.diag([LARGE[0] / size[0], LARGE[1] / size[1], 1.0])
    K = to_opencv_pixels(enlarge @ truth.cameras[0].K)
    (folder / "camera_intrinsics.json").write_text(json.dumps({"intrinsics": K.tolist(), "dist": []}))
    entries = {}
    for camera in (*truth.cameras, replace(truth.cameras[0], name="CC32871A099")):  # one has no pictures
        T = camera.T_cam_world
        entry = {"rotation": T[:3, :3].tolist(), "translation": (T[:3, 3] * 1000 / SCALE).tolist()}
        entries[f"1_{camera.name}.png"] = entry
    (folder / "camera_extrinsics.json").write_text(json.dumps(entries))
    _write_fit(truth, folder)
    for c, camera in enumerate(truth.cameras):
        for t in range(truth.num_frames):
            save_picture(folder / "images_lr" / camera.name / f"{5 * (t + 1):04d}_img.jpg", truth.rgb[c, t])
            save_picture(folder / "fmask_lr" / camera.name / f"{5 * (t + 1):04d}_img_fmask.png", truth.alpha[c, t])


def _write_fit(truth: Truth, folder: Path) -> None:
    fit = truth.fit
    pelvis = load_body("open").rest(torch.from_numpy(fit.betas))[1][0].numpy().astype(np.float64)
    hands = _coefficients(fit.pose.astype(np.float64)).reshape(-1, 12)
    for t, pose in enumerate(fit.pose.astype(np.float64)):
        Th = pelvis + fit.transl[t] - Rotation.from_rotvec(pose[0]).apply(pelvis)
        poses = np.concatenate([np.zeros(3), pose[1:22].ravel(), hands[t], pose[22:25].ravel()])
        person = {"id": 0, "Rh": [pose[0].tolist()], "Th": [Th.tolist()], "poses": [poses.tolist()]}
        person |= {"expression": [fit.expression[t].tolist()], "shapes": [fit.betas.tolist()]}
        (folder / "smplx" / "smpl" / f"{t:06d}.json").write_text(json.dumps([person]))

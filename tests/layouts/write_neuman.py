"""NeuMan's layout, and HUGS's addition to it. Checked against what is named in dataparsers/neuman.py.

The truth is in the camera's coordinates; here a walking camera is invented, with a scale of COLMAP's world per frame.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import joblib
import numpy as np
import torch
from nerfstudio.data.utils import colmap_parsing_utils as colmap
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.body_model import load_body
from tests.layouts.smpl_model import smpl_fit, write_model
from tests.layouts.truth import Truth, save_picture, turn
from tests.layouts.write_zju_mocap import save_object


def in_the_camera(truth: Truth) -> Truth:
    """The truth of its second camera, with the world in that camera."""
    single = truth.subset([1])
    camera = single.cameras[0]
    pelvis = load_body("open").rest(torch.from_numpy(single.fit.betas))[1][0].numpy().astype(np.float64)
    fit = turn(single.fit, camera.T_cam_world[:3, :3], pelvis)
    fit = replace(fit, transl=fit.transl + camera.T_cam_world[:3, 3].astype(np.float32))
    return replace(single, cameras=(replace(camera, name="camera", T_cam_world=np.eye(4)),), fit=fit)


@dataclass(frozen=True)
class Walk:
    """Where the camera is in COLMAP's world, and how large that world's unit is, per frame."""

    R: np.ndarray
    """[t, 3, 3] world to camera."""
    t: np.ndarray
    scale: np.ndarray
    """COLMAP's units per metre."""


def walk(frames: int) -> Walk:
    k = np.arange(frames)[:, None]
    R = Rotation.from_rotvec(np.concatenate([0.3 - 0.1 * k, 0.2 * k, 0.05 * k], 1)).as_matrix()
    return Walk(R, np.concatenate([0.5 * k, 1 - 0.2 * k, 0.3 * k], 1), 1.7 + 0.15 * k[:, 0])


def write(truth: Truth, folder: Path) -> None:
    """NeuMan's own files: joblib, alignments, inverted masks; COLMAP as text."""
    moving = write_pictures(truth, folder, binary=False)
    fit = smpl_fit(truth)
    for t in range(truth.num_frames):
        save_picture(folder / "segmentations" / f"{t:05d}.png", 255 - truth.alpha[0, t])
    own = Rotation.from_rotvec(np.linspace([0.1, -0.4, 0.2], [0.5, 0.3, -0.6], truth.num_frames))  # as ROMP saw it
    turned = Rotation.from_rotvec(fit.pose[:, 0]) * own.inv()  # in the camera
    pose = fit.pose.copy()
    pose[:, 0] = own.as_rotvec()
    shift = fit.pelvis + fit.transl - turned.apply(fit.pelvis)
    alignments = {}
    for t in range(truth.num_frames):
        A = moving.scale[t] * moving.R[t].T @ turned[t].as_matrix()
        b = moving.R[t].T @ (moving.scale[t] * shift[t] - moving.t[t])
        alignments[f"{t:05d}.png"] = np.concatenate([A.T, b[None]])
    rows = {"pose": list(pose.reshape(-1, 72).astype(np.float32)), "betas": list(np.tile(fit.betas, (len(pose), 1)))}
    joblib.dump({1: rows}, folder / "smpl_output_optimized.pkl")
    joblib.dump({1: {k: np.asarray(v) * 0 for k, v in rows.items()}}, folder / "smpl_output_romp.pkl")
    save_object(folder / "alignments.npy", alignments)


def write_hugs(truth: Truth, folder: Path) -> None:
    """The same with HUGS's fits and masks, and NeuMan's spoilt; COLMAP as binary."""
    write(truth, folder)
    for text in (folder / "sparse").glob("*.txt"):
        text.unlink()
    moving = write_pictures(truth, folder, binary=True)
    joblib.dump({1: {"pose": np.zeros((truth.num_frames, 72)), "betas": np.zeros((truth.num_frames, 10))}},
                folder / "smpl_output_optimized.pkl")  # fmt: skip
    fit = smpl_fit(truth)
    for t in range(truth.num_frames):
        save_picture(folder / "4d_humans" / "sam_segmentations" / f"mask_{t + 1:04d}.png", truth.alpha[0, t])
    R_world = Rotation.from_matrix(moving.R.transpose(0, 2, 1))
    root = R_world * Rotation.from_rotvec(fit.pose[:, 0])
    # x_world = scale smpl(x) + transl, where smpl turns about the pelvis
    pelvis = R_world.apply(moving.scale[:, None] * (fit.pelvis + fit.transl) - moving.t)
    arrays = {
        "global_orient": root.as_rotvec(),
        "body_pose": fit.pose[:, 1:].reshape(truth.num_frames, 69),
        "transl": pelvis - moving.scale[:, None] * fit.pelvis,
        "scale": moving.scale,
        "betas": np.tile(fit.betas, (truth.num_frames, 1)),
    }
    np.savez(folder / "4d_humans" / "smpl_optimized_aligned_scale.npz", **arrays)


def write_pictures(truth: Truth, folder: Path, binary: bool) -> Walk:
    """Pictures, COLMAP's model and the SMPL file; one picture more than COLMAP could place."""
    camera, moving = truth.cameras[0], walk(truth.num_frames)
    (folder / "sparse").mkdir(parents=True, exist_ok=True)
    write_model(folder)
    for t in range(truth.num_frames):
        save_picture(folder / "images" / f"{t:05d}.png", truth.rgb[0, t])
    save_picture(folder / "images" / f"{truth.num_frames:05d}.png", truth.rgb[0, 0])
    K, none = camera.K, np.zeros(0)
    params = np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]])
    cameras = {1: colmap.Camera(1, "PINHOLE", camera.width, camera.height, params)}
    images = {
        9 - t: colmap.Image(9 - t, colmap.rotmat2qvec(moving.R[t]), moving.t[t], 1, f"{t:05d}.png", np.zeros((0, 2)),
                            none)
        for t in range(truth.num_frames)
    }  # fmt: skip
    if binary:
        colmap.write_cameras_binary(cameras, folder / "sparse" / "cameras.bin")
        colmap.write_images_binary(images, folder / "sparse" / "images.bin")
    else:
        colmap.write_cameras_text(cameras, folder / "sparse" / "cameras.txt")
        colmap.write_images_text(images, folder / "sparse" / "images.txt")
    return moving

"""PeopleSnapshot in InstantAvatar's layout. Checked against what is named in dataparsers/people_snapshot.py."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.layouts.smpl_model import smpl_fit, write_model
from tests.layouts.truth import Truth, save_picture, to_opencv_pixels


def one_camera(truth: Truth) -> Truth:
    """The truth as its second camera saw it."""
    single = truth.subset([1])
    return replace(single, cameras=(replace(single.cameras[0], name="camera"),))


def write(truth: Truth, folder: Path) -> None:
    """As the data set is prepared: masks as arrays of 0 and 1, `thetas`."""
    fit = write_all_but_masks(truth, folder)
    (folder / "masks").mkdir()
    for t in range(truth.num_frames):
        np.save(folder / "masks" / f"mask_{t:04d}.npy", (truth.alpha[0, t] >= 128).astype(np.uint8))
    np.savez(folder / "poses.npz", thetas=fit.pose.reshape(-1, 72), transl=fit.transl, betas=fit.betas)


def write_custom(truth: Truth, folder: Path) -> None:
    """As own videos are prepared: mattes, optimised poses beside the first guess."""
    fit = write_all_but_masks(truth, folder)
    for t in range(truth.num_frames):
        save_picture(folder / "masks" / f"image_{t:04d}.png", truth.alpha[0, t])
    pose = fit.pose.reshape(-1, 72)
    arrays = {"global_orient": pose[:, :3], "body_pose": pose[:, 3:], "betas": fit.betas[None]}
    np.savez(folder / "poses_optimized.npz", **arrays, transl=fit.transl)
    np.savez(folder / "poses.npz", **arrays, transl=fit.transl + 0.2)


def write_all_but_masks(truth: Truth, folder: Path):
    """Camera, pictures and the model file; gives the fit."""
    folder.mkdir(parents=True, exist_ok=True)
    camera = truth.cameras[0]
    size = {"height": camera.height, "width": camera.width}
    np.savez(folder / "cameras.npz", intrinsic=to_opencv_pixels(camera.K), extrinsic=camera.T_cam_world, **size)
    for t in range(truth.num_frames):
        save_picture(folder / "images" / f"image_{t:04d}.png", truth.rgb[0, t])
    write_model(folder)
    return smpl_fit(truth)

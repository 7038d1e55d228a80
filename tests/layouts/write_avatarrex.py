"""AvatarReX layout, as `mobavatar demo-data` and tests/tiny_capture.py write it.

Checked against: dataset_mv_rgb.py of github.com/lizhe00/AnimatableGaussians (`MvRgbDatasetAvatarReX`).
"""

import json
from pathlib import Path

import numpy as np

from tests.layouts.truth import Truth, save_picture, to_opencv_pixels


def write(truth: Truth, folder: Path) -> None:
    """The truth as an AvatarReX capture."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "calibration_full.json").write_text(json.dumps(calibration(truth)))
    write_fit(truth, folder / "smpl_params.npz")
    for c, camera in enumerate(truth.cameras):
        for t in range(truth.num_frames):
            save_picture(folder / camera.name / f"{t:08d}.jpg", truth.rgb[c, t])
            save_picture(folder / camera.name / "mask" / "pha" / f"{t:08d}.jpg", truth.alpha[c, t])


def calibration(truth: Truth) -> dict[str, dict]:
    """World-to-camera, metres, OpenCV pixel centres."""
    return {
        camera.name: {
            "K": to_opencv_pixels(camera.K).ravel().tolist(),
            "R": camera.T_cam_world[:3, :3].ravel().tolist(),
            "T": camera.T_cam_world[:3, 3].tolist(),
            "distCoeff": camera.distortion.tolist(),
            "imgSize": [camera.width, camera.height],
        }
        for camera in truth.cameras
    }


def fit_arrays(truth: Truth) -> dict[str, np.ndarray]:
    """smplx's parameter names, complete hands (`flat_hand_mean=True`), one row of betas, no eyes."""
    f = truth.fit
    flat = f.pose.reshape(len(f.pose), 165)
    parts = {"global_orient": (0, 1), "body_pose": (1, 22), "jaw_pose": (22, 23), "left_hand_pose": (25, 40)}
    parts["right_hand_pose"] = (40, 55)
    arrays = {key: flat[:, 3 * first : 3 * last] for key, (first, last) in parts.items()}
    return arrays | {"transl": f.transl, "expression": f.expression, "betas": f.betas[None]}


def write_fit(truth: Truth, path: Path) -> None:
    """`smpl_params.npz`."""
    np.savez(path, **fit_arrays(truth))  # pyright: ignore[reportArgumentType]

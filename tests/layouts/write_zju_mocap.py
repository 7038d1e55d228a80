"""ZJU-MoCap layout: pictures and masks as `annots.npy` lists them, one parameter file per frame.

Checked against: lib/datasets/light_stage/{can_smpl,multi_view_dataset}.py of github.com/zju3dv/neuralbody.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.layouts.smpl_model import smpl_fit, write_model
from tests.layouts.truth import Truth, save_picture, to_opencv_pixels


def camera_names(truth: Truth) -> Truth:
    """`Camera_B1` and so on."""
    return replace(truth, cameras=tuple(replace(x, name=f"Camera_B{c + 1}") for c, x in enumerate(truth.cameras)))


def camera_names_313(truth: Truth) -> Truth:
    """`Camera (1)` and so on, as the subjects 313 and 315 have it."""
    return replace(truth, cameras=tuple(replace(x, name=f"Camera ({c + 1})") for c, x in enumerate(truth.cameras)))


def write(truth: Truth, folder: Path) -> None:
    """As all subjects but 313 and 315."""
    _write(truth, folder, lambda c, t: f"{truth.cameras[c].name}/{t:06d}.jpg", first=0, masks="mask_cihp")


def write_313(truth: Truth, folder: Path) -> None:
    """As 313 and 315: names with a date, frames counted from 1, masks of one kind only."""

    def name(c: int, t: int) -> str:
        camera = truth.cameras[c].name
        return f"{camera}/CoreView_313_{camera.replace(' ', '_')}_{t + 1:04d}_2019-08-23_16-08-5{c}.592.jpg"

    _write(truth, folder, name, first=1, masks="mask")


def _write(truth: Truth, folder: Path, name: Callable[[int, int], str], first: int, masks: str) -> None:
    cameras, frames = range(len(truth.cameras)), range(truth.num_frames)
    (folder / "new_params").mkdir(parents=True)
    write_model(folder)
    _write_annotations(truth, folder, [{"ims": [name(c, t) for c in cameras]} for t in frames])
    fit = smpl_fit(truth)
    turns, shifts = fit.rh_th()
    for t in frames:
        pose = fit.pose[t].copy()
        pose[0] = 0
        row = {"poses": pose.reshape(1, 72), "Rh": turns[t][None], "Th": shifts[t][None], "shapes": fit.betas[None]}
        save_object(folder / "new_params" / f"{t + first}.npy", row)
        for c in cameras:
            path = Path(name(c, t))
            save_picture(folder / path, truth.rgb[c, t])
            labels = np.where(truth.alpha[c, t] >= 128, np.uint8(1 + t % 19), np.uint8(0))  # parts of the body, 1..19
            save_picture(folder / masks / path.with_suffix(".png"), labels)


def _write_annotations(truth: Truth, folder: Path, ims: list[dict]) -> None:
    cams = {"K": [], "R": [], "T": [], "D": []}
    for camera in truth.cameras:
        cams["K"].append(to_opencv_pixels(camera.K))
        cams["R"].append(camera.T_cam_world[:3, :3])
        cams["T"].append(1000 * camera.T_cam_world[:3, 3:])
        cams["D"].append(camera.distortion[:, None])
    save_object(folder / "annots.npy", {"cams": cams, "ims": ims})


def save_object(path: Path, content: dict) -> None:
    """A dictionary in a `.npy`, as these data sets store it."""
    np.save(path, np.array(content, dtype=object))

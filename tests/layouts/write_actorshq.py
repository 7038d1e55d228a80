"""ActorsHQ layout. Checked against what is named in dataparsers/actorshq.py."""

import csv
from dataclasses import replace
from pathlib import Path

from scipy.spatial.transform import Rotation

from tests.layouts.truth import Truth, save_picture
from tests.layouts.write_avatarrex import write_fit


def camera_names(truth: Truth) -> Truth:
    """The same with the layout's names of cameras, which start at one."""
    return replace(truth, cameras=tuple(replace(x, name=f"Cam{c + 1:03d}") for c, x in enumerate(truth.cameras)))


def write(truth: Truth, folder: Path) -> None:
    """The truth as one size of a sequence, with the calibration of a camera that was not downloaded."""
    write_size(truth, folder)
    write_fit(truth, folder / "smpl_params.npz")


def write_scales(truth: Truth, folder: Path) -> None:
    """The truth as a sequence whose full size and quarter size were downloaded."""
    write_size(truth, folder / "1x")
    write_size(truth, folder / "4x")
    write_fit(truth, folder / "smpl_params.npz")


def write_size(truth: Truth, folder: Path) -> None:
    """Pictures, masks and `calibration.csv`."""
    rows = []
    for c, camera in enumerate(truth.cameras):
        R, size = camera.T_cam_world[:3, :3], (camera.width, camera.height)
        turn, centre = Rotation.from_matrix(R.T).as_rotvec(), -R.T @ camera.T_cam_world[:3, 3]
        focal = (camera.K[0, 0] / size[0], camera.K[1, 1] / size[1])
        point = (camera.K[0, 2] / size[0], camera.K[1, 2] / size[1])
        rows.append([camera.name, *size, *turn, *centre, *focal, *point])
        for t in range(truth.num_frames):
            save_picture(folder / "rgbs" / camera.name / f"{camera.name}_rgb{t:06d}.jpg", truth.matted()[c, t])
            save_picture(folder / "masks" / camera.name / f"{camera.name}_mask{t:06d}.png", truth.alpha[c, t])
    rows.append(["Cam160", *rows[0][1:]])
    with (folder / "calibration.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["name", "w", "h", *"rx ry rz tx ty tz fx fy px py".split()], *rows])

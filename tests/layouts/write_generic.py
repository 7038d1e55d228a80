"""The generic layout with each of its four calibrations.

Checked against: nerfstudio's own COLMAP writer and reader (data/utils/colmap_parsing_utils.py) and its conventions for
transforms.json (OpenGL camera-to-world, half-integer pixel centres); easymocap/mytools/camera_utils.py of EasyMocap.
"""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from nerfstudio.data.utils import colmap_parsing_utils as colmap

from tests.layouts.smpl_model import smpl_fit, write_model
from tests.layouts.truth import Truth, save_picture, to_opencv_pixels
from tests.layouts.write_avatarrex import calibration, fit_arrays

FIRST = 100
"""Number of the first picture: rows are found through `frames`."""


def write_json(truth: Truth, folder: Path) -> None:
    """`cameras.json`, the AvatarReX entries; smplx's names."""
    _write(
        truth, folder, lambda: (folder / "cameras.json").write_text(json.dumps(calibration(truth))), fit_arrays(truth)
    )


def write_opencv(truth: Truth, folder: Path) -> None:
    """`intri.yml` and `extri.yml`; all poses in one array."""
    fit = {"poses": truth.fit.pose.reshape(-1, 165), "trans": truth.fit.transl, "betas": truth.fit.betas}
    _write(truth, folder, lambda: _write_yaml(truth, folder), {**fit, "expression": truth.fit.expression})


def write_transforms(truth: Truth, folder: Path) -> None:
    """`transforms.json`; smplx's names."""
    _write(truth, folder, lambda: _write_transforms(truth, folder), fit_arrays(truth))


def write_colmap(truth: Truth, folder: Path) -> None:
    """`sparse/0`, binary, with one picture per camera in a folder per camera; a SMPL fit."""
    fit = smpl_fit(truth)
    flat = fit.pose.reshape(-1, 72)
    arrays = {"global_orient": flat[:, :3], "body_pose": flat[:, 3:], "transl": fit.transl, "betas": fit.betas}
    _write(truth, folder, lambda: _write_colmap(truth, folder), arrays)
    write_model(folder)


def _write(truth: Truth, folder: Path, cameras: Callable[[], object], fit: dict[str, np.ndarray]) -> None:
    folder.mkdir(parents=True)
    cameras()
    numbers = FIRST + np.arange(truth.num_frames)
    np.savez(folder / "body.npz", **{**fit, "frames": numbers})  # pyright: ignore[reportArgumentType]
    for c, camera in enumerate(truth.cameras):
        for t, number in enumerate(numbers):
            save_picture(folder / "images" / camera.name / f"{number:06d}.jpg", truth.rgb[c, t])
            save_picture(folder / "masks" / camera.name / f"{number:06d}.png", truth.alpha[c, t])


def _write_yaml(truth: Truth, folder: Path) -> None:
    files = {name: cv2.FileStorage(str(folder / name), cv2.FILE_STORAGE_WRITE) for name in ("intri.yml", "extri.yml")}
    for storage in files.values():
        storage.startWriteStruct("names", cv2.FILE_NODE_SEQ)
        for camera in truth.cameras:
            storage.write("", camera.name)
        storage.endWriteStruct()
    for c, camera in enumerate(truth.cameras):
        T = camera.T_cam_world
        files["intri.yml"].write(f"K_{camera.name}", to_opencv_pixels(camera.K))
        files["intri.yml"].write(f"dist_{camera.name}", camera.distortion[None])
        files["extri.yml"].write(f"R_{camera.name}", cv2.Rodrigues(T[:3, :3])[0])
        if c % 2 == 0:  # the matrix is optional
            files["extri.yml"].write(f"Rot_{camera.name}", T[:3, :3])
        files["extri.yml"].write(f"T_{camera.name}", T[:3, 3:])
    for storage in files.values():
        storage.release()


def _write_transforms(truth: Truth, folder: Path) -> None:
    frames = []
    for camera in truth.cameras:
        K, d = camera.K, camera.distortion
        for t in range(2):  # a fixed camera may be listed with several pictures
            frames.append(
                {
                    "file_path": f"images/{camera.name}/{FIRST + t:06d}.jpg",
                    "transform_matrix": (np.linalg.inv(camera.T_cam_world) @ np.diag([1, -1, -1, 1])).tolist(),
                    "fl_x": K[0, 0],
                    "fl_y": K[1, 1],
                    "cx": K[0, 2],
                    "cy": K[1, 2],
                    **dict(zip(("k1", "k2", "p1", "p2", "k3"), d.tolist())),
                }
            )
    head = {"camera_model": "OPENCV", "w": truth.cameras[0].width, "h": truth.cameras[0].height}
    (folder / "transforms.json").write_text(json.dumps({**head, "frames": frames}))


def _write_colmap(truth: Truth, folder: Path) -> None:
    cameras, images = {}, {}
    for c, camera in enumerate(truth.cameras, start=1):
        K = camera.K
        params = np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2], *camera.distortion[:4]])
        cameras[c] = colmap.Camera(c, "OPENCV", camera.width, camera.height, params)
        T, none = camera.T_cam_world, np.zeros(0)
        name = f"{camera.name}/{FIRST:06d}.jpg"
        images[c] = colmap.Image(c, colmap.rotmat2qvec(T[:3, :3]), T[:3, 3], c, name, np.zeros((0, 2)), none)
    (folder / "sparse" / "0").mkdir(parents=True)
    colmap.write_cameras_binary(cameras, folder / "sparse" / "0" / "cameras.bin")
    colmap.write_images_binary(images, folder / "sparse" / "0" / "images.bin")

"""DNA-Rendering layout. Checked against what is named in dataparsers/dna_rendering.py."""

from dataclasses import replace
from pathlib import Path

import cv2
import h5py
import numpy as np

from nerfstudio_mobavatar.body_model import load_body
from tests.layouts.truth import Truth, to_opencv_pixels

SCALE = 1.07


def camera_names(truth: Truth) -> Truth:
    """The same with the layout's names of cameras: 00 to 47 have 5 megapixels, 48 to 59 have 12."""
    names = ("00", "07", "31", "48")
    return replace(truth, cameras=tuple(replace(x, name=name) for name, x in zip(names, truth.cameras)))


def write(truth: Truth, folder: Path, scale: float = 1.0) -> None:
    """The truth as one recording, with the calibration of a camera without pictures, in folders as downloaded."""
    main, annotations = folder / "part1_main" / "0012_09.smc", folder / "part1_annotations" / "0012_09_annots.smc"
    for path in (main, annotations):
        path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(main, "w") as file:
        file.attrs.update({"actor_id": 12, "performance_id": 9, "gender": "female"})
        for c, camera in enumerate(truth.cameras):
            group = "Camera_12mp" if int(camera.name) >= 48 else "Camera_5mp"
            for t in range(truth.num_frames):
                file[f"{group}/{int(camera.name)}/color/{t}"] = encoded(truth.rgb[c, t, ..., ::-1], ".jpg")
    with h5py.File(annotations, "w") as file:
        for c, camera in enumerate(truth.cameras):
            write_camera(file, camera.name, truth, c, scale)
            for t in range(truth.num_frames):
                gray = np.repeat(truth.alpha[c, t, ..., None], 3, 2)
                file[f"Mask/{int(camera.name)}/mask/{t}"] = encoded(gray, ".png")
        write_camera(file, "59", truth, 0, scale)
        write_body(file, truth, scale)


def write_scaled(truth: Truth, folder: Path) -> None:
    """The same in a world that is larger: bodies have to be multiplied by `SCALE`, translation included."""
    write(truth, folder, SCALE)


def write_camera(file: h5py.File, name: str, truth: Truth, c: int, scale: float) -> None:
    """`Camera_Parameter/NN`, camera-to-world, in a world `scale` times as large."""
    camera = truth.cameras[c]
    T_world_cam = np.linalg.inv(camera.T_cam_world)
    T_world_cam[:3, 3] *= scale
    entry = {"K": to_opencv_pixels(camera.K), "D": camera.distortion, "RT": T_world_cam, "Color_Calibration": np.eye(3)}
    for key, value in entry.items():
        file[f"Camera_Parameter/{name}/{key}"] = value


def write_body(file: h5py.File, truth: Truth, scale: float) -> None:
    """`SMPLx`, hands relative to the mean of the open body."""
    fit = truth.fit
    pose = fit.pose.copy()
    pose[:, 25:] -= load_body("open").hand_mean.numpy()
    arrays = {"fullpose": pose, "transl": fit.transl, "expression": fit.expression}
    arrays |= {"betas": np.repeat(fit.betas[None], len(pose), 0), "scale": np.array([scale])}
    for key, value in arrays.items():
        file[f"SMPLx/{key}"] = value


def encoded(pixels: np.ndarray, suffix: str) -> np.ndarray:
    """Bytes of a picture file, in a uint8 array."""
    full = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    options = [cv2.IMWRITE_JPEG_QUALITY, 97, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, full] if suffix == ".jpg" else []
    return cv2.imencode(suffix, pixels, options)[1].ravel()

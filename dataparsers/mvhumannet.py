"""MVHumanNet layout: `images_lr/CAM/0005_img.jpg`, `fmask_lr/CAM/0005_img_fmask.png`, `smplx/smpl/000000.json`.

What it is read as. Cameras: `camera_extrinsics.json`, entries such as `1_CC32871A004.png`, world-to-camera with
`translation` in millimetres times the number in `camera_scale.pkl`; one `camera_intrinsics.json` for all, of the full
pictures (4096x3000 where the scale is 120/65, else 2448x2048) with pixel centres at integers, for pictures that are
usually half as large; undistorted. Masks: 255 is the person. Body: SMPL-X as EasyMocap stores it: 87 numbers (root at
rest, 21 body joints, 6 + 6 hand coefficients without the mean, jaw, eyes), then `x = Rh x + Th` in metres. Pictures are
numbered in steps of 5: number n shows the body in file n / 5 - 1. Up: from the fitted bodies.

Checked against: visual_smpl/ of github.com/GAP-LAB-CUHK-SZ/MVHumanNet (its camera_utils.py, body_param.py and sample
data), and for the hands the SMPL-X layer of EasyMocap (6 coefficients, `use_flat_mean`). Second hand: 5 frames per
second (25 recorded, every fifth kept).
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.body_model import Body, expand_hands, load_body
from nerfstudio_mobavatar.capture import BodyFit, Capture, CaptureCamera, CaptureError
from nerfstudio_mobavatar.dataparsers.assemble import Source, assemble, used_cameras
from nerfstudio_mobavatar.dataparsers.base import CaptureDataParser, CaptureDataParserConfig
from nerfstudio_mobavatar.dataparsers.calibration import image_size, parse_camera, read_calibration
from nerfstudio_mobavatar.dataparsers.files import NumberedFolder, list_numbered
from nerfstudio_mobavatar.dataparsers.fit import RawFit
from nerfstudio_mobavatar.dataparsers.safe_pickle import load_plain
from nerfstudio_mobavatar.dataparsers.smpl import listed_betas
from nerfstudio_mobavatar.plain_data import damage_as, read_json

LAYOUT = "mvhumannet"
EXTRINSICS, INTRINSICS, SCALE = "camera_extrinsics.json", "camera_intrinsics.json", "camera_scale.pkl"
PICTURE = re.compile(r"^(\d{1,18})_img\.(?:jpg|jpeg|png)$", re.IGNORECASE)
MASK = re.compile(r"^(\d{1,18})_img_fmask\.(?:jpg|jpeg|png)$", re.IGNORECASE)
STEP = 5
MOST = 1e6
"""Radians, metres or coefficients."""
FPS = 5.0
LARGE_SCALE = 120 / 65
LARGE, SMALL = (4096, 3000), (2448, 2048)
"""Width and height of the pictures that the two rigs' intrinsics are for."""
SIZES = {"poses": 87, "Rh": 3, "Th": 3, "expression": 10, "shapes": None}


@dataclass
class MVHumanNetDataParserConfig(CaptureDataParserConfig):
    """Captures in the layout of MVHumanNet."""

    _target: type = field(default_factory=lambda: MVHumanNet)
    """Parser class."""


class MVHumanNet(CaptureDataParser):
    """Reads the MVHumanNet layout."""

    config: MVHumanNetDataParserConfig

    def read_capture(self) -> Capture:
        """Read and check the folder of one outfit."""
        root = Path(self.config.data)
        path = root / EXTRINSICS
        entries = {name.split(".")[0].split("_")[-1]: entry for name, entry in read_calibration(path).items()}
        scale = _scale(root / SCALE)
        K = np.asarray(_intrinsics(root / INTRINSICS), np.float64)
        names = used_cameras(self.config, path, list(entries))
        folders = tuple(folder for folder in (_folder(root, name) for name in names) if folder.images)
        if not folders:
            raise CaptureError(
                f"{root / 'images_lr'}: expected pictures such as CAMERA/0005_img.jpg, found none of the {len(names)} "
                f"cameras of {EXTRINSICS}. Give the folder of one outfit."
            )
        unused = len(names) - len(folders)
        raw, rows = _read_fit(
            root, sorted(set().union(*(folder.images for folder in folders))), load_body(self.config.body)
        )

        def camera(folder: NumberedFolder, first: Path) -> tuple[CaptureCamera, tuple[str, ...]]:
            size = LARGE if np.isclose(scale, LARGE_SCALE) else SMALL
            shrink = np.diag([*np.divide(image_size(first), size), 1.0])
            entry = entries[folder.name]
            translation = np.asarray(entry.get("translation", ()), np.float64) * scale / 1000
            # pixel centres at half-integers while scaling
            half = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
            values = {"K": shrink @ (K + half), "R": entry.get("rotation"), "T": translation, "distCoeff": [0.0] * 5}
            return parse_camera(path, folder.name, values, first, pixel_shift=0.0)

        source = Source(
            root=root,
            layout=LAYOUT,
            calibration=path,
            folders=folders,
            camera=camera,
            raw=raw,
            rows=rows,
            row_rule=f"picture n is fitted in smplx/smpl, file n / {STEP} - 1",
            fps=FPS,
            mask_remedy="Copy the data set's fmask_lr folder completely, or drop the frames with --drop-frames.",
            notes=(f"{unused} of the {len(names)} calibrated cameras have no pictures.",) if unused else (),
        )
        return assemble(self.config, source)


def _scale(path: Path) -> float:
    value = load_plain(path)
    if not isinstance(value, (int, float, np.floating, np.integer)) or not 0.1 < value < 10:
        found = repr(value)[:100]
        raise CaptureError(f"{path}: expected a number such as 1.846, found {found}. Copy the data set's own file.")
    return float(value)


def _intrinsics(path: Path) -> list:
    """The 3x3 `intrinsics`."""
    if not path.is_file():
        raise CaptureError(f"{path}: expected the intrinsics of all cameras, found no such file. Copy it there.")
    with damage_as(CaptureError, path, "a matrix 'intrinsics'", "Copy the data set's own file."):
        matrix = np.asarray(read_json(path)["intrinsics"], np.float64)
    if matrix.shape != (3, 3):
        raise CaptureError(f"{path}: expected 3x3 numbers in 'intrinsics', found shape {matrix.shape}. Copy it again.")
    return matrix.tolist()


def _folder(root: Path, name: str) -> NumberedFolder:
    path, masks = root / "images_lr" / name, root / "fmask_lr" / name
    return NumberedFolder(name, path, list_numbered(path, PICTURE), masks, list_numbered(masks, MASK))


def _read_fit(root: Path, numbers: list[int], body: Body) -> tuple[RawFit, dict[int, int]]:
    """The fitted bodies of these pictures, and the row of each."""
    folder = root / "smplx" / "smpl"
    files = list_numbered(folder, re.compile(r"^(\d{1,18})\.json$"))
    fitted = [n for n in numbers if n % STEP == 0 and n // STEP - 1 in files]
    if not fitted:
        raise CaptureError(
            f"{folder}: expected SMPL-X parameters such as {numbers[0] // STEP - 1:06d}.json, found none for the "
            f"pictures {numbers[0]}..{numbers[-1]}. Copy the data set's smplx folder."
        )
    rows = [_parameters(files[n // STEP - 1]) for n in fitted]
    poses, Rh, Th, expression = (np.stack([row[key] for row in rows]) for key in ("poses", "Rh", "Th", "expression"))
    betas = listed_betas(folder, [row["shapes"] for row in rows])
    if not 0 < len(betas) <= body.num_betas:
        raise CaptureError(
            f"{folder}: expected at most {body.num_betas} shape coefficients like the body '{body.name}', found "
            f"{len(betas)}. Give the SMPL-X file the fits were made with, with --body."
        )
    pelvis = body.rest(torch.from_numpy(betas).float())[1][0].numpy().astype(np.float64)
    turn = Rotation.from_rotvec(Rh)
    pose = np.zeros((len(rows), 55, 3))
    pose[:, :22] = poses[:, :66].reshape(-1, 22, 3)
    pose[:, 0] = (turn * Rotation.from_rotvec(poses[:, :3])).as_rotvec()
    pose[:, 22:25] = poses[:, 78:].reshape(-1, 3, 3)
    left, right = (torch.from_numpy(poses[:, first : first + 6]).float() for first in (66, 72))
    pose[:, 25:] = expand_hands(left, right, body, flat_hand_mean=True, pca=True).numpy()
    arrays = (pose, turn.apply(pelvis) + Th - pelvis, expression, betas)
    fit = BodyFit(*(x.astype(np.float32) for x in arrays))
    finite = np.isfinite(fit.pose).all((1, 2)) & np.isfinite(fit.transl).all(1)
    return RawFit(folder, fit, finite, ()), {n: row for row, n in enumerate(fitted)}


def _parameters(path: Path) -> dict[str, Float[ndarray, " n"]]:
    """The numbers of one frame."""
    with damage_as(CaptureError, path, f"{', '.join(SIZES)} of one person", "Copy the data set's own file."):
        content = read_json(path)
        person: dict[str, Any] = content[0] if isinstance(content, list) else content
        values = {key: np.asarray(person[key], np.float64).ravel() for key in SIZES}
    for key, size in SIZES.items():
        if size not in (None, values[key].size) or not (np.abs(values[key]) < MOST).all():
            raise CaptureError(
                f"{path}: expected {size or 'only'} finite numbers in {key}, found {values[key].size} numbers. Copy "
                "the data set's own file, or leave the frame out by removing it."
            )
    return values

"""ZJU-MoCap layout: `annots.npy`, pictures as it lists them, `mask_cihp/` or `mask/`, `new_params/i.npy` (SMPL).

What it is read as. Cameras: `cams` of `annots.npy`, world-to-camera, `T` in millimetres, OpenCV distortion and pixel
centres at integers (half a pixel is added), for the pictures' own size. Camera `i` is the i-th picture of each entry of
`ims` and is named after its folder. Masks: anything but 0 is the person (`mask_cihp` holds labels of body parts). Body:
SMPL, posed with a root at rest, then `x = Rh x + Th` in metres; `new_params` (fitted with pose blendshapes) before
`params`. Frame numbers are those of the picture names; CoreView_313 and 315 name pictures after camera and time, with
the frame, counted from 1, before the date, and their parameter files follow it. Up: from the fitted bodies.

Checked against: lib/datasets/light_stage/{can_smpl,multi_view_dataset}.py of github.com/zju3dv/neuralbody.
Second hand: 50 frames per second; `--fps` changes it.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from nerfstudio_mobavatar.capture import Capture, CaptureCamera, CaptureError
from nerfstudio_mobavatar.dataparsers.assemble import Source, assemble, used_cameras
from nerfstudio_mobavatar.dataparsers.base import CaptureDataParser
from nerfstudio_mobavatar.dataparsers.calibration import parse_camera
from nerfstudio_mobavatar.dataparsers.files import NumberedFolder
from nerfstudio_mobavatar.dataparsers.fit import RawFit
from nerfstudio_mobavatar.dataparsers.safe_pickle import load_plain
from nerfstudio_mobavatar.dataparsers.smpl import SmplDataParserConfig, SmplPoses, listed_betas
from nerfstudio_mobavatar.plain_data import damage_as

LAYOUT = "zju-mocap"
ANNOTATIONS = "annots.npy"
MASKS = ("mask_cihp", "mask")
PARAMETERS = ("new_params", "params")
FPS = 50.0
NUMBER = re.compile(r"(?:^|_Camera_\(\d+\)_)(\d{1,18})(?:_\d{4}-\d\d-\d\d_.*)?$")
"""The frame in a picture's name: all of it (000012), or as in CoreView_313_Camera_(1)_0012_2019-08-23_16-08-50.592."""


@dataclass
class ZJUMoCapDataParserConfig(SmplDataParserConfig):
    """Captures in the layout of ZJU-MoCap, as NeuralBody reads it."""

    _target: type = field(default_factory=lambda: ZJUMoCap)
    """Parser class."""


class ZJUMoCap(CaptureDataParser):
    """Reads the ZJU-MoCap layout."""

    config: ZJUMoCapDataParserConfig

    def read_capture(self) -> Capture:
        """Read and check the folder."""
        root = Path(self.config.data)
        path = root / ANNOTATIONS
        cameras, pictures = _read_annotations(path)
        used = used_cameras(self.config, path, list(pictures))
        masks = next((root / name for name in MASKS if (root / name).is_dir()), root / MASKS[0])
        folders = tuple(_folder(root, masks, name, pictures[name]) for name in used)
        index = {name: i for i, name in enumerate(pictures)}
        raw, rows = _read_fit(self.config, root, sorted(set().union(*(folder.images for folder in folders))))

        def camera(folder: NumberedFolder, first: Path) -> tuple[CaptureCamera, tuple[str, ...]]:
            entry = {key: cameras[key][index[folder.name]] for key in ("K", "R", "distCoeff")}
            entry["T"] = np.asarray(cameras["T"][index[folder.name]], np.float64) / 1000
            parsed, notes = parse_camera(path, folder.name, entry, first)
            return CaptureCamera(**{**vars(parsed), "mask_coding": "nonzero"}), notes

        source = Source(
            root=root,
            layout=LAYOUT,
            calibration=path,
            folders=folders,
            camera=camera,
            raw=raw,
            rows=rows,
            row_rule="picture i is fitted in i.npy",
            fps=FPS,
            mask_remedy=f"Copy the data set's {masks.name} folder completely, or drop the frames with --drop-frames.",
        )
        return assemble(self.config, source)


def _read_annotations(path: Path) -> tuple[dict[str, Any], dict[str, dict[int, str]]]:
    """The calibration by key, and each camera's pictures by frame number."""
    content = load_plain(path)
    expected = "'cams' with K, R, T, D and a list 'ims' of pictures per frame"
    with damage_as(CaptureError, path, expected, "Copy the data set's own file."):
        cams, listed = content["cams"], [[str(text) for text in entry["ims"]] for entry in content["ims"]]
        cameras = {"K": cams["K"], "R": cams["R"], "T": cams["T"], "distCoeff": cams["D"]}
        counts = {key: len(value) for key, value in cameras.items()}
    widths = {len(entry) for entry in listed}
    if len(widths) != 1 or not listed[0] or min(counts.values()) < len(listed[0]):
        raise CaptureError(
            f"{path}: expected equally many pictures in every frame and a calibration for each, found "
            f"{sorted(widths)[:9] or 'no'} pictures per frame and {counts}. Copy the data set's own file."
        )
    names = [PureWindowsPath(text).parent.as_posix() for text in listed[0]]
    if len(set(names)) != len(names):
        raise CaptureError(
            f"{path}: expected a folder per camera, found {', '.join(names)[:300]}. Copy the data set's own file."
        )
    pictures: dict[str, dict[int, str]] = {name: {} for name in names}
    for entry in listed:
        for name, text in zip(names, entry):
            # every picture lies in its camera's folder, whatever the list says
            pictures[name][_frame_number(path, text)] = f"{name}/{PureWindowsPath(text).name}"
    return cameras, pictures


def _frame_number(path: Path, picture: str) -> int:
    match = NUMBER.search(PureWindowsPath(picture).stem)
    if match is None:
        raise CaptureError(
            f"{path}: expected pictures named after their frame (000012.jpg), or after camera, frame and date as in "
            f"CoreView_313, found {picture[:100]}. Rename the pictures here and in their folders."
        )
    return int(match[1])


def _folder(root: Path, masks: Path, name: str, pictures: dict[int, str]) -> NumberedFolder:
    """The pictures and masks that are there. Folders are listed, files are not touched."""
    present = {p.name for p in (root / name).iterdir()} if (root / name).is_dir() else set()
    masked = {p.name for p in (masks / name).iterdir()} if (masks / name).is_dir() else set()
    images = {n: root / text for n, text in pictures.items() if Path(text).name in present}
    if not images:
        raise CaptureError(
            f"{root / name}: expected the pictures of camera {name} that {ANNOTATIONS} lists, such as "
            f"{Path(next(iter(pictures.values()))).name}, found none. Add them, or leave the camera out with "
            f'--skip-cameras "{name}".'
        )
    candidates = {n: Path(text).with_suffix(".png").name for n, text in pictures.items()}
    found = {n: masks / name / file for n, file in candidates.items() if file in masked}
    return NumberedFolder(name, root / name, images, masks / name, found)


def _read_fit(config: ZJUMoCapDataParserConfig, root: Path, frames: list[int]) -> tuple[RawFit, dict[int, int]]:
    """The fitted frames among `frames`, and the row of each."""
    folder = next((root / name for name in PARAMETERS if (root / name).is_dir()), root / PARAMETERS[0])
    present = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
    fitted = [n for n in frames if f"{n}.npy" in present]
    if not fitted:
        raise CaptureError(
            f"{folder}: expected SMPL parameters such as {frames[0]}.npy, one file per frame, found none. Copy the "
            "data set's new_params folder."
        )
    rows = [_parameters(folder / f"{n}.npy") for n in fitted]
    poses, turns, shifts = (np.stack([row[key] for row in rows]) for key in ("poses", "Rh", "Th"))
    betas = listed_betas(folder, [row["shapes"] for row in rows])
    fit = config.carry_over(folder, SmplPoses(poses.reshape(len(rows), -1, 3), shifts, turns), betas)
    return fit, {n: row for row, n in enumerate(fitted)}


def _parameters(path: Path) -> dict[str, Float[ndarray, " n"]]:
    """`poses` (72), `Rh` (3), `Th` (3) and `shapes` of one frame."""
    content = load_plain(path)
    sizes = {"poses": 72, "Rh": 3, "Th": 3, "shapes": None}
    values = {}
    with damage_as(CaptureError, path, "SMPL's parameters", "Copy the data set's own file."):
        for key, size in sizes.items():
            value = content.get(key) if isinstance(content, dict) else None
            if value is None or np.asarray(value).dtype.kind not in "fiu" or (size and np.size(value) != size):
                found = "no such key" if value is None else f"shape {np.shape(value)}"
                raise CaptureError(
                    f"{path}: expected SMPL's poses (72 numbers), Rh (3), Th (3) and shapes, found {found} for {key}. "
                    "Copy the data set's own file."
                )
            values[key] = np.asarray(value, np.float64).ravel()
    return values

"""Generic layout for people's own captures: `images/CAM/NUMBER.*`, `masks/CAM/NUMBER.*`, a calibration, `body.npz`.

What it is read as. Cameras: any of the four files of `camera_files.py`, metres. Masks: 255 is the person. Body:
`body.npz` with smplx's parameter names (SMPL-X), or `poses` with 165 numbers per row and `transl` or `trans` (SMPL-X),
or with 72 (SMPL) or 156 (SMPL-H), or smplx's names with a `body_pose` of 69 numbers (SMPL). The root turns about joint
0. `frames` says which picture number a row shows, row n shows picture n where it is absent; `fps` says the rate, 30
where it is absent. Hands are complete unless `flat_hand_mean` in the file, or the option, says otherwise. Up: from the
bodies.

The layout is this project's own; what its parts were checked against is said in `camera_files.py` and `smpl.py`.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy import ndarray

from nerfstudio_mobavatar.capture import Capture, CaptureCamera, CaptureError
from nerfstudio_mobavatar.dataparsers.assemble import Source, assemble, used_cameras
from nerfstudio_mobavatar.dataparsers.base import CaptureDataParser
from nerfstudio_mobavatar.dataparsers.calibration import parse_camera
from nerfstudio_mobavatar.dataparsers.camera_files import read_camera_file
from nerfstudio_mobavatar.dataparsers.files import NumberedFolder, list_numbered
from nerfstudio_mobavatar.dataparsers.fit import POSE_PARTS, RawFit, fit_from_arrays, load_arrays
from nerfstudio_mobavatar.dataparsers.smpl import SmplDataParserConfig, SmplPoses, listed_betas
from nerfstudio_mobavatar.plain_data import damage_as

LAYOUT = "generic"
BODY = "body.npz"
FPS = 30.0
JOINTS = {72: 24, 156: 52}
"""Numbers per row of `poses` that mean SMPL and SMPL-H."""


@dataclass
class GenericDataParserConfig(SmplDataParserConfig):
    """Your own capture: images, masks, one of four kinds of calibration, body parameters in one file."""

    _target: type = field(default_factory=lambda: Generic)
    """Parser class."""


class Generic(CaptureDataParser):
    """Reads the generic layout."""

    config: GenericDataParserConfig

    def read_capture(self) -> Capture:
        """Read and check the folder."""
        root = Path(self.config.data)
        calibration = read_camera_file(root)
        names = used_cameras(self.config, calibration.path, list(calibration.entries))
        folders = tuple(_folder(root, name) for name in names)
        arrays = load_arrays(root / BODY)
        with damage_as(CaptureError, root / BODY, "body parameters, one row per frame", "Save them again."):
            raw = _read_body(self.config, root / BODY, arrays)

        def camera(folder: NumberedFolder, first: Path) -> tuple[CaptureCamera, tuple[str, ...]]:
            entry = calibration.entries[folder.name]
            return parse_camera(calibration.path, folder.name, entry, first, calibration.pixel_shift)

        source = Source(
            root=root,
            layout=LAYOUT,
            calibration=calibration.path,
            folders=folders,
            camera=camera,
            raw=raw,
            rows=_rows(root / BODY, arrays, raw),
            row_rule="row n shows image n, or the n-th of 'frames'",
            fps=float(_scalar(root / BODY, arrays, "fps", FPS)),
            mask_remedy="Make the masks (255 is the person), or remove the images.",
            flat_hand_mean=bool(_scalar(root / BODY, arrays, "flat_hand_mean", True)),
            notes=calibration.notes,
        )
        return assemble(self.config, source)


def _folder(root: Path, name: str) -> NumberedFolder:
    path, masks = root / "images" / name, root / "masks" / name
    images = list_numbered(path)
    if not images:
        raise CaptureError(
            f"{path}: expected images such as 000000.jpg of camera {name} of the calibration, found "
            f"{'none' if path.is_dir() else 'no such folder'}. Add them, or leave the camera out with "
            f"--skip-cameras {name}."
        )
    return NumberedFolder(name, path, images, masks, list_numbered(masks))


def _read_body(config: GenericDataParserConfig, path: Path, arrays: dict[str, ndarray]) -> RawFit:
    """The fit as SMPL-X, whatever body it is of."""
    named = dict(arrays)
    if "transl" not in named and "trans" in named:
        named["transl"] = named.pop("trans")
    if "poses" in named:
        flat = named.pop("poses").reshape(len(arrays["poses"]), -1)
    elif named.get("body_pose", np.zeros((1, 63))).size == 69 * len(named.get("global_orient", ())) > 0:
        flat = np.concatenate([named[key].reshape(len(named[key]), -1) for key in ("global_orient", "body_pose")], 1)
    else:
        return fit_from_arrays(path, named)
    if flat.shape[1] == 165:
        parts = {key: flat[:, 3 * first : 3 * (first + count)] for key, first, count in POSE_PARTS}
        return fit_from_arrays(path, {**named, **parts})
    if flat.shape[1] not in JOINTS or any(np.size(named.get(k, ())) == 0 for k in ("transl", "betas")):
        raise CaptureError(
            f"{path}: expected poses of 165 (SMPL-X), 156 (SMPL-H) or 72 (SMPL) numbers per row with transl and betas, "
            f"found {flat.shape[1]} numbers and {', '.join(sorted(arrays))}. Save what is missing."
        )
    if named["transl"].size != 3 * len(flat):
        raise CaptureError(f"{path}: expected {len(flat)} rows in transl, found shape {named['transl'].shape}.")
    poses = SmplPoses(flat.reshape(len(flat), JOINTS[flat.shape[1]], 3), named["transl"].reshape(-1, 3))
    return config.carry_over(path, poses, listed_betas(path, np.atleast_2d(named["betas"])))


def _rows(path: Path, arrays: dict[str, ndarray], raw: RawFit) -> dict[int, int]:
    count = raw.fit.num_frames
    frames = arrays.get("frames", np.arange(count))
    if frames.shape != (count,) or frames.dtype.kind not in "iu" or len(set(frames.tolist())) != count:
        raise CaptureError(
            f"{path}: expected in 'frames' a different whole number for each of the {count} rows, found shape "
            f"{frames.shape} of {frames.dtype}. Save the number of the picture that each row shows."
        )
    return {int(number): row for row, number in enumerate(frames)}


def _scalar(path: Path, arrays: dict[str, ndarray], key: str, default: float | bool) -> float | bool:
    value = arrays.get(key, np.asarray(default))
    if value.size != 1 or value.dtype.kind not in "fiub" or not np.isfinite(value).all():
        raise CaptureError(f"{path}: expected one number in {key}, found {str(value.tolist())[:100]}. Save it again.")
    return value.item()

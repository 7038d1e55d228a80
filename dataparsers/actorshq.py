"""ActorsHQ layout: `calibration.csv`, `rgbs/CAM/CAM_rgb%06d.jpg`, `masks/CAM/CAM_mask%06d.png`, as downloaded in `1x`,
`2x` and `4x`, and a body fit `smpl_params.npz` by others.

What it is read as. `calibration.csv`: per row `name,w,h,rx,ry,rz,tx,ty,tz,fx,fy,px,py`; `r` is the axis-angle of the
**camera-to-world** rotation, `t` the camera's centre, metres, OpenCV axes; focal lengths and principal point are shares
of width and height, with pixel centres at half-integers already (their rays start at pixel + 0.5), undistorted.
Masks: 255 is the person; pictures are already matted. Body: the AvatarReX keys, picture n shows row n; ActorsHQ itself
has no SMPL-X.

Checked against: actorshq/dataset/camera_data.py, volumetric_dataset.py and the README of github.com/synthesiaresearch/
humanrf (the authors' loader). Second hand: 25 frames per second, and the keys of the fits, which are those that
github.com/lizhe00/AnimatableGaussians publishes for this data set.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.capture import Capture, CaptureCamera, CaptureError
from nerfstudio_mobavatar.dataparsers.assemble import Source, assemble, used_cameras
from nerfstudio_mobavatar.dataparsers.base import CaptureDataParser, CaptureDataParserConfig
from nerfstudio_mobavatar.dataparsers.calibration import SIZE_TOLERANCE, image_size, parse_camera
from nerfstudio_mobavatar.dataparsers.files import NumberedFolder, list_numbered
from nerfstudio_mobavatar.dataparsers.fit import RawFit, read_fit
from nerfstudio_mobavatar.plain_data import NotPlainError, read_text

LAYOUT = "actorshq"
CALIBRATION = "calibration.csv"
SCALES = ("1x", "2x", "4x")
COLUMNS = ("name", "w", "h", "rx", "ry", "rz", "tx", "ty", "tz", "fx", "fy", "px", "py")
FIT = "smpl_params.npz"
RGB = re.compile(r"^.*_rgb(\d{1,18})\.(jpg|jpeg|png)$", re.IGNORECASE)
MASK = re.compile(r"^.*_mask(\d{1,18})\.(jpg|jpeg|png)$", re.IGNORECASE)
FPS = 25.0


@dataclass
class ActorsHQDataParserConfig(CaptureDataParserConfig):
    """Captures in the layout of ActorsHQ, with a SMPL-X fit beside them."""

    _target: type = field(default_factory=lambda: ActorsHQ)
    """Parser class."""
    scale: Literal["auto", "1x", "2x", "4x"] = "auto"
    """Which of the downloaded sizes is read, where the folder holds several. auto: the largest, which a note says."""


class ActorsHQ(CaptureDataParser):
    """Reads the ActorsHQ layout."""

    config: ActorsHQDataParserConfig

    @cached_property
    def root(self) -> Path:
        return Path(self.config.data)

    def read_capture(self) -> Capture:
        """Read and check the folder."""
        pictures, scale_notes = self._pictures()
        path = pictures / CALIBRATION
        entries = read_table(path)
        folders, notes = self._folders(pictures, path, used_cameras(self.config, path, list(entries)))
        raw = self._fit(pictures)

        def camera(folder: NumberedFolder, first: Path) -> tuple[CaptureCamera, tuple[str, ...]]:
            entry = opencv_entry(path, folder.name, entries[folder.name], first)
            return parse_camera(path, folder.name, entry, first, pixel_shift=0.0)

        source = Source(
            root=self.root,
            layout=LAYOUT,
            calibration=path,
            folders=folders,
            camera=camera,
            raw=raw,
            rows={row: row for row in range(raw.fit.num_frames)},
            row_rule="image n shows row n",
            fps=FPS,
            mask_remedy="Download the masks of the same size (they come apart from the pictures).",
            notes=scale_notes + notes,
        )
        return assemble(self.config, source)

    def _pictures(self) -> tuple[Path, tuple[str, ...]]:
        """The folder that holds `calibration.csv`: the capture's own, or one of its sizes."""
        found = [scale for scale in SCALES if (self.root / scale / CALIBRATION).is_file()]
        wanted = self.config.scale
        if wanted == "auto" and (self.root / CALIBRATION).is_file():
            return self.root, ()
        if wanted == "auto" and found:
            note = f"sizes {', '.join(found)} are there, {found[0]} is read (--scale)."
            return self.root / found[0], (note,) if len(found) > 1 else ()
        if wanted in found:
            return self.root / wanted, ()
        raise CaptureError(
            f"{self.root}: expected {CALIBRATION} in it or in one of {', '.join(SCALES)} (--scale {wanted}), found "
            f"{f'it in {chr(44).join(found)} only' if found else 'none'}. Give the folder of one sequence, such as "
            "Actor01/Sequence1, with its calibration."
        )

    def _folders(
        self, pictures: Path, path: Path, names: Sequence[str]
    ) -> tuple[tuple[NumberedFolder, ...], tuple[str, ...]]:
        folders, without = [], []
        for name in names:
            rgbs, masks = pictures / "rgbs" / name, pictures / "masks" / name
            images = list_numbered(rgbs, RGB)
            if images:
                folders.append(NumberedFolder(name, rgbs, images, masks, list_numbered(masks, MASK)))
            else:
                without.append(name)
        if not folders:
            raise CaptureError(
                f"{pictures / 'rgbs'}: expected images such as {names[0]}/{names[0]}_rgb000000.jpg of at least one of "
                f"the {len(names)} cameras in {path.name}, found none. Download the pictures of some cameras there."
            )
        note = f"{len(without)} of the {len(names)} cameras in {path.name} have no pictures and are not used."
        return tuple(folders), (note,) if without else ()

    def _fit(self, pictures: Path) -> RawFit:
        places = dict.fromkeys((self.root / FIT, pictures / FIT, pictures.resolve().parent / FIT))
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise CaptureError(
                f"{self.root / FIT}: expected a SMPL-X fit, found none. ActorsHQ has no body fits: put one by others "
                "there (AvatarReX keys, see dataparsers/README.md), for example those of AnimatableGaussians."
            )
        return read_fit(path)


def read_table(path: Path) -> dict[str, Mapping[str, float]]:
    """Rows of `calibration.csv` by camera name, in its order."""
    try:
        table = csv.DictReader(read_text(path).splitlines())
        missing = [key for key in COLUMNS if key not in (table.fieldnames or ())]
    except (NotPlainError, csv.Error) as error:
        raise CaptureError(f"{path}: expected a table of cameras, found {error}. Download the file again.") from error
    if missing:
        found = ",".join(table.fieldnames or ())[:200]
        raise CaptureError(
            f"{path}: expected the columns {','.join(COLUMNS)}, found {found} (missing: {', '.join(missing)}). "
            "Download the file again."
        )
    rows: dict[str, Mapping[str, float]] = {}
    try:
        for row in table:
            rows[row["name"]] = {key: float(row[key]) for key in COLUMNS[1:]}
            if not np.isfinite(list(rows[row["name"]].values())).all():
                raise ValueError("numbers that are not finite")
    except (csv.Error, TypeError, ValueError) as error:
        raise CaptureError(
            f"{path}: expected 12 numbers after the name in line {table.line_num}, found that it is not so "
            f"({str(error)[:200]}). Download the file again."
        ) from None
    if not rows:
        raise CaptureError(f"{path}: expected one row per camera, found none. Download the file again.")
    return rows


def opencv_entry(path: Path, name: str, row: Mapping[str, float], first_image: Path) -> dict[str, list[float]]:
    """The row as an OpenCV calibration of pictures of this size: `K`, world-to-camera `R` and `T`, no distortion."""
    width, height = image_size(first_image)
    if row["w"] <= 0 or row["h"] <= 0 or abs(width / height / (row["w"] / row["h"]) - 1) > SIZE_TOLERANCE:
        raise CaptureError(
            f"{path}: expected images of camera {name} shaped like {row['w']:.0f}x{row['h']:.0f}, found {width}x"
            f"{height} in {first_image}. The numbers are shares of the whole picture: do not crop or turn it."
        )
    R = Rotation.from_rotvec([row["rx"], row["ry"], row["rz"]]).as_matrix().T
    T = -R @ np.array([row["tx"], row["ty"], row["tz"]])
    K = [row["fx"] * width, 0.0, row["px"] * width, 0.0, row["fy"] * height, row["py"] * height, 0.0, 0.0, 1.0]
    return {"K": K, "R": R.ravel().tolist(), "T": T.tolist(), "distCoeff": [0.0] * 5, "imgSize": [width, height]}

"""PeopleSnapshot as InstantAvatar prepares it, and videos of one person prepared the same way: one camera that stands,
`cameras.npz`, `images/*.png`, `masks/*.npy` or `masks/*.png`, `poses_optimized.npz` or `poses.npz` (SMPL).

What it is read as. Camera: `intrinsic` with pixel centres at integers (half a pixel is added), `extrinsic` is
world-to-camera, metres, OpenCV axes, pictures undistorted. Masks: `.npy` holds 0 and 1, `.png` is a matte with 255 on
the person. Body: SMPL, `thetas` (72) or `global_orient` and `body_pose` (69), `transl` after the rotation about the
pelvis, one `betas`; the k-th picture by name shows row k. Up: from the fitted bodies.

Checked against: instant_avatar/datasets/{peoplesnapshot,custom}.py and scripts/peoplesnapshot/
preprocess_PeopleSnapshot.py of github.com/tijiang13/InstantAvatar. Second hand: 30 frames per second. Not read: its
refined poses of single splits (`poses/anim_nerf_*.npz`), whose rows are other frames.
"""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy import ndarray

from nerfstudio_mobavatar.capture import Capture, CaptureCamera, CaptureError
from nerfstudio_mobavatar.dataparsers.assemble import Source, assemble, used_cameras
from nerfstudio_mobavatar.dataparsers.base import CaptureDataParser
from nerfstudio_mobavatar.dataparsers.calibration import parse_camera
from nerfstudio_mobavatar.dataparsers.files import NumberedFolder, list_numbered
from nerfstudio_mobavatar.dataparsers.fit import RawFit, load_arrays
from nerfstudio_mobavatar.dataparsers.smpl import SmplDataParserConfig, SmplPoses, listed_betas
from nerfstudio_mobavatar.plain_data import damage_as

LAYOUT = "people-snapshot"
CALIBRATION = "cameras.npz"
POSES = ("poses_optimized.npz", "poses.npz")
CAMERA = "camera"
IMAGE = re.compile(r"^.*?(\d{1,18})\.(png|jpg|jpeg)$", re.IGNORECASE)
MASK = re.compile(r"^.*?(\d{1,18})\.(npy|png)$", re.IGNORECASE)
FPS = 30.0


@dataclass
class PeopleSnapshotDataParserConfig(SmplDataParserConfig):
    """Videos of one person by one camera, as InstantAvatar prepares PeopleSnapshot."""

    _target: type = field(default_factory=lambda: PeopleSnapshot)
    """Parser class."""


class PeopleSnapshot(CaptureDataParser):
    """Reads InstantAvatar's layout of PeopleSnapshot."""

    config: PeopleSnapshotDataParserConfig

    def read_capture(self) -> Capture:
        """Read and check the folder."""
        root = Path(self.config.data)
        path = root / CALIBRATION
        used_cameras(self.config, path, [CAMERA])
        entry = read_camera(path)
        images, masks = list_numbered(root / "images", IMAGE), list_numbered(root / "masks", MASK)
        if not images:
            raise CaptureError(f"{root / 'images'}: expected pictures such as image_0000.png, found none. Add them.")
        with damage_as(CaptureError, root, "a SMPL fit in poses.npz", "Save it again."):
            raw, note = self._fit(root)

        def camera(folder: NumberedFolder, first: Path) -> tuple[CaptureCamera, tuple[str, ...]]:
            parsed, notes = parse_camera(path, folder.name, entry, first)
            arrays = any(mask.suffix == ".npy" for mask in masks.values())
            return replace(parsed, mask_coding="nonzero" if arrays else "matte"), notes

        source = Source(
            root=root,
            layout=LAYOUT,
            calibration=path,
            folders=(NumberedFolder(CAMERA, root / "images", images, root / "masks", masks),),
            camera=camera,
            raw=raw,
            rows=dict(zip(sorted(images), range(raw.fit.num_frames))),
            row_rule="the k-th picture shows row k",
            fps=FPS,
            mask_remedy="Make the masks, or leave the frames out with --drop-frames.",
            notes=(note,),
        )
        return assemble(self.config, source)

    def _fit(self, root: Path) -> tuple[RawFit, str]:
        path = next((root / name for name in POSES if (root / name).is_file()), root / POSES[-1])
        arrays = load_arrays(path)
        if "thetas" in arrays:
            arrays["global_orient"], arrays["body_pose"] = arrays["thetas"][..., :3], arrays["thetas"][..., 3:]
        sizes = {"global_orient": 3, "body_pose": 69, "transl": 3}
        rows = len(arrays["transl"]) if "transl" in arrays else 0
        for key, size in sizes.items():
            if key not in arrays or rows == 0 or arrays[key].size != rows * size:
                found = f"shape {arrays[key].shape}" if key in arrays else f"only {', '.join(sorted(arrays))}"
                raise CaptureError(
                    f"{path}: expected a SMPL fit with {size} numbers per frame in {key}, found {found}. Save "
                    "global_orient (3), body_pose (69), transl (3) and betas, or thetas (72) in place of the first two."
                )
        if "betas" not in arrays:
            raise CaptureError(f"{path}: expected SMPL's betas, found none. Save the shape beside the poses.")
        pose = np.concatenate([arrays[key].reshape(rows, -1, 3) for key in ("global_orient", "body_pose")], 1)
        poses = SmplPoses(pose.astype(np.float64), arrays["transl"].reshape(rows, 3).astype(np.float64))
        betas = listed_betas(path, np.atleast_2d(arrays["betas"]))
        return self.config.carry_over(path, poses, betas), f"poses from {path.name}."


def read_camera(path: Path) -> dict[str, ndarray | list[int]]:
    """`cameras.npz` as an OpenCV calibration. Raises `CaptureError`."""
    if not path.is_file():
        raise CaptureError(f"{path}: expected the camera (intrinsic, extrinsic), found no such file. Add it.")
    arrays = load_arrays(path)
    shapes = {"intrinsic": (3, 3), "extrinsic": (4, 4)}
    for key, shape in shapes.items():
        if key not in arrays or arrays[key].shape != shape:
            found = f"shape {arrays[key].shape}" if key in arrays else f"only {', '.join(sorted(arrays))}"
            raise CaptureError(
                f"{path}: expected {key} of shape {shape}, found {found}. Save intrinsic (3x3), extrinsic (4x4, "
                "world to camera), height and width."
            )
    entry = {"K": arrays["intrinsic"], "R": arrays["extrinsic"][:3, :3], "T": arrays["extrinsic"][:3, 3]}
    with damage_as(CaptureError, path, "whole numbers in width and height", "Save them again."):
        size = [int(arrays[key].item()) for key in ("width", "height") if key in arrays and arrays[key].size == 1]
    return entry | {"distCoeff": np.zeros(5)} | ({"imgSize": size} if len(size) == 2 else {})

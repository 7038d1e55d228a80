"""`mobavatar convert-capture`: any capture that a parser reads, written in the AvatarReX layout.

The result holds what training would read: distortion and picture sizes stay, frames are numbered from 0, hands are
complete, SMPL fits are carried over to SMPL-X. Pictures that are stored as they are needed are linked, masks of another
coding are written again as PNG.
"""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import tyro
from numpy import ndarray

from nerfstudio_mobavatar.capture import BodyFit, Capture, CaptureCamera, CaptureError, CaptureImage


@dataclass
class ConvertCapture:
    """Write a capture in the AvatarReX layout: your own (images, masks, cameras, body.npz) or any that is known."""

    capture: Annotated[Path, tyro.conf.Positional]
    """Folder of the capture."""
    output: Annotated[Path, tyro.conf.Positional]
    """Folder to write. Must be empty or not exist yet."""
    smpl_model: Path | None = None
    """Your SMPL or SMPL-H model file, for captures with such a fit: the person's shape is carried over with it."""
    body: str = "open"
    """Body that SMPL fits and relative hands are brought to: "open" or the path of an SMPL-X file."""
    copy: bool = False
    """Copy pictures instead of linking them (links need both folders on one disk)."""
    frame_stride: int = 1
    """Use every n-th frame."""
    skip_cameras: tuple[str, ...] = field(default=())
    """Cameras of the calibration that are left out."""

    def main(self) -> None:
        """Read, check, write. Raises `CaptureError`."""
        if self.output.exists() and any(self.output.iterdir()):
            raise CaptureError(f"{self.output}: expected an empty folder to write to, found files. Give another one.")
        capture = self._parse()
        write_avatarrex(capture, self.output, self.copy)
        print(f"{len(capture.frames)} frames x {len(capture.cameras)} cameras in {self.output}, AvatarReX layout")

    def _parse(self) -> Capture:
        from nerfstudio_mobavatar.dataparsers.detect import AutoDataParserConfig
        from nerfstudio_mobavatar.dataparsers.smpl import SmplDataParserConfig

        auto = AutoDataParserConfig(
            data=self.capture, body=self.body, frame_stride=self.frame_stride, skip_cameras=self.skip_cameras
        )
        config = auto.concrete()
        if self.smpl_model is not None:
            if not isinstance(config, SmplDataParserConfig):
                raise CaptureError(
                    f"{self.capture}: --smpl-model is for layouts with a SMPL fit, found one that never has any. "
                    "Leave the option away."
                )
            config.smpl_model = self.smpl_model.absolute()
        return config.setup().capture


def write_avatarrex(capture: Capture, folder: Path, copy: bool = False) -> None:
    """`calibration_full.json`, `smpl_params.npz`, pictures and mattes."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in capture.images:
        _write_image(capture.cameras[image.camera], image, folder, copy)
    np.savez(folder / "smpl_params.npz", **_arrays(capture.fit))  # pyright: ignore[reportArgumentType]
    # last: the folder is recognised as a capture by it
    entries = {camera.name: _entry(camera) for camera in capture.cameras}
    (folder / "calibration_full.json").write_text(json.dumps(entries, indent=1))


def _entry(camera: CaptureCamera) -> dict[str, list]:
    """OpenCV's pixel centres."""
    K = camera.K - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    T = camera.T_cam_world
    return {
        "K": K.ravel().tolist(),
        "R": T[:3, :3].ravel().tolist(),
        "T": T[:3, 3].tolist(),
        "distCoeff": camera.distortion.tolist(),
        "imgSize": [camera.width, camera.height],
    }


def _arrays(fit: BodyFit) -> dict[str, ndarray]:
    from nerfstudio_mobavatar.dataparsers.fit import POSE_PARTS

    parts = {key: fit.pose[:, first : first + count].reshape(len(fit.pose), -1) for key, first, count in POSE_PARTS}
    return parts | {"transl": fit.transl, "expression": fit.expression, "betas": fit.betas[None]}


def _write_image(camera: CaptureCamera, image: CaptureImage, folder: Path, copy: bool) -> None:
    name = f"{image.frame:08d}"
    masks = folder / camera.name / "mask" / "pha"
    masks.mkdir(parents=True, exist_ok=True)
    _check(image.image_path, camera)
    _place(image.image_path, folder / camera.name / (name + image.image_path.suffix), copy)
    if camera.mask_coding == "matte" and image.mask_path.suffix != ".npy":
        _check(image.mask_path, camera)
        _place(image.mask_path, masks / (name + image.mask_path.suffix), copy)
    else:
        from nerfstudio_mobavatar.images import read_mask

        mask = read_mask(image.mask_path, camera.width, camera.height, camera.mask_coding)
        cv2.imwrite(str(masks / f"{name}.png"), mask)


def _check(picture: Path, camera: CaptureCamera) -> None:
    """Nothing but pictures of the right size is placed: names may be links, to any file of this computer."""
    from nerfstudio_mobavatar.dataparsers.calibration import image_size

    if image_size(picture) != (camera.width, camera.height):
        raise CaptureError(
            f"{picture}: expected a picture of {camera.width}x{camera.height} pixels like the others of camera "
            f"{camera.name}, found {image_size(picture)}. Remove it, or copy it again."
        )


def _place(source: Path, target: Path, copy: bool) -> None:
    if copy:
        shutil.copyfile(source, target)
        return
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        raise CaptureError(
            f"{target}: expected to link {source} there, found that the disk does not allow it ({error}). Give --copy."
        ) from error

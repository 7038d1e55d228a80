"""AvatarReX layout: `calibration_full.json`, `CAM/%08d.jpg`, `CAM/mask/pha/%08d.jpg`, `smpl_params.npz`.

What it is read as. Cameras: world-to-camera, metres, OpenCV axes and pixel centres at integers (half a pixel is added),
OpenCV distortion. Masks: 255 is the person. Body: SMPL-X, hands complete (`flat_hand_mean=True`), the root rotates
about joint 0 and `transl` comes after. Up: from the fitted bodies. A picture's number is the row of `smpl_params.npz`
that it shows. Everything cheap is checked before training starts; folders are listed, files are not opened one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from nerfstudio_mobavatar.body_model import load_body
from nerfstudio_mobavatar.capture import BodyFit, Capture, CaptureCamera, CaptureError, CaptureImage, up_axis
from nerfstudio_mobavatar.dataparsers.base import CaptureDataParser, CaptureDataParserConfig
from nerfstudio_mobavatar.dataparsers.calibration import (
    check_body_in_front,
    parse_camera,
    read_calibration,
)
from nerfstudio_mobavatar.dataparsers.files import (
    NumberedFolder,
    check_masks_exist,
    check_pictures,
    list_numbered,
    read_missing,
)
from nerfstudio_mobavatar.dataparsers.fit import RawFit, add_hand_mean, read_fit, select_rows
from nerfstudio_mobavatar.dataparsers.splits import frames_in
from nerfstudio_mobavatar.transforms import axis_angle_to_rotmat

LAYOUT = "avatarrex"
CALIBRATION = "calibration_full.json"
MASKS = Path("mask") / "pha"
MISSING = "missing_img_files.txt"
FPS = 30.0


@dataclass
class AvatarReXDataParserConfig(CaptureDataParserConfig):
    """Captures in the AvatarReX layout (also what `mobavatar demo-data` writes)."""

    _target: type = field(default_factory=lambda: AvatarReX)
    """Parser class."""


class AvatarReX(CaptureDataParser):
    """Reads the AvatarReX layout."""

    config: AvatarReXDataParserConfig

    @cached_property
    def root(self) -> Path:
        return Path(self.config.data)

    def read_capture(self) -> Capture:
        """Read and check the folder in the order in which users can repair it: cameras, files, fit, pictures."""
        entries = self._used_entries()
        folders, notes = self._folders(entries)
        raw = read_fit(self.root / "smpl_params.npz")
        frames, frame_notes = self._frames(folders, raw)
        check_masks_exist(folders, frames)
        cameras, camera_notes = self._cameras(entries, folders, frames)
        fit = select_rows(self._complete_hands(raw.fit), frames)
        for camera in cameras:
            check_body_in_front(self.root / CALIBRATION, camera, fit.transl)
        check_pictures(cameras, folders, frames)
        return Capture(
            root=self.root,
            layout=LAYOUT,
            cameras=cameras,
            frames=frames,
            fit=fit,
            images=_images(folders, frames),
            fps=(FPS if self.config.fps is None else self.config.fps) / self.config.frame_stride,
            up=up_axis(_spines(fit)),
            notes=raw.notes + notes + frame_notes + camera_notes,
        )

    def _used_entries(self) -> dict[str, dict]:
        entries = read_calibration(self.root / CALIBRATION)
        unknown = [name for name in self.config.skip_cameras if name not in entries]
        if unknown or len(entries) == len(set(self.config.skip_cameras)):
            raise CaptureError(
                f"{self.root / CALIBRATION}: expected --skip-cameras to name some of its cameras, found "
                f"{', '.join(self.config.skip_cameras)}. Its cameras are {', '.join(entries)}."
            )
        return {name: entry for name, entry in entries.items() if name not in self.config.skip_cameras}

    def _folders(self, entries: dict[str, dict]) -> tuple[tuple[NumberedFolder, ...], tuple[str, ...]]:
        missing, notes = read_missing(self.root / MISSING, tuple(entries))
        folders = []
        for name in entries:
            path = self.root / name
            images = {n: p for n, p in list_numbered(path).items() if n not in missing[name]}
            if not images:
                raise CaptureError(
                    f"{path}: expected images such as 00000000.jpg of camera {name}, which {CALIBRATION} lists, found "
                    f"{'none' if path.is_dir() else 'no such folder'}. Add them, or leave the camera out with "
                    f"--skip-cameras {name}."
                )
            folders.append(NumberedFolder(name, path, images, list_numbered(path / MASKS)))
        return tuple(folders), notes

    def _frames(self, folders: tuple[NumberedFolder, ...], raw: RawFit) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Frame numbers that are used, and what was left out."""
        if self.config.frame_stride < 1:
            raise CaptureError(f"--frame-stride is {self.config.frame_stride}; expected 1 (every frame) or more.")
        seen = sorted(set().union(*(folder.images for folder in folders)))
        drop = [text for text in self.config.drop_frames if text != "nan"]
        dropped = frames_in(drop, seen, "--drop-frames")
        kept = [number for number in seen if number not in dropped]
        _check_rows(raw, kept)
        kept = kept[:: self.config.frame_stride]
        bad = [number for number in kept if not raw.finite[number]]
        if bad and "nan" not in self.config.drop_frames:
            raise CaptureError(
                f"{raw.path}: expected finite numbers, found NaN or infinity in rows {_listed(bad)}. Fit these frames "
                "again, or leave them out with --drop-frames nan."
            )
        frames = tuple(number for number in kept if raw.finite[number])
        if not frames:
            raise CaptureError(
                f"{self.root}: expected at least one frame, found that --drop-frames "
                f"{' '.join(self.config.drop_frames)} leaves none of frames {seen[0]}..{seen[-1]}. Drop fewer frames."
            )
        return frames, _frame_notes(folders, raw, frames, sorted(dropped) + bad)

    def _cameras(
        self, entries: dict[str, dict], folders: tuple[NumberedFolder, ...], frames: tuple[int, ...]
    ) -> tuple[tuple[CaptureCamera, ...], tuple[str, ...]]:
        cameras, notes = [], ()
        for folder in folders:
            used = [number for number in frames if number in folder.images]
            if not used:
                raise CaptureError(
                    f"{folder.path}: expected images of camera {folder.name} among the {len(frames)} used frames, "
                    f"found none. Leave the camera out with --skip-cameras {folder.name}."
                )
            first = folder.images[used[0]]
            camera, more = parse_camera(self.root / CALIBRATION, folder.name, entries[folder.name], first)
            cameras.append(camera)
            notes += more
        return tuple(cameras), notes

    def _complete_hands(self, fit: BodyFit) -> BodyFit:
        if self.config.flat_hand_mean is False:
            return add_hand_mean(fit, load_body(self.config.body).hand_mean.numpy())
        return fit


def _check_rows(raw: RawFit, frames: Sequence[int]) -> None:
    rows = raw.fit.num_frames
    beyond = [number for number in frames if number >= rows]
    if beyond:
        raise CaptureError(
            f"{raw.path}: expected a row for every image (image n shows row n), found {rows} rows but {len(beyond)} "
            f"frames from {beyond[0]} to {beyond[-1]} without one. Fit these frames, or leave them out with "
            f"--drop-frames {beyond[0]}:"
        )


def _frame_notes(
    folders: tuple[NumberedFolder, ...], raw: RawFit, frames: tuple[int, ...], dropped: list[int]
) -> tuple[str, ...]:
    notes = []
    if dropped:
        notes.append(f"frames left out (--drop-frames): {_listed(dropped)}.")
    absent = {folder.name: sum(number not in folder.images for number in frames) for folder in folders}
    if any(absent.values()):
        counts = ", ".join(f"{name} {count}" for name, count in absent.items() if count)
        notes.append(f"frames without an image, per camera: {counts}; they are used where they are present.")
    unused = raw.fit.num_frames - len(set().union(*(folder.images for folder in folders)))
    if unused > 0:
        notes.append(f"{unused} of the {raw.fit.num_frames} rows of the fit have no image in any camera.")
    return tuple(notes)


def _images(folders: tuple[NumberedFolder, ...], frames: tuple[int, ...]) -> tuple[CaptureImage, ...]:
    """All pictures of the used frames, ordered by frame, then camera."""
    return tuple(
        CaptureImage(camera=c, frame=row, image_path=folder.images[number], mask_path=folder.masks[number])
        for row, number in enumerate(frames)
        for c, folder in enumerate(folders)
        if number in folder.images
    )


def _spines(fit: BodyFit) -> Float[ndarray, "t 3"]:
    """Direction from pelvis to head, taken as +y of the rest body turned by the global orientation."""
    R = axis_angle_to_rotmat(torch.from_numpy(fit.pose[:, 0]))
    return R[..., 1].numpy().astype(np.float64)


def _listed(numbers: Sequence[int], most: int = 12) -> str:
    shown = ", ".join(str(number) for number in numbers[:most])
    return shown + (f" and {len(numbers) - most} more" if len(numbers) > most else "")

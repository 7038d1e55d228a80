"""From what a layout's module found in a folder to a checked `Capture`: the part that every layout shares.

Frames are numbered as the recorder numbered the pictures; the fit's rows are found through `Source.rows`. Everything is
checked in the order in which users can repair it: cameras without pictures, frames without a fit, masks, sizes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from nerfstudio_mobavatar.body_model import load_body
from nerfstudio_mobavatar.capture import BodyFit, Capture, CaptureCamera, CaptureError, CaptureImage, up_axis
from nerfstudio_mobavatar.dataparsers.base import CaptureDataParserConfig
from nerfstudio_mobavatar.dataparsers.calibration import check_body_in_front
from nerfstudio_mobavatar.dataparsers.files import NumberedFolder, check_masks_exist, check_pictures
from nerfstudio_mobavatar.dataparsers.fit import RawFit, add_hand_mean, select_rows
from nerfstudio_mobavatar.dataparsers.splits import frames_in
from nerfstudio_mobavatar.plain_data import damage_as
from nerfstudio_mobavatar.transforms import axis_angle_to_rotmat

MOST_FPS = 100_000
AGAIN = "Copy the data set's own file again, or export it again."


@dataclass(frozen=True)
class Source:
    """What the folder of a capture holds, before options choose from it."""

    root: Path
    layout: str
    calibration: Path
    """File that errors about cameras name."""
    folders: tuple[NumberedFolder, ...]
    """One per used camera."""
    camera: Callable[[NumberedFolder, Path], tuple[CaptureCamera, tuple[str, ...]]]
    """The camera of a folder, sized like the given picture, and notes."""
    raw: RawFit
    rows: Mapping[int, int]
    """Row of `raw` that a picture of this number shows."""
    row_rule: str
    """The same in words, for errors: "image n shows row n"."""
    fps: float
    """The layout's usual rate, where the options do not name one."""
    mask_remedy: str
    """What to do about pictures without a mask."""
    flat_hand_mean: bool = True
    """Whether the layout's hands are complete as stored."""
    unpack: Callable[[Sequence[int]], None] | None = None
    """Brings the pictures of these frames to where `folders` says, for recordings in one large file."""
    notes: tuple[str, ...] = ()


def used_cameras(config: CaptureDataParserConfig, calibration: Path, names: Sequence[str]) -> list[str]:
    """The calibration's cameras without those that `--skip-cameras` names."""
    for name in names:
        check_name(calibration, name)
    unknown = [name for name in config.skip_cameras if name not in names]
    if unknown or len(names) == len(set(config.skip_cameras)):
        raise CaptureError(
            f"{calibration}: expected --skip-cameras to name some of its cameras, found "
            f"{', '.join(config.skip_cameras)}. Its cameras are {', '.join(names)}."
        )
    return [name for name in names if name not in config.skip_cameras]


def check_name(calibration: Path, name: Any) -> None:
    """Cameras are folders of the capture: a name that leads out of it, or that no file system has, is refused.
    Raises `CaptureError`."""
    parts = name.split("/") if isinstance(name, str) else [""]
    plain = isinstance(name, str) and len(name) <= 200 and name.isprintable() and not set(name) & set('\\:*?"<>|')
    if not plain or any(part in ("", ".", "..") for part in parts):
        raise CaptureError(
            f"{calibration}: expected names of cameras that are folders of the capture, found {str(name)[:60]!r}. "
            "Rename the camera here and its folders."
        )


def assemble(config: CaptureDataParserConfig, source: Source) -> Capture:
    """Choose frames, check, and build the capture. Raises `CaptureError`."""
    frames, frame_notes = _frames(config, source)
    check_masks_exist(source.folders, frames, source.mask_remedy)
    if source.unpack is not None:
        source.unpack(frames)
    cameras, camera_notes = _cameras(source, frames)
    rows = [source.rows[number] for number in frames]
    fit = select_rows(_complete_hands(config, source), rows)
    for camera in cameras:
        check_body_in_front(source.calibration, camera, fit.transl)
    check_pictures(cameras, source.folders, frames)
    fps = source.fps if config.fps is None else config.fps
    if not 0 < fps < MOST_FPS:
        raise CaptureError(f"{source.root}: expected frames per second above 0, found {fps}. Give them with --fps.")
    return Capture(
        root=source.root,
        layout=source.layout,
        cameras=cameras,
        frames=frames,
        fit=fit,
        images=_images(source.folders, frames),
        fps=fps / config.frame_stride,
        up=up_axis(_spines(fit)),
        notes=source.raw.notes + source.notes + frame_notes + camera_notes,
    )


def _frames(config: CaptureDataParserConfig, source: Source) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Frame numbers that are used, and what was left out."""
    if config.frame_stride < 1:
        raise CaptureError(f"--frame-stride is {config.frame_stride}; expected 1 (every frame) or more.")
    seen = sorted(set().union(*(folder.images for folder in source.folders)))
    drop = [text for text in config.drop_frames if text != "nan"]
    dropped = frames_in(drop, seen, "--drop-frames")
    kept = [number for number in seen if number not in dropped]
    if "nan" not in config.drop_frames:
        _check_rows(source, kept)
    kept = kept[:: config.frame_stride]
    bad = [number for number in kept if number not in source.rows or not source.raw.finite[source.rows[number]]]
    if bad and "nan" not in config.drop_frames:
        raise CaptureError(
            f"{source.raw.path}: expected finite numbers, found NaN or infinity in rows {listed(bad)}. Fit these "
            "frames again, or leave them out with --drop-frames nan."
        )
    frames = tuple(number for number in kept if number not in bad)
    if not frames:
        raise CaptureError(
            f"{source.root}: expected at least one frame, found that --drop-frames {' '.join(config.drop_frames)} "
            f"leaves none of frames {seen[0]}..{seen[-1]}. Drop fewer frames."
        )
    return frames, _frame_notes(source, seen, frames, sorted(dropped) + bad)


def _check_rows(source: Source, frames: Sequence[int]) -> None:
    without = [number for number in frames if number not in source.rows]
    if without:
        raise CaptureError(
            f"{source.raw.path}: expected a fit for every image ({source.row_rule}), found {source.raw.fit.num_frames} "
            f"rows but {len(without)} frames from {without[0]} to {without[-1]} without one. Fit these frames, or "
            f"leave them out with --drop-frames nan (or {without[0]}:)."
        )


def _frame_notes(source: Source, seen: Sequence[int], frames: Sequence[int], dropped: list[int]) -> tuple[str, ...]:
    notes = []
    if dropped:
        notes.append(f"frames left out (--drop-frames): {listed(dropped)}.")
    absent = {folder.name: sum(number not in folder.images for number in frames) for folder in source.folders}
    if any(absent.values()):
        counts = ", ".join(f"{name} {count}" for name, count in absent.items() if count)
        notes.append(f"frames without an image, per camera: {counts}; they are used where they are present.")
    unused = len(set(source.rows) - set(seen))
    if unused > 0:
        notes.append(f"{unused} of the {source.raw.fit.num_frames} rows of the fit have no image in any camera.")
    return tuple(notes)


def _cameras(source: Source, frames: Sequence[int]) -> tuple[tuple[CaptureCamera, ...], tuple[str, ...]]:
    cameras, notes = [], ()
    for folder in source.folders:
        used = [number for number in frames if number in folder.images]
        if not used:
            raise CaptureError(
                f"{folder.path}: expected images of camera {folder.name} among the {len(frames)} used frames, "
                f"found none. Leave the camera out with --skip-cameras {folder.name}."
            )
        with damage_as(CaptureError, source.calibration, f"the calibration of camera {folder.name}", AGAIN):
            camera, more = source.camera(folder, folder.images[used[0]])
        cameras.append(camera)
        notes += more
    return tuple(cameras), notes


def _complete_hands(config: CaptureDataParserConfig, source: Source) -> BodyFit:
    flat = source.flat_hand_mean if config.flat_hand_mean is None else config.flat_hand_mean
    return source.raw.fit if flat else add_hand_mean(source.raw.fit, load_body(config.body).hand_mean.numpy())


def _images(folders: Sequence[NumberedFolder], frames: Sequence[int]) -> tuple[CaptureImage, ...]:
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


def listed(numbers: Sequence[int], most: int = 12) -> str:
    """Numbers for a sentence, the first dozen of them."""
    shown = ", ".join(str(number) for number in numbers[:most])
    return shown + (f" and {len(numbers) - most} more" if len(numbers) > most else "")

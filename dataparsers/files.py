"""Numbered pictures in folders: listing, missing-file lists, and checks that cost milliseconds per camera."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nerfstudio_mobavatar.capture import CaptureCamera, CaptureError
from nerfstudio_mobavatar.dataparsers.calibration import image_size
from nerfstudio_mobavatar.images import PERSON_THRESHOLD, read_mask
from nerfstudio_mobavatar.plain_data import damage_as, read_text

PICTURE = re.compile(r"^(\d{1,18})\.(jpg|jpeg|png)$", re.IGNORECASE)

SAMPLES = 3
"""Pictures per camera whose header is read: the first, the last and those between, evenly spread."""


@dataclass(frozen=True)
class NumberedFolder:
    """The pictures of one camera by frame number."""

    name: str
    path: Path
    images: dict[int, Path]
    mask_folder: Path
    masks: dict[int, Path]


def list_numbered(folder: Path, pattern: re.Pattern[str] = PICTURE) -> dict[int, Path]:
    """Pictures by the number in their name (first group of `pattern`); other files are not looked at. No folder: none.

    The folder is listed once, no file is touched: seconds matter with tens of thousands of files on a network disk.
    """
    if not folder.is_dir():
        return {}
    found: dict[int, Path] = {}
    for name in sorted(os.listdir(folder)):  # noqa: PTH208  (Path.iterdir is three times slower here)
        match = pattern.match(name)
        if match is None:
            continue
        number = int(match[1])
        if number in found:
            raise CaptureError(
                f"{folder / name}: expected one file per frame, found {found[number].name} with the same number. "
                "Remove one of the two."
            )
        found[number] = folder / name
    return found


def read_missing(path: Path, cameras: Sequence[str]) -> tuple[dict[str, set[int]], tuple[str, ...]]:
    """Frames per camera that `missing_img_files.txt` lists; slashes may lean either way, masks count as their image."""
    missing: dict[str, set[int]] = {name: set() for name in cameras}
    if not path.is_file():
        return missing, ()
    with damage_as(CaptureError, path, "the names of pictures, one a line", "Write it again, or remove it."):
        lines = [line.strip() for line in read_text(path).splitlines()]
    ignored = 0
    for line in filter(None, lines):
        parts = line.replace("\\", "/").split("/")
        name = next((part for part in reversed(parts[:-1]) if part in missing), None)
        match = PICTURE.match(parts[-1])
        if name is None or match is None:
            ignored += 1
        else:
            missing[name].add(int(match[1]))
    count = sum(len(numbers) for numbers in missing.values())
    notes = (f"{path.name} lists {count} images that are not used.",) if count else ()
    if ignored:
        notes += (f"{ignored} lines of {path.name} name no picture of a used camera.",)
    return missing, notes


def check_masks_exist(folders: Sequence[NumberedFolder], frames: Sequence[int], remedy: str) -> None:
    """Every used image needs its mask."""
    for folder in folders:
        without = [n for n in frames if n in folder.images and n not in folder.masks]
        if without:
            first = folder.images[without[0]]
            raise CaptureError(
                f"{first}: expected its mask in {folder.mask_folder}, found none; {len(without)} of the images of "
                f"camera {folder.name} have no mask. {remedy}"
            )


def check_pictures(cameras: Sequence[CaptureCamera], folders: Sequence[NumberedFolder], frames: Sequence[int]) -> None:
    """Sizes of a few images and masks of each camera, and the polarity of one mask of each camera.

    All other pictures are checked when they are loaded.
    """
    white_borders, persons = [], []
    for camera, folder in zip(cameras, folders):
        used = [n for n in frames if n in folder.images]
        chosen = [used[i] for i in np.linspace(0, len(used) - 1, min(SAMPLES, len(used))).round().astype(int)]
        for number in chosen:
            for path, what in ((folder.images[number], "image"), (folder.masks[number], "mask")):
                _check_size(path, what, camera)
        border, person = _mask_shares(folder.masks[chosen[len(chosen) // 2]], camera)
        white_borders.append(border)
        persons.append(person)
    _check_polarity(folders, white_borders, persons)


def _check_size(path: Path, what: str, camera: CaptureCamera) -> None:
    if path.suffix == ".npy":
        read_mask(path, camera.width, camera.height, camera.mask_coding)
        return
    width, height = image_size(path)
    if (width, height) != (camera.width, camera.height):
        raise CaptureError(
            f"{path}: expected {what}s of {camera.width}x{camera.height} pixels like the first image of camera "
            f"{camera.name}, found {width}x{height}. Export all images and masks of a camera at one size."
        )


def _mask_shares(path: Path, camera: CaptureCamera) -> tuple[float, float]:
    """Share of person pixels on the border, and of all pixels."""
    person = read_mask(path, camera.width, camera.height, camera.mask_coding) >= PERSON_THRESHOLD
    border = np.concatenate([person[0], person[-1], person[:, 0], person[:, -1]])
    return float(border.mean()), float(person.mean())


def _check_polarity(folders: Sequence[NumberedFolder], white_borders: list[float], persons: list[float]) -> None:
    where = folders[0].mask_folder
    if sum(share > 0.5 for share in white_borders) * 2 > len(folders):
        raise CaptureError(
            f"{where}: expected masks with 255 on the person and 0 around it, found mostly white borders in "
            f"{sum(share > 0.5 for share in white_borders)} of {len(folders)} cameras. They are probably "
            "inverted: save 255 minus the mask."
        )
    if not any(persons):
        raise CaptureError(
            f"{where}: expected masks with 255 on the person, found a sampled mask of every camera empty. "
            "Make the masks again (0..255, not 0..1)."
        )

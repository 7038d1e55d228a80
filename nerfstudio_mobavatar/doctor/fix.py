"""`--fix OUT`: a corrected copy of calibration and parameters beside links to the pictures; the originals stay as they
are.

The copy has the AvatarReX layout, whatever the capture's own is, because that layout states everything a `Capture`
holds. It is read and examined again, so that what is said about it was measured.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy import ndarray

from ..body_model import Body
from ..capture import Capture, CaptureCamera, CaptureError
from ..dataparsers.avatarrex import CALIBRATION, FPS, MASKS, AvatarReXDataParserConfig
from ..dataparsers.fit import POSE_PARTS
from ..dataparsers.splits import make_splits
from ..images import read_mask
from .examination import Examination
from .examine import examine
from .findings import Finding
from .sampling import Budget

FIT = "smpl_params.npz"
"""Name of the body fit in the AvatarReX layout."""

SHIFT = "camera-shift"
"""Corrections of this code are made on request only: moving a principal point may also hide a fit that is wrong."""

AGAIN = Budget(pictures=96, min_frames=6, max_frames=24, colour_frames=0)
"""For the second look."""


def fix(out: Path, exam: Examination, shift_cameras: bool) -> Iterator[Finding]:
    """Write the copy if there is something to correct, and say what it is worth. Raises `CaptureError`."""
    made = [correction for correction in exam.corrections if shift_cameras or correction.code != SHIFT]
    if not made:
        left = len(exam.corrections)
        advice = "With --shift-cameras, cameras that are shifted are moved." if left else ""
        yield Finding(
            "fix-nothing", "info", str(out), "nothing that --fix corrects was found; it was not written.", advice
        )
        return
    capture = exam.capture
    for correction in made:
        capture = correction.apply(capture)
    write_copy(capture, out)
    again = _read_again(out, capture, exam.body)
    before, after = _overlap(exam), _overlap(again)
    rate = f" --fps {capture.fps:g}" if capture.fps != FPS else ""
    yield Finding(
        "fixed", "info", str(out),
        f"a corrected copy: {'; '.join(correction.says for correction in made)}. The overlap was {before:.2f} and is "
        f"{after:.2f}.",
        f"Look at it (mobavatar doctor {out}) and train with --data {out}{rate}.", after, "overlap",
    )  # fmt: skip


def write_copy(capture: Capture, out: Path) -> None:
    """AvatarReX layout; pictures and masks are links to the originals. Raises `CaptureError` where `out` is in use or
    a picture cannot be linked."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CaptureError(f"--fix {out}: expected a folder that is new or empty, found files in it. Give another one.")
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / CALIBRATION).write_text(json.dumps(calibration(capture), indent=1) + "\n")
        np.savez_compressed(out / FIT, **parameters(capture))
        for camera in capture.cameras:
            (out / camera.name / MASKS).mkdir(parents=True)
        for image in capture.images:
            camera, number = capture.cameras[image.camera], capture.frames[image.frame]
            _place(image.image_path, out / camera.name / f"{number:08d}")
            _place(image.mask_path, out / camera.name / MASKS / f"{number:08d}", camera)
    except OSError as error:
        raise CaptureError(f"--fix {out}: cannot write the copy there ({error}). Give another folder.") from error


def _place(source: Path, target: Path, decoded_as: CaptureCamera | None = None) -> None:
    """A link, or a matte in the copy's own coding where the layout's masks have another."""
    if decoded_as is None or (decoded_as.mask_coding == "matte" and source.suffix != ".npy"):
        target.with_suffix(source.suffix).symlink_to(source.resolve())
        return
    matte = read_mask(source, decoded_as.width, decoded_as.height, decoded_as.mask_coding)
    cv2.imwrite(str(target.with_suffix(".png")), matte)


def calibration(capture: Capture) -> dict[str, Any]:
    """`calibration_full.json`: OpenCV's pixel centres at integers, world-to-camera, metres."""
    entries = {}
    for camera in capture.cameras:
        K = camera.K - np.array([[0.0, 0.0, 0.5], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0]])
        entries[camera.name] = {
            "K": K.ravel().tolist(),
            "R": camera.T_cam_world[:3, :3].ravel().tolist(),
            "T": camera.T_cam_world[:3, 3].tolist(),
            "distCoeff": camera.distortion.tolist(),
            "imgSize": [camera.width, camera.height],
        }
    return entries


def parameters(capture: Capture) -> dict[str, ndarray]:
    """`smpl_params.npz`, one row per frame number; rows of numbers that no frame has are NaN, so that nobody takes
    them for a fit."""
    fit, index = capture.fit, np.asarray(capture.frames)
    rows = int(index.max()) + 1

    def spread(values: ndarray) -> ndarray:
        table = np.full((rows, values.shape[1]), np.nan, np.float32)
        table[index] = values
        return table

    arrays = {
        key: spread(fit.pose[:, first : first + count].reshape(len(index), -1)) for key, first, count in POSE_PARTS
    }
    return arrays | {"transl": spread(fit.transl), "expression": spread(fit.expression), "betas": fit.betas[None]}


def _read_again(out: Path, capture: Capture, body: Body) -> Examination:
    """The copy as training will read it."""
    config = AvatarReXDataParserConfig(data=out, fps=capture.fps)
    again = config.setup().read_capture()
    return examine(again, make_splits(again, ("none",), ("none",), 1, 1), body, AGAIN)


def _overlap(exam: Examination) -> float:
    scores = [picture.iou for picture in exam.pictures]
    return float(np.mean(scores)) if scores else 0.0

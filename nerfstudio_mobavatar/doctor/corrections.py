"""What `--fix` changes in a copy of a capture: each check that knows a remedy notes it, and here it is carried out.

Everything happens to the numbers that were read (`Capture`), so it works for every layout; the files stay as they are.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np

from ..capture import BodyFit, Capture, CaptureCamera
from .alternatives import Alternative


@dataclass(frozen=True)
class Correction:
    """One remedy."""

    code: str
    """Code of the finding that it belongs to."""
    says: str
    """What is done, such as "inverted R and T of all cameras"."""
    apply: Callable[[Capture], Capture]


def reread(alternative: Alternative, only: int | None = None) -> Correction:
    """Read the numbers of all cameras and the fit, or of one camera, by another convention."""

    def apply(capture: Capture) -> Capture:
        cameras = tuple(
            replace(camera, T_cam_world=alternative.corrected_camera(camera.T_cam_world))
            if only in (None, number)
            else camera
            for number, camera in enumerate(capture.cameras)
        )
        fit = capture.fit
        if alternative.move is not None and only is None:
            fit = replace(fit, transl=(fit.transl + alternative.move).astype(np.float32))
        return replace(capture, cameras=cameras, fit=fit)

    whom = "everything" if only is None else "one camera"
    return Correction(alternative.code, f"{whom} is read as if {alternative.says}", apply)


def exchanged(a: int, b: int, names: tuple[str, str]) -> Correction:
    """Give two cameras each other's calibration."""

    def apply(capture: Capture) -> Capture:
        cameras = list(capture.cameras)
        cameras[a] = _calibrated_as(capture.cameras[a], capture.cameras[b])
        cameras[b] = _calibrated_as(capture.cameras[b], capture.cameras[a])
        return replace(capture, cameras=tuple(cameras))

    return Correction("cameras-exchanged", f"cameras {names[0]} and {names[1]} have exchanged calibrations", apply)


def _calibrated_as(camera: CaptureCamera, other: CaptureCamera) -> CaptureCamera:
    return replace(camera, K=other.K, T_cam_world=other.T_cam_world, distortion=other.distortion)


def shifted(camera: int, name: str, dx: float, dy: float) -> Correction:
    """Move a camera's principal point, pixels of the original picture."""

    def apply(capture: Capture) -> Capture:
        cameras = list(capture.cameras)
        K = cameras[camera].K.copy()
        K[:2, 2] += (dx, dy)
        cameras[camera] = replace(cameras[camera], K=K)
        return replace(capture, cameras=tuple(cameras))

    return Correction("camera-shift", f"camera {name}'s principal point is moved by ({dx:+.1f}, {dy:+.1f}) px", apply)


def renumbered(camera: int, name: str, offset: int) -> Correction:
    """Give a camera's pictures the numbers of the moments that they show; what falls outside is left out."""

    def apply(capture: Capture) -> Capture:
        images = []
        for image in capture.images:
            row = image.frame + offset * (image.camera == camera)
            if 0 <= row < len(capture.frames):
                images.append(replace(image, frame=row))
        images.sort(key=lambda image: (image.frame, image.camera))
        return replace(capture, images=tuple(images))

    return Correction("camera-late", f"camera {name}'s pictures are renumbered by {offset:+d}", apply)


def without_rows(rows: Collection[int], numbers: str) -> Correction:
    """Leave out frames."""

    def apply(capture: Capture) -> Capture:
        kept = [row for row in range(len(capture.frames)) if row not in set(rows)]
        new = {row: number for number, row in enumerate(kept)}
        images = tuple(replace(image, frame=new[image.frame]) for image in capture.images if image.frame in new)
        fit = capture.fit
        fit = BodyFit(fit.pose[kept], fit.transl[kept], fit.expression[kept], fit.betas)
        return replace(capture, frames=tuple(capture.frames[row] for row in kept), fit=fit, images=images)

    return Correction("fit-twisted", f"frames {numbers} are left out", apply)


def narrowed(width: int) -> Correction:
    """Keep the first expression coefficients."""

    def apply(capture: Capture) -> Capture:
        fit = capture.fit
        return replace(capture, fit=replace(fit, expression=fit.expression[:, :width]))

    return Correction("expression-width", f"the first {width} expression coefficients are kept", apply)

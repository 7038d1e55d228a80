"""What was seen of a capture: the numbers that the checks, the report and the contact sheet work from."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..body_model import Body
from ..capture import Capture
from ..dataparsers.splits import Splits
from ..images import CameraView
from .corrections import Correction
from .files import FileReport
from .findings import Finding
from .hands import HandReport
from .measure import Measured
from .motion import Steps
from .sampling import Unreadable
from .silhouette import Shift


@dataclass
class Examination:
    """What was seen. Pictures are at the working size of sampling.py."""

    capture: Capture
    body: Body
    splits: Splits
    views: tuple[CameraView, ...]
    pictures: list[Measured] = field(default_factory=list)
    """Of evenly spread frames."""
    closer: list[Measured] = field(default_factory=list)
    """Of frames that were suspicious."""
    unreadable: list[Unreadable] = field(default_factory=list)
    points: dict[int, Float[ndarray, "v 3"]] = field(default_factory=dict)
    """World vertices of the frames looked at."""
    shifts: dict[int, Shift] = field(default_factory=dict)
    """By camera, in pixels of the working size."""
    steps: Steps | None = None
    twisted: tuple[int, ...] = ()
    """Rows whose fit jumps away and back."""
    jumps: tuple[int, ...] = ()
    """Rows before which the fit jumps for good."""
    files: FileReport | None = None
    hands: HandReport | None = None
    findings: list[Finding] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)
    """What `--fix` does, in the order in which the checks noted it."""
    seconds: float = 0.0

    def of_camera(self, camera: int) -> list[Measured]:
        """Its pictures among the evenly spread ones."""
        return [picture for picture in self.pictures if picture.image.camera == camera]

    def camera_iou(self, camera: int) -> float | None:
        """Median overlap of the camera's pictures; None where none was read."""
        scores = [picture.iou for picture in self.of_camera(camera)]
        return float(np.median(scores)) if scores else None

    def frame_iou(self) -> dict[int, float]:
        """Mean overlap by row, over cameras whose own level is taken out first, since cameras come and go."""
        every = self.pictures + self.closer
        level = {c: self.camera_iou(c) for c in {picture.image.camera for picture in every}}
        overall = float(np.median([picture.iou for picture in self.pictures])) if self.pictures else 0.0
        rows: dict[int, list[float]] = {}
        for picture in every:
            own = level[picture.image.camera]
            rows.setdefault(picture.image.frame, []).append(picture.iou - (overall if own is None else own) + overall)
        return {row: float(np.mean(values)) for row, values in sorted(rows.items())}

    def frame_number(self, row: int) -> int:
        """The recorder's number of a row."""
        return self.capture.frames[row]


def low_rows(exam: Examination) -> list[int]:
    """Rows whose overlap stands out from the others' downwards."""
    scores = exam.frame_iou()
    if len(scores) < 4:
        return []
    values = np.array(list(scores.values()))
    middle = np.median(values)
    usual = 1.4826 * np.median(np.abs(values - middle))
    return [row for row, value in scores.items() if value < middle - max(0.1, 4 * usual)]

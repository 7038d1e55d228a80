"""THuman4.0 layout: `calibration.json`, `images/CAM/%08d.jpg`, `masks/CAM/%08d.jpg`, `smpl_params.npz`.

The AvatarReX conventions in other folders: world-to-camera, metres, OpenCV axes and pixel centres at integers, 255 is
the person, SMPL-X with complete hands (`flat_hand_mean=True`), picture n shows row n, 30 frames per second.

Checked against: dataset/dataset_mv_rgb.py of github.com/lizhe00/AnimatableGaussians, the
authors' own loader. The half pixel is an inference: the calibration is OpenCV's, the loader does not say.
"""

from dataclasses import dataclass, field
from pathlib import Path

from nerfstudio_mobavatar.dataparsers.avatarrex import AvatarReX
from nerfstudio_mobavatar.dataparsers.base import CaptureDataParserConfig

LAYOUT = "thuman4"
CALIBRATION = "calibration.json"


@dataclass
class THuman4DataParserConfig(CaptureDataParserConfig):
    """Captures in the layout of THuman4.0."""

    _target: type = field(default_factory=lambda: THuman4)
    """Parser class."""


class THuman4(AvatarReX):
    """Reads the THuman4.0 layout."""

    layout = LAYOUT
    calibration = CALIBRATION

    def folders_of(self, camera: str) -> tuple[Path, Path]:
        """Where the camera's pictures and masks are."""
        return self.root / "images" / camera, self.root / "masks" / camera

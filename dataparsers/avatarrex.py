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

from nerfstudio_mobavatar.capture import Capture, CaptureCamera, CaptureError
from nerfstudio_mobavatar.dataparsers.assemble import Source, assemble, used_cameras
from nerfstudio_mobavatar.dataparsers.base import CaptureDataParser, CaptureDataParserConfig
from nerfstudio_mobavatar.dataparsers.calibration import parse_camera, read_calibration
from nerfstudio_mobavatar.dataparsers.files import NumberedFolder, list_numbered, read_missing
from nerfstudio_mobavatar.dataparsers.fit import read_fit

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

    config: CaptureDataParserConfig
    layout: str = LAYOUT
    calibration: str = CALIBRATION

    def folders_of(self, camera: str) -> tuple[Path, Path]:
        """Where the camera's pictures and masks are."""
        return self.root / camera, self.root / camera / MASKS

    @cached_property
    def root(self) -> Path:
        return Path(self.config.data)

    def read_capture(self) -> Capture:
        """Read and check the folder."""
        path = self.root / self.calibration
        entries = read_calibration(path)
        folders, notes = self._folders(used_cameras(self.config, path, list(entries)))
        raw = read_fit(self.root / "smpl_params.npz")

        def camera(folder: NumberedFolder, first: Path) -> tuple[CaptureCamera, tuple[str, ...]]:
            return parse_camera(path, folder.name, entries[folder.name], first)

        source = Source(
            root=self.root,
            layout=self.layout,
            calibration=path,
            folders=folders,
            camera=camera,
            raw=raw,
            rows={row: row for row in range(raw.fit.num_frames)},
            row_rule="image n shows row n",
            fps=FPS,
            mask_remedy=f"Make the masks (255 is the person), or list the images in {self.root / MISSING}.",
            notes=notes,
        )
        return assemble(self.config, source)

    def _folders(self, names: Sequence[str]) -> tuple[tuple[NumberedFolder, ...], tuple[str, ...]]:
        missing, notes = read_missing(self.root / MISSING, names)
        folders = []
        for name in names:
            path, masks = self.folders_of(name)
            images = {n: p for n, p in list_numbered(path).items() if n not in missing[name]}
            if not images:
                raise CaptureError(
                    f"{path}: expected images such as 00000000.jpg of camera {name}, which {self.calibration} lists, "
                    f"found {'none' if path.is_dir() else 'no such folder'}. Add them, or leave the camera out with "
                    f"--skip-cameras {name}."
                )
            folders.append(NumberedFolder(name, path, images, masks, list_numbered(masks)))
        return tuple(folders), notes

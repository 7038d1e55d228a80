"""What every capture parser shares: the options, the splits and the hand-over to nerfstudio.

A layout's own module reads a folder into a `Capture`; everything after that is here. World coordinates are handed on as
they are (metres, no re-centring, `dataparser_transform` is the identity), so that poses and cameras keep meaning the
same thing in training, evaluation and export.
"""

from abc import abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataParserConfig, DataparserOutputs
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from nerfstudio_mobavatar.capture import Capture, CaptureImage
from nerfstudio_mobavatar.dataparsers.splits import Splits, make_splits
from nerfstudio_mobavatar.images import CameraView, scaled_view
from nerfstudio_mobavatar.saved_config import SavedConfig

SCENE_MARGIN = 1.5
"""Metres around the fitted body positions that the scene box holds: a person with raised arms."""


@dataclass
class CaptureDataParserConfig(SavedConfig, DataParserConfig):
    """Options that every capture layout has."""

    _target: type = field(default_factory=lambda: CaptureDataParser)
    """Parser class."""
    data: Path = Path()
    """Folder of the capture."""
    body: str = "open"
    """Body model the fit was made with: "open" (the one that ships) or a path to an SMPL-X file. The parser reads it
    for its mean hand pose, when `flat_hand_mean` is false, and for its joints, when the fit is SMPL's."""
    flat_hand_mean: bool | None = None
    """Whether hand poses are complete as stored (true) or relative to the model's mean hand pose (false, the mean is
    added). None: what the layout's data sets do."""
    image_scale: float = 1.0
    """Pictures are shrunk by this factor (0 < scale <= 1)."""
    max_image_side: int = 0
    """Pictures are shrunk until their longest side is at most this many pixels; 0: no limit."""
    frame_stride: int = 1
    """Use every n-th frame."""
    fps: float | None = None
    """Frames per second of the recording (before `frame_stride`). None: the layout's usual rate."""
    skip_cameras: tuple[str, ...] = ()
    """Cameras of the calibration that are not used at all."""
    drop_frames: tuple[str, ...] = ()
    """Frames that are not used at all: numbers or half-open ranges as in the file names ("17", "90:100"), or "nan" for
    every frame whose fit has a number that is not finite."""
    test_cameras: tuple[str, ...] = ("auto",)
    """Cameras held out for novel views: names, "auto" (one, if there are at least three) or "none"."""
    test_frames: tuple[str, ...] = ("auto",)
    """Frames held out for novel poses: numbers or half-open ranges as in the file names ("90:100"), "auto" (the last
    tenth) or "none"."""
    max_val_images: int = 16
    """Upper bound of the pictures looked at during training, evenly spread."""
    max_test_images: int = 100
    """Upper bound of the pictures per kind (novel view, novel pose) that ns-eval measures, evenly spread."""

    @property
    def downscale_factor(self) -> float:
        """The name under which `ns-render dataset --downscale-factor` sets `image_scale`."""
        return 1.0 / self.image_scale

    @downscale_factor.setter
    def downscale_factor(self, factor: float) -> None:
        self.image_scale = 1.0 / factor


class CaptureDataParser(DataParser):
    """Capture -> `DataparserOutputs`.

    Metadata of the outputs: `capture`, `images` (one `CaptureImage` per picture, in order), `split_tags` ("train",
    "novel_view" or "novel_pose" per picture), `train_frames` (rows of the fit used in training) and `views` (one
    `CameraView` per camera of the capture: what loaded pictures look like).
    """

    config: CaptureDataParserConfig
    includes_time: bool = True

    @abstractmethod
    def read_capture(self) -> Capture:
        """Read and check the folder. Raises `CaptureError`."""

    @cached_property
    def capture(self) -> Capture:
        """The capture, read once; what was found is printed."""
        capture = self.read_capture()
        CONSOLE.print(f"[bold]{capture.describe()}[/bold]", highlight=False)
        for note in capture.notes:
            CONSOLE.print(f"  - {note}", highlight=False, markup=False)
        return capture

    @cached_property
    def splits(self) -> Splits:
        """Train, val and test pictures, made once; what was held out is printed."""
        c = self.config
        splits = make_splits(self.capture, c.test_cameras, c.test_frames, c.max_val_images, c.max_test_images)
        CONSOLE.print(f"  - {splits.note}", highlight=False, markup=False)
        return splits

    def _generate_dataparser_outputs(self, split: str = "train", **kwargs) -> DataparserOutputs:
        chosen = self.splits.get(split)
        views = tuple(
            scaled_view(camera, self.config.image_scale, self.config.max_image_side) for camera in self.capture.cameras
        )
        return DataparserOutputs(
            image_filenames=[image.image_path for image in chosen.images],
            mask_filenames=[image.mask_path for image in chosen.images],
            cameras=nerfstudio_cameras(chosen.images, views, len(self.capture.frames)),
            scene_box=SceneBox(aabb=_scene_box(self.capture)),
            metadata={
                "capture": self.capture,
                "images": list(chosen.images),
                "split_tags": list(chosen.tags),
                "train_frames": self.splits.train_frames,
                "views": views,
            },
        )


def nerfstudio_cameras(
    images: tuple[CaptureImage, ...] | list[CaptureImage], views: tuple[CameraView, ...], num_rows: int
) -> Cameras:
    """One full-frame nerfstudio camera per picture: `times = row / (rows - 1)`, metadata `pose_row` and `cam_idx`."""
    camera = torch.tensor([image.camera for image in images])
    row = torch.tensor([image.frame for image in images])
    K = torch.from_numpy(np.stack([view.K for view in views])).float()[camera]
    size = torch.tensor([[view.width, view.height] for view in views])[camera]
    T = torch.from_numpy(np.stack([view.T_cam_world for view in views])).double()
    return Cameras(
        camera_to_worlds=nerfstudio_pose(T)[camera],
        fx=K[:, 0, 0],
        fy=K[:, 1, 1],
        cx=K[:, 0, 2],
        cy=K[:, 1, 2],
        width=size[:, 0],
        height=size[:, 1],
        times=row.float() / max(num_rows - 1, 1),
        metadata={"pose_row": row[:, None], "cam_idx": camera[:, None]},
    )


def nerfstudio_pose(T_cam_world: Float[Tensor, "n 4 4"]) -> Float[Tensor, "n 3 4"]:
    """OpenCV world-to-camera -> nerfstudio's camera-to-world with OpenGL axes (y up, z backward), float32."""
    T_world_cam = torch.linalg.inv(T_cam_world)
    T_world_cam[:, :3, 1:3] *= -1
    return T_world_cam[:, :3].float()


def _scene_box(capture: Capture) -> Float[Tensor, "2 3"]:
    transl = torch.from_numpy(capture.fit.transl).float()
    return torch.stack([transl.amin(0) - SCENE_MARGIN, transl.amax(0) + SCENE_MARGIN])

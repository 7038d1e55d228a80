"""`mobavatar render-web`: pictures and videos of an exported avatar, drawn by the page's shaders without a browser."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
import tyro

from . import layout, pose_sequence
from .bundle import AvatarArrays, BundleError, decode
from .cameras import look_at
from .evaluate import Pose, joint_transforms
from .page_folder import AVATAR_FILE

if TYPE_CHECKING:
    from .wgpu_renderer import WgpuRenderer

PICTURE, VIDEO = ".png", ".mp4"
DEFAULT_FPS = 30.0
BODY_MARGIN = 0.2
"""Metres from a joint to the farthest skin around it: the crown is that far above the head's joint."""
DISTANCE = 3.2
"""Of the camera, in radii of all that the joints reach: the poster's perspective."""
FILLED = 0.95
"""Share of the picture that the person may fill."""
VIDEO_CODEC, VIDEO_QUALITY = "libx264", "16"
"""x264's constant rate factor 16: no difference to be seen on a plain background."""


class RenderError(RuntimeError):
    """Nothing was written; the message says why and what to do."""


@dataclass
class RenderWeb:
    """Draw an exported avatar in one pose (.png) or through a motion (.mp4), with the shaders of the page."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder that `ns-export mobavatar` wrote."""
    out: Path
    """Picture (.png) or video (.mp4) to write."""
    pose: Path | None = None
    """A `.pose.json` or `.pose.bin` (others: `mobavatar convert-pose`); by default the folder's own motion."""
    frame: int = 0
    """Frame of the motion that a picture shows; a video shows all of them from this one on."""
    fps: float | None = None
    """Frames a second of a video; by default those of the avatar's capture."""
    width: int = 768
    """Pixels."""
    height: int = 1024
    """Pixels."""
    yaw: float = 0.0
    """Degrees by which the camera goes around the person, counter-clockwise seen from above; 0 looks at the front."""
    background: tuple[float, float, float] = (0.94, 0.94, 0.94)
    """Red, green and blue, 0 to 1."""
    overwrite: bool = False
    """Replace the file where it exists."""

    def main(self) -> None:
        """Check everything before the device is opened; the file appears when it is complete."""
        self._check_output()
        avatar, arrays = read_avatar(self.folder)
        poses = self._poses()
        T, K = motion_camera(arrays, poses, self.width, self.height, self.yaw)
        renderer = open_renderer(avatar)
        background = np.array(self.background)
        pictures = (renderer.render(pose, T, K, self.width, self.height, background) for pose in poses)
        draft = self.out.with_name(f".{self.out.stem}-unfinished{self.out.suffix}")
        try:
            if self._is_video:
                write_video(draft, pictures, float(self.fps or arrays.meta.get("fps") or DEFAULT_FPS))
            else:
                write_picture(draft, next(pictures))
            draft.replace(self.out)
        finally:
            draft.unlink(missing_ok=True)
        what = f"{len(poses)} frames" if self._is_video else f"frame {self.frame}"
        print(f"{self.out}: {what}, {self.width} x {self.height}, drawn by {renderer.adapter_name}")

    @property
    def _is_video(self) -> bool:
        return self.out.suffix.lower() == VIDEO

    def _check_output(self) -> None:
        if self.out.suffix.lower() not in (PICTURE, VIDEO):
            raise RenderError(f"--out {self.out}: expected a name that ends in {PICTURE} or {VIDEO}")
        if not self.out.absolute().parent.is_dir():
            raise RenderError(f"--out {self.out}: there is no folder {self.out.absolute().parent}; make it first")
        if self.out.exists() and not self.overwrite:
            raise RenderError(f"--out {self.out} exists; nothing was written. Choose another name or give --overwrite")
        largest = layout.DEFAULT_LIMITS["max-texture-dimension-2d"]
        for name, size in (("width", self.width), ("height", self.height)):
            if not 1 <= size <= largest:
                raise RenderError(f"--{name} {size}: expected 1 to {largest} pixels, WebGPU's limit")
            if self._is_video and size % 2:
                raise RenderError(f"--{name} {size}: a video needs an even number of pixels; give {size + 1}")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise RenderError(f"--fps {self.fps}: expected more than 0 and at most 1000 frames a second")
        if not all(0 <= x <= 1 for x in self.background):
            raise RenderError(f"--background {self.background}: expected three numbers from 0 to 1")

    def _poses(self) -> list[Pose]:
        """The poses to draw."""
        path = self.pose or pose_sequence.motion_of(self.folder)
        if not path.is_file():
            raise RenderError(f"{path}: no such motion; give a .pose.json or .pose.bin with --pose")
        poses = pose_sequence.read(path)
        if not 0 <= self.frame < len(poses):
            raise RenderError(f"--frame {self.frame}: {path} has frames 0 to {len(poses) - 1}")
        return poses[self.frame :] if self._is_video else [poses[self.frame]]


def read_avatar(folder: Path) -> tuple[bytes, AvatarArrays]:
    """The avatar file of an exported folder, as it is and decoded. Raises RenderError, BundleError."""
    path = folder / AVATAR_FILE
    if not path.is_file():
        raise RenderError(f"{folder} has no {AVATAR_FILE}; expected a folder that 'ns-export mobavatar' wrote")
    data = path.read_bytes()
    try:
        return data, decode(data)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None


def open_renderer(avatar: bytes) -> "WgpuRenderer":
    """The renderer with the avatar uploaded. Raises RenderError where there is no device or the avatar is too large."""
    import wgpu

    from .wgpu_renderer import WgpuRenderer

    try:
        return WgpuRenderer(avatar)
    except BundleError:
        raise
    except (RuntimeError, ValueError, wgpu.GPUError) as error:
        raise RenderError(f"the avatar cannot be drawn on this machine: {error}") from error


def joint_positions(arrays: AvatarArrays, pose: Pose) -> np.ndarray:
    """[55, 3] joints in the world, metres."""
    rotation, offset = arrays.inverse_bind[:, :, :3], arrays.inverse_bind[:, :, 3]
    canonical = -np.einsum("jba,jb->ja", rotation, offset)  # the bind transform is rigid: its inverse is the transpose
    T = joint_transforms(arrays, pose)
    return np.einsum("jab,jb->ja", T[:, :, :3], canonical) + T[:, :, 3]


def motion_camera(
    arrays: AvatarArrays, poses: Sequence[Pose], width: int, height: int, yaw_degrees: float
) -> tuple[np.ndarray, np.ndarray]:
    """`T_cam_world` [4, 4] and `K` [3, 3] of a camera that stands still and sees the person in all poses."""
    joints = np.concatenate([joint_positions(arrays, pose) for pose in poses]).astype(np.float64)
    center = 0.5 * (joints.min(0) + joints.max(0))
    radius = np.linalg.norm(joints - center, axis=1).max()
    up = np.array(arrays.meta.get("up", (0, 1, 0)), np.float64)
    front = np.array(arrays.meta.get("front", np.roll(up, 1)), np.float64)
    yaw = np.deg2rad(yaw_degrees)
    turned = np.cos(yaw) * front + np.sin(yaw) * np.cross(up, front)
    T = look_at(center + DISTANCE * radius * turned, center, up)
    x, y, z = (joints @ T[:3, :3].T + T[:3, 3]).T
    half = [(z - BODY_MARGIN) / (np.abs(side) + BODY_MARGIN) for side in (x, y)]
    focal = FILLED * min(0.5 * width * half[0].min(), 0.5 * height * half[1].min())
    return T, np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])


def write_picture(path: Path, picture: np.ndarray) -> None:
    """[h, w, 3] uint8 rgb as PNG."""
    if not cv2.imwrite(str(path), picture[..., ::-1]):
        raise RenderError(f"{path} could not be written; is the disk full?")


def write_video(path: Path, pictures: Iterable[np.ndarray], fps: float) -> None:
    """[h, w, 3] uint8 rgb pictures, one at a time in memory, as H.264 in an MP4 file that browsers play."""
    import av

    frames: Iterator[np.ndarray] = iter(pictures)
    first = next(frames)
    height, width = first.shape[:2]
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream(VIDEO_CODEC, rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": VIDEO_QUALITY}
        for picture in chain([first], frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))

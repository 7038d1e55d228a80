"""DREAMS-Avatar layout: `cameras.json`, `smplx.npz`, `videos/camNN.mp4` and, where it is there, `capture.json`.

What it is read as. Cameras: entry i of `rigs` is `camNN.mp4` with NN = i; of its first camera `fx fy cx cy w h`, `R`
and the centre `c` in a world with y down, so that `R_w2c = R diag(1, -1, -1)` and `t_w2c = -R c` in the body's world (y
up); metres, OpenCV axes, undistorted. Videos: twice as wide as `w`, matted colours on the left, the matte on the right
(255 is the person). Video picture k shows frame k - d, where d is `frame_convention.offset_d` of `capture.json`, 0
without. Body: SMPL-X, row i of `smplx.npz` is frame `frames[i]`, 300 shape and 100 expression coefficients; gender,
`use_pca` and `flat_hand_mean` (usually false) from its `smplx_kwargs`. Frame rate: the videos'.

Checked against: the reader and scripts/dreams_to_actorshq.py of the DEGAS project (github.com/initialneil/DEGAS), whose
author publishes the data set. An inference: pixel centres at half-integers (`K` is scaled there without a shift).

Pictures are unpacked once, see unpack.py.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy import ndarray

from nerfstudio_mobavatar.capture import Capture, CaptureCamera, CaptureError
from nerfstudio_mobavatar.dataparsers.assemble import Source, assemble, used_cameras
from nerfstudio_mobavatar.dataparsers.base import CaptureDataParser
from nerfstudio_mobavatar.dataparsers.calibration import parse_camera
from nerfstudio_mobavatar.dataparsers.files import NumberedFolder
from nerfstudio_mobavatar.dataparsers.fit import RawFit, fit_from_arrays, load_arrays
from nerfstudio_mobavatar.dataparsers.unpack import PackedDataParserConfig, Recording, encode, promised_folder, unpack
from nerfstudio_mobavatar.picture_header import MOST_PIXELS
from nerfstudio_mobavatar.plain_data import damage_as, read_json

LAYOUT = "dreams"
CALIBRATION = "cameras.json"
FIT = "smplx.npz"
NUMBERS = ("fx", "fy", "cx", "cy", "w", "h", "R", "c")
MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
Y_DOWN = np.diag([1.0, -1.0, -1.0])
"""Body's world to the calibration's."""


@dataclass
class DreamsDataParserConfig(PackedDataParserConfig):
    """Captures in the layout of DREAMS-Avatar."""

    _target: type = field(default_factory=lambda: Dreams)
    """Parser class."""


@dataclass(frozen=True)
class Video:
    """What the container says of itself."""

    path: Path
    count: int
    fps: float
    width: int
    height: int


class Dreams(CaptureDataParser):
    """Reads the DREAMS-Avatar layout."""

    config: DreamsDataParserConfig

    @cached_property
    def root(self) -> Path:
        return Path(self.config.data)

    def read_capture(self) -> Capture:
        """Read and check the folder, then unpack the used pictures."""
        path = self.root / CALIBRATION
        entries = read_cameras(path)
        raw, rows, flat, notes = read_smplx(self.root / FIT)
        offset = read_offset(self.root / "capture.json")
        names = used_cameras(self.config, path, list(entries))
        videos = {name: self._video(name, entries[name]) for name in names}
        recordings = [_recording(name, video, offset, rows) for name, video in videos.items()]
        if not any(recording.images for recording in recordings):
            raise CaptureError(
                f"{self.root / 'videos'}: expected pictures of frames {min(rows)}..{max(rows)}, found videos of "
                f"{max(video.count for video in videos.values())} pictures, of which picture k shows frame k - "
                f"({offset}). Put capture.json there, which holds the offset, or complete videos."
            )

        def camera(folder: NumberedFolder, first: Path) -> tuple[CaptureCamera, tuple[str, ...]]:
            return parse_camera(path, folder.name, entries[folder.name], first, pixel_shift=0.0)

        source = Source(
            root=self.root,
            layout=LAYOUT,
            calibration=path,
            folders=tuple(promised_folder(recording, self.config.unpacked_folder) for recording in recordings),
            camera=camera,
            raw=raw,
            rows=rows,
            row_rule="frame n shows the row whose number in `frames` is n",
            fps=next(iter(videos.values())).fps,
            mask_remedy="The right half of the videos holds it: copy the videos again.",
            flat_hand_mean=flat,
            notes=notes,
            unpack=partial(unpack, recordings, folder=self.config.unpacked_folder),
        )
        return assemble(self.config, source)

    def _video(self, name: str, entry: dict[str, Any]) -> Video:
        path = self.root / "videos" / f"{name}.mp4"
        video = probe(path, name)
        width, height = entry["imgSize"]
        if (video.width, video.height) != (2 * width, height):
            raise CaptureError(
                f"{path}: expected a video of {2 * width}x{height} pixels (colours beside matte, each as wide as w in "
                f"{CALIBRATION}), found {video.width}x{video.height}. Copy the video as published."
            )
        return video


def read_cameras(path: Path) -> dict[str, dict[str, Any]]:
    """`cameras.json` as OpenCV calibrations of the body's world, by video name. Raises `CaptureError`."""
    if not path.is_file():
        raise CaptureError(f"{path}: expected the camera calibration, found no such file. Download it again.")
    expected = "JSON with rigs[i].cameras[0] for every camera"
    with damage_as(CaptureError, path, expected, "Download it again."):
        rigs = [rig["cameras"][0] for rig in read_json(path)["rigs"]]
        if len(rigs) > 1000:
            raise ValueError(f"{len(rigs)} cameras")
    return {f"cam{i:02d}": _entry(path, f"cam{i:02d}", rig) for i, rig in enumerate(rigs)}


def _entry(path: Path, name: str, rig: dict[str, Any]) -> dict[str, Any]:
    expected = f"numbers in {', '.join(NUMBERS)} of camera {name} (R 9, c 3)"
    with damage_as(CaptureError, path, expected, "Download the file again."):
        v = {key: np.asarray(rig[key], np.float64) for key in NUMBERS}
        R, c = v["R"].reshape(3, 3), v["c"].reshape(3)
        fx, fy, cx, cy, w, h = (v[key].item() for key in NUMBERS[:6])
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        return {"K": K, "R": R @ Y_DOWN, "T": -R @ c, "distCoeff": [0.0] * 5, "imgSize": [int(w), int(h)]}


def read_smplx(path: Path) -> tuple[RawFit, dict[int, int], bool, tuple[str, ...]]:
    """The fit, its row by frame number, whether its hands are complete, and notes. Raises `CaptureError`."""
    arrays = load_arrays(path)
    raw = fit_from_arrays(path, arrays)
    frames = arrays.get("frames", np.zeros(0)).ravel()
    if frames.dtype.kind not in "iuf" or not np.isfinite(frames).all():
        raise CaptureError(
            f"{path}: expected whole numbers in `frames`, found {frames.dtype}. Download the file again."
        )
    if len(frames) != raw.fit.num_frames or len(set(frames.tolist())) != len(frames):
        raise CaptureError(
            f"{path}: expected in `frames` another frame number for each of the {raw.fit.num_frames} rows, found "
            f"{len(frames)} numbers, {len(set(frames.tolist()))} of them different. Download the file again."
        )
    kwargs = _kwargs(path, arrays)
    if kwargs.get("use_pca", False):
        raise CaptureError(
            f"{path}: expected axis-angle hands, found use_pca in smplx_kwargs. Expand the hands to 45 numbers with "
            "the model's hand components."
        )
    flat, gender = bool(kwargs.get("flat_hand_mean", False)), kwargs.get("gender", "neutral")
    hands = "as they are" if flat else "relative to its mean pose"
    notes = (
        f"the fit is of the {gender} SMPL-X model, with hands {hands}: "
        "name the model file with --body (and in training with --pipeline.model.body and --pipeline.model.gender).",
    )
    return raw, {int(frame): row for row, frame in enumerate(frames)}, flat, notes


def _kwargs(path: Path, arrays: dict[str, ndarray]) -> dict[str, Any]:
    if "smplx_kwargs" not in arrays:
        return {}
    text = str(arrays["smplx_kwargs"])
    with damage_as(CaptureError, path, f"JSON in smplx_kwargs, found {text[:80]!r}", "Download the file again."):
        return dict(json.loads(text))


def read_offset(path: Path) -> int:
    """Video picture number minus frame number; 0 where the file or the entry is not there. Raises `CaptureError`."""
    if not path.is_file():
        return 0
    expected = "JSON with a whole number in frame_convention.offset_d"
    with damage_as(CaptureError, path, expected, "Download it again."):
        return int(read_json(path).get("frame_convention", {}).get("offset_d", 0))


def probe(path: Path, camera: str) -> Video:
    """Size, rate and number of pictures. Raises `CaptureError`."""
    is_mp4 = _is_mp4(path)
    reader = cv2.VideoCapture(str(path) if is_mp4 else "")
    try:
        if not is_mp4 or not reader.isOpened():
            found = "that it does not open as a video" if path.is_file() else "no such file"
            raise CaptureError(
                f"{path}: expected the video of camera {camera}, found {found}. Copy it again, or leave the camera out "
                f"with --skip-cameras {camera}."
            )
        names = ("FRAME_COUNT", "FRAME_WIDTH", "FRAME_HEIGHT")
        with damage_as(CaptureError, path, "a video with pictures", "Copy it again."):
            count, width, height = (int(reader.get(getattr(cv2, f"CAP_PROP_{name}"))) for name in names)
            if min(count, width, height) < 1 or width * height > MOST_PIXELS:
                raise ValueError(f"{count} pictures of {width}x{height} pixels")
        return Video(path, count, reader.get(cv2.CAP_PROP_FPS), width, height)
    finally:
        reader.release()


def _is_mp4(path: Path) -> bool:
    """By its first box: under other content, libraries open playlists, which name other files and servers."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(8)[4:] in MP4_BOXES


def _recording(camera: str, video: Video, offset: int, rows: dict[int, int]) -> Recording:
    """Frames that have a row and a place in the video; surplus pictures without a row are not of the capture."""
    numbers = [frame for frame in sorted(rows) if 0 <= frame + offset < video.count]

    def read(wanted: Sequence[int]) -> Iterator[tuple[int, bytes, bytes]]:
        for number, pixels in zip(wanted, read_video(video.path, [n + offset for n in wanted])):
            half = video.width // 2
            yield number, encode(pixels[:, :half], ".jpg"), encode(pixels[:, half:].max(2), ".png")

    return Recording(camera, video.path, numbers, numbers, read)


def read_video(path: Path, wanted: Sequence[int]) -> Iterator[ndarray]:
    """The pictures (uint8 [h, w, 3], BGR) with the given ascending numbers, decoded one after the other from the start:
    seeking is not exact in every container. Raises `CaptureError` where the video ends early."""
    reader = cv2.VideoCapture(str(path))
    try:
        at = 0
        for number in wanted:
            while at <= number and reader.grab():
                at += 1
            done, pixels = reader.retrieve() if at > number else (False, None)
            if not done or pixels is None:
                raise CaptureError(
                    f"{path}: expected picture {number}, found that the video ends or breaks at picture {at}. Copy the "
                    "video again, or leave such frames out with --drop-frames."
                )
            yield pixels
    finally:
        reader.release()

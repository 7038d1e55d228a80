"""Recordings in one large file (a video, an HDF5) to numbered pictures and mattes on disk, once and only what is used.

Training reads pictures in random order, which videos cannot do and which HDF5 does from one process at a time. Pictures
go to `FOLDER/CAMERA/images/%08d.jpg` and `FOLDER/CAMERA/masks/%08d.png`. What is there is kept, so that an interrupted
run goes on where it was and a wider choice of frames adds to it; every file appears whole or not at all.
"""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import cv2
from jaxtyping import UInt8
from nerfstudio.utils.rich_utils import CONSOLE
from numpy import ndarray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nerfstudio_mobavatar.capture import CaptureError
from nerfstudio_mobavatar.dataparsers.base import CaptureDataParserConfig
from nerfstudio_mobavatar.dataparsers.files import NumberedFolder
from nerfstudio_mobavatar.plain_data import damage_as, read_text

JPEG_QUALITY = 95
STAMP = "source.json"
WORKERS = 4
"""Recordings read at the same time; decoders have threads of their own."""
SPARE = 1.2
"""Free space that has to be there, as a multiple of the expected size."""


@dataclass
class PackedDataParserConfig(CaptureDataParserConfig):
    """Options of layouts whose pictures are packed in large files."""

    unpacked: Path | None = None
    """Folder for the pictures that are taken out of the recording. None: `unpacked` in the capture's folder."""

    @property
    def unpacked_folder(self) -> Path:
        """Where pictures go."""
        return own_folder(Path(self.data) / "unpacked") if self.unpacked is None else self.unpacked


def own_folder(path: Path) -> Path:
    """A folder to write to, where a stranger's capture has no link to another one. Raises `CaptureError`."""
    if path.is_symlink():
        raise CaptureError(
            f"{path}: expected a folder for pictures, found a link to {path.readlink()}. Remove it, and name the "
            "folder that pictures shall go to with --unpacked."
        )
    return path


@dataclass(frozen=True)
class Recording:
    """One camera of a capture, inside a large file."""

    camera: str
    source: Path
    """File that the pictures are in."""
    images: Sequence[int]
    """Frame numbers that have a picture."""
    masks: Sequence[int]
    read: Callable[[Sequence[int]], Iterator[tuple[int, bytes, bytes]]]
    """Frame number, encoded picture and encoded matte of the given frames, which are ascending."""


def promised_folder(recording: Recording, folder: Path) -> NumberedFolder:
    """The camera's files as they will be, whether or not they were unpacked yet."""
    pictures, mattes = folder / recording.camera / "images", folder / recording.camera / "masks"
    return NumberedFolder(
        name=recording.camera,
        path=pictures,
        images={n: pictures / f"{n:08d}.jpg" for n in recording.images},
        mask_folder=mattes,
        masks={n: mattes / f"{n:08d}.png" for n in recording.masks},
    )


def unpack(recordings: Sequence[Recording], frames: Sequence[int], folder: Path) -> None:
    """Write the pictures of `frames` that are not in `folder` yet. Raises `CaptureError`."""
    jobs = []
    try:
        for recording in recordings:
            _claim(recording, folder / recording.camera)
            wanted = _wanted(recording, frames, folder)
            if wanted:
                jobs.append((recording, wanted))
        if jobs:
            _check_space(jobs[0], sum(len(wanted) for _, wanted in jobs), folder)
            _run(jobs, folder)
    except OSError as error:
        raise CaptureError(
            f"{folder}: expected to write pictures there, found that it fails ({error}). Name a folder on another disk "
            "with --unpacked."
        ) from error


def encode(pixels: UInt8[ndarray, "h w *c"], suffix: str) -> bytes:
    """A picture as `.jpg`, a matte as `.png`."""
    option = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 1]
    return cv2.imencode(suffix, pixels, option)[1].tobytes()


def _claim(recording: Recording, folder: Path) -> None:
    """Write down which file the folder's pictures are from, or refuse a folder of another recording."""
    source = {"file": recording.source.name, "bytes": recording.source.stat().st_size}
    for place in (folder, folder / "images", folder / "masks"):
        own_folder(place)
    stamp = folder / STAMP
    if not stamp.is_file():
        (folder / "images").mkdir(parents=True, exist_ok=True)
        (folder / "masks").mkdir(exist_ok=True)
        _write(stamp, json.dumps(source).encode())
        return
    with damage_as(CaptureError, stamp, "the name of a recording", f"Remove {folder}."):
        found = read_text(stamp)
    if found != json.dumps(source):
        raise CaptureError(
            f"{stamp}: expected pictures of {source['file']} ({source['bytes']} bytes), found that they are of "
            f"{found[:200]}. Remove {folder}, or name another folder with --unpacked."
        )


def _wanted(recording: Recording, frames: Sequence[int], folder: Path) -> list[int]:
    files = promised_folder(recording, folder)
    there = [set(os.listdir(path)) for path in (files.path, files.mask_folder)]  # noqa: PTH208  (names only, fast)
    return [
        n
        for n in sorted(set(frames) & set(recording.images) & set(recording.masks))
        if files.images[n].name not in there[0] or files.masks[n].name not in there[1]
    ]


def _check_space(job: tuple[Recording, Sequence[int]], count: int, folder: Path) -> None:
    """Expect `count` pictures of the size of the job's first."""
    recording, wanted = job
    _, picture, matte = next(recording.read(wanted[:1]))
    needed, free = SPARE * count * (len(picture) + len(matte)), shutil.disk_usage(folder).free
    if needed > free:
        raise CaptureError(
            f"{folder}: expected {needed / 1e9:.1f} GB free for {count:,} pictures, found {free / 1e9:.1f} GB. Use "
            "fewer (--frame-stride, --skip-cameras, --drop-frames), or name a folder on another disk with --unpacked."
        )


def _run(jobs: Sequence[tuple[Recording, Sequence[int]]], folder: Path) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=CONSOLE) as progress, ThreadPoolExecutor(WORKERS) as pool:
        task = progress.add_task(f"unpacking to {folder}", total=sum(len(wanted) for _, wanted in jobs))
        stop = threading.Event()

        def one(recording: Recording, wanted: Sequence[int]) -> None:
            files = promised_folder(recording, folder)
            for number, picture, matte in recording.read(wanted):
                _write(files.masks[number], matte)
                _write(files.images[number], picture)
                progress.advance(task)
                if stop.is_set():
                    return

        try:
            for done in as_completed([pool.submit(one, *job) for job in jobs]):
                done.result()
        finally:  # after an error or Ctrl-C the others stop at their next picture
            stop.set()
            pool.shutdown(cancel_futures=True)


def _write(path: Path, content: bytes) -> None:
    """The whole file or none."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)  # what is left of an interrupted run, or a stranger's link
    with part.open("xb") as stream:
        stream.write(content)
    part.replace(path)

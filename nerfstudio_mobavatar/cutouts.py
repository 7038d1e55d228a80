"""The person cut out of a picture: all of it that training looks at, and so small that it can be kept for later.

Decoding four JPEG pictures and mattes of 3 megapixels takes a core longer than the GPU takes for a whole step, and
every picture is shown dozens of times. Where the matte is 0 training sees its own background, so those pixels are left
out; the rest is kept as it is, without loss, in a file that ends with the run.
"""

import errno
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from mmap import mmap
from pathlib import Path

import cv2
import numpy as np
import psutil
from jaxtyping import UInt8
from numpy import ndarray

from nerfstudio_mobavatar.capture import CaptureError, CaptureImage
from nerfstudio_mobavatar.images import (
    PERSON_THRESHOLD,
    Box,
    CameraView,
    UndistortMaps,
    load_image,
    load_matte,
    person_box,
)

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

STAYS_FREE = 0.5
"""Share of what is free on the disk at first that is left to others."""
MOST_WRITING = 0.5
"""Seconds of writing for each second of decoding: a slow disk must not cost more."""
HEADER = 10
"""Numbers (int32) before the pixels: bytes of the record, both boxes, and how many pixels there are."""
NO_ROOM = -1
"""Why nothing more is kept, where it is no error of the system (those have numbers above 0)."""
IN_MEMORY = ("tmpfs", "ramfs")
"""File systems whose files take memory."""


@dataclass(frozen=True)
class CutOut:
    """Pixels of one picture in the geometry of its view."""

    box: Box
    """Holds every pixel whose matte is not 0; one pixel where there is none."""
    person: Box
    """Holds every pixel whose matte is at least `PERSON_THRESHOLD`; empty where there is none."""
    rgb: UInt8[ndarray, "h w 3"]
    """Of the box; 0 where the matte is."""
    matte: UInt8[ndarray, "h w"]

    def paste(self, window: Box, rgb: UInt8[ndarray, "h2 w2 3"], matte: UInt8[ndarray, "h2 w2"]) -> None:
        """What the window shows of the picture, written to arrays of its size."""
        rgb[:], matte[:] = 0, 0
        x0, y0 = max(window.x0, self.box.x0), max(window.y0, self.box.y0)
        x1, y1 = min(window.x1, self.box.x1), min(window.y1, self.box.y1)
        if x0 >= x1 or y0 >= y1:
            return
        there = slice(y0 - window.y0, y1 - window.y0), slice(x0 - window.x0, x1 - window.x0)
        here = slice(y0 - self.box.y0, y1 - self.box.y0), slice(x0 - self.box.x0, x1 - self.box.x0)
        rgb[there], matte[there] = self.rgb[here], self.matte[here]


def load_cutout(image: CaptureImage, view: CameraView, maps: UndistortMaps) -> CutOut:
    """Decode a picture and its matte. Raises `CaptureError` naming the file that is wrong."""
    whole = load_matte(image.mask_path, view, maps)
    box, person = (person_box(whole, 0, threshold) for threshold in (1, PERSON_THRESHOLD))
    if box.width == 0:
        box = Box(box.x0, box.y0, box.x0 + 1, box.y0 + 1)
    matte = np.ascontiguousarray(whole[box.y0 : box.y1, box.x0 : box.x1])
    rgb = load_image(image.image_path, view, maps, box)
    return CutOut(box, person, cv2.copyTo(rgb, matte), matte)


def pack(cutout: CutOut) -> UInt8[ndarray, " bytes"]:
    """Boxes, the pixels whose matte is not 0 (RGB and matte, 4 bytes each), and a bit per pixel that says which."""
    pixels = cv2.cvtColor(cutout.rgb, cv2.COLOR_RGB2RGBA)
    cv2.insertChannel(cutout.matte, pixels, 3)
    seen = cutout.matte > 0
    kept = pixels.view(np.uint32)[..., 0][seen]
    bits = np.packbits(seen)
    size = 4 * HEADER + kept.nbytes + bits.nbytes
    header = np.array([size, *astuple(cutout.box), *astuple(cutout.person), len(kept)], np.int32)
    return np.concatenate((header.view(np.uint8), kept.view(np.uint8), bits))


def unpack(record: bytes | UInt8[ndarray, " bytes"]) -> CutOut:
    """What `pack` was given."""
    _, x0, y0, x1, y1, *person, count = np.frombuffer(record, np.int32, HEADER).tolist()
    kept = np.frombuffer(record, np.uint32, count, 4 * HEADER)
    bits = np.frombuffer(record, np.uint8, offset=4 * (HEADER + count))
    pixels = np.zeros((y1 - y0, x1 - x0), np.uint32)
    pixels[np.unpackbits(bits, count=pixels.size).view(bool).reshape(pixels.shape)] = kept
    channels = pixels.view(np.uint8).reshape(*pixels.shape, 4)
    rgb, matte = cv2.cvtColor(channels, cv2.COLOR_RGBA2RGB), cv2.extractChannel(channels, 3)
    return CutOut(Box(x0, y0, x1, y1), Box(*person), rgb, matte)


class CutOutStore:
    """Cut-outs of pictures by number, in a file without a name: the system removes it when the last process ends,
    however it ends. Loading processes share it through `fork`; each writes to a place of its own, and what one that is
    killed leaves unfinished is never found."""

    def __init__(self, folder: Path, pictures: int, most_bytes: int):
        """Errors: `OSError` where the folder takes no files."""
        self.pictures, self.most_bytes = pictures, most_bytes
        self.least_free = int(STAYS_FREE * shutil.disk_usage(folder).free)
        self._file = tempfile.TemporaryFile(dir=folder)
        numbers = np.frombuffer(mmap(-1, 8 * (2 + pictures)), np.int64)  # memory that all the processes share
        self._used, self._full, self._places = np.split(numbers, [1, 2])
        self._decoding_s = self._writing_s = 0.0

    def get(self, index: int, load: Callable[[], CutOut]) -> CutOut:
        """The cut-out of a picture: as it was kept, or else loaded and, where there is room, kept. What `load` raises
        is passed on."""
        if self._places[index]:
            record = self._read(int(self._places[index]) - 1)
            if record is not None:
                return unpack(record)
        started = time.perf_counter()
        cutout = load()
        self._decoding_s += time.perf_counter() - started
        if not self.is_full and not self._places[index] and self._writing_s <= MOST_WRITING * self._decoding_s:
            record, started = pack(cutout), time.perf_counter()
            self._keep(index, record)
            self._writing_s += time.perf_counter() - started
        return cutout

    def _read(self, place: int) -> bytes | None:
        file = self._file.fileno()
        try:
            size = int.from_bytes(os.pread(file, 4, place), sys.byteorder)
            record = os.pread(file, size, place)
        except OSError:  # a disk that fails; the capture itself is still there
            return None
        return record if len(record) == size > 0 else None

    def _keep(self, index: int, record: UInt8[ndarray, " bytes"]) -> None:
        try:
            place = self._reserve(len(record))
            if place is not None and os.pwrite(self._file.fileno(), record.data, place) == len(record):
                self._places[index] = place + 1  # from now on it is found
                return
            self._full[0] = NO_ROOM
        except OSError as error:
            self._full[0] = error.errno or errno.EIO

    def _reserve(self, size: int) -> int | None:
        """Where to write so much; None where there is no room."""
        disk = os.fstatvfs(self._file.fileno())
        if disk.f_bavail * disk.f_frsize - size < self.least_free:
            return None
        assert fcntl is not None
        fcntl.lockf(self._file, fcntl.LOCK_EX)  # a process that dies lets go of it
        try:
            place = self.used_bytes()
            if place + size > self.most_bytes:
                return None
            self._used[0] += size
            return place
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    @property
    def is_full(self) -> bool:
        """Nothing more is kept: there is no room, or the disk fails."""
        return bool(self._full[0])

    def why_full(self) -> tuple[str, str]:
        """What happened, and what to do about it."""
        if self._full[0] == NO_ROOM:
            return "There is no more room for what is cut out of pictures", "More room: --scratch-gb, --scratch-dir"
        error = os.strerror(int(self._full[0]))
        return (
            f"The disk takes no more of what is cut out of pictures ({error})",
            "Check it, or name another one: --scratch-dir",
        )

    def used_bytes(self) -> int:
        return int(self._used[0])

    def num_kept(self) -> int:
        return int(np.count_nonzero(self._places))


def processes_share() -> bool:
    """Whether loading processes are forks here, which have open files and memory in common with who starts them."""
    return sys.platform == "linux"


def scratch_folder(chosen: Path | None) -> Path | None:
    """Where to keep cut-outs: the folder that was chosen, else that of temporary files or /var/tmp, whichever is on a
    disk and not in memory; None where there is none, or where loading processes cannot share files.

    Raises `CaptureError` where a chosen one cannot be used.
    """
    if fcntl is None or not processes_share():
        return None
    if chosen is None:
        places = (Path(tempfile.gettempdir()), Path("/var/tmp"))
        return next((p for p in places if p.is_dir() and os.access(p, os.W_OK) and not _is_memory(p)), None)
    if not chosen.is_dir() or not os.access(chosen, os.W_OK):
        raise CaptureError(
            f"{chosen}: expected a folder to write to (--scratch-dir), found none. Make it, or leave it out."
        )
    return chosen


def _is_memory(folder: Path) -> bool:
    """Whether files there take memory; False where the system does not say."""
    mounts = {Path(p.mountpoint): p.fstype for p in psutil.disk_partitions(all=True)}
    found = next((p for p in (folder.resolve(), *folder.resolve().parents) if p in mounts), None)
    return found is not None and mounts[found] in IN_MEMORY

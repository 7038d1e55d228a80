"""Every picture's file, without decoding it: is it there, is it whole, is it the same as the one before?

Only the last bytes of each file are read. That takes seconds for tens of thousands of files on a local disk; on a slow
network disk the time is bounded and evenly spread files are looked at.
"""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..capture import Capture

TAIL = 1024
"""Bytes at the end in which the end mark must be: some cameras append a few."""

ENDS = {".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND"}
"""End mark by suffix."""

_BATCH = 512


@dataclass(frozen=True)
class FileReport:
    """What the files look like from outside."""

    looked_at: int
    total: int
    absent: tuple[Path, ...]
    empty: tuple[Path, ...]
    cut_off: tuple[Path, ...]
    """Files without their end mark: a copy or download that stopped."""
    repeated: tuple[Path, ...]
    """Pictures byte for byte like the same camera's picture one frame before."""


def look_at_files(capture: Capture, seconds: float = 15.0, advance: Callable[[], None] = lambda: None) -> FileReport:
    """Look at images and masks for at most about so many seconds."""
    images = [image.image_path for image in capture.images]
    paths = images + [image.mask_path for image in capture.images]
    order = _spread_order(len(paths))
    deadline = time.monotonic() + seconds
    sizes: dict[Path, int] = {}
    states: dict[str, list[Path]] = {"absent": [], "empty": [], "cut off": []}
    with ThreadPoolExecutor(8) as pool:
        for start in range(0, len(order), _BATCH):
            batch = [paths[i] for i in order[start : start + _BATCH]]
            for path, (size, state) in zip(batch, pool.map(_look, batch)):
                sizes[path] = size
                if state:
                    states[state].append(path)
                advance()
            if time.monotonic() > deadline:
                break
    return FileReport(
        len(sizes),
        len(paths),
        *(tuple(sorted(states[key])) for key in ("absent", "empty", "cut off")),
        repeated=_repeated(capture, sizes),
    )


def _spread_order(count: int) -> Sequence[int]:
    """All indices, any beginning of which is spread over the whole (steps of the golden ratio)."""
    return np.argsort(np.arange(count) * 0.6180339887498949 % 1.0, kind="stable").tolist()


def _look(path: Path) -> tuple[int, str]:
    """Size, and what is wrong: "", "absent", "empty" or "cut off"."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(size - TAIL, 0))
            tail = file.read(TAIL)
    except OSError:
        return -1, "absent"
    if size == 0:
        return 0, "empty"
    end = ENDS.get(path.suffix.lower())
    return size, "cut off" if end is not None and end not in tail else ""


def _repeated(capture: Capture, sizes: dict[Path, int]) -> tuple[Path, ...]:
    """Equal sizes are rare between neighbours; only then are the contents compared."""
    last: dict[int, Path] = {}
    found = []
    for image in capture.images:  # ordered by frame
        before, path = last.get(image.camera), image.image_path
        last[image.camera] = path
        if before is None or sizes.get(path, -1) <= 0 or sizes.get(before) != sizes[path]:
            continue
        if path.read_bytes() == before.read_bytes():
            found.append(path)
    return tuple(found)

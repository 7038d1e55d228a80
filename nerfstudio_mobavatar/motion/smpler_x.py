"""SMPLer-X: a folder of `FRAME_PERSON.npz`, one frame each (smplx's parameter names, `transl` = camera translation).

Camera space (x right, y down, z forward); hands relative to the model's mean (smplx's default). Frames in which nobody
was found have no file and are filled in. Second hand: read from main/inference.py of github.com/caizhongang/SMPLer-X.
"""

import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from . import smplx_params
from .load import npz_arrays
from .types import MAX_FRAMES, MotionError, RawMotion, Rig

_NAME = re.compile(r"(\d+)_(\d+)\.npz")


def files(folder: Path) -> dict[int, dict[int, Path]]:
    """Person -> frame -> file, in `folder` or in its subfolder `smplx`."""
    found: dict[int, dict[int, Path]] = defaultdict(dict)
    for place in (folder, folder / "smplx"):
        for path in sorted(place.glob("*.npz")) if place.is_dir() else ():
            if match := _NAME.fullmatch(path.name):
                found[int(match[2])][int(match[1])] = path
        if found:
            break
    return dict(found)


def read(folder: Path, rig: Rig, person: int) -> RawMotion:
    """All frames of one person."""
    found = files(folder)
    if not found:
        raise MotionError(
            f"{folder}: expected SMPLer-X's files such as 00001_0.npz, found none. Give its output folder 'smplx'."
        )
    chosen = person if person >= 0 else max(found, key=lambda p: len(found[p]))
    if chosen not in found:
        raise MotionError(f"{folder}: expected --person to be one of {sorted(found)}, found {person}.")
    rows = dict(sorted(found[chosen].items()))
    if len(rows) > MAX_FRAMES:
        raise MotionError(f"{folder}: expected at most {MAX_FRAMES} frames, found {len(rows)}. Cut the motion.")
    parts = []
    for path in rows.values():
        arrays, _ = npz_arrays(path, smplx_params.KEYS)
        # one frame a file, stored without the row axis
        parts.append(smplx_params.read(path, {k: np.asarray(v)[None].reshape(1, -1) for k, v in arrays.items()}, rig))
    notes = (f"persons {sorted(found)} in the folder, this is {chosen}.",) if len(found) > 1 else ()
    return replace(
        parts[0],
        format="smpler-x",
        pose=np.concatenate([p.pose for p in parts]),
        pelvis=np.concatenate([p.pelvis for p in parts]),
        expression=np.concatenate([p.expression for p in parts]),
        frame=np.array(list(rows), np.float64),
        up="-y",
        hands="relative",
        notes=notes,
    )

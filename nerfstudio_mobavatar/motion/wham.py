"""WHAM: `wham_output.pkl` (joblib), person -> `pose_world` (72), `trans_world`, `pose`, `trans` (camera), `frame_ids`.

SMPL; the world is y up, the camera y down; the video's frame rate is not stored. Second hand: read from demo.py of
github.com/yohanshin/WHAM (its network is asked for `return_y_up=True`).
"""

from pathlib import Path
from typing import Any

import numpy as np

from . import smpl
from .load import plain
from .types import MotionError, RawMotion, Rig, pad_expression


def matches(content: Any) -> bool:
    """A dictionary of persons."""
    persons = [v for v in content.values() if isinstance(v, dict)] if isinstance(content, dict) else []
    return bool(persons) and all("pose" in p and "trans" in p for p in persons)


def read(path: Path, content: Any, rig: Rig, person: int, camera_space: bool) -> RawMotion:
    """One person's motion."""
    if not matches(content):
        raise MotionError(f"{path}: expected persons with pose and trans. Give WHAM's wham_output.pkl.")
    persons = {int(k): v for k, v in content.items() if isinstance(v, dict)}
    chosen = person if person >= 0 else max(persons, key=lambda p: len(persons[p]["pose"]))
    if chosen not in persons:
        raise MotionError(f"{path}: expected --person to be one of {sorted(persons)}, found {person}.")
    arrays = {k: plain(v) for k, v in persons[chosen].items() if k != "verts"}
    pose_key, trans_key = ("pose", "trans") if camera_space else ("pose_world", "trans_world")
    frames = smpl.frames_of(path, arrays, pose_key)
    if trans_key not in arrays:
        raise MotionError(f"{path}: expected {trans_key} for person {chosen}. Give WHAM's wham_output.pkl.")
    ids = np.asarray(arrays.get("frame_ids", np.arange(frames)), np.float64).ravel()
    if len(ids) != frames or not (np.diff(ids) > 0).all():
        raise MotionError(f"{path}: expected {frames} ascending frame_ids, found {ids[:5].tolist()}... Run WHAM again.")
    return RawMotion(
        format="wham",
        pose=smpl.smpl_to_smplx(smpl.joints(path, pose_key, arrays[pose_key], frames, 24)),
        pelvis=rig.joint_rest[0] + smpl.vectors(path, trans_key, arrays[trans_key], frames),
        expression=pad_expression(None, frames),
        fps=None,
        usual_fps=30.0,
        up="-y" if camera_space else "y",
        hands="relaxed",
        frame=ids,
        notes=(f"persons {sorted(persons)} in the file, this is {chosen}.",) if len(persons) > 1 else (),
    )

"""`smpl_params.npz`: smplx's parameter names, one row per frame, as captures of the AvatarReX family and
`mobavatar convert-pose` store them. Metres, hands absolute. The up axis differs from capture to capture."""

from pathlib import Path

import numpy as np
from numpy import ndarray

from . import smpl
from .types import MotionError, RawMotion, Rig, pad_expression

PARTS = (
    ("global_orient", 0, (1,)), ("body_pose", 1, (21, 23)), ("jaw_pose", 22, (1,)), ("leye_pose", 23, (1,)),
    ("reye_pose", 24, (1,)), ("left_hand_pose", 25, (15,)), ("right_hand_pose", 40, (15,)),
)  # fmt: skip
KEYS = (*(key for key, _, _ in PARTS), "transl", "expression", "mocap_frame_rate")


def matches(found: list[str]) -> bool:
    """By the names of the arrays."""
    return {"global_orient", "body_pose"} <= set(found)


def read(path: Path, arrays: dict[str, ndarray], rig: Rig) -> RawMotion:
    """See the module. A `body_pose` of 69 numbers is SMPL's: its last two joints are dropped."""
    frames = smpl.frames_of(path, arrays, "global_orient")
    missing = [key for key in ("body_pose", "transl") if key not in arrays]
    if missing:
        raise MotionError(
            f"{path}: expected {' and '.join(missing)} beside global_orient. Save smplx's parameter names."
        )
    parts = []
    for key, first, counts in PARTS:
        if key in arrays:
            angles = smpl.joints(path, key, arrays[key], frames, *counts)
            parts.append((first, angles[:, :21] if key == "body_pose" else angles))
    has_hands = "left_hand_pose" in arrays and "right_hand_pose" in arrays
    return RawMotion(
        format="smplx-params",
        pose=smpl.body_pose(*parts),
        pelvis=rig.joint_rest[0] + smpl.vectors(path, "transl", arrays["transl"], frames),
        expression=pad_expression(_optional(arrays, "expression"), frames),
        fps=smpl.rate(arrays, "mocap_frame_rate"),
        usual_fps=30.0,
        up=None,
        hands="given" if has_hands else "relaxed",
    )


def _optional(arrays: dict[str, ndarray], key: str) -> ndarray | None:
    return np.asarray(arrays[key]) if key in arrays else None

"""The motions of an exported folder: the user's, placed where the capture was, and the training motion."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nerfstudio_mobavatar.body_model import load_body
from nerfstudio_mobavatar.motion import Motion, MotionOptions, Rig, axes, place, pose_json, read_motion
from nerfstudio_mobavatar.motion.types import pad_expression

from .evaluate import Pose
from .page_folder import PageMotion, free_name
from .pose_sequence import MOTION_FILE, from_rows

TRAINING = "training"


@dataclass(frozen=True)
class NamedMotion:
    """One entry of the menu."""

    name: str
    motion: Motion
    frame_ids: Sequence[int]


def training_motion(model: Any, rows: Sequence[int]) -> NamedMotion:
    """The poses that the avatar was trained on."""
    pose, transl, expression = (
        model.get_buffer(f"fit_{name}")[list(rows)].cpu().numpy().astype(np.float64)
        for name in ("pose", "transl", "expression")
    )
    motion = Motion(
        pose=pose,
        transl=transl,
        expression=pad_expression(expression, len(rows)),
        fps=float(model.capture.fps),
        up=axes.name(model.capture.up),
    )
    return NamedMotion(TRAINING, motion, [model.capture.frames[r] for r in rows])


def rig_of(model: Any) -> Rig:
    """The avatar's own joints, and its body's mean hand pose."""
    body = load_body(model.config.body, model.config.gender, num_betas=1, num_expressions=1)
    return Rig(
        joint_rest=model.avatar.get_buffer("joint_rest").cpu().numpy().astype(np.float64),
        parents=tuple(body.parents),
        hand_mean=body.hand_mean.numpy().astype(np.float64),
    )


def given_motions(paths: Sequence[Path], training: NamedMotion, rig: Rig) -> list[tuple[NamedMotion, str]]:
    """Each motion at the capture's rate, upright in its world, starting where the training motion does; and what was
    detected. Raises `MotionError`."""
    options = MotionOptions(target_fps=training.motion.fps, target_up=training.motion.up)
    out, used = [], {TRAINING, MOTION_FILE.partition(".")[0]}
    for path in paths:
        motion, report = read_motion(path, rig, options)
        moved = place(motion, training.motion, rig)
        out.append(
            (
                NamedMotion(free_name(path.name if path.is_dir() else path.stem, used), moved, range(len(moved))),
                report.describe(),
            )
        )
    return out


def poses_of(named: NamedMotion, rig: Rig) -> list[Pose]:
    """What `evaluate` takes."""
    return from_rows(pose_json.rows_of(named.motion, rig))


def page_motion(named: NamedMotion, rig: Rig) -> PageMotion:
    """As a file of the page has it."""
    return PageMotion(named.name, pose_json.rows_of(named.motion, rig), named.frame_ids, named.motion.fps)

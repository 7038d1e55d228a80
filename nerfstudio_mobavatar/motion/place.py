"""Where a motion happens: joints in the world, and a motion moved to where another one takes place."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.spatial.transform import Rotation

from . import axes
from .types import Motion, MotionError, Rig

_FEET = (7, 8, 10, 11)
"""Ankles and feet."""
_FLOOR_PERCENTILE = 10.0
"""Of the lowest foot over time: most of the time one foot stands, now and then a fit sinks below the floor."""


def joint_positions(motion: Motion, rig: Rig) -> Float[ndarray, "t 55 3"]:
    """Forward kinematics, metres."""
    rest = np.asarray(rig.joint_rest, np.float64)
    turned: list[Rotation] = []
    out = np.zeros((len(motion), 55, 3))
    for j, parent in enumerate(rig.parents):
        local = Rotation.from_rotvec(motion.pose[:, j])
        turned.append(local if parent < 0 else turned[parent] * local)
        at = rest[0] + motion.transl
        out[:, j] = at if parent < 0 else out[:, parent] + turned[parent].apply(rest[j] - rest[parent])
    return out


def place(motion: Motion, like: Motion, rig: Rig) -> Motion:
    """Turned about the up axis and moved: the first frame stands where `like` starts and faces the same way, and the
    feet walk on the same floor.

    Raises:
        MotionError: the two have different up axes.
    """
    if motion.up != like.up:
        raise MotionError(f"expected a motion with {like.up} up, found {motion.up}; read it with target_up {like.up}.")
    up = axes.vector(like.up)
    turn = _heading(_facing(like), up) * _heading(_facing(motion), up).inv()
    pose = motion.pose.copy()
    pose[:, 0] = (turn * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    pelvis = turn.apply(motion.transl + rig.joint_rest[0])
    turned = replace(motion, pose=pose, transl=pelvis - rig.joint_rest[0])
    step = like.transl[0] - turned.transl[0]
    step -= up * (up @ step)
    rise = _floor(like, rig, up) - _floor(turned, rig, up)
    return replace(turned, transl=turned.transl + step + rise * up)


def _facing(motion: Motion) -> Float[ndarray, " 3"]:
    return Rotation.from_rotvec(motion.pose[0, 0]).apply([0.0, 0.0, 1.0])


def _heading(direction: Float[ndarray, " 3"], up: Float[ndarray, " 3"]) -> Rotation:
    """The rotation about `up` that turns a fixed horizontal direction into this one; none where it is vertical."""
    side = np.roll(up, 1)
    level = direction - up * (up @ direction)
    if np.linalg.norm(level) < 0.1:
        return Rotation.identity()
    return Rotation.from_rotvec(up * np.arctan2(up @ np.cross(side, level), side @ level))


def _floor(motion: Motion, rig: Rig, up: Float[ndarray, " 3"]) -> float:
    lowest = (joint_positions(motion, rig)[:, _FEET] @ up).min(1)
    return float(np.percentile(lowest, _FLOOR_PERCENTILE))

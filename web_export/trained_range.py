"""How far a pose is from those that an avatar was trained on, and what keeps it sane there.

The part networks saw each of their inputs (63 angles of joints 1..21, the expression) between a smallest and a largest
value; beyond them they extrapolate. An avatar file may store these bounds (`input_range`), and every host then clamps
the inputs to them: `evaluate.mlp_inputs` and its twin in the viewer. Skinning always gets the whole pose.
"""

from collections.abc import Sequence

import numpy as np

from nerfstudio_mobavatar.motion.joint_names import NAMES

from .bundle import AvatarArrays
from .evaluate import Pose, raw_inputs

TOLERANCE = np.deg2rad(5.0)
"""Radians beyond the range from which a joint counts as outside."""


def input_range(a: AvatarArrays, poses: Sequence[Pose]) -> np.ndarray:
    """[2, inputs] smallest and largest value of every network input over these poses."""
    inputs = np.stack([raw_inputs(a, pose) for pose in poses])
    return np.stack([inputs.min(0), inputs.max(0)])


def joint_excess(a: AvatarArrays, pose: Pose) -> np.ndarray:
    """[21] radians by which joints 1..21 are beyond the trained range (length over the three axis-angle numbers)."""
    assert a.input_range is not None
    x, (low, high) = raw_inputs(a, pose), a.input_range
    beyond = np.maximum(np.maximum(low - x, x - high), 0)[: a.num_pose_inputs]
    return np.linalg.norm(beyond.reshape(-1, 3), axis=1)


def describe(a: AvatarArrays, poses: Sequence[Pose]) -> str:
    """One sentence: how many frames leave the trained range, and with which joints."""
    excess = np.stack([joint_excess(a, pose) for pose in poses])
    outside = (excess > TOLERANCE).any(1).mean()
    worst = [j for j in np.argsort(-excess.max(0), kind="stable")[:3] if excess[:, j].max() > TOLERANCE]
    if not worst:
        return "within the trained range"
    joints = ", ".join(f"{NAMES[j + 1]} by up to {np.rad2deg(excess[:, j].max()):.0f} degrees" for j in worst)
    return f"{outside:.0%} of the frames leave the trained range: {joints}"

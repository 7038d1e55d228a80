"""What an avatar file says about the poses that the avatar was trained on, and what is told about others.

The maths is `nerfstudio_mobavatar.trained_poses`; the file stores `input_range` and `trained_regions`, and every host
draws with `evaluate.mlp_inputs` or its twin in the viewer. Skinning always gets the whole pose.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nerfstudio_mobavatar import trained_poses
from nerfstudio_mobavatar.trained_poses import REGIONS, TOLERANCE

from .bundle import AvatarArrays
from .evaluate import Pose, raw_inputs


def with_training(a: AvatarArrays, poses: Sequence[Pose]) -> AvatarArrays:
    """The avatar with the range and the regions of the poses that it was trained on."""
    inputs = np.stack([raw_inputs(a, pose) for pose in poses])
    regions = tuple(trained_poses.trained_regions(inputs, a.num_pose_inputs))
    return replace(a, input_range=trained_poses.input_range(inputs), trained_regions=regions)


def pose_distance(a: AvatarArrays, pose: Pose) -> dict[str, float]:
    """By body region: radians beyond training, 0 inside; nothing where the file does not say what training saw."""
    return trained_poses.pose_distance(raw_inputs(a, pose), a.input_range, a.trained_regions, a.num_pose_inputs)


def describe(a: AvatarArrays, poses: Sequence[Pose]) -> str:
    """One sentence: how many frames are unlike training, and in which regions of the body."""
    found = [pose_distance(a, pose) for pose in poses]
    most = {name: max(d[name] for d in found) for name in found[0]}
    outside = {name: np.mean([d[name] > TOLERANCE for d in found]) for name in most}
    worst = [name for name in sorted(most, key=lambda name: -most[name]) if outside[name] > 0]
    if not worst:
        return "within the trained poses"
    share = np.mean([max(d.values()) > TOLERANCE for d in found])
    regions = ", ".join(
        f"{name} (by up to {np.rad2deg(most[name]):.0f} degrees, in {outside[name]:.0%})" for name in worst
    )
    return f"{share:.0%} of the frames have a pose outside of training: {regions}"


__all__ = ["REGIONS", "TOLERANCE", "describe", "pose_distance", "with_training"]

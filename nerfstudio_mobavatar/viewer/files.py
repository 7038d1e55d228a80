"""A pose to and from a file: `.pose.json` of one frame, or one frame of any motion that `convert-pose` reads."""

from pathlib import Path

import numpy as np

from nerfstudio_mobavatar.motion import Motion, Rig, pose_json, read_motion
from nerfstudio_mobavatar.motion.axes import name as axis_name
from nerfstudio_mobavatar.motion.types import MotionError, MotionOptions
from nerfstudio_mobavatar.posing.edit import EditedPose
from nerfstudio_mobavatar.posing.ik import Skeleton

SUFFIX = ".pose.json"


def rig_of(skeleton: Skeleton) -> Rig:
    """Poses of an avatar hold their hands themselves, so the rig's mean hand is flat."""
    return Rig(skeleton.rest, skeleton.parents, np.zeros((30, 3)))


def save_pose(path: Path, edited: EditedPose, skeleton: Skeleton) -> None:
    """Write a `.pose.json` of one frame, complete or not at all.

    Raises:
        MotionError: another ending, or a folder that is not there.
    """
    if not path.name.endswith(SUFFIX):
        raise MotionError(f"{path}: expected a name that ends in {SUFFIX}; choose one.")
    if not path.parent.is_dir():
        raise MotionError(f"{path}: expected the folder {path.parent} to be there, found none; create it.")
    motion = Motion(edited.pose[None], edited.transl[None], edited.expression[None], 30.0, "y")
    draft = path.with_name(f".{path.name}.part")
    pose_json.write(draft, motion, rig_of(skeleton))
    draft.replace(path)


def load_motion(path: Path, skeleton: Skeleton, up: tuple[float, float, float], hands: np.ndarray) -> Motion:
    """A motion file for this person in the capture's world. A `.pose.json` or `.pose.bin` is taken as it stands;
    other formats are turned so that their up axis is the capture's. `hands` [30, 3] is the body's mean hand pose.

    Raises:
        MotionError: missing, damaged, or of no known format.
    """
    rig = Rig(skeleton.rest, skeleton.parents, hands)
    if path.name.lower().endswith((".json", ".pose.bin")):
        raw = pose_json.read(path, rig)
        if not all(np.isfinite(x).all() for x in (raw.pose, raw.pelvis, raw.expression)):
            raise MotionError(f"{path}: expected finite numbers, found NaN or infinity. Export it again.")
        return Motion(raw.pose, raw.pelvis - rig.joint_rest[0], raw.expression, raw.fps or raw.usual_fps, "y")
    return read_motion(path, rig, MotionOptions(target_up=axis_name(up)))[0]


def frame_of(motion: Motion, row: int, like: EditedPose) -> EditedPose:
    """One frame of a motion, with as many expression coefficients as the avatar of `like` takes."""
    expression = np.zeros_like(like.expression)
    count = min(len(expression), motion.expression.shape[1])
    expression[:count] = motion.expression[row, :count]
    return EditedPose(motion.pose[row].copy(), motion.transl[row].copy(), expression)

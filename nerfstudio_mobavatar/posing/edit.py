"""What people do to a pose besides dragging limbs: turn a joint, mirror, curl fingers, open the mouth, take it back."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from nerfstudio_mobavatar.motion.joint_names import INDEX, NAMES

from .ik import LIMBS, Skeleton, reach, world_joints
from .limits import LIMITS, angles, limited, nearest_vector, quaternion, widened

MIRRORED: tuple[int, ...] = tuple(
    INDEX[name.replace("left_", "right_") if name.startswith("left_") else name.replace("right_", "left_")]
    for name in NAMES
)
"""[55] the joint on the other side; the middle ones are their own."""
FINGERS = ("index", "middle", "pinky", "ring", "thumb")
CURL_DEG: dict[str, tuple[float, float, float]] = {
    name: (35.0, 30.0, 60.0) if name == "thumb" else (80.0, 95.0, 60.0) for name in FINGERS
}
"""Bend of a finger's three joints in a fist."""
HISTORY_LENGTH = 200

T = TypeVar("T")

GROUPS: dict[str, tuple[str, ...]] = {
    "head": ("neck", "head"),
    "trunk": ("pelvis", "spine1", "spine2", "spine3"),
    "left arm": ("left_collar", "left_shoulder", "left_elbow", "left_wrist"),
    "right arm": ("right_collar", "right_shoulder", "right_elbow", "right_wrist"),
    "left leg": ("left_hip", "left_knee", "left_ankle", "left_foot"),
    "right leg": ("right_hip", "right_knee", "right_ankle", "right_foot"),
    "face": ("jaw", "left_eye", "right_eye"),
    "left hand": tuple(name for name in NAMES[25:40]),
    "right hand": tuple(name for name in NAMES[40:55]),
}
"""Joints by the part of the body that a person would look for them under."""


@dataclass(frozen=True)
class EditedPose:
    """One pose; operations return another one."""

    pose: Float[ndarray, "55 3"]
    """Axis-angle, radians."""
    transl: Float[ndarray, " 3"]
    """Metres."""
    expression: Float[ndarray, " e"]

    def with_pose(self, pose: Float[ndarray, "55 3"]) -> "EditedPose":
        return replace(self, pose=pose)


def turned(edited: EditedPose, joint: int, vector: Float[ndarray, " 3"], use_limits: bool = True) -> EditedPose:
    """One joint set to an axis-angle (radians), kept in its range unless `use_limits` is off; the range is widened
    to what the joint holds already."""
    if not np.isfinite(vector).all():
        raise ValueError(f"{NAMES[joint]}: expected three finite numbers, found {np.asarray(vector).tolist()}")
    q, before = quaternion(np.asarray(vector, np.float64)), edited.pose[joint]
    if use_limits and joint != 0:
        low, high = widened(joint, quaternion(before))
        q = limited(q, LIMITS.bone[joint], low, high)
    pose = edited.pose.copy()
    pose[joint] = nearest_vector(q, before)
    return edited.with_pose(pose)


def mirrored(edited: EditedPose) -> EditedPose:
    """Left and right exchanged: the reflection at the plane x = 0 of the person, `(x, y, z) -> (x, -y, -z)` of the
    other side's axis-angle. The pelvis and the place in the world stay, and so does the expression, whose coefficients
    know no sides."""
    pose = edited.pose[list(MIRRORED)] * np.array([1.0, -1.0, -1.0])
    pose[0] = edited.pose[0]
    return edited.with_pose(pose)


def moved_pelvis(
    skeleton: Skeleton, edited: EditedPose, transl: Float[ndarray, " 3"], planted: bool = True
) -> EditedPose:
    """The person at another place; `planted` feet stay where they are as far as the legs reach."""
    out = replace(edited, transl=np.asarray(transl, np.float64))
    if not planted:
        return out
    before = world_joints(skeleton, edited.pose, edited.transl)[1]
    pose = out.pose
    for name in ("left_foot", "right_foot"):
        pose = reach(skeleton, pose, out.transl, LIMBS[name], before[LIMBS[name].end])
    return out.with_pose(pose)


def curl_axis(skeleton: Skeleton, side: str, finger: str) -> Float[ndarray, " 3"]:
    """Unit axis about which a finger bends: across its bone and the way into the palm, which faces down in the rest
    pose; a thumb bends towards the root of the little finger."""
    first, last = (skeleton.rest[INDEX[f"{side}_{finger}{i}"]] for i in (1, 3))
    palm = np.array([0.0, -1.0, 0.0])
    if finger == "thumb":
        palm = skeleton.rest[INDEX[f"{side}_pinky1"]] - last
    axis = np.cross(last - first, palm)
    return axis / np.linalg.norm(axis)


def curled(
    skeleton: Skeleton, edited: EditedPose, side: str, share: float, fingers: Sequence[str] = FINGERS
) -> EditedPose:
    """Fingers between flat (0) and a fist (1)."""
    pose = edited.pose.copy()
    for finger in fingers:
        axis = curl_axis(skeleton, side, finger)
        for i, degrees in enumerate(CURL_DEG[finger]):
            pose[INDEX[f"{side}_{finger}{i + 1}"]] = axis * np.radians(degrees) * share
    return edited.with_pose(pose)


def curl_of(skeleton: Skeleton, edited: EditedPose, side: str, finger: str) -> float:
    """How curled a finger is, 0..1: the inverse of `curled`, the nearest for other poses."""
    axis = curl_axis(skeleton, side, finger)
    bends = np.array([edited.pose[INDEX[f"{side}_{finger}{i}"]] @ axis for i in (1, 2, 3)])
    full = np.radians(CURL_DEG[finger])
    return float(np.clip(bends @ full / (full @ full), 0, 1))


def degrees_of(edited: EditedPose, joint: int) -> Float[ndarray, " 3"]:
    """A joint's angles as the limits count them."""
    return angles(quaternion(edited.pose[joint]), LIMITS.bone[joint])


@dataclass
class History(Generic[T]):
    """Undo and redo. A drag is one step however many moves it has: a state recorded with the same `gesture` as the
    newest one replaces it."""

    now: T
    _past: list[T] = field(default_factory=list)
    _future: list[T] = field(default_factory=list)
    _gesture: object = None

    def record(self, state: T, gesture: object = None) -> None:
        """A new state; what was undone is gone."""
        if gesture is None or gesture != self._gesture:
            self._past = [*self._past[-HISTORY_LENGTH + 1 :], self.now]
        self.now, self._future, self._gesture = state, [], gesture

    def undo(self) -> bool:
        """One step back; False where there is none."""
        return self._step(self._past, self._future)

    def redo(self) -> bool:
        """One step forward again; False where there is none."""
        return self._step(self._future, self._past)

    def _step(self, source: list[T], other: list[T]) -> bool:
        if not source:
            return False
        other.append(self.now)
        self.now, self._gesture = source.pop(), None
        return True

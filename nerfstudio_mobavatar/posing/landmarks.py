"""A pose from the landmarks of a camera: what a person in front of a webcam does, the avatar does.

Landmarks are those of MediaPipe's pose, hand and face landmarkers (ai.google.dev/edge/mediapipe), which this module
does not need: positions go in, rotations come out, by geometry alone.

1. Pelvis and chest from the lines of hips and shoulders and the way up between them; spine and neck share what lies
   between, in equal parts.
2. An upper arm (thigh) points along its bone, and twists so that the elbow (knee) bends about its hinge; a straight
   limb says nothing about its twist and keeps to the joint above.
3. The hand's palm gives the wrist, whose twist the forearm takes; fingers follow bone by bone.
4. What is hardly seen keeps its rotation of a moment before; every joint stays in its range.

The pelvis keeps its place over the floor: a camera's landmarks do not say where a person stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from nerfstudio_mobavatar.motion.joint_names import INDEX

from .edit import FINGERS, EditedPose
from .ik import PLANE_FROM_DEG, PLANE_FULLY_DEG, Skeleton, world_joints
from .limits import (
    HINGES,
    LIMITS,
    between,
    conjugate,
    limited,
    multiply,
    nearest_vector,
    quaternion,
    rotation_vector,
    swing_twist,
    turn,
)

HIDDEN, SEEN = 0.3, 0.6
"""Visibility up to which a landmark is not used, and from which it is used fully."""
NOSE_DOWN_DEG = 15.0
"""How far the tip of the nose lies below the ears, seen from between them."""
FINGER_ROOTS = {"thumb": 1, "index": 5, "middle": 9, "ring": 13, "pinky": 17}
"""First of a finger's four landmarks."""
MARKS: dict[str, int] = {
    "nose": 0, "left_ear": 7, "right_ear": 8,
    **{f"{side}_{name}": number + (side == "right") for side in ("left", "right") for name, number in (
        ("shoulder", 11), ("elbow", 13), ("wrist", 15), ("pinky", 17), ("index", 19), ("hip", 23), ("knee", 25),
        ("ankle", 27), ("foot", 31),
    )},
}  # fmt: skip
"""The body's landmarks that are used."""
AXES = np.array([1.0, -1.0, -1.0])
"""From MediaPipe's axes (x right in the picture, y down, z away) to the avatar's (x to its left, y up, z forwards)."""
_UP = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True)
class Landmarks:
    """One picture's. MediaPipe's axes and numbering; metres, or any one unit within an array."""

    body: Float[ndarray, "33 3"]
    visibility: Float[ndarray, " 33"]
    """0 hidden, 1 seen."""
    left_hand: Float[ndarray, "21 3"] | None = None
    right_hand: Float[ndarray, "21 3"] | None = None
    face: Float[ndarray, "4 3"] | None = None
    """Beside the left ear, beside the right ear, top of the forehead, chin."""
    jaw: float | None = None
    """0 closed, 1 open."""
    eyes: Float[ndarray, "2 2"] | None = None
    """Left and right eye: to the person's left and down, -1..1."""


def flipped(marks: Landmarks) -> Landmarks:
    """The landmarks of the mirror image: left and right exchanged."""
    across = np.array([-1.0, 1.0, 1.0])
    order = np.arange(len(marks.visibility))
    for name, number in MARKS.items():
        if name.startswith("left_"):
            other = MARKS[name.replace("left_", "right_")]
            order[[number, other]] = other, number
    turned = lambda places: None if places is None else places * across  # noqa: E731
    return Landmarks(
        marks.body[order] * across,
        marks.visibility[order],
        turned(marks.right_hand),
        turned(marks.left_hand),
        None if marks.face is None else marks.face[[1, 0, 2, 3]] * across,
        marks.jaw,
        None if marks.eyes is None else marks.eyes[::-1] * across[:2],
    )


def facing(pelvis: Float[ndarray, " 3"]) -> Float[ndarray, " 4"]:
    """Rotation (wxyz) of somebody who stands upright in the world and looks the way a pelvis does (axis-angle); up is
    the axis of the world nearest to the pelvis' own."""
    q = quaternion(pelvis)
    up = turn(q, _UP)
    k = int(np.abs(up).argmax())
    upright = np.eye(3)[k] * np.sign(up[k])
    return multiply(between(_unit(up), upright, turn(q, np.array([0.0, 0, 1]))), q)


def retargeted(skeleton: Skeleton, marks: Landmarks, before: EditedPose, stands: Float[ndarray, " 4"]) -> EditedPose:
    """The pose that the landmarks show, where they show it; the rest of it is that of `before`.

    `stands` (wxyz): how somebody stands in the avatar's world who looks straight into the camera, see `facing`.
    Raises `ValueError` for landmarks that are not finite.
    """
    body = _Figure(skeleton, before, stands)
    p, seen = body.places(marks.body), lambda *names: _weight(marks.visibility, names)
    at = lambda name: p[MARKS[name]]  # noqa: E731
    middle = lambda name: 0.5 * (at(f"left_{name}") + at(f"right_{name}"))  # noqa: E731
    hips, shoulders = seen("left_hip", "right_hip"), seen("left_shoulder", "right_shoulder")
    spine = _unit(middle("shoulder") - middle("hip"))
    across, up = (body.rest(f"right_{n}", f"left_{n}") for n in ("hip", "shoulder")), body.middle("hip", "shoulder")
    rest_hips, rest_shoulders = across
    pelvis = _fit(at("left_hip") - at("right_hip"), spine, rest_hips, up)
    body.set("pelvis", pelvis, min(hips, shoulders))
    spine = hips * spine + (1 - hips) * turn(stands, _UP)
    chest = _fit(at("left_shoulder") - at("right_shoulder"), spine, rest_shoulders, up)
    body.share(("spine1", "spine2", "spine3"), chest, shoulders)
    if marks.face is not None:
        left, right, top, chin = body.places(marks.face)
        body.share(("neck", "head"), _fit(left - right, top - chin, np.array([1.0, 0, 0]), _UP), 1.0)
    else:
        ears, nose = at("left_ear") - at("right_ear"), at("nose") - middle("ear")
        down = np.radians(NOSE_DOWN_DEG)
        ahead = np.array([0.0, -np.sin(down), np.cos(down)])
        head = _fit(ears, nose, np.array([1.0, 0, 0]), ahead)
        body.share(("neck", "head"), head, seen("nose", "left_ear", "right_ear"))
    for side in ("left", "right"):
        arm, leg = (
            [f"{side}_{n}" for n in names] for names in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
        )
        for limb in (arm, leg):
            a, b, c = (at(name) for name in limb)
            body.bend(limb, b - a, c - b, seen(*limb[:2]), seen(*limb))
        foot = body.along(f"{side}_ankle", body.rest(f"{side}_ankle", f"{side}_foot"), at(f"{side}_foot") - at(leg[2]))
        body.set(leg[2], foot, seen(leg[2], f"{side}_foot"))
        hand = marks.left_hand if side == "left" else marks.right_hand
        if hand is not None:
            body.hand(side, body.places(hand))
        else:
            index, pinky = at(f"{side}_index"), at(f"{side}_pinky")
            ahead = 0.5 * (body.rest(arm[2], f"{side}_index1") + body.rest(arm[2], f"{side}_pinky1"))
            palm = _fit(
                0.5 * (index + pinky) - at(arm[2]), index - pinky, ahead, body.rest(f"{side}_pinky1", f"{side}_index1")
            )
            body.palm(side, palm, seen(*arm, f"{side}_index", f"{side}_pinky"))
    if marks.jaw is not None:
        body.angle("jaw", np.array([marks.jaw, 0.0, 0.0]))
    if marks.eyes is not None:
        for name, (left, down) in zip(("left_eye", "right_eye"), marks.eyes):
            body.angle(name, np.array([down, left, 0.0]))
    return body.on_the_floor(seen("left_hip", "right_hip", "left_ankle", "right_ankle"))


class _Figure:
    """The pose that is being put together, parents before children."""

    def __init__(self, skeleton: Skeleton, before: EditedPose, stands: Float[ndarray, " 4"]) -> None:
        self._skeleton, self._before, self._stands = skeleton, before, stands
        self._pose = before.pose.copy()

    def places(self, marks: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        """Landmarks in the avatar's world, but for where it stands."""
        if not np.isfinite(marks).all():
            raise ValueError("landmarks: expected finite numbers, found NaN or infinity; leave the picture out")
        return np.array([turn(self._stands, mark) for mark in marks * AXES])

    def rest(self, start: str, end: str) -> Float[ndarray, " 3"]:
        return self._skeleton.rest[INDEX[end]] - self._skeleton.rest[INDEX[start]]

    def middle(self, start: str, end: str) -> Float[ndarray, " 3"]:
        """From between two joints of the rest pose to between two others."""
        return 0.5 * (self.rest(f"left_{start}", f"left_{end}") + self.rest(f"right_{start}", f"right_{end}"))

    def world(self, joint: int) -> Float[ndarray, " 4"]:
        q = quaternion(self._pose[joint])
        up = self._skeleton.parents[joint]
        return q if up < 0 else multiply(self.world(up), q)

    def above(self, name: str) -> Float[ndarray, " 4"]:
        """World rotation of the joint that carries another."""
        up = self._skeleton.parents[INDEX[name]]
        return np.array([1.0, 0, 0, 0]) if up < 0 else self.world(up)

    def set(self, name: str, wanted: Float[ndarray, " 4"], weight: float) -> None:
        """Turn a joint to a rotation in the world, as far as it is seen and its range lets it."""
        self._set_local(name, multiply(conjugate(self.above(name)), wanted), weight)

    def _set_local(self, name: str, wanted: Float[ndarray, " 4"], weight: float) -> None:
        j = INDEX[name]
        if weight <= 0:
            return
        before = quaternion(self._before.pose[j])
        way = rotation_vector(multiply(conjugate(before), wanted))
        q = multiply(before, quaternion(weight * way))
        if j != 0:
            q = limited(q, LIMITS.bone[j], LIMITS.low[j], LIMITS.high[j])
        self._pose[j] = nearest_vector(q, self._before.pose[j])

    def angle(self, name: str, share: Float[ndarray, " 3"]) -> None:
        """Turn a joint of the face to shares (-1..1) of its range."""
        j = INDEX[name]
        degrees = np.clip(share, -1, 1) * LIMITS.high[j]
        self._set_local(name, quaternion(np.radians(degrees)), 1.0)

    def share(self, names: Sequence[str], wanted: Float[ndarray, " 4"], weight: float) -> None:
        """Turn a chain so that its last joint has a rotation in the world, every joint by the same part of it."""
        part = rotation_vector(multiply(conjugate(self.above(names[0])), wanted)) / len(names)
        for name in names:
            self._set_local(name, quaternion(part), weight)

    def along(self, name: str, bone: Float[ndarray, " 3"], wanted: Float[ndarray, " 3"]) -> Float[ndarray, " 4"]:
        """World rotation of a joint that points its bone (rest pose) along a direction, without twist."""
        above = self.above(name)
        bone = _unit(turn(above, bone))
        return multiply(between(bone, _unit(wanted), turn(above, np.array([0.0, 0, 1]))), above)

    def bend(
        self, limb: Sequence[str], upper: Float[ndarray, " 3"], lower: Float[ndarray, " 3"], first: float, both: float
    ) -> None:
        """Point the two bones of a limb; `first` and `both` are the weights of the upper one and of its twist."""
        q = self.along(limb[0], self.rest(limb[0], limb[1]), upper)
        axis, normal = _unit(upper), np.cross(_unit(upper), _unit(lower))
        sine = float(np.linalg.norm(normal))
        bent = np.degrees(np.arctan2(sine, axis @ _unit(lower)))
        share = both * min(max((bent - PLANE_FROM_DEG) / (PLANE_FULLY_DEG - PLANE_FROM_DEG), 0.0), 1.0)
        hinge = turn(q, np.array(HINGES[INDEX[limb[1]]], np.float64))
        hinge = hinge - (hinge @ axis) * axis
        twist = np.arctan2(np.cross(hinge, normal) @ axis, hinge @ normal) if sine > 1e-9 else 0.0
        self.set(limb[0], multiply(quaternion(share * twist * axis), q), first)
        self.set(limb[1], self.along(limb[1], self.rest(limb[1], limb[2]), lower), both)

    def palm(self, side: str, wanted: Float[ndarray, " 4"], weight: float) -> None:
        """Turn a hand to a rotation in the world; the forearm takes the twist."""
        if weight <= 0:
            return
        elbow, wrist = f"{side}_elbow", f"{side}_wrist"
        q, relative = quaternion(self._pose[INDEX[elbow]]), multiply(conjugate(self.above(wrist)), wanted)
        _, twist = swing_twist(conjugate(relative), LIMITS.bone[INDEX[wrist]])
        part = quaternion(weight * rotation_vector(conjugate(twist)))
        self._pose[INDEX[elbow]] = self._in_range(elbow, multiply(q, part))
        self.set(wrist, wanted, weight)

    def _in_range(self, name: str, q: Float[ndarray, " 4"]) -> Float[ndarray, " 3"]:
        j = INDEX[name]
        return nearest_vector(limited(q, LIMITS.bone[j], LIMITS.low[j], LIMITS.high[j]), self._before.pose[j])

    def hand(self, side: str, p: Float[ndarray, "21 3"]) -> None:
        """Palm and fingers from a hand's own landmarks."""
        wrist = f"{side}_wrist"
        ahead, wide = self.rest(wrist, f"{side}_middle1"), self.rest(f"{side}_pinky1", f"{side}_index1")
        self.palm(side, _fit(p[9] - p[0], p[5] - p[17], ahead, wide), 1.0)
        for finger in FINGERS:
            first = FINGER_ROOTS[finger]
            names = [f"{side}_{finger}{i}" for i in (1, 2, 3)]
            bones = [
                self.rest(names[0], names[1]),
                *[self.rest(names[1], names[2])] * 2,
            ]  # the last has no joint at its tip
            for i, (name, bone) in enumerate(zip(names, bones)):
                self.set(name, self.along(name, bone, p[first + i + 1] - p[first + i]), 1.0)

    def on_the_floor(self, weight: float) -> EditedPose:
        """The pose, as high over the floor as before where the legs are seen."""
        before, up = self._before, turn(self._stands, _UP)
        feet = [INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("ankle", "foot")]
        poses = (before.pose, self._pose)
        lowest = [(world_joints(self._skeleton, pose, before.transl)[1][feet] @ up).min() for pose in poses]
        return replace(before, pose=self._pose, transl=before.transl + weight * (lowest[0] - lowest[1]) * up)


def _weight(visibility: Float[ndarray, " 33"], names: Sequence[str]) -> float:
    least = min(float(visibility[MARKS[name]]) for name in names)
    return min(max((least - HIDDEN) / (SEEN - HIDDEN), 0.0), 1.0)


def _fit(
    first: Float[ndarray, " 3"],
    second: Float[ndarray, " 3"],
    rest_first: Float[ndarray, " 3"],
    rest_second: Float[ndarray, " 3"],
) -> Float[ndarray, " 4"]:
    """The rotation that takes one pair of directions to another: the first exactly, the second as near as it goes."""
    q = between(_unit(rest_first), _unit(first), _unit(rest_second))
    axis, now = _unit(first), turn(q, rest_second)
    a, b = (v - (v @ axis) * axis for v in (now, second))
    return multiply(quaternion(np.arctan2(np.cross(a, b) @ axis, a @ b) * axis), q)


def _unit(v: Float[ndarray, " 3"]) -> Float[ndarray, " 3"]:
    return v / max(float(np.linalg.norm(v)), 1e-12)

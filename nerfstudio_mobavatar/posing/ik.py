"""A limb follows a dragged hand or foot: two bones, in closed form, inside the limits of the joints.

1. The elbow (knee) bends so that shoulder and hand are as far apart as the target: the angle between the bones is set
   by the law of cosines, in the plane that the limb has now; a straight limb bends about its anatomical hinge.
2. The shoulder (hip) turns by the smallest rotation that points at the target.
3. Where that leaves the shoulder's range, the limb swivels about the line to the target, which keeps the hand where it
   is, by the angle nearest to zero that is inside. Where no angle is, the range wins and the hand falls short.

A pose that already reaches the target comes back unchanged, so that touching a handle moves nothing. Hands keep their
angle to the forearm, feet their direction in the world.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from nerfstudio_mobavatar.motion.joint_names import INDEX

from .limits import (
    HINGES,
    LIMITS,
    angles,
    between,
    conjugate,
    excess,
    from_angles,
    limited,
    multiply,
    nearest_vector,
    quaternion,
    turn,
    widened,
)

STRAIGHT_DEG = 1.0
"""A limb is never stretched further: at zero the plane of its bend is lost."""
PLANE_FROM_DEG, PLANE_FULLY_DEG = 5.0, 15.0
"""Between these bends the plane of the limb takes over from the anatomical hinge."""
CALM_RAD, CALM_RAD_PER_LENGTH = 0.35, 5.0
"""How far a limb may swivel to stay in range: for a small movement of the hand a little, for one as long as the limb
freely. A dragged hand then never flips the elbow to the other side; it falls short instead."""
SWIVEL_STEPS = 36
"""Samples on either side of zero."""
REFINEMENTS = 24
VALLEYS = 3


@dataclass(frozen=True)
class Skeleton:
    """Joints of one person."""

    rest: Float[ndarray, "55 3"]
    """Metres, rest pose."""
    parents: tuple[int, ...]
    """-1 for the pelvis, parents before children."""


class Limb(NamedTuple):
    """Joint numbers from the trunk outwards."""

    upper: int
    lower: int
    end: int
    kind: str
    """ "arm" or "leg"."""


LIMBS: dict[str, Limb] = {
    "left_hand": Limb(INDEX["left_shoulder"], INDEX["left_elbow"], INDEX["left_wrist"], "arm"),
    "right_hand": Limb(INDEX["right_shoulder"], INDEX["right_elbow"], INDEX["right_wrist"], "arm"),
    "left_foot": Limb(INDEX["left_hip"], INDEX["left_knee"], INDEX["left_ankle"], "leg"),
    "right_foot": Limb(INDEX["right_hip"], INDEX["right_knee"], INDEX["right_ankle"], "leg"),
}
"""By the name of the handle."""


def world_joints(
    skeleton: Skeleton, pose: Float[ndarray, "55 3"], transl: Float[ndarray, " 3"]
) -> tuple[Float[ndarray, "55 4"], Float[ndarray, "55 3"]]:
    """Rotation (quaternion wxyz) and position (metres) of every joint in the world. Twin of
    `body_model.forward_kinematics`."""
    q, t = np.empty((55, 4)), np.empty((55, 3))
    local = quaternion(pose)
    for j, up in enumerate(skeleton.parents):
        if up < 0:
            q[j], t[j] = local[j], skeleton.rest[j] + transl
        else:
            q[j] = multiply(q[up], local[j])
            t[j] = t[up] + turn(q[up], skeleton.rest[j] - skeleton.rest[up])
    return q, t


def reach(
    skeleton: Skeleton,
    pose: Float[ndarray, "55 3"],
    transl: Float[ndarray, " 3"],
    limb: Limb,
    target: Float[ndarray, " 3"],
) -> Float[ndarray, "55 3"]:
    """The pose in which the limb's end (wrist, ankle) is at `target` (metres, world), or as near as the limb allows.

    Only the limb's joints change. Raises `ValueError` for a target that is not finite.
    """
    now = _held(skeleton, pose, transl, limb, target)
    dragged = float(np.linalg.norm(target - now.hand))
    if dragged < 1e-9:
        return pose.copy()
    towards = target - now.shoulder
    distance = float(np.linalg.norm(towards))
    local_lower = _bent(skeleton, limb, now, distance)
    forearm = skeleton.rest[limb.end] - skeleton.rest[limb.lower]
    hand = now.elbow + turn(multiply(now.upper, local_lower), forearm)
    hinge = turn(now.upper, np.array(HINGES[limb.lower], np.float64))
    axis = _unit(hand - now.shoulder) if distance < 1e-6 else towards / distance
    aimed = multiply(between(_unit(hand - now.shoulder), axis, hinge), now.upper)
    length = sum(float(np.linalg.norm(skeleton.rest[j] - skeleton.rest[i])) for i, j in zip(limb[:2], limb[1:3]))
    most = min(CALM_RAD + CALM_RAD_PER_LENGTH * dragged / length, np.pi)
    local_upper = _swivelled(limb.upper, now, aimed, axis, most)
    turned = {limb.upper: local_upper, limb.lower: local_lower}
    if limb.kind == "leg":
        knee = multiply(multiply(now.above, local_upper), local_lower)
        low, high = widened(limb.end, quaternion(pose[limb.end]))
        turned[limb.end] = limited(multiply(conjugate(knee), now.end), LIMITS.bone[limb.end], low, high)
    return _with_joints(pose, turned)


def swivel(
    skeleton: Skeleton,
    pose: Float[ndarray, "55 3"],
    transl: Float[ndarray, " 3"],
    limb: Limb,
    target: Float[ndarray, " 3"],
) -> Float[ndarray, "55 3"]:
    """The limb turned about the line from its root to its end, which both stay, so that the elbow (knee) comes nearest
    to `target`. A limb that is straight, and a turn that leaves the range of the joint, change nothing. Raises
    `ValueError` for a target that is not finite."""
    now = _held(skeleton, pose, transl, limb, target)
    axis = _unit(now.hand - now.shoulder)
    across, wanted = (v - (v @ axis) * axis for v in (now.elbow - now.shoulder, target - now.shoulder))
    if min(np.linalg.norm(across), np.linalg.norm(wanted)) < 1e-4:
        return pose.copy()
    angle = np.arctan2(np.cross(across, wanted) @ axis, across @ wanted)
    local = multiply(conjugate(now.above), multiply(quaternion(angle * axis), now.upper))
    low, high = widened(limb.upper, quaternion(pose[limb.upper]))
    if excess(local, LIMITS.bone[limb.upper], low, high) > 1e-6:
        return pose.copy()
    return _with_joints(pose, {limb.upper: local})


class _Held(NamedTuple):
    """A limb as it stands before it is moved: rotations (wxyz) and places (metres) in the world, named as in an arm."""

    above: Float[ndarray, " 4"]
    upper: Float[ndarray, " 4"]
    lower: Float[ndarray, " 4"]
    end: Float[ndarray, " 4"]
    shoulder: Float[ndarray, " 3"]
    elbow: Float[ndarray, " 3"]
    hand: Float[ndarray, " 3"]


def _held(
    skeleton: Skeleton,
    pose: Float[ndarray, "55 3"],
    transl: Float[ndarray, " 3"],
    limb: Limb,
    target: Float[ndarray, " 3"],
) -> _Held:
    if not np.isfinite(target).all():
        raise ValueError(f"target: expected three finite numbers, found {np.asarray(target).tolist()}")
    q, t = world_joints(skeleton, pose, transl)
    joints = limb[:3]
    return _Held(q[skeleton.parents[limb.upper]], *(q[j] for j in joints), *(t[j] for j in joints))


def _with_joints(pose: Float[ndarray, "55 3"], turned: dict[int, Float[ndarray, " 4"]]) -> Float[ndarray, "55 3"]:
    """The pose with other local rotations (wxyz) of some joints, in the numbers nearest to what they hold."""
    out = pose.copy()
    for joint, q in turned.items():
        out[joint] = nearest_vector(q, pose[joint])
    return out


def _unit(v: Float[ndarray, " 3"]) -> Float[ndarray, " 3"]:
    return v / max(float(np.linalg.norm(v)), 1e-12)


def _bent(skeleton: Skeleton, limb: Limb, now: _Held, distance: float) -> Float[ndarray, " 4"]:
    """Step 1: the lower joint's rotation relative to the upper one, with root and end `distance` apart where the bend's
    range allows it."""
    (upper_q, lower_q), (shoulder, elbow, hand) = (now.upper, now.lower), now[4:]
    a, b = float(np.linalg.norm(elbow - shoulder)), float(np.linalg.norm(hand - elbow))
    cosine = (distance * distance - a * a - b * b) / (2 * a * b)
    straight, folded = np.cos(np.radians([STRAIGHT_DEG, _most_bent(skeleton, limb)]))
    cosine = min(max(cosine, folded), straight)
    along, forearm = (elbow - shoulder) / a, (hand - elbow) / b
    hinge = turn(upper_q, np.array(HINGES[limb.lower], np.float64))
    hinge = _unit(hinge - (hinge @ along) * along)
    cross = np.cross(along, forearm)
    sine = float(np.linalg.norm(cross))
    bend = np.degrees(np.arctan2(sine, along @ forearm))
    share = min(max((bend - PLANE_FROM_DEG) / (PLANE_FULLY_DEG - PLANE_FROM_DEG), 0.0), 1.0)
    plane = share * cross / max(sine, 1e-12) + (1 - share) * hinge
    normal = hinge if np.linalg.norm(plane) < 0.1 else _unit(plane)
    wanted = cosine * along + np.sqrt(1 - cosine * cosine) * np.cross(normal, along)
    return multiply(conjugate(upper_q), multiply(between(forearm, wanted, normal), lower_q))


def _most_bent(skeleton: Skeleton, limb: Limb) -> float:
    """Largest angle between the bones, degrees: the range of the hinge, and the bend that the rest pose has already."""
    along, forearm = (
        _unit(skeleton.rest[j] - skeleton.rest[i]) for i, j in ((limb.upper, limb.lower), (limb.lower, limb.end))
    )
    hinge = int(np.abs(HINGES[limb.lower]).argmax())
    least, most = LIMITS.low[limb.lower][hinge], LIMITS.high[limb.lower][hinge]
    return float(np.degrees(np.arccos(min(along @ forearm, 1.0))) + max(abs(least), abs(most)))


def _swivelled(
    joint: int, now: _Held, aimed: Float[ndarray, " 4"], axis: Float[ndarray, " 3"], most: float
) -> Float[ndarray, " 4"]:
    """Step 3: local rotation of the upper joint, turned about `axis` into its range by the smallest angle that does it,
    at most by `most` radians."""
    bone, down = LIMITS.bone[joint], conjugate(now.above)
    held = multiply(down, now.upper)
    low, high = widened(joint, held)

    def local(angle: float) -> Float[ndarray, " 4"]:
        return multiply(down, multiply(quaternion(angle * axis), aimed))

    def outside(angle: float) -> float:
        return excess(local(angle), bone, low, high)

    if outside(0.0) == 0:
        return local(0.0)
    step = most / SWIVEL_STEPS
    found = {0: outside(0.0)}
    # outwards from zero on both sides, so that the first angle inside the range is the nearest
    for i in range(1, SWIVEL_STEPS + 1):
        for signed in (i, -i):
            found[signed] = outside(signed * step)
            if found[signed] == 0:
                return local(_edge(outside, signed * step, (signed - np.sign(signed)) * step))
    # the range may be narrower than a step: look into the valleys between the samples, the deepest first
    ends = (-SWIVEL_STEPS - 1, SWIVEL_STEPS + 1)
    value = found | dict.fromkeys(ends, np.inf)
    valleys = sorted((i for i in found if found[i] <= min(value[i - 1], value[i + 1])), key=lambda i: found[i])
    bottoms = [
        _bottom(outside, max(i - 1, -SWIVEL_STEPS) * step, min(i + 1, SWIVEL_STEPS) * step) for i in valleys[:VALLEYS]
    ]
    best = local(min(bottoms, key=outside))
    # where the range wins, walk towards its edge inside of it, no faster than the hand was dragged
    wanted, start = np.clip(angles(best, bone), low, high), angles(held, bone)
    turned = np.radians(np.linalg.norm(wanted - start))
    return from_angles(start + (wanted - start) * min(most / max(turned, 1e-12), 1.0), bone)


def _edge(outside: Callable[[float], float], inside: float, beyond: float) -> float:
    """Where a range begins: the angle inside it that is nearest to `beyond`, by bisection."""
    for _ in range(REFINEMENTS):
        middle = 0.5 * (inside + beyond)
        inside, beyond = (middle, beyond) if outside(middle) == 0 else (inside, middle)
    return inside


def _bottom(outside: Callable[[float], float], left: float, right: float) -> float:
    """Lowest point of a valley, by golden section."""
    for _ in range(REFINEMENTS):
        a, b = left + 0.382 * (right - left), left + 0.618 * (right - left)
        left, right = (left, b) if outside(a) < outside(b) else (a, right)
    return 0.5 * (left + right)

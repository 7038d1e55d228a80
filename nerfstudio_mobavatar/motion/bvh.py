"""BVH: any skeleton of a person, moved over to SMPL-X's by names and rest directions, and back out.

Every joint of a BVH rests with its axes along the file's axes; its offsets say how the body stands at rest (T-pose,
A-pose, lying in another axis). The body takes over the *world* direction of each bone: with the rest rotation `A` that
turns the target's resting bone onto the source's, `W_target = W_source A`. Joints without a counterpart keep their
parent's rotation, those of the source that have none are folded into the next one. The trunk, the feet and the head
take over rotations only (`A` is the turn between the two bodies' rest axes): their joints sit at other places in every
skeleton, while arms and legs are what is seen.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.spatial.transform import Rotation

from . import bvh_file
from .joint_names import INDEX, NAMES, match_names
from .types import METRES, Motion, MotionError, RawMotion, Rig, pad_expression

NEEDED = ("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
          "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist")  # fmt: skip
"""Without these there is no person."""
_ALONG: dict[str, str] = {"hip": "knee", "knee": "ankle", "shoulder": "elbow", "elbow": "wrist"}
_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
_CENTIMETRES = 100.0


def read(path: Path, rig: Rig, unit: str) -> RawMotion:
    """See the module; `unit` "auto" scales the walk to the rig's legs."""
    bvh = bvh_file.parse(path)
    parents = [j.parent for j in bvh.joints]
    match = match_names([j.name for j in bvh.joints], parents)
    missing = [name for name in NEEDED if INDEX[name] not in match]
    if missing:
        raise MotionError(
            f"{path}: expected joints named as CMU, Mixamo or SMPL do, found none for {', '.join(missing)} among "
            f"{', '.join(j.name for j in bvh.joints[:30])}. Rename them in the file's HIERARCHY."
        )
    rest = bvh.rest()
    world = _world(bvh, parents)
    align = _alignments(rig, rest, match)
    pose = _local(rig, {j: world[s] * align[j] for j, s in match.items()}, len(bvh.values))
    scale, said = _scale(path, rig, rest, match, unit)
    positions, notes = _root(bvh, world, match[0])
    has_hands = INDEX["left_index1"] in match and INDEX["right_index1"] in match
    spare = sorted({j.name for i, j in enumerate(bvh.joints) if i not in match.values()})
    if spare:
        notes += (f"joints without a counterpart, folded into the next ones: {', '.join(spare[:8])}"
                  f"{f' and {len(spare) - 8} more' if len(spare) > 8 else ''}.",)  # fmt: skip
    return RawMotion(
        format="bvh",
        pose=pose,
        pelvis=positions,
        expression=pad_expression(None, len(pose)),
        fps=1 / bvh.frame_seconds,
        usual_fps=30.0,
        up=None,
        hands="given" if has_hands else "relaxed",
        unit=said,
        scale=scale,
        notes=notes,
    )


def text(motion: Motion, rig: Rig) -> str:
    """The motion as BVH: SMPL-X's joint names, the rig's rest pose, centimetres, `ZXY` rotations."""
    rotations = [Rotation.from_rotvec(motion.pose[:, j]) for j in range(55)]
    channels = tuple(f"{axis}rotation" for axis in bvh_file.WRITE_ORDER)
    positions = ("Xposition", "Yposition", "Zposition")
    joints = []
    for j, parent in enumerate(rig.parents):
        offset = (rig.joint_rest[j] - (rig.joint_rest[parent] if parent >= 0 else rig.joint_rest[0])) * _CENTIMETRES
        is_last = j not in rig.parents
        end = tuple(0.5 * offset) if is_last else None
        joints.append(
            bvh_file.BvhJoint(
                NAMES[j], parent, (offset[0], offset[1], offset[2]), channels if parent >= 0 else positions + channels,
                None if end is None else (end[0], end[1], end[2]),
            )
        )  # fmt: skip
    order = _depth_first(rig.parents)
    place = {j: i for i, j in enumerate(order)}
    moved = tuple(
        bvh_file.BvhJoint(n.name, -1 if n.parent < 0 else place[n.parent], n.offset, n.channels, n.end)
        for n in (joints[j] for j in order)
    )
    angles = [rotations[j].as_euler(bvh_file.WRITE_ORDER, degrees=True) for j in order]
    pelvis = (motion.transl + rig.joint_rest[0]) * _CENTIMETRES
    return bvh_file.text(bvh_file.Bvh(moved, 1 / motion.fps, np.concatenate([pelvis, *angles], 1)))


def _depth_first(parents: tuple[int, ...]) -> list[int]:
    """Joints in the order in which BVH nests them."""
    order, pending = [], [0]
    while pending:
        j = pending.pop()
        order.append(j)
        pending.extend(k for k in reversed(range(len(parents))) if parents[k] == j)
    return order


def _world(bvh: bvh_file.Bvh, parents: list[int]) -> list[Rotation]:
    """Per joint its rotations [t] in the world."""
    world: list[Rotation] = []
    for local, parent in zip(bvh.rotations(), parents):
        world.append(local if parent < 0 else world[parent] * local)
    return world


def _alignments(rig: Rig, rest: Float[ndarray, "j 3"], match: dict[int, int]) -> dict[int, Rotation]:
    """Per matched joint `A`: the target's rest directions -> the source's."""
    target = np.asarray(rig.joint_rest, np.float64)

    def across(joints: ndarray, index: dict[int, int] | range) -> ndarray:
        """Right-to-left over the hips, and from the hips up to the shoulders."""
        left, right = (joints[index[INDEX[f"{s}_hip"]]] for s in ("left", "right"))
        high = 0.5 * sum(joints[index[INDEX[f"{s}_shoulder"]]] for s in ("left", "right"))
        return np.stack([left - right, high - 0.5 * (left + right)])

    ours, theirs = (
        x / np.linalg.norm(x, axis=1, keepdims=True) for x in (across(target, range(55)), across(rest, match))
    )
    body = Rotation.align_vectors(theirs, ours)[0]
    out = {}
    for j, s in match.items():
        child = _next_along(j)
        out[j] = body
        if child is not None and child in match:
            ours, theirs = target[child] - target[j], rest[match[child]] - rest[s]
            out[j] = _shortest(body.apply(ours), theirs) * body
    for side in ("left", "right"):  # a hand rests in line with its forearm, a last phalanx with the one before
        out[INDEX[f"{side}_wrist"]] = out[INDEX[f"{side}_elbow"]]
        for finger in _FINGERS:
            if {INDEX[f"{side}_{finger}2"], INDEX[f"{side}_{finger}3"]} <= match.keys():
                out[INDEX[f"{side}_{finger}3"]] = out[INDEX[f"{side}_{finger}2"]]
    return out


def _next_along(joint: int) -> int | None:
    """The joint at the other end of an arm's, leg's or finger's bone."""
    side, _, role = NAMES[joint].partition("_")
    if role in _ALONG:
        return INDEX[f"{side}_{_ALONG[role]}"]
    if role[:-1] in _FINGERS and role[-1] in "12":
        return INDEX[f"{side}_{role[:-1]}{int(role[-1]) + 1}"]
    return None


def _shortest(a: Float[ndarray, " 3"], b: Float[ndarray, " 3"]) -> Rotation:
    """The smallest rotation that turns direction a into direction b; none where one of them has no length."""
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    if lengths < 1e-9:
        return Rotation.identity()
    axis, cosine = np.cross(a, b) / lengths, float(a @ b / lengths)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-9:
        return Rotation.identity() if cosine > 0 else Rotation.align_vectors([b], [a])[0]
    return Rotation.from_rotvec(axis / sine * np.arctan2(sine, cosine))


def _local(rig: Rig, world: dict[int, Rotation], frames: int) -> Float[ndarray, "t 55 3"]:
    """World rotations of the matched joints -> axis-angle relative to the parent; the others stay at rest."""
    pose = np.zeros((frames, 55, 3))
    known: list[Rotation] = []
    for j, parent in enumerate(rig.parents):
        above = known[parent] if parent >= 0 else Rotation.identity(frames)
        known.append(world.get(j, above))
        if j in world:
            pose[:, j] = (above.inv() * known[j]).as_rotvec()
    return pose


def _scale(path: Path, rig: Rig, rest: Float[ndarray, "j 3"], match: dict[int, int], unit: str) -> tuple[float, str]:
    """Metres per unit of the file, and what to say about it."""

    def leg(joints: ndarray, index: dict[int, int] | range) -> float:
        hip, knee, ankle = (joints[index[INDEX[f"left_{name}"]]] for name in ("hip", "knee", "ankle"))
        return float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))

    ours, theirs = leg(np.asarray(rig.joint_rest, np.float64), range(55)), leg(rest, match)
    if unit != "auto":
        return METRES[unit], f"{unit} (given)"
    if theirs < 1e-6:
        raise MotionError(f"{path}: expected legs with a length, found offsets of zero. Give --unit.")
    scale = ours / theirs
    nearest = min(METRES, key=lambda u: abs(np.log(METRES[u] / scale)))
    close = abs(np.log(METRES[nearest] / scale)) < np.log(1.5)
    name = f"about 1 {nearest}" if close else f"{scale:.4g} m"
    return scale, f"{name} (legs of {theirs:.4g} units are taken as the avatar's {ours:.2f} m)"


def _root(bvh: bvh_file.Bvh, world: list[Rotation], hips: int) -> tuple[Float[ndarray, "t 3"], tuple[str, ...]]:
    """Where the hips are, in the file's unit."""
    positions, notes = bvh.root_positions(), ()
    if positions is None:
        positions, notes = np.zeros((len(bvh.values), 3)), ("the root has no position channels: it stays in place.",)
    j, chain = hips, []
    while bvh.joints[j].parent >= 0:
        chain.append(j)
        j = bvh.joints[j].parent
    for j in reversed(chain):  # a root above the hips, as some programs write
        positions = positions + world[bvh.joints[j].parent].apply(np.asarray(bvh.joints[j].offset))
    return positions, notes

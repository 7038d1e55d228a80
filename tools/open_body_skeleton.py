"""MakeHuman's 163 bones folded into 55 joints in SMPL-X order, and its A-pose turned into a T-pose."""

import numpy as np
from makehuman_assets import MakeHuman
from numpy import ndarray
from scipy.spatial.transform import Rotation

FINGERS = ("index", "middle", "pinky", "ring", "thumb")
_MAKEHUMAN_FINGER = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}
SIDES = (("left", "L", 1.0), ("right", "R", -1.0))

NAMES = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "jaw", "left_eye", "right_eye",
    *(f"{side}_{finger}{k}" for side in ("left", "right") for finger in FINGERS for k in (1, 2, 3)),
)  # fmt: skip
PARENTS = (
    *(-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15),
    *(p for wrist, at in ((20, 25), (21, 40)) for k in range(0, 15, 3) for p in (wrist, at + k, at + k + 1)),
)
JOINT = {name: i for i, name in enumerate(NAMES)}


def bones_of_joints(mh: MakeHuman) -> dict[str, int]:
    """The joint that each MakeHuman bone moves with."""
    joint_of: dict[str, int] = {}

    def put(joint: str, *bones: str) -> None:
        joint_of.update({bone: JOINT[joint] for bone in bones})

    put("pelvis", "root", "pelvis.L", "pelvis.R")
    put("spine1", "spine05", "spine04")
    put("spine2", "spine03")
    put("spine3", "spine02", "spine01", "breast.L", "breast.R")
    put("neck", "neck01", "neck02", "neck03")
    for side, s, _ in SIDES:
        put(f"{side}_hip", f"upperleg01.{s}", f"upperleg02.{s}")
        put(f"{side}_knee", f"lowerleg01.{s}", f"lowerleg02.{s}")
        put(f"{side}_ankle", f"foot.{s}")
        put(f"{side}_foot", *[b for b in mh.rig if b.startswith("toe") and b.endswith(f".{s}")])
        put(f"{side}_collar", f"clavicle.{s}", f"shoulder01.{s}")
        put(f"{side}_shoulder", f"upperarm01.{s}", f"upperarm02.{s}")
        put(f"{side}_elbow", f"lowerarm01.{s}", f"lowerarm02.{s}")
        put(f"{side}_wrist", f"wrist.{s}", *[f"metacarpal{k}.{s}" for k in range(1, 5)])
        put(f"{side}_eye", f"eye.{s}")
        for finger, k in _MAKEHUMAN_FINGER.items():
            for i in (1, 2, 3):
                put(f"{side}_{finger}{i}", f"finger{k}-{i}.{s}")
    put("jaw", *_with_descendants(mh, "jaw"))
    put("head", *[bone for bone in mh.rig if bone not in joint_of])  # skull and the other bones of the face
    return joint_of


def _with_descendants(mh: MakeHuman, root: str) -> set[str]:
    found = {root}
    while more := {b for b in mh.rig if b not in found and mh.rig[b]["parent"] in found}:
        found |= more
    return found


def skin_weights(mh: MakeHuman) -> ndarray:
    """Weights [v, 55] that sum to one; eyeballs are rigid, points without any weight follow the head."""
    weights = np.zeros((len(mh.points), 55), np.float32)
    joint_of = bones_of_joints(mh)
    for bone, rows in mh.bone_weights.items():
        weights[rows[:, 0].astype(int), joint_of[bone]] += rows[:, 1]
    for letter, joint in (("l", "left_eye"), ("r", "right_eye")):
        eye = mh.groups[f"helper-{letter}-eye"]
        weights[eye] = 0
        weights[eye, JOINT[joint]] = 1
    weights[weights.sum(1) < 1e-6, JOINT["head"]] = 1
    return weights / weights.sum(1, keepdims=True)


def _head_bones() -> dict[str, str]:
    """The bone whose head is the joint, where that is all there is to say."""
    bones = {"spine1": "spine05", "spine2": "spine03", "spine3": "spine02", "neck": "neck01", "head": "head"}
    bones["jaw"] = "jaw"
    for side, s, _ in SIDES:
        for joint, bone in (
            ("hip", "upperleg01"), ("knee", "lowerleg01"), ("ankle", "foot"), ("collar", "clavicle"),
            ("shoulder", "upperarm01"), ("elbow", "lowerarm01"), ("wrist", "wrist"), ("eye", "eye"),
        ):  # fmt: skip
            bones[f"{side}_{joint}"] = f"{bone}.{s}"
        for finger, k in _MAKEHUMAN_FINGER.items():
            for i in (1, 2, 3):
                bones[f"{side}_{finger}{i}"] = f"finger{k}-{i}.{s}"
    return bones


def joint_places(mh: MakeHuman, points: ndarray) -> ndarray:
    """The 55 joints [55, 3] of these points."""
    places = np.zeros((55, 3))
    for name, bone in _head_bones().items():
        places[JOINT[name]] = mh.bone_end(points, bone)
    for side, s, _ in SIDES:
        places[JOINT[f"{side}_foot"]] = np.mean([mh.bone_end(points, f"toe{k}-1.{s}") for k in range(1, 6)], 0)
    hips = 0.5 * (mh.bone_end(points, "upperleg01.L") + mh.bone_end(points, "upperleg01.R"))
    places[0] = 0.35 * hips + 0.65 * mh.bone_end(points, "root")  # a little above the hip line
    places[0, 0] = 0
    return places


def rotation_between(a: ndarray, b: ndarray) -> ndarray:
    """The smallest rotation that takes direction a to direction b."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis)
    if sine < 1e-9:
        return np.eye(3)
    return Rotation.from_rotvec(axis / sine * np.arctan2(sine, a @ b)).as_matrix()


def t_pose_rotations(mh: MakeHuman) -> ndarray:
    """Global rotation of each joint [55, 3, 3] from MakeHuman's A-pose to an SMPL-like T-pose: arms along x, palms
    down, fingers straight, legs almost vertical. The same for every shape, so the T-pose stays linear in the shape."""
    points = mh.phenotype(gender=0.5)
    J = joint_places(mh, points)
    R = np.tile(np.eye(3), (55, 1, 1))
    for side, s, sign in SIDES:
        shoulder, elbow, wrist = (JOINT[f"{side}_{n}"] for n in ("shoulder", "elbow", "wrist"))
        outward = np.array([sign, 0, 0])
        R[shoulder] = rotation_between(J[elbow] - J[shoulder], outward)
        R[elbow] = rotation_between(J[wrist] - J[elbow], outward)
        R[wrist] = _hand_rotation(J, side, outward)
        for finger in FINGERS:
            a, b, c = (JOINT[f"{side}_{finger}{k}"] for k in (1, 2, 3))
            if finger == "thumb":
                R[[a, b, c]] = R[wrist]
                continue
            tail = mh.bone_end(points, f"finger{_MAKEHUMAN_FINGER[finger]}-3.{s}", "tail")
            straight = R[wrist] @ (J[b] - J[a]) * np.array([1, 0, 0.6])
            for joint, bone in ((a, J[b] - J[a]), (b, J[c] - J[b]), (c, tail - J[c])):
                R[joint] = rotation_between(R[wrist] @ bone, straight) @ R[wrist]
        hip, knee, ankle = (JOINT[f"{side}_{n}"] for n in ("hip", "knee", "ankle"))
        leg = J[ankle] - J[hip]
        R[hip] = rotation_between(leg * np.array([1, 1, 0]), np.array([sign * 0.045, -1.0, 0]))
        R[knee] = R[hip]
    return R


def _hand_rotation(J: ndarray, side: str, outward: ndarray) -> ndarray:
    """Middle finger outward, then rolled so that the palm faces down."""
    wrist, middle, index, pinky = (JOINT[f"{side}_{n}"] for n in ("wrist", "middle1", "index1", "pinky1"))
    R = rotation_between(J[middle] - J[wrist], outward)
    across = R @ (J[index] - J[pinky])
    roll = np.arctan2(across[1], across[2])
    return Rotation.from_rotvec([roll, 0, 0]).as_matrix() @ R


def to_t_pose(points: ndarray, J: ndarray, weights: ndarray, R: ndarray) -> tuple[ndarray, ndarray]:
    """Points and joints after the rotations `R`."""
    moved = J.copy()
    for i in range(1, 55):
        moved[i] = moved[PARENTS[i]] + R[PARENTS[i]] @ (J[i] - J[PARENTS[i]])
    posed = np.einsum("vj,jab,vb->va", weights, R, points, optimize=True)
    return posed + weights @ (moved - np.einsum("jab,jb->ja", R, J)), moved

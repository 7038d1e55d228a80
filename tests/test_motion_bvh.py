"""BVH of foreign skeletons: limbs point where the file's limbs point, whatever the rest pose, unit, axes and names."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.motion import MotionError, MotionOptions, bvh_file, read_motion, write_motion
from nerfstudio_mobavatar.motion.bvh_file import Bvh, BvhJoint
from nerfstudio_mobavatar.motion.joint_names import INDEX, NAMES, match_names
from nerfstudio_mobavatar.motion.place import joint_positions
from tests.motion_files import Z_UP, open_rig, walk

AS_STORED = MotionOptions(target_fps=0.0)
LIMBS = [(f"{s}_{a}", f"{s}_{b}") for s in ("left", "right") for a, b in
         (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))]  # fmt: skip

# name, parent, offset of an A-pose in inches (y up, facing +z), counterpart
CMU = [
    ("Hips", -1, (0, 0, 0), "pelvis"),
    ("LHipJoint", 0, (0, 0, 0), None),
    ("LeftUpLeg", 1, (3.4, -3.8, 1.6), "left_hip"),
    ("LeftLeg", 2, (1.5, -15.0, 0), "left_knee"),
    ("LeftFoot", 3, (1.0, -16.0, 0), "left_ankle"),
    ("LeftToeBase", 4, (0.3, -1.0, 4.4), "left_foot"),
    ("RHipJoint", 0, (0, 0, 0), None),
    ("RightUpLeg", 6, (-3.4, -3.8, 1.6), "right_hip"),
    ("RightLeg", 7, (-1.5, -15.0, 0), "right_knee"),
    ("RightFoot", 8, (-1.0, -16.0, 0), "right_ankle"),
    ("RightToeBase", 9, (-0.3, -1.0, 4.4), "right_foot"),
    ("LowerBack", 0, (0, 0, 0), "spine1"),
    ("Spine", 11, (0, 4.5, -0.3), "spine2"),
    ("Spine1", 12, (0, 4.5, -0.1), "spine3"),
    ("Neck", 13, (0, 0, 0), None),
    ("Neck1", 14, (0, 3.3, 0.4), "neck"),
    ("Head", 15, (0, 3.4, -0.2), "head"),
    ("LeftShoulder", 13, (0.5, 1, 0), "left_collar"),
    ("LeftArm", 17, (5.9, 1.9, -0.9), "left_shoulder"),
    ("LeftForeArm", 18, (7.0, -8.0, -0.1), "left_elbow"),
    ("LeftHand", 19, (5.0, -5.5, 0.4), "left_wrist"),
    ("RightShoulder", 13, (-0.5, 1, 0), "right_collar"),
    ("RightArm", 21, (-5.9, 1.9, -0.9), "right_shoulder"),
    ("RightForeArm", 22, (-7.0, -8.0, -0.1), "right_elbow"),
    ("RightHand", 23, (-5.0, -5.5, 0.4), "right_wrist"),
]
"""The joints of CMU's BVH files (mocap.cs.cmu.edu, converted by B. Hahne), with other lengths."""


def cmu_file(path: Path, degrees: np.ndarray, axes: np.ndarray | None = None, scale: float = 1.0) -> Bvh:
    """[t, joints, 3] ZYX Euler angles as a file whose world and offsets are turned by `axes`."""
    turn = np.eye(3) if axes is None else axes
    moved, turned = ("Xposition", "Yposition", "Zposition"), ("Zrotation", "Yrotation", "Xrotation")
    joints = tuple(
        BvhJoint(name, parent, tuple(scale * (turn @ offset)), turned if parent >= 0 else moved + turned)
        for name, parent, offset, _ in CMU
    )
    rotations = Rotation.from_euler("ZYX", degrees.reshape(-1, 3), degrees=True).as_matrix()
    euler = Rotation.from_matrix(turn @ rotations @ turn.T).as_euler("ZYX", degrees=True).reshape(len(degrees), -1)
    root = scale * (np.arange(len(degrees))[:, None] * [0.5, 0.0, 1.0] + [0.0, 36.0, 0.0]) @ turn.T
    bvh = Bvh(joints, 1 / 120, np.concatenate([root, euler], 1))
    path.write_text(bvh_file.text(bvh))
    return bvh


def positions(bvh: Bvh) -> np.ndarray:
    """[t, j, 3] by BVH's definition: each joint's offset, turned by all joints above it."""
    turned: list[Rotation] = []
    out = np.zeros((len(bvh.values), len(bvh.joints), 3))
    for j, joint in enumerate(bvh.joints):
        first = 3 + 3 * j
        local = Rotation.from_euler("ZYX", bvh.values[:, first : first + 3], degrees=True)
        above = joint.parent
        turned.append(local if above < 0 else turned[above] * local)
        out[:, j] = bvh.values[:, :3] if above < 0 else out[:, above] + turned[above].apply(joint.offset)
    return out


def directions(joints: np.ndarray, index: Callable[[str], int]) -> np.ndarray:
    bones = np.stack([joints[:, index(b)] - joints[:, index(a)] for a, b in LIMBS], 1)
    return bones / np.linalg.norm(bones, axis=-1, keepdims=True)


@pytest.mark.parametrize(("axes", "scale"), [(None, 1.0), (Z_UP, 2.54)])
def test_limbs_point_where_the_files_limbs_do(axes: np.ndarray | None, scale: float, tmp_path: Path):
    degrees = np.random.default_rng(2).normal(size=(5, len(CMU), 3)) * 15
    bvh = cmu_file(tmp_path / "m.bvh", degrees, axes, scale)
    up = "y" if axes is None else "z"
    found, report = read_motion(tmp_path / "m.bvh", open_rig(), replace(AS_STORED, target_up=up))
    counterpart = {theirs: i for i, (*_, theirs) in enumerate(CMU)}
    ours = directions(joint_positions(found, open_rig()), INDEX.__getitem__)
    theirs = directions(positions(bvh), counterpart.__getitem__)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert found.fps == pytest.approx(120) and report.up == f"{up} (from the body)"
    assert ("about 1 inch" in report.unit) == (axes is None) and "none in the file: relaxed" in report.hands
    assert "folded into the next ones: LHipJoint, Neck, RHipJoint" in report.describe()


def test_the_walk_is_scaled_to_the_avatars_legs(tmp_path: Path):
    """31 units of leg; unit 0 m is what is asked for with --unit."""
    bvh = cmu_file(tmp_path / "m.bvh", np.zeros((3, len(CMU), 3)))
    rest, J = bvh.rest(), open_rig().joint_rest
    theirs = np.linalg.norm(rest[3] - rest[2]) + np.linalg.norm(rest[4] - rest[3])
    legs = (np.linalg.norm(J[4] - J[1]) + np.linalg.norm(J[7] - J[4])) / theirs
    for unit, scale in (("auto", legs), ("inch", 0.0254), ("m", 1.0)):
        found, _ = read_motion(tmp_path / "m.bvh", open_rig(), replace(AS_STORED, unit=unit))
        np.testing.assert_allclose(np.diff(found.transl, axis=0), [[0.5 * scale, 0, scale]] * 2, atol=1e-6)


def test_a_t_pose_with_mixamos_names_is_a_t_pose(tmp_path: Path):
    """The rig's own rest pose under foreign names and in another joint order reads as rest: no rotation anywhere."""
    write_motion(tmp_path / "m.bvh", replace(walk(2), pose=np.zeros((2, 55, 3))), open_rig())
    renamed = {
        "pelvis": "mixamorig:Hips", "spine1": "mixamorig:Spine", "spine2": "mixamorig:Spine1",
        "spine3": "mixamorig:Spine2", "neck": "mixamorig:Neck", "head": "mixamorig:Head",
        "left_hip": "mixamorig:LeftUpLeg",
        "left_knee": "mixamorig:LeftLeg", "left_ankle": "mixamorig:LeftFoot", "left_foot": "mixamorig:LeftToeBase",
        "left_collar": "mixamorig:LeftShoulder", "left_shoulder": "mixamorig:LeftArm",
        "left_elbow": "mixamorig:LeftForeArm", "left_wrist": "mixamorig:LeftHand",
    }  # fmt: skip
    for side in ("left", "right"):
        for finger in ("index", "middle", "pinky", "ring", "thumb"):
            for i in (1, 2, 3):
                renamed[f"{side}_{finger}{i}"] = f"mixamorig:{side.title()}Hand{finger.title()}{i}"
    renamed |= {k.replace("left", "right"): v.replace("Left", "Right") for k, v in renamed.items()}
    text = (tmp_path / "m.bvh").read_text().splitlines()
    words = [" ".join(renamed.get(w, w) for w in line.split(" ")) for line in text]
    (tmp_path / "mixamo.bvh").write_text("\n".join(words))
    for name in renamed:
        assert not any(line.split()[-1:] == [name] for line in words), name
    found, report = read_motion(tmp_path / "mixamo.bvh", open_rig(), AS_STORED)
    np.testing.assert_allclose(found.pose, 0, atol=1e-6)
    assert report.hands == "as in the file"


@pytest.mark.parametrize(
    ("names", "parents"),
    [
        ([name for name, *_ in CMU], [parent for _, parent, *_ in CMU]),
        (["Hips", "LeftHip", "LeftKnee", "LeftAnkle", "RightHip", "RightKnee", "RightAnkle", "Chest", "LeftCollar",
          "LeftShoulder", "LeftElbow", "LeftWrist", "RightCollar", "RightShoulder", "RightElbow", "RightWrist", "Neck",
          "Head"], [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 10, 7, 12, 13, 14, 7, 16]),
        (["pelvis", "thigh_l", "calf_l", "foot_l", "ball_l", "thigh_r", "calf_r", "foot_r", "ball_r", "spine_01",
          "clavicle_l", "upperarm_l", "lowerarm_l", "hand_l", "clavicle_r", "upperarm_r", "lowerarm_r", "hand_r",
          "neck_01", "head"], [-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 12, 9, 14, 15, 16, 9, 18]),
        (["Pelvis", "L_Hip", "L_Knee", "L_Ankle", "L_Foot", "R_Hip", "R_Knee", "R_Ankle", "R_Foot", "Spine1", "Spine2",
          "Spine3", "Neck", "Head", "L_Collar", "L_Shoulder", "L_Elbow", "L_Wrist", "L_Hand", "R_Collar", "R_Shoulder",
          "R_Elbow", "R_Wrist", "R_Hand"],
         [-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 12, 11, 14, 15, 16, 17, 11, 19, 20, 21, 22]),
    ],
    ids=["cmu", "hip-knee", "unreal", "smpl"],
)  # fmt: skip
def test_names_of_many_skeletons_are_known(names: list[str], parents: list[int]):
    """The order of the body is kept: hip above knee above ankle, shoulder above elbow above wrist, side by side."""
    match = match_names(names, parents)
    for side in ("left", "right"):
        for chain in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")):
            first, second, third = (match[INDEX[f"{side}_{role}"]] for role in chain)
            assert parents[third] == second and parents[second] == first
            assert all(names[j].lower().replace("_", "")[0] == side[0] or names[j].endswith(side[0])
                       for j in (first, second, third))  # fmt: skip
    assert names[match[INDEX["head"]]].lower() == "head" and NAMES[0] == "pelvis" and match[0] == 0
    assert len(set(match.values())) == len(match)


def broken(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("MOTION", "", "expected a BVH file with HIERARCHY and MOTION, found no MOTION"),
        ("JOINT LeftLeg", "JOINT Extra", "found none for left_knee among Hips"),
        ("ROOT", "JOINT", "expected 'ROOT' in line 2, found 'JOINT'"),
        ("OFFSET 0", "OFFSET nan", r"expected a number \(offset of Hips\) in line 4, found 'nan"),
        ("Xposition", "Wposition", r"expected X/Y/Zposition and three rotations for Hips, found Wposition"),
        ("Frames: 2", "Frames: 3", r"expected 3 rows of 78 finite numbers, found \(2, 78\)"),
        ("Frames: 2", "Frames: many", "expected 'Frames: n' and 'Frame Time: s' after MOTION, found 'Frames: many'"),
        ("Frame Time: 0.008", "Frame Time: -0.008", "frames of a positive time"),
        ("36.000000", "", r"expected 78 numbers in every row of MOTION"),
        ("}\nMOTION", "MOTION", "expected more, found the end of the file"),
        (
            "JOINT LeftLeg",
            "JOINT " + "x" * 70_000,
            "line [0-9]+: expected a joint's name of at most 200 characters, found 70000",
        ),
        ("}\nMOTION", "}\nROOT b\nMOTION", "expected one ROOT, found more after it"),
    ],
)
def test_a_damaged_file_names_the_line(old: str, new: str, message: str, tmp_path: Path):
    cmu_file(tmp_path / "m.bvh", np.zeros((2, len(CMU), 3)))
    broken(tmp_path / "m.bvh", old, new)
    with pytest.raises(MotionError, match=message) as caught:
        read_motion(tmp_path / "m.bvh", open_rig())
    assert str(caught.value).startswith(str(tmp_path))


def test_a_root_without_position_stays_in_place(tmp_path: Path):
    bvh = cmu_file(tmp_path / "m.bvh", np.zeros((2, len(CMU), 3)))
    root = replace(bvh.joints[0], channels=bvh.joints[0].channels[3:])
    (tmp_path / "m.bvh").write_text(bvh_file.text(Bvh((root, *bvh.joints[1:]), bvh.frame_seconds, bvh.values[:, 3:])))
    found, report = read_motion(tmp_path / "m.bvh", open_rig(), AS_STORED)
    assert "the root has no position channels" in report.describe()
    np.testing.assert_allclose(found.transl + open_rig().joint_rest[0], 0, atol=1e-9)

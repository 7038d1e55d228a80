"""Posing by hand: kinematics against the body model's, limbs that reach, ranges of joints, mirroring, history.

The page's twins and the 10,000 dragged moves are in web_export/viewer/test/posing.test.ts."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.body_model import forward_kinematics
from nerfstudio_mobavatar.motion.joint_names import INDEX, NAMES
from nerfstudio_mobavatar.posing import edit, ik
from nerfstudio_mobavatar.posing.limits import (
    HINGES,
    LIMITS,
    angles,
    excess,
    from_angles,
    nearest_vector,
    quaternion,
    rotation_vector,
)
from nerfstudio_mobavatar.transforms import axis_angle_to_rotmat

from .goldens.make_posing import random_pose, skeleton

SKELETON = skeleton()


def hinged_pose(rng: np.random.Generator, limb: ik.Limb, root: np.ndarray) -> np.ndarray:
    """A pose whose limb is anywhere in its range, elbow and knee bent about their hinge only."""
    pose = np.zeros((55, 3))
    pose[0] = root
    for j in (limb.upper, limb.lower):
        low, high = LIMITS.low[j].copy(), LIMITS.high[j].copy()
        if j == limb.lower:
            off = np.array(HINGES[j]) == 0
            low[off] = high[off] = 0
        pose[j] = rotation_vector(from_angles(rng.uniform(low, high), LIMITS.bone[j]))
    return pose


def test_world_joints_are_those_of_the_body_model() -> None:
    edited = random_pose(np.random.default_rng(0))
    q, t = ik.world_joints(SKELETON, edited.pose, edited.transl)
    R = axis_angle_to_rotmat(torch.from_numpy(edited.pose))
    T = forward_kinematics(R, torch.from_numpy(SKELETON.rest), SKELETON.parents, torch.from_numpy(edited.transl))
    np.testing.assert_allclose(t, T[:, :3, 3], atol=1e-9)
    np.testing.assert_allclose(Rotation.from_quat(q[:, [1, 2, 3, 0]]).as_matrix(), T[:, :3, :3], atol=1e-9)


@pytest.mark.parametrize("name", ik.LIMBS)
def test_a_reachable_target_is_reached(name: str) -> None:
    """Within 5 mm for 99 of 100 targets that some pose in range has, from any other pose in range."""
    rng, limb, misses = np.random.default_rng(1), ik.LIMBS[name], []
    for _ in range(60):
        root, transl = rng.normal(size=3), rng.normal(size=3)
        start, goal = (hinged_pose(rng, limb, root) for _ in range(2))
        target = ik.world_joints(SKELETON, goal, transl)[1][limb.end]
        found = ik.reach(SKELETON, start, transl, limb, target)
        misses.append(np.linalg.norm(ik.world_joints(SKELETON, found, transl)[1][limb.end] - target))
        upper = limb.upper
        assert excess(quaternion(found[upper]), LIMITS.bone[upper], LIMITS.low[upper], LIMITS.high[upper]) < 1e-6
        unchanged = [j for j in range(55) if j not in limb[:3]]
        assert (found[unchanged] == start[unchanged]).all()
    assert np.percentile(misses, 99) < 0.005, np.sort(misses)[-3:]


def test_a_far_target_stretches_the_limb_towards_it() -> None:
    limb = ik.LIMBS["left_hand"]
    pose = np.zeros((55, 3))
    _, t = ik.world_joints(SKELETON, pose, np.zeros(3))
    target = t[limb.upper] + np.array([2.0, 1.0, 1.0])
    _, found = ik.world_joints(SKELETON, ik.reach(SKELETON, pose, np.zeros(3), limb, target), np.zeros(3))
    along = (target - t[limb.upper]) / np.linalg.norm(target - t[limb.upper])
    arm = found[limb.end] - t[limb.upper]
    assert arm @ along > 0.999 * np.linalg.norm(arm)
    with pytest.raises(ValueError, match="finite"):
        ik.reach(SKELETON, pose, np.zeros(3), limb, np.array([np.nan, 0, 0]))


def test_feet_stay_planted_and_keep_their_direction() -> None:
    edited = edit.EditedPose(np.zeros((55, 3)), np.zeros(3), np.zeros(10))
    lower = edit.moved_pelvis(SKELETON, edited, np.array([0.02, -0.08, 0.02]))
    (q0, t0), (q1, t1) = (ik.world_joints(SKELETON, e.pose, e.transl) for e in (edited, lower))
    for name in ("left_ankle", "right_ankle"):
        j = INDEX[name]
        np.testing.assert_allclose(t1[j], t0[j], atol=1e-6)
        assert abs(q0[j] @ q1[j]) > 1 - 1e-9
    knee = np.degrees(np.linalg.norm(lower.pose[INDEX["left_knee"]]))
    assert 10 < knee < 140
    assert not np.allclose(edit.moved_pelvis(SKELETON, edited, np.zeros(3) + 0.1, planted=False).transl, 0)


def test_swivelling_leaves_the_hand_where_it_is() -> None:
    limb = ik.LIMBS["right_hand"]
    pose = np.zeros((55, 3))
    pose[limb.lower] = [0, 1.2, 0]
    _, before = ik.world_joints(SKELETON, pose, np.zeros(3))
    moved = ik.swivel(SKELETON, pose, np.zeros(3), limb, before[limb.lower] + np.array([0, -0.2, 0]))
    _, after = ik.world_joints(SKELETON, moved, np.zeros(3))
    np.testing.assert_allclose(after[limb.end], before[limb.end], atol=1e-9)
    assert after[limb.lower][1] < before[limb.lower][1] - 0.05
    with pytest.raises(ValueError, match="finite"):
        ik.swivel(SKELETON, pose, np.zeros(3), limb, np.array([np.nan, 0, 0]))


def test_angles_are_inverted_and_ranges_hold() -> None:
    rng = np.random.default_rng(4)
    for j in range(1, 55):
        degrees = rng.uniform(LIMITS.low[j], LIMITS.high[j])
        np.testing.assert_allclose(angles(from_angles(degrees, LIMITS.bone[j]), LIMITS.bone[j]), degrees, atol=1e-6)
    edited = edit.EditedPose(np.zeros((55, 3)), np.zeros(3), np.zeros(10))
    for j in range(1, 55):
        turned = edit.turned(edited, j, rng.normal(0, 1.5, 3))
        assert excess(quaternion(turned.pose[j]), LIMITS.bone[j], LIMITS.low[j], LIMITS.high[j]) < 1e-6, NAMES[j]
        free = edit.turned(edited, j, np.array([0.1, 2.5, 0.1]), use_limits=False)
        np.testing.assert_allclose(free.pose[j], [0.1, 2.5, 0.1], atol=1e-9)


def test_the_right_side_mirrors_the_left() -> None:
    """Joints of a mirrored pose lie at the mirrored places; the limits are mirrored too."""
    edited = random_pose(np.random.default_rng(5))
    edited = edit.EditedPose(np.vstack([np.zeros((1, 3)), edited.pose[1:]]), np.zeros(3), np.zeros(10))
    _, t = ik.world_joints(SKELETON, edited.pose, edited.transl)
    _, m = ik.world_joints(SKELETON, edit.mirrored(edited).pose, edited.transl)
    np.testing.assert_allclose(m[list(edit.MIRRORED)] * [-1, 1, 1], t, atol=2e-3)
    for j, other in enumerate(edit.MIRRORED):
        flipped = np.stack([LIMITS.low[other] * [1, -1, -1], LIMITS.high[other] * [1, -1, -1]])
        np.testing.assert_allclose((flipped.min(0), flipped.max(0)), (LIMITS.low[j], LIMITS.high[j]))


def test_fists_close() -> None:
    edited = edit.EditedPose(np.zeros((55, 3)), np.zeros(3), np.zeros(10))
    for side in ("left", "right"):
        fist = edit.curled(SKELETON, edited, side, 1.0)
        _, t = ik.world_joints(SKELETON, fist.pose, fist.transl)
        for finger in edit.FINGERS:
            assert edit.curl_of(SKELETON, fist, side, finger) == pytest.approx(1.0)
            if finger != "thumb":  # the last bone lies under the palm, back towards the wrist
                assert t[INDEX[f"{side}_{finger}3"]][1] < t[INDEX[f"{side}_{finger}1"]][1] - 0.015


def test_numbers_do_not_wrap() -> None:
    before = np.array([3.1, 0.0, 0.0])
    for angle in np.arange(3.1, 7.0, 0.05):
        now = nearest_vector(quaternion(np.array([angle, 0.0, 0.0])), before)
        np.testing.assert_allclose(now, [angle, 0, 0], atol=1e-6)
        before = now


def test_a_drag_is_one_step_of_the_history() -> None:
    states = [edit.EditedPose(np.full((55, 3), float(i)), np.zeros(3), np.zeros(10)) for i in range(4)]
    history = edit.History(states[0])
    history.record(states[1], "drag")
    history.record(states[2], "drag")
    assert history.undo() and history.now is states[0] and not history.undo()
    assert history.redo() and history.now is states[2]
    history.record(states[3])
    assert not history.redo()
    assert history.undo() and history.now is states[2]

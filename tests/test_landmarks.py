"""A pose from landmarks: known poses come back, what is hidden stays, tremor goes.

The page's twins are in web_export/viewer/test/landmarks.test.ts."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nerfstudio_mobavatar.motion.joint_names import INDEX, NAMES
from nerfstudio_mobavatar.posing.edit import EditedPose, mirrored
from nerfstudio_mobavatar.posing.ik import world_joints
from nerfstudio_mobavatar.posing.landmarks import MARKS, Landmarks, facing, flipped, retargeted
from nerfstudio_mobavatar.posing.limits import conjugate, multiply, quaternion, rotation_vector, turn
from nerfstudio_mobavatar.posing.smoothing import FORGET_S, OneEuro, Smoother

from .goldens import make_landmarks
from .goldens.make_landmarks import marks_of
from .goldens.make_posing import random_pose, skeleton
from .landmark_motions import Recovery, recovered
from .test_viewer_build import assert_same

SKELETON = skeleton()
REST = EditedPose(np.zeros((55, 3)), np.zeros(3), np.zeros(10))
STANDS = facing(np.zeros(3))


def degrees_between(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.linalg.norm(rotation_vector(multiply(conjugate(quaternion(a)), quaternion(b))))))


def hinged(rng: np.random.Generator) -> EditedPose:
    """A pose that landmarks tell wholly: spine and neck turned evenly, elbows and knees about their hinges."""
    pose = 0.25 * random_pose(rng, 1.0).pose
    for names in (("spine1", "spine2", "spine3"), ("neck", "head")):
        for name in names[1:]:
            pose[INDEX[name]] = pose[INDEX[names[0]]]
    for name in ("left_collar", "right_collar", "left_foot", "right_foot"):
        pose[INDEX[name]] = 0
    return EditedPose(pose, np.zeros(3), np.zeros(10))


def test_goldens_are_up_to_date() -> None:
    expected = json.loads(make_landmarks.GOLDEN.read_text())
    assert_same(json.loads(make_landmarks.text()), expected, "landmarks")


def test_the_rest_pose_is_the_rest_pose() -> None:
    after = retargeted(SKELETON, marks_of(SKELETON, REST, STANDS), random_pose(np.random.default_rng(1)), STANDS)
    named = {NAMES[j]: np.degrees(np.linalg.norm(after.pose[j])) for j in range(22)}
    loose = {"left_collar", "right_collar", "left_foot", "right_foot"}  # no landmark tells of them
    assert max(angle for name, angle in named.items() if name not in loose) < 60, named
    again = retargeted(SKELETON, marks_of(SKELETON, REST, STANDS), REST, STANDS)
    np.testing.assert_allclose(again.pose, 0, atol=0.02)
    np.testing.assert_allclose(again.transl, 0, atol=1e-3)


@pytest.mark.parametrize("name", ["left_elbow", "right_elbow", "left_knee", "head", "left_index2", "right_wrist"])
def test_a_turned_joint_comes_back(name: str) -> None:
    pose = np.zeros((55, 3))
    vector = {"left_elbow": [0, -1.2, 0], "right_elbow": [0, 1.2, 0], "left_knee": [0.9, 0, 0], "head": [0.2, 0.5, 0.1],
              "left_index2": [0, 0, -0.9], "right_wrist": [0.3, 0.3, 0.6]}[name]  # fmt: skip
    pose[INDEX[name]] = vector
    shown = EditedPose(pose, np.zeros(3), np.zeros(10))
    after = retargeted(SKELETON, marks_of(SKELETON, shown, STANDS), REST, STANDS)
    q, r = (world_joints(SKELETON, e.pose, e.transl)[0][INDEX[name]] for e in (shown, after))
    # a bone tells nothing of a twist about itself, and those of fingers do not lie quite along x
    assert np.degrees(np.linalg.norm(rotation_vector(multiply(conjugate(q), r)))) < 6
    others = [j for j in range(1, 22) if NAMES[j] not in (name, "neck", "left_shoulder", "right_elbow", "left_hip")]
    assert np.degrees(np.linalg.norm(after.pose[others], axis=1)).max() < 25


def test_somebody_who_stands_in_another_world_is_posed_the_same() -> None:
    rng = np.random.default_rng(3)
    shown = random_pose(rng, 0.4)
    here = retargeted(SKELETON, marks_of(SKELETON, shown, STANDS), REST, STANDS)
    turned = facing(np.array([1.5, 0.0, 0.0]))  # z is up there
    np.testing.assert_allclose(turn(turned, np.array([0.0, 1, 0])), [0, 0, 1], atol=1e-9)
    there = retargeted(SKELETON, marks_of(SKELETON, shown, STANDS), replace(REST, pose=REST.pose), turned)
    np.testing.assert_allclose(there.pose[1:], here.pose[1:], atol=1e-6)
    found = multiply(conjugate(turned), quaternion(there.pose[0]))
    assert np.linalg.norm(rotation_vector(multiply(conjugate(found), quaternion(here.pose[0])))) < 1e-6


def test_what_is_hidden_keeps_its_rotation_and_half_seen_goes_half_the_way() -> None:
    rng = np.random.default_rng(4)
    before, shown = hinged(rng), hinged(rng)
    marks = marks_of(SKELETON, shown, STANDS, hands=False)
    visibility = np.ones(33)
    visibility[[MARKS["left_wrist"], MARKS["left_knee"]]] = 0.29
    after = retargeted(SKELETON, replace(marks, visibility=visibility), before, STANDS)
    for name in ("left_elbow", "left_wrist", "left_hip", "left_knee"):
        assert (after.pose[INDEX[name]] == before.pose[INDEX[name]]).all(), name
    assert not np.allclose(after.pose[INDEX["right_elbow"]], before.pose[INDEX["right_elbow"]], atol=0.01)
    none = retargeted(SKELETON, replace(marks, visibility=np.zeros(33), face=None), before, STANDS)
    np.testing.assert_allclose(none.pose, before.pose, atol=1e-9)
    visibility = np.full(33, 0.45)
    half = retargeted(SKELETON, replace(marks, visibility=visibility, face=None), before, STANDS)
    full = retargeted(SKELETON, replace(marks, face=None), before, STANDS)
    whole, part = (degrees_between(before.pose[0], e.pose[0]) for e in (full, half))
    assert abs(part / whole - 0.5) < 0.02
    with pytest.raises(ValueError, match="finite"):
        retargeted(SKELETON, replace(marks, body=marks.body * np.nan), before, STANDS)


def test_the_mirror_image_gives_the_mirrored_pose() -> None:
    rng = np.random.default_rng(6)
    shown = random_pose(rng, 0.4)
    shown = EditedPose(np.vstack([np.zeros((1, 3)), shown.pose[1:]]), np.zeros(3), np.zeros(10))
    marks = marks_of(SKELETON, shown, STANDS)
    here, there = (retargeted(SKELETON, m, REST, STANDS) for m in (marks, flipped(marks)))
    # the open body is not quite the same on both sides
    np.testing.assert_allclose(there.pose[1:22], mirrored(here).pose[1:22], atol=0.1)
    back = flipped(flipped(replace(marks, eyes=np.array([[0.1, 0.2], [0.3, 0.4]]))))
    assert (back.body == marks.body).all() and (back.left_hand == marks.left_hand).all()
    assert back.eyes is not None and back.eyes.tolist() == [[0.1, 0.2], [0.3, 0.4]]


def test_the_feet_stay_on_the_floor() -> None:
    pose = np.zeros((55, 3))
    for side in ("left", "right"):
        pose[INDEX[f"{side}_hip"], 0], pose[INDEX[f"{side}_knee"], 0] = -0.9, 1.6
    squat = EditedPose(pose, np.zeros(3), np.zeros(10))
    after = retargeted(SKELETON, marks_of(SKELETON, squat, STANDS), REST, STANDS)
    assert after.transl[1] < -0.1 and np.abs(after.transl[[0, 2]]).max() < 1e-9
    feet = [INDEX[f"{side}_{n}"] for side in ("left", "right") for n in ("ankle", "foot")]
    low = [world_joints(SKELETON, e.pose, e.transl)[1][feet, 1].min() for e in (REST, after)]
    assert abs(low[0] - low[1]) < 1e-9


def test_a_still_hand_is_still_and_a_fast_one_does_not_lag() -> None:
    rng, smooth = np.random.default_rng(5), OneEuro()
    noise = 0.01 * rng.normal(size=(120, 3))
    out = np.array([smooth(x, i / 30) for i, x in enumerate(noise)])
    assert out[30:].std() < 0.6 * noise[30:].std()
    smooth = OneEuro()
    ramp = [smooth(np.array([2.0 * i / 30]), i / 30)[0] for i in range(60)]
    assert 2.0 * 59 / 30 - ramp[-1] < 0.15, "two metres a second: behind by less than 75 ms"
    assert smooth(np.array([9.0]), 59 / 30)[0] == ramp[-1]
    assert smooth(np.array([9.0]), 59 / 30 + FORGET_S + 0.01)[0] == 9.0


def test_a_swinging_hand_is_nearer_with_the_filter_than_without() -> None:
    """A hand that swings by 5 cm once a second, with 1 cm of noise: what the filter lags costs less than it takes
    away, and less than half of the shaking is left."""
    rng, smooth, seconds = np.random.default_rng(6), OneEuro(), np.arange(240) / 30
    true = 0.05 * np.sin(2 * np.pi * seconds[:, None] + np.array([0.0, 1.0, 2.0]))
    noisy = true + 0.01 * rng.normal(size=true.shape)
    error = np.array([smooth(x, t) for x, t in zip(noisy, seconds)]) - true
    assert error[30:].std() < (noisy - true)[30:].std()
    assert np.diff(error, axis=0)[30:].std() < 0.5 * np.diff(noisy - true, axis=0)[30:].std()


def test_a_hand_that_was_away_starts_anew() -> None:
    smooth, marks = Smoother(), marks_of(SKELETON, REST, STANDS)
    smooth(marks, 0.0)
    assert smooth(replace(marks, left_hand=None), 0.03).left_hand is None
    assert marks.left_hand is not None
    far = replace(marks, left_hand=marks.left_hand + 1.0)
    back = smooth(far, 0.06)
    assert (back.left_hand == far.left_hand).all() and back.right_hand is not None
    assert isinstance(back, Landmarks) and (back.visibility == marks.visibility).all()


def test_captured_motions_come_back(test_data: Path) -> None:
    """Walks, a punch and a jump from the CMU archive, on the open body."""
    found = Recovery.of([recovered(path, every=200) for path in sorted((test_data / "motion").glob("cmu_*.npz"))])
    assert found.bone_deg_median < 4 and found.bone_deg_p95 < 15, found
    assert found.joint_cm_median < 3, found

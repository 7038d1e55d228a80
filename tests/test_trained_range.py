"""Poses beyond training: inputs of the part networks stay where training saw them, the skeleton follows the pose."""

import dataclasses

import numpy as np
import pytest

from nerfstudio_mobavatar import trained_poses
from nerfstudio_mobavatar.web_export import bundle, evaluate, trained_range
from nerfstudio_mobavatar.web_export.bundle import AvatarArrays, BundleError
from tests import renderers
from tests.avatar_files import with_header
from tests.synthetic_avatar import SyntheticAvatar, camera, walking_pose

TRAINED = [walking_pose(phase) for phase in np.linspace(0, 6, 40)]


@pytest.fixture(scope="module")
def untrained() -> AvatarArrays:
    return SyntheticAvatar(num_gaussians=400, num_parts=40, num_nodes=40, num_kept=60).build()


@pytest.fixture(scope="module")
def avatar(untrained: AvatarArrays) -> AvatarArrays:
    """Trained on a walk."""
    return trained_range.with_training(untrained, TRAINED)


def raised_arm(degrees: float) -> evaluate.Pose:
    """The first trained pose with joint 16, the left shoulder, `degrees` beyond all of them about z."""
    high = max(pose.pose[16, 2] for pose in TRAINED)
    pose = TRAINED[0].pose.copy()
    pose[16, 2] = high + np.deg2rad(degrees)
    return dataclasses.replace(TRAINED[0], pose=pose)


def mixed(first: evaluate.Pose, second: evaluate.Pose, joints: list[int]) -> evaluate.Pose:
    """The first pose with some joints of the second."""
    pose = first.pose.copy()
    pose[joints] = second.pose[joints]
    return dataclasses.replace(first, pose=pose)


def test_every_body_joint_is_in_one_region():
    assert sorted(j for joints in trained_poses.REGIONS.values() for j in joints) == list(range(1, 22))


def test_trained_poses_are_left_alone(avatar: AvatarArrays):
    for pose in TRAINED:
        np.testing.assert_array_equal(evaluate.mlp_inputs(avatar, pose), evaluate.raw_inputs(avatar, pose))
        assert max(trained_range.pose_distance(avatar, pose).values()) == 0
    assert trained_range.describe(avatar, TRAINED) == "within the trained poses"


def test_without_regions_inputs_are_only_clamped(avatar: AvatarArrays):
    clamped = dataclasses.replace(avatar, trained_regions=())
    edge, beyond = raised_arm(0), raised_arm(60)
    np.testing.assert_array_equal(evaluate.mlp_inputs(clamped, beyond), evaluate.mlp_inputs(clamped, edge))


def test_far_away_features_are_those_of_the_mean_pose_and_the_skeleton_goes_on(avatar: AvatarArrays):
    """Against the formula, number by number; other regions keep what they have."""
    for degrees in (20, 60, 170):
        pose = raised_arm(degrees)
        x, found = evaluate.raw_inputs(avatar, pose), evaluate.mlp_inputs(avatar, pose)
        expected = np.clip(x, *avatar.input_range)  # pyright: ignore[reportOptionalIterable]
        for region in avatar.trained_regions:
            at = [3 * (j - 1) + k for j in region.joints for k in range(3)]
            d = min(
                max(np.linalg.norm(pose.pose[j] - row[i]) for i, j in enumerate(region.joints)) for row in region.poses
            )
            keep = np.exp(-0.5 * (max(d - region.radius, 0) / region.softness) ** 2)
            mean = region.mean.ravel()
            expected[at] = mean + keep * (expected[at] - mean)
            assert (keep < 1) == (region.name == "left arm")
        np.testing.assert_allclose(found, expected, atol=1e-6)
    arm = next(r for r in avatar.trained_regions if r.name == "left arm")
    assert np.abs(found.reshape(-1)[45:48] - arm.mean[1]).max() < 1e-3  # 170 degrees away nothing is left of it
    moved = evaluate.evaluate(avatar, raised_arm(60)).mean - evaluate.evaluate(avatar, raised_arm(0)).mean
    assert np.linalg.norm(moved, axis=1).max() > 0.2
    free = dataclasses.replace(avatar, input_range=None, trained_regions=())
    features = [evaluate.features(a, evaluate.mlp_inputs(a, raised_arm(60))) for a in (avatar, free)]
    assert np.abs(features[0] - features[1]).max() > 1e-3


def test_inputs_change_steadily_towards_the_outside(avatar: AvatarArrays):
    """Half a degree of the pose never makes more than half a degree of an input and its pull, so nothing flickers."""
    x = np.stack([evaluate.mlp_inputs(avatar, raised_arm(d)) for d in np.arange(-30, 120, 0.5)])
    assert np.abs(np.diff(x, axis=0)).max() < 2 * np.deg2rad(0.5)


def test_the_distance_is_told_by_region(avatar: AvatarArrays):
    """A joint beyond its own range, and joints that are all inside but never were so together."""
    distance = trained_range.pose_distance(avatar, raised_arm(60))
    assert [name for name, d in distance.items() if d > 1e-6] == ["left arm"]
    assert 50 < np.rad2deg(distance["left arm"]) <= 60 + 1e-3
    said = trained_range.describe(avatar, [*TRAINED[:3], raised_arm(60)])
    assert said == "25% of the frames have a pose outside of training: left arm (by up to 60 degrees, in 25%)"
    assert trained_range.describe(avatar, [raised_arm(4)]) == "within the trained poses"
    strides = [pose.pose[[1, 4]].ravel() for pose in TRAINED]
    far = int(np.argmax([np.abs(stride - strides[0]).max() for stride in strides]))
    odd = mixed(TRAINED[0], TRAINED[far], [4])  # the hip of one step with the knee of another
    x, (low, high) = evaluate.raw_inputs(avatar, odd), avatar.input_range  # pyright: ignore[reportGeneralTypeIssues]
    assert (x >= low).all() and (x <= high).all()
    assert trained_range.pose_distance(avatar, odd)["left leg"] > 0
    assert trained_range.pose_distance(dataclasses.replace(avatar, input_range=None, trained_regions=()), odd) == {}


def test_prototypes_cover_all_poses_more_closely_the_more_they_are():
    inputs = np.random.default_rng(3).normal(0, 0.3, (200, 73))
    few, many = (trained_poses.trained_regions(inputs, prototypes=n) for n in (4, 64))
    for a, b in zip(few, many):
        assert len(a.poses) == 4 and len(b.poses) == 64 and b.radius < a.radius
        assert all(b.excess(row[:63].reshape(-1, 3)) == 0 for row in inputs)
    assert len(trained_poses.trained_regions(inputs[:1])[0].poses) == 1


def test_what_training_saw_comes_back_and_may_be_left_out(avatar: AvatarArrays, untrained: AvatarArrays):
    """An old reader ignores the entries, an old file has none."""
    data = bundle.encode(avatar)
    found = bundle.decode(data)
    assert found.input_range is not None and avatar.input_range is not None
    np.testing.assert_array_equal(found.input_range, avatar.input_range)
    assert trained_poses.to_json(found.trained_regions) == trained_poses.to_json(avatar.trained_regions)
    bare = bundle.encode(untrained)
    assert bundle.decode(bare).input_range is None and bundle.decode(bare).trained_regions == ()
    assert not {"input_range", "trained_regions"} & bundle.read_header(bare)[0].keys()
    assert data[8:12] == bare[8:12]  # the format version


def test_a_pose_is_drawn_the_same_from_the_file(avatar: AvatarArrays):
    found = bundle.decode(bundle.encode(avatar))
    for pose in (TRAINED[3], raised_arm(40)):
        np.testing.assert_array_equal(evaluate.mlp_inputs(found, pose), evaluate.mlp_inputs(avatar, pose))


@pytest.mark.parametrize("change", [lambda r: r[:1], lambda r: [r[0][:5], r[1]], lambda r: r[::-1]])
def test_a_damaged_range_is_refused(avatar: AvatarArrays, change):
    data = bundle.encode(avatar)
    changed = with_header(data, {"input_range": change(bundle.read_header(data)[0]["input_range"])})
    with pytest.raises(BundleError, match=r"input_range must be two rows|trained_regions"):
        bundle.decode(changed)


BAD_REGIONS = {
    "no list": ({}, "must be a list"),
    "too many": ([{}] * 33, "must be a list of at most 32"),
    "no object": ([3], "expected an object with a name"),
    "no name": ([{"joints": [1]}], "expected an object with a name"),
    "a joint that is not there": ({"joints": [22]}, r"joints must be some of 1\.\.21"),
    "no joints": ({"joints": []}, "joints must be some of"),
    "no poses": ({"poses": []}, r"poses must be 1\.\.256 rows"),
    "short rows": ({"mean": [1.0]}, "must have 9 numbers"),
    "text": ({"mean": ["x"] * 9}, "trained_regions"),
    "not finite": ({"softness": float("nan")}, "NaN is not a number of JSON"),
    "no radius": ({"radius": None}, "trained_regions|finite"),
    "a negative radius": ({"radius": -1.0}, "radius must not be negative"),
    "no softness": ({"softness": 0.0}, "softness must be positive"),
}


@pytest.mark.parametrize("name", BAD_REGIONS)
def test_damaged_regions_are_refused(avatar: AvatarArrays, name: str):
    change, message = BAD_REGIONS[name]
    data = bundle.encode(avatar)
    torso = bundle.read_header(data)[0]["trained_regions"][0]
    regions = [torso | change] if isinstance(change, dict) and change else change
    with pytest.raises(BundleError, match=message):
        bundle.decode(with_header(data, {"trained_regions": regions}))


def test_wgpu_draws_as_the_reference_does(avatar: AvatarArrays, untrained: AvatarArrays):
    """A pose far outside: the same picture as the torch rasteriser's of `evaluate`, another one than without."""
    shot = renderers.Shot(raised_arm(70), *camera(96, 96), 96, 96, (0.2, 0.4, 0.6))
    data = bundle.encode(avatar)
    found = renderers.draw_wgpu(data, [shot])[0]
    expected = renderers.draw_torch(data, shot)
    crop = renderers.person_crop(expected, shot.background)
    free = renderers.draw_torch(bundle.encode(untrained), shot)
    agreement = renderers.psnr(found[crop], expected[crop])
    assert agreement >= 45 and agreement > 3 + renderers.psnr(free[crop], expected[crop])

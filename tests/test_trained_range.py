"""Poses beyond training: inputs of the part networks stay where training saw them, the skeleton follows the pose."""

import dataclasses
import json

import numpy as np
import pytest

from nerfstudio_mobavatar.web_export import bundle, evaluate, trained_range
from nerfstudio_mobavatar.web_export.bundle import AvatarArrays, BundleError
from tests import renderers
from tests.synthetic_avatar import SyntheticAvatar, camera, walking_pose

TRAINED = [walking_pose(phase) for phase in np.linspace(0, 6, 12)]


@pytest.fixture(scope="module")
def avatar() -> AvatarArrays:
    """Trained on a walk."""
    built = SyntheticAvatar(num_gaussians=400, num_parts=40, num_nodes=40, num_kept=60).build()
    return dataclasses.replace(built, input_range=trained_range.input_range(built, TRAINED))


def raised_arm(degrees: float) -> evaluate.Pose:
    """The first trained pose with joint 16, the left shoulder, `degrees` beyond all of them about z."""
    high = max(pose.pose[16, 2] for pose in TRAINED)
    pose = TRAINED[0].pose.copy()
    pose[16, 2] = high + np.deg2rad(degrees)
    return dataclasses.replace(TRAINED[0], pose=pose)


def test_trained_poses_are_left_alone(avatar: AvatarArrays):
    for pose in TRAINED:
        np.testing.assert_array_equal(evaluate.mlp_inputs(avatar, pose), evaluate.raw_inputs(avatar, pose))
    assert trained_range.describe(avatar, TRAINED) == "within the trained range"


def test_beyond_the_range_features_stand_still_and_the_skeleton_goes_on(avatar: AvatarArrays):
    edge, beyond = raised_arm(0), raised_arm(60)
    np.testing.assert_array_equal(evaluate.mlp_inputs(avatar, beyond), evaluate.mlp_inputs(avatar, edge))
    features = [evaluate.features(avatar, evaluate.mlp_inputs(avatar, pose)) for pose in (edge, beyond)]
    np.testing.assert_array_equal(features[0], features[1])
    moved = evaluate.evaluate(avatar, beyond).mean - evaluate.evaluate(avatar, edge).mean
    assert np.linalg.norm(moved, axis=1).max() > 0.2
    free = dataclasses.replace(avatar, input_range=None)
    assert np.abs(evaluate.features(free, evaluate.mlp_inputs(free, beyond)) - features[0]).max() > 1e-3


def test_the_distance_is_told_by_joint(avatar: AvatarArrays):
    excess = trained_range.joint_excess(avatar, raised_arm(60))
    assert np.flatnonzero(excess > 1e-6).tolist() == [15]  # joint 16 of 1..21
    assert np.rad2deg(excess[15]) == pytest.approx(60, abs=1e-3)
    said = trained_range.describe(avatar, [*TRAINED[:3], raised_arm(60)])
    assert said == "25% of the frames leave the trained range: left_shoulder by up to 60 degrees"
    assert trained_range.describe(avatar, [raised_arm(4)]) == "within the trained range"


def test_the_range_comes_back_and_may_be_left_out(avatar: AvatarArrays):
    """An old reader ignores the entry, an old file has none."""
    data = bundle.encode(avatar)
    found = bundle.decode(data).input_range
    assert found is not None and avatar.input_range is not None
    np.testing.assert_array_equal(found, avatar.input_range)
    bare = bundle.encode(dataclasses.replace(avatar, input_range=None))
    assert bundle.decode(bare).input_range is None and "input_range" not in bundle.read_header(bare)[0]
    assert data[8:12] == bare[8:12]  # the format version


@pytest.mark.parametrize("change", [lambda r: r[:1], lambda r: [r[0][:5], r[1]], lambda r: r[::-1]])
def test_a_damaged_range_is_refused(avatar: AvatarArrays, change):
    data = bundle.encode(avatar)
    header, start = bundle.read_header(data)
    text = json.dumps(header | {"input_range": change(header["input_range"])}).encode()
    text += b" " * (-(len(text) + 16) % 16)
    with pytest.raises(BundleError, match=r"input_range must be two rows|does not describe what follows"):
        bundle.decode(data[:12] + np.uint32(len(text)).tobytes() + text + data[start:])


def test_wgpu_clamps_as_the_reference_does(avatar: AvatarArrays):
    """A pose far outside: the same picture as the torch rasteriser's of `evaluate`, another one than without range."""
    shot = renderers.Shot(raised_arm(70), *camera(96, 96), 96, 96, (0.2, 0.4, 0.6))
    data = bundle.encode(avatar)
    found = renderers.draw_wgpu(data, [shot])[0]
    expected = renderers.draw_torch(data, shot)
    crop = renderers.person_crop(expected, shot.background)
    free = renderers.draw_torch(bundle.encode(dataclasses.replace(avatar, input_range=None)), shot)
    agreement = renderers.psnr(found[crop], expected[crop])
    assert agreement >= 45 and agreement > 3 + renderers.psnr(free[crop], expected[crop])

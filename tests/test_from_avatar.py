"""From the training avatar to the arrays of a file: the same Gaussians in every pose."""

import numpy as np
import pytest
import torch

from nerfstudio_mobavatar.avatar import Avatar
from nerfstudio_mobavatar.pruning import PruningConfig, corrective_statistics, prune
from nerfstudio_mobavatar.web_export import pose_sequence
from nerfstudio_mobavatar.web_export.evaluate import PosedArrays, evaluate
from nerfstudio_mobavatar.web_export.from_avatar import avatar_arrays
from tests.rig import random_pose, tiny_avatar


def assert_same(found: PosedArrays, avatar: Avatar, fit, metres: float, color: float, share: float) -> None:
    """Means within `metres`; colours and opacities within `color`; covariances within `share` of the largest."""
    with torch.no_grad():
        expected = avatar(*fit).gaussians
    np.testing.assert_allclose(found.mean, expected.means.cpu().numpy(), rtol=0, atol=metres)
    covariance = expected.covariances.cpu().numpy()
    np.testing.assert_allclose(found.covariance, covariance, rtol=0, atol=share * covariance.max())
    np.testing.assert_allclose(found.color, expected.colors.cpu().numpy(), rtol=0, atol=color)
    np.testing.assert_allclose(found.opacity, expected.opacities.cpu().numpy(), rtol=0, atol=color)


@pytest.mark.parametrize("pruned", [False, True])
def test_the_arrays_before_quantisation_are_the_training_avatar(pruned: bool):
    """float32 on both sides; only the order of sums differs: 1e-5 of a value is some hundred roundings."""
    avatar = tiny_avatar()
    if pruned:
        poses = [(pose, expression) for pose, _, expression in map(random_pose, range(4))]
        prune(avatar, corrective_statistics(avatar, poses), PruningConfig(keep_count=70))
    arrays = avatar_arrays(avatar, {})
    for seed in range(3):
        fit = random_pose(seed)
        pose = pose_sequence.from_smplx(fit[0].numpy(), fit[1].numpy(), fit[2].numpy(), arrays.joint_rest[0])
        assert_same(evaluate(arrays, pose), avatar, fit, metres=1e-5, color=1e-5, share=1e-5)


def test_a_turned_root_turns_about_the_pelvis():
    """SMPL-X's root rotation and translation, a large one, become Rh and Th."""
    avatar = tiny_avatar()
    pose, transl, expression = random_pose(1)
    pose[0] = torch.tensor([0.4, -2.1, 0.9])
    arrays = avatar_arrays(avatar, {})
    written = pose_sequence.from_smplx(pose.numpy(), transl.numpy(), expression.numpy(), arrays.joint_rest[0])
    assert not written.pose[0].any()
    assert_same(evaluate(arrays, written), avatar, (pose, transl, expression), metres=1e-5, color=1e-5, share=1e-5)

"""Properties of the reference evaluator, which every WGSL pass is tested against."""

import dataclasses

import numpy as np
import pytest

from nerfstudio_mobavatar.web_export import bundle, evaluate
from nerfstudio_mobavatar.web_export.bundle import AvatarArrays
from tests.synthetic_avatar import SyntheticAvatar, rest_pose, walking_pose


@pytest.fixture(scope="module")
def avatar() -> AvatarArrays:
    return bundle.decode(
        bundle.encode(SyntheticAvatar(num_gaussians=400, num_parts=40, num_nodes=40, num_kept=60).build())
    )


def without_correctives(avatar: AvatarArrays) -> AvatarArrays:
    names = ("rotation_basis", "scale_basis", "color_basis", "node_basis")
    return dataclasses.replace(avatar, **{k: np.zeros_like(getattr(avatar, k)) for k in names})


def canonical_pose() -> evaluate.Pose:
    pose = rest_pose()
    pose.pose[1, 2], pose.pose[2, 2] = np.deg2rad(25), -np.deg2rad(25)
    return pose


def test_the_canonical_pose_without_correctives_changes_nothing(avatar: AvatarArrays):
    posed = evaluate.evaluate(without_correctives(avatar), canonical_pose())
    # 55 chained float32 products over 2 m, and skin weights that sum to one within 4 roundings
    np.testing.assert_allclose(posed.mean, avatar.position, atol=5e-6)
    np.testing.assert_array_equal(posed.opacity, avatar.opacity)
    np.testing.assert_array_equal(posed.color, np.maximum(avatar.color + 0.5, 0))
    volume = np.exp(2 * avatar.log_scale.astype(np.float64).sum(1))
    np.testing.assert_allclose(np.linalg.det(posed.covariance.astype(np.float64)), volume, rtol=1e-3)


def test_a_rigid_motion_moves_means_and_turns_covariances(avatar: AvatarArrays):
    pose = walking_pose(0.7)
    moved = evaluate.evaluate(avatar, pose)
    still = evaluate.evaluate(avatar, dataclasses.replace(pose, Rh=np.eye(3, dtype=np.float32), Th=np.zeros(3)))
    np.testing.assert_allclose(moved.mean, still.mean @ pose.Rh.T + pose.Th, atol=2e-6)
    turned = pose.Rh @ still.covariance @ pose.Rh.T
    np.testing.assert_allclose(moved.covariance, turned, atol=1e-5 * turned.max())


def test_covariances_are_symmetric_and_positive(avatar: AvatarArrays):
    covariance = evaluate.evaluate(avatar, walking_pose(2.0)).covariance.astype(np.float64)
    np.testing.assert_array_equal(covariance, covariance.transpose(0, 2, 1))
    assert (np.linalg.eigvalsh(covariance) > 0).all()


def test_the_expression_reaches_head_parts_only(avatar: AvatarArrays):
    pose = walking_pose(1.0)
    neutral = dataclasses.replace(pose, expression=np.zeros_like(pose.expression))
    change = np.abs(
        evaluate.features(avatar, evaluate.mlp_inputs(avatar, pose))
        - evaluate.features(avatar, evaluate.mlp_inputs(avatar, neutral))
    ).max(1)
    assert 0 < avatar.num_head_parts < len(change)
    assert (change[: avatar.num_head_parts] > 0).all()
    assert (change[avatar.num_head_parts :] == 0).all()


def test_kept_correctives_touch_kept_gaussians_only(avatar: AvatarArrays):
    pose = walking_pose(1.0)
    full = evaluate.evaluate(avatar, pose)
    none = evaluate.evaluate(without_correctives(avatar), pose)
    changed = np.flatnonzero((full.color != none.color).any(1))
    assert len(changed) > 0.9 * len(avatar.color_index)  # some stay at the clamp at zero
    assert np.isin(changed, avatar.color_index).all()


def test_the_first_k_features_drive_attributes_and_the_last_k_drive_nodes(avatar: AvatarArrays):
    k = avatar.basis_size
    e = np.random.default_rng(0).normal(size=(40, 2 * k)).astype(np.float32)
    attributes_only = e.copy()
    attributes_only[:, k:] = 0
    assert not evaluate.node_displacements(avatar, attributes_only).any()
    assert evaluate.node_displacements(avatar, e).any()


def test_rotation_matrices_are_rotations_by_the_angle():
    axis_angle = np.random.default_rng(0).normal(size=(50, 3))
    R = evaluate.rotation_matrices(axis_angle)
    np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.tile(np.eye(3), (50, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.einsum("nab,nb->na", R, axis_angle), axis_angle, atol=1e-12)
    np.testing.assert_allclose(np.trace(R, axis1=1, axis2=2), 1 + 2 * np.cos(np.linalg.norm(axis_angle, axis=1)))
    np.testing.assert_allclose(evaluate.rotation_matrices(np.array([0.3, 0, 0]))[2, 1], np.sin(0.3))

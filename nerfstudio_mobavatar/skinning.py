"""Linear blend skinning of means and covariances (method step 5)."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from .body_model import forward_kinematics
from .transforms import axis_angle_to_rotmat, product

INFLUENCES = 4
"""Joints per Gaussian; four fit 8 bytes in the avatar file and hold over 99% of the body's weight."""


def strongest_joints(weights: Float[ndarray, "n j"]) -> tuple[Int[ndarray, "n 4"], Float[ndarray, "n 4"]]:
    """The four strongest joints of every point and their weights, renormalised to sum to one."""
    index = np.argsort(-weights, axis=1, kind="stable")[:, :INFLUENCES]
    top = np.take_along_axis(weights, index, 1)
    return index, top / top.sum(1, keepdims=True)


def joint_transforms(
    pose: Float[Tensor, "*b 55 3"],
    transl: Float[Tensor, "*b 3"],
    joint_rest: Float[Tensor, "55 3"],
    parents: tuple[int, ...],
    inverse_bind: Float[Tensor, "55 4 4"],
) -> Float[Tensor, "*b 55 3 4"]:
    """`G[j] = A_pose[j] @ inverse(A_bigpose[j])`, canonical space to the world, global orientation and translation
    included. Of one pose or many."""
    T_world_joint = forward_kinematics(axis_angle_to_rotmat(pose), joint_rest, parents, transl)
    return (T_world_joint @ inverse_bind)[..., :3, :]


def blend_transforms(
    G: Float[Tensor, "55 3 4"], index: Int[Tensor, "n 4"], weight: Float[Tensor, "n 4"]
) -> Float[Tensor, "n 3 4"]:
    """Per-point affine transform `sum_j w_j G[j]`."""
    joints = G.flatten(1).index_select(0, index.flatten()).unflatten(0, index.shape)
    return (weight[..., None] * joints).sum(1).unflatten(1, (3, 4))


def skin(
    T: Float[Tensor, "n 3 4"], means: Float[Tensor, "n 3"], half: Float[Tensor, "n 3 3"]
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3 3"]]:
    """World means and covariances. `half` is `R S`, so that `Sigma = half half^T`; the blended 3x3 is not a rotation,
    and `G Sigma G^T` is right for covariances all the same."""
    linear = T[:, :, :3]
    moved = (linear * means[:, None]).sum(-1) + T[:, :, 3]
    root = product(linear, half)
    return moved, product(root, root.transpose(1, 2))

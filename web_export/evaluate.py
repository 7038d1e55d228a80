"""The reference evaluator of an avatar file: (decoded arrays, pose) -> posed Gaussians. numpy, float32, no shortcuts.

Every WGSL pass is tested against the function of the same name here, and this module against the training avatar.
"""

from dataclasses import dataclass

import numpy as np

from nerfstudio_mobavatar.trained_poses import safe_inputs

from .arrays import AvatarArrays


@dataclass(frozen=True)
class Pose:
    """One frame of a pose sequence: `x_world = Rh @ skin(x) + Th`, joint angles relative to the parent."""

    pose: np.ndarray
    """[55, 3] axis-angle, radians; joint 0 is the root rotation about its own joint (zero in files we write)."""
    Rh: np.ndarray
    """[3, 3]"""
    Th: np.ndarray
    """[3] metres"""
    expression: np.ndarray
    """[E]"""


@dataclass(frozen=True)
class PosedArrays:
    """Gaussians in the world: what the renderer draws."""

    mean: np.ndarray
    """[N, 3] metres"""
    covariance: np.ndarray
    """[N, 3, 3] square metres"""
    color: np.ndarray
    """[N, 3] linear, >= 0"""
    opacity: np.ndarray
    """[N]"""


def rotation_matrices(axis_angle: np.ndarray) -> np.ndarray:
    """[..., 3] radians -> [..., 3, 3] (Rodrigues)."""
    angle = np.sqrt(np.maximum((axis_angle**2).sum(-1, keepdims=True), 1e-12))
    x, y, z = np.moveaxis(axis_angle / angle, -1, 0)
    zero = np.zeros_like(x)
    k = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    s, c = np.sin(angle)[..., None], np.cos(angle)[..., None]
    return np.eye(3, dtype=axis_angle.dtype) + s * k + (1 - c) * (k @ k)


def joint_transforms(a: AvatarArrays, pose: Pose) -> np.ndarray:
    """[55, 3, 4] from canonical space to the world: `[Rh|Th] T_root_joint inverse_bind` (forward kinematics)."""
    local = rotation_matrices(pose.pose.astype(np.float32))
    world = np.zeros((55, 4, 4), np.float32)
    world[:, 3, 3] = 1
    for j, parent in enumerate(a.joint_parent):
        step = np.eye(4, dtype=np.float32)
        step[:3, :3] = local[j]
        step[:3, 3] = a.joint_rest[j] - (a.joint_rest[parent] if parent >= 0 else 0)
        world[j] = step if parent < 0 else world[parent] @ step
    root = np.eye(4, dtype=np.float32)
    root[:3, :3], root[:3, 3] = pose.Rh, pose.Th
    bind = np.zeros((55, 4, 4), np.float32)
    bind[:, :3], bind[:, 3, 3] = a.inverse_bind, 1
    return (root @ world @ bind)[:, :3]


def mlp_inputs(a: AvatarArrays, pose: Pose) -> np.ndarray:
    """[layer_sizes[0]] what the part networks get: the pose, kept inside what training saw where the file says it."""
    return safe_inputs(raw_inputs(a, pose), a.input_range, a.trained_regions, a.num_pose_inputs)


def raw_inputs(a: AvatarArrays, pose: Pose) -> np.ndarray:
    """[layer_sizes[0]] pose numbers of joints 1..21, then the expression (zero-filled or cut to what the net takes)."""
    x = np.zeros(a.layer_sizes[0], np.float32)
    x[: a.num_pose_inputs] = pose.pose[1:].reshape(-1)[: a.num_pose_inputs]
    expression = pose.expression[: len(x) - a.num_pose_inputs]
    x[a.num_pose_inputs : a.num_pose_inputs + len(expression)] = expression
    return x


def features(a: AvatarArrays, x: np.ndarray) -> np.ndarray:
    """[P, 2K] local pose features: first K drive attributes, last K drive nodes. Expression only reaches head parts."""
    h = np.repeat(x[None].astype(np.float32), len(a.mlp_weights[0]), 0)
    h[a.num_head_parts :, a.num_pose_inputs :] = 0
    for i, (w, b) in enumerate(zip(a.mlp_weights, a.mlp_biases)):
        h = np.einsum("poi,pi->po", w, h) + b
        if i + 1 < len(a.mlp_weights):
            h = np.where(h > 0, h, np.float32(0.01) * h)
    return h


def node_displacements(a: AvatarArrays, e: np.ndarray) -> np.ndarray:
    """[M, 3] metres."""
    return np.einsum("mak,mk->ma", a.node_basis, e[a.node_part, a.basis_size :])


def posed(a: AvatarArrays, e: np.ndarray, dx: np.ndarray, joints: np.ndarray) -> PosedArrays:
    """Attributes plus correctives, node displacement, linear blend skinning of means and covariances."""
    k = a.basis_size
    rotation, log_scale, color = a.rotation.copy(), a.log_scale.copy(), a.color.copy()
    for values, index, basis in (
        (rotation, a.rotation_index, a.rotation_basis),
        (log_scale, a.scale_index, a.scale_basis),
        (color, a.color_index, a.color_basis),
    ):
        values[index] += np.einsum("nak,nk->na", basis, e[a.part[index], :k])
    position = a.position + (dx[a.node_index] * a.node_weight[..., None]).sum(1)
    blend = np.einsum("nj,njab->nab", a.skin_weight, joints[a.skin_index])
    mean = np.einsum("nab,nb->na", blend[:, :, :3], position) + blend[:, :, 3]
    w, x, y, z = (rotation / np.linalg.norm(rotation, axis=1, keepdims=True)).T
    R = np.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        -1,
    ).reshape(-1, 3, 3)  # fmt: skip
    half = blend[:, :, :3] @ R * np.exp(log_scale)[:, None, :]
    return PosedArrays(mean, half @ half.transpose(0, 2, 1), np.maximum(color + 0.5, 0), a.opacity)


def evaluate(a: AvatarArrays, pose: Pose) -> PosedArrays:
    """The whole avatar for one pose."""
    e = features(a, mlp_inputs(a, pose))
    return posed(a, e, node_displacements(a, e), joint_transforms(a, pose))

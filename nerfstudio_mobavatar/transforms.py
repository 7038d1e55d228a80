"""Rotations and rigid transforms: pure torch, quaternions wxyz, transforms named by frame (`T_world_joint`)."""

import torch
from jaxtyping import Float
from torch import Tensor


def axis_angle_to_rotmat(r: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """Rodrigues' formula, radians, differentiable at zero.

    `sin(t)/t` and `(1-cos(t))/t^2` are evaluated on a squared angle kept above 1e-12, which is exact to float32
    precision at zero and keeps the gradient finite.
    """
    squared = (r * r).sum(-1, keepdim=True)
    angle = squared.clamp_min(1e-12).sqrt()
    s = (angle.sin() / angle)[..., None]
    half = (angle * 0.5).sin() / angle
    c = (2.0 * half * half)[..., None]
    x, y, z = r.unbind(-1)
    zero = torch.zeros_like(x)
    k = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    eye = torch.eye(3, dtype=r.dtype, device=r.device)
    return eye + s * k + c * (k @ k)


def product(a: Float[Tensor, "*b n k"], b: Float[Tensor, "*b k m"]) -> Float[Tensor, "*b n m"]:
    """`a @ b` for many small matrices: multiplied and summed, since batched GEMM kernels are slow at sizes of 3."""
    return (a[..., :, :, None] * b[..., None, :, :]).sum(-2)


def quat_to_rotmat(q: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 3 3"]:
    """Rotation matrices of wxyz quaternions; they are normalised here, so any non-zero length is allowed."""
    w, x, y, z = torch.nn.functional.normalize(q, dim=-1).unbind(-1)
    return torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        -1,
    ).unflatten(-1, (3, 3))  # fmt: skip


def rotmat_to_quat(R: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 4"]:
    """Unit wxyz quaternions with w >= 0, stable for every rotation (largest-component branch, Shepperd 1978)."""
    m = R.flatten(-2)
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = m.unbind(-1)
    squared = torch.stack([1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], -1)
    candidates = torch.stack(
        [
            torch.stack([squared[..., 0], m21 - m12, m02 - m20, m10 - m01], -1),
            torch.stack([m21 - m12, squared[..., 1], m10 + m01, m02 + m20], -1),
            torch.stack([m02 - m20, m10 + m01, squared[..., 2], m21 + m12], -1),
            torch.stack([m10 - m01, m02 + m20, m21 + m12, squared[..., 3]], -1),
        ],
        -2,
    )
    best = squared.argmax(-1)
    q = torch.take_along_dim(candidates, best[..., None, None].expand(*best.shape, 1, 4), dim=-2)[..., 0, :]
    q = torch.nn.functional.normalize(q, dim=-1)
    return torch.where(q[..., :1] < 0, -q, q)


def rotmat_to_axis_angle(R: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3"]:
    """Axis-angle vectors (radians, length <= pi) of rotation matrices."""
    q = rotmat_to_quat(R)
    sine = q[..., 1:].norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(sine, q[..., :1])
    scale = torch.where(sine > 1e-7, angle / sine.clamp_min(1e-7), 2.0)
    return q[..., 1:] * scale


def rigid(R: Float[Tensor, "*b 3 3"], t: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 4 4"]:
    """The 4x4 transform `x -> R x + t`."""
    top = torch.cat([R, t[..., None]], -1)
    bottom = torch.zeros_like(top[..., :1, :])
    bottom[..., 0, 3] = 1
    return torch.cat([top, bottom], -2)


def invert_rigid(T: Float[Tensor, "*b 4 4"]) -> Float[Tensor, "*b 4 4"]:
    """Inverse of a rigid transform by transposing its rotation."""
    R = T[..., :3, :3].transpose(-1, -2)
    return rigid(R, -(R @ T[..., :3, 3:])[..., 0])

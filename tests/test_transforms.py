"""Rotations: group axioms, agreement with scipy, gradients at the identity."""

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar import transforms


def vectors(n: int = 200) -> torch.Tensor:
    r = torch.randn(n, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 1.2
    r[0], r[1], r[2] = 0, torch.tensor([np.pi, 0, 0]), torch.tensor([0, -3.14, 0.01])
    return r


def test_axis_angle_agrees_with_scipy_and_back():
    r = vectors()
    R = transforms.axis_angle_to_rotmat(r)
    np.testing.assert_allclose(R.numpy(), Rotation.from_rotvec(r.numpy()).as_matrix(), atol=1e-12)
    again = transforms.axis_angle_to_rotmat(transforms.rotmat_to_axis_angle(R))
    np.testing.assert_allclose(again.numpy(), R.numpy(), atol=1e-7)
    assert (transforms.rotmat_to_axis_angle(R).norm(dim=-1) <= np.pi + 1e-6).all()


def test_quaternions_agree_with_scipy_and_need_no_unit_length():
    R = transforms.axis_angle_to_rotmat(vectors())
    q = transforms.rotmat_to_quat(R)
    assert (q[:, 0] >= 0).all()
    expected = Rotation.from_matrix(R.numpy()).as_matrix()
    np.testing.assert_allclose(transforms.quat_to_rotmat(q * 3.7).numpy(), expected, atol=1e-7)


def test_inverse_of_a_rigid_transform():
    T = transforms.rigid(transforms.axis_angle_to_rotmat(vectors(5)), torch.arange(15.0).double().view(5, 3))
    np.testing.assert_allclose((T @ transforms.invert_rigid(T)).numpy(), np.eye(4)[None].repeat(5, 0), atol=1e-12)


def test_gradients_are_right_and_finite_at_zero():
    r = vectors(6).requires_grad_()
    assert torch.autograd.gradcheck(transforms.axis_angle_to_rotmat, (r[1:],))
    zero = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    transforms.axis_angle_to_rotmat(zero)[1, 0].backward()
    np.testing.assert_allclose(zero.grad.numpy(), [0, 0, 1], atol=1e-9)

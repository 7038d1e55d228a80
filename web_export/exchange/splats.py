"""One pose of an avatar as plain 3D Gaussians: what `.ply`, `.spz`, `.sog` and glTF hold of it.

These formats know a rotation and three scales for every splat. A skinned covariance is `A R S (A R S)^T` with an `A`
that is no rotation, so rotation and scales are found again as its eigenvectors and the roots of its eigenvalues: exact,
since every covariance has them.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.sampling import morton_order

from ..evaluate import PosedArrays

SH_C0 = 0.28209479177387814
"""Spherical harmonic of band 0, `sqrt(1 / pi) / 2`: rgb = 0.5 + SH_C0 * coefficient."""
MIN_SCALE = 1e-6
"""Metres; flatter splats are stored this thick, since their logarithm must be finite."""
MAX_OPACITY = 1 - 1e-4
"""The logit of 1 is infinite. Renderers stop at 0.999 or 0.99."""

Axes = Literal["y-up", "y-down"]


@dataclass(frozen=True)
class Splats:
    """N Gaussians at rest, not view dependent."""

    mean: np.ndarray
    """[N, 3] metres."""
    rotation: np.ndarray
    """[N, 4] unit quaternion wxyz, w >= 0."""
    scale: np.ndarray
    """[N, 3] standard deviations along the rotated axes, metres."""
    color: np.ndarray
    """[N, 3] display-referred rgb, >= 0."""
    opacity: np.ndarray
    """[N] in 0..1."""

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def log_scale(self) -> np.ndarray:
        return np.log(self.scale)

    @property
    def sh0(self) -> np.ndarray:
        """[N, 3] coefficients of band 0."""
        return (self.color - 0.5) / SH_C0

    @property
    def opacity_logit(self) -> np.ndarray:
        clipped = np.clip(self.opacity, 1 - MAX_OPACITY, MAX_OPACITY)
        return np.log(clipped / (1 - clipped))

    def turned(self, R: np.ndarray) -> "Splats":
        """The same splats turned by the rotation matrix `R` [3, 3] about the origin."""
        return replace(self, mean=self.mean @ R.T, rotation=_wxyz(Rotation.from_matrix(R) * _scipy(self.rotation)))

    def in_space_order(self) -> "Splats":
        """The same splats, neighbours in space next to each other: what compresses well."""
        order = morton_order(self.mean)
        return Splats(*(x[order] for x in (self.mean, self.rotation, self.scale, self.color, self.opacity)))


def from_posed(posed: PosedArrays) -> Splats:
    """Rotation and scales of the skinned covariances."""
    values, vectors = np.linalg.eigh(posed.covariance.astype(np.float64))
    vectors[np.linalg.det(vectors) < 0, :, 0] *= -1
    scale = np.sqrt(np.maximum(values, MIN_SCALE**2))
    mean, color, opacity = (x.astype(np.float64) for x in (posed.mean, posed.color, posed.opacity))
    return Splats(mean, _wxyz(Rotation.from_matrix(vectors)), scale, color, np.clip(opacity, 0, 1))


def upright(up: np.ndarray, axes: Axes) -> np.ndarray:
    """[3, 3] the smallest rotation that brings the world's axis `up` to where the format has it."""
    target = np.array([0.0, 1.0 if axes == "y-up" else -1.0, 0.0])
    up = np.asarray(up, np.float64) / np.linalg.norm(up)
    cosine = float(up @ target)
    if cosine < -0.999999:  # half a turn, about the axis to the viewer, or any other where that is the one to turn
        axis = np.array([0.0, 0.0, 1.0])
        return 2 * np.outer(axis, axis) - np.eye(3)
    cross = np.cross(up, target)
    K = np.array([[0, -cross[2], cross[1]], [cross[2], 0, -cross[0]], [-cross[1], cross[0], 0]])
    return np.eye(3) + K + K @ K / (1 + cosine)


def _scipy(wxyz: np.ndarray) -> Rotation:
    return Rotation.from_quat(np.roll(wxyz, -1, axis=1))


def _wxyz(rotation: Rotation) -> np.ndarray:
    q = np.roll(rotation.as_quat(), 1, axis=1)
    return np.where(q[:, :1] < 0, -q, q)

"""numpy twins of the passes that web_export.evaluate does not cover: projection and sort."""

from dataclasses import dataclass

import numpy as np

CULLED = 0xFFFFFFFF


@dataclass(frozen=True)
class Projected:
    """What project.wgsl should find, in float64."""

    center: np.ndarray
    """[N, 2] px"""
    covariance: np.ndarray
    """[N, 2, 2] square px, blur included"""
    depth: np.ndarray
    """[N] metres"""
    visible: np.ndarray
    """[N]"""
    radius: np.ndarray
    """[N] sigmas at which alpha falls below 1/255"""


def project(
    mean: np.ndarray, covariance: np.ndarray, opacity: np.ndarray, T_cam_world: np.ndarray, K: np.ndarray, size: tuple
) -> Projected:
    """gsplat 1.5.3's pinhole EWA projection, written from its definition: J at the clamped point, `J S J^T + 0.3`."""
    width, height = size
    R, t = T_cam_world[:3, :3].astype(np.float64), T_cam_world[:3, 3].astype(np.float64)
    x, y, z = (mean.astype(np.float64) @ R.T + t).T
    fx, fy, cx, cy = (float(K[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    depth = z
    z = np.where(z > 0.01, z, 1.0)
    margin_x, margin_y = 0.3 * 0.5 * width / fx, 0.3 * 0.5 * height / fy
    tx = z * np.clip(x / z, -cx / fx - margin_x, (width - cx) / fx + margin_x)
    ty = z * np.clip(y / z, -cy / fy - margin_y, (height - cy) / fy + margin_y)
    zero = np.zeros_like(z)
    J = np.stack([fx / z, zero, -fx * tx / z**2, zero, fy / z, -fy * ty / z**2], -1).reshape(-1, 2, 3)
    screen = J @ R @ covariance.astype(np.float64) @ R.T @ J.transpose(0, 2, 1) + 0.3 * np.eye(2)
    center = np.stack([fx * x / z + cx, fy * y / z + cy], 1)
    with np.errstate(divide="ignore"):
        radius = np.sqrt(2 * np.maximum(np.log(opacity.astype(np.float64) * 255), 0))
    reach = np.ceil(radius[:, None] * np.sqrt(np.diagonal(screen, axis1=1, axis2=2)))
    inside = ((center + reach > 0) & (center - reach < [width, height])).all(1)
    visible = (depth >= 0.01) & (opacity >= 1 / 255) & inside & (np.linalg.det(screen) > 0)
    return Projected(center, screen, depth, visible, radius)


def sort_keys(depth_bits: np.ndarray) -> np.ndarray:
    """16-bit keys over the depth range of what is visible (the others' keys mean nothing), in float32 as on the GPU."""
    visible = depth_bits != CULLED
    depth = depth_bits.view(np.float32)
    near, far = depth[visible].min(), depth[visible].max()
    with np.errstate(invalid="ignore"):
        step = (depth - near) / max(far - near, np.float32(1e-9)) * np.float32(65535)
    return np.where(visible, np.clip(step, 0, 65535), 0).astype(np.int64)


def histogram(digits: np.ndarray, sorted_: np.ndarray, block: int) -> np.ndarray:
    """[256, blocks] how often each digit value occurs in each block among what is sorted."""
    counts = [
        np.bincount(digits[i : i + block][sorted_[i : i + block]], minlength=256) for i in range(0, len(digits), block)
    ]
    return np.stack(counts, 1)


def scan(counts: np.ndarray) -> np.ndarray:
    """Exclusive prefix sum over the blocks of each digit value."""
    return np.cumsum(counts, 1) - counts


def scatter(values: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """The values, stably sorted by digit."""
    return values[np.argsort(digits, kind="stable")]

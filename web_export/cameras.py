"""Cameras that see a whole person. OpenCV axes, metres, pixels."""

from typing import Any

import numpy as np

DISTANCE = 3.2
"""Of the camera, in radii of the person's sphere."""
FILLED = 1.08
"""Half the picture, in the same radii."""


def look_at(eye: np.ndarray, target: np.ndarray, up: np.ndarray) -> np.ndarray:
    """World-to-camera [4, 4], OpenCV axes."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, -R @ eye
    return T


def front_camera(meta: dict[str, Any], width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """`T_cam_world` [4, 4] and `K` [3, 3] of a camera that sees the whole person from the front."""
    center, up, front = (np.array(meta[k], np.float64) for k in ("center", "up", "front"))
    distance = DISTANCE * meta["radius"]
    focal = 0.5 * min(height, width * 4 / 3) * distance / (FILLED * meta["radius"])
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return look_at(center + distance * front, center, up), K

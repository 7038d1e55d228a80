"""The published runtime's `.npz`, evaluated from the description of its layout alone: plain loops, no code of ours.

Source: the layout's public readers. Where they differ from the paper (correctives after skinning), this is the paper.
"""

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

SMPLX_PARENTS = (
    -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15,
    20, 25, 26, 20, 28, 29, 20, 31, 32, 20, 34, 35, 20, 37, 38,
    21, 40, 41, 21, 43, 44, 21, 46, 47, 21, 49, 50, 21, 52, 53,
)  # fmt: skip
DTYPES = {
    "_xyz": "<f2", "_scaling": "<f2", "_rotation": "<f2", "_sh0": "<f2", "opacity": "|u1", "t_joints": "<f2",
    "weights_idx": "|u1", "weights_val": "|u1", "num_xyz_ft_head": "<u4", "gs_feat_knn": "<u2", "rot_idxs": "<u4",
    "scale_idxs": "<u4", "color_idxs": "<u4", "rotation_basis": "<f2", "scaling_basis": "<f2", "color_basis": "<f2",
    "ctrl_pt_basis": "<f2", "gs_ctrl_knn": "<u2", "ctrl_feat_knn": "<u2",
}  # fmt: skip


def load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return {key: archive[key] for key in archive.files}


def world_joints(joints: np.ndarray, angles: np.ndarray) -> list[np.ndarray]:
    """4x4 transform of every joint."""
    out: list[np.ndarray] = []
    for j, parent in enumerate(SMPLX_PARENTS):
        T = np.eye(4)
        T[:3, :3] = Rotation.from_rotvec(angles[j]).as_matrix()
        T[:3, 3] = joints[j] - (joints[parent] if parent >= 0 else 0)
        out.append(T if parent < 0 else out[parent] @ T)
    return out


def network_input(s: dict[str, np.ndarray], angles: np.ndarray, expression: np.ndarray, head: bool) -> np.ndarray:
    """63 pose numbers, in wider files a zero, then 10 of expression (head parts only), then zeros."""
    width = s["layers.0.weight"].shape[2]
    x = np.zeros(width)
    x[:63] = angles[1:22].ravel()
    first = 63 if width == 73 else 64
    x[first : first + 10] = expression if head else 0
    return x


def pose_features(s: dict[str, np.ndarray], angles: np.ndarray, expression: np.ndarray) -> np.ndarray:
    """[parts, 32]"""
    parts = s["layers.0.weight"].shape[1]
    out = []
    for p in range(parts):
        x = network_input(s, angles, expression, p < int(s["num_xyz_ft_head"]))
        for i in (0, 2, 4, 6):
            x = s[f"layers.{i}.weight"][:, p].astype(float) @ x + s[f"layers.{i}.bias"][:, p]
            if i != 6:
                x = np.where(x > 0, x, 0.01 * x)
        out.append(x)
    return np.stack(out)


def evaluate(s: dict[str, np.ndarray], row: dict) -> dict[str, np.ndarray]:
    """Gaussians in the world for one entry of a `.pose.json`."""
    angles, Rh, Th = np.reshape(row["pose"], (55, 3)), np.array(row["Rh"]), np.array(row["Th"])
    e = pose_features(s, angles, np.array(row["expression"] or np.zeros(10)))
    big = np.zeros((55, 3))
    big[1, 2], big[2, 2] = np.pi * 25 / 180, -np.pi * 25 / 180
    joints = s["t_joints"].astype(float)
    G = [a @ np.linalg.inv(b) for a, b in zip(world_joints(joints, angles), world_joints(joints, big))]
    own = {
        "rot": s["_rotation"].astype(float),
        "scale": s["_scaling"].astype(float),
        "color": s["_sh0"][:, 0].astype(float),
    }
    for name, basis in (("rot", "rotation_basis"), ("scale", "scaling_basis"), ("color", "color_basis")):
        for k, n in enumerate(s[f"{name}_idxs"]):
            own[name][n] += s[basis][k].astype(float) @ e[s["gs_feat_knn"][n], :16]
    moved = [
        o + b.astype(float) @ e[p, 16:] for o, b, p in zip(s["ctrl_pt_offsets"], s["ctrl_pt_basis"], s["ctrl_feat_knn"])
    ]
    means, covariances = [], []
    for n in range(len(s["_xyz"])):
        x = s["_xyz"][n].astype(float)
        for k in range(3):
            x = x + float(s["gs_ctrl_knn_weights"][n, k]) * moved[s["gs_ctrl_knn"][n, k]]
        A = np.zeros((4, 4))
        for k in range(4):
            A += s["weights_val"][n, k] / 255 * G[s["weights_idx"][n, k]]
        w, *xyz = own["rot"][n]
        half = Rh @ A[:3, :3] @ Rotation.from_quat([*xyz, w]).as_matrix() @ np.diag(np.exp(own["scale"][n]))
        means.append(Rh @ (A[:3, :3] @ x + A[:3, 3]) + Th)
        covariances.append(half @ half.T)
    return {
        "mean": np.array(means),
        "covariance": np.array(covariances),
        "color": np.maximum(own["color"] + 0.5, 0),
        "opacity": s["opacity"] / 255,
    }

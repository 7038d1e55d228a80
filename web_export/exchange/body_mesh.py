"""The open body's mesh in the shape of an avatar's person. The one body that may leave: it is CC0.

An avatar file holds no shape coefficients, but the person's 55 rest joints. Joints of the open body are linear in its
coefficients, so these are found again; where the joints are not the open body's, nothing fits and nothing is written.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..bundle import AvatarArrays
from .errors import ExchangeError

LARGEST_MISFIT = 1e-3
"""Metres between the avatar's joints and the open body's; its own come back within a hundredth of that."""


@dataclass(frozen=True)
class BodyMesh:
    """V vertices in the rest pose (T-pose), metres, y up."""

    vertices: np.ndarray
    """[V, 3]"""
    normals: np.ndarray
    """[V, 3] unit length."""
    faces: np.ndarray
    """[F, 3]"""
    skin_index: np.ndarray
    """[V, 4] the strongest joints."""
    skin_weight: np.ndarray
    """[V, 4] sum 1."""


def open_body_mesh(a: AvatarArrays, source: Path) -> BodyMesh:
    """Raises ExchangeError for avatars of other bodies; `source` is the file that the message names."""
    body_name = a.meta.get("body", "unknown")
    if body_name != "open":
        raise ExchangeError(
            f"{source}: --mesh writes the open body only, this avatar's body is '{body_name}'. Meshes of licensed "
            "bodies are not written; leave out --mesh to get the skeleton with the avatar's own points."
        )
    import torch

    from nerfstudio_mobavatar.body_model import load_body
    from nerfstudio_mobavatar.skinning import strongest_joints

    body = load_body("open")
    regressor = body.J_regressor.double()
    basis = torch.einsum("jv,vcb->jcb", regressor, body.shape_dirs.double()).reshape(165, -1).numpy()
    mean = (regressor @ body.v_template.double()).reshape(165).numpy()
    target = a.joint_rest.astype(np.float64).reshape(165)
    betas = np.linalg.lstsq(basis, target - mean, rcond=None)[0]
    misfit = np.abs(mean + basis @ betas - target).max()
    if misfit > LARGEST_MISFIT:
        raise ExchangeError(
            f"{source}: says that its body is the open one, but the joints miss it by {1000 * misfit:.1f} mm. Another "
            "version of the body, or another body; leave out --mesh."
        )
    vertices = body.rest(torch.from_numpy(betas).float())[0].numpy()
    index, weight = strongest_joints(body.skin_weights.numpy())
    faces = body.faces.numpy()
    return BodyMesh(vertices, _normals(vertices, faces), faces, index, weight)


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """[V, 3] of adjacent triangles, weighted by area; vertices without triangles get the y axis."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    normals = np.zeros((len(vertices), 3))
    for i in range(3):
        np.add.at(normals, faces[:, i], np.cross(b - a, c - a))
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 1e-12, normals / np.maximum(length, 1e-12), [0.0, 1.0, 0.0])

"""The generated person in a skirt as a template mesh, and how far a mesh is torn in walking poses."""

from functools import lru_cache

import numpy as np
import torch

from nerfstudio_mobavatar.body_model import load_body
from nerfstudio_mobavatar.demo.clothed import ClothedHuman
from nerfstudio_mobavatar.demo.motion import procedural_motion
from nerfstudio_mobavatar.skinning import joint_transforms
from nerfstudio_mobavatar.template import Template, big_pose, make_template
from nerfstudio_mobavatar.template_mesh import TemplateMesh, weld


@lru_cache
def skirted() -> ClothedHuman:
    """The mean person, coarse."""
    return ClothedHuman(load_body(), torch.zeros(10), 0, torch.device("cpu"), outfit="skirt")


def skirt_mesh(pose: torch.Tensor | None = None, human: ClothedHuman | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The whole dressed person in the canonical pose or another: several shells, open, welded."""
    human = human or skirted()
    points = human.pose(big_pose() if pose is None else pose, torch.zeros(3), torch.zeros(10))
    vertices, faces = weld(points.numpy().astype(np.float64), human.faces.numpy())
    return vertices.astype(np.float32), faces


@lru_cache
def skirt_template() -> Template:
    """The mean person's, from the mesh in the canonical pose."""
    mesh = TemplateMesh("own.ply", *skirt_mesh(), big_pose(), torch.zeros(3))
    return make_template(load_body(), torch.zeros(10), mesh)


def walking(count: int = 12) -> list[torch.Tensor]:
    """Poses of the generated motion, steps included."""
    motion = procedural_motion(200, 1, 0)
    return [torch.from_numpy(motion.pose[row]) for row in np.linspace(0, 199, count).astype(int)]


def stretch(template: Template, chosen: np.ndarray, weights: np.ndarray, poses: list[torch.Tensor]) -> np.ndarray:
    """Posed by canonical length of the edges between `chosen` vertices, of every pose: the tear measure. Slivers of
    less than 3 mm are left out."""
    edges = np.unique(np.sort(template.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1), axis=0)
    edges = edges[chosen[edges].all(1)]
    rest, bind = torch.from_numpy(template.joint_rest), torch.from_numpy(template.inverse_bind)
    edges = edges[np.linalg.norm(np.subtract(*template.vertices[edges.T]), axis=1) > 0.003]
    length = np.linalg.norm(np.subtract(*template.vertices[edges.T]), axis=1)
    parents = load_body().parents
    G = joint_transforms(torch.stack(poses), torch.zeros(len(poses), 3), rest, parents, bind).numpy()
    used, ends = np.unique(edges, return_inverse=True)
    A = (weights[used] @ G.reshape(len(poses), 55, 12)).reshape(len(poses), -1, 3, 4)
    posed = (A[..., :3] @ template.vertices[used, :, None])[..., 0] + A[..., 3]
    ends = ends.reshape(-1, 2)
    return (np.linalg.norm(posed[:, ends[:, 0]] - posed[:, ends[:, 1]], axis=2) / length).ravel()


def between_the_legs(template: Template) -> np.ndarray:
    """Vertices of the skirt, by place: below the hips, above its hem, no shoe and no hand."""
    hip, knee = template.joint_rest[1, 1], template.joint_rest[4, 1]
    x, y = np.abs(template.vertices[:, 0]), template.vertices[:, 1]
    return (y < hip - 0.08) & (y > knee - 0.1) & (x < 0.5)

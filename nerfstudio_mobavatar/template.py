"""The canonical template: the person's mesh in the big pose, its joints and skin weights (paper section 3.1)."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from .body_model import Body, forward_kinematics
from .sampling import nearest
from .transforms import axis_angle_to_rotmat, invert_rigid

BIG_POSE_HIP = math.radians(25.0)
"""Both hips are turned outwards by this angle, so that the inner thighs do not touch."""


class TemplateError(ValueError):
    """A template mesh that cannot be used. The message says where, what was expected, what was found, what to do."""


@dataclass(frozen=True)
class Template:
    """A mesh in canonical space with everything that is needed to pose it."""

    vertices: Float[ndarray, "v 3"]
    """Metres, big pose."""
    faces: Int[ndarray, "f 3"]
    skin_weights: Float[ndarray, "v 55"]
    joint_rest: Float[ndarray, "55 3"]
    """Joints of the rest pose (T-pose) of this person, metres."""
    inverse_bind: Float[ndarray, "55 4 4"]
    """`inverse(A_bigpose[j])`: canonical space to joint space."""


def big_pose() -> Float[Tensor, "55 3"]:
    """T-pose with the hips at +-25 degrees (entries 5 and 8 of the 165-vector)."""
    pose = torch.zeros(55, 3)
    pose[1, 2], pose[2, 2] = BIG_POSE_HIP, -BIG_POSE_HIP
    return pose


def make_template(body: Body, betas: Float[Tensor, " b"], mesh: Path | None = None) -> Template:
    """The body of this person in the big pose, or the user's own mesh in that same pose (for loose clothing).

    A user's mesh takes its skin weights from the three nearest body vertices, weighted by inverse distance.
    """
    pose = big_pose()
    _, joints = body.rest(betas)
    T_world_joint = forward_kinematics(axis_angle_to_rotmat(pose), joints, body.parents, torch.zeros(3))
    expression = torch.zeros(1, body.num_expressions)
    vertices = body.vertices(pose[None], torch.zeros(1, 3), betas, expression)[0].numpy()
    weights, faces = body.skin_weights.numpy(), body.faces.numpy()
    if mesh is not None:
        own_vertices, own_faces = load_mesh(mesh)
        distance, index = nearest(own_vertices, vertices, 3)
        if np.median(distance[:, 0]) > 0.25:
            raise TemplateError(
                f"{mesh}: the template mesh lies {np.median(distance[:, 0]):.2f} m (median) from the body; expected "
                "a mesh in metres, in the canonical big pose (T-pose, hips turned out by 25 degrees) of the same body"
            )
        share = 1 / np.maximum(distance, 1e-4)
        weights = np.einsum("nk,nkj->nj", share / share.sum(1, keepdims=True), weights[index])
        vertices, faces = own_vertices, own_faces
    return Template(
        vertices.astype(np.float32),
        faces.astype(np.int64),
        weights.astype(np.float32),
        joints.numpy(),
        invert_rigid(T_world_joint).numpy(),
    )


def load_mesh(path: Path) -> tuple[Float[ndarray, "v 3"], Int[ndarray, "f 3"]]:
    """Vertices and triangles of an OBJ or PLY file."""
    import trimesh  # a nerfstudio dependency; only users with a template mesh pay for the import

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such template mesh; expected an OBJ or PLY file in the canonical big pose")
    loaded = trimesh.load(str(path), process=False, force="mesh")
    vertices = np.asarray(getattr(loaded, "vertices", np.zeros((0, 3))), np.float32)
    faces = np.asarray(getattr(loaded, "faces", np.zeros((0, 3))), np.int64)
    if len(vertices) == 0 or len(faces) == 0:
        raise TemplateError(f"{path}: expected a triangle mesh, found {len(vertices)} vertices and {len(faces)} faces")
    return vertices, faces

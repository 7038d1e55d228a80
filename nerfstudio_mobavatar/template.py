"""The canonical template: the person's mesh in the big pose, its joints and skin weights (paper section 3.1)."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from .body_model import Body, forward_kinematics
from .skin_transfer import transfer_weights
from .skinning import INFLUENCES, joint_transforms
from .template_mesh import TemplateMesh, check_fits
from .transforms import axis_angle_to_rotmat, invert_rigid

BIG_POSE_HIP = math.radians(25.0)
"""Both hips are turned outwards by this angle, so that the inner thighs do not touch."""
LEAST_STRETCH = 0.3
"""Unposing undoes no compression below this: blended rotations that cancel would throw vertices far away."""


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


def make_template(body: Body, betas: Float[Tensor, " b"], mesh: TemplateMesh | None = None) -> Template:
    """The body of this person in the big pose, or the user's own mesh brought into that pose (for loose clothing).

    A mesh of one's own takes its skin weights from the body in the mesh's pose (`skin_transfer`).
    Raises `TemplateError` where it does not lie around the body.
    """
    pose = big_pose()
    _, joints = body.rest(betas)
    T_world_joint = forward_kinematics(axis_angle_to_rotmat(pose), joints, body.parents, torch.zeros(3))
    inverse_bind = invert_rigid(T_world_joint)
    if mesh is None:
        vertices = body_points(body, betas, pose, torch.zeros(3))
        weights, faces = body.skin_weights.numpy(), body.faces.numpy()
    else:
        faces, weights = mesh.faces, mesh_weights(body, betas, mesh)
        G = joint_transforms(mesh.pose, mesh.transl, joints, body.parents, inverse_bind).numpy()
        vertices = unpose(mesh.vertices, weights, G)
    return Template(
        vertices.astype(np.float32),
        faces.astype(np.int64),
        weights.astype(np.float32),
        joints.numpy(),
        inverse_bind.numpy(),
    )


def mesh_weights(body: Body, betas: Float[Tensor, " b"], mesh: TemplateMesh) -> Float[ndarray, "v 55"]:
    """Skin weights of a mesh that lies around the body, of four joints for each vertex. Raises `TemplateError`."""
    zero, around = torch.zeros(3), body_points(body, betas, mesh.pose, mesh.transl)
    bodies = {"as given": around}
    for name, known in (("canonical", big_pose()), ("rest", torch.zeros(55, 3))):
        if torch.equal(mesh.pose, known):
            other = {"canonical": torch.zeros(55, 3), "rest": big_pose()}[name]
            bodies = {
                name: around,
                "rest" if name == "canonical" else "canonical": body_points(body, betas, other, zero),
            }
    check_fits(mesh, bodies, next(iter(bodies)))
    return few_joints(
        transfer_weights(mesh.vertices, mesh.faces, around, body.faces.numpy(), body.skin_weights.numpy())
    )


def body_points(
    body: Body, betas: Float[Tensor, " b"], pose: Float[Tensor, "55 3"], transl: Float[Tensor, " 3"]
) -> Float[ndarray, "n 3"]:
    """The body's vertices, metres; neutral face."""
    return body.vertices(pose[None], transl[None], betas, torch.zeros(1, body.num_expressions))[0].numpy()


def few_joints(weights: Float[ndarray, "v j"], count: int = INFLUENCES) -> Float[ndarray, "v j"]:
    """At most `count` joints for each vertex: all weights less the next strongest, so that they fade before they are
    dropped. Dropping them as they are leaves steps where the choice of joints changes, which open in motion."""
    spare = np.sort(weights, axis=1)[:, -count - 1 : -count]
    kept = np.maximum(weights - spare, 0)
    total = kept.sum(1, keepdims=True)
    return np.where(total > 1e-9, kept / np.maximum(total, 1e-9), weights)  # five and more of one weight


def unpose(
    points: Float[ndarray, "v 3"], weights: Float[ndarray, "v 55"], G: Float[ndarray, "55 3 4"]
) -> Float[ndarray, "v 3"]:
    """Canonical points that linear blend skinning with `G` (canonical to world) brings to `points`."""
    A = np.einsum("vj,jab->vab", weights.astype(np.float64), G)
    U, s, Vt = np.linalg.svd(A[..., :3])
    inverse = np.einsum("vba,vb,vcb->vac", Vt, 1 / np.maximum(s, LEAST_STRETCH), U)
    return np.einsum("vab,vb->va", inverse, points - A[..., 3])

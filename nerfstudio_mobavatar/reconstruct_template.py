"""A template from a capture's own masks: the frame with its limbs apart, its visual hull, unposed to the big pose.

Cameras leave volume wherever none of them sees through, and where that is depends on the pose. So other frames have a
say: each voxel of the hull follows the skin weights of the nearest point of the hull into their poses, and goes where
enough of them find it outside.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.spatial import KDTree
from torch import Tensor

from .body_model import Body, forward_kinematics
from .silhouette_fit import pose_points, thin_body
from .skin_transfer import outward_normals
from .skinning import joint_transforms
from .template import Template, big_pose, body_points, few_joints, mesh_weights, unpose
from .template_mesh import TemplateMesh
from .transforms import axis_angle_to_rotmat, invert_rigid
from .visual_hull import FrameMasks, Grid, hull_field, hull_mesh, inside_metres, keep_body

_ARMS = ((18, 20, *range(25, 40)), (19, 21, *range(40, 55)))
_SHANKS = ((4, 7, 10), (5, 8, 11))
_LOWER = (0, 1, 2, 3, 4, 5)
_TRUNK = (0, 1, 2, 3, 6, 9, 12, 15, 22)
HANDS = (20, 21, *range(25, 55))
FAR_ENOUGH_M = 0.35
"""Limbs further apart than this are as good as any."""
AGREED = 0.25
"""A voxel goes where this share of the other frames, and two of them, find it outside: fits are off and cloth swings,
so that one frame must not decide."""
ROUGH_FACES = 8_000
"""Triangles of the mesh whose skin weights the voxels take."""
WEB_STRETCH = 3.0
"""Edges that unposing makes longer by this factor join what only touched in the frame (a hand and a hip)."""


@dataclass(frozen=True)
class HullConfig:
    """How the hull is carved and made into a mesh."""

    frames: int = 8
    """Other frames that have a say, spread over the training frames. 0: the hull of one frame."""
    voxel_m: float = 0.012
    """Side of a voxel, metres."""
    reach_m: float = 0.30
    """Cloth lies within this distance of hips and legs, metres."""
    upper_reach_m: float = 0.10
    """Cloth and hair lie within this distance of everything else, metres: what cameras cannot see between arm and chest
    is cut off there."""
    smoothing: int = 10
    """Rounds of Taubin smoothing."""
    faces: int = 30_000
    """Most triangles of the hull."""
    body_hands: bool = True
    """Take the hands from the body: a hull has mittens."""
    keep_body: bool = True
    """Never cut into the fitted body, where masks have lost a limb."""


@dataclass(frozen=True)
class HullFrame:
    """What is known of one frame."""

    pose: Float[Tensor, "55 3"]
    transl: Float[Tensor, " 3"]
    masks: FrameMasks


@dataclass(frozen=True)
class Reconstruction:
    """A template in the canonical pose, and what the hull was like."""

    template: Template
    watertight: bool
    """The hull itself, before hands are replaced and webs are cut."""
    volume_litres: float
    """Of the hull; 0 where it is not closed."""
    webs: int
    """Triangles between limbs that touched, left out."""


@torch.no_grad()
def limbs_apart(
    body: Body, betas: Float[Tensor, " b"], pose: Float[Tensor, "t 55 3"], transl: Float[Tensor, "t 3"]
) -> Float[ndarray, " t"]:
    """Smallest distance between limbs of each frame, metres (with a tenth of their mean, to tell ties apart): forearms
    and hands from each other, from the trunk and from the legs; shanks from each other."""
    thin = thin_body(body, len(betas))
    part = thin.weights.argmax(1)
    arms, shanks = ([torch.isin(part, torch.tensor(joints)) for joints in group] for group in (_ARMS, _SHANKS))
    trunk = torch.isin(part, torch.tensor(_TRUNK))
    legs = shanks[0] | shanks[1]
    pairs = [(arms[0], arms[1]), (shanks[0], shanks[1]), *((arm, other) for arm in arms for other in (trunk, legs))]
    scores = []
    for points in pose_points(thin, pose, transl, betas):
        gaps = torch.stack([torch.cdist(points[a], points[b]).min() for a, b in pairs]).clamp_max(FAR_ENOUGH_M)
        scores.append(float(gaps.min() + 0.1 * gaps.mean()))
    return np.array(scores)


def reconstruct(
    body: Body,
    betas: Float[Tensor, " b"],
    frame: HullFrame,
    config: HullConfig,
    others: Sequence[HullFrame] = (),
    source: str = "visual hull",
    device: torch.device | str = "cpu",
) -> Reconstruction:
    """The template of one frame, in which `others` have a say. Raises `TemplateError` where the hull does not lie
    around the body, `ValueError` where there is no hull."""
    import trimesh

    around = body_points(body, betas, frame.pose, frame.transl)
    lower = np.isin(body.skin_weights.numpy().argmax(1), _LOWER)
    reach = np.where(lower, config.reach_m, config.upper_reach_m)
    normals = outward_normals(around, body.faces.numpy(), around, body.faces.numpy())
    grid, field = hull_field(frame.masks, around, normals, reach, config.voxel_m, device)
    joints = body.rest(betas)[1]
    bind = invert_rigid(forward_kinematics(axis_angle_to_rotmat(big_pose()), joints, body.parents, torch.zeros(3)))

    def kept(field: ndarray) -> ndarray:
        return keep_body(grid, field, around, normals) if config.keep_body else field

    def meshed(field: ndarray, most_faces: int) -> tuple[ndarray, ndarray, ndarray]:
        vertices, faces = hull_mesh(grid, kept(field), config.smoothing, most_faces)
        mesh = TemplateMesh(source, vertices, faces, frame.pose, frame.transl)
        return vertices, faces, mesh_weights(body, betas, mesh)

    def moved(frame: HullFrame) -> ndarray:
        return joint_transforms(frame.pose, frame.transl, joints, body.parents, bind).numpy()

    if others:
        rough, _, weights = meshed(field, ROUGH_FACES)
        poses = [(moved(other), other.masks) for other in others]
        field = carve_on(grid, field, rough, weights, moved(frame), poses)
    vertices, faces, weights = meshed(field, config.faces)
    hull = trimesh.Trimesh(vertices, faces, process=False)
    canonical = unpose(vertices, weights, moved(frame))
    webs = stretched_faces(vertices, canonical, faces)
    faces = faces[~webs]
    if config.body_hands:
        canonical, faces, weights = with_body_hands(body, betas, canonical, faces, weights)
    template = Template(canonical.astype(np.float32), faces, weights.astype(np.float32), joints.numpy(), bind.numpy())
    closed = bool(hull.is_watertight)
    return Reconstruction(template, closed, 1000 * float(hull.volume) if closed else 0.0, int(webs.sum()))


def carve_on(
    grid: Grid,
    field: Float[ndarray, "x y z"],
    vertices: Float[ndarray, "v 3"],
    weights: Float[ndarray, "v 55"],
    G: Float[ndarray, "55 3 4"],
    others: Sequence[tuple[Float[ndarray, "55 3 4"], FrameMasks]],
) -> Float[ndarray, "x y z"]:
    """The field of a frame (`G`: canonical space to its pose) with what masks of other poses say.

    `vertices` and their skin `weights`: a surface in the frame's pose that the voxels around it move with.
    """
    inner = np.flatnonzero(field.ravel() > -2 * grid.voxel)
    points = grid.points(torch.from_numpy(inner)).numpy()
    skin = weights[KDTree(vertices).query(points)[1]]
    canonical = unpose(points, skin, G)
    found = np.sort([inside_metres(masks, skinned(canonical, skin, other)) for other, masks in others], axis=0)
    voices = max(math.ceil(AGREED * len(others)), min(len(others), 2))
    joined = field.ravel().copy()
    joined[inner] = np.minimum(joined[inner], found[voices - 1])
    return joined.reshape(field.shape)


def skinned(
    points: Float[ndarray, "v 3"], weights: Float[ndarray, "v 55"], G: Float[ndarray, "55 3 4"]
) -> Float[ndarray, "v 3"]:
    """Canonical points in the pose of `G`."""
    A = (weights @ G.reshape(len(G), 12)).reshape(-1, 3, 4)
    return (A[..., :3] @ points[..., None])[..., 0] + A[..., 3]


def stretched_faces(
    posed: Float[ndarray, "v 3"], canonical: Float[ndarray, "v 3"], faces: Int[ndarray, "f 3"]
) -> Bool[ndarray, " f"]:
    """Triangles with an edge that unposing lengthens by `WEB_STRETCH` and more."""
    ratio = np.zeros(len(faces))
    for i in range(3):
        p, q = faces[:, i], faces[:, (i + 1) % 3]
        before, after = (np.linalg.norm(x[p] - x[q], axis=1) for x in (posed, canonical))
        ratio = np.maximum(ratio, after / np.maximum(before, 1e-3))
    return ratio > WEB_STRETCH


def with_body_hands(
    body: Body, betas: Float[Tensor, " b"], vertices: ndarray, faces: ndarray, weights: ndarray
) -> tuple[ndarray, ndarray, ndarray]:
    """The canonical hull with the body's hands in place of its own."""
    skin, triangles = body.skin_weights.numpy(), body.faces.numpy()
    points = body_points(body, betas, big_pose(), torch.zeros(3))
    own = faces[~(weights[:, HANDS].sum(1) > 0.5)[faces].all(1)]
    hands = triangles[(skin[:, HANDS].sum(1) > 0.5)[triangles].all(1)]
    together = np.concatenate([vertices, points]), np.concatenate([own, hands + len(vertices)])
    both = np.concatenate([weights, few_joints(skin)])
    used, renumbered = np.unique(together[1], return_inverse=True)
    return together[0][used], renumbered.reshape(-1, 3), both[used]


@torch.no_grad()
def silhouette_iou(
    template: Template, body: Body, pose: Float[Tensor, "55 3"], transl: Float[Tensor, " 3"], masks: FrameMasks
) -> list[float]:
    """Overlap of the posed template's silhouette with each camera's mask, intersection over union."""
    from .doctor.silhouette import iou, silhouette

    rest, bind = torch.from_numpy(template.joint_rest), torch.from_numpy(template.inverse_bind)
    G = joint_transforms(pose, transl, rest, body.parents, bind).numpy()
    points = skinned(template.vertices, template.skin_weights, G)
    return [
        iou(silhouette(points, template.faces, K, T, (person.shape[1], person.shape[0])), person)
        for person, K, T in zip(masks.person, masks.K, masks.T_cam_world)
    ]

"""A clothed person: shirt, trousers (or a skirt) and shoes cut from the open body's shells; folds depend on the pose.

The folds are what makes this capture worth training on: they travel, saturate and lie on one side of a joint only, so
they are strongly non-linear in the joint's own angles and independent of all other joints.
"""

from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from nerfstudio_mobavatar.body_model import Body, forward_kinematics, relative_to_rest
from nerfstudio_mobavatar.demo.folds import FoldGenerator, Folds, build_folds, fold_height
from nerfstudio_mobavatar.demo.mesh import SkinnedMesh, compact, cut, face_table, point_normals, smooth, subdivide
from nerfstudio_mobavatar.transforms import axis_angle_to_rotmat

Outfit = Literal["trousers", "skirt"]
MATERIALS = ("skin", "shirt", "trousers", "shoe", "hair", "eye", "skirt")
SKIN, SHIRT, TROUSERS, SHOE, HAIR, EYE, SKIRT = range(len(MATERIALS))

_NECK, _HEAD, _JAW, _LEFT_ELBOW, _LEFT_HIP, _LEFT_KNEE, _LEFT_ANKLE, _SPINE1 = 12, 15, 22, 18, 1, 4, 7, 3

SKIRT_HEM_M, SKIRT_FLARE = 0.10, 0.45
"""The skirt ends so far below the knees, where it is wider than the shell by this share."""


@dataclass(frozen=True)
class Landmarks:
    """Heights and lengths of the rest pose (y up, metres) that the garments are cut by."""

    waist: float
    hem: float
    cuff: float
    """|x| where the sleeves end."""
    ankle: float
    knee: float
    hip: float
    neck: Float[ndarray, " 3"]
    head: Float[ndarray, " 3"]


class ClothedHuman:
    """Rest-pose surface of body and garments, and its pose-dependent deformation."""

    def __init__(
        self,
        body: Body,
        betas: Float[Tensor, " b"],
        detail: int,
        device: torch.device,
        folds: Folds = "plain",
        outfit: Outfit = "trousers",
    ):
        """`detail`: how often garment triangles are split in four (2 = 3.5 mm edges, for images above 400 pixels)."""
        body = body.to("cpu")
        rest, joints = body.rest(betas)
        self.parents = body.parents
        self.landmarks = _landmarks(joints.numpy())
        skin, material, kept = _skin(body, rest.numpy(), self.landmarks, outfit)
        parts = [(skin, material)]
        for kind in (SKIRT if outfit == "skirt" else TROUSERS, SHOE, SHIRT):
            garment = _garment(
                kind, _shell("skirt" if kind == SKIRT else "tights", betas.numpy()), detail, self.landmarks
            )
            parts.append((garment, np.full(len(garment.points), kind)))
        sizes = np.cumsum([0] + [len(mesh.points) for mesh, _ in parts])
        faces = np.concatenate([mesh.faces + first for (mesh, _), first in zip(parts, sizes)])

        def tensor(x: ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(x)).to(device)

        self.rest = tensor(np.concatenate([mesh.points for mesh, _ in parts]).astype(np.float32))
        self.weights = tensor(np.concatenate([mesh.weights for mesh, _ in parts]).astype(np.float32))
        self.material = tensor(np.concatenate([m for _, m in parts]))
        self.faces = tensor(faces)
        self.face_table = tensor(face_table(faces, int(sizes[-1])))
        self.joints = joints.to(device)
        self.expression_dirs = body.expression_dirs[kept].to(device)
        pose_dirs = body.pose_dirs.view(-1, body.num_vertices, 3)[:, kept].flatten(1)
        self.pose_dirs = pose_dirs.contiguous().to(device)
        self.rest_normals = point_normals(self.rest, self.faces, self.face_table)
        cloth = (self.material == SHIRT) | (self.material == TROUSERS) | (self.material == SKIRT)
        self.folds: list[FoldGenerator] = build_folds(self.rest, self.weights, self.joints, self.parents, cloth, folds)
        self.fold_scale = self._fold_scale()

    def pose(
        self, pose: Float[Tensor, "55 3"], transl: Float[Tensor, " 3"], expression: Float[Tensor, " e"]
    ) -> Float[Tensor, "v 3"]:
        """Surface points in the world for one frame (axis-angle, mean hand pose inside)."""
        R = axis_angle_to_rotmat(pose)
        points = self.rest + self.rest_normals * (fold_height(self.folds, pose, self.rest) * self.fold_scale)[:, None]
        feature = (R[1:] - torch.eye(3, device=R.device)).reshape(-1)
        offset = (feature @ self.pose_dirs).view(-1, 3) + self.expression_dirs[..., : len(expression)] @ expression
        points[: len(offset)] += offset
        T = relative_to_rest(forward_kinematics(R, self.joints, self.parents, torch.zeros_like(transl)), self.joints)
        A = (self.weights @ T[:, :3, :].flatten(1)).view(-1, 3, 4)
        posed = (A[:, :, :3] @ points[..., None])[..., 0] + A[:, :, 3]
        return posed + self._hanging_hem(A[:, :, :3]) + transl

    def lowest_points(self, pose: Float[Tensor, "t 55 3"]) -> Float[Tensor, " t"]:
        """Height (y) of the lowest sole point of each frame with zero translation, to stand people on the ground."""
        shoe = self.material == SHOE
        R = axis_angle_to_rotmat(pose)
        T_world_joint = forward_kinematics(R, self.joints, self.parents, torch.zeros_like(pose[:, 0]))
        row = relative_to_rest(T_world_joint, self.joints)[:, :, 1, :]
        A = torch.einsum("vj,tjk->tvk", self.weights[shoe], row)
        return ((A[..., :3] * self.rest[shoe]).sum(-1) + A[..., 3]).amin(1)

    def _hanging_hem(self, A: Float[Tensor, "v 3 3"]) -> Float[Tensor, "v 3"]:
        """The loose part of shirt and skirt swings towards gravity when what carries it leans; saturating."""
        m = self.landmarks
        loose = ((m.waist + 0.02 - self.rest[:, 1]) / 0.22).clamp(0, 1) * (self.material == SHIRT)
        loose = loose + ((m.hip - self.rest[:, 1]) / (m.hip - m.knee)).clamp(0, 1.2) * (self.material == SKIRT)
        down = -A[:, :, 1]
        lean = -down
        lean[:, 1] -= 1
        return 0.05 * loose[:, None] ** 1.5 * torch.tanh(2 * lean)

    def _fold_scale(self) -> Float[Tensor, " v"]:
        """Folds fade where trousers run under the shirt and at the collar, so that no layer cuts through another."""
        m, y = self.landmarks, self.rest[:, 1]
        under_shirt = ((m.hem - y) / 0.06).clamp(0, 1)
        collar = ((self.rest - self.joints[_NECK]).norm(dim=1) - 0.09).div(0.08).clamp(0, 1)
        return torch.where((self.material == TROUSERS) | (self.material == SKIRT), under_shirt, collar)


def hairline(points: Float[Tensor, "n 3"], head: Float[Tensor, " 3"]) -> Float[Tensor, " n"]:
    """Positive (metres, roughly a distance) on the scalp, negative on face, ears and neck; rest pose."""
    x, y, z = (points - head).unbind(1)
    front = ((z + 0.02) / 0.04).clamp(0, 1)
    temples = 0.45 * ((x * x + 4e-4).sqrt() - 0.02) * front
    line = y - 0.048 - 0.35 * (z - 0.01) - temples + 0.03 * (1 - front)
    ear = torch.stack([(x.abs() - 0.082) / 0.026, (y - 0.033) / 0.037, (z + 0.012) / 0.026], 1).norm(dim=1)
    return torch.minimum(line, (ear - 1) * 0.02)


def _landmarks(joints: Float[ndarray, "55 3"]) -> Landmarks:
    waist = float(joints[_SPINE1, 1]) + 0.10
    return Landmarks(
        waist=waist,
        hem=waist - 0.15,
        cuff=abs(float(joints[_LEFT_ELBOW, 0])) + 0.10,
        ankle=float(joints[_LEFT_ANKLE, 1]),
        knee=float(joints[_LEFT_KNEE, 1]),
        hip=float(joints[_LEFT_HIP, 1]),
        neck=joints[_NECK],
        head=joints[_HEAD],
    )


def _skin(
    body: Body, rest: Float[ndarray, "v 3"], m: Landmarks, outfit: Outfit
) -> tuple[SkinnedMesh, Int[ndarray, " n"], Int[ndarray, " n"]]:
    """The visible body with hair grown out of the scalp, its materials, and which body vertices it keeps."""
    weights, faces = body.skin_weights.numpy(), body.faces.numpy()
    eye = (weights[:, 23] + weights[:, 24]) > 0.99
    grown = hairline(torch.from_numpy(rest), torch.from_numpy(m.head)).numpy()
    scalp = (grown > -0.004) & (weights[:, _HEAD] > 0.5) & ~eye
    normals = point_normals(torch.from_numpy(rest), body.faces, torch.from_numpy(face_table(faces, len(rest)))).numpy()
    outer = rest + normals * (0.016 * np.clip(grown / 0.02, 0, 1) * scalp)[:, None]
    height, across = rest[:, 1], np.abs(rest[:, 0])
    trunk = weights[:, _HEAD] + weights[:, _JAW] < 0.3
    hidden = trunk & (height < m.neck[1] + 0.02) & (across < m.cuff - 0.03) & (_beyond_collar(rest, m) > 0.025)
    if outfit == "skirt":
        hidden &= (height > m.knee + 0.15) | (height < m.ankle + 0.04)  # thighs would show through when they swing
    mesh, kept = compact(SkinnedMesh(outer, faces[~hidden[faces].all(1)], weights))
    material = np.where(eye, EYE, np.where(scalp, HAIR, SKIN))[kept]
    return mesh, material, kept


def _shell(name: str, betas: Float[ndarray, " b"]) -> SkinnedMesh:
    """ "tights" or "skirt" of this person."""
    with as_file(files("nerfstudio_mobavatar") / "assets" / "open_body_garments.npz") as path, np.load(path) as z:
        points = z[f"{name}_v"] + np.tensordot(betas, z[f"{name}_shapedirs"][: len(betas)], 1)
        faces, weights = z[f"{name}_f"].astype(np.int64), z[f"{name}_w"].astype(np.float64)
    return SkinnedMesh(points.astype(np.float64), faces, weights)


def _garment(kind: int, shell: SkinnedMesh, detail: int, m: Landmarks) -> SkinnedMesh:
    """Cut one garment out of its shell and move it off the skin."""
    mesh = shell
    for _ in range(1 if kind == SHOE else detail):
        mesh = subdivide(mesh)
    mesh = smooth(mesh, 6)
    mesh = cut(mesh, _cut_value(kind, mesh.points, m))
    x, y = np.abs(mesh.points[:, 0]), mesh.points[:, 1]
    if kind == SHIRT:
        flare = 0.022 * np.clip((m.waist + 0.05 - y) / 0.2, 0, 1)
        sleeve = 0.012 * np.clip((x - 0.2) / 0.3, 0, 1)
        offset = 0.012 + flare + sleeve
    elif kind == TROUSERS:
        offset = 0.004 + 0.016 * np.clip((m.knee + 0.1 - y) / 0.4, 0, 1) + 0.006 * np.clip((m.hem - y) / 0.1, 0, 1)
    elif kind == SKIRT:
        wider = 1 + SKIRT_FLARE * np.clip((m.hip + 0.05 - y) / (m.hip + 0.05 - m.knee), 0, 1.3)
        mesh.points[:, [0, 2]] = (mesh.points[:, [0, 2]] - [0, 0.05]) * wider[:, None] + [0, 0.05]
        offset = np.full(len(y), 0.004)
    else:
        offset = np.full(len(y), 0.007)
    table = torch.from_numpy(face_table(mesh.faces, len(y)))
    normals = point_normals(torch.from_numpy(mesh.points), torch.from_numpy(mesh.faces), table).numpy()
    points = mesh.points + normals * offset[:, None]
    if kind == SHOE:
        sole = points[:, 1].min()
        points[:, 1] = np.where(points[:, 1] < sole + 0.02, sole - 0.008, points[:, 1])
    return SkinnedMesh(points, mesh.faces, mesh.weights)


def _cut_value(kind: int, p: Float[ndarray, "v 3"], m: Landmarks) -> Float[ndarray, " v"]:
    """Positive inside the garment; zero along its hems."""
    x, y = np.abs(p[:, 0]), p[:, 1]
    if kind == TROUSERS:
        return np.minimum(m.waist - 0.02 - y, y - m.ankle - 0.045)
    if kind == SKIRT:
        return np.minimum(m.waist - 0.02 - y, y - m.knee + SKIRT_HEM_M)
    if kind == SHOE:
        return m.ankle + 0.065 - y
    wave = 0.006 * np.cos(3 * np.arctan2(p[:, 0], p[:, 2]))
    return np.minimum.reduce([_beyond_collar(p, m), m.cuff - x, y - m.hem - wave])


def _beyond_collar(p: Float[ndarray, "v 3"], m: Landmarks) -> Float[ndarray, " v"]:
    """Roughly the distance (metres) from the collar, negative inside the opening for the neck."""
    neck = m.neck + np.array([0, 0.045, 0.012])
    below = np.minimum(p[:, 1] - neck[1], 0)
    across = (p[:, 0] / 0.078) ** 2 + ((p[:, 2] - neck[2]) / 0.078) ** 2
    return 0.08 * (np.sqrt(across + (below / 0.085) ** 2) - 1)

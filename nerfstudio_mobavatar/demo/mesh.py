"""Small mesh operations for making garments: subdivide, smooth, cut along a level line, normals."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor


@dataclass(frozen=True)
class SkinnedMesh:
    """Rest-pose points with skin weights, metres."""

    points: Float[ndarray, "v 3"]
    faces: Int[ndarray, "f 3"]
    weights: Float[ndarray, "v 55"]


def subdivide(mesh: SkinnedMesh) -> SkinnedMesh:
    """Every triangle into four, new points at edge midpoints."""
    f, v = mesh.faces, len(mesh.points)
    edges, inverse = np.unique(_edges(f), axis=0, return_inverse=True)
    ab, bc, ca = inverse.reshape(3, -1) + v
    a, b, c = f.T
    faces = np.concatenate([np.stack(x, 1) for x in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])

    def halve(x: ndarray) -> ndarray:
        return np.concatenate([x, 0.5 * (x[edges[:, 0]] + x[edges[:, 1]])])

    return SkinnedMesh(halve(mesh.points), faces, halve(mesh.weights))


def smooth(mesh: SkinnedMesh, rounds: int) -> SkinnedMesh:
    """Laplacian smoothing; points on open boundaries stay."""
    edges, count = np.unique(_edges(mesh.faces), axis=0, return_counts=True)
    fixed = np.zeros(len(mesh.points), bool)
    fixed[edges[count == 1].ravel()] = True
    degree = np.maximum(np.bincount(edges.ravel(), minlength=len(mesh.points)), 1)[:, None]
    points = mesh.points.copy()
    for _ in range(rounds):
        total = np.zeros_like(points)
        np.add.at(total, edges[:, 0], points[edges[:, 1]])
        np.add.at(total, edges[:, 1], points[edges[:, 0]])
        points = np.where(fixed[:, None], points, 0.5 * (points + total / degree))
    return SkinnedMesh(points, mesh.faces, mesh.weights)


def cut(mesh: SkinnedMesh, value: Float[ndarray, " v"]) -> SkinnedMesh:
    """The part where `value` (linear inside triangles) is positive, with a clean edge along zero."""
    inside = value > 0
    count = inside[mesh.faces].sum(1)
    one = _rotate_to_front(mesh.faces[count == 1], inside, True)
    two = _rotate_to_front(mesh.faces[count == 2], inside, False)
    # crossing edges as (inside, outside), each once, so that neighbours share the new point
    crossings = np.concatenate([one[:, [0, 1]], one[:, [0, 2]], two[:, [1, 0]], two[:, [2, 0]]])
    edges, inverse = np.unique(crossings, axis=0, return_inverse=True)
    new = inverse.reshape(-1) + len(mesh.points)
    n, m = len(one), len(two)
    first, second, left, right = new[:n], new[n : 2 * n], new[2 * n : 2 * n + m], new[2 * n + m :]
    faces = np.concatenate(
        [
            mesh.faces[count == 3],
            np.stack([one[:, 0], first, second], 1),
            np.stack([two[:, 1], two[:, 2], right], 1),
            np.stack([two[:, 1], right, left], 1),
        ]
    )
    t = (value[edges[:, 0]] / (value[edges[:, 0]] - value[edges[:, 1]]))[:, None]

    def extend(x: ndarray) -> ndarray:
        return np.concatenate([x, (1 - t) * x[edges[:, 0]] + t * x[edges[:, 1]]])

    return compact(SkinnedMesh(extend(mesh.points), faces, extend(mesh.weights)))[0]


def compact(mesh: SkinnedMesh) -> tuple[SkinnedMesh, Int[ndarray, " n"]]:
    """Without unused points; also which points were kept."""
    kept, faces = np.unique(mesh.faces, return_inverse=True)
    return SkinnedMesh(mesh.points[kept], faces.reshape(-1, 3), mesh.weights[kept]), kept


def face_table(faces: Int[ndarray, "f 3"], num_points: int) -> Int[ndarray, "v d"]:
    """Triangles around each point, padded with `len(faces)`: sums over them are gathers and so deterministic."""
    order = np.argsort(faces.ravel(), kind="stable")
    owner = faces.ravel()[order]
    degree = np.bincount(owner, minlength=num_points)
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(degree) - degree, degree)
    table = np.full((num_points, max(1, int(degree.max()))), len(faces), np.int64)
    table[owner, rank] = order // 3
    return table


def point_normals(
    points: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], table: Int[Tensor, "v d"]
) -> Float[Tensor, "v 3"]:
    """Area-weighted unit normals."""
    a, b, c = points[faces].unbind(1)
    normal = torch.linalg.cross(b - a, c - a)
    normal = torch.cat([normal, torch.zeros_like(normal[:1])])
    return torch.nn.functional.normalize(normal[table].sum(1), dim=1)


def average_over_faces(
    x: Float[Tensor, " v"], faces: Int[Tensor, "f 3"], table: Int[Tensor, "v d"]
) -> Float[Tensor, " v"]:
    """One smoothing step: mean over the triangles around each point of the triangle's mean."""
    per_face = torch.cat([x[faces].mean(1), torch.zeros_like(x[:1])])
    present = (table < len(faces)).to(x.dtype)
    return per_face[table].sum(1) / present.sum(1).clamp_min(1)


def _edges(faces: Int[ndarray, "f 3"]) -> Int[ndarray, "e 2"]:
    return np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)


def _rotate_to_front(faces: Int[ndarray, "n 3"], inside: ndarray, wanted: bool) -> Int[ndarray, "n 3"]:
    """Corners turned cyclically so that the one corner with `inside == wanted` comes first."""
    start = (inside[faces] == wanted).argmax(1)
    return np.take_along_axis(faces, (start[:, None] + np.arange(3)) % 3, 1)

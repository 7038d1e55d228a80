"""Skin weights of a mesh that is not the body: carried over where it lies close to the body, diffused in between.

After *Robust Skin Weights Transfer via Weight Inpainting* (Abdrashitov, Raichstat, Monsen, Hill; SIGGRAPH Asia 2023
Technical Communications): nearest-body weights are right for a sleeve and wrong for a skirt, which they tear between
the legs. Theirs keeps the vertices that pass a test of distance and normal and inpaints the others. **Ours** makes the
test soft, and solves for all vertices at once

    min_W  sum_v a_v c_v |W_v - T_v|^2 + l^2 * integral |grad W|^2

with areas `a`, nearest-body weights `T`, confidence `c` (1 on the skin, falling with distance and with the angle of the
normals) and length `l`. Where `c` is small, weights are smooth over `l / sqrt(c)`. The matrix `a c + l^2 L` is an
M-matrix (no positive entry off the diagonal), so the weights are never negative and sum to one without clamping.

Any triangles will do: open, non-manifold, in several shells, in any winding.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu
from scipy.spatial import KDTree

from .sampling import interpolate

REACH_M = 0.03
"""Confidence falls with `exp(-(distance / reach)^2)`: a shirt follows the skin, a skirt's middle does not."""
SMOOTHING_M = 0.005
"""`l`: weights of the skin itself are smoothed over about this length."""
FACING = (0.5, 0.87)
"""Cosines between the normals of mesh and body at which confidence is 0 and full: 60 and 30 degrees (paper: 30)."""
LEAST_CONFIDENCE = 1e-6
"""So that a shell that is close to nothing moves with what is nearest, nearly rigidly."""
LINK_M = 0.02
"""A vertex without confidence is tied to confident ones this close behind it: linings, outer layers."""
CANDIDATES = 8
"""Body triangles whose centres are nearest, among which the closest point is looked for."""
SHORTEST_COTANGENT, LONGEST_COTANGENT = 0.05, 10.0
"""Edge weights stay in this range: obtuse triangles have negative cotangents, slivers huge ones."""


@dataclass(frozen=True)
class Match:
    """The closest body point of every vertex."""

    distance: Float[ndarray, " v"]
    """Metres."""
    weights: Float[ndarray, "v j"]
    """Skin weights there."""
    cosine: Float[ndarray, " v"]
    """Between the outward normals of mesh and body, -1..1."""

    def confidence(self) -> Float[ndarray, " v"]:
        """How far these weights are those of the mesh, 0..1."""
        low, high = FACING
        facing = np.clip((self.cosine - low) / (high - low), 0, 1)
        return np.maximum(np.exp(-((self.distance / REACH_M) ** 2)) * facing, LEAST_CONFIDENCE)


def transfer_weights(
    vertices: Float[ndarray, "v 3"],
    faces: Int[ndarray, "f 3"],
    body_vertices: Float[ndarray, "b 3"],
    body_faces: Int[ndarray, "g 3"],
    body_weights: Float[ndarray, "b j"],
) -> Float[ndarray, "v j"]:
    """Skin weights of a mesh around the body, both in the same pose; metres. Rows are non-negative and sum to one.

    Vertices should be welded (`template_mesh.weld`): along a seam of doubled vertices nothing is diffused.
    """
    normals = outward_normals(vertices, faces, body_vertices, body_faces)
    match = match_body(vertices, normals, body_vertices, body_faces, body_weights)
    return diffuse(vertices, faces, normals, match.weights, match.confidence())


def diffuse(
    vertices: Float[ndarray, "v 3"],
    faces: Int[ndarray, "f 3"],
    normals: Float[ndarray, "v 3"],
    target: Float[ndarray, "v j"],
    confidence: Float[ndarray, " v"],
) -> Float[ndarray, "v j"]:
    """The minimum of the module's energy for these targets and confidences (0 excluded)."""
    area = vertex_areas(vertices, faces)
    area = np.maximum(area, 1e-3 * max(float(area.mean()), 1e-12))  # vertices of flat triangles
    data = sp.diags(area * confidence)
    stiffness = cotangent_laplacian(vertices, faces) + link_laplacian(vertices, normals, confidence)
    used = np.flatnonzero(target.max(0) > 1e-6)
    solve = splu((data + SMOOTHING_M**2 * stiffness).tocsc()).solve
    weights = np.zeros_like(target, np.float64)
    weights[:, used] = solve(np.ascontiguousarray(data @ target[:, used].astype(np.float64)))
    weights = np.maximum(weights, 0)  # rounding errors of 1e-17
    return weights / weights.sum(1, keepdims=True)


def match_body(
    vertices: Float[ndarray, "v 3"],
    normals: Float[ndarray, "v 3"],
    body_vertices: Float[ndarray, "b 3"],
    body_faces: Int[ndarray, "g 3"],
    body_weights: Float[ndarray, "b j"],
) -> Match:
    """The closest point on the body's triangles, its skin weights and how the surfaces face each other there."""
    face, point, distance = closest_points(vertices, body_vertices, body_faces)
    corners = body_vertices[body_faces[face]].astype(np.float64)
    bary = barycentric(point, corners)
    normal = _unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    weights = interpolate(body_weights, body_faces[face], bary)
    return Match(distance, weights / weights.sum(1, keepdims=True), (normals * normal).sum(1))


def closest_points(
    points: Float[ndarray, "n 3"], vertices: Float[ndarray, "b 3"], faces: Int[ndarray, "g 3"]
) -> tuple[Int[ndarray, " n"], Float[ndarray, "n 3"], Float[ndarray, " n"]]:
    """Triangle, closest point on it and distance. Exact among the triangles with the nearest centres, which is exact
    where triangles are of similar size, as a body's are around any point."""
    from trimesh.triangles import closest_point  # only users with a template of their own pay for the import

    triangles = vertices[faces].astype(np.float64)
    near = KDTree(triangles.mean(1)).query(points, k=min(CANDIDATES, len(faces)))[1].reshape(len(points), -1)
    best, where = np.full(len(points), np.inf), np.zeros((len(points), 3))
    face = near[:, 0].copy()
    for candidate in near.T:
        at = closest_point(triangles[candidate], points.astype(np.float64))
        distance = np.linalg.norm(at - points, axis=1)
        closer = distance < best
        best[closer], where[closer], face[closer] = distance[closer], at[closer], candidate[closer]
    return face, where, best


def barycentric(points: Float[ndarray, "n 3"], corners: Float[ndarray, "n 3 3"]) -> Float[ndarray, "n 3"]:
    """Of points on triangles; within 0..1."""
    u, v, w = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], points - corners[:, 0]
    uu, uv, vv, wu, wv = ((a * b).sum(1) for a, b in ((u, u), (u, v), (v, v), (w, u), (w, v)))
    area = np.maximum(uu * vv - uv * uv, 1e-20)
    b, c = (vv * wu - uv * wv) / area, (uu * wv - uv * wu) / area
    inside = np.clip(np.stack([1 - b - c, b, c], 1), 0, 1)
    return inside / inside.sum(1, keepdims=True)


def outward_normals(
    vertices: Float[ndarray, "v 3"],
    faces: Int[ndarray, "f 3"],
    body_vertices: Float[ndarray, "b 3"],
    body_faces: Int[ndarray, "g 3"],
) -> Float[ndarray, "v 3"]:
    """Unit normals at the vertices, away from the body: the winding is made consistent within every shell, and a shell
    is turned where the parts of it that are close to the body face inwards. Closed shells face outwards by volume."""
    faces = consistent_winding(vertices, faces)
    a, b, c = (vertices[faces[:, i]].astype(np.float64) for i in range(3))
    cross = np.cross(b - a, c - a)
    shell = _shells(len(vertices), faces)[faces[:, 0]]
    middle = (a + b + c) / 3
    face, _, distance = closest_points(middle, body_vertices, body_faces)
    p, q, r = (body_vertices[body_faces[face][:, i]].astype(np.float64) for i in range(3))
    agree = (cross * _unit(np.cross(q - p, r - p))).sum(1) * np.exp(-((distance / REACH_M) ** 2))
    volume = (a * cross).sum(1)
    count = int(shell.max()) + 1
    votes, volumes = (np.bincount(shell, x, count) for x in (agree, volume))
    closed = np.bincount(shell, _open_edges(faces), count) == 0
    sign = np.where(closed, np.sign(volumes), np.sign(votes))[shell]
    total = np.zeros((len(vertices), 3))
    for i in range(3):
        np.add.at(total, faces[:, i], cross * np.where(sign == 0, 1, sign)[:, None])
    return _unit(total)


def consistent_winding(vertices: Float[ndarray, "v 3"], faces: Int[ndarray, "f 3"]) -> Int[ndarray, "f 3"]:
    """The triangles in their order, neighbours wound alike wherever an edge has two triangles."""
    import trimesh

    mesh = trimesh.Trimesh(vertices, faces, process=False)
    if not mesh.is_winding_consistent:
        trimesh.repair.fix_winding(mesh)
    return np.asarray(mesh.faces, np.int64)


def cotangent_laplacian(vertices: Float[ndarray, "v 3"], faces: Int[ndarray, "f 3"]) -> sp.csr_matrix:
    """Positive semi-definite, rows sum to zero, no positive entry off the diagonal (cotangents are limited)."""
    rows, columns, values = [], [], []
    for i in range(3):
        o, p, q = faces[:, i], faces[:, (i + 1) % 3], faces[:, (i + 2) % 3]
        u, v = vertices[p].astype(np.float64) - vertices[o], vertices[q].astype(np.float64) - vertices[o]
        twice = np.linalg.norm(np.cross(u, v), axis=1)
        cotangent = np.where(twice > 0, (u * v).sum(1) / np.maximum(twice, 1e-20), 0)
        rows.append(p)
        columns.append(q)
        values.append(0.5 * np.clip(cotangent, SHORTEST_COTANGENT, LONGEST_COTANGENT))
    return _laplacian(len(vertices), np.concatenate(rows), np.concatenate(columns), np.concatenate(values))


def link_laplacian(
    vertices: Float[ndarray, "v 3"], normals: Float[ndarray, "v 3"], confidence: Float[ndarray, " v"]
) -> sp.csr_matrix:
    """Ties from vertices without confidence to confident ones close behind them. Behind, since what lies in front of a
    surface (a hand on a skirt) does not carry it."""
    loose, sure = np.flatnonzero(confidence < 0.1), np.flatnonzero(confidence > 0.5)
    if len(loose) == 0 or len(sure) == 0:
        return sp.csr_matrix((len(vertices), len(vertices)))
    distance, index = KDTree(vertices[sure]).query(vertices[loose], k=min(4, len(sure)), distance_upper_bound=LINK_M)
    distance, index = distance.reshape(len(loose), -1), index.reshape(len(loose), -1)
    source, k = np.nonzero(np.isfinite(distance))
    from_, to, d = loose[source], sure[index[source, k]], distance[source, k]
    behind = -((vertices[to] - vertices[from_]) * normals[from_]).sum(1) >= 0.5 * d
    return _laplacian(len(vertices), from_[behind], to[behind], np.exp(-((d[behind] / LINK_M) ** 2)))


def vertex_areas(vertices: Float[ndarray, "v 3"], faces: Int[ndarray, "f 3"]) -> Float[ndarray, " v"]:
    """A third of the triangles around each vertex, square metres."""
    a, b, c = (vertices[faces[:, i]].astype(np.float64) for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    return np.bincount(faces.ravel(), np.repeat(area, 3), len(vertices))


def _laplacian(n: int, p: ndarray, q: ndarray, weight: ndarray) -> sp.csr_matrix:
    edges = sp.coo_matrix((weight, (p, q)), (n, n)).tocsr()
    edges = edges + edges.T
    return sp.csr_matrix(sp.diags(np.asarray(edges.sum(1)).ravel()) - edges)


def _shells(n: int, faces: Int[ndarray, "f 3"]) -> Int[ndarray, " v"]:
    ones = np.ones(2 * len(faces), bool)
    graph = sp.coo_matrix((ones, (faces[:, [0, 1]].ravel(), faces[:, [1, 2]].ravel())), (n, n))
    return connected_components(graph, directed=False)[1]


def _open_edges(faces: Int[ndarray, "f 3"]) -> Bool[ndarray, " f"]:
    """Triangles with an edge that is not shared by exactly two."""
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, inverse, count = np.unique(edges, axis=0, return_inverse=True, return_counts=True)
    return (count[inverse.ravel()] != 2).reshape(-1, 3).any(1)


def _unit(x: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-20)

"""A dressed person's surface from the masks of one frame: visual hull by voxel carving, then a mesh.

A voxel belongs to the hull where no camera sees background. Here every camera gives the signed distance to its mask's
outline, in metres at the voxel's depth, and the hull is the zero level of the smallest: smooth below a voxel's size.
What a hull cannot know is bounded by the fitted body: cloth lies within its `reach`, and the hull never cuts into it
(masks lose hands).
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.spatial import KDTree
from torch import Tensor

MARGIN_M = 0.02
"""The grid ends so far outside of what `reach` allows."""
SMALLEST_PIECE = 0.05
"""Pieces with a smaller share of the largest one's triangles are specks of the masks."""


@dataclass(frozen=True)
class FrameMasks:
    """One frame's masks in `c` cameras."""

    person: tuple[Bool[ndarray, "h w"], ...]
    K: Float[ndarray, "c 3 3"]
    """Pixels, centres at half-integers."""
    T_cam_world: Float[ndarray, "c 4 4"]


@dataclass(frozen=True)
class Grid:
    """Voxel centres `origin + voxel * (i, j, k)`, metres."""

    origin: Float[ndarray, " 3"]
    shape: tuple[int, int, int]
    voxel: float

    def points(self, index: Int[Tensor, " n"]) -> Float[Tensor, "n 3"]:
        """Centres of voxels by their flat numbers."""
        _, ny, nz = self.shape
        cell = torch.stack([index // (ny * nz), index // nz % ny, index % nz], 1)
        return cell * self.voxel + torch.from_numpy(self.origin).to(cell.device)


def hull_field(
    masks: FrameMasks,
    body: Float[ndarray, "b 3"],
    normals: Float[ndarray, "b 3"],
    reach: Float[ndarray, " b"],
    voxel: float,
    device: torch.device | str = "cpu",
) -> tuple[Grid, Float[ndarray, "x y z"]]:
    """Metres inside (positive) or outside the hull, bounded by each body vertex' `reach` (few different values).

    Voxels that a camera has found well outside are not looked at again: their value is only that they are outside.
    A camera that does not see a voxel has no say in it; voxels that fewer than two cameras see are outside.
    """
    margin = float(reach.max()) + MARGIN_M
    low = body.min(0).astype(np.float64) - margin
    shape = tuple(int(n) for n in np.ceil((np.ptp(body, axis=0) + 2 * margin) / voxel) + 1)
    grid = Grid(low, (shape[0], shape[1], shape[2]), voxel)
    field = torch.full((int(np.prod(shape)),), -1.0, device=device)
    index = torch.arange(len(field), device=device)
    value = torch.full((len(field),), torch.inf, device=device)
    seen = torch.zeros(len(field), dtype=torch.int8, device=device)
    for person, K, T in zip(masks.person, masks.K, masks.T_cam_world):
        distance, inside = _camera_field(grid.points(index), person, K, T)
        value = torch.where(inside, torch.minimum(value, distance), value)
        seen += inside.to(torch.int8)
        kept = value > -2 * voxel
        field[index] = value.clamp(-1, 1)
        index, value, seen = index[kept], value[kept], seen[kept]
    value = torch.where(seen >= 2, value, -1.0)
    points = grid.points(index).cpu().numpy()
    nearest = np.asarray(KDTree(body).query(points)[1])
    inside = ((points - body[nearest]) * normals[nearest]).sum(1) < 0  # the middle of a chest is far from its skin
    allowed = np.max([r - KDTree(body[reach == r]).query(points)[0] for r in np.unique(reach)], axis=0)
    allowed[inside] = 1.0
    field[index] = torch.minimum(value, torch.from_numpy(allowed).to(value))
    return grid, field.view(*grid.shape).cpu().numpy()


@torch.no_grad()
def inside_metres(masks: FrameMasks, points: Float[ndarray, "n 3"]) -> Float[ndarray, " n"]:
    """Metres inside (positive) or outside the smallest of a frame's masks, as in `hull_field`. Infinite, since nothing
    speaks against them, for points that fewer than two cameras see."""
    at = torch.from_numpy(points)
    value, seen = torch.full((len(at),), torch.inf), torch.zeros(len(at), dtype=torch.int8)
    for person, K, T in zip(masks.person, masks.K, masks.T_cam_world):
        distance, inside = _camera_field(at, person, K, T)
        value = torch.where(inside, torch.minimum(value, distance), value)
        seen += inside.to(torch.int8)
    return torch.where(seen >= 2, value, torch.inf).numpy()


def keep_body(grid: Grid, field: Float[ndarray, "x y z"], body: Float[ndarray, "b 3"], normals: ndarray) -> ndarray:
    """The field joined with the body's inside: distance behind the tangent plane of the nearest vertex."""
    index = np.arange(field.size)
    points = grid.points(torch.from_numpy(index)).numpy()
    reach = 0.12  # thicker parts have their middle further from the skin, and are inside the masks
    distance, nearest = (np.asarray(x) for x in KDTree(body).query(points, distance_upper_bound=reach))
    close = np.isfinite(distance)
    inner = -((points[close] - body[nearest[close]]) * normals[nearest[close]]).sum(1)
    joined = field.ravel().copy()
    joined[index[close]] = np.maximum(joined[index[close]], inner)
    return joined.reshape(field.shape)


def hull_mesh(
    grid: Grid, field: Float[ndarray, "x y z"], smoothing: int, most_faces: int
) -> tuple[Float[ndarray, "v 3"], Int[ndarray, "f 3"]]:
    """The zero level as a closed mesh, outward winding: marching cubes, Taubin smoothing (no shrinking), quadric
    decimation to at most `most_faces`. Raises `ValueError` where nothing is inside."""
    if not (field > 0).any():
        raise ValueError("no voxel is inside all masks")
    import open3d as o3d  # these three are nerfstudio's own dependencies
    import trimesh
    from skimage.measure import marching_cubes

    closed = np.pad(field, 1, constant_values=-grid.voxel)
    points, faces, _, _ = marching_cubes(np.clip(closed, -2 * grid.voxel, 2 * grid.voxel), 0.0)
    whole = trimesh.Trimesh((points - 1) * grid.voxel + grid.origin, faces, process=True)
    pieces = sorted(whole.split(only_watertight=False), key=lambda piece: -len(piece.faces))
    mesh: Any = trimesh.util.concatenate([p for p in pieces if len(p.faces) >= SMALLEST_PIECE * len(pieces[0].faces)])
    trimesh.smoothing.filter_taubin(mesh, iterations=smoothing)
    if len(mesh.faces) > most_faces:
        dense = o3d.geometry.TriangleMesh(
            o3d.utility.Vector3dVector(mesh.vertices), o3d.utility.Vector3iVector(mesh.faces)
        )
        fewer = dense.simplify_quadric_decimation(most_faces)
        mesh = trimesh.Trimesh(np.asarray(fewer.vertices), np.asarray(fewer.triangles), process=True)
    if mesh.volume < 0:
        mesh.invert()
    return np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int64)


def signed_distance(person: Bool[ndarray, "h w"]) -> Float[ndarray, "h w"]:
    """Pixels from the outline, positive on the person; zero half-way between a person's pixel and the next."""
    inner, outer = (
        cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for side in (person, ~person)
    )
    return np.where(person, inner - 0.5, 0.5 - outer).astype(np.float32)


def _camera_field(
    points: Float[Tensor, "n 3"], person: Bool[ndarray, "h w"], K: Float[ndarray, "3 3"], T: Float[ndarray, "4 4"]
) -> tuple[Float[Tensor, " n"], Bool[Tensor, " n"]]:
    """Metres inside the camera's mask at each point's depth, and whether the point is in the picture."""
    height, width = person.shape
    pose, focal = (torch.from_numpy(x.astype(np.float32)).to(points.device) for x in (T, K))
    x = points.float() @ pose[:3, :3].T + pose[:3, 3]
    depth = x[:, 2].clamp_min(0.05)
    pixel = x[:, :2] / depth[:, None] * focal.diagonal()[:2] + focal[:2, 2]
    size = pixel.new_tensor([width, height])
    inside = ((pixel > 0) & (pixel < size)).all(1) & (x[:, 2] > 0.05)
    image = torch.from_numpy(signed_distance(person)).to(points.device)[None, None]
    at = (pixel / size * 2 - 1).clamp(-2, 2)[None, None]
    value = F.grid_sample(image, at, align_corners=False, padding_mode="border")[0, 0, 0]
    return value * depth / focal.diagonal()[:2].mean(), inside

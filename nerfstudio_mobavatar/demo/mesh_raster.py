"""Triangle rasteriser in plain torch: CPU and CUDA, no extension, the same result on every run.

Triangles of all views are sorted into buckets by their size on screen; each bucket tests its few pixels at once. Depth
and triangle number are packed into one integer whose minimum wins, so the order of writes does not matter and a picture
is the same alone as among others.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_SIDES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
_TESTS_AT_ONCE = {"cpu": 4_000_000, "cuda": 64_000_000}
_PIXELS_AT_ONCE = {"cpu": 1, "cuda": 64_000_000}
"""One view after the other stays in a processor's caches; a GPU wants few and large kernels."""
_EMPTY = 2**62
_NEAR = 0.05


@dataclass(frozen=True)
class Hits:
    """The `p` pixels that see something, view after view, in reading order."""

    pixel: Int[Tensor, " p"]
    """`(view * height + row) * width + column`."""
    triangle: Int[Tensor, " p"]
    """Row of `faces`."""
    barycentric: Float[Tensor, "p 3"]
    """Perspective-correct weights of the triangle's corners."""


def views_at_once(device: torch.device, pixels: int) -> int:
    """How many views of `pixels` each are best drawn together."""
    return max(1, _PIXELS_AT_ONCE[device.type] // pixels)


def rasterize(
    points_cam: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], K: Float[Tensor, "3 3"], width: int, height: int
) -> Hits:
    """Nearest triangle per pixel under a pinhole camera; arguments as of `rasterize_views`, for one view."""
    return rasterize_views(points_cam[None], faces, K[None], width, height)


def rasterize_views(
    points_cam: Float[Tensor, "c v 3"], faces: Int[Tensor, "f 3"], K: Float[Tensor, "c 3 3"], width: int, height: int
) -> Hits:
    """Nearest triangle per pixel under `c` pinhole cameras of one size.

    Args:
        points_cam: metres in each camera's space (x right, y down, z forward). Triangles reaching closer than 5 cm are
            left out.
        faces: both sides are visible.
        K: intrinsics, pixel centres at half-integers.
    """
    z = points_cam[..., 2].clamp_min(_NEAR)
    xy = points_cam[..., :2] / z[..., None] * K.diagonal(dim1=1, dim2=2)[:, None, :2] + K[:, None, :2, 2]
    in_front = (points_cam[..., 2] > _NEAR)[:, faces].all(2)
    # 1/z is linear on screen; scaled by the nearest z it lies in 0..1 and keeps float32's resolution
    buffer = _draw(xy, 1 - z.amin(1, keepdim=True) / z, faces, in_front, width, height)
    pixel = torch.nonzero(buffer < _EMPTY)[:, 0]
    triangle = buffer[pixel] % 2**31 % len(faces)
    corners = faces[triangle] + (pixel // (width * height) * z.shape[1])[:, None]
    at = torch.stack([pixel % width, pixel // width % height], 1).to(xy.dtype) + 0.5
    a, b, c = (xy.flatten(0, 1)[corners[:, k]] for k in range(3))
    area = _cross(b - a, c - a)
    w0, w1 = _cross(b - at, c - at) / area, _cross(c - at, a - at) / area
    weights = torch.stack([w0, w1, 1 - w0 - w1], 1) / z.flatten()[corners]
    return Hits(pixel, triangle, weights / weights.sum(1, keepdim=True))


def orthographic_depth(
    points_light: Float[Tensor, "d v 3"], faces: Int[Tensor, "f 3"], resolution: int
) -> Float[Tensor, "d r r"]:
    """Depth maps along z of points inside the cube -1..1 (x right, y down, z away); 2 where nothing is hit."""
    xy = (points_light[..., :2] + 1) * (0.5 * resolution)
    order = (points_light[..., 2] + 1) * 0.5
    allowed = torch.ones(len(xy), len(faces), dtype=torch.bool, device=xy.device)
    buffer = _draw(xy, order, faces, allowed, resolution, resolution)
    depth = (buffer // 2**31).to(xy.dtype) / 2**30 * 2 - 1
    return torch.where(buffer < _EMPTY, depth, torch.full_like(depth, 2.0)).view(-1, resolution, resolution)


def _draw(
    xy: Float[Tensor, "c v 2"],
    order: Float[Tensor, "c v"],
    faces: Int[Tensor, "f 3"],
    allowed: Bool[Tensor, "c f"],
    width: int,
    height: int,
) -> Int[Tensor, " n"]:
    """The packed minimum per pixel of all views: 30 bits of `order` (0..1, linear on screen, small = near), 31 bits of
    `view * f + triangle`."""
    x, y, depth = (v[:, faces].permute(2, 0, 1).flatten(1) for v in (xy[..., 0], xy[..., 1], order))
    left, top = (torch.ceil(v.amin(0) - 0.5).clamp_min(0) for v in (x, y))
    right = torch.floor(x.amax(0) - 0.5).clamp_max(width - 1)
    bottom = torch.floor(y.amax(0) - 0.5).clamp_max(height - 1)
    columns, rows = right - left + 1, bottom - top + 1
    area = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
    drawn = torch.nonzero(allowed.flatten() & (columns > 0) & (rows > 0) & (area.abs() > 1e-12))[:, 0]
    side = torch.maximum(columns[drawn], rows[drawn])
    bucket = torch.bucketize(side, torch.tensor(_SIDES, device=xy.device, dtype=side.dtype))
    drawn = drawn[torch.argsort(bucket, stable=True)]
    counts = torch.bincount(bucket, minlength=len(_SIDES)).tolist()
    buffer = torch.full((len(xy) * width * height,), _EMPTY, dtype=torch.int64, device=xy.device)
    at_once, view = _TESTS_AT_ONCE[xy.device.type], width * height
    for s, members in zip(_SIDES, drawn.split(counts)):
        for chunk in members.split(max(1, at_once // (s * s))) if len(members) else ():
            corners = (x[:, chunk], y[:, chunk], depth[:, chunk], area[chunk])
            first = chunk // len(faces) * view
            _draw_bucket(buffer, corners, left[chunk], top[chunk], chunk, first, s, width, height)
    return buffer


def _draw_bucket(
    buffer: Int[Tensor, " n"],
    corners: tuple[Tensor, Tensor, Tensor, Tensor],
    left: Float[Tensor, " t"],
    top: Float[Tensor, " t"],
    number: Int[Tensor, " t"],
    first: Int[Tensor, " t"],
    side: int,
    width: int,
    height: int,
) -> None:
    """Test `side` x `side` pixels of every triangle in the chunk and keep the nearest, in place; `first` is its view's
    first pixel."""
    x, y, depth, area = corners
    column = left[:, None] + torch.arange(side, device=left.device)
    row = top[:, None] + torch.arange(side, device=left.device)
    px, py = column[:, None, :] + 0.5, row[:, :, None] + 0.5
    x0, x1, x2, y0, y1, y2 = (v[:, None, None] for v in (*x, *y))
    w0 = ((x1 - px) * (y2 - py) - (y1 - py) * (x2 - px)) / area[:, None, None]
    w1 = ((x2 - px) * (y0 - py) - (y2 - py) * (x0 - px)) / area[:, None, None]
    w2 = 1 - w0 - w1
    inside = (torch.minimum(torch.minimum(w0, w1), w2) >= 0) & (px < width) & (py < height)
    t, r, c = torch.nonzero(inside, as_tuple=True)
    z = w0[t, r, c] * depth[0, t] + w1[t, r, c] * depth[1, t] + w2[t, r, c] * depth[2, t]
    key = (z.clamp(0, 1) * (2**30 - 1)).long() * 2**31 + number[t]
    pixel = first[t] + row[t, r].long() * width + column[t, c].long()
    buffer.scatter_reduce_(0, pixel, key, "amin")


def _cross(a: Float[Tensor, "n 2"], b: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]

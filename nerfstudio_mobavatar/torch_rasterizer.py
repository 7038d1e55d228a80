"""Gaussians -> images in plain PyTorch: the differentiable twin of gsplat's `rasterization` for machines without CUDA.

It follows gsplat 1.5.3 fact by fact: perspective EWA projection with the slope of the ray clamped at 0.15 frame widths
beyond the frame, 0.3 px^2 added to the screen covariance, near plane 0.01 m, `alpha = min(0.999, o exp(-sigma))`,
fragments below 1/255 skipped, a pixel finished before its transmittance would fall to 1e-4, pixel centres at
half-integers. (gsplat 1.4.0, which nerfstudio 1.1.5 pins, keeps only tiles within 3 sigma of the longer axis: an opaque
splat loses fragments of alpha up to 0.011 that lie beyond, and its image changes by as much.)

How it is fast without padding or per-pixel Python: the screen is cut into 4x4 pixel tiles; an *item* is one splat over
one tile. Items are laid out by layer: layer r holds the r-th nearest item of every tile that has more than r, and tiles
are numbered by falling item count, so that a layer is one contiguous slice over the first `n_r` tiles. Everything per
pixel is then dense arithmetic on `[16, items]`; only transmittance and the sums over depth walk through the layers.
The backward pass is analytic.
"""

import warnings
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

TILE = 4
"""Edge of a tile in pixels; measured on a person of 10K Gaussians at 256 px against 2 and 8."""
DILATION = 0.3
NEAR = 0.01
FAR = 1e10
MAX_ALPHA = 0.999
MIN_ALPHA = 1 / 255
MIN_TRANSMITTANCE = 1e-4
MAX_ITEMS = 1_500_000
"""Items held at once: 16 px x 6 arrays x 4 byte x 1.5M = 0.6 GB."""


@dataclass(frozen=True)
class Splats:
    """Gaussians that reach the screen, one per camera and Gaussian, nearest first (cameras interleaved)."""

    shape: Float[Tensor, "s 6"]
    """Centre x, y (px), inverse screen covariance a, b, c (1/px^2), log opacity.

    Log alpha at (dx, dy) from the centre is `log opacity - (a dx^2 + c dy^2)/2 - b dx dy`.
    """
    color: Float[Tensor, "s 3"]
    depth: Float[Tensor, " s"]
    """Metres along the optical axis."""
    tiles: Int[Tensor, "s 4"]
    """First and last tile column, first and last tile row (inclusive); rows of camera c start at `c * rows`."""


def project(
    means: Float[Tensor, "n 3"],
    covariances: Float[Tensor, "n 3 3"],
    T_cam_world: Float[Tensor, "c 4 4"],
    K: Float[Tensor, "c 3 3"],
    width: int,
    height: int,
    dilation: float | Float[Tensor, "c n"] = DILATION,
) -> tuple[Float[Tensor, "c n 2"], Float[Tensor, "c n 3"], Float[Tensor, "c n"]]:
    """EWA projection: screen centres (px), screen covariances xx, xy, yy (px^2, dilated) and depths (m).

    `J R S R^T J^T + dilation I` (Zwicker et al. 2002), J at the centre with the slope clamped. Only the upper triangle
    of the covariances is read, as in gsplat. Behind the near plane the values are finite but meaningless.
    """
    R, t = T_cam_world[:, :3, :3], T_cam_world[:, :3, 3]
    x, y, depth = (torch.einsum("cij,nj->icn", R, means) + t.T[:, :, None]).unbind(0)
    z = torch.where(depth > NEAR, depth, torch.ones_like(depth))
    fx, fy, cx, cy = (K[:, i, j, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    margin_x, margin_y = 0.15 * width / fx, 0.15 * height / fy
    slope_x = torch.clamp(x / z, -cx / fx - margin_x, (width - cx) / fx + margin_x)
    slope_y = torch.clamp(y / z, -cy / fy - margin_y, (height - cy) / fy + margin_y)
    # rows of J R: screen derivative by world position, [c, n, 3]
    row_x = (fx / z)[..., None] * (R[:, None, 0] - slope_x[..., None] * R[:, None, 2])
    row_y = (fy / z)[..., None] * (R[:, None, 1] - slope_y[..., None] * R[:, None, 2])
    upper = torch.triu(covariances)
    symmetric = upper + torch.triu(covariances, 1).mT
    Sx, Sy = torch.einsum("nij,cnj->cni", symmetric, row_x), torch.einsum("nij,cnj->cni", symmetric, row_y)
    xx, xy, yy = (row_x * Sx).sum(-1) + dilation, (row_x * Sy).sum(-1), (row_y * Sy).sum(-1) + dilation
    centre = torch.stack([fx * x / z + cx, fy * y / z + cy], -1)
    return centre, torch.stack([xx, xy, yy], -1), depth


def splats(
    means: Float[Tensor, "n 3"],
    covariances: Float[Tensor, "n 3 3"],
    colors: Float[Tensor, "n 3"],
    opacities: Float[Tensor, " n"],
    T_cam_world: Float[Tensor, "c 4 4"],
    K: Float[Tensor, "c 3 3"],
    width: int,
    height: int,
    dilation: float | Float[Tensor, "c n"] = DILATION,
) -> Splats:
    """Project, drop what no pixel can see, sort by depth (ties by index, as gsplat's stable radix sort)."""
    centre, cov, depth = project(means, covariances, T_cam_world, K, width, height, dilation)
    n = len(means)
    centre, cov, depth = centre.reshape(-1, 2), cov.reshape(-1, 3), depth.reshape(-1)
    with torch.no_grad():
        opacity = opacities.repeat(len(K))
        det = cov[:, 0] * cov[:, 2] - cov[:, 1] ** 2
        # alpha >= 1/255 inside `extent` standard deviations; the slack covers rounding, the alpha test decides
        extent = (2 * torch.log(opacity.clamp(min=MIN_ALPHA) / MIN_ALPHA)).sqrt()
        reach = extent[:, None] * cov[:, [0, 2]].clamp(min=0).sqrt() + 1e-3
        size = torch.tensor([width, height], dtype=centre.dtype, device=centre.device)
        low = torch.ceil(torch.minimum((centre - reach - 0.5).clamp(min=0), size))
        high = torch.floor(torch.minimum((centre + reach - 0.5).clamp(min=-1), size - 1))
        seen = (depth > NEAR) & (depth < FAR) & (opacity >= MIN_ALPHA) & (det > 0) & (high >= low).all(1)
        which = seen.nonzero()[:, 0]
        which = which[torch.sort(depth[which], stable=True)[1]]
        first, last = low[which].long() // TILE, high[which].long() // TILE
        row = (which // n) * -(-height // TILE)
        tiles = torch.stack([first[:, 0], last[:, 0], first[:, 1] + row, last[:, 1] + row], 1)
    gaussian = which % n
    cov = cov.index_select(0, which)
    det = cov[:, 0] * cov[:, 2] - cov[:, 1] ** 2
    conic = torch.stack([cov[:, 2], -cov[:, 1], cov[:, 0]], 1) / det[:, None]
    log_opacity = opacities.index_select(0, gaussian).log()
    shape = torch.cat([centre.index_select(0, which), conic, log_opacity[:, None]], 1)
    return Splats(shape, colors.index_select(0, gaussian), depth.index_select(0, which), tiles)


@dataclass(frozen=True)
class Layers:
    """Items of one band of tile rows in layer order."""

    splat: Int[Tensor, " i"]
    tile: Int[Tensor, " t"]
    """Tiles that have items, most items first; column + columns * row."""
    sizes: list[int]
    """Items in each layer; layer r covers the first `sizes[r]` tiles."""
    first: Int[Tensor, " s1"]
    """Items of splat i, wherever they lie, are `items[first[i]:first[i+1]]`."""
    items: Int[Tensor, " i"]


def layers(tiles: Int[Tensor, "s 4"], columns: int, first_row: int, end_row: int) -> Layers:
    """All (splat, tile) pairs in tile rows `first_row .. end_row - 1`; splats must come nearest first."""
    device = tiles.device
    y0, y1 = tiles[:, 2].clamp(min=first_row), tiles[:, 3].clamp(max=end_row - 1)
    nx, ny = tiles[:, 1] - tiles[:, 0] + 1, (y1 - y0 + 1).clamp(min=0)
    # first over rows, then over columns: divisions are slow, repeats are not
    line_splat = torch.repeat_interleave(ny)
    line = torch.arange(len(line_splat), device=device)
    line_tile = ((y0 - ny.cumsum(0) + ny) * columns + tiles[:, 0])[line_splat] + line * columns
    line_nx = nx[line_splat]
    item_line = torch.repeat_interleave(line_nx)
    count = len(item_line)
    tile = (line_tile - line_nx.cumsum(0) + line_nx)[item_line] + torch.arange(count, device=device)
    tile -= first_row * columns
    # int32 keys: half the bytes for the radix sort
    tile, order = torch.sort(tile.int(), stable=True)
    per_tile = torch.bincount(tile, minlength=1)
    sorted_count, by_count = torch.sort(per_tile, descending=True, stable=True)
    sorted_count = sorted_count[sorted_count > 0]
    place = torch.empty_like(by_count)
    place[by_count] = torch.arange(len(by_count), device=device)
    depth = int(sorted_count[0]) if count else 0
    # tiles with more than r items = all those whose count is above r
    size = torch.bincount(sorted_count - 1, minlength=1).flip(0).cumsum(0).flip(0)[:depth]
    tile = tile.long()
    rank = torch.arange(count, device=device) - (per_tile.cumsum(0) - per_tile)[tile]
    position = (size.cumsum(0) - size)[rank] + place[tile]
    splat, items = torch.empty_like(order), torch.empty_like(order)
    splat[position] = line_splat[item_line[order]]
    items[order] = position
    first = F.pad((nx * ny).cumsum(0), (1, 0))
    active = by_count[: len(sorted_count)] + first_row * columns
    return Layers(splat, active, size.tolist(), first, items)


def bands(tiles: Int[Tensor, "s 4"], rows: int, limit: int) -> list[tuple[int, int]]:
    """Consecutive ranges of tile rows of at most `limit` items each (one row at least)."""
    width = tiles[:, 1] - tiles[:, 0] + 1
    change = torch.zeros(rows + 1, dtype=torch.long, device=tiles.device)
    change.index_add_(0, tiles[:, 2], width).index_add_(0, tiles[:, 3] + 1, -width)
    ranges, start, held = [], 0, 0
    for row, items in enumerate(change.cumsum(0)[:rows].tolist()):
        if held + items > limit and row > start:
            ranges.append((start, row))
            start, held = row, 0
        held += items
    return [*ranges, (start, rows)]


def _lanes(like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pixel offsets x, y [16] inside a tile and the monomials 1, x, y, x^2, xy, y^2 as [16, 6]."""
    k = torch.arange(TILE, dtype=like.dtype, device=like.device)
    y, x = (v.reshape(-1) for v in torch.meshgrid(k, k, indexing="ij"))
    return x, y, torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y], 1)


@dataclass
class _Band:
    """State of a band between forward and backward; `[16, i]` per pixel of the tile and item."""

    layers: Layers
    offset: Tensor
    """[2, i] first pixel centre of the tile minus the splat's centre."""
    conic: Tensor
    """[3, i]"""
    slope: Tensor
    """[2, i] derivative of log alpha by x and y at the first pixel."""
    color: Tensor
    """[4, i] rgb, depth"""
    alpha: Tensor
    """0 where skipped or behind the end of the pixel."""
    weight: Tensor
    """alpha times the transmittance in front of the item."""


def _band(shape: Tensor, color: Tensor, items: Layers, columns: int, rows: int) -> _Band:
    """Alpha and weight of every pixel of every item; `rows` are those of one camera."""
    centre = torch.stack([items.tile % columns, items.tile // columns % rows]).to(shape.dtype) * TILE + 0.5
    values = torch.cat([shape, color], 1).index_select(0, items.splat).T.contiguous()
    offset = torch.cat([centre[:, :n] for n in items.sizes], 1) - values[:2]
    a, b, c = conic = values[2:5]
    X, Y = offset
    slope_x, slope_y = slope = torch.stack([-(a * X + b * Y), -(b * X + c * Y)])
    log_alpha0 = values[5] + 0.5 * (slope_x * X + slope_y * Y)
    # log alpha is a polynomial of the pixel's offset in the tile: one matrix product for all
    log_alpha = _lanes(shape)[2] @ torch.stack([log_alpha0, slope_x, slope_y, -0.5 * a, -b, -0.5 * c])
    alpha = F.threshold(log_alpha.exp_().clamp_(max=MAX_ALPHA), MIN_ALPHA, 0.0, inplace=True)
    rest = 1 - alpha
    transmittance = torch.empty_like(alpha)
    front, through = transmittance.split(items.sizes, 1), rest.split(items.sizes, 1)
    front[0].fill_(1)
    for r, n in enumerate(items.sizes[1:]):
        torch.mul(front[r][:, :n], through[r][:, :n], out=front[r + 1])
    # transmittance falls monotonically: what follows the first stopped item is stopped by the same test
    alpha = alpha.masked_fill_(rest.mul_(transmittance) <= MIN_TRANSMITTANCE, 0)
    return _Band(items, offset, conic, slope, values[6:], alpha, transmittance.mul_(alpha))


def _blend(band: _Band) -> tuple[Tensor, Tensor]:
    """Sums over depth: `sum_i c_i alpha_i T_i` [4, 16, t] and the transmittance left at the end [16, t]."""
    sizes = band.layers.sizes
    out = band.alpha.new_zeros(4, TILE * TILE, sizes[0])
    left = band.alpha.new_ones(TILE * TILE, sizes[0])
    per_layer = zip(sizes, (1 - band.alpha).split(sizes, 1), band.weight.split(sizes, 1), band.color.split(sizes, 1))
    for n, rest, weight, color in per_layer:
        out[:, :, :n].addcmul_(weight, color[:, None])
        left[:, :n].mul_(rest)
    return out, left


def _unblend(band: _Band, grad: Tensor, behind: Tensor) -> tuple[Tensor, Tensor]:
    """Adjoint of `_blend`: gradients by log alpha [16, i] (0 where alpha is clamped) and by colour [k, i].

    With s_i = grad . c_i and w_i = alpha_i T_i:
    `alpha_i dL/dalpha_i = w_i s_i - alpha_i / (1 - alpha_i) (sum_{j>i} w_j s_j + left dL/dleft)`.
    `grad` is [k, 16, t] for the first k of the four channels; `behind` [16, t] is `left dL/dleft` and gets overwritten.
    """
    sizes, k = band.layers.sizes, len(grad)
    by_log_alpha = torch.empty_like(band.alpha)
    by_color = band.color.new_empty(k, band.alpha.shape[1])
    odds = band.alpha / (1 - band.alpha)
    arrays = (by_log_alpha, by_color, odds, band.weight, band.color)
    per_layer = zip(sizes, *(v.split(sizes, 1) for v in arrays))
    for n, by_log_alpha_r, by_color_r, odds_r, weight, color in reversed(list(per_layer)):
        g, rear = grad[:, :, :n], behind[:, :n]
        s = g[0] * color[0]
        for channel in range(1, k):
            s.addcmul_(g[channel], color[channel])
        s.mul_(weight)
        torch.addcmul(s, odds_r, rear, value=-1, out=by_log_alpha_r)
        rear.add_(s)
        torch.sum(g * weight, 1, out=by_color_r)
    return by_log_alpha.masked_fill_(band.alpha >= MAX_ALPHA, 0), by_color


def _sum_by_splat(items: Layers, per_item: Tensor) -> Tensor:
    """[i, k] -> [s, k]: sums over the items of each splat, as a sparse product (10 times faster than scattering)."""
    ones = per_item.new_ones(len(items.items))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        size = (len(items.first) - 1, len(per_item))
        gather = torch.sparse_csr_tensor(items.first, items.items, ones, size, check_invariants=False)
        return gather @ per_item


def _shape_gradient(band: _Band, by_log_alpha: Tensor) -> Tensor:
    """Gradient by the six `Splats.shape` numbers [6, i] through the polynomial of `_band`."""
    d0, dx, dy, dxx, dxy, dyy = _lanes(by_log_alpha)[2].T @ by_log_alpha
    (X, Y), (a, b, c), (slope_x, slope_y) = band.offset, band.conic, band.slope
    by_a = -(0.5 * X * X * d0 + X * dx + 0.5 * dxx)
    by_b = -(X * Y * d0 + Y * dx + X * dy + dxy)
    by_c = -(0.5 * Y * Y * d0 + Y * dy + 0.5 * dyy)
    return torch.stack([a * dx + b * dy - slope_x * d0, b * dx + c * dy - slope_y * d0, by_a, by_b, by_c, d0])


class _Composite(torch.autograd.Function):
    """(shape, rgb, depth) of splats -> sums of rgb [3, 16, t], of depth [1, 16, t], transmittance left [16, t]."""

    @staticmethod
    def forward(ctx, shape, rgb, depth, tiles, cameras, columns, rows, limit):  # type: ignore[override]
        """Bands beyond the first limit are dropped and recomputed in the backward pass: memory stays bounded."""
        color = torch.cat([rgb, depth[:, None]], 1)
        ranges = bands(tiles, cameras * rows, limit)
        out = shape.new_zeros(4, TILE * TILE, cameras * rows * columns)
        left = shape.new_ones(TILE * TILE, cameras * rows * columns)
        band = None
        for first, end in ranges:
            items = layers(tiles, columns, first, end)
            if len(items.splat):
                band = _band(shape, color, items, columns, rows)
                out[:, :, items.tile], left[:, items.tile] = _blend(band)
        ctx.save_for_backward(shape, color, tiles, left)
        ctx.columns, ctx.rows, ctx.ranges = columns, rows, ranges
        ctx.kept = band if len(ranges) == 1 else None
        ctx.set_materialize_grads(False)
        return out[:3], out[3:], left

    @staticmethod
    def backward(ctx, grad_rgb, grad_depth, grad_left):  # type: ignore[override]
        """Analytic; gradients of splats are sums over their items."""
        shape, color, tiles, left = ctx.saved_tensors
        if grad_rgb is None:
            grad_rgb = shape.new_zeros(3, *left.shape)
        grad = grad_rgb if grad_depth is None else torch.cat([grad_rgb, grad_depth])
        grad_left = torch.zeros_like(left) if grad_left is None else grad_left * left
        total = shape.new_zeros(len(shape), 6 + len(grad))
        for first, end in ctx.ranges:
            band = ctx.kept
            if band is None:
                items = layers(tiles, ctx.columns, first, end)
                if not len(items.splat):
                    continue
                band = _band(shape, color, items, ctx.columns, ctx.rows)
            tile = band.layers.tile
            by_log_alpha, by_color = _unblend(band, grad[:, :, tile], grad_left[:, tile])
            per_item = torch.cat([_shape_gradient(band, by_log_alpha), by_color])
            total += _sum_by_splat(band.layers, per_item.T.contiguous())
        by_depth = total[:, 9] if len(grad) == 4 else None
        return total[:, :6], total[:, 6:9], by_depth, None, None, None, None, None


def composite(
    s: Splats, cameras: int, width: int, height: int, max_items: int
) -> tuple[Float[Tensor, "c h w 3"], Float[Tensor, "c h w"], Float[Tensor, "c h w"]]:
    """Front-to-back sums per pixel: rgb and depth weighted by `alpha T`, and the transmittance left over."""
    columns, rows = -(-width // TILE), -(-height // TILE)
    parts = _Composite.apply(s.shape, s.color, s.depth, s.tiles, cameras, columns, rows, max_items)

    def image(lanes: Tensor) -> Tensor:
        """[k, 16, tiles] -> [c, h, w, k]"""
        split = lanes.reshape(-1, TILE, TILE, cameras, rows, columns).permute(3, 4, 1, 5, 2, 0)
        return split.reshape(cameras, rows * TILE, columns * TILE, -1)[:, :height, :width]

    rgb, depth, left = parts  # type: ignore[misc]
    return image(rgb), image(depth)[..., 0], image(left[None])[..., 0]

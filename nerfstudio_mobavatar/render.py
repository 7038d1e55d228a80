"""Posed Gaussians -> images, behind one explicit option: gsplat (CUDA) or its pure PyTorch twin.

This is the only place that imports gsplat, and it does so when the first image is drawn: importing it may compile.
"""

import importlib.metadata
import math
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from inspect import signature
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from . import torch_rasterizer
from .gaussians import PosedGaussians

Backend = Literal["gsplat", "torch"]
TILE = 16
"""Side of gsplat's tiles, pixels."""


class RasterizerUnavailableError(RuntimeError):
    """The chosen backend cannot run here. The message says why and what to do."""


@dataclass(frozen=True)
class Rendered:
    """Images of `c` cameras."""

    rgb: Float[Tensor, "c h w 3"]
    """Linear, composited over the background; not clamped above 1."""
    alpha: Float[Tensor, "c h w 1"]
    depth: Float[Tensor, "c h w 1"]
    """Expected depth along the optical axis, metres (`sum w z / sum w`); 0 where nothing was drawn, and everywhere
    if it was not asked for."""


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_gsplat() -> None:
    """Raise `RasterizerUnavailableError` unless gsplat can be imported without harm. Imports nothing itself.

    gsplat 1.4.0, which nerfstudio 1.1.5 pins, hangs while it builds its extension against torch for CUDA 13 and later.
    """
    version = _installed("gsplat")
    if version is None or find_spec("gsplat") is None:
        raise RasterizerUnavailableError(
            "backend 'gsplat' needs the package gsplat, which is not installed; "
            "run `pip install --no-deps gsplat==1.5.3` or choose the backend 'torch'"
        )
    cuda = torch.version.cuda
    old = tuple(int(part) for part in version.split("+")[0].split(".")[:2]) < (1, 5)
    if cuda is not None and old and int(cuda.split(".")[0]) >= 13:
        raise RasterizerUnavailableError(
            f"gsplat {version} is installed with torch {torch.__version__} for CUDA {cuda}: this pair hangs while "
            "gsplat builds. Run `pip install --no-deps gsplat==1.5.3` (pip then warns that nerfstudio pins 1.4.0; "
            "that is fine)"
        )


def resolve_backend(name: Literal["auto", "gsplat", "torch"], device: torch.device | str) -> Backend:
    """The backend that will draw. "auto" is gsplat where the device is a CUDA GPU and gsplat is installed, else torch.

    Errors: `RasterizerUnavailableError` where "gsplat" was asked for without CUDA or without the package, and
    wherever gsplat would be taken but would hang (see `check_gsplat`).
    """
    cuda = torch.device(device).type == "cuda"
    if name == "auto":
        name = "gsplat" if cuda and _installed("gsplat") is not None else "torch"
    if name == "gsplat":
        if not cuda:
            raise RasterizerUnavailableError(
                f"backend 'gsplat' draws on CUDA devices only, but the device is '{device}'; choose 'torch' or 'auto'"
            )
        check_gsplat()
    return name


def describe_backend(name: Literal["auto", "gsplat", "torch"], device: torch.device | str) -> str:
    """One line for the log: what was asked for, what was taken and why."""
    taken = resolve_backend(name, device)
    asked = "" if name == taken else f" (asked for '{name}')"
    if taken == "gsplat":
        return f"rasteriser: gsplat {_installed('gsplat')} on {device}{asked}"
    why = ""
    if name == "auto":
        why = "; gsplat is not installed" if torch.device(device).type == "cuda" else "; gsplat needs CUDA"
    return f"rasteriser: torch, the pure PyTorch twin of gsplat 1.5.3, on {device}{asked}{why}"


def rasterize(
    gaussians: PosedGaussians,
    T_cam_world: Float[Tensor, "c 4 4"],
    K: Float[Tensor, "c 3 3"],
    width: int,
    height: int,
    background: Float[Tensor, " 3"],
    backend: Backend,
    with_depth: bool = True,
) -> Rendered:
    """Draw the Gaussians into `c` pinhole cameras of one size.

    Differentiable by means, covariances, colours, opacities and background. `T_cam_world` in OpenCV axes and metres,
    `K` in pixels with centres at half-integers. Both backends read only the upper triangle of the covariances, so a
    gradient arrives there alone; through a covariance built as `A A^T` that comes to the same as the symmetric one.
    Without depth, which training does not look at, `depth` is zero and gsplat has a channel less to blend.
    Errors: `RasterizerUnavailableError`.
    """
    if backend == "gsplat":
        return _rasterize_gsplat(gaussians, T_cam_world, K, width, height, background, with_depth)
    g = gaussians
    s = torch_rasterizer.splats(g.means, g.covariances, g.colors, g.opacities, T_cam_world, K, width, height)
    rgb, depth, left = torch_rasterizer.composite(s, len(K), width, height, torch_rasterizer.MAX_ITEMS)
    alpha = 1 - left
    depth = depth / alpha.clamp(min=1e-10) if with_depth else torch.zeros_like(alpha)
    return Rendered(rgb + left[..., None] * background, alpha[..., None], depth[..., None])


def _rasterize_gsplat(
    gaussians: PosedGaussians,
    T_cam_world: Float[Tensor, "c 4 4"],
    K: Float[Tensor, "c 3 3"],
    width: int,
    height: int,
    background: Float[Tensor, " 3"],
    with_depth: bool,
) -> Rendered:
    """`gsplat.rasterization` with covariances; the call is the same in 1.4.0 and 1.5.3."""
    resolve_backend("gsplat", gaussians.means.device)
    if not with_depth:
        return _draw_colors(gaussians, T_cam_world, K, width, height, background)
    from gsplat import rasterization  # compiles on the first import of a fresh install

    g = gaussians
    n = len(g.means)
    # quaternions and scales are ignored where covariances are given, but 1.4.0 still wants tensors
    unused = g.means.new_zeros(n, 4)
    image, alpha, _ = rasterization(
        g.means,
        unused,
        unused[:, :3],
        g.opacities,
        g.colors,
        T_cam_world,
        K,
        width,
        height,
        # the same few cameras see nearly every Gaussian: packing would only add work
        packed=False,
        backgrounds=background.expand(len(K), 3),
        render_mode="RGB+ED",
        covars=g.covariances,
    )
    return Rendered(image[..., :3], alpha, image[..., 3:])


def _draw_colors(
    g: PosedGaussians,
    T_cam_world: Float[Tensor, "c 4 4"],
    K: Float[Tensor, "c 3 3"],
    width: int,
    height: int,
    background: Float[Tensor, " 3"],
) -> Rendered:
    """The steps of `gsplat.rasterization` without depth, one by one: it picks the covariances' upper triangle by lists
    of numbers, for which host and GPU wait for each other, and whose gradient sorts."""
    from gsplat import fully_fused_projection, isect_offset_encode, isect_tiles, rasterize_to_pixels

    c, columns, rows = len(K), math.ceil(width / TILE), math.ceil(height / TILE)
    triangle = g.covariances.flatten(1).index_select(1, _upper_triangle(g.means.device))
    bounds: dict[str, Any] = {"opacities": g.opacities} if _bounded_by_opacity() else {}
    radii, means, depths, conics, _ = fully_fused_projection(
        g.means, triangle, None, None, T_cam_world, K, width, height, **bounds
    )
    _, crossings, order = isect_tiles(means, radii, depths, TILE, columns, rows)
    offsets = isect_offset_encode(crossings, c, columns, rows)
    colors, opacities = g.colors.expand(c, -1, -1), g.opacities.expand(c, -1)
    image, alpha = rasterize_to_pixels(
        means, conics, colors, opacities, width, height, TILE, offsets, order, backgrounds=background.expand(c, 3)
    )
    return Rendered(image, alpha, torch.zeros_like(alpha))


@cache
def _bounded_by_opacity() -> bool:
    """Whether gsplat draws no further than a Gaussian's opacity reaches, as 1.5 does."""
    from gsplat import fully_fused_projection

    return "opacities" in signature(fully_fused_projection).parameters


@cache
def _upper_triangle(device: torch.device) -> Tensor:
    """Places of a symmetric matrix's six numbers among its nine."""
    return torch.tensor([0, 1, 2, 4, 5, 8], device=device)

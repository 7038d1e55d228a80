"""The picture that the shaders draw, in PyTorch on any device: their slow twin, and the judge of levels of detail.

A picture that is coarser than the training pictures shows those averaged down (after Mip-Splatting, arXiv 2311.16493):
every Gaussian keeps the blur that training drew it with, at the size that this has here, and the pixel's own filter
makes it fainter by as much as it makes it wider. gsplat's fixed blur of 0.3 px² makes people fat in small pictures.
"""

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mobavatar import torch_rasterizer

from .detail import Level
from .evaluate import PosedArrays
from .layout import BLUR, PIXEL_FILTER


def at_level(posed: PosedArrays, level: Level) -> PosedArrays:
    """The Gaussians that a level draws."""
    n = level.count
    return PosedArrays(
        posed.mean[:n], posed.covariance[:n] * np.float32(level.enlarge**2), posed.color[:n], posed.opacity[:n]
    )


def draw(
    posed: PosedArrays,
    T_cam_world: np.ndarray,
    K: np.ndarray,
    width: int,
    height: int,
    background: np.ndarray,
    pixels_per_metre: float | None = None,
    device: torch.device | str = "cpu",
) -> tuple[np.ndarray, np.ndarray]:
    """(rgb [h, w, 3] clamped to 0..1, alpha [h, w]), float32. `pixels_per_metre` is that of the training pictures."""

    def to(x: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(x, np.float32)).to(device)

    mean, covariance, color, opacity = (to(x) for x in (posed.mean, posed.covariance, posed.color, posed.opacity))
    T, intrinsics = to(T_cam_world)[None], to(K)[None]
    with torch.no_grad():
        dilation: float | Tensor = BLUR
        if pixels_per_metre is not None:
            _, own, depth = torch_rasterizer.project(mean, covariance, T, intrinsics, width, height, 0.0)
            fineness = intrinsics[:, 0, 0, None] / depth.clamp(min=torch_rasterizer.NEAR)
            own_blur = (BLUR * (fineness / pixels_per_metre) ** 2).clamp(max=BLUR)
            dilation = PIXEL_FILTER + own_blur * (1 - PIXEL_FILTER / BLUR)
            fainter = (_determinant(own, own_blur).clamp(min=0) / _determinant(own, dilation)).sqrt()
            opacity = opacity * torch.where(own_blur >= BLUR, 1.0, fainter)[0]
        splats = torch_rasterizer.splats(mean, covariance, color, opacity, T, intrinsics, width, height, dilation)
        rgb, _, left = torch_rasterizer.composite(splats, 1, width, height, torch_rasterizer.MAX_ITEMS)
        rgb = (rgb + left[..., None] * to(background)).clamp(0, 1)
    return rgb[0].cpu().numpy(), (1 - left[0]).cpu().numpy()


def _determinant(covariance: Tensor, blur: Tensor) -> Tensor:
    """Of [c, n] screen covariances (xx, xy, yy) with `blur` [c, n] on the diagonal."""
    xx, xy, yy = covariance.unbind(-1)
    return (xx + blur) * (yy + blur) - xy * xy

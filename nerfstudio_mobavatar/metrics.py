"""How good a rendered picture is, as this family of papers measures it, on the full frame and on the person alone.

The ground truth's background is set white through the matte and the rendering is over white. The full-frame numbers are
comparable with published ones but rise with the share of white; the crop's do not, so both are always given.
"""

from functools import cache

import rich
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from .losses import (
    LPIPS_SIDE,
    LpipsPerceptual,
    PerceptualWeightsMissingError,
    composite,
    edge_band_weight,
    person_box,
    square_crop,
    unit_range,
)

EDGE_PX, FLOATER_PX = 4, 20
"""At pictures of `AT_PX`, in proportion at smaller ones (at least 1): what lies this near to the mask's edge counts for
neither side of it, and what lies further out than the second floats."""
AT_PX = 2048


def psnr(rendered: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]) -> float:
    """`-10 log10(mean (R - I)^2)` dB of pictures in 0..1; 100 dB at most, which also stands for equal pictures."""
    error = (rendered.double() - target.double()).square().mean().clamp(min=1e-10)
    return float(-10 * torch.log10(error))


def ssim(rendered: Float[Tensor, "h w 3"], target: Float[Tensor, "h w 3"]) -> float:
    """Structural similarity, 11x11 Gaussian window, data range 1 (torchmetrics)."""
    a, b = (v.permute(2, 0, 1)[None] for v in (rendered, target))
    value = structural_similarity_index_measure(a, b, data_range=1.0)
    assert isinstance(value, Tensor)
    return float(value)


@cache
def available_lpips() -> LpipsPerceptual | None:
    """LPIPS-VGG if its weights are on this machine; otherwise None, said once per process."""
    try:
        return LpipsPerceptual()
    except PerceptualWeightsMissingError as missing:
        rich.print(f"Metrics without LPIPS. {missing}")
        return None


@torch.no_grad()
def coverage_metrics(alpha: Float[Tensor, "h w 1"], mask: Shaped[Tensor, "h w 1"]) -> dict[str, float]:
    """Where the avatar's opacity is and should not be, and the other way round (ours).

    `coverage`: mean opacity inside the mask, 1 at best. `holes`: share of the mask's inside that is less than half
    opaque. `leak`: opacity outside the mask, summed, and `floaters`: the part of it further out than 20 px (at pictures
    of 2048 px), both as a share of the person's area, 0 at best. Pixels within 4 px (at 2048 px) of the mask's edge
    count for none of them. The mask is uint8 or float in 0..1, cut at one half; where it is empty, the person's area is
    taken to be one pixel and the inside to be covered.
    """
    scale = max(mask.shape[:2]) / AT_PX
    edge, far = (max(1, round(px * scale)) for px in (EDGE_PX, FLOATER_PX))
    person = (unit_range(mask) > 0.5).to(alpha)
    counts = edge_band_weight(mask[None], edge)[0]
    inside, outside = person * counts, (1 - person) * counts
    near = F.max_pool2d(person.permute(2, 0, 1)[None], 2 * far + 1, 1, far)[0].permute(1, 2, 0)
    area, core = person.sum().clamp(min=1), inside.sum()
    empty = core == 0
    values = {
        "coverage": torch.where(empty, 1.0, (inside * alpha).sum() / core.clamp(min=1)),
        "holes": (inside * (alpha < 0.5)).sum() / core.clamp(min=1),
        "leak": (outside * alpha).sum() / area,
        "floaters": (outside * (1 - near) * alpha).sum() / area,
    }
    return dict(zip(values, torch.stack([v.float() for v in values.values()]).tolist()))


@torch.no_grad()
def image_metrics(
    rendered: Float[Tensor, "h w 3"],
    image: Shaped[Tensor, "h w 3"],
    mask: Shaped[Tensor, "h w 1"],
    alpha: Float[Tensor, "h w 1"] | None = None,
) -> dict[str, float]:
    """`psnr`, `ssim` on the full frame, `psnr_crop`, `ssim_crop` on the person, `lpips` where weights are available,
    and of the rendering's opacity `alpha`, where it is given, what `coverage_metrics` says.

    `rendered` is over white and is clamped to 0..1; `image` and `mask` are uint8 or float in 0..1. The crop is the
    mask's bounding box plus 50 px at pictures of 2048 px, and in proportion at smaller ones (`losses.person_box`).
    LPIPS is VGG's on that crop, padded to a white square and resized to 512 px.
    """
    white = rendered.new_ones(3)
    rendered = rendered.clamp(0, 1)
    target = composite(image[None], mask[None], white)[0]
    box = person_box(mask)
    a, b = box.cut(rendered), box.cut(target)
    values = {
        "psnr": psnr(rendered, target),
        "ssim": ssim(rendered, target),
        "psnr_crop": psnr(a, b),
        "ssim_crop": ssim(a, b),
    }
    if alpha is not None:
        values |= coverage_metrics(alpha, mask)
    lpips = available_lpips()
    if lpips is not None:
        crops = (square_crop(v, box, white, LPIPS_SIDE)[None] for v in (rendered, target))
        values["lpips"] = float(lpips.distance(*crops))
    return values

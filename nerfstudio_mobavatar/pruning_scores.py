"""What pruning a corrective would do to the training pictures: a score in one unit for all attributes.

To first order, pruning Gaussian n's corrective of one attribute changes a picture by `J_n (delta_n - mean_n)`, `J_n`
being the derivative of all pixels by that attribute. Its squared size is the Gauss-Newton form `d^T J_n^T J_n d`, and
since `E[(s^T J_n d)^2]` over random signs `s` per pixel is exactly that, one backward pass of `sum(s * picture)` gives
an unbiased estimate for every Gaussian and attribute at once (Hutchinson's estimator). For the colour it comes to the
squared blending weights, summed over the pixels, times the squared change of colour. That neighbours change together is
not seen; the budget `allowed_loss_db` therefore measures.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.distributed
from jaxtyping import Float, Shaped
from torch import Tensor

from .avatar import Avatar
from .blendshapes import ATTRIBUTES
from .camera_colors import seen
from .losses import composite
from .pruning import CorrectiveStatistics
from .render import Backend, rasterize


@dataclass(frozen=True)
class Probe:
    """One training picture and the pose that it shows."""

    pose: Float[Tensor, "55 3"]
    transl: Float[Tensor, " 3"]
    expression: Float[Tensor, " e"]
    T_cam_world: Float[Tensor, "1 4 4"]
    K: Float[Tensor, "1 3 3"]
    image: Shaped[Tensor, "h w 3"]
    """uint8 or float in 0..1."""
    mask: Shaped[Tensor, "h w 1"]
    colors: tuple[Float[Tensor, "1 3"], Float[Tensor, "1 3"]] | None = None
    """Gain and offset of the camera (`camera_colors.py`), where they are estimated."""


def _draw(avatar: Avatar, probe: Probe, backend: Backend) -> tuple[Float[Tensor, "h w 3"], dict[str, Tensor]]:
    """The picture over white, as the probe's camera sees it, and the correctives in it."""
    posed = avatar(probe.pose, probe.transl, probe.expression)
    height, width = probe.image.shape[:2]
    white = torch.ones(3, device=probe.K.device)
    drawn = rasterize(posed.gaussians, probe.T_cam_world, probe.K, width, height, white, backend)
    rgb = drawn.rgb if probe.colors is None else seen(drawn.rgb, drawn.alpha, white, *probe.colors)
    return rgb[0], posed.correctives


def image_statistics(
    avatar: Avatar,
    statistics: dict[str, CorrectiveStatistics],
    probes: Iterable[Probe],
    fold_mean: bool,
    backend: Backend,
) -> dict[str, CorrectiveStatistics]:
    """The same means; the score is the expected squared change of a picture (0..1 colours, summed over its pixels) if
    this corrective alone were pruned. Averaged over the ranks of a data-parallel run, so that all prune alike.

    Errors: `ValueError` where there is no picture.
    """
    totals = [torch.zeros_like(statistics[name].score) for name in ATTRIBUTES]
    count = 0
    neutral = [avatar.neutral(name) for name in ATTRIBUTES]
    for count, probe in enumerate(probes, 1):
        gradients, deltas = _signed_gradients(avatar, probe, backend, count, neutral)
        for name, total, gradient in zip(ATTRIBUTES, totals, gradients):
            change = deltas[name].detach()
            if fold_mean:
                change = change - statistics[name].mean
            total += (gradient[avatar.index(name)] * change).sum(1).square()
    means = zip(ATTRIBUTES, _mean_over_ranks(totals, count))
    return {name: replace(statistics[name], score=mean) for name, mean in means}


def _signed_gradients(
    avatar: Avatar, probe: Probe, backend: Backend, seed: int, by: Sequence[Tensor]
) -> tuple[Sequence[Tensor], dict[str, Tensor]]:
    """Of the picture's pixels, summed with random signs, `by` these parameters; and the correctives in it."""
    with torch.enable_grad():
        picture, deltas = _draw(avatar, probe, backend)
        generator = torch.Generator(picture.device).manual_seed(seed)
        sign = torch.randint(0, 2, picture.shape, generator=generator, device=picture.device) * 2 - 1
        return torch.autograd.grad((picture * sign).sum(), by), deltas


def _mean_over_ranks(totals: list[Tensor], count: int) -> list[Tensor]:
    if count == 0:
        raise ValueError("the pruning score 'image' needs at least one training picture, found none")
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        for total in totals:
            torch.distributed.all_reduce(total)
    return [total / count for total in totals]


def sensitivities(avatar: Avatar, probes: Iterable[Probe], backend: Backend) -> dict[str, Float[Tensor, "kept a"]]:
    """Expected squared change of a picture per squared change of each number of an attribute, of the Gaussians that
    keep a corrective of it; and of a control node's place, "node" [m, 3]. Averaged over the ranks. Errors: `ValueError`
    where there is no picture."""
    by = [*(avatar.neutral(name) for name in ATTRIBUTES), avatar.node_offset]
    totals = [torch.zeros_like(parameter) for parameter in by]
    count = 0
    for count, probe in enumerate(probes, 1):
        for total, gradient in zip(totals, _signed_gradients(avatar, probe, backend, count, by)[0]):
            total += gradient.square()
    *attributes, node = _mean_over_ranks(totals, count)
    return {name: x[avatar.index(name)] for name, x in zip(ATTRIBUTES, attributes)} | {"node": node}


def loss_since(avatar: Avatar, error: Callable[[Avatar], float]) -> Callable[[Avatar], float]:
    """PSNR (dB) that another avatar has lost against this one as it is now, by their squared errors."""
    before = max(error(avatar), 1e-12)
    return lambda other: 10 * math.log10(max(error(other), 1e-12) / before)


@torch.no_grad()
def picture_error(avatar: Avatar, probes: Sequence[Probe], backend: Backend) -> float:
    """Mean squared error over white of the probes' pictures, all pixels and channels. All must have one size."""
    errors = []
    for probe in probes:
        picture = _draw(avatar, probe, backend)[0].clamp(0, 1)
        target = composite(probe.image[None], probe.mask[None], picture.new_ones(3))[0]
        errors.append((picture - target).square().mean())
    return float(torch.stack(errors).double().mean())

"""Training losses, one function per named term (paper section 3.5); weights are arguments, nothing is hidden.

`L = L1 + 0.1 L_perceptual + L_scale + L_cst + 0.1 L_smooth`; the sum is the model's business. Pictures are
`[b, h, w, 3]` in 0..1, masks `[b, h, w, 1]`; both may be uint8 where a function says so.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import rich
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor

from .cuda_graph import ValueAndGradient
from .device import compiled, upload

SSIM_WINDOW = 11
"""Pixels; Gaussian of standard deviation 1.5 (Wang et al. 2004)."""
LPIPS_SIDE = 512
"""Side of the square that LPIPS looks at, pixels (mmlphuman, and the metric of this family of papers)."""
CROP_MARGIN_PX = 50
"""Around the person's box, at pictures of `CROP_MARGIN_AT_PX`; scaled with the longer side of smaller ones."""
CROP_MARGIN_AT_PX = 2048
VGG_FILE = "vgg16-397923af.pth"
VGG_URL = f"https://download.pytorch.org/models/{VGG_FILE}"
VGG_TAPS = (3, 8, 15, 22, 29)
"""Layers of torchvision's VGG16 whose outputs LPIPS compares: relu1_2, 2_2, 3_3, 4_3, 5_3."""


def unit_range(pixels: Shaped[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """uint8 0..255 -> float32 0..1; float tensors are taken to be in 0..1 already."""
    return pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels


def composite(
    image: Float[Tensor, "b h w 3"] | UInt8[Tensor, "b h w 3"],
    mask: Float[Tensor, "b h w 1"] | UInt8[Tensor, "b h w 1"],
    background: Float[Tensor, " 3"],
) -> Float[Tensor, "b h w 3"]:
    """The picture over another background, through the matte: `m I + (1 - m) B`. uint8 or float in 0..1."""
    return torch.lerp(background.expand(image.shape), unit_range(image), unit_range(mask))


def edge_band_weight(mask: Float[Tensor, "b h w 1"] | UInt8[Tensor, "b h w 1"], px: int) -> Float[Tensor, "b h w 1"]:
    """0 within `px` pixels (in x and in y) of the mask's edge, else 1: an automatic mask's edge is not to be learnt.

    `w = 1 - (dilate(m) xor erode(m))` with a square window of `2 px + 1` on the mask cut at one half. The picture's
    border is no edge.
    """
    if px == 0:
        return mask.new_ones((), dtype=torch.float32).expand(mask.shape)
    inside = (unit_range(mask) > 0.5).float().permute(0, 3, 1, 2)
    dilated, background = (F.max_pool2d(m, 2 * px + 1, 1, px) for m in (inside, 1 - inside))
    return 1 - (dilated * background).permute(0, 2, 3, 1)


def photometric_l1(
    rendered: Float[Tensor, "b h w 3"], target: Float[Tensor, "b h w 3"], weight: Float[Tensor, "b h w 1"]
) -> Float[Tensor, ""]:
    """`sum w |R - I| / (3 sum w)`: mean absolute difference over the pixels that count; 0 where none does."""
    return (weight * (rendered - target).abs()).sum() / (3 * weight.sum()).clamp(min=1)


def photometric(
    rendered: Float[Tensor, "b h w 3"],
    image: Float[Tensor, "b h w 3"] | UInt8[Tensor, "b h w 3"],
    mask: Float[Tensor, "b h w 1"] | UInt8[Tensor, "b h w 1"],
    background: Float[Tensor, " 3"],
    edge_band_px: int,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, "b h w 3"]]:
    """`photometric_l1`, the sum of squared errors (for the PSNR, without gradient) and the target, from one pass over
    the pictures where it is compiled. The sum, since the compiler takes a minute over means of changing sizes."""
    target = composite(image, mask, background)
    l1 = photometric_l1(rendered, target, edge_band_weight(mask, edge_band_px))
    return l1, (rendered.detach() - target).square().sum(), target


def mask_l1(
    alpha: Float[Tensor, "b h w 1"], mask: Float[Tensor, "b h w 1"] | UInt8[Tensor, "b h w 1"], edge_band_px: int
) -> Float[Tensor, ""]:
    """`sum w |alpha - m| / sum w`: opacity where the mask has none, and the other way round (ours)."""
    weight = edge_band_weight(mask, edge_band_px)
    return (weight * (alpha - unit_range(mask)).abs()).sum() / weight.sum().clamp(min=1)


def scale_penalty(scales: Float[Tensor, "n 3"], threshold: float) -> Float[Tensor, ""]:
    """`mean_n sum_axis max(s - threshold, 0)`: metres by which standard deviations exceed the threshold."""
    return F.relu(scales - threshold).sum() / max(len(scales), 1)


def corrective_sparsity(
    d_rotation: Float[Tensor, "n 4"],
    d_scale: Float[Tensor, "n 3"],
    d_color: Float[Tensor, "n 3"],
    rotation_weight: float = 0.02,
    scale_weight: float = 1.0,
    color_weight: float = 0.002,
) -> Float[Tensor, ""]:
    """`L_cst = mean_n (0.02 |dr|_1 + |ds|_1 + 0.002 |dc|_1)`, so that what pruning drops is small (stage 1 only)."""
    terms = ((d_rotation, rotation_weight), (d_scale, scale_weight), (d_color, color_weight))
    return torch.stack([weight * delta.abs().sum() for delta, weight in terms]).sum() / max(len(d_rotation), 1)


def node_smoothness(dx: Float[Tensor, "m 3"], neighbours: Int[Tensor, "m k"]) -> Float[Tensor, ""]:
    """`mean_m mean_k |dx_m - dx_k|_1` in metres: near nodes move alike (after mmlphuman; the norm is ours)."""
    near = dx.index_select(0, neighbours.flatten()).unflatten(0, neighbours.shape)
    return (dx[:, None] - near).abs().sum(-1).mean()


def regularisers(
    scales: Float[Tensor, "n 3"],
    scale_threshold: float,
    dx: Float[Tensor, "m 3"],
    neighbours: Int[Tensor, "m k"],
    correctives: tuple[Float[Tensor, "n 4"], Float[Tensor, "n 3"], Float[Tensor, "n 3"]] | None,
    sparsity_weights: tuple[float, float, float],
) -> list[Float[Tensor, ""]]:
    """`scale_penalty`, `node_smoothness` and, where there are correctives of rotation, scale and colour,
    `corrective_sparsity`: what does not look at pictures, in one function for the compiler."""
    terms = [scale_penalty(scales, scale_threshold), node_smoothness(dx, neighbours)]
    return terms if correctives is None else [*terms, corrective_sparsity(*correctives, *sparsity_weights)]


class Box(NamedTuple):
    """Rows `y0 .. y1 - 1` and columns `x0 .. x1 - 1`, inside the picture."""

    y0: int
    y1: int
    x0: int
    x1: int

    def cut(self, pixels: Shaped[Tensor, "*b h w c"]) -> Shaped[Tensor, "*b h2 w2 c"]:
        return pixels[..., self.y0 : self.y1, self.x0 : self.x1, :]


def person_box(mask: Shaped[Tensor, "h w 1"], least: int = SSIM_WINDOW) -> Box:
    """Where the mask exceeds one half, plus 50 px at 2048 px pictures (`50 / 2048` of the longer side), in the frame.

    At least `least` pixels wide and high if the picture is; the whole picture where the mask is empty.
    """
    height, width = mask.shape[:2]
    margin = round(CROP_MARGIN_PX * max(height, width) / CROP_MARGIN_AT_PX)
    spans = []
    for axis, side in ((1, height), (0, width)):
        most = mask[..., 0].amax(axis)  # before the comparison: a picture of truth values would be made
        at = (most >= 128 if mask.dtype == torch.uint8 else most > 0.5).nonzero()[:, 0]
        if not len(at):
            return Box(0, height, 0, width)
        low, high = max(int(at[0]) - margin, 0), min(int(at[-1]) + 1 + margin, side)
        short = max(min(least, side) - (high - low), 0)
        low = min(max(low - short // 2, 0), side - (high - low) - short)
        spans += [low, max(high, low + min(least, side))]
    return Box(*spans)


def person_boxes(masks: Shaped[Tensor, "b h w 1"]) -> Int[Tensor, "b 4"]:
    """`person_box` of each mask as y0, y1, x0, x1, on the host."""
    return torch.tensor([person_box(mask) for mask in masks])


def square_crop(
    pixels: Float[Tensor, "h w 3"], box: Box, background: Float[Tensor, " 3"], side: int
) -> Float[Tensor, "3 side side"]:
    """The box, padded to a centred square with the background and resized (bilinear, antialiased)."""
    height, width = box.y1 - box.y0, box.x1 - box.x0
    longest = max(height, width)
    top, left = (longest - height) // 2, (longest - width) // 2
    padding = (left, longest - width - left, top, longest - height - top)
    # padding the difference from the background pads with the background
    square = F.pad((box.cut(pixels) - background).permute(2, 0, 1), padding) + background[:, None, None]
    return F.interpolate(square[None], (side, side), mode="bilinear", align_corners=False, antialias=True)[0]


def square_crops(
    pictures: Sequence[Float[Tensor, "b h w 3"]],
    boxes: Int[Tensor, "b 4"],
    background: Float[Tensor, " 3"],
    side: int,
    weights: Callable[..., tuple[Tensor, Tensor]] | None = None,
) -> list[Float[Tensor, "b 3 side side"]]:
    """`square_crop` of every picture of several batches at once, as products with the interpolation's weights along
    rows and columns. `weights`: `_crop_weights`, or it compiled."""
    height, width = pictures[0].shape[1:3]
    rows, columns = (weights or _crop_weights)(boxes, side, max(height, width), background.dtype)
    rows, columns = rows[..., :height], columns[..., :width]

    def crop(pixels: Tensor) -> Tensor:
        # of the difference from the background, which is zero where the square reaches beyond the box
        narrow = torch.bmm(rows, (pixels - background).flatten(2)).unflatten(2, pixels.shape[2:])
        return torch.einsum("bswc,btw->bcst", narrow, columns) + background[:, None, None]

    return [crop(pixels) for pixels in pictures]


def _crop_weights(
    boxes: Int[Tensor, "b 4"], side: int, length: int, dtype: torch.dtype
) -> tuple[Float[Tensor, "b side n"], Float[Tensor, "b side n"]]:
    """`_resize_weights` of the boxes' rows and of their columns."""
    y0, y1, x0, x1 = (v[:, None, None] for v in boxes.unbind(1))
    longest = torch.maximum(y1 - y0, x1 - x0)
    rows, columns = (_resize_weights(low, high, longest, side, length) for low, high in ((y0, y1), (x0, x1)))
    return rows.to(dtype), columns.to(dtype)


def _resize_weights(low: Tensor, high: Tensor, longest: Tensor, side: int, length: int) -> Float[Tensor, "b side n"]:
    """Weight of each of `length` pixels in each of `side` output pixels: antialiased bilinear, a triangle around the
    output's centre as wide as the step, in a square of `longest` pixels in whose middle `low .. high - 1` lie."""
    at = torch.arange(length, device=low.device)
    step = longest / side
    center = (torch.arange(side, device=low.device)[:, None] + 0.5) * step
    total = (_triangle(at, center, step) * (at < longest)).sum(-1, keepdim=True)
    inside = (at >= low) & (at < high)
    return _triangle(at - low + (longest - (high - low)) // 2, center, step) * inside / total


def _triangle(position: Tensor, center: Tensor, width: Tensor) -> Tensor:
    """Of pixels `width` or one wide, whichever is more, around the centre."""
    return F.relu(1 - (position + 0.5 - center).abs() / width.clamp(min=1))


def ssim(a: Float[Tensor, "b h w 3"], b: Float[Tensor, "b h w 3"]) -> Float[Tensor, ""]:
    """Mean structural similarity of pictures in 0..1 where the 11x11 Gaussian window fits (Wang et al. 2004).

    `(2 ma mb + c1)(2 vab + c2) / ((ma^2 + mb^2 + c1)(va + vb + c2))`, c1 = 1e-4, c2 = 9e-4. Errors: ValueError for
    pictures smaller than the window.
    """
    height, width = a.shape[1:3]
    if min(height, width) < SSIM_WINDOW:
        raise ValueError(f"SSIM needs pictures of at least {SSIM_WINDOW} px a side, found {height} x {width}")
    a, b = (v.permute(0, 3, 1, 2) for v in (a, b))
    planes = torch.cat([a, b, a * a, b * b, a * b])
    ma, mb, aa, bb, ab = _window_means(_window_means(planes).mT).chunk(5)
    mm, ma, mb = ma * mb, ma * ma, mb * mb
    return ((2 * mm + 1e-4) * (2 * (ab - mm) + 9e-4) / ((ma + mb + 1e-4) * (aa - ma + bb - mb + 9e-4))).mean()


def _window_means(planes: Float[Tensor, "*b length"], block: int | None = None) -> Float[Tensor, "*b out"]:
    """Gaussian means of the windows along the last axis, as products with a band matrix: on a CPU 10 times faster than
    a convolution. On CUDA in overlapping blocks: most of a large band matrix is zero, and copies are cheap there."""
    out = planes.shape[-1] - SSIM_WINDOW + 1
    block = min(block or (64 if planes.is_cuda else out), out)
    if block == out:
        return planes @ _window(planes.shape[-1], planes).T
    padded = F.pad(planes, (0, -out % block))
    blocks = padded.unfold(-1, block + SSIM_WINDOW - 1, block)
    return (blocks @ _window(block + SSIM_WINDOW - 1, planes).T).flatten(-2)[..., :out]


def _window(side: int, like: Tensor) -> Float[Tensor, "out side"]:
    """Gaussian means of the `side - 10` windows along an axis, as a matrix."""
    at = torch.arange(side, dtype=like.dtype, device=like.device)
    offset = at - at[: side - SSIM_WINDOW + 1, None] - SSIM_WINDOW // 2
    weight = torch.exp(-(offset**2) / (2 * 1.5**2)) * (offset.abs() <= SSIM_WINDOW // 2)
    return weight / weight.sum(1, keepdim=True)


class PerceptualWeightsMissingError(RuntimeError):
    """LPIPS was asked for and its VGG16 weights are not on this machine. The message says where to put them."""


@runtime_checkable
class Perceptual(Protocol):
    """A perceptual distance of rendered and true pictures around the person, 0 for equal ones.

    `boxes`: `person_box` of each picture's mask, on the host, so that no loss term waits for the GPU.
    """

    def __call__(
        self,
        rendered: Float[Tensor, "b h w 3"],
        target: Float[Tensor, "b h w 3"],
        boxes: Int[Tensor, "b 4"],
        background: Float[Tensor, " 3"],
    ) -> Float[Tensor, ""]: ...


class NoPerceptual:
    """Always 0."""

    def __call__(self, rendered: Tensor, target: Tensor, boxes: Tensor, background: Tensor) -> Float[Tensor, ""]:
        return rendered.new_zeros(())


class SsimPerceptual:
    """`1 - SSIM` on one crop that holds the person in every picture of the batch."""

    def __call__(self, rendered: Tensor, target: Tensor, boxes: Tensor, background: Tensor) -> Float[Tensor, ""]:
        low, high = boxes.amin(0).tolist(), boxes.amax(0).tolist()
        box = Box(low[0], high[1], low[2], high[3])
        return 1 - ssim(box.cut(rendered), box.cut(target))


def vgg_path() -> Path:
    """Where torch keeps downloaded weights; asked at the call, since `TORCH_HOME` moves it."""
    return Path(torch.hub.get_dir()) / "checkpoints" / VGG_FILE


class LpipsPerceptual:
    """LPIPS with VGG16 (Zhang et al. 2018) on a 512 px square around each person.

    Unit-normalised features at five depths, squared difference, weighted by the published linear layer (shipped with
    torchmetrics), mean over the picture, summed over the depths. The VGG16 weights are read at the first call.
    A plain object and no `nn.Module`: the frozen network does not belong in checkpoints.
    """

    def __init__(self, download: bool = False, fast: bool = False):
        """`fast` is for training on CUDA: the network in bfloat16, compiled, with its gradient in one CUDA graph;
        metrics want float32.

        Errors: `PerceptualWeightsMissingError` if the weights are absent and must not be downloaded."""
        if download and not vgg_path().exists():
            torch.hub.load_state_dict_from_url(VGG_URL, map_location="cpu", check_hash=True, weights_only=True)
        if not vgg_path().exists():
            raise PerceptualWeightsMissingError(
                f"LPIPS needs the ImageNet weights of torchvision's VGG16: expected {vgg_path()}, found no such file. "
                f"Put {VGG_URL} there, allow the download, or choose the perceptual term 'ssim' or 'none'"
            )
        self._layers: torch.nn.Sequential | None = None
        self._linear: list[Tensor] = []
        self._dtype = torch.bfloat16 if fast else torch.float32
        self._compare = compiled(self._distance, fast)
        self._weights = compiled(_crop_weights, fast, dynamic=True)
        self._mean_distance = ValueAndGradient(self._mean_distance_of) if fast else self._mean_distance_of

    def _load(self, device: torch.device) -> None:
        import torchmetrics.functional.image
        from torchvision.models import vgg16

        with torch.device("meta"):  # no time for random weights, none for the classifier
            features = vgg16(weights=None).features
        layers = torch.nn.Sequential(*list(features.children())[: VGG_TAPS[-1] + 1])
        stored = torch.load(vgg_path(), map_location=device, weights_only=True)
        wanted = {name: stored[f"features.{name}"].float() for name in layers.state_dict()}
        layers.load_state_dict(wanted, assign=True)
        for layer in layers:
            if isinstance(layer, torch.nn.ReLU):
                layer.inplace = False  # the taps keep what an in-place ReLU would overwrite
        layers.to(dtype=self._dtype).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._layers = layers.requires_grad_(False).eval()
        folder = Path(torchmetrics.functional.image.__file__).parent / "lpips_models"
        linear = torch.load(folder / "vgg.pth", map_location=device, weights_only=True)
        self._linear = [linear[f"lin{i}.model.1.weight"].float() for i in range(len(VGG_TAPS))]
        # ImageNet statistics as LPIPS writes them, for pictures in -1..1
        statistics = torch.tensor([[-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]], device=device)
        self._mean, self._std = statistics[..., None, None].unbind()

    def _features(self, pixels: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b _c _h _w"]]:
        """Unit-normalised activations at the taps; input 0..1."""
        assert self._layers is not None
        x, taps = (2 * pixels.float() - 1 - self._mean) / self._std, []
        x = x.to(self._dtype, memory_format=torch.channels_last)
        for i, layer in enumerate(self._layers):
            x = layer(x)
            if i in VGG_TAPS:
                tap = x.float()
                taps.append(tap * torch.rsqrt(tap.square().sum(1, keepdim=True) + 1e-10))
        return taps

    def _distance(self, a: Float[Tensor, "b 3 h w"], b: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
        with torch.no_grad():
            wanted = self._features(b)
        pairs = zip(self._features(a), wanted, self._linear)
        return torch.stack([(w * (x - y).square()).sum(1).mean((1, 2)) for x, y, w in pairs]).sum(0)

    def distance(self, a: Float[Tensor, "b 3 h w"], b: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
        """LPIPS of pictures in 0..1."""
        self._need(a.device)
        return self._compare(a, b)

    def _need(self, device: torch.device) -> None:
        if self._layers is None or self._linear[0].device != device:
            self._load(device)

    def _mean_distance_of(self, a: Tensor, b: Tensor) -> Float[Tensor, ""]:
        return self._compare(a, b).mean()

    def __call__(self, rendered: Tensor, target: Tensor, boxes: Tensor, background: Tensor) -> Float[Tensor, ""]:
        self._need(rendered.device)
        boxes = upload(boxes, rendered.device)
        pictures = [v.to(self._dtype) for v in (rendered, target)]
        crops = square_crops(pictures, boxes, background.to(self._dtype), LPIPS_SIDE, self._weights)
        return self._mean_distance(*crops)


def make_perceptual(
    name: Literal["lpips-vgg", "ssim", "none"],
    fallback: Literal["ssim", "none", "error"] = "ssim",
    download: bool = False,
    fast: bool = False,
) -> Perceptual:
    """The perceptual term by name; prints once if another one had to stand in.

    `fallback` is what replaces "lpips-vgg" where its weights are absent ("error" raises
    `PerceptualWeightsMissingError`); they are downloaded only if `download` says so. `fast`: see `LpipsPerceptual`.
    """
    simple = {"ssim": SsimPerceptual, "none": NoPerceptual}
    if name != "lpips-vgg":
        return simple[name]()
    try:
        return LpipsPerceptual(download, fast)
    except PerceptualWeightsMissingError as missing:
        if fallback == "error":
            raise
        rich.print(f"Perceptual term: '{fallback}' stands in for 'lpips-vgg'. {missing}")
        return simple[fallback]()

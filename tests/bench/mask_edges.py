"""What the mask term and the edge band do to holes, leaks and floaters, with true masks and with automatic ones.

Avatars of one size, seed and budget on one generated capture. "automatic": the training pictures' masks are hard, their
edges wander by up to `WANDER_PX` either way and lie a pixel outside (so that studio wall comes with them), and in every
`BLOB_EVERY`-th picture a disc is missing or too much. Every figure is against the true masks, in held-out cameras: of
trained poses (view), of poses between them (near) and of another motion (far).

    python -m tests.bench.mask_edges --size small --masks true automatic                    # a CPU
    python -m tests.bench.mask_edges --size full --masks automatic                          # a GPU
"""

import argparse
import time
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from nerfstudio_mobavatar.demo.in_memory import CutPicture, InMemoryCapture
from tests.bench import common
from tests.bench import quality_train as q
from tests.bench.quality_capture import draw_capture, validation_of
from tests.bench.quality_rows import CaptureSpec, ModelSpec, Row, Schedule

FREE = Schedule(pose_rate=2, decay="cosine")
"""As `mobavatar-fast`: no L1 terms, twice the rates of what answers to the pose."""
SIZES = {
    "small": Row(CaptureSpec(20, 5, 4, 5, 256), ModelSpec(gaussians=8_000, nodes=1_000), 30),
    "full": Row(CaptureSpec(300, 5, 32, 12, 768), ModelSpec(gaussians=100_000, nodes=6_000), 1_500),
}
VARIANTS: dict[str, dict[str, float]] = {
    "plain": {},
    "mask_term_0.1": {"mask_weight": 0.1},
    "band_2px": {"edge_band_px": 2},
    "band_2px_mask_term_0.1": {"mask_weight": 0.1, "edge_band_px": 2},
    "mask_term_0.5": {"mask_weight": 0.5},
    "band_4px": {"edge_band_px": 4},
}
WANDER_PX, WAVELENGTH_PX = 3.0, 24
"""At pictures of 768 px: 8 px at 2,048."""
BLOB_EVERY, BLOB_SHARE = 5, 0.03
"""Radius of a disc as a share of the picture's side."""
FIGURES = ("psnr_crop", "coverage", "holes", "leak", "floaters")


def automatic(mask: Tensor, number: int, side: int) -> Tensor:
    """[h, w] uint8: the mask as a matting network might give it. Drawn by the picture's `number`."""
    generator = torch.Generator().manual_seed(number)
    height, width = mask.shape
    cells = (height // WAVELENGTH_PX + 2, width // WAVELENGTH_PX + 2)
    shift = WANDER_PX * side / 768 * (2 * torch.rand(1, 2, *cells, generator=generator) - 1)
    shift = F.interpolate(shift.to(mask.device), (height, width), mode="bicubic")[0].permute(1, 2, 0)
    y, x = torch.meshgrid(*(torch.arange(n, device=mask.device) + 0.5 for n in (height, width)), indexing="ij")
    at = torch.stack([x, y], -1)
    size = shift.new_tensor([width, height])
    image = F.max_pool2d(mask[None, None].float() / 255, 3, 1, 1)
    found = F.grid_sample(image, (2 * (at + shift) / size - 1)[None], align_corners=False)[0, 0] > 0.5
    if number % BLOB_EVERY == 0:
        center = torch.rand(2, generator=generator).to(mask.device) * size
        disc = (at - center).norm(dim=-1) < BLOB_SHARE * side
        found = found ^ disc
    return 255 * found.byte()


def with_automatic_masks(capture: InMemoryCapture) -> InMemoryCapture:
    """The same pictures with other mattes."""
    cameras = len(capture.K)

    def changed(picture: CutPicture, number: int) -> CutPicture:
        rgb, mask = picture.rgba[..., :3], picture.rgba[..., 3]
        return CutPicture(picture.box, torch.cat([rgb, automatic(mask, number, capture.height)[..., None]], -1))

    pictures = [
        [changed(picture, t * cameras + k) for k, picture in enumerate(row)] for t, row in enumerate(capture.pictures)
    ]
    return replace(capture, pictures=pictures)


def mask_iou(a: InMemoryCapture, b: InMemoryCapture) -> float:
    """Mean overlap of both captures' masks, intersection over union."""
    every = []
    for one, other in zip(a.pictures, b.pictures):
        for x, y in zip(one, other):
            p, r = x.rgba[..., 3] > 127, y.rgba[..., 3] > 127
            every.append((p & r).sum() / (p | r).sum())
    return float(torch.stack(every).mean())


def measure(row: Row, trained: InMemoryCapture, truth: InMemoryCapture, device: str) -> dict[str, float]:
    """Train on one capture, look at the other."""
    state = q.start(row, trained, device)
    q.train(state, row, trained, row.steps, device)
    held, result = validation_of(row.capture, truth), {}
    for where in ("view", "near", "far"):
        figures = q.evaluate(state.avatar, row, held, where)
        for name in FIGURES:
            decibel = name.startswith("psnr")
            key = f"{where}_{name}_db" if decibel else f"{where}_{name}"
            result[key] = round(figures[name], 3 if decibel else 6)
    return result | {"train_s": round(state.seconds, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=tuple(SIZES), default="small")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--masks", nargs="+", choices=("true", "automatic"), default=["true", "automatic"])
    parser.add_argument("--variants", nargs="+", choices=tuple(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--limit-s", type=float, default=1e9, help="start no further avatar after so many seconds")
    a = parser.parse_args()
    began, plain = time.perf_counter(), SIZES[a.size]
    truth = draw_capture(plain.capture, a.device)
    for masks in a.masks:
        trained = truth if masks == "true" else with_automatic_masks(truth)
        about = {
            "device": common.device_name(a.device), "command": common.command_line(), "steps": plain.steps,
            "frames": plain.capture.frames, "side_px": plain.capture.side, "gaussians": plain.model.gaussians,
            "masks_iou": round(mask_iou(trained, truth), 4),
        }  # fmt: skip
        for name in a.variants:
            if time.perf_counter() - began > a.limit_s:
                break
            model = replace(plain.model, sparsity=False, mlp_rate=1e-3, **VARIANTS[name])
            about[name] = measure(replace(plain, model=model, schedule=FREE), trained, truth, a.device)
            common.write("mask_edges", {f"{a.size}_{masks}": about})


if __name__ == "__main__":
    main()

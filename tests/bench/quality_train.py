"""Trains one row of the quality benchmark: the product's avatar, rasteriser, losses, rates and pruning in a bare loop.

A row's trunk (everything up to pruning) is shared by all rows that differ in pruning only.
"""

import copy
import io
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nerfstudio_mobavatar import losses, metrics
from nerfstudio_mobavatar.avatar import Avatar, AvatarConfig, Layout, make_layout
from nerfstudio_mobavatar.blendshapes import ATTRIBUTES
from nerfstudio_mobavatar.body_model import load_body
from nerfstudio_mobavatar.configs import RATES
from nerfstudio_mobavatar.demo.capture import DemoData
from nerfstudio_mobavatar.demo.folds import Folds
from nerfstudio_mobavatar.demo.in_memory import InMemoryCapture, render_in_memory
from nerfstudio_mobavatar.demo.motion import Motion, procedural_motion
from nerfstudio_mobavatar.demo.shading import Lighting
from nerfstudio_mobavatar.features import NUM_INPUTS, NUM_POSE_INPUTS, pose_inputs
from nerfstudio_mobavatar.model import LossConfig, MobavatarModelConfig
from nerfstudio_mobavatar.pruning import (
    CorrectiveStatistics,
    PruningConfig,
    bytes_each,
    corrective_statistics,
    prune,
)
from nerfstudio_mobavatar.pruning_scores import Probe, image_statistics, picture_error
from nerfstudio_mobavatar.render import Backend, rasterize, resolve_backend
from nerfstudio_mobavatar.template import make_template

Features = Literal["local", "global16", "global64", "none"]
BLOCK, HELD = 20, 3
"""Of every 20 frames the last 3 are held out: near poses, inside the trained motion."""
FAR_SCALE = 1.25
"""Far poses: another motion (next seed), every angle a quarter larger."""
HELD_CAMERAS = (3, 8)
CAMERAS_PER_STEP = 4
CROP_MARGIN = 16


@dataclass(frozen=True)
class CaptureSpec:
    """Which pictures. The defaults are the headline point, fixed before anything was measured."""

    frames: int = 1200
    """Of the procedural motion; 17 of 20 are trained on, so 1,020."""
    frame_step: int = 5
    """At 30 fps: 200 s of motion."""
    far_frames: int = 48
    cameras: int = 12
    side: int = 1024
    lighting: Lighting = "dome"
    folds: Folds = "plain"


@dataclass(frozen=True)
class ModelSpec:
    """Which avatar and which regularisation."""

    features: Features = "local"
    gaussians: int = 200_000
    nodes: int = 10_000
    sparsity: bool = True
    mlp_rate: float = 0.0
    """0: the product's own."""
    input_noise: float = 0.0
    """Radians added to every pose input in training."""
    input_reach: int = 0
    """Each part's network sees only joints so many bones from those it follows; 0: all."""
    weight_decay: float = 0.0
    """Of the part networks (decoupled)."""


@dataclass(frozen=True)
class Row:
    """One line of the table and seed."""

    capture: CaptureSpec = field(default_factory=CaptureSpec)
    model: ModelSpec = field(default_factory=ModelSpec)
    steps: int = 4500
    pruning: str = "none"
    """"none", "top-N" per cent pruned for each attribute ("top-90"), "+nofold", "bytes-90": score "image" and as many
    bytes as top-90, "bytesvar-90": the same bytes by variance."""
    seed: int = 0

    def trunk(self) -> "Row":
        return replace(self, pruning="")


def far_motion(spec: CaptureSpec) -> Motion:
    """Poses outside the trained motion: another seed, larger angles."""
    other = procedural_motion(spec.far_frames, 37, seed=1)
    pose = other.pose.copy()
    pose[:, 1:22] *= FAR_SCALE
    return Motion(pose, other.transl, other.expression)


def draw_capture(spec: CaptureSpec, device: str) -> InMemoryCapture:
    """Trained, near and far frames in this order."""
    trained, far = procedural_motion(spec.frames, spec.frame_step, 0), far_motion(spec)
    motion = Motion(*(np.concatenate(x) for x in zip((trained.pose, trained.transl, trained.expression),
                                                     (far.pose, far.transl, far.expression))))  # fmt: skip
    demo = DemoData(
        output=None,  # pyright: ignore[reportArgumentType]
        cameras=spec.cameras, width=spec.side, height=spec.side, lighting=spec.lighting, folds=spec.folds,
    )  # fmt: skip
    return render_in_memory(demo.recipe_of(motion, device))


def frames_of(spec: CaptureSpec) -> dict[str, list[int]]:
    """ "train", "view" (a part of them, for held-out cameras), "near", "far"."""
    train = [i for i in range(spec.frames) if i % BLOCK < BLOCK - HELD]
    near = [i for i in range(spec.frames) if i % BLOCK == BLOCK - 2]
    far = list(range(spec.frames, spec.frames + spec.far_frames))

    def some(rows: list[int], count: int = 32) -> list[int]:
        return rows[:: max(1, len(rows) // count)][:count]

    return {"train": train, "view": some(train), "near": some(near), "far": some(far)}


def cameras_of(spec: CaptureSpec) -> tuple[list[int], list[int]]:
    """Trained on, and held out."""
    held = [k for k in HELD_CAMERAS if k < spec.cameras]
    return [k for k in range(spec.cameras) if k not in held], held


def global_width(basis_size: int, local: AvatarConfig) -> int:
    """Hidden width of one network with as many parameters as all the parts' networks together."""

    def count(parts: int, widths: tuple[int, ...], outputs: int) -> int:
        sizes = (NUM_INPUTS, *widths, outputs)
        return parts * sum(a * b + b for a, b in zip(sizes[:-1], sizes[1:]))

    wanted = count(local.num_parts, local.hidden_widths, 2 * local.basis_size)
    return max(range(8, 2000), key=lambda h: -abs(count(1, (h,) * 3, 2 * basis_size) - wanted))


def make_avatar(spec: ModelSpec, betas: Tensor, seed: int, device: str) -> Avatar:
    """Global features are one part whose network sees everything, the expression too."""
    reach = spec.input_reach if spec.input_reach else None
    config = AvatarConfig(num_gaussians=spec.gaussians, num_nodes=spec.nodes, seed=seed, input_reach=reach)
    if spec.features.startswith("global"):
        size = int(spec.features.removeprefix("global"))
        width = global_width(size, config)
        config = replace(config, num_parts=1, basis_size=size, hidden_widths=(width, width, width))
    body = load_body()
    layout: Layout = make_layout(make_template(body, betas.cpu()), tuple(body.parents), config)
    if config.num_parts == 1:
        layout = replace(layout, num_head_parts=1)
    avatar = Avatar(config, layout).to(device)
    return avatar


@dataclass
class Training:
    """State of a run, copied where pruning branches off."""

    avatar: Avatar
    optimizer: torch.optim.Adam
    inputs: Tensor
    """[t, 73] of the networks, of every frame."""
    seconds: float = 0.0


def start(row: Row, capture: InMemoryCapture, device: str) -> Training:
    avatar = make_avatar(row.model, capture.betas, row.seed, device)
    rates = RATES | ({"mlp": row.model.mlp_rate} if row.model.mlp_rate else {})
    groups = [
        {"params": params, "lr": rates[name], "initial": rates[name], "final": 0.01 if name.startswith("node") else 0.1}
        for name, params in avatar.parameter_groups().items()
    ]
    return Training(avatar, torch.optim.Adam(groups, eps=1e-15, fused=True), inputs_of(capture))


def inputs_of(capture: InMemoryCapture) -> Tensor:
    """[t, 73] of the networks."""
    return torch.stack([pose_inputs(p, e) for p, e in zip(capture.pose, capture.expression)])


def synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def train(state: Training, row: Row, capture: InMemoryCapture, first: int, last: int, device: str) -> None:
    """Steps `first` .. `last - 1` of `row.steps`; pictures are drawn by step and seed alone."""
    avatar, optimizer = state.avatar.train(), state.optimizer
    backend = resolve_backend("auto", device)
    config, weights = MobavatarModelConfig(), LossConfig()
    rows, (cameras, _) = frames_of(row.capture)["train"], cameras_of(row.capture)
    neighbours = avatar.get_buffer("node_neighbours")
    # drawn beforehand: a copy to the GPU in every step would make the host wait for it
    backgrounds = torch.rand(row.steps, 3, generator=torch.Generator().manual_seed(row.seed)).to(device)
    synchronize(device)
    began = time.perf_counter()
    for step in range(first, last):
        rng = np.random.default_rng((row.seed, step))
        frame = rows[int(rng.integers(len(rows)))]
        chosen = [int(k) for k in rng.permutation(cameras)[:CAMERAS_PER_STEP]]
        for group in optimizer.param_groups:
            group["lr"] = group["initial"] * group["final"] ** (step / row.steps)
        rgb, target, posed = draw_step(
            state, capture, frame, chosen, backgrounds[step], backend,
            row.model.features != "none" and step >= config.warmup_fraction * row.steps,
            row.model.input_noise,
        )  # fmt: skip
        loss = (rgb - target).abs().mean()
        if step >= config.perceptual_fraction * row.steps:
            loss = loss + weights.perceptual_weight * (1 - losses.ssim(rgb, target))
        loss = loss + weights.scale_weight * losses.scale_penalty(posed.scales, weights.scale_threshold_m)
        loss = loss + weights.smoothness_weight * losses.node_smoothness(posed.node_displacement, neighbours)
        if posed.correctives and row.model.sparsity and not avatar.is_pruned:
            loss = loss + losses.corrective_sparsity(
                *(posed.correctives[name] for name in ATTRIBUTES),
                weights.rotation_sparsity, weights.log_scale_sparsity, weights.color_sparsity,
            )  # fmt: skip
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if row.model.weight_decay:
            with torch.no_grad():
                for w in avatar.mlp_weights:
                    w.mul_(1 - row.model.weight_decay)
        optimizer.step()
    synchronize(device)
    state.seconds += time.perf_counter() - began


def draw_step(
    state: Training,
    capture: InMemoryCapture,
    frame: int,
    cameras: list[int],
    background: Tensor,
    backend: Backend,
    use_correctives: bool,
    noise: float,
) -> tuple[Tensor, Tensor, Any]:
    """The crop that holds the person in all cameras: rendering, target, and the posed avatar."""
    inputs = state.inputs[frame]
    if noise:
        inputs = inputs.clone()
        inputs[:NUM_POSE_INPUTS] += noise * torch.randn_like(inputs[:NUM_POSE_INPUTS])
    pose = (capture.pose[frame], capture.transl[frame], capture.expression[frame])
    posed = state.avatar(*pose, use_correctives, inputs)
    box = capture.box(frame, cameras)
    y0, x0 = max(box.y0 - CROP_MARGIN, 0), max(box.x0 - CROP_MARGIN, 0)
    y1, x1 = min(box.y1 + CROP_MARGIN, capture.height), min(box.x1 + CROP_MARGIN, capture.width)
    K, T = (torch.stack([x[k] for k in cameras]) for x in (capture.K, capture.T_cam_world))
    K[:, 0, 2] -= x0
    K[:, 1, 2] -= y0
    drawn = rasterize(posed.gaussians, T, K, x1 - x0, y1 - y0, background, backend)
    image, matte = capture.pixels(frame, cameras)
    target = losses.composite(image[:, y0:y1, x0:x1], matte[:, y0:y1, x0:x1], background)
    return drawn.rgb, target, posed


def training_poses(row: Row, capture: InMemoryCapture) -> list[tuple[Tensor, Tensor]]:
    return [(capture.pose[i], capture.expression[i]) for i in frames_of(row.capture)["train"]]


class Probes(Sequence[Probe]):
    """Training pictures over the whole motion and all trained cameras, made when they are asked for."""

    def __init__(self, row: Row, capture: InMemoryCapture, count: int):
        rows, cameras = frames_of(row.capture)["train"], cameras_of(row.capture)[0]
        rows = rows[:: max(1, len(rows) // count)][:count]
        self.which = [(f, cameras[7 * i % len(cameras)]) for i, f in enumerate(rows)]
        self.capture = capture

    def __len__(self) -> int:
        return len(self.which)

    def __getitem__(self, i: int) -> Probe:  # pyright: ignore[reportIncompatibleMethodOverride]
        c, (frame, camera) = self.capture, self.which[i]  # an IndexError ends iteration
        image, matte = c.pixels(frame, [camera])
        return Probe(
            c.pose[frame], c.transl[frame], c.expression[frame], c.T_cam_world[[camera]], c.K[[camera]],
            image[0], matte[0],
        )  # fmt: skip


def kept_bytes(avatar: Avatar) -> int:
    return sum(len(avatar.index(name)) * bytes_each(name, avatar.config.basis_size) for name in ATTRIBUTES)


def prune_branch(
    state: Training, row: Row, capture: InMemoryCapture, statistics: dict[str, CorrectiveStatistics]
) -> dict[str, Any]:
    """Prune as the row says, in place; what it kept."""
    avatar, n, k = state.avatar, row.model.gaussians, state.avatar.config.basis_size
    kind, _, percent = row.pruning.removesuffix("+nofold").partition("-")
    fold, backend = not row.pruning.endswith("+nofold"), resolve_backend("auto", avatar.color.device)
    keep = n if kind == "none" else round(n * (1 - int(percent) / 100))
    config = PruningConfig(keep_count=keep, fold_mean=fold)
    probes = Probes(row, capture, config.image_probes)
    before = picture_error(avatar, probes, backend)
    if kind.startswith("bytes"):
        limit = keep * sum(bytes_each(name, k) for name in ATTRIBUTES)
        config = replace(config, keep_count=None, file_bytes=limit, score="variance" if kind == "bytesvar" else "image")
    if config.score == "image":
        statistics = image_statistics(avatar, statistics, probes, fold, backend)
    report = prune(avatar, statistics, config, [state.optimizer], file_bytes=kept_bytes)
    loss = 10 * math.log10(picture_error(avatar, probes, backend) / before)
    return {"kept": report.kept, "share": report.share, "kept_bytes": kept_bytes(avatar), "loss_before_tuning_db": loss}


@torch.no_grad()
def evaluate(
    avatar: Avatar, row: Row, capture: InMemoryCapture, which: str, clamp: tuple[Tensor, Tensor] | None = None
) -> dict[str, float]:
    """Means over the held-out cameras of the frames `which`, by the function that `ns-eval` uses; the networks' inputs
    as they are, or clamped to a range."""
    backend, white = resolve_backend("auto", avatar.color.device), torch.ones(3, device=avatar.color.device)
    avatar.eval()
    values: list[dict[str, float]] = []
    held = cameras_of(row.capture)[1]
    for frame in frames_of(row.capture)[which]:
        pose = (capture.pose[frame], capture.transl[frame], capture.expression[frame])
        inputs = pose_inputs(pose[0], pose[2])
        if clamp is not None:
            inputs = torch.minimum(torch.maximum(inputs, clamp[0]), clamp[1])
        posed = avatar(*pose, row.model.features != "none", inputs)
        T, K = capture.T_cam_world[held], capture.K[held]
        pictures = rasterize(posed.gaussians, T, K, capture.width, capture.height, white, backend).rgb
        images, mattes = capture.pixels(frame, held)
        values += [metrics.image_metrics(p, i, m) for p, i, m in zip(pictures, images, mattes)]
    return {name: float(np.mean([v[name] for v in values])) for name in values[0]}


@torch.no_grad()
def strip(avatar: Avatar, row: Row, capture: InMemoryCapture, height: int = 224) -> bytes:
    """JPEG: one held-out view, a near and a far pose, person's crop."""
    backend, white, tiles = resolve_backend("auto", avatar.color.device), avatar.color.new_ones(3), []
    avatar.eval()
    for which in ("view", "near", "far"):
        frames = frames_of(row.capture)[which]
        frame = frames[len(frames) // 2]
        camera = cameras_of(row.capture)[1][:1]
        posed = avatar(
            capture.pose[frame], capture.transl[frame], capture.expression[frame], row.model.features != "none"
        )
        T, K = capture.T_cam_world[camera], capture.K[camera]
        picture = rasterize(posed.gaussians, T, K, capture.width, capture.height, white, backend).rgb[0]
        tiles.append(tile(picture, capture, frame, camera[0], height))
    return jpeg(np.concatenate(tiles, 1))


def tile(picture: Tensor, capture: InMemoryCapture, frame: int, camera: int, height: int) -> np.ndarray:
    """The upper body around the person's box, `height` square."""
    box = capture.pictures[frame][camera].box
    side = min((box.y1 - box.y0) * 6 // 10, capture.width)
    x0 = min(max((box.x0 + box.x1 - side) // 2, 0), capture.width - side)
    cut = picture[box.y0 : box.y0 + side, x0 : x0 + side].clamp(0, 1).mul(255).byte().cpu().numpy()
    return np.asarray(Image.fromarray(cut).resize((height, height), Image.Resampling.LANCZOS))


def jpeg(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=85)
    return out.getvalue()


def limits(row: Row, capture: InMemoryCapture) -> tuple[Tensor, Tensor]:
    """Range of every pose input in the trained frames."""
    inputs = inputs_of(capture)[frames_of(row.capture)["train"]]
    return inputs.amin(0), inputs.amax(0)


def branch(state: Training) -> Training:
    """A copy whose optimiser holds the copy's parameters."""
    avatar, optimizer = copy.deepcopy((state.avatar, state.optimizer))
    return Training(avatar, optimizer, state.inputs, state.seconds)


def prune_step(row: Row) -> int:
    return round(MobavatarModelConfig().prune_fraction * row.steps)


def finish(
    state: Training, row: Row, capture: InMemoryCapture, statistics: dict[str, CorrectiveStatistics], device: str
) -> tuple[dict[str, Any], bytes]:
    """Prune, tune, evaluate: the row's figures and its picture."""
    result: dict[str, Any] = {}
    if row.model.features != "none":
        result |= prune_branch(state, row, capture, statistics)
    train(state, row, capture, prune_step(row), row.steps, device)
    for which in ("view", "near", "far"):
        result |= {f"{which}_{name}": value for name, value in evaluate(state.avatar, row, capture, which).items()}
    clamped = evaluate(state.avatar, row, capture, "far", limits(row, capture))
    result |= {f"far_clamped_{k}": v for k, v in clamped.items()}
    result |= {"train_s": state.seconds, "step_ms": 1000 * state.seconds / row.steps}
    return result, strip(state.avatar, row, capture)


def statistics_of(state: Training, row: Row, capture: InMemoryCapture) -> dict[str, CorrectiveStatistics]:
    return corrective_statistics(state.avatar, training_poses(row, capture))

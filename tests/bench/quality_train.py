"""Trains one row of the quality benchmark: the product's avatar, rasteriser, losses, rates and pruning in a bare loop.

A row's trunk (everything up to pruning) is shared by all rows that differ in pruning only.
"""

import copy
import io
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nerfstudio_mobavatar import losses, metrics
from nerfstudio_mobavatar.avatar import Avatar, AvatarConfig, Layout, make_layout
from nerfstudio_mobavatar.blendshapes import ATTRIBUTES
from nerfstudio_mobavatar.body_model import load_body
from nerfstudio_mobavatar.configs import RATES
from nerfstudio_mobavatar.demo.in_memory import InMemoryCapture
from nerfstudio_mobavatar.device import compiled, resolve_compile
from nerfstudio_mobavatar.features import NUM_INPUTS, NUM_POSE_INPUTS, pose_inputs
from nerfstudio_mobavatar.fewer_features import keep_features, room_left
from nerfstudio_mobavatar.model import LossConfig, MobavatarModelConfig
from nerfstudio_mobavatar.ns_export_hook import avatar_file_bytes
from nerfstudio_mobavatar.optim import decayed
from nerfstudio_mobavatar.pruning import (
    PruningConfig,
    corrective_bytes,
    corrective_statistics,
    features_of,
    prune,
)
from nerfstudio_mobavatar.pruning_scores import Probe, image_statistics, picture_error, sensitivities
from nerfstudio_mobavatar.render import Backend, Rendered, rasterize, resolve_backend
from nerfstudio_mobavatar.template import make_template
from tests.bench.quality_capture import HeldOut, validation_of
from tests.bench.quality_rows import ModelSpec, Row, cameras_of, frames_of

CROP_MARGIN = 16
POSE_GROUPS = ("bases", "node_basis", "mlp")
"""Parameters that answer to the pose."""
PLAIN_MLP_RATE = 5e-4
"""Of rows that name none, the product's when the first rows were trained."""
COSINE_END = 0.02
"""Of the initial rates, at the end of a cosine decay."""


PLAIN_MODEL, PLAIN_LOSSES = MobavatarModelConfig(), LossConfig()


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
    plain = AvatarConfig()
    config = replace(
        plain, num_gaussians=spec.gaussians, num_nodes=spec.nodes, seed=seed, input_reach=reach,
        num_parts=spec.parts or plain.num_parts, basis_size=spec.basis_size or plain.basis_size,
    )  # fmt: skip
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
    frames: tuple[Tensor, Tensor]
    """Of every frame, inputs of the networks [t, 73] and joint transforms [t, 55, 3, 4]: training changes neither."""
    seconds: float = 0.0
    step: int = 0
    """Next one."""
    curve: list[tuple[int, float, float]] = field(default_factory=list)
    """Step, seconds of training, crop PSNR of views."""
    note: Callable[[list[tuple[int, float, float]]], None] = lambda _: None
    """Told of every new point of the curve."""


@cache
def backend_of(device: str) -> Backend:
    """Asked for once: looking for packages takes longer than drawing."""
    return resolve_backend("auto", device)


def start(row: Row, capture: InMemoryCapture, device: str) -> Training:
    avatar = make_avatar(row.model, capture.betas, row.seed, device)
    if resolve_compile("auto", device):
        avatar.compile_decode()
    frames = inputs_of(capture), avatar.joint_transforms(capture.pose, capture.transl)
    rates = RATES | {"mlp": row.model.mlp_rate or PLAIN_MLP_RATE}
    schedule = row.schedule
    groups = []
    for name, params in avatar.parameter_groups().items():
        rate = rates[name] * (schedule.pose_rate if name in POSE_GROUPS else schedule.static_rate)
        groups.append(
            {"params": params, "lr": rate, "initial": rate, "final": 0.01 if name.startswith("node") else 0.1}
        )
    state = Training(avatar, torch.optim.Adam(groups, eps=1e-15, fused=True), frames)
    warm_up(state, row, capture, device)
    return state


def inputs_of(capture: InMemoryCapture) -> Tensor:
    """[t, 73] of the networks."""
    return torch.stack([pose_inputs(p, e) for p, e in zip(capture.pose, capture.expression)])


def warm_up(state: Training, row: Row, capture: InMemoryCapture, device: str) -> None:
    """Compile what this avatar's steps call, outside of the seconds that count."""
    state.avatar.train()
    for step in (0, row.steps // 2, row.steps // 2 + 1, row.steps - 1):
        loss_of(state, row, capture, step, torch.ones(3, device=device)).backward()
    state.optimizer.zero_grad(set_to_none=True)


def synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def train(state: Training, row: Row, capture: InMemoryCapture, last: int, device: str) -> None:
    """From the state's step to `last - 1` of `row.steps`; pictures are drawn by step and seed alone."""
    # drawn beforehand: a copy to the GPU in every step would make the host wait for it
    backgrounds = torch.rand(row.steps, 3, generator=torch.Generator().manual_seed(row.seed)).to(device)
    every = row.schedule.curve_every or row.steps
    while state.step < last:
        end = min(last, (state.step // every + 1) * every)
        synchronize(device)
        began = time.perf_counter()
        state.avatar.train()
        for step in range(state.step, end):
            train_step(state, row, capture, step, backgrounds[step])
        synchronize(device)
        state.seconds += time.perf_counter() - began
        state.step = end
        if end % every == 0 and end < row.steps:
            shown = evaluate(state.avatar, row, validation_of(row.capture, capture), "view")
            state.curve.append((end, state.seconds, shown["psnr_crop"]))
            state.note(state.curve)


@cache
def loss_terms(device: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`losses.photometric` and `losses.regularisers`, compiled where the product's are."""
    fast = resolve_compile("auto", device)
    return compiled(losses.photometric, fast, dynamic=True), compiled(losses.regularisers, fast)


def train_step(state: Training, row: Row, capture: InMemoryCapture, step: int, background: Tensor) -> None:
    avatar, optimizer, schedule = state.avatar, state.optimizer, row.schedule
    tuned = schedule.tune_rate if avatar.is_pruned else 1.0
    for group in optimizer.param_groups:
        final = COSINE_END if schedule.decay == "cosine" else group["final"]
        group["lr"] = tuned * group["initial"] * decayed(schedule.decay, final, step / row.steps)
    optimizer.zero_grad(set_to_none=True)
    loss_of(state, row, capture, step, background).backward()
    if row.model.weight_decay:
        with torch.no_grad():
            for w in avatar.mlp_weights:
                w.mul_(1 - row.model.weight_decay)
    optimizer.step()


def loss_of(state: Training, row: Row, capture: InMemoryCapture, step: int, background: Tensor) -> Tensor:
    """Of the pictures that seed and step choose."""
    avatar, schedule, config, weights = state.avatar, row.schedule, PLAIN_MODEL, PLAIN_LOSSES
    rng = np.random.default_rng((row.seed, step))
    rows, (cameras, _) = frames_of(row.capture)["train"], cameras_of(row.capture)
    frame = rows[int(rng.integers(len(rows)))]
    chosen = [int(k) for k in rng.permutation(cameras)[: schedule.cameras]]
    warm_up = schedule.warm_up or config.warmup_fraction
    use_correctives = row.model.features != "none" and step >= warm_up * row.steps
    coarse = step < schedule.coarse_until * row.steps
    drawn, image, matte, posed = draw_step(
        state, capture, frame, chosen, background, use_correctives, row.model.input_noise, coarse
    )
    photometric, regularisers = loss_terms(background.device.type)
    loss, _, target = photometric(drawn.rgb, image, matte, background, row.model.edge_band_px)
    if step >= config.perceptual_fraction * row.steps:
        loss = loss + weights.perceptual_weight * (1 - losses.ssim(drawn.rgb, target))
    if row.model.mask_weight:
        loss = loss + row.model.mask_weight * losses.mask_l1(drawn.alpha, matte, row.model.edge_band_px)
    sparse = row.model.sparsity and step >= schedule.sparsity_from * row.steps
    sparse = sparse and bool(posed.correctives) and not avatar.is_pruned
    scale, smooth, *sparsity = regularisers(
        posed.scales,
        weights.scale_threshold_m,
        posed.node_displacement,
        avatar.get_buffer("node_neighbours"),
        tuple(posed.correctives[name] for name in ATTRIBUTES) if sparse else None,
        (weights.rotation_sparsity, weights.log_scale_sparsity, weights.color_sparsity),
    )
    loss = loss + weights.scale_weight * scale + weights.smoothness_weight * smooth
    return loss + sparsity[0] if sparse else loss


def draw_step(
    state: Training,
    capture: InMemoryCapture,
    frame: int,
    cameras: list[int],
    background: Tensor,
    use_correctives: bool,
    noise: float,
    coarse: bool = False,
) -> tuple[Rendered, Tensor, Tensor, Any]:
    """The crop that holds the person in all cameras: rendering, picture, matte, and the posed avatar."""
    backend = backend_of(background.device.type)
    inputs, G = (table[frame] for table in state.frames)
    if noise:
        inputs = inputs.clone()
        inputs[:NUM_POSE_INPUTS] += noise * torch.randn_like(inputs[:NUM_POSE_INPUTS])
    posed = state.avatar.decode(inputs, G, use_correctives)
    box = capture.box(frame, cameras)
    y0, x0 = max(box.y0 - CROP_MARGIN, 0), max(box.x0 - CROP_MARGIN, 0)
    y1, x1 = min(box.y1 + CROP_MARGIN, capture.height), min(box.x1 + CROP_MARGIN, capture.width)
    K, T = (torch.stack([x[k] for k in cameras]) for x in (capture.K, capture.T_cam_world))
    K[:, 0, 2] -= x0
    K[:, 1, 2] -= y0
    image, matte = (x[:, y0:y1, x0:x1] for x in capture.pixels(frame, cameras))
    if coarse:
        image, matte = halved(image, matte)
        K[:, :2] /= 2
    drawn = rasterize(posed.gaussians, T, K, matte.shape[2], matte.shape[1], background, backend, with_depth=False)
    return drawn, image, matte, posed


def halved(image: Tensor, matte: Tensor) -> tuple[Tensor, Tensor]:
    """Means of two by two pixels [b, h, w, .] of bytes, colours weighed by the matte; an odd last row or column is left
    out."""

    def mean(x: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(x.movedim(3, 1), 2).movedim(1, 3)

    share = matte / 255
    less = mean(share)
    return (mean(image * share) / less.clamp_min(1e-6)).round().byte(), (255 * less).round().byte()


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
    return sum(int(each.sum()) for each in corrective_bytes(avatar).values())


def prune_branch(state: Training, row: Row, capture: InMemoryCapture, part: int) -> dict[str, Any]:
    """Prune as the row says, in place, `part` of its rounds being over; what it kept."""
    avatar, n = state.avatar, row.model.gaussians
    kind, _, percent = row.pruning.removesuffix("+nofold").partition("-")
    fold, backend = not row.pruning.endswith("+nofold"), resolve_backend("auto", avatar.color.device)
    keep = n if kind == "none" else round(n * (1 - float(percent) / 100) ** ((part + 1) / row.schedule.rounds))
    config = PruningConfig(keep_count=keep, fold_mean=fold, score="image" if kind in ("bytes", "file") else "variance")
    probes = Probes(row, capture, row.schedule.probes or config.image_probes)
    before = picture_error(avatar, probes, backend)
    left, optimizers, k = row.schedule.keep_features, [state.optimizer], avatar.config.basis_size
    room = config.room(left or k)
    assert room is not None  # the budget is a count
    if left and part == 0:
        by_part, poses = row.schedule.by_part, training_poses(row, capture)
        keep_features(avatar, left, poses, sensitivities(avatar, probes, backend), optimizers, (), by_part, keep / n)
        room = room_left(room, avatar, left, by_part)
    if kind == "bytesvar":
        config = replace(config, keep_count=None, file_bytes=room)
    statistics = corrective_statistics(avatar, training_poses(row, capture))
    if kind == "file":
        paper = copy.deepcopy(avatar).eval()
        prune(paper, statistics, replace(config, score="variance"))
        config = replace(config, keep_count=None, file_bytes=avatar_file_bytes(paper))
    if config.score == "image":
        statistics = image_statistics(avatar, statistics, probes, fold, backend)
    measure = avatar_file_bytes if kind == "file" else kept_bytes
    budget = room if config.keep_count is not None else None
    report = prune(avatar, statistics, config, optimizers, file_bytes=measure, room=budget)
    loss = 10 * math.log10(picture_error(avatar, probes, backend) / before)
    figures = {"kept_bytes": kept_bytes(avatar), "loss_before_tuning_db": loss}
    widths = [sorted(each.tolist()) for each in features_of(avatar)] if row.schedule.by_part else None
    return {"kept": report.kept, "share": report.share, "features": widths} | figures


@torch.no_grad()
def evaluate(
    avatar: Avatar, row: Row, held: HeldOut, which: str, clamp: tuple[Tensor, Tensor] | None = None
) -> dict[str, float]:
    """Means over the cameras and the frames `which` of what was held out, by the function that `ns-eval` uses; the
    networks' inputs as they are, or clamped to a range."""
    backend, white = resolve_backend("auto", avatar.color.device), torch.ones(3, device=avatar.color.device)
    avatar.eval()
    values: list[dict[str, float]] = []
    capture, cameras = held.capture, held.cameras
    for frame in held.frames[which]:
        pose = (capture.pose[frame], capture.transl[frame], capture.expression[frame])
        inputs = pose_inputs(pose[0], pose[2])
        if clamp is not None:
            inputs = torch.minimum(torch.maximum(inputs, clamp[0]), clamp[1])
        posed = avatar(*pose, row.model.features != "none", inputs)
        T, K = capture.T_cam_world[cameras], capture.K[cameras]
        drawn = rasterize(posed.gaussians, T, K, capture.width, capture.height, white, backend)
        images, mattes = capture.pixels(frame, cameras)
        shown = zip(drawn.rgb, images, mattes, drawn.alpha)
        values += [metrics.image_metrics(rgb, i, m, alpha) for rgb, i, m, alpha in shown]
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


LONG = 9000
"""Steps from which on compiling for a pruning's shapes takes less than it saves."""


def branch(state: Training) -> Training:
    """A copy whose optimiser holds the copy's parameters."""
    avatar, optimizer = copy.deepcopy((state.avatar, state.optimizer))
    # what was compiled belongs to the original
    avatar._compiled = avatar._decode  # pyright: ignore[reportPrivateUsage]
    return replace(state, avatar=avatar, optimizer=optimizer, curve=list(state.curve))


def halt(state: Training, path: Path) -> None:
    """Write what another process needs to go on; the file appears when it is whole."""
    part = path.with_suffix(".part")
    kept = state.avatar.state_dict(), state.optimizer.state_dict(), state.seconds, state.step, state.curve
    torch.save(kept, part)
    part.rename(path)


def resume(state: Training, path: Path, last: int) -> None:
    """Go on from what `halt` wrote, unless it is beyond step `last`."""
    avatar, optimizer, seconds, step, curve = torch.load(path, weights_only=True)
    if step <= last:
        state.avatar.load_state_dict(avatar)
        state.optimizer.load_state_dict(optimizer)
        state.seconds, state.step, state.curve = seconds, step, curve


def finish(
    state: Training, row: Row, capture: InMemoryCapture, device: str, test: HeldOut | None = None
) -> tuple[dict[str, Any], bytes]:
    """Prune, tune, evaluate: the row's figures and its picture."""
    result: dict[str, Any] = {}
    if not row.is_pruned():
        result["kept_bytes"] = kept_bytes(state.avatar) if row.model.features != "none" else 0
    for part, step in enumerate(row.prune_steps() if row.is_pruned() else []):
        train(state, row, capture, step, device)
        result |= prune_branch(state, row, capture, part)
        if row.steps >= LONG:
            warm_up(state, row, capture, device)
    train(state, row, capture, row.steps, device)
    if state.avatar.is_pruned and row.pruning not in ("none", "top-0"):
        result["file_bytes"] = avatar_file_bytes(state.avatar)
    validation = validation_of(row.capture, capture)
    for held in (validation, test) if test else (validation,):
        for which in held.frames:
            measured = evaluate(state.avatar, row, held, which)
            result |= {f"{which}_{name}": value for name, value in measured.items()}
    if row.pruning == "none":
        clamped = evaluate(state.avatar, row, validation, "far", limits(row, capture))
        result |= {f"far_clamped_{k}": v for k, v in clamped.items()}
    result |= {"train_s": state.seconds, "step_ms": 1000 * state.seconds / row.steps, "curve": state.curve}
    return result, strip(state.avatar, row, capture)

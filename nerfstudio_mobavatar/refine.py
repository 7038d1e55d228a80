"""Refinement of a mediocre body fit before training: stages, what may be looked at, when to leave a fit alone, report.

Three stages. *Shared*: on frames spread over the capture, pose, translation, shape and training cameras together.
*Frames*: every frame's pose and translation, shape and cameras fixed; held-out frames too, from the training cameras'
masks. *Held-out cameras* (optional): their own six numbers, poses fixed, from the masks of held-out frames only. These
pictures (held-out camera, held-out frame) are in no split: neither training nor evaluation ever shows them.

Only masks are read, never colours. The capture on disk stays as it is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .body_model import Body
from .capture import Capture
from .saved_config import SavedConfig
from .silhouette_fit import FREE_JOINTS, Corrections, Limits, SparseBody, misfit, moved_points, solve, thin_body
from .silhouettes import Silhouettes, load_silhouettes

LEAST_SPARE_FRAMES = 4
"""Held-out frames below which a held-out camera is left as it is."""


@dataclass
class RefineConfig(SavedConfig):
    """How far a fit may be changed, and when it is left alone."""

    gate_share: float = 0.01
    """A fit is left alone where at most this share of the body's points lies more than `gate_m` outside the masks. A
    fit of a clothed person that is right has under 0.001, one whose silhouettes overlap by 75% has about 0.05."""
    gate_m: float = 0.01
    """Metres; at least one pixel of the working resolution."""
    clothing_m: float = 0.015
    """Outlines may lie this far outside the body, metres: cloth and hair are no misfit."""
    shape: bool = True
    """Also correct the shape coefficients (never with a template mesh of one's own, which is the shape)."""
    cameras: bool = True
    """Also correct the training cameras' positions and directions."""
    held_out_cameras: Literal["spare_frames", "leave"] = "spare_frames"
    """Correct a held-out camera on the masks of the held-out frames, which are in no split with it, or not at all."""
    pose_limit_deg: float = 30.0
    """Largest correction of each of a joint's three rotation numbers, degrees."""
    transl_limit_m: float = 0.15
    """Largest correction of each coordinate of the translation, metres."""
    betas_limit: float = 3.0
    """Largest correction of each shape coefficient."""
    camera_limit_deg: float = 1.5
    """Largest correction of each of a camera's three rotation numbers, degrees."""
    camera_limit_m: float = 0.08
    """Largest correction of each coordinate of a camera's translation, metres."""
    prior_weight: float = 1.0
    """Pull towards the original fit; 0 follows the silhouettes alone."""
    smoothness: float = 3.0
    """How much more a change between consecutive frames costs than a correction of that size; 0: frames are alone."""
    iterations: int = 100
    """Of each stage."""
    max_side: int = 256
    """Longest side of the masks as they are used, pixels."""
    shared_frames: int = 24
    """Frames of the first stage, spread over the training frames."""
    frames_at_once: int = 64
    """Frames of the second stage that are in memory together."""

    def limits(self) -> Limits:
        camera = (math.radians(self.camera_limit_deg), self.camera_limit_m)
        return Limits(math.radians(self.pose_limit_deg), self.transl_limit_m, self.betas_limit, camera)


@dataclass(frozen=True)
class Refined:
    """The outcome. Without a change every correction is zero."""

    changed: bool
    corrections: Corrections
    """Of every row of the fit and every camera of the capture, on the CPU."""
    report: str
    """Sentences for the log."""


@dataclass(frozen=True)
class _Task:
    """What the stages share."""

    body: SparseBody
    capture: Capture
    config: RefineConfig
    train_cameras: tuple[int, ...]
    pose: Float[Tensor, "t 55 3"]
    transl: Float[Tensor, "t 3"]
    betas: Float[Tensor, " b"]
    device: torch.device

    def silhouettes(self, rows: Sequence[int], cameras: Sequence[int]) -> Silhouettes:
        """Masks of these rows in these cameras; no other file is read."""
        images = [image for image in self.capture.images if image.camera in cameras]
        read = load_silhouettes(self.capture.cameras, images, rows, self.config.max_side, self.device)
        return read.cameras(cameras)

    def solve(
        self, rows: Sequence[int], seen_by: Silhouettes, start: Corrections, free: tuple[str, ...]
    ) -> Corrections:
        c, index = self.config, list(rows)
        smoothness = c.smoothness if _consecutive(rows) else 0.0
        return solve(
            self.body, self.pose[index], self.transl[index], self.betas, seen_by, start, free, c.limits(), c.clothing_m,
            c.prior_weight, smoothness, c.iterations,
        )  # fmt: skip

    def misfit(self, rows: Sequence[int], seen_by: Silhouettes, change: Corrections) -> tuple[float, float]:
        index = list(rows)
        points = moved_points(self.body, self.pose[index], self.transl[index], self.betas, change)
        return misfit(points, seen_by, change.camera, self.config.gate_m)


def refine(
    body: Body,
    capture: Capture,
    train_cameras: Sequence[int],
    train_rows: Sequence[int],
    config: RefineConfig,
    fixed_shape: bool = False,
    device: torch.device | str = "cpu",
) -> Refined:
    """Correct the fit of every row of `capture` (and its cameras) from the masks of the training cameras.

    Args:
        train_cameras: positions in `capture.cameras`; masks of other cameras are read for held-out rows only, and only
            to correct those cameras themselves.
        train_rows: rows used in training. Shape and training cameras are fitted on these alone.
        fixed_shape: leave the shape as it is whatever `config.shape` says.

    Raises `CaptureError` naming the file where a mask cannot be read.
    """
    fit = capture.fit
    betas = torch.from_numpy(fit.betas).float().to(device)
    task = _Task(
        thin_body(body, len(betas)).to(device), capture, config, tuple(train_cameras),
        torch.from_numpy(fit.pose).to(betas), torch.from_numpy(fit.transl).to(betas), betas, torch.device(device),
    )  # fmt: skip
    rows = _spread(sorted(train_rows), config.shared_frames)
    seen_by = task.silhouettes(rows, task.train_cameras)
    nothing = Corrections.zeros(len(rows), len(betas), len(task.train_cameras), task.device)
    before = task.misfit(rows, seen_by, nothing)
    if before[0] <= config.gate_share:
        every = Corrections.zeros(len(fit.pose), len(betas), len(capture.cameras), "cpu")
        return Refined(False, every, _left_alone(before, config))
    shared = task.solve(rows, seen_by, nothing, _shared_free(config, fixed_shape))
    after = task.misfit(rows, seen_by, shared)
    change = _fit_frames(task, shared)
    change, note = _fit_held_out_cameras(task, change, sorted(train_rows))
    return Refined(True, _to_cpu(change), _describe(task, before, after, change, note))


def _fit_frames(task: _Task, shared: Corrections) -> Corrections:
    """Every row of the capture, chunk by chunk, from the mean correction of the shared stage."""
    count = len(task.pose)
    poses, transls = [], []
    for first in range(0, count, task.config.frames_at_once):
        rows = range(first, min(first + task.config.frames_at_once, count))
        start = replace(
            shared,
            pose=shared.pose.mean(0).expand(len(rows), -1, -1),
            transl=shared.transl.mean(0).expand(len(rows), -1),
        )
        done = task.solve(rows, task.silhouettes(rows, task.train_cameras), start, ("pose", "transl"))
        poses.append(done.pose)
        transls.append(done.transl)
    camera = torch.zeros(len(task.capture.cameras), 6, device=task.device)
    camera[list(task.train_cameras)] = shared.camera
    return Corrections(torch.cat(poses), torch.cat(transls), shared.betas, camera)


def _fit_held_out_cameras(task: _Task, change: Corrections, train_rows: Sequence[int]) -> tuple[Corrections, str]:
    """The cameras outside training, on the rows outside training; and a sentence about it."""
    held_out = [c for c in range(len(task.capture.cameras)) if c not in task.train_cameras]
    if not held_out:
        return change, ""
    names = ", ".join(task.capture.cameras[c].name for c in held_out)
    spare = [row for row in range(len(task.pose)) if row not in set(train_rows)]
    if task.config.held_out_cameras == "leave" or not task.config.cameras:
        return change, f"Held-out cameras ({names}) keep their calibration."
    if len(spare) < LEAST_SPARE_FRAMES:
        return change, (
            f"Held-out cameras ({names}) keep their calibration: that takes at least {LEAST_SPARE_FRAMES} held-out "
            f"frames, found {len(spare)}."
        )
    spare = _spread(spare, task.config.frames_at_once)
    start = Corrections(change.pose[spare], change.transl[spare], change.betas, change.camera[held_out])
    done = task.solve(spare, task.silhouettes(spare, held_out), start, ("camera",))
    camera = change.camera.clone()
    camera[held_out] = done.camera
    return replace(change, camera=camera), (
        f"Held-out cameras ({names}) were corrected on the masks of {len(spare)} held-out frames, pictures that are in "
        "no split."
    )


def refined_pose(pose: Float[Tensor, "t 55 3"], change: Corrections) -> Float[Tensor, "t 55 3"]:
    """The poses after their corrections."""
    return torch.cat([pose[:, :FREE_JOINTS] + change.pose.to(pose), pose[:, FREE_JOINTS:]], 1)


def _shared_free(config: RefineConfig, fixed_shape: bool) -> tuple[str, ...]:
    shape = ("betas",) if config.shape and not fixed_shape else ()
    return ("pose", "transl", *shape, *(("camera",) if config.cameras else ()))


def _spread(rows: Sequence[int], most: int) -> list[int]:
    """At most `most` of the rows, evenly spread."""
    if len(rows) <= most:
        return list(rows)
    return [rows[i] for i in np.linspace(0, len(rows) - 1, most).round().astype(int)]


def _consecutive(rows: Sequence[int]) -> bool:
    return all(b - a == 1 for a, b in zip(rows, rows[1:]))


def _to_cpu(change: Corrections) -> Corrections:
    return Corrections(**{name: value.detach().cpu() for name, value in vars(change).items()})


def _left_alone(before: tuple[float, float], config: RefineConfig) -> str:
    return (
        f"Refinement: {before[0]:.2%} of the body's points lie outside the masks; a fit is left alone up to "
        f"{config.gate_share:.2%}, so nothing was changed."
    )


def _describe(
    task: _Task, before: tuple[float, float], after: tuple[float, float], change: Corrections, note: str
) -> str:
    """What was changed, by how much."""

    def rms(x: Tensor) -> float:
        return float(x.square().sum(-1).mean().sqrt())

    degrees, camera = math.degrees(rms(change.pose)), change.camera[list(task.train_cameras)]
    lines = [
        f"Refinement on the masks of {len(task.train_cameras)} training cameras: body points outside the masks "
        f"{before[0]:.2%} -> {after[0]:.2%}, outlines from the body {before[1] * 100:.1f} -> {after[1] * 100:.1f} cm.",
        f"Corrections (root mean square): joints {degrees:.1f} degrees, translation {rms(change.transl) * 100:.1f} cm, "
        f"training cameras {math.degrees(rms(camera[:, :3])):.2f} degrees and {rms(camera[:, 3:]) * 100:.1f} cm; "
        f"shape by up to {float(change.betas.abs().max()):.1f}.",
    ]
    return " ".join([*lines, note]).strip()

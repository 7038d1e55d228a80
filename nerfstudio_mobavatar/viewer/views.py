"""The viewer's extra pictures. Each is rendered only while it is chosen under "Output type"; the names stand always."""

import copy
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from nerfstudio_mobavatar.avatar import Avatar, AvatarOutput
from nerfstudio_mobavatar.gaussians import PosedGaussians

from . import colours

CAPTURED = "captured beside rendered"
BEFORE_PRUNING = "before pruning"
NAMES = (
    "parts", "nodes", "kept blendshapes", "corrective magnitude", "node motion", "distance from training",
    "without correctives", BEFORE_PRUNING, CAPTURED,
)  # fmt: skip
MAX_TRAINED = 200
"""Training frames that the distance looks at, evenly spread."""


@dataclass(frozen=True)
class View:
    """What the renderer has already: the pose, the posed avatar, and how to draw other Gaussians the same way."""

    pose: tuple[Tensor, Tensor, Tensor]
    """Axis-angle [55, 3], translation [3], expression [e]."""
    posed: AvatarOutput
    rgb: Float[Tensor, "h w 3"]
    draw: Callable[[PosedGaussians], Float[Tensor, "h w 3"]]


class Views:
    """Draws the chosen extra pictures of one avatar."""

    def __init__(
        self, avatar: Avatar, training_poses: Callable[[], list[tuple[Tensor, Tensor]]], uses_correctives: bool
    ) -> None:
        self._avatar, self._training_poses, self._uses_correctives = avatar, training_poses, uses_correctives
        self._before: Avatar | None = None

    @torch.no_grad()
    def keep_before_pruning(self) -> None:
        """Remember the avatar as it is now, to compare it with the pruned one."""
        self._before = copy.deepcopy(self._avatar)

    def outputs(self, view: View, wanted: Collection[str]) -> dict[str, Float[Tensor, "h w 3"]]:
        """One picture per name; those that nobody looks at are the plain one."""
        return {
            name: self._picture(name, view) if name in wanted and name != CAPTURED else view.rgb for name in NAMES
        }

    def _picture(self, name: str, view: View) -> Float[Tensor, "h w 3"]:
        if name == "without correctives":
            return view.draw(self._avatar(*view.pose, False).gaussians)
        if name == BEFORE_PRUNING:
            return view.rgb if self._before is None else view.draw(self._before(*view.pose).gaussians)
        return view.draw(replace(view.posed.gaussians, colors=self._colours(name, view)))

    def _colours(self, name: str, view: View) -> Float[Tensor, "n 3"]:
        avatar = self._avatar
        if name == "parts":
            return colours.parts(avatar)
        if name == "nodes":
            return colours.nodes(avatar)
        if name == "kept blendshapes":
            return colours.kept(avatar)
        if name == "node motion":
            return colours.node_motion(avatar, view.posed.node_displacement)
        if name == "corrective magnitude":
            return colours.corrective_size(avatar, view.posed.correctives)
        poses = self._training_poses()
        trained = torch.stack([avatar.features(*pose) for pose in poses[:: -(-len(poses) // MAX_TRAINED)]])
        here = avatar.features(view.pose[0], view.pose[2])
        return colours.part_distance(here, trained, avatar.get_buffer("part"))


def beside(left: Tensor, right: Tensor, height: int, width: int) -> Float[Tensor, "height width 3"]:
    """Two pictures [h, w, 3] of one size beside each other, as large as they fit on white."""
    pair = torch.cat([left, right], 1)
    scale = min(height / pair.shape[0], width / pair.shape[1])
    h, w = max(1, int(pair.shape[0] * scale)), max(1, int(pair.shape[1] * scale))
    small = torch.nn.functional.interpolate(pair.permute(2, 0, 1)[None], (h, w), mode="area")[0].permute(1, 2, 0)
    out = torch.ones(height, width, 3, device=left.device)
    top, start = (height - h) // 2, (width - w) // 2
    out[top : top + h, start : start + w] = small
    return out


def stage_of(model: Any) -> str:
    """Where the training stands, in words."""
    if not model.config.correctives:
        return "baseline without correctives"
    if model.avatar.is_pruned:
        return "stage 2: fine-tuning after pruning"
    if model.step < model.config.warmup_fraction * model.total_steps:
        return "warm-up: correctives off"
    return f"stage 1: all correctives, pruning at step {model.prune_step:,}" if model.total_steps else "not trained here"

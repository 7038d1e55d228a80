"""The viewer's extra pictures. Each is rendered only while it is chosen under "Output type"; the names stand always."""

import copy
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from nerfstudio_mobavatar.avatar import Avatar, AvatarOutput
from nerfstudio_mobavatar.gaussians import PosedGaussians
from nerfstudio_mobavatar.render import Rendered, rasterize

from . import colours
from .shape import Shape

if TYPE_CHECKING:
    from nerfstudio_mobavatar.model import MobavatarModel

CAPTURED = "captured beside rendered"
BEFORE_PRUNING = "before pruning"
NAMES = (
    "parts", "nodes", "kept blendshapes", "corrective magnitude", "node motion", "distance from training",
    "without correctives", BEFORE_PRUNING, CAPTURED,
)  # fmt: skip


@dataclass(frozen=True)
class View:
    """One pose in one camera, and how to draw other Gaussians the same way."""

    pose: tuple[Tensor, Tensor, Tensor]
    """Axis-angle [55, 3], translation [3], expression [e]."""
    inputs: Float[Tensor, " 73"] | None
    """What the part networks get, where it is not the pose itself."""
    posed: AvatarOutput
    outputs: dict[str, Float[Tensor, "h w c"]]
    """nerfstudio's own: rgb, accumulation, depth."""
    draw: Callable[[PosedGaussians], Rendered]


class Views:
    """Draws one model's avatar for the viewer."""

    def __init__(self, model: "MobavatarModel", shape: Shape) -> None:
        self._model, self._shape = model, shape
        self._before: Avatar | None = None

    @torch.no_grad()
    def keep_before_pruning(self) -> None:
        """Remember the avatar as it is now, to compare it with the pruned one."""
        self._before = copy.deepcopy(self._model.avatar).eval()  # pruning happens while training

    @torch.no_grad()
    def view(
        self, pose: tuple[Tensor, Tensor, Tensor], T_cam_world: Tensor, K: Tensor, width: int, height: int
    ) -> View:
        """The avatar in a pose, as evaluation and exported files draw it, over white. One camera, OpenCV axes."""
        model = self._model
        inputs = model.safe_inputs(pose[0], pose[2]) if model.config.pose_safety else None
        posed = self._shape.avatar()(*pose, model.config.correctives, inputs=inputs)
        white = torch.ones(3, device=T_cam_world.device)

        def draw(gaussians: PosedGaussians) -> Rendered:
            return rasterize(gaussians, T_cam_world, K, width, height, white, model.backend)

        drawn = draw(posed.gaussians)
        outputs = {"rgb": drawn.rgb[0], "accumulation": drawn.alpha[0], "depth": drawn.depth[0]}
        return View(pose, inputs, posed, outputs, draw)

    def outputs(self, view: View, wanted: Collection[str]) -> dict[str, Float[Tensor, "h w 3"]]:
        """One picture per name; those that nobody looks at are the plain one."""
        plain = view.outputs["rgb"]
        return {name: self._picture(name, view) if name in wanted and name != CAPTURED else plain for name in NAMES}

    def _picture(self, name: str, view: View) -> Float[Tensor, "h w 3"]:
        if name == "without correctives":
            return view.draw(self._shape.avatar()(*view.pose, False).gaussians).rgb[0]
        if name == BEFORE_PRUNING:
            if self._before is None:
                return view.outputs["rgb"]
            return view.draw(self._before(*view.pose, inputs=view.inputs).gaussians).rgb[0]
        return view.draw(replace(view.posed.gaussians, colors=self._colours(name, view))).rgb[0]

    def _colours(self, name: str, view: View) -> Float[Tensor, "n 3"]:
        avatar = self._model.avatar
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
        return colours.pose_distance(avatar, self._model.pose_distance(view.pose[0], view.pose[2]))


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
    return (
        f"stage 1: all correctives, pruning at step {model.prune_step:,}" if model.total_steps else "not trained here"
    )

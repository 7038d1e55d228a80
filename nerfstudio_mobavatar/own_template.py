"""A run's own template: read from the user's file once, kept in the checkpoint from then on."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from .capture import Capture
from .skinning import strongest_joints
from .template import Template, big_pose
from .template_mesh import TemplateError, TemplateMesh, read_triangles

TemplatePose = Literal["canonical", "rest"] | int
"""Pose of the person in a template mesh: the canonical big pose, the T-pose, or the capture's frame of that number."""


def read_template_mesh(
    path: Path, pose: TemplatePose, capture: Capture, fit_pose: Tensor, fit_transl: Tensor
) -> TemplateMesh:
    """The user's mesh with the pose that it is in. `fit_pose` [t, 55, 3] and `fit_transl` [t, 3] may be refined ones.

    Raises `TemplateError`.
    """
    vertices, faces = read_triangles(path)
    if pose == "canonical":
        return TemplateMesh(str(path), vertices, faces, big_pose(), torch.zeros(3))
    if pose == "rest":
        return TemplateMesh(str(path), vertices, faces, torch.zeros(55, 3), torch.zeros(3))
    if pose not in capture.frames:
        raise TemplateError(
            f"{path}: --pipeline.model.template-pose {pose}: expected canonical, rest, or one of the capture's frames "
            f"({capture.frames[0]}..{capture.frames[-1]})"
        )
    row = capture.frames.index(pose)
    return TemplateMesh(str(path), vertices, faces, fit_pose[row].cpu().float(), fit_transl[row].cpu().float())


class OwnTemplate(nn.Module):
    """The template that the avatar was laid out on, in the canonical pose; empty where that was the body itself.

    `missing` says that the file is not there, so that only a checkpoint can bring it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.missing: str | None = None
        for name, shape, dtype in _BUFFERS:
            self.register_buffer(name, torch.zeros(shape, dtype=dtype))

    def __len__(self) -> int:
        return len(self.get_buffer("vertices"))

    def expect(self, path: Path) -> bool:
        """Whether the file is there; if not, a checkpoint has to be loaded (`require`)."""
        self.missing = None if path.is_file() else f"{path}: no such template mesh, and no checkpoint that holds it"
        return self.missing is None

    def require(self) -> None:
        """Raises `TemplateError` where neither file nor checkpoint brought the template."""
        if self.missing is not None:
            raise TemplateError(self.missing)

    @torch.no_grad()
    def store(self, template: Template) -> None:
        """Keep what the avatar is laid out on."""
        index, weight = strongest_joints(template.skin_weights)
        for name, value in zip(
            ("vertices", "faces", "skin_index", "skin_weight"), (template.vertices, template.faces, index, weight)
        ):
            own = self.get_buffer(name)
            own.data = torch.from_numpy(np.ascontiguousarray(value)).to(own)

    @staticmethod
    def complete(state_dict: dict[str, Tensor], prefix: str) -> None:
        """Add an empty template to a model's state from before this module. `prefix` is the model's."""
        if any(name.startswith(f"{prefix}avatar.") for name in state_dict):
            for name, shape, dtype in _BUFFERS:
                state_dict.setdefault(f"{prefix}template.{name}", torch.zeros(shape, dtype=dtype))

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take over the checkpoint's sizes. nerfstudio also loads parts of a state that have nothing of the model."""
        for name, *_ in _BUFFERS:
            stored = state_dict.get(prefix + name)
            if stored is not None:
                own = self.get_buffer(name)
                own.data = own.new_zeros(stored.shape)
                self.missing = None
        super()._load_from_state_dict(state_dict, prefix, *args)


_BUFFERS = (
    ("vertices", (0, 3), torch.float32),
    ("faces", (0, 3), torch.int32),
    ("skin_index", (0, 4), torch.uint8),
    ("skin_weight", (0, 4), torch.float32),
)

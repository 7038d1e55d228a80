"""Another body shape under the same avatar, to look at: what is trained, saved and exported keeps the captured one.

Gaussians move with the nearest vertices of the body, joints as the body model says; everything that was learnt stays.
"""

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.spatial import KDTree
from torch import Tensor

from nerfstudio_mobavatar.avatar import Avatar
from nerfstudio_mobavatar.body_model import Body, forward_kinematics, load_body
from nerfstudio_mobavatar.template import big_pose, make_template
from nerfstudio_mobavatar.transforms import axis_angle_to_rotmat, invert_rigid

if TYPE_CHECKING:
    from nerfstudio_mobavatar.model import MobavatarModel

MOST_SLIDERS, RANGE = 10, 3.0
"""Coefficients that are offered, and how far from the captured ones, in standard deviations."""
NEIGHBOURS = 3


class Shape:
    """Differences from the captured shape coefficients."""

    def __init__(self, model: "MobavatarModel", num_betas: int) -> None:
        """`num_betas`: of the body; 0 where its shape says nothing of the avatar's (a template mesh of one's own)."""
        self._model = model
        self.values = np.zeros(min(num_betas, MOST_SLIDERS))
        self._body: Body | None = None
        # one reference, exchanged when it is whole: renders read it at any time
        self._changed: dict[str, Tensor] | None = None

    def set(self, values: Float[ndarray, " b"]) -> None:
        """Take other differences. Zeros are the captured shape."""
        self.values = np.asarray(values, np.float64)
        self._changed = self._buffers() if self.values.any() else None

    def avatar(self) -> Avatar:
        """The avatar as it is trained, or one beside it that shares all parameters and has the other shape."""
        avatar, changed = self._model.avatar, self._changed
        if changed is None:
            return avatar
        shaped = copy.copy(avatar)
        shaped.__dict__["_buffers"] = avatar._buffers | changed
        return shaped

    @torch.no_grad()
    def _buffers(self) -> dict[str, Tensor]:
        model, avatar = self._model, self._model.avatar
        if self._body is None:
            self._body = load_body(model.config.body, model.config.gender)
        captured = torch.zeros(self._body.num_betas)
        captured[: len(model.capture.fit.betas)] = torch.from_numpy(model.capture.fit.betas).float()
        wanted = captured.clone()
        wanted[: len(self.values)] += torch.from_numpy(self.values).float()
        before, after = (make_template(self._body, betas) for betas in (captured, wanted))
        places = avatar.get_buffer("base_position")
        distance, nearest = KDTree(before.vertices).query(places.cpu().numpy(), NEIGHBOURS)
        weight = 1 / np.maximum(distance, 1e-6)
        weight /= weight.sum(1, keepdims=True)
        moved = ((after.vertices - before.vertices)[nearest] * weight[..., None]).sum(1)
        rest = avatar.get_buffer("joint_rest").cpu() + torch.from_numpy(after.joint_rest - before.joint_rest).float()
        bind = forward_kinematics(axis_angle_to_rotmat(big_pose()), rest, avatar.parents, torch.zeros(3))
        return {
            "base_position": places + torch.from_numpy(moved).to(places),
            "joint_rest": rest.to(places),
            "inverse_bind": invert_rigid(bind).to(avatar.get_buffer("inverse_bind")),
        }

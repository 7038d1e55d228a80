"""A tiny avatar that every core test shares: the open body, a few hundred Gaussians, random correctives."""

from functools import lru_cache

import torch

from nerfstudio_mobavatar.avatar import Avatar, AvatarConfig, make_layout
from nerfstudio_mobavatar.blendshapes import ATTRIBUTES
from nerfstudio_mobavatar.body_model import load_body
from nerfstudio_mobavatar.template import Template, make_template

TINY = AvatarConfig(num_gaussians=400, num_parts=12, num_nodes=60, basis_size=4, hidden_widths=(6, 6))


@lru_cache
def open_template() -> tuple[Template, tuple[int, ...]]:
    """The mean open body in the big pose and its joint parents."""
    body = load_body("open")
    return make_template(body, torch.zeros(10)), tuple(body.parents)


def tiny_avatar(config: AvatarConfig = TINY, seed: int = 0) -> Avatar:
    """An avatar whose correctives and offsets are not zero, so that every term of the forward pass matters."""
    template, parents = open_template()
    avatar = Avatar(config, make_layout(template, parents, config))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name in ATTRIBUTES:
            avatar.basis(name).normal_(0, 0.05, generator=generator)
        avatar.node_basis.normal_(0, 0.005, generator=generator)
        avatar.node_offset.normal_(0, 0.01, generator=generator)
        avatar.free_offset.normal_(generator=generator)
        avatar.rotation.add_(torch.randn(avatar.rotation.shape, generator=generator) * 0.3)
        avatar.color.normal_(0, 0.4, generator=generator)
    return avatar


def random_pose(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(pose [55, 3], transl [3], expression [10])."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(55, 3, generator=generator) * 0.3,
        torch.randn(3, generator=generator),
        torch.randn(10, generator=generator),
    )

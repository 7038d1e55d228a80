"""From the training avatar to the arrays of an avatar file."""

from typing import Any

import numpy as np
import torch

from nerfstudio_mobavatar.avatar import Avatar
from nerfstudio_mobavatar.features import NUM_POSE_INPUTS

from .arrays import AvatarArrays


@torch.no_grad()
def avatar_arrays(avatar: Avatar, meta: dict[str, Any]) -> AvatarArrays:
    """Everything constant is folded into the canonical position: free offsets and the constant part of the nodes.

    Kept correctives refer to Gaussians in the avatar's own order, which is Morton order already.
    """

    def host(x: torch.Tensor) -> np.ndarray:
        return x.detach().cpu().numpy()

    def buffer(name: str) -> np.ndarray:
        return host(avatar.get_buffer(name))

    return AvatarArrays(
        position=host(avatar.canonical_position(avatar.node_offset)),
        rotation=host(avatar.rotation),
        log_scale=host(avatar.scale),
        color=host(avatar.color),
        opacity=host(avatar.opacity.sigmoid()),
        part=buffer("part"),
        node_index=buffer("node_index"),
        node_weight=buffer("node_weight"),
        skin_index=buffer("skin_index"),
        skin_weight=buffer("skin_weight"),
        rotation_index=buffer("rotation_index"),
        scale_index=buffer("scale_index"),
        color_index=buffer("color_index"),
        rotation_basis=host(avatar.basis("rotation")),
        scale_basis=host(avatar.basis("scale")),
        color_basis=host(avatar.basis("color")),
        node_part=buffer("node_part"),
        node_basis=host(avatar.node_basis),
        mlp_weights=tuple(host(w) for w in avatar.mlp_weights),
        mlp_biases=tuple(host(b) for b in avatar.mlp_biases),
        num_head_parts=int(avatar.get_buffer("num_head_parts")),
        num_pose_inputs=NUM_POSE_INPUTS,
        joint_rest=buffer("joint_rest"),
        inverse_bind=buffer("inverse_bind")[:, :3],
        joint_parent=np.array(avatar.parents, np.int32),
        meta=meta,
    )

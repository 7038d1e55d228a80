"""From the training avatar to the arrays of an avatar file."""

from typing import Any

import numpy as np
import torch

from nerfstudio_mobavatar.avatar import Avatar
from nerfstudio_mobavatar.features import NUM_POSE_INPUTS

from .arrays import SHAPES, AvatarArrays


@torch.no_grad()
def avatar_arrays(avatar: Avatar, meta: dict[str, Any]) -> AvatarArrays:
    """Everything constant is folded into the canonical position: free offsets and the constant part of the nodes.

    Kept correctives refer to Gaussians in the avatar's own order, which is Morton order already.
    """

    def host(x: torch.Tensor) -> np.ndarray:
        return x.detach().cpu().numpy()

    tensors = dict(avatar.named_buffers()) | dict(avatar.named_parameters())
    arrays = {
        "position": host(avatar.canonical_position(avatar.node_offset)),
        "log_scale": host(avatar.scale),
        "opacity": host(avatar.opacity.sigmoid()),
        "inverse_bind": host(tensors["inverse_bind"])[:, :3],
        "joint_parent": np.array(avatar.parents, np.int32),
    }
    arrays |= {name: host(tensors[name]) for name in SHAPES if name not in arrays}  # called the same on both sides
    return AvatarArrays(
        **arrays,
        mlp_weights=tuple(host(w) for w in avatar.mlp_weights),
        mlp_biases=tuple(host(b) for b in avatar.mlp_biases),
        num_head_parts=int(tensors["num_head_parts"]),
        num_pose_inputs=NUM_POSE_INPUTS,
        meta=meta,
    )

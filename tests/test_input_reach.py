"""Part networks that see near joints only."""

import dataclasses

import pytest
import torch

from nerfstudio_mobavatar import features

from .rig import TINY, random_pose, tiny_avatar


def test_input_reach_limits_what_a_part_learns_from():
    """Networks answer to joints near their part only; the others' weights are zero, stay zero in training, and so a
    reader that knows no mask (an exported file) evaluates the same."""
    avatar = tiny_avatar(dataclasses.replace(TINY, input_reach=1))
    pose, _, expression = random_pose(3)
    e = avatar.features(pose, expression)
    bent = pose.clone()
    bent[4] += 0.5  # left knee
    changed = (avatar.features(bent, expression) - e).abs().amax(1) > 1e-6
    weights = torch.zeros(12, 55).index_put_(
        (avatar.get_buffer("part")[:, None].expand(-1, 4), avatar.get_buffer("skin_index")),
        avatar.get_buffer("skin_weight"), accumulate=True,
    )  # fmt: skip
    share = weights / weights.sum(1, keepdim=True)
    near = (share[:, [1, 4, 7]] > 0.05).any(1)  # hip, knee, ankle
    assert torch.equal(changed, near) and near.any() and not near.all()

    optimizer = torch.optim.Adam(avatar.parameters(), lr=1e-2)
    for step in range(3):
        optimizer.zero_grad()
        avatar(*random_pose(step)).gaussians.covariances.mul(1e6).sum().backward()
        optimizer.step()
    out_of_reach = ~near
    assert (avatar.mlp_weights[0][out_of_reach][:, :, 9:12] == 0).all()
    assert (avatar.mlp_weights[0][near][:, :, 9:12] != 0).any()
    x = features.pose_inputs(pose, expression)
    plain = features.local_features(
        x, list(avatar.mlp_weights), list(avatar.mlp_biases), int(avatar.get_buffer("num_head_parts"))
    )
    torch.testing.assert_close(avatar.features(pose, expression), plain, atol=0, rtol=0)

    assert "seen_inputs" not in avatar.state_dict()  # it follows from the layout
    loaded = tiny_avatar(dataclasses.replace(TINY, input_reach=1), seed=5)
    loaded.load_state_dict(avatar.state_dict())
    torch.testing.assert_close(loaded.features(bent, expression), avatar.features(bent, expression), atol=0, rtol=0)
    with pytest.raises(ValueError, match="counts bones"):
        tiny_avatar(dataclasses.replace(TINY, input_reach=-1))

"""The avatar's forward pass against a naive loop, gradients against finite differences, and its invariants."""
# what a module's buffer is, pyright cannot know
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportIndexIssue=false
# pyright: reportOperatorIssue=false, reportReturnType=false

from dataclasses import replace

import numpy as np
import pytest
import torch

from nerfstudio_mobavatar import control_points, features, skinning
from nerfstudio_mobavatar.avatar import Avatar, AvatarConfig, make_layout
from nerfstudio_mobavatar.blendshapes import ATTRIBUTES
from nerfstudio_mobavatar.body_model import load_body
from nerfstudio_mobavatar.parts import HEAD_JOINTS
from nerfstudio_mobavatar.template import big_pose, make_template
from nerfstudio_mobavatar.transforms import axis_angle_to_rotmat, quat_to_rotmat

from .rig import TINY, open_template, random_pose, tiny_avatar


def naive_features(avatar: Avatar, pose: torch.Tensor, expression: torch.Tensor) -> torch.Tensor:
    """One MLP after the other, as the method is written."""
    rows = []
    for p in range(avatar.config.num_parts):
        face = expression if p < int(avatar.num_head_parts) else torch.zeros(10)
        h = torch.cat([pose[1:22].reshape(-1), face])
        for i, (w, b) in enumerate(zip(avatar.mlp_weights, avatar.mlp_biases)):
            h = w[p] @ h + b[p]
            if i + 1 < len(avatar.mlp_weights):
                h = torch.where(h > 0, h, 0.01 * h)
        rows.append(h)
    return torch.stack(rows)


def naive_gaussian(avatar: Avatar, n: int, e: torch.Tensor, G: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """World mean and covariance of Gaussian `n`, step by step."""
    k = avatar.config.basis_size
    attribute = {}
    for name in ATTRIBUTES:
        attribute[name] = avatar.neutral(name)[n].clone()
        for slot, kept in enumerate(avatar.index(name).tolist()):
            if kept == n:
                attribute[name] = attribute[name] + avatar.basis(name)[slot] @ e[avatar.part[n], :k]
    x = avatar.base_position[n] + 0.008 * torch.tanh(avatar.free_offset[n])
    for node, w in zip(avatar.node_index[n], avatar.node_weight[n]):
        x = x + w * (avatar.node_offset[node] + avatar.node_basis[node] @ e[avatar.node_part[node], k:])
    T = sum(w * G[j] for j, w in zip(avatar.skin_index[n], avatar.skin_weight[n]))
    R = quat_to_rotmat(attribute["rotation"])
    sigma = R @ torch.diag(attribute["scale"].exp() ** 2) @ R.T
    return T[:, :3] @ x + T[:, 3], T[:, :3] @ sigma @ T[:, :3].T


def naive_color(avatar: Avatar, n: int, e: torch.Tensor) -> torch.Tensor:
    correction = avatar.basis("color")[n] @ e[avatar.part[n], : avatar.config.basis_size]
    return torch.clamp(avatar.color[n] + correction + 0.5, min=0)


def test_forward_equals_the_naive_loop():
    avatar = tiny_avatar()
    pose, transl, expression = random_pose(3)
    out = avatar(pose, transl, expression)
    e = naive_features(avatar, pose, expression)
    torch.testing.assert_close(avatar.features(pose, expression), e, atol=1e-5, rtol=1e-5)  # float32 sum order
    G = skinning.joint_transforms(pose, transl, avatar.joint_rest, avatar.parents, avatar.inverse_bind)
    for n in range(0, 400, 37):
        mean, covariance = naive_gaussian(avatar, n, e, G)
        torch.testing.assert_close(out.gaussians.means[n], mean, atol=2e-6, rtol=1e-5)
        torch.testing.assert_close(out.gaussians.covariances[n], covariance, atol=1e-8, rtol=1e-4)
        torch.testing.assert_close(out.gaussians.colors[n], naive_color(avatar, n, e), atol=1e-6, rtol=1e-6)
    assert (out.gaussians.colors >= 0).all() and (out.gaussians.colors == 0).any()
    e_scale = torch.einsum("nak,nk->na", avatar.basis("scale"), e[avatar.part, :4])
    torch.testing.assert_close(out.scales, (avatar.scale + e_scale).exp(), atol=1e-8, rtol=1e-5)
    moved = avatar.node_offset + torch.einsum("mak,mk->ma", avatar.node_basis, e[avatar.node_part, 4:])
    torch.testing.assert_close(out.node_displacement, moved, atol=1e-7, rtol=1e-5)


def test_big_pose_is_a_no_op_without_correctives():
    avatar = tiny_avatar()
    out = avatar(big_pose(), torch.zeros(3), torch.zeros(10), use_correctives=False)
    expected = avatar.canonical_position(avatar.node_offset)
    torch.testing.assert_close(out.gaussians.means, expected, atol=1e-6, rtol=0)
    assert out.correctives == {}


def test_global_rotation_and_translation_move_the_result_rigidly():
    """Joints 1.. fixed, another root: the local features see no root, so everything moves as one."""
    avatar = tiny_avatar()
    pose, transl, expression = random_pose(4)
    turned, shift = pose.clone(), torch.tensor([1.0, 2.0, 3.0])
    turned[0] = torch.tensor([0.3, 1.9, -0.4])
    a, b = avatar(pose, transl, expression).gaussians, avatar(turned, transl + shift, expression).gaussians
    R = axis_angle_to_rotmat(turned[0]) @ axis_angle_to_rotmat(pose[0]).T
    root = avatar.joint_rest[0]
    expected = (a.means - root - transl) @ R.T + root + transl + shift
    torch.testing.assert_close(b.means, expected, atol=5e-6, rtol=0)
    torch.testing.assert_close(b.covariances, R @ a.covariances @ R.T, atol=1e-8, rtol=1e-3)


def test_expression_reaches_head_parts_only():
    avatar = tiny_avatar(AvatarConfig(num_gaussians=2000, num_parts=40, num_nodes=100, basis_size=4))
    pose, _, expression = random_pose(5)
    heads = int(avatar.num_head_parts)
    assert 0 < heads < 40
    calm, smiling = avatar.features(pose, torch.zeros(10)), avatar.features(pose, expression)
    assert torch.equal(calm[heads:], smiling[heads:])
    assert ((calm[:heads] - smiling[:heads]).abs().amax(1) > 1e-3).all()
    on_head = torch.zeros(2000)
    for joint in HEAD_JOINTS:
        on_head += ((avatar.skin_index == joint) * avatar.skin_weight).sum(1)
    assert (on_head[avatar.part < heads] > 0.4).float().mean() > 0.9  # a part's border may reach below the neck


def test_layout_is_exact_sorted_and_normalised():
    avatar = tiny_avatar()
    for name in ("node_weight", "skin_weight"):
        torch.testing.assert_close(avatar.get_buffer(name).sum(1), torch.ones(400), atol=1e-6, rtol=0)
        assert (avatar.get_buffer(name) >= 0).all()
    assert len(avatar.part.unique()) == 12 and len(avatar.node_part) == 60
    assert (avatar.node_neighbours != torch.arange(60)[:, None]).all()


def test_an_untrained_avatar_is_round_upright_and_as_large_as_its_share_of_the_surface():
    template, parents = open_template()
    config = replace(TINY, num_gaussians=120, num_nodes=120, initial_opacity=0.3)  # as many nodes as are allowed
    avatar = Avatar(config, make_layout(template, parents, config))
    assert torch.equal(avatar.rotation, torch.tensor([1.0, 0, 0, 0]).expand(120, 4))
    torch.testing.assert_close(avatar.opacity.sigmoid(), torch.full((120,), 0.3))
    area = 0.0
    for a, b, c in template.vertices[template.faces]:
        area += 0.5 * float(np.linalg.norm(np.cross(b - a, c - a)))
    expected = config.initial_spacing * (area / 120) ** 0.5
    torch.testing.assert_close(avatar.scale.exp(), torch.full((120, 3), expected), atol=0, rtol=1e-4)
    assert avatar.is_pruned is False and not avatar.state_dict()["pruned"]
    avatar.load_state_dict({"color": torch.ones(120, 3)}, strict=False)  # a part: the rest stays
    assert (avatar.color == 1).all() and len(avatar.basis("color")) == 120


def test_the_networks_take_other_inputs_in_place_of_the_pose():
    avatar = tiny_avatar()
    (pose, transl, expression), (other, _, other_face) = random_pose(1), random_pose(2)
    inputs = features.pose_inputs(other, other_face)
    e = avatar.features(pose, expression, inputs)
    assert torch.equal(e, avatar.features(other, other_face)) and not torch.equal(e, avatar.features(pose, expression))
    out = avatar(pose, transl, expression, inputs=inputs)
    assert torch.equal(out.scales, avatar(other, transl, other_face).scales)
    assert not torch.equal(out.gaussians.means, avatar(other, transl, other_face).gaussians.means)


def test_what_is_compiled_runs_in_training_with_correctives_only(monkeypatch: pytest.MonkeyPatch):
    avatar, asked, ran = tiny_avatar(), [], []

    def compiled(function, **options):
        asked.append((function, options))
        return lambda *about: ran.append(1) or function(*about)

    monkeypatch.setattr(torch, "compile", compiled)
    avatar.compile_decode()
    assert asked == [(avatar._decode, {"dynamic": False})]
    pose, transl, expression = random_pose(1)
    for training, use_correctives in ((True, True), (True, False), (False, True), (False, False)):
        avatar.train(training)
        out, count = avatar(pose, transl, expression, use_correctives), len(ran)
        assert count == 1 and bool(out.correctives) == use_correctives
    inputs, G = features.pose_inputs(pose, expression), avatar.joint_transforms(pose, transl)
    assert set(avatar.decode(inputs, G).correctives) == set(ATTRIBUTES)


def test_more_nodes_than_gaussians_is_refused():
    body = load_body("open")
    config = AvatarConfig(num_gaussians=50, num_parts=4, num_nodes=60)
    with pytest.raises(ValueError, match="must not exceed num_gaussians"):
        make_layout(make_template(body, torch.zeros(10)), tuple(body.parents), config)


def test_nodes_carry_their_own_gaussian_almost_alone():
    points = np.random.default_rng(0).random((50, 3))
    index, weight = control_points.interpolation_weights(points, points[:20])
    assert (index[:20, 0] == np.arange(20)).all() and (weight[:20, 0] > 0.98).all()


def test_gradients_of_every_parameter_by_finite_differences():
    avatar = tiny_avatar(AvatarConfig(num_gaussians=24, num_parts=3, num_nodes=9, basis_size=2, hidden_widths=(3,)))
    avatar = avatar.double()
    pose, transl, expression = (x.double() for x in random_pose(6))
    generator = torch.Generator().manual_seed(0)
    upstream = [torch.randn(24, *s, generator=generator, dtype=torch.float64) for s in ((3,), (3, 3), (3,), ())]

    def loss() -> torch.Tensor:
        g = avatar(pose, transl, expression).gaussians
        values = (g.means, g.covariances * 1e4, g.colors, g.opacities)
        return sum((u * v).sum() for u, v in zip(upstream, values))

    loss().backward()
    with torch.no_grad():
        for name, parameter in avatar.named_parameters():
            assert parameter.grad is not None, name
            flat, grad = parameter.view(-1), parameter.grad.view(-1)
            for i in range(0, len(flat), max(1, len(flat) // 5)):
                old = flat[i].item()
                flat[i] = old + 1e-6
                up = loss()
                flat[i] = old - 1e-6
                down = loss()
                flat[i] = old
                # central difference in float64: error ~1e-9 of the loss's magnitude
                expected = float(up - down) / 2e-6
                assert grad[i].item() == pytest.approx(expected, abs=1e-5, rel=1e-4), name


def test_wrong_shapes_are_refused():
    avatar = tiny_avatar()
    with pytest.raises(Exception, match=r"type-check|55 3"):
        avatar(torch.zeros(54, 3), torch.zeros(3), torch.zeros(10))


def test_pose_inputs_pad_and_cut_the_expression():
    pose = random_pose(7)[0]
    long, short = torch.arange(50.0), torch.arange(4.0) + 1
    assert features.pose_inputs(pose, long)[63:].tolist() == list(range(10))
    assert features.pose_inputs(pose, short)[63:].tolist() == [1, 2, 3, 4, 0, 0, 0, 0, 0, 0]
    torch.testing.assert_close(features.pose_inputs(pose, short)[:63], pose[1:22].flatten())


def test_config_defaults_are_paper_scale():
    config = AvatarConfig()
    assert (config.num_gaussians, config.num_parts, config.basis_size, config.num_nodes) == (200_000, 256, 16, 10_000)
    assert TINY.num_gaussians < 1000

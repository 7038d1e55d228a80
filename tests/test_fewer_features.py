"""Features cut at pruning: exact as long as none goes, the best choice in numpy's eyes where some do."""

import copy
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nerfstudio_mobavatar import fewer_features
from nerfstudio_mobavatar.avatar import Avatar
from nerfstudio_mobavatar.blendshapes import ATTRIBUTES
from nerfstudio_mobavatar.fewer_features import cut_features, feature_bytes, fill, keep_features
from nerfstudio_mobavatar.pruning import PruningConfig, corrective_bytes, corrective_statistics, features_of, prune
from nerfstudio_mobavatar.pruning_scores import image_statistics, picture_error, sensitivities
from nerfstudio_mobavatar.web_export import bundle
from nerfstudio_mobavatar.web_export.from_avatar import avatar_arrays

from .rig import random_pose, tiny_avatar
from .test_pruning import probes


def poses(count: int) -> list[tuple[Tensor, Tensor]]:
    return [(p, e) for p, _, e in map(random_pose, range(count))]


@pytest.fixture
def avatar() -> Avatar:
    return disturbed()


def disturbed() -> Avatar:
    torch.manual_seed(0)
    found = tiny_avatar()
    with torch.no_grad():
        for p in found.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return found


def sensitivity(avatar: Avatar) -> dict[str, Tensor]:
    torch.manual_seed(1)
    found = {name: torch.rand_like(avatar.neutral(name).detach()) for name in ATTRIBUTES}
    return found | {"node": torch.rand_like(avatar.node_offset.detach())}


def numbers(avatar: Avatar, pose: int) -> Tensor:
    """Everything that is drawn, of one pose."""
    g = avatar(*random_pose(pose)).gaussians
    return torch.cat([g.means.flatten(), g.covariances.flatten(), g.colors.flatten()])


def test_as_many_features_as_there_are_change_nothing(avatar: Avatar):
    before = [numbers(avatar, i).detach() for i in range(3)]
    old = avatar.node_basis
    keep_features(avatar, avatar.config.basis_size, poses(20), sensitivity(avatar))
    assert avatar.node_basis is not old and not torch.allclose(avatar.node_basis, old)
    for i, expected in enumerate(before):
        torch.testing.assert_close(numbers(avatar, i), expected, atol=2e-6, rtol=1e-5)


@torch.no_grad()
def driven(avatar: Avatar, weight: dict[str, Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Attributes times the root of their weight, and node displacements, of 20 poses: [numbers, poses] each."""
    attributes, nodes = [], []
    for pose, expression in poses(20):
        e = avatar.features(pose, expression)
        deltas = avatar.correctives(e)
        found = [(avatar.neutral(name) + deltas[name]) * weight[name].sqrt() for name in ATTRIBUTES]
        attributes.append(torch.cat([x.flatten() for x in found]))
        own = e[avatar.get_buffer("node_part"), avatar.config.basis_size :]
        moved = avatar.node_offset + (avatar.node_basis * own[:, None]).sum(2)
        nodes.append((moved * (weight["node"] + 0.01 * weight["node"].mean()).sqrt()).flatten())
    return torch.stack(attributes, 1).double().numpy(), torch.stack(nodes, 1).double().numpy()


def test_what_is_cut_is_what_a_singular_value_decomposition_leaves_out(avatar: Avatar):
    """Eckart and Young: of all avatars with two features per part, none is nearer over the poses."""
    weight, cut = sensitivity(avatar), copy.deepcopy(avatar)
    keep_features(cut, 2, poses(20), weight)
    assert cut.config.basis_size == 2 and avatar.config.basis_size == 4
    parts = [avatar.get_buffer("part")] * 3
    owners = torch.cat([p.repeat_interleave(w) for p, w in zip(parts, (4, 3, 3))]).numpy()
    node_owners = avatar.get_buffer("node_part").repeat_interleave(3).numpy()
    for before, after, owner in zip(driven(avatar, weight), driven(cut, weight), (owners, node_owners)):
        for part in range(avatar.config.num_parts):
            rows = before[owner == part]
            lost = np.square(rows - after[owner == part]).sum()
            least = np.square(np.linalg.svd(rows - rows.mean(1, keepdims=True))[1][2:]).sum()
            assert lost == pytest.approx(least, rel=2e-3, abs=1e-9), part


def test_of_a_pose_that_never_changes_nothing_is_lost(avatar: Avatar):
    before = numbers(avatar, 0).detach()
    keep_features(avatar, 2, poses(1) * 3, sensitivity(avatar))
    torch.testing.assert_close(numbers(avatar, 0), before, atol=1e-5, rtol=1e-4)


def test_moments_of_the_optimiser_follow(avatar: Avatar):
    """The first moment of the new parameters is the one that the new avatar would have gathered."""
    lists = [[avatar.node_basis, *avatar.mlp_weights], [avatar.basis("color")]]
    optimizer = torch.optim.Adam(avatar.parameters(), lr=0.0)
    wanted = torch.randn(len(numbers(avatar, 0)))
    (numbers(avatar, 0) @ wanted).backward()
    optimizer.step()
    keep_features(avatar, avatar.config.basis_size, poses(20), sensitivity(avatar), [optimizer], lists)
    moved: list[nn.Parameter] = [*(avatar.basis(n) for n in ATTRIBUTES), avatar.node_basis]
    moved += [avatar.mlp_weights[-1], avatar.mlp_biases[-1]]
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in avatar.parameters()}
    assert held - {id(p) for p in optimizer.state} == {id(avatar.opacity)}  # which nothing here looks at
    assert lists[0][0] is avatar.node_basis and lists[0][-1] is avatar.mlp_weights[-1]
    assert lists[1] == [avatar.basis("color")]
    (numbers(avatar, 0) @ wanted).backward()
    for p in moved:
        assert p.grad is not None
        torch.testing.assert_close(optimizer.state[p]["exp_avg"], 0.1 * p.grad, rtol=1e-3, atol=1e-4)
        assert optimizer.state[p]["exp_avg_sq"].shape == p.shape and (optimizer.state[p]["exp_avg_sq"] >= 0).all()


@pytest.mark.parametrize("count", [0, 5])
def test_more_features_than_there_are_or_none_is_an_error(avatar: Avatar, count: int):
    with pytest.raises(ValueError, match=rf"expected 1..4, as many as were trained, found {count}"):
        keep_features(avatar, count, poses(2), sensitivity(avatar))


def test_fewer_features_of_a_checkpoint_are_a_prunings_or_a_mistake(avatar: Avatar):
    cut = copy.deepcopy(avatar)
    keep_features(cut, 2, poses(5), sensitivity(avatar))
    with pytest.raises(RuntimeError, match="size mismatch for node_basis"):
        tiny_avatar().load_state_dict(cut.state_dict())
    cut.mark_pruned()
    loaded = tiny_avatar()
    held = loaded.node_basis
    loaded.load_state_dict(cut.state_dict())
    assert loaded.config.basis_size == 2 and loaded.node_basis is held  # as optimisers hold it
    assert torch.equal(numbers(loaded, 0), numbers(cut, 0))


def test_a_budget_is_in_bytes_of_what_was_trained(avatar: Avatar):
    assert PruningConfig(keep_count=100).room(16) == 100 * (2 * 16 * 10 + 12)
    assert PruningConfig(keep_count=None, keep_share=0.9).room(16) is None
    config = PruningConfig(keep_count=100, keep_features=2, score="variance")
    left = cut_features(avatar, config, poses(5), probes(1, avatar), "torch", lambda _: 1.0)
    assert left == (config, None, 100 * (2 * 4 * 10 + 12), "")
    report = prune(avatar, corrective_statistics(avatar, poses(5)), config, room=left.room)
    assert set(report.kept.values()) == {100 * (2 * 4 * 10 + 12) // (2 * 2 * 10 + 12)}


@pytest.mark.parametrize("most", [2, 3, 4])
@pytest.mark.parametrize("room", [0.0, 9.0, 14.5, 22.0, 1000.0])
def test_nobody_fills_as_many_bytes_better(room: float, most: int):
    """Against all ways there are of giving three groups 1 to `most` features in as many bytes as were used."""
    generator = torch.Generator().manual_seed(most)
    worth = torch.rand(3, 4, generator=generator, dtype=torch.float64).sort(1, descending=True).values
    size = torch.tensor([1.0, 2.5, 4.0], dtype=torch.float64)
    found = fill(worth, size, room, most)

    def of(counts: tuple[int, ...]) -> tuple[float, float]:
        return float(sum(worth[g, :n].sum() for g, n in enumerate(counts))), float(size @ torch.tensor(counts).double())

    value, used = of(tuple(found.tolist()))
    assert used <= max(room, float(size.sum())) and 1 <= int(found.min()) and int(found.max()) <= most
    ways = [of(counts) for counts in product(range(1, most + 1), repeat=3)]
    assert value == pytest.approx(max(v for v, bytes_used in ways if bytes_used <= used))
    if room == 1000:
        assert found.tolist() == [most] * 3


def uneven() -> Avatar:
    """Parts that deserve different numbers of features."""
    found = disturbed()
    with torch.no_grad():
        strength = torch.logspace(-2, 0, found.config.num_parts)
        for name in ATTRIBUTES:
            found.basis(name).mul_(strength[found.get_buffer("part")][:, None, None])
        found.node_basis.mul_(strength[found.get_buffer("node_part")][:, None, None])
    return found


def error_of(avatar: Avatar, before: Avatar, weight: dict[str, Tensor]) -> float:
    return sum(float(np.square(a - b).sum()) for a, b in zip(driven(avatar, weight), driven(before, weight)))


def test_parts_keep_as_many_features_as_they_are_worth():
    """In as many bytes, nearer to the avatar before than with as many features everywhere; and what a part lacks is
    zeros that training leaves alone."""
    before, even, cut = uneven(), uneven(), uneven()
    weight = sensitivity(before)
    keep_features(even, 2, poses(20), weight)
    keep_features(cut, 2, poses(20), weight, by_part=True)
    attributes, nodes = features_of(cut)
    k = cut.config.basis_size
    assert k == int(max(attributes.max(), nodes.max()) + 1) // 2 * 2 == cut.node_basis.shape[2]
    assert 1 == int(attributes.min()) < int(attributes.max()) <= 4
    assert [x.tolist() for x in features_of(even)] == [[2] * cut.config.num_parts] * 2
    sizes = feature_bytes(before, 1.0)
    used = sum(float((size * n).sum()) for size, n in zip(sizes, (attributes, nodes)))
    assert used <= 2 * sum(float(size.sum()) for size in sizes)
    assert error_of(cut, before, weight) < 0.7 * error_of(even, before, weight)
    lacks = torch.arange(k) >= attributes[cut.get_buffer("part")][:, None]
    optimizer = torch.optim.Adam(cut.parameters(), lr=1e-2)
    for i in range(3):
        optimizer.zero_grad()
        numbers(cut, i).square().sum().backward()
        optimizer.step()
    assert torch.equal(features_of(cut)[0], attributes) and torch.equal(features_of(cut)[1], nodes)
    for name in ATTRIBUTES:
        assert not cut.basis(name).movedim(1, 2)[lacks].any() and cut.basis(name).movedim(1, 2)[~lacks].all()


def test_no_part_keeps_more_than_so_many_times_the_mean(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fewer_features, "MOST", 1)
    avatar = uneven()
    keep_features(avatar, 2, poses(20), sensitivity(avatar), by_part=True)
    assert avatar.config.basis_size == 2 == int(torch.stack(features_of(avatar)).max())


def test_what_a_part_lacks_is_zeros_in_the_file_too():
    avatar = uneven()
    keep_features(avatar, 2, poses(20), sensitivity(avatar), by_part=True)
    a = bundle.decode(bundle.encode(avatar_arrays(avatar, {})))
    used = (
        np.concatenate([a.mlp_weights[-1], a.mlp_biases[-1][..., None]], 2).any(2).reshape(len(a.mlp_biases[0]), 2, -1)
    )
    widths = torch.stack(features_of(avatar), 1).numpy()
    assert used.sum(2).tolist() == widths.tolist() and used[:, :, 0].all()
    for basis, part, row in ((a.color_basis, a.part[a.color_index], 0), (a.node_basis, a.node_part, 1)):
        lacks = np.arange(a.basis_size) >= widths[part, row][:, None]
        assert lacks.any() and not np.moveaxis(basis, 1, 2)[lacks].any()


def test_bytes_of_correctives_follow_the_features_of_their_parts():
    """The room holds what it says, and nodes and networks that take more leave less of it."""
    avatar = uneven()
    config = PruningConfig(keep_count=100, keep_features=2, features_by_part=True)
    cut = cut_features(avatar, config, poses(5), probes(2, avatar), "torch", lambda _: 1.0)
    attributes, nodes = features_of(avatar)
    per_node = torch.bincount(avatar.get_buffer("node_part"), minlength=avatar.config.num_parts) * 3 * 2
    row = 2 * (avatar.mlp_weights[-1].shape[2] + 1)
    more = int(((per_node + row) * (nodes - 2)).sum() + (row * (attributes - 2)).sum())
    assert more != 0 and cut.room is not None and cut.room == int(100 * (2 * 4 * 10 + 12) * 0.94 - more)
    part = avatar.get_buffer("part")
    each = {n: corrective_bytes(avatar)[n] for n in ATTRIBUTES}
    assert torch.equal(each["color"], 2 * 3 * attributes[part] + 4)
    statistics = corrective_statistics(avatar, poses(5))
    for score in ("image", "variance"):
        pruned = copy.deepcopy(avatar)
        prune(pruned, statistics, replace(config, score=score), room=cut.room)
        spent = sum(int(x.sum()) for x in corrective_bytes(pruned).values())
        assert cut.room - 3 * int(each["rotation"].max()) < spent <= cut.room


@pytest.mark.parametrize("share", [0.5, 1.2])
def test_allowed_loss_counts_what_cut_features_cost(avatar: Avatar, share: float):
    """The avatar before is the one with all features; where the cut alone costs more than is allowed, they stay."""
    for name in ATTRIBUTES:
        avatar.basis(name).data.add_(0.1 * torch.randn_like(avatar.basis(name)))
    before, cut = copy.deepcopy(avatar), copy.deepcopy(avatar)
    seen = [replace(p, image=p.image.float() / 255 + 0.02 * torch.randn(p.image.shape)) for p in probes(2, avatar)]

    def error(a: Avatar) -> float:
        return picture_error(a, seen, "torch")

    def lost(a: Avatar) -> float:
        return 10 * np.log10(error(a) / error(before))

    keep_features(cut, 2, poses(20), sensitivities(avatar, seen, "torch"))
    cost = lost(cut)
    assert cost > 0.001
    config = PruningConfig(keep_count=None, allowed_loss_db=share * cost, keep_features=2)
    left, loss_db, room, remark = cut_features(avatar, config, poses(20), seen, "torch", error)
    statistics = image_statistics(avatar, corrective_statistics(avatar, poses(20)), seen, True, "torch")
    report = prune(avatar, statistics, left, loss_db=loss_db, room=room, remark=remark)
    said = f"; training pictures lose {lost(avatar):.3f} of {share * cost:g} dB"
    assert lost(avatar) <= share * cost and 0 < sum(report.kept.values()) < 1200
    if share < 1:
        said += f"; all 4 features stay, 2 alone would lose {cost:.3f} of {share * cost:g} dB: for fewer, allow"
        assert avatar.config.basis_size == 4 and said in report.describe()
    else:
        assert avatar.config.basis_size == 2 and report.describe().endswith(f"{said}, {cost:.3f} by 2 features")

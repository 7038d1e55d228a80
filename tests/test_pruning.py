"""Pruning: statistics against numpy, top-N per attribute, folding is exact, optimisers and checkpoints survive."""

import numpy as np
import pytest
import torch

from nerfstudio_mobavatar.blendshapes import ATTRIBUTES
from nerfstudio_mobavatar.optim import DecaySchedulerConfig, FusedAdamConfig
from nerfstudio_mobavatar.pruning import CorrectiveStatistics, PruningConfig, corrective_statistics, keep_counts, prune

from .rig import random_pose, tiny_avatar


def poses(count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(p, e) for p, _, e in map(random_pose, range(count))]


def test_statistics_equal_numpy_over_all_poses():
    avatar = tiny_avatar()
    statistics = corrective_statistics(avatar, poses(7))
    with torch.no_grad():
        every = [avatar.correctives(avatar.features(p, e)) for p, e in poses(7)]
    for name in ATTRIBUTES:
        values = np.stack([d[name].numpy() for d in every]).astype(np.float64)
        np.testing.assert_allclose(statistics[name].mean.numpy(), values.mean(0), atol=1e-6)
        np.testing.assert_allclose(statistics[name].score.numpy(), values.var(0).sum(1), rtol=1e-4, atol=1e-9)


def test_no_pose_is_an_error():
    with pytest.raises(ValueError, match="at least one training pose"):
        corrective_statistics(tiny_avatar(), [])


def test_each_attribute_keeps_its_own_top():
    avatar = tiny_avatar()
    statistics = corrective_statistics(avatar, poses(5))
    report = prune(avatar, statistics, PruningConfig(keep_count=30))
    kept = {}
    for name in ATTRIBUTES:
        kept[name] = avatar.index(name).tolist()
        assert kept[name] == sorted(kept[name]) and len(kept[name]) == 30 == len(avatar.basis(name))
        score = statistics[name].score
        rest = np.setdiff1d(np.arange(400), kept[name])
        assert score[kept[name]].min() >= score[rest].max()
        assert 30 / 400 < report.variance_share[name] <= 1
    assert kept["rotation"] != kept["scale"] != kept["color"]
    assert avatar.is_pruned and "rotation 30 of 400" in report.describe()


def test_folding_makes_the_mean_exact_and_its_absence_does_not():
    """After folding, a pruned Gaussian's attribute equals the mean over the training poses of what it was."""
    errors = {}
    for fold in (True, False):
        avatar = tiny_avatar()
        statistics = corrective_statistics(avatar, poses(5))
        wanted = avatar.color.detach() + statistics["color"].mean
        prune(avatar, statistics, PruningConfig(keep_count=10, fold_mean=fold))
        pruned = np.setdiff1d(np.arange(400), avatar.index("color").tolist())
        errors[fold] = float((avatar.color.detach()[pruned] - wanted[pruned]).abs().max())
        kept = avatar.index("color")
        assert torch.equal(avatar.color.detach()[kept], tiny_avatar().color.detach()[kept])
    assert errors[True] < 1e-6 < 1e-3 < errors[False]


def test_keeping_all_changes_nothing_but_counts_as_pruned():
    avatar, twin = tiny_avatar(), tiny_avatar()
    assert not avatar.is_pruned
    prune(avatar, corrective_statistics(avatar, poses(3)), PruningConfig(keep_count=400))
    twin.load_state_dict(avatar.state_dict())
    assert avatar.is_pruned and twin.is_pruned
    twin = tiny_avatar()
    a, b = avatar(*random_pose(9)), twin(*random_pose(9))
    torch.testing.assert_close(a.gaussians.covariances, b.gaussians.covariances, atol=0, rtol=0)


def test_budgets():
    scores = {"rotation": torch.tensor([8.0, 1, 1]), "scale": torch.tensor([1.0, 1, 1]), "color": torch.zeros(3)}
    share = PruningConfig(keep_count=None, keep_variance_share=0.75)
    assert keep_counts(scores, share, 16) == {"rotation": 1, "scale": 3, "color": 1}
    size = PruningConfig(keep_count=None, keep_bytes=2 * (10 * 16 * 2 + 12) + 5)
    assert set(keep_counts(scores, size, 16).values()) == {2}
    assert set(keep_counts(scores, PruningConfig(keep_count=99), 16).values()) == {3}
    with pytest.raises(ValueError, match="exactly one"):
        keep_counts(scores, PruningConfig(keep_bytes=10), 16)


def test_optimiser_moments_follow_their_rows_and_training_goes_on():
    avatar = tiny_avatar()
    optimizer = FusedAdamConfig(lr=1e-2).setup(avatar.parameter_groups()["bases"])
    avatar(*random_pose(1)).gaussians.covariances.mul(1e6).sum().backward()
    optimizer.step()
    before = optimizer.state[avatar.basis("rotation")]["exp_avg"].clone()
    graph = avatar(*random_pose(1)).gaussians.covariances.sum()  # a trainer keeps the last step's loss alive
    own = list(avatar.parameter_groups()["bases"])
    prune(avatar, corrective_statistics(avatar, poses(3)), PruningConfig(keep_count=50), [optimizer], [own])
    basis = avatar.basis("rotation")
    assert torch.equal(optimizer.state[basis]["exp_avg"], before[avatar.index("rotation")])
    assert optimizer.param_groups[0]["params"][0] is basis is own[0] and len(optimizer.state) == 2
    old = basis.detach().clone()
    optimizer.zero_grad()
    avatar(*random_pose(2)).gaussians.covariances.mul(1e6).sum().backward()
    optimizer.step()
    assert basis.shape == old.shape and (basis - old).abs().max() > 1e-4
    del graph


def test_a_pruned_checkpoint_loads_into_a_fresh_avatar_in_place(tmp_path):
    """Optimisers are made before checkpoints are loaded: the parameters they hold must be the loaded ones."""
    avatar = tiny_avatar()
    prune(avatar, corrective_statistics(avatar, poses(3)), PruningConfig(keep_count=40))
    torch.save(avatar.state_dict(), tmp_path / "a.ckpt")
    fresh = tiny_avatar(seed=1)
    optimizer = FusedAdamConfig(lr=1e-2).setup(fresh.parameter_groups()["bases"])
    fresh.load_state_dict(torch.load(tmp_path / "a.ckpt", weights_only=True))
    a, b = avatar(*random_pose(1)).gaussians, fresh(*random_pose(1)).gaussians
    assert torch.equal(a.means, b.means) and torch.equal(a.covariances, b.covariances)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(fresh.basis(name)) for name in ATTRIBUTES}
    fresh(*random_pose(2)).gaussians.covariances.mul(1e6).sum().backward()
    old = fresh.basis("scale").detach().clone()
    optimizer.step()
    assert (fresh.basis("scale") - old).abs().max() > 1e-4


@pytest.mark.parametrize("keep", [40, None])
def test_a_checkpoint_without_the_flag_is_pruned_where_its_bases_are_smaller(keep):
    avatar = tiny_avatar()
    if keep is not None:
        prune(avatar, corrective_statistics(avatar, poses(3)), PruningConfig(keep_count=keep))
    state = {name: value for name, value in avatar.state_dict().items() if name != "pruned"}
    fresh = tiny_avatar(seed=1)
    fresh.load_state_dict(state)
    assert fresh.is_pruned == (keep is not None)


def test_scores_sum_over_components():
    statistics = CorrectiveStatistics(torch.zeros(2, 3), torch.tensor([1.0, 2.0]))
    assert statistics.score.argmax() == 1


def test_decay_follows_the_run_and_its_state_is_plain():
    parameter = torch.nn.Parameter(torch.zeros(3))
    optimizer = FusedAdamConfig(lr=2e-3).setup([parameter])
    scheduler = DecaySchedulerConfig(final_factor=0.01, max_steps=10).setup().get_scheduler(optimizer, 2e-3)
    for _ in range(10):
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(2e-5)
    assert all(type(x) in (int, float, list, bool, type(None), dict) for x in scheduler.state_dict().values())
    assert all(type(x) is float for x in scheduler.state_dict()["_last_lr"])
    with pytest.raises(ValueError, match="max_steps"):
        DecaySchedulerConfig().setup().get_scheduler(optimizer, 2e-3)

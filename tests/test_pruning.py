"""Pruning: statistics against numpy, top-N per attribute, folding is exact, optimisers and checkpoints survive."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from nerfstudio_mobavatar.avatar import Avatar
from nerfstudio_mobavatar.blendshapes import ATTRIBUTES, WIDTH
from nerfstudio_mobavatar.optim import DecaySchedulerConfig, FusedAdamConfig, decayed
from nerfstudio_mobavatar.pruning import (
    CorrectiveStatistics,
    PruningConfig,
    PruningReport,
    bytes_each,
    choose,
    corrective_statistics,
    keep,
    prune,
)
from nerfstudio_mobavatar.pruning_report import joint_of_parts, kept_shares, picture, table
from nerfstudio_mobavatar.pruning_scores import Probe, _draw, image_statistics, loss_since, picture_error, sensitivities
from nerfstudio_mobavatar.render import rasterize
from nerfstudio_mobavatar.web_export.bundle import encode
from nerfstudio_mobavatar.web_export.from_avatar import avatar_arrays

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
    report = prune(avatar, statistics, PruningConfig(keep_count=30, score="variance"))
    kept = {}
    for name in ATTRIBUTES:
        kept[name] = avatar.index(name).tolist()
        assert kept[name] == sorted(kept[name]) and len(kept[name]) == 30 == len(avatar.basis(name))
        score = statistics[name].score
        rest = np.setdiff1d(np.arange(400), kept[name])
        assert score[kept[name]].min() >= score[rest].max()
        assert 30 / 400 < report.share[name] <= 1
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


def given(scores: dict[str, list[float]]) -> dict[str, CorrectiveStatistics]:
    return {k: CorrectiveStatistics(torch.zeros(len(s), 3), torch.tensor(s)) for k, s in scores.items()}


def kept_of(scores: dict[str, list[float]], **budget) -> dict[str, list[int]]:
    arguments: dict[str, Any] = {"keep_count": None, **budget}
    config = PruningConfig(**arguments)
    avatar = tiny_avatar()
    keep(avatar, given(scores), {k: torch.arange(len(s)) for k, s in scores.items()}, False)
    kept, measured = choose(avatar, given(scores), config, kept_bytes)
    assert bool(measured) == (config.file_bytes is not None)
    return {name: rows.tolist() for name, rows in kept.items()}


def kept_bytes(avatar: Avatar) -> int:
    return sum(len(avatar.index(name)) * bytes_each(name, avatar.config.basis_size) for name in ATTRIBUTES)


def test_share_of_variance_counts_for_each_attribute_and_share_of_the_picture_for_all_together():
    scores = {"rotation": [8.0, 1, 1], "scale": [1.0, 1, 1], "color": [0.0, 0, 0]}
    assert kept_of(scores, keep_share=0.75, score="variance") == {"rotation": [0], "scale": [0, 1, 2], "color": [0]}
    assert kept_of(scores, keep_share=0.6, score="image") == {"rotation": [0], "scale": [], "color": []}
    for score in ("variance", "image"):
        assert kept_of(scores, keep_share=0.0, score=score) == {key: [] for key in ATTRIBUTES}
        for count in (3, 99):
            assert kept_of(scores, keep_count=count, score=score) == {key: [0, 1, 2] for key in ATTRIBUTES}


def test_a_count_stands_for_bytes_that_the_picture_divides():
    """One corrective of each attribute: two of the smaller ones fit into as many bytes, and a third does not."""
    scores = {"rotation": [1.0, 1, 1], "scale": [3.0, 2, 1], "color": [0.0, 9, 8]}
    assert kept_of(scores, keep_count=1, score="variance") == {"rotation": [0], "scale": [0], "color": [1]}
    k = tiny_avatar().config.basis_size
    assert 3 * bytes_each("color", k) <= sum(bytes_each(name, k) for name in ATTRIBUTES) < 4 * bytes_each("color", k)
    assert kept_of(scores, keep_count=1) == {"rotation": [], "scale": [0], "color": [1, 2]}
    assert kept_of(scores, keep_count=0) == {name: [] for name in ATTRIBUTES}


def test_variances_count_as_shares_of_their_own_sum_and_a_budget_may_be_met_exactly():
    """A quaternion's variance and a colour's have no common unit; and one scores below 1, one above."""
    scores = {"rotation": [0.004, 0.001, 0.0], "scale": [0.3, 0.2, 0.0], "color": [90.0, 10.0, 0.0]}
    k = tiny_avatar().config.basis_size
    limit = bytes_each("color", k) + bytes_each("rotation", k)
    about: dict[str, Any] = {"score": "variance", "fold_mean": False}
    for more in (0, 1):
        found = kept_of(scores, file_bytes=limit + more, **about)
        assert found == {"rotation": [0], "scale": [], "color": [0]}
    assert kept_of(scores, file_bytes=limit - 1, **about) == {"rotation": [], "scale": [], "color": [0]}
    assert kept_of(scores, file_bytes=0, **about) == {name: [] for name in ATTRIBUTES}


def test_what_is_measured_is_the_pruned_avatar_with_the_mean_folded_in():
    avatar, tried = tiny_avatar(), []
    statistics = {k: CorrectiveStatistics(torch.full((400, a), 0.5), torch.ones(400)) for k, a in WIDTH.items()}

    def error(a: Avatar) -> float:
        tried.append((len(a.index("color")), a.color.detach().clone()))
        return 0.25

    for fold in (True, False):
        tried.clear()
        config = PruningConfig(keep_count=None, allowed_loss_db=0.0, fold_mean=fold)
        kept, measured = choose(avatar, statistics, config, loss_db=loss_since(avatar, error))
        assert not any(len(rows) for rows in kept.values()), "nothing is lost by pruning all, which a loss of 0 allows"
        assert measured == "; training pictures lose 0.000 of 0 dB"
        assert [count for count, _ in tried[:2]] == [400, 0] and torch.equal(tried[0][1], avatar.color)
        torch.testing.assert_close(tried[1][1], avatar.color.detach() + (0.5 if fold else 0.0))


def test_a_report_says_what_was_kept_of_what():
    kept, share = {"rotation": 1_000, "scale": 20, "color": 3}, {"rotation": 0.5, "scale": 0.25, "color": 1.0}
    for score, what in (("variance", "of the variance"), ("image", "of the change of the picture")):
        expected = (
            f"kept correctives: rotation 1,000 of 5,000 (50.0% {what}), scale 20 of 5,000 (25.0% {what}), "
            f"color 3 of 5,000 (100.0% {what}); measured"
        )
        assert PruningReport(kept, share, 5000, score, "; measured").describe() == expected


def test_exactly_one_budget():
    found = r"found keep_count 5, keep_share None, file_bytes 10, allowed_loss_db None"
    with pytest.raises(ValueError, match=found):
        PruningConfig(keep_count=5, file_bytes=10).budget()
    assert PruningConfig(keep_count=None, keep_share=1.0).budget() == "keep_share"
    pairs: list[dict[str, Any]] = [{"keep_count": 5, "file_bytes": 10}, {"keep_count": None}]
    for wrong in pairs:
        with pytest.raises(ValueError, match="exactly one of keep_count, keep_share, file_bytes, allowed_loss_db"):
            PruningConfig(**wrong).budget()
    with pytest.raises(ValueError, match=r"keep_share: expected 0..1"):
        PruningConfig(keep_count=None, keep_share=1.5).budget()
    with pytest.raises(ValueError, match="allowed_loss_db has to be measured"):
        kept_of({key: [1.0] for key in ATTRIBUTES}, allowed_loss_db=0.1)


def test_file_bytes_are_divided_by_what_the_picture_loses():
    """Colour correctives matter most here: they get nearly all bytes, and the file is as large as allowed."""
    avatar = tiny_avatar()
    generator = torch.Generator().manual_seed(1)
    statistics = {
        name: CorrectiveStatistics(torch.zeros(400, a), weight * torch.rand(400, generator=generator))
        for name, a, weight in (("rotation", 4, 0.01), ("scale", 3, 0.1), ("color", 3, 1.0))
    }

    def size(a) -> int:
        return len(encode(avatar_arrays(a, {})))

    bare = tiny_avatar()
    keep(bare, statistics, dict.fromkeys(ATTRIBUTES, torch.tensor([], dtype=torch.long)), False)
    limit = (size(bare) + size(avatar)) // 2
    config = PruningConfig(keep_count=None, file_bytes=limit, score="image")
    report = prune(avatar, statistics, config, file_bytes=size)
    one = max(bytes_each(name, 4) for name in ATTRIBUTES)
    assert limit - 4 * one <= size(avatar) <= limit
    assert report.kept["color"] > report.kept["scale"] > report.kept["rotation"]
    assert f"; the file takes {size(avatar):,} of {limit:,} bytes" in report.describe()
    with pytest.raises(ValueError, match="with no corrective at all"):
        prune(tiny_avatar(), statistics, PruningConfig(keep_count=None, file_bytes=1000), file_bytes=size)


def probes(count: int, avatar) -> list[Probe]:
    """Pictures of this very avatar, rounded to bytes; the person 2 m away."""
    result = []
    for seed in range(count):
        pose, _, expression = random_pose(seed)
        T = torch.eye(4)[None].clone()
        T[0, 1, 1] = T[0, 2, 2] = -1.0
        T[0, :3, 3] = torch.tensor([0.0, 0.2, 2.0])
        K = torch.tensor([[[20.0, 0, 12], [0, 20, 12], [0, 0, 1]]])
        blank = torch.zeros(24, 24, 3, dtype=torch.uint8)
        probe = Probe(pose, torch.zeros(3), expression, T, K, blank, torch.full((24, 24, 1), 255, dtype=torch.uint8))
        with torch.no_grad():
            drawn = _draw(avatar, probe, "torch")[0]
        image = drawn.clamp(0, 1).mul(255).byte()
        result.append(Probe(pose, torch.zeros(3), expression, T, K, image, probe.mask))
    return result


def test_image_score_is_the_squared_change_of_the_picture():
    """Against finite changes: pruning single correctives, one after the other, and comparing pictures."""
    avatar = tiny_avatar()
    with torch.no_grad():  # small changes, where the first order holds
        for name in ATTRIBUTES:
            avatar.basis(name).mul_(0.1)
    statistics = corrective_statistics(avatar, poses(4))
    seen = probes(2, avatar)
    scored = image_statistics(avatar, statistics, seen * 12, True, "torch")
    with torch.no_grad():
        whole = [_draw(avatar, probe, "torch")[0] for probe in seen]
    for name in ("color", "scale"):
        rows, change = scored[name].score.topk(4).indices, []
        for row in rows.tolist():
            pruned = tiny_avatar()
            pruned.load_state_dict(avatar.state_dict())
            others = {k: torch.arange(400) for k in ATTRIBUTES}
            others[name] = others[name][others[name] != row]
            keep(pruned, statistics, others, True)
            with torch.no_grad():
                change += [float((_draw(pruned, p, "torch")[0] - w).square().sum()) for p, w in zip(seen, whole)]
        # 24 random signs each: a tenth to a third of noise, and the best four are chosen by it
        assert float(scored[name].score[rows].sum()) == pytest.approx(sum(change) / len(seen), rel=0.5)


def test_sensitivities_are_squared_derivatives_of_what_still_has_a_corrective():
    avatar = tiny_avatar()
    prune(avatar, corrective_statistics(avatar, poses(3)), PruningConfig(keep_count=100, score="variance"))
    pictures, expected, nodes = probes(2, avatar), torch.zeros(100, 3), torch.zeros_like(avatar.node_offset)
    for seed, probe in enumerate(pictures, 1):
        rgb, _ = _draw(avatar, probe, "torch")
        signs = torch.randint(0, 2, rgb.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        derivative, moved = torch.autograd.grad((rgb * signs).sum(), [avatar.scale, avatar.node_offset])
        expected, nodes = expected + derivative[avatar.index("scale")].square() / 2, nodes + moved.square() / 2
    found = sensitivities(avatar, pictures, "torch")
    assert {name: len(x) for name, x in found.items()} == dict.fromkeys(WIDTH, 100) | {"node": 60}
    assert expected.max() > 0 and nodes.max() > 0
    torch.testing.assert_close(found["node"], nodes)
    torch.testing.assert_close(found["scale"], expected)
    with pytest.raises(ValueError, match="needs at least one training picture, found none"):
        sensitivities(avatar, [], "torch")


def test_features_that_cannot_be_kept_are_refused():
    for left in (None, 2, 8, 16):
        PruningConfig(keep_features=left).check(16)
    for left in (0, 1, 7, 18, -2):
        with pytest.raises(ValueError, match=rf"even number from 2 to the 16 that are trained .*, found {left}"):
            PruningConfig(keep_features=left).check(16)
    with pytest.raises(ValueError, match="exactly one of keep_count"):
        PruningConfig(keep_count=None).check(16)


def test_the_image_score_is_an_average_over_pictures():
    """Of one picture: the squared derivative of its sum with random signs, along what pruning takes away."""
    avatar = tiny_avatar()
    statistics = corrective_statistics(avatar, poses(3))
    (probe,) = probes(1, avatar)
    scored = image_statistics(avatar, statistics, [probe], True, "torch")
    rgb, deltas = _draw(avatar, probe, "torch")
    signs = torch.randint(0, 2, rgb.shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    (derivative,) = torch.autograd.grad((rgb * signs).sum(), [avatar.color])
    expected = (derivative * (deltas["color"].detach() - statistics["color"].mean)).sum(1).square()
    assert expected.max() > 0
    torch.testing.assert_close(scored["color"].score, expected)
    with pytest.raises(ValueError, match="needs at least one training picture, found none"):
        image_statistics(avatar, statistics, [], True, "torch")


def test_a_probe_is_seen_in_the_colours_of_its_camera():
    avatar = tiny_avatar()
    (probe,) = probes(1, avatar)
    gain, offset = torch.tensor([[0.5, 1.0, 2.0]]), torch.tensor([[0.1, 0.0, -0.2]])
    with torch.no_grad():
        plain = _draw(avatar, probe, "torch")[0]
        found = _draw(avatar, replace(probe, colors=(gain, offset)), "torch")[0]
        black = rasterize(
            avatar(probe.pose, probe.transl, probe.expression).gaussians,
            *(probe.T_cam_world, probe.K, 24, 24, torch.zeros(3), "torch"),
        )
    alpha = black.alpha[0]
    torch.testing.assert_close(plain, black.rgb[0] + (1 - alpha))
    torch.testing.assert_close(found, black.rgb[0] * gain + alpha * offset + (1 - alpha))


def test_allowed_loss_is_measured_and_kept():
    avatar = tiny_avatar()
    seen = probes(2, avatar)
    statistics = image_statistics(avatar, corrective_statistics(avatar, poses(3)), seen * 4, True, "torch")

    def error(a) -> float:
        return picture_error(a, seen, "torch")

    before, kept = error(avatar), {}
    bare = tiny_avatar()
    prune(bare, statistics, PruningConfig(keep_count=0))
    most = 10 * np.log10(error(bare) / before)
    assert most > 0.1
    for allowed in (0.25 * most, 0.75 * most):
        pruned = tiny_avatar()
        config = PruningConfig(keep_count=None, allowed_loss_db=allowed, score="image")
        report = prune(pruned, statistics, config, loss_db=loss_since(pruned, error))
        loss = 10 * np.log10(error(pruned) / before)
        assert loss <= allowed and f"; training pictures lose {loss:.3f} of {allowed:g} dB" in report.describe()
        kept[allowed] = sum(report.kept.values())
    few, many = sorted(kept.values())
    assert 0 < few < many < 1200 and kept[0.25 * most] == many


def test_report_counts_parts_and_shows_where_they_are():
    avatar = tiny_avatar()
    statistics = corrective_statistics(avatar, poses(3))
    report = prune(avatar, statistics, PruningConfig(keep_count=100))
    part, shares = avatar.get_buffer("part"), kept_shares(avatar)
    for p in (0, 5):
        expected = (part[avatar.index("scale")] == p).sum() / (part == p).sum()
        assert float(shares[p, 1]) == pytest.approx(float(expected))
    text = table(avatar, statistics, report)
    assert f"{float(shares[5, 1]):.1%}" in next(line for line in text.splitlines() if line.startswith("   5 "))
    assert len(joint_of_parts(avatar)) == 12 and "rotation 100 of 400" in text
    assert all(line.endswith("       4.0       4.0") for line in text.splitlines() if line.startswith("   5 "))
    shown = picture(avatar, "torch", 64)
    assert shown.shape == (128, 192, 3) and 0.02 < (shown < 250).any(2).mean() < 0.6


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


def test_a_cosine_stays_high_for_longer_and_ends_at_the_same_rate():
    found = [decayed("cosine", 0.02, t) for t in (0.0, 0.5, 1.0)]
    assert found == pytest.approx([1, 0.51, 0.02])
    assert decayed("exponential", 0.02, 0.5) == pytest.approx(0.02**0.5) and decayed("exponential", 0.02, 0.0) == 1
    optimizer = FusedAdamConfig(lr=2e-3).setup([torch.nn.Parameter(torch.zeros(3))])
    config = DecaySchedulerConfig(final_factor=0.02, max_steps=10, shape="cosine")
    scheduler = config.setup().get_scheduler(optimizer, 2e-3)
    for _ in range(5):
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.51 * 2e-3)


def test_rates_rise_again_at_the_pruning_and_not_in_a_run_without_one():
    found = {}
    for at in (0.7, None):
        optimizer = FusedAdamConfig(lr=1.0).setup([torch.nn.Parameter(torch.zeros(3))])
        config = DecaySchedulerConfig(final_factor=0.02, max_steps=10, shape="cosine", after_pruning=4.0, pruned_at=at)
        scheduler, found[at] = config.setup().get_scheduler(optimizer, 1.0), []
        for _ in range(10):
            found[at].append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
    plain = [decayed("cosine", 0.02, step / 10) for step in range(10)]
    assert found[None] == pytest.approx(plain)
    assert found[0.7] == pytest.approx([*plain[:7], *(4 * rate for rate in plain[7:])])


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

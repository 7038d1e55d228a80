"""Levels of detail: the order of the Gaussians, the same person in any order, and a gate that is really kept."""

from dataclasses import replace

import numpy as np
import pytest

from nerfstudio_mobavatar.sampling import morton_order
from nerfstudio_mobavatar.web_export import bundle, levels
from nerfstudio_mobavatar.web_export.bundle import AvatarArrays, BundleError
from nerfstudio_mobavatar.web_export.detail import Level
from nerfstudio_mobavatar.web_export.evaluate import evaluate
from nerfstudio_mobavatar.web_export.reference import at_level, draw
from tests.synthetic_avatar import SyntheticAvatar, camera, walking_pose

SHOTS = [(walking_pose(1.0), np.array([0.3, 0.2, 1.0])), (walking_pose(4.0), np.array([1.0, 0.0, -0.6]))]
FINENESS = 94.0
"""At which the Gaussians' standard deviations are about a pixel, as after training."""


@pytest.fixture(scope="module")
def avatar() -> AvatarArrays:
    return SyntheticAvatar(num_gaussians=8001, num_parts=9, num_nodes=60, num_kept=400).build()


@pytest.fixture(scope="module")
def ordered(avatar: AvatarArrays) -> AvatarArrays:
    return levels.with_levels(avatar, SHOTS, FINENESS)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(max(np.mean((a.astype(np.float64) - b) ** 2), 1e-12)))


def test_the_order_is_a_permutation_in_blocks_that_cover_everything_evenly(avatar: AvatarArrays):
    order, counts = levels.tournament(avatar.position, avatar.opacity)
    assert counts == [1001, 2001, 4001]  # one more where a round has an odd number; nothing below MIN_COUNT
    np.testing.assert_array_equal(np.sort(order), np.arange(8001))
    place = np.empty(8001, int)
    place[morton_order(avatar.position)] = np.arange(8001)
    for first, end in zip([0, *counts], [*counts, 8001]):
        assert (np.diff(place[order[first:end]]) > 0).all()  # Morton order inside
    for count in counts:  # no stretch of the curve is left out, and the stronger of two neighbours stays
        assert np.diff(np.sort(place[order[:count]])).max() <= 2 * 8001 / count
        assert avatar.opacity[order[:count]].mean() > avatar.opacity.mean() + 0.05


def test_few_gaussians_have_no_levels(avatar: AvatarArrays):
    order, counts = levels.tournament(avatar.position[:1999], avatar.opacity[:1999])
    assert counts == [] and len(order) == 1999


def test_the_reordered_avatar_is_the_same_person(avatar: AvatarArrays, ordered: AvatarArrays):
    """Also what keeps a corrective goes along, to the bit."""
    order, _ = levels.tournament(avatar.position, np.exp(np.sort(avatar.log_scale, 1)[:, 1:].sum(1)) * avatar.opacity)
    expected, found = (evaluate(a, walking_pose(2.0)) for a in (avatar, ordered))
    for name in ("mean", "covariance", "color", "opacity"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name)[order])
    for name in ("rotation_index", "scale_index", "color_index"):
        assert (np.diff(getattr(ordered, name)) > 0).all()
    T, K = camera(96, 96)
    pictures = [draw(posed, T, K, 96, 96, np.ones(3))[0] for posed in (expected, found)]
    np.testing.assert_allclose(pictures[0], pictures[1], atol=1e-6)


def test_what_a_level_promises_holds(ordered: AvatarArrays):
    """Drawn again in another camera than those that chose it: a level's picture is no worse than the whole's."""
    assert [level.count for level in ordered.levels] == [1001, 2001, 4001]
    promised = [level for level in ordered.levels if level.pixels_per_metre > 0]
    assert len(promised) >= 2, "people that are some dozen pixels tall do not need 8,000 Gaussians"
    pose, _ = SHOTS[0]
    posed = evaluate(ordered, pose)
    factor, size, focal = 6, 240, FINENESS * 2.6
    T, K = camera(size, size)
    K[0, 0] = K[1, 1] = focal
    fine, alpha = draw(posed, T, K, size, size, np.ones(3), FINENESS)
    ideal = fine.reshape(size // factor, factor, size // factor, factor, 3).mean((1, 3))
    box = alpha.reshape(size // factor, factor, -1, factor).max((1, 3)) > 1 / 255
    small = K.copy()
    small[:2] /= factor
    size //= factor

    def error(g, fineness: float | None = FINENESS) -> float:
        return psnr(draw(g, T, small, size, size, np.ones(3), fineness)[0][box], ideal[box])

    whole = error(posed)
    assert whole > error(posed, None) + 3, "averaging down must beat gsplat's fixed blur"
    coarse = [level for level in ordered.levels if level.pixels_per_metre >= FINENESS / factor]
    assert coarse and all(error(at_level(posed, level)) > whole - 0.5 for level in coarse)
    assert (
        psnr(draw(at_level(posed, ordered.levels[0]), T, K, 240, 240, np.ones(3), FINENESS)[0], fine)
        < levels.GATE_DB - 10
    )


def test_levels_survive_the_file_and_nonsense_is_refused(ordered: AvatarArrays, monkeypatch: pytest.MonkeyPatch):
    decoded = bundle.decode(bundle.encode(ordered))
    assert decoded.levels == ordered.levels and decoded.pixels_per_metre == FINENESS
    plain = bundle.decode(bundle.encode(replace(ordered, levels=(), pixels_per_metre=None)))
    assert plain.levels == () and plain.pixels_per_metre is None
    good = Level(1000, 1.5, 50.0)
    for wrong in (
        (Level(0, 1.5, 50.0),),
        (Level(8001, 1.5, 50.0),),
        (Level(1000, 0.0, 50.0),),
        (Level(1000, 1.5, -1.0),),
        (good, good),
        (good, Level(2000, 1.5, 49.0)),
        (Level(1000, 17.0, 50.0),),
    ):
        with pytest.raises(BundleError, match="levels must ascend and lie below 8001"):
            bundle.decode(bundle.encode(replace(ordered, levels=wrong)))
    with pytest.raises(BundleError, match="pixels_per_metre is 0, expected a number above 0"):
        bundle.decode(bundle.encode(replace(ordered, pixels_per_metre=0.0)))


def test_levels_are_told_in_lines(ordered: AvatarArrays):
    lines = levels.describe_levels(ordered)
    assert lines[0] == "Training pictures had 94 pixels per metre; 8,001 Gaussians" and len(lines) == 4
    assert "level of     1,001, " in lines[1] and "enough up to" in lines[1]

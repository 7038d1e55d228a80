"""Sampling on the template: counts are exact, points are where they should be and spread as they should."""

import numpy as np
import pytest
from scipy.spatial import KDTree

from nerfstudio_mobavatar.sampling import interpolate, morton_order, nearest, poisson_disk, sample_surface

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [5, 5, 5], [5.1, 5, 5], [5, 5.1, 5]], np.float32)
FACES = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6]])


def test_surface_samples_follow_area():
    face, bary = sample_surface(SQUARE, FACES, 20_000, np.random.default_rng(0))
    np.testing.assert_allclose(bary.sum(1), 1, atol=1e-12)
    assert bary.min() >= 0
    share = np.bincount(face, minlength=3) / len(face)
    # areas 0.5, 0.5, 0.005; 5 sigma of a binomial share of one half is 0.018
    np.testing.assert_allclose(share, np.array([0.5, 0.5, 0.005]) / 1.005, atol=0.018)
    points = interpolate(SQUARE, FACES[face], bary)[face < 2]
    assert abs(points[:, 0].mean() - 0.5) < 0.01 and abs((points[:, 0] < 0.25).mean() - 0.25) < 0.02


def test_a_mesh_without_area_is_refused():
    with pytest.raises(ValueError, match="total area"):
        sample_surface(SQUARE, FACES[:0], 10, np.random.default_rng(0))


def test_poisson_disk_is_exact_and_better_spread_than_chance():
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.random((1500, 2)), np.zeros((1500, 1))], 1)
    chosen = poisson_disk(points, 200)
    assert len(chosen) == len(set(chosen.tolist())) == 200

    def closest(p: np.ndarray) -> float:
        return float(KDTree(p).query(p, k=2)[0][:, 1].min())

    chance = closest(points[rng.choice(1500, 200, replace=False)])
    # the densest packing of 200 discs in a unit square has distance 0.076; elimination reaches over half of it
    assert closest(points[chosen]) > max(0.038, 3 * chance)


def test_asking_for_more_points_than_there_are_is_an_error():
    points = np.random.default_rng(0).random((5, 3))
    assert poisson_disk(points, 5).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="out of only 5"):
        poisson_disk(points, 6)
    with pytest.raises(ValueError, match="nearest of only 5"):
        nearest(points, points, 6)


def test_morton_order_keeps_neighbours_together():
    points = np.random.default_rng(2).random((4000, 3))
    order = morton_order(points)
    assert sorted(order.tolist()) == list(range(4000))
    step = np.linalg.norm(np.diff(points[order], axis=0), axis=1).mean()
    assert step < 0.3 * np.linalg.norm(np.diff(points, axis=0), axis=1).mean()

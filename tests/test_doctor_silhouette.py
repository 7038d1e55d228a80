"""The doctor's fast paths against slow twins: silhouettes by brute force, the best shift by trying every move."""

import numpy as np
import pytest

from nerfstudio_mobavatar.doctor import silhouette


def brute_force(points: np.ndarray, faces: np.ndarray, width: int, height: int) -> np.ndarray:
    """Every pixel centre against every triangle, in the picture plane."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    shadow = np.zeros((height, width), bool)
    for a, b, c in points[faces]:
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        w0 = ((b[0] - x) * (c[1] - y) - (b[1] - y) * (c[0] - x)) / area
        w1 = ((c[0] - x) * (a[1] - y) - (c[1] - y) * (a[0] - x)) / area
        shadow |= (w0 >= 0) & (w1 >= 0) & (w0 + w1 <= 1)
    return shadow


def test_silhouette_against_brute_force() -> None:
    rng = np.random.default_rng(0)
    K = np.array([[60.0, 0, 20], [0, 55, 16], [0, 0, 1]])
    T = np.eye(4)
    T[:3, 3] = (0.1, -0.05, 3)
    points = rng.uniform(-0.8, 0.8, (60, 3)).astype(np.float32)
    faces = rng.integers(0, 60, (40, 3))
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])]
    local = (points + T[:3, 3]) @ K.T
    expected = brute_force(local[:, :2] / local[:, 2:], faces, 40, 32)
    found = silhouette.silhouette(points, faces, K, T, (40, 32))
    # a pixel centre on an edge may fall to either side in float32
    assert (found != expected).sum() <= 2 and 0.2 < expected.mean() < 0.95


def test_centre_offset_is_the_move_between_silhouettes() -> None:
    a = np.zeros((20, 30), bool)
    a[5:9, 4:10] = True
    assert silhouette.centre_offset(a, np.roll(a, (3, -4), (0, 1))) == pytest.approx(5.0)
    assert np.isnan(silhouette.centre_offset(a, np.zeros_like(a)))


def slow_shift(pairs: list[tuple[np.ndarray, np.ndarray]], reach: int) -> tuple[int, int, float]:
    best = (0, 0, -1.0)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            both = total = 0
            for shadow, mask in pairs:
                h, w = mask.shape
                moved = np.zeros_like(shadow)
                moved[max(dy, 0) : h + min(dy, 0), max(dx, 0) : w + min(dx, 0)] = shadow[
                    max(-dy, 0) : h + min(-dy, 0), max(-dx, 0) : w + min(-dx, 0)
                ]
                both += (moved & mask).sum()
                total += shadow.sum() + mask.sum()
            score = both / max(total - both, 1)
            best = max(best, (dx, dy, score), key=lambda item: item[2])
    return best


@pytest.mark.parametrize("seed", range(4))
def test_best_shift_against_every_move(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(3):
        shadow = np.zeros((40, 30), bool)
        x, y = rng.integers(6, 14), rng.integers(6, 18)
        shadow[y : y + rng.integers(8, 16), x : x + rng.integers(5, 10)] = True
        mask = np.roll(shadow, (3, -2), (0, 1)) ^ (rng.random((40, 30)) < 0.02)
        pairs.append((shadow, mask))
    found = silhouette.best_shift(pairs, 6)
    dx, dy, score = slow_shift(pairs, 6)
    assert (dx, dy) == (-2, 3)
    assert abs(found.dx - dx) <= 0.5 and abs(found.dy - dy) <= 0.5 and found.iou == pytest.approx(score, abs=1e-6)
    assert found.spread < 1 and found.iou_unmoved < found.iou


def test_a_shift_at_the_border_of_the_search_is_whole() -> None:
    shadow, mask = np.zeros((30, 30), bool), np.zeros((30, 30), bool)
    shadow[2:8, 2:8] = mask[20:26, 2:8] = True
    found = silhouette.best_shift([(shadow, mask)], 4)
    assert abs(found.dy) <= 4.5

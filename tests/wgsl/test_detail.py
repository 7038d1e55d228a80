"""Levels of detail and coarse pictures on a real driver against the torch twin (web_export/reference.py)."""

from dataclasses import replace

import numpy as np
import pytest

from nerfstudio_mobavatar.web_export import bundle, layout
from nerfstudio_mobavatar.web_export.detail import Level
from nerfstudio_mobavatar.web_export.evaluate import Pose, PosedArrays, evaluate
from nerfstudio_mobavatar.web_export.reference import at_level, draw
from nerfstudio_mobavatar.web_export.wgpu_renderer import WgpuRenderer
from tests.synthetic_avatar import SyntheticAvatar, camera, walking_pose

SIZE = 96
LEVELS = (Level(700, 1.9, 12.0), Level(2100, 1.3, 30.0))
FINENESS = 150.0
"""The camera gives 46 pixels per metre: the picture is three times as coarse as the training pictures."""


@pytest.fixture(scope="module")
def renderer(gpu: None) -> WgpuRenderer:
    return make_renderer(FINENESS)


def make_renderer(fineness: float | None) -> WgpuRenderer:
    built = SyntheticAvatar(num_gaussians=4999, num_parts=9, num_nodes=60, num_kept=400).build()
    return WgpuRenderer(bundle.encode(replace(built, levels=LEVELS, pixels_per_metre=fineness)))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(1 / np.mean((a.astype(np.float64) - b) ** 2)))


def expected(renderer: WgpuRenderer, pose: Pose, level: Level, fineness: float | None = FINENESS) -> tuple:
    """The twin's picture, and the box of the person."""
    posed: PosedArrays = at_level(evaluate(renderer.arrays, pose), level)
    rgb, alpha = draw(posed, *camera(SIZE, SIZE), SIZE, SIZE, np.ones(3), fineness)
    rows, columns = np.nonzero(alpha > 1 / 255)
    return rgb, np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_level_is_the_twins_prefix_enlarged(renderer: WgpuRenderer, number: int):
    pose, level = walking_pose(1.0), renderer.model.levels[number]
    renderer.instance.level = number
    rgb = renderer.render(pose, *camera(SIZE, SIZE), SIZE, SIZE, np.ones(3)) / 255
    picture, box = expected(renderer, pose, level)
    assert renderer.num_splats == level.count == (700, 2100, 4999)[number]
    assert psnr(rgb[box], picture[box]) >= 45  # faint splats are rounded to 8 bits one by one
    for other in (Level(level.count, 1.2 * level.enlarge, 0.0), Level(level.count - 300, level.enlarge, 0.0)):
        assert psnr(rgb[box], expected(renderer, pose, other)[0][box]) < 43, "the twin's limit sees both numbers"
    assert psnr(rgb[box], expected(renderer, pose, level, None)[0][box]) < 30, "not gsplat's fixed blur"


def test_finer_pictures_are_gsplats_to_the_bit(renderer: WgpuRenderer, gpu: None):
    """At 1.5 pixels per training pixel, and in a file that does not say how fine those were."""
    plain = make_renderer(None)
    T, K = camera(SIZE, SIZE)
    K[0, 0] = K[1, 1] = 1.5 * FINENESS * 2.6
    pictures = []
    for drawn in (renderer, plain):
        drawn.instance.level = len(LEVELS)
        pictures.append(drawn.render(walking_pose(1.0), T, K, SIZE, SIZE, np.ones(3)))
    assert pictures[0].min() < 200
    np.testing.assert_array_equal(*pictures)


def test_a_scaled_person_has_coarser_training_pictures(renderer: WgpuRenderer):
    """Twice as large and twice as far away is the same picture."""
    renderer.instance.level = 2
    T, K = camera(SIZE, SIZE)
    near = renderer.render(walking_pose(1.0), T, K, SIZE, SIZE, np.ones(3))
    place = np.diag([2.0, 2.0, 2.0, 1.0])
    renderer.instance.T_world_avatar = place
    T[:3, 3] *= 2
    far = renderer.render(walking_pose(1.0), T, K, SIZE, SIZE, np.ones(3))
    renderer.instance.T_world_avatar = np.eye(4)
    assert np.abs(near.astype(int) - far).max() <= 2
    assert layout.training_blur(FINENESS, place) == pytest.approx(4 * layout.training_blur(FINENESS, np.eye(4)))
    assert layout.training_blur(None, place) == layout.UNKNOWN_BLUR

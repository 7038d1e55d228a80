"""Refinement of a body fit: the objective against slow twins, bounds, stages, what is read, when it does nothing."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nerfstudio_mobavatar import refine as module
from nerfstudio_mobavatar import silhouette_fit as fit_module
from nerfstudio_mobavatar import silhouettes
from nerfstudio_mobavatar.capture import BodyFit, Capture
from nerfstudio_mobavatar.refine import RefineConfig, Refined, refine, refined_pose
from nerfstudio_mobavatar.silhouette_fit import (
    Corrections,
    corrected,
    distance_outside,
    misfit,
    moved_points,
    nearest_point,
    outline_gap,
    pose_points,
    prior,
    project,
    silhouette_error,
    solve,
    thin_body,
    without_common_motion,
)
from nerfstudio_mobavatar.silhouettes import Silhouettes, load_silhouettes
from tests.silhouette_scene import FRAMES, HELD_OUT_CAMERA, TRAIN_CAMERAS, TRAIN_ROWS, Scene, make_scene

FAST = RefineConfig(iterations=30, max_side=128, clothing_m=0.0, prior_weight=0.3)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("refine"))


@pytest.fixture(scope="module")
def seen_by(scene: Scene) -> Silhouettes:
    return load_silhouettes(scene.capture.cameras, scene.capture.images, range(FRAMES), 128, "cpu")


@pytest.fixture(scope="module")
def brought_back(scene: Scene) -> Refined:
    config = replace(FAST, cameras=False, shape=False)  # both are right
    return refine(scene.body, scene.wrong(), TRAIN_CAMERAS, TRAIN_ROWS, config)


def tensors(fit: BodyFit) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return tuple(torch.from_numpy(x).float() for x in (fit.pose, fit.transl, fit.betas))  # type: ignore[return-value]


def run(capture: Capture, scene: Scene, **changes) -> Refined:
    config = replace(FAST, **{"iterations": 2, **changes})
    return refine(scene.body, capture, TRAIN_CAMERAS, TRAIN_ROWS, config)


def test_sparse_points_are_the_bodys_own(scene: Scene) -> None:
    rng = np.random.default_rng(1)
    pose = torch.from_numpy(rng.normal(0, 0.3, (2, 55, 3))).float()
    transl, betas = torch.from_numpy(rng.normal(0, 1, (2, 3))).float(), torch.from_numpy(rng.normal(0, 1, 10)).float()
    sparse = thin_body(scene.body, 10)
    full = scene.body.vertices(pose, transl, betas, torch.zeros(2, 10))
    assert 500 < len(sparse.index) < scene.body.num_vertices / 3
    torch.testing.assert_close(pose_points(sparse, pose, transl, betas), full[:, sparse.index], atol=2e-5, rtol=0)
    far = torch.cdist(full[0], full[0, sparse.index]).min(1).values
    assert float(far.max()) < 0.06  # a cube's diagonal of 4.3 cm in the rest pose; posing and shape stretch it


def test_projection_and_distances_against_a_loop(scene: Scene, seen_by: Silhouettes) -> None:
    pose, transl, betas = tensors(scene.wrong().fit)
    points = pose_points(thin_body(scene.body, 10), pose, transl, betas)
    camera = torch.tensor([[0.01, -0.02, 0.005, 0.01, 0.02, -0.03]]).repeat(4, 1)
    pixels, m_per_px = project(points, seen_by, camera)
    outside = distance_outside(pixels, m_per_px, seen_by)
    gap = outline_gap(pixels, m_per_px, seen_by, nearest_point(pixels, seen_by))
    t, c = 2, 1
    T = corrected(seen_by.T_cam_world, camera)[c]
    for p in range(0, points.shape[1], 97):
        x = T[:3, :3] @ points[t, p] + T[:3, 3]
        u, v = (float(seen_by.K[c, i, i] * x[i] / x[2] + seen_by.K[c, i, 2]) for i in range(2))
        assert (u, v) == pytest.approx(pixels[t, c, p].tolist(), abs=1e-3)
        x0, y0 = math.floor(u - 0.5), math.floor(v - 0.5)
        fx, fy = u - 0.5 - x0, v - 0.5 - y0
        m = seen_by.outside[t, c]
        top = (1 - fx) * m[y0, x0] + fx * m[y0, x0 + 1]
        low = (1 - fx) * m[y0 + 1, x0] + fx * m[y0 + 1, x0 + 1]
        expected = float((1 - fy) * top + fy * low) * float(m_per_px[t, c])
        assert float(outside[t, c, p]) == pytest.approx(expected, abs=1e-4)
    for k in range(0, gap.shape[2], 41):
        apart = (pixels[t, c] - seen_by.outline[t, c, k]).norm(dim=-1).min()
        assert float(gap[t, c, k]) == pytest.approx(float(apart * m_per_px[t, c]), abs=1e-4)


def test_outside_the_picture_and_without_a_mask_nothing_is_outside(seen_by: Silhouettes) -> None:
    pixels = torch.tensor([-5.0, 20.0]).expand(FRAMES, 4, 1, 2)
    m_per_px = torch.ones(FRAMES, 4)
    assert float(distance_outside(pixels, m_per_px, seen_by).max()) == 0
    corner = torch.full((FRAMES, 4, 1, 2), 1.0)
    unseen = replace(seen_by, seen=torch.zeros_like(seen_by.seen))
    assert float(distance_outside(corner, m_per_px, seen_by).min()) > 5
    assert float(distance_outside(corner, m_per_px, unseen).max()) == 0
    assert misfit(torch.zeros(FRAMES, 7, 3), unseen, torch.zeros(4, 6), 0.01) == (0.0, 0.0)


def test_gradients_reach_every_correction(scene: Scene, seen_by: Silhouettes) -> None:
    change = Corrections.zeros(FRAMES, 10, 4, "cpu")
    for value in vars(change).values():
        value.requires_grad_()
    points = moved_points(thin_body(scene.body, 10), *tensors(scene.wrong().fit), change)
    pixels, m_per_px = project(points, seen_by, change.camera)
    silhouette_error(pixels, m_per_px, seen_by, nearest_point(pixels, seen_by), 0.0).backward()
    for name, value in vars(change).items():
        assert value.grad is not None and bool(value.grad.isfinite().all()), name
        per_number = value.grad.flatten(1).abs() if value.ndim > 1 else value.grad.abs()
        assert float(per_number.amax(-1).min() if value.ndim > 1 else per_number.min()) > 0, name


def test_camera_correction_turns_and_moves_in_the_cameras_own_axes() -> None:
    T = torch.eye(4).repeat(1, 1, 1)
    T[0, :3, 3] = torch.tensor([0.0, 0.0, 2.0])
    moved = corrected(T, torch.tensor([[0.0, 0.0, math.pi / 2, 0.1, 0.2, 0.3]]))[0] @ torch.tensor([1.0, 0, 0, 1])
    torch.testing.assert_close(moved[:3], torch.tensor([0.1, 1.2, 2.3]), atol=1e-6, rtol=0)
    assert torch.equal(corrected(T, torch.zeros(1, 6)), T)


def test_prior_is_zero_for_no_change_and_jumps_cost_by_the_smoothness() -> None:
    nothing = Corrections.zeros(4, 10, 2, "cpu")
    assert float(prior(nothing, 3.0)) == 0
    steady, jumping = torch.full((4, 22, 3), 0.1), torch.full((4, 22, 3), 0.1)
    jumping[::2] *= -1
    same, jumps = (replace(nothing, pose=p) for p in (steady, jumping))
    assert float(prior(same, 3.0)) == float(prior(same, 0.0)) == pytest.approx(float(prior(jumps, 0.0)))
    assert float(prior(jumps, 3.0)) > 2 * float(prior(jumps, 0.0))


def test_bounds_hold(scene: Scene, seen_by: Silhouettes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "RATES", dict.fromkeys(("pose", "transl", "betas", "camera"), 1.0))
    limits = replace(
        FAST, pose_limit_deg=1.0, transl_limit_m=0.002, betas_limit=0.1, camera_limit_deg=0.1, camera_limit_m=0.001
    ).limits()
    nothing = Corrections.zeros(FRAMES, 10, 4, "cpu")
    free = ("pose", "transl", "betas", "camera")
    change = solve(
        thin_body(scene.body, 10), *tensors(scene.wrong().fit), seen_by, nothing, free, limits, 0.0, 0.0, 0.0, 6
    )
    assert float(change.pose.abs().max()) <= math.radians(1) and float(change.pose.abs().max()) > math.radians(0.9)
    assert float(change.transl.abs().max()) <= 0.002 and float(change.betas.abs().max()) <= 0.1
    assert float(change.camera[:, :3].abs().max()) <= math.radians(0.1) + 1e-9
    assert float(change.camera[:, 3:].abs().max()) <= 0.001 + 1e-9


def test_what_is_not_free_keeps_its_start(scene: Scene, seen_by: Silhouettes) -> None:
    start = replace(Corrections.zeros(FRAMES, 10, 4, "cpu"), betas=torch.full((10,), 0.2))
    change = solve(
        thin_body(scene.body, 10),
        *tensors(scene.wrong().fit),
        seen_by,
        start,
        ("transl",),
        FAST.limits(),
        0.0,
        1.0,
        0.0,
        3,
    )
    assert torch.equal(change.betas, start.betas) and float(change.pose.abs().max()) == 0
    assert float(change.transl.abs().min()) > 0


def test_a_wrong_fit_is_brought_back(scene: Scene, brought_back: Refined) -> None:
    """On held-out frames too, which only the training cameras see."""
    wrong, change = scene.wrong().fit, brought_back.corrections
    pose = refined_pose(torch.from_numpy(wrong.pose), change).numpy()
    fit = BodyFit(pose, wrong.transl + change.transl.numpy(), wrong.expression, wrong.betas + change.betas.numpy())
    truth = scene.vertices(scene.capture.fit)
    before, after = ((scene.vertices(f) - truth).norm(dim=-1).mean(1) for f in (wrong, fit))
    assert brought_back.changed and float(before.min()) > 0.05
    assert float((after / before).max()) < 0.2
    assert (pose[:, 22:] == wrong.pose[:, 22:]).all()
    assert "body points outside the masks" in brought_back.report and "cam3" in brought_back.report


def test_a_right_fit_is_left_alone(scene: Scene) -> None:
    result = run(scene.capture, scene)
    assert not result.changed and "nothing was changed" in result.report
    assert all(float(value.abs().max()) == 0 for value in vars(result.corrections).values())
    assert run(scene.capture, scene, gate_share=-1.0).changed
    assert not run(scene.wrong(), scene, gate_share=1.0).changed
    assert not run(scene.wrong(), scene, gate_m=0.6).changed


def test_no_mask_of_the_held_out_camera_is_read_on_training_frames(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: set[tuple[str, str]] = set()
    load = silhouettes.load_matte

    def record(path: Path, *rest):
        read.add((path.parent.name, path.stem))
        return load(path, *rest)

    monkeypatch.setattr(silhouettes, "load_matte", record)
    monkeypatch.setattr(module, "LEAST_SPARE_FRAMES", 1)
    result = run(scene.wrong(), scene)
    spare = {str(row) for row in range(FRAMES)} - {str(row) for row in TRAIN_ROWS}
    assert {row for camera, row in read if camera == f"cam{HELD_OUT_CAMERA}"} == spare
    assert float(result.corrections.camera[HELD_OUT_CAMERA].abs().max()) > 0
    read.clear()
    result = run(scene.wrong(), scene, held_out_cameras="leave")
    assert not any(camera == f"cam{HELD_OUT_CAMERA}" for camera, _ in read)
    assert float(result.corrections.camera[HELD_OUT_CAMERA].abs().max()) == 0 and "keep their" in result.report


def test_cameras_do_not_move_together_with_the_body(scene: Scene) -> None:
    """Else the fit could leave the held-out camera's world without any mask noticing."""
    camera = run(scene.wrong(), scene, iterations=10).corrections.camera[list(TRAIN_CAMERAS)]
    T = torch.from_numpy(np.stack([c.T_cam_world for c in scene.capture.cameras[:3]])).float()
    world = camera.unflatten(1, (2, 3)) @ T[:, :3, :3]
    assert float(world.abs().max()) > 1e-4 and float(world.mean(0).abs().max()) < 1e-7
    assert float(without_common_motion(camera[:1], T[:1]).abs().max()) < 1e-8


def test_too_few_spare_frames_leave_the_held_out_camera(scene: Scene) -> None:
    result = run(scene.wrong(), scene)
    assert float(result.corrections.camera[HELD_OUT_CAMERA].abs().max()) == 0
    assert "takes at least 4 held-out frames, found 1" in result.report


def test_a_held_out_camera_is_brought_back(scene: Scene, seen_by: Silhouettes) -> None:
    """The poses are right; one camera looks 0.6 degrees past them and stands 3 cm off."""
    off = torch.tensor([[0.01, -0.006, 0.004, 0.03, -0.02, 0.02]])
    alone = seen_by.cameras([HELD_OUT_CAMERA])
    wrong = replace(alone, T_cam_world=corrected(alone.T_cam_world, off))
    nothing = Corrections.zeros(FRAMES, 10, 1, "cpu")
    body, numbers = thin_body(scene.body, 10), tensors(scene.capture.fit)
    change = solve(body, *numbers, wrong, nothing, ("camera",), FAST.limits(), 0.0, 0.1, 0.0, 60)
    points = moved_points(body, *numbers, nothing)
    true, before = (project(points, alone, camera)[0] for camera in (torch.zeros(1, 6), off))
    after = project(points, wrong, change.camera)[0]
    assert float((before - true).norm(dim=-1).mean()) > 1.5  # pixels
    assert float((after - true).norm(dim=-1).mean()) < 0.4


def test_switches(scene: Scene) -> None:
    wrong = scene.wrong()
    base = run(wrong, scene)
    assert float(base.corrections.betas.abs().max()) > 0 and float(base.corrections.camera.abs().max()) > 0
    assert float(run(wrong, scene, shape=False).corrections.betas.abs().max()) == 0
    assert float(run(wrong, scene, cameras=False).corrections.camera.abs().max()) == 0
    config = replace(FAST, iterations=3)
    fixed = refine(scene.body, wrong, TRAIN_CAMERAS, TRAIN_ROWS, config, fixed_shape=True)
    assert float(fixed.corrections.betas.abs().max()) == 0
    for change in (
        {"prior_weight": 300.0}, {"smoothness": 300.0}, {"clothing_m": 0.1}, {"max_side": 64}, {"shared_frames": 2},
        {"frames_at_once": 2}, {"pose_limit_deg": 2.0}, {"transl_limit_m": 0.01}, {"betas_limit": 0.1},
        {"camera_limit_deg": 0.1}, {"camera_limit_m": 0.001},
    ):  # fmt: skip
        other = run(wrong, scene, **change)
        assert any(
            not torch.equal(a, b) for a, b in zip(vars(base.corrections).values(), vars(other.corrections).values())
        ), change

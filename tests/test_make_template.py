"""The visual hull, the template made of it, and the command."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import KDTree

from nerfstudio_mobavatar.body_model import Body, load_body
from nerfstudio_mobavatar.capture import CaptureError
from nerfstudio_mobavatar.demo.motion import Motion
from nerfstudio_mobavatar.demo.scene import dome_cameras
from nerfstudio_mobavatar.doctor.silhouette import silhouette
from nerfstudio_mobavatar.make_template import MakeTemplate, advice
from nerfstudio_mobavatar.reconstruct_template import (
    HANDS,
    HullConfig,
    HullFrame,
    Reconstruction,
    limbs_apart,
    reconstruct,
    silhouette_iou,
    stretched_faces,
)
from nerfstudio_mobavatar.template import make_template
from nerfstudio_mobavatar.template_mesh import TemplateError, read_triangles
from nerfstudio_mobavatar.visual_hull import (
    FrameMasks,
    hull_field,
    hull_mesh,
    inside_metres,
    keep_body,
    signed_distance,
)
from tests.clothes import skirt_mesh

APART = torch.zeros(55, 3)
APART[16, 2], APART[17, 2] = -0.5, 0.5
APART[1, 2], APART[2, 2] = 0.15, -0.15
BETAS = torch.zeros(10)


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


def masks_of(vertices: np.ndarray, faces: np.ndarray, cameras: int, side: int = 160) -> FrameMasks:
    """From cameras that are always the same."""
    still = Motion(APART.numpy()[None], np.zeros((1, 3), np.float32), np.zeros((1, 10), np.float32))
    views = dome_cameras(still, BETAS.numpy(), cameras, side, side, 0)
    person = tuple(silhouette(vertices, faces, v.K, v.T_cam_world, (side, side)) for v in views)
    return FrameMasks(person, np.stack([v.K for v in views]), np.stack([v.T_cam_world for v in views]))


@pytest.fixture(scope="module")
def dressed() -> FrameMasks:
    """Silhouettes of the person in a skirt."""
    return masks_of(*skirt_mesh(APART), 10)


@pytest.fixture(scope="module")
def made(body: Body, dressed: FrameMasks) -> Reconstruction:
    config = HullConfig(voxel_m=0.02, faces=12_000)
    return reconstruct(body, BETAS, HullFrame(APART, torch.zeros(3), dressed), config)


def test_the_distance_changes_sign_between_pixels() -> None:
    person = np.zeros((9, 9), bool)
    person[3:6, 3:6] = True
    d = signed_distance(person)
    assert d[4, 4] == 1.5 and d[4, 5] == 0.5 and d[4, 6] == -0.5 and d[4, 8] == -2.5


def test_a_ball_comes_back() -> None:
    ball = trimesh.creation.icosphere(3, 0.3).apply_translation([0, -0.4, 0.05])
    masks = masks_of(ball.vertices.astype(np.float32), np.asarray(ball.faces, np.int64), 12, 128)
    body = np.asarray(ball.vertices, np.float32), np.asarray(ball.vertex_normals)
    grid, field = hull_field(masks, *body, np.full(len(body[0]), 0.1), 0.02)
    vertices, faces = hull_mesh(grid, field, 0, 10**6)
    mesh = trimesh.Trimesh(vertices, faces)
    radius = np.linalg.norm(vertices - [0, -0.4, 0.05], axis=1)
    assert mesh.is_watertight and 0.98 < mesh.volume / ball.volume < 1.2  # a hull is never smaller, but for half pixels
    assert np.percentile(radius, 5) > 0.29 and np.median(radius) < 0.315 and radius.max() < 0.4
    tight, _ = hull_mesh(*hull_field(masks, *body, np.full(len(body[0]), 0.005), 0.02), 0, 10**6)
    assert np.linalg.norm(tight - [0, -0.4, 0.05], axis=1).max() < 0.312, "the reach is not kept"
    few, kept = hull_mesh(grid, field, 5, 500)
    assert len(kept) <= 500 and trimesh.Trimesh(few, kept).volume > 0


def test_a_limb_that_the_masks_lost_is_kept(body: Body, dressed: FrameMasks) -> None:
    around = body.vertices(APART[None], torch.zeros(1, 3), BETAS, torch.zeros(1, 10))[0].numpy()
    torn = replace(dressed, person=tuple(np.where(np.arange(160)[None] < 55, False, m) for m in dressed.person))
    normals = trimesh.Trimesh(around, body.faces.numpy(), process=False).vertex_normals
    grid, field = hull_field(torn, around, normals, np.full(len(around), 0.1), 0.03)
    joined = keep_body(grid, field, around, normals)
    arm = around[body.skin_weights.numpy().argmax(1) == 19]
    cell = np.round((arm - grid.origin) / grid.voxel).astype(int)
    assert (field[tuple(cell.T)] > -0.02).mean() < 0.5 and (joined[tuple(cell.T)] > -0.02).mean() > 0.95


def test_nothing_inside_is_said() -> None:
    points = np.random.default_rng(0).random((50, 3)).astype(np.float32)
    masks = masks_of(points, np.array([[0, 1, 2]]), 3, 32)
    masks = replace(masks, person=tuple(np.zeros_like(m) for m in masks.person))
    with pytest.raises(ValueError, match="no voxel is inside all masks"):
        hull_mesh(*hull_field(masks, points, np.ones((50, 3)), np.full(50, 0.1), 0.05), 0, 100)


def test_the_frame_with_its_limbs_apart_is_preferred(body: Body) -> None:
    folded, touching = APART.clone(), APART.clone()
    folded[18, 1] = folded[19, 1] = 0.0
    folded[16, 2], folded[17, 2] = -1.4, 1.4  # arms down
    touching[1, 2], touching[2, 2] = -0.08, 0.08  # knees together
    scores = limbs_apart(body, BETAS, torch.stack([folded, APART, touching]), torch.zeros(3, 3))
    assert scores.argmax() == 1 and scores[1] > 0.15, scores


def test_the_reconstructed_template_is_the_dressed_person(
    body: Body, made: Reconstruction, dressed: FrameMasks
) -> None:
    where = (APART, torch.zeros(3), dressed)
    overlap = np.mean(silhouette_iou(made.template, body, *where))
    naked = np.mean(silhouette_iou(make_template(body, BETAS), body, *where))
    assert overlap > 0.9 and naked < 0.8, (overlap, naked)
    assert made.watertight and 60 < made.volume_litres < 200 and made.webs < 300
    truth, _ = skirt_mesh()
    distance = KDTree(made.template.vertices).query(truth)[0]
    assert np.median(distance) < 0.02 and np.percentile(distance, 95) < 0.05, np.percentile(distance, [50, 95])
    np.testing.assert_allclose(made.template.skin_weights.sum(1), 1, atol=1e-5)
    plain = make_template(body, BETAS)
    fingers = plain.vertices[plain.skin_weights[:, HANDS[2:]].sum(1) > 0.9]
    assert KDTree(made.template.vertices).query(fingers)[0].max() < 1e-5, "the hands are not the body's"


def frame(pose: torch.Tensor, cameras: int) -> HullFrame:
    return HullFrame(pose, torch.zeros(3), masks_of(*skirt_mesh(pose), cameras, 128))


def test_other_frames_carve_what_few_cameras_leave(body: Body) -> None:
    """Four cameras leave slabs; the person turns, and others see through. One bad frame does not decide."""
    turned = [APART.clone() for _ in range(4)]
    for pose, angle in zip(turned, (-0.7, -0.35, 0.35, 0.7)):
        pose[0, 1], pose[16, 2], pose[17, 2] = angle, -0.5 + 0.4 * angle, 0.5 + 0.4 * angle
    own, others = frame(APART, 4), [frame(pose, 4) for pose in turned]
    blind = replace(others[0].masks, person=tuple(np.zeros_like(m) for m in others[0].masks.person))
    truth = KDTree(skirt_mesh()[0])
    config = HullConfig(voxel_m=0.03, faces=6_000)
    found = {}
    for name, say in {"one": [], "several": others, "one is blind": [*others, replace(others[0], masks=blind)]}.items():
        made = reconstruct(body, BETAS, own, config, say)
        away = np.percentile(truth.query(made.template.vertices)[0], 95)
        missed = np.percentile(KDTree(made.template.vertices).query(truth.data)[0], 95)
        found[name] = (made.volume_litres, away, missed)
    assert found["several"][0] < 0.92 * found["one"][0] and found["several"][1] < 0.7 * found["one"][1], found
    assert found["several"][2] < found["one"][2] + 0.01, found
    assert found["one is blind"][0] > 0.9 * found["several"][0], found


def test_a_point_that_nobody_sees_is_not_carved(dressed: FrameMasks) -> None:
    inside, beside, behind = np.array([[0, -0.1, 0], [0.5, -0.6, 0], [0, 0, 50.0]], np.float32)
    value = inside_metres(dressed, np.stack([inside, beside, behind]))
    assert value[0] > 0.03 and -0.5 < value[1] < -0.1 and value[2] == np.inf, value


def test_what_only_touched_is_cut() -> None:
    posed = np.array([[0, 0, 0], [0.01, 0, 0], [0, 0.01, 0], [0.01, 0.01, 0]])
    canonical = posed + np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0], [0.5, 0, 0]])
    assert stretched_faces(posed, canonical, np.array([[0, 1, 2], [1, 3, 2]])).tolist() == [False, True]


def test_few_cameras_are_warned_about() -> None:
    assert "4 cameras make a poor hull" in advice(4, 0.95, True)[0] and advice(10, 0.95, True) == []
    assert "do not agree" in advice(10, 0.7, True)[0]


def test_the_command(mini_capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = MakeTemplate(mini_capture, tmp_path / "t.ply", hull=HullConfig(voxel_m=0.03))
    command.main()
    said = capsys.readouterr().out
    assert "Other frames that have a say: 0, " in said or "Other frames that have a say: 1, " in said, said
    assert "3 cameras make a poor hull" in said and "overlap with the masks (IoU)" in said and "litres" in said
    assert len(read_triangles(tmp_path / "t.ply")[1]) > 1000
    with pytest.raises(TemplateError, match="is there already"):
        command.main()
    with pytest.raises(TemplateError, match="a name ending in"):
        replace(command, output=tmp_path / "t.fbx").main()
    with pytest.raises(TemplateError, match="no such folder"):
        replace(command, output=tmp_path / "no" / "t.ply").main()
    with pytest.raises(TemplateError, match=r"--hull.voxel-m 3.0: expected 0.004 to 0.05 metres"):
        replace(command, overwrite=True, hull=HullConfig(voxel_m=3.0)).main()
    with pytest.raises(TemplateError, match=r"--hull.frames 99: expected 0 to 64 other frames"):
        replace(command, overwrite=True, hull=HullConfig(frames=99)).main()
    with pytest.raises(TemplateError, match=r"--frame 999: expected a training frame"):
        replace(command, overwrite=True, frame=999).main()
    with pytest.raises(CaptureError, match="needs at least 2 cameras"):
        names = [p.name for p in sorted(mini_capture.iterdir()) if p.is_dir()]
        replace(command, overwrite=True, test_cameras=tuple(names[1:])).main()

"""The synthetic capture: layout on disk, determinism, pictures that agree with the body parameters."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from nerfstudio_mobavatar.body_model import load_body
from nerfstudio_mobavatar.capture import CaptureError
from nerfstudio_mobavatar.demo import capture as demo_capture
from nerfstudio_mobavatar.demo import mesh_raster
from nerfstudio_mobavatar.demo.capture import DemoData
from nerfstudio_mobavatar.demo.mesh import SkinnedMesh, cut, subdivide
from nerfstudio_mobavatar.demo.mesh_raster import orthographic_depth, rasterize
from tests.fixtures import make_mini_capture


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.jpg"))
    }


def test_layout_is_complete(mini_capture: Path):
    calibration = json.loads((mini_capture / "calibration_full.json").read_text())
    assert len(calibration) == 4
    for name, camera in calibration.items():
        assert {len(camera["K"]), len(camera["R"])} == {9}
        assert camera["imgSize"] == [72, 96]
        for row in range(6):
            image = cv2.imread(str(mini_capture / name / f"{row:08d}.jpg"))
            mask = cv2.imread(str(mini_capture / name / "mask" / "pha" / f"{row:08d}.jpg"), cv2.IMREAD_GRAYSCALE)
            assert image.shape == (96, 72, 3) and mask.shape == (96, 72)
            assert 0.05 < (mask > 128).mean() < 0.6
            # the person is not cut off by the picture's edge
            assert max(mask[0].max(), mask[-1].max(), mask[:, 0].max(), mask[:, -1].max()) < 128
    fit = np.load(mini_capture / "smpl_params.npz")
    shapes = {"global_orient": 3, "transl": 3, "body_pose": 63, "jaw_pose": 3, "expression": 10}
    shapes |= {"left_hand_pose": 45, "right_hand_pose": 45}
    assert set(fit.files) == {*shapes, "betas"}
    assert fit["betas"].shape == (1, 10)
    assert all(fit[key].shape == (6, n) for key, n in shapes.items())
    assert (mini_capture / "missing_img_files.txt").read_text() == ""
    assert "SYNTHETIC" in (mini_capture / "README.txt").read_text()


def test_body_projects_into_the_masks(mini_capture: Path):
    """Undressed body under the written parameters and calibration: inside the mask grown by 2 pixels, and covering
    most of it. Catches any wrong camera, pose, hand or pixel convention."""
    fit = np.load(mini_capture / "smpl_params.npz")
    body = load_body()
    n = 6
    pose = np.concatenate(
        [
            fit["global_orient"].reshape(n, 1, 3),
            fit["body_pose"].reshape(n, 21, 3),
            fit["jaw_pose"].reshape(n, 1, 3),
            np.zeros((n, 2, 3), np.float32),
            fit["left_hand_pose"].reshape(n, 15, 3),
            fit["right_hand_pose"].reshape(n, 15, 3),
        ],
        1,
    )
    arrays = (pose, fit["transl"], fit["betas"][0], fit["expression"])
    vertices = body.vertices(*(torch.from_numpy(x) for x in arrays)).numpy()
    calibration = json.loads((mini_capture / "calibration_full.json").read_text())
    for name, camera in calibration.items():
        K, R, T = (np.array(camera[key]) for key in ("K", "R", "T"))
        for row in range(n):
            mask = cv2.imread(str(mini_capture / name / "mask" / "pha" / f"{row:08d}.jpg"), cv2.IMREAD_GRAYSCALE)
            p = vertices[row] @ R.reshape(3, 3).T + T
            uv = (p @ K.reshape(3, 3).T)[:, :2] / p[:, 2:]
            x, y = np.round(uv).astype(int).T
            grown = cv2.dilate((mask > 128).astype(np.uint8), np.ones((5, 5), np.uint8))
            assert grown[y.clip(0, 95), x.clip(0, 71)].mean() >= 0.97
            K_half = camera["K"] + np.array([0, 0, 0.5, 0, 0, 0.5, 0, 0, 0])
            hits = rasterize(
                torch.from_numpy(p).float(), body.faces, torch.from_numpy(K_half.reshape(3, 3)).float(), 72, 96
            )
            naked = np.zeros(72 * 96, bool)
            naked[hits.pixel.numpy()] = True
            overlap = naked.reshape(96, 72) & (mask > 128)
            # loose clothes and hair add a pixel or so around a person 15 pixels wide
            assert overlap.sum() / ((mask > 128) | naked.reshape(96, 72)).sum() > 0.75


def test_files_say_what_was_rendered(mini_capture: Path):
    """Half-pixel convention of the calibration, order of joints in the fit."""
    recipe = DemoData(Path("unused"), frames=6, cameras=4, width=72, height=96, frame_step=10).recipe()
    calibration = json.loads((mini_capture / "calibration_full.json").read_text())
    for camera in recipe.cameras:
        written = np.array(calibration[camera.name]["K"]).reshape(3, 3)
        assert np.allclose(camera.K - written, [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
        assert np.allclose(calibration[camera.name]["T"], camera.T_cam_world[:3, 3])
    fit = np.load(mini_capture / "smpl_params.npz")
    for key, first, count in (
        ("global_orient", 0, 1), ("body_pose", 1, 21), ("jaw_pose", 22, 1), ("left_hand_pose", 25, 15),
        ("right_hand_pose", 40, 15),
    ):  # fmt: skip
        assert np.array_equal(fit[key].reshape(6, count, 3), recipe.motion.pose[:, first : first + count]), key
    assert np.array_equal(fit["expression"], recipe.motion.expression)


def test_same_bytes_for_any_number_of_workers(mini_capture: Path, tmp_path: Path):
    again = make_mini_capture(tmp_path / "two", workers=2)
    assert _digests(again) == _digests(mini_capture)
    assert (again / "calibration_full.json").read_bytes() == (mini_capture / "calibration_full.json").read_bytes()


def test_seed_changes_person_and_pictures(mini_capture: Path, tmp_path: Path):
    other = make_mini_capture(tmp_path / "seed", seed=1, frames=1, cameras=1)
    first, second = np.load(mini_capture / "smpl_params.npz"), np.load(other / "smpl_params.npz")
    assert np.abs(first["betas"] - second["betas"]).max() > 0.1
    assert np.abs(first["body_pose"][0] - second["body_pose"][0]).max() > 0.1


def test_key_light_casts_shadows_that_the_dome_does_not():
    pictures = {}
    for lighting in ("dome", "key"):
        recipe = DemoData(Path("unused"), frames=1, cameras=2, width=60, height=80, lighting=lighting).recipe()
        frame = recipe.render(recipe.scene(), 0)
        pictures[lighting] = frame.rgb[frame.alpha == 255].astype(float).mean(1)
    assert np.abs(pictures["dome"] - pictures["key"]).mean() > 8
    assert pictures["key"].std() > pictures["dome"].std()


def test_folds_are_far_from_linear_in_the_pose():
    """Moving one elbow by small equal steps does not move its sleeve by equal steps: the residual of the best straight
    line over the bend is a large part of the motion."""
    recipe = DemoData(Path("unused"), frames=1, cameras=1, width=60, height=80).recipe()
    human = recipe.scene().human
    from nerfstudio_mobavatar.demo.folds import fold_height

    bends = torch.linspace(0.1, 1.9, 19)
    heights = []
    for bend in bends:
        pose = torch.zeros(55, 3)
        pose[18, 1] = -bend
        heights.append(fold_height(human.folds, pose, human.rest))
    h = torch.stack(heights)
    h = h[:, h.std(0) > 1e-3]
    design = torch.stack([torch.ones_like(bends), bends], 1)
    residual = h - design @ torch.linalg.lstsq(design, h).solution
    assert residual.var() / (h - h.mean(0)).var() > 0.5


def test_output_folder_is_never_emptied_silently(mini_capture: Path, tmp_path: Path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(CaptureError, match="not empty"):
        make_mini_capture(tmp_path)
    with pytest.raises(CaptureError, match="nothing was deleted"):
        make_mini_capture(tmp_path, overwrite=True)
    assert (tmp_path / "mine.txt").read_text() == "precious"
    folder = make_mini_capture(tmp_path / "own", frames=2, cameras=2)
    make_mini_capture(folder, frames=1, cameras=1, overwrite=True)
    assert sorted(_digests(folder)) == ["22010700/00000000.jpg", "22010700/mask/pha/00000000.jpg"]


def test_settings_are_checked_before_anything_is_written(tmp_path: Path):
    with pytest.raises(CaptureError, match="--frames 0"):
        make_mini_capture(tmp_path / "a", frames=0)
    with pytest.raises(CaptureError, match="not a readable motion"):
        make_mini_capture(tmp_path / "a", motion=tmp_path / "absent.npz")
    np.savez(
        tmp_path / "short.npz", global_orient=np.zeros((3, 3)), body_pose=np.zeros((3, 63)), transl=np.zeros((3, 3))
    )
    with pytest.raises(CaptureError, match="1 frames at step 10, but 6"):
        make_mini_capture(tmp_path / "a", motion=tmp_path / "short.npz")
    np.savez(tmp_path / "smpl.npz", poses=np.zeros((3, 72)))
    with pytest.raises(CaptureError, match="lacks global_orient, body_pose, transl"):
        make_mini_capture(tmp_path / "a", motion=tmp_path / "smpl.npz")
    assert not (tmp_path / "a").exists()


def test_motion_file_is_followed(test_data: Path, tmp_path: Path):
    motion = test_data / "motion" / "cmu_02_05_smplx.npz"
    folder = make_mini_capture(tmp_path / "cmu", motion=motion, frames=3, cameras=1)
    given, written = np.load(motion), np.load(folder / "smpl_params.npz")
    assert np.array_equal(written["body_pose"], given["body_pose"][0:30:10])
    moved, wanted = np.diff(written["transl"], axis=0), np.diff(given["transl"][0:30:10], axis=0)
    assert np.abs(moved - wanted).max() < 1e-6  # float32 of metres


def test_error_in_a_worker_reaches_the_caller(tmp_path: Path):
    recipe = DemoData(Path("unused"), frames=2, cameras=1, width=60, height=80).recipe()
    with pytest.raises(FileNotFoundError):  # the camera folders were never made
        list(demo_capture._render_on_cpu(recipe, tmp_path / "absent", workers=2))


def test_rasterizer_draws_the_pixels_whose_centres_are_covered():
    """Two overlapping triangles against a loop over pixels, perspective-correct weights against ray intersection."""
    points = torch.tensor(
        [[-1.0, -0.9, 3.0], [1.2, -0.5, 2.0], [0.1, 1.1, 4.0], [-0.8, 0.9, 2.5], [0.9, 0.8, 2.6], [0.0, -1.0, 3.5]]
    )
    faces = torch.tensor([[0, 1, 2], [3, 4, 5]])
    K = torch.tensor([[20.0, 0, 12.3], [0, 21.0, 9.7], [0, 0, 1]])
    hits = rasterize(points, faces, K, 25, 19)
    found = {int(p): (int(t), w) for p, t, w in zip(hits.pixel, hits.triangle, hits.barycentric)}
    for row in range(19):
        for column in range(25):
            ray = torch.tensor([(column + 0.5 - 12.3) / 20.0, (row + 0.5 - 9.7) / 21.0, 1.0])
            best = None
            for t, face in enumerate(faces):
                w = torch.linalg.solve(points[face].T, ray)
                if (w >= 0).all() and (best is None or 1 / w.sum() < best[0]):
                    best = (1 / w.sum(), t, w / w.sum())
            pixel = row * 25 + column
            assert (pixel in found) == (best is not None)
            if best is not None:
                assert found[pixel][0] == best[1]
                assert torch.allclose(found[pixel][1], best[2], atol=1e-4)  # float32 cancellation at edges


@pytest.mark.parametrize("lighting", ["dome", "key"])
def test_a_picture_is_the_same_alone_and_among_others(lighting, monkeypatch):
    """A GPU draws all cameras and all shadow maps of a frame together, a processor one after the other."""
    recipe = DemoData(Path("unused"), frames=1, cameras=3, width=60, height=80, lighting=lighting).recipe()
    scene = recipe.scene()
    alone = recipe.render(scene, 0)
    monkeypatch.setitem(mesh_raster._PIXELS_AT_ONCE, "cpu", 2 * 4 * 60 * 80)
    pairs = recipe.render(scene, 0)
    assert np.array_equal(pairs.alpha, alone.alpha)
    # sums over sky directions round differently
    assert np.abs(pairs.rgb.astype(int) - alone.rgb).max() <= 1 and (pairs.rgb == alone.rgb).mean() > 0.999


def test_orthographic_depth_of_a_tilted_plane():
    corners = torch.tensor([[-1.0, -1, -0.5], [1, -1, 0.5], [1, 1, 0.5], [-1, 1, -0.5]])
    depth = orthographic_depth(corners[None], torch.tensor([[0, 1, 2], [0, 2, 3]]), 8)[0]
    expected = (torch.arange(8) + 0.5) / 8 - 0.5
    assert torch.allclose(depth, expected.expand(8, 8), atol=1e-6)  # 30-bit depth, float32 arithmetic
    assert (orthographic_depth(corners[None] * 0.1, torch.tensor([[0, 1, 2]]), 8)[0, 0] == 2).all()


def test_cut_keeps_area_and_a_straight_edge():
    grid = np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0), [0.0]), -1).reshape(-1, 3)
    quads = np.array([[i, i + 1, i + 6, i + 5] for i in range(20) if i % 5 != 4])
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    weights = np.zeros((25, 55))
    weights[:, 0] = grid[:, 0]
    half = cut(SkinnedMesh(grid, faces, weights), 2.3 - grid[:, 0])
    assert half.points[:, 0].max() == pytest.approx(2.3)
    assert np.allclose(half.weights[:, 0], half.points[:, 0])  # attributes follow
    a, b, c = (half.points[half.faces[:, k]] for k in range(3))
    area = np.cross(b - a, c - a)[:, 2] / 2
    assert area.sum() == pytest.approx(2.3 * 4)
    assert (area > 0).all()  # no triangle turned over
    assert len(subdivide(half).faces) == 4 * len(half.faces)

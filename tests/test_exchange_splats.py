"""Posed snapshots in other formats, opened with other people's readers: the same Gaussians, and the same picture."""

from pathlib import Path

import numpy as np
import plyfile
import pytest
import torch
from scipy.spatial import KDTree

from nerfstudio_mobavatar.gaussians import PosedGaussians
from nerfstudio_mobavatar.render import rasterize
from nerfstudio_mobavatar.web_export.evaluate import PosedArrays, evaluate
from nerfstudio_mobavatar.web_export.exchange import ply, sog, splats, splats_glb, spz
from nerfstudio_mobavatar.web_export.exchange.errors import ExchangeError
from tests.exchange_readers import (
    gaussians_of_gltf,
    gaussians_of_table,
    needs_tools,
    problems,
    read_csv,
    splat_transform,
    turned,
    validate,
)
from tests.renderers import person_crop, psnr
from tests.synthetic_avatar import SyntheticAvatar, camera, walking_pose

WIDTH, HEIGHT = 192, 256
UP = np.array([0.0, 1.0, 0.0])
DOWN = splats.upright(UP, "y-down")


@pytest.fixture(scope="module")
def posed() -> PosedArrays:
    return evaluate(SyntheticAvatar(num_gaussians=3000).build(), walking_pose(1.0))


@pytest.fixture(scope="module")
def ours(posed: PosedArrays) -> np.ndarray:
    return draw(vars(posed))


def draw(g: dict[str, np.ndarray]) -> np.ndarray:
    """[HEIGHT, WIDTH, 3] uint8 by the torch rasteriser."""

    def tensor(x: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(x, np.float32))

    gaussians = PosedGaussians(*(tensor(g[key]) for key in ("mean", "covariance", "color", "opacity")))
    T, K = camera(WIDTH, HEIGHT)
    with torch.no_grad():
        drawn = rasterize(gaussians, tensor(T)[None], tensor(K)[None], WIDTH, HEIGHT, torch.zeros(3), "torch")
    return (drawn.rgb[0].clamp(0, 1) * 255).round().byte().numpy()


def decibels(read: dict[str, np.ndarray], ours: np.ndarray) -> float:
    crop = person_crop(ours)
    return psnr(draw(read)[crop], ours[crop])


def in_order(g: dict[str, np.ndarray], posed: PosedArrays) -> dict[str, np.ndarray]:
    """Formats that sort by place: back in the order of the avatar, by the nearest mean."""
    nearest = KDTree(g["mean"]).query(posed.mean)[1]
    assert len(np.unique(nearest)) == len(posed.mean)
    return {key: value[nearest] for key, value in g.items()}


def test_scales_and_rotations_are_those_of_the_skinned_covariances(posed: PosedArrays) -> None:
    """Float32 covariances: an eigenvalue is off by the rounding of the largest one, 1e-6 of it with some room."""
    s = splats.from_posed(posed)
    R = splats._scipy(s.rotation).as_matrix()
    half = R * s.scale[:, None]
    largest = posed.covariance.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(half @ half.transpose(0, 2, 1) / largest, posed.covariance / largest, rtol=0, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(s.rotation, axis=1), 1, rtol=0, atol=1e-12)
    assert (s.rotation[:, 0] >= 0).all() and (np.linalg.det(R) > 0.999).all()


@pytest.mark.parametrize("up", [(0, 1, 0), (0, -1, 0), (0, 0, 1), (1, 0, 0), (0.1, 0.9, -0.3)])
@pytest.mark.parametrize("axes", ["y-up", "y-down"])
def test_upright_turns_the_worlds_up_axis_to_the_formats(up: tuple[float, ...], axes: splats.Axes) -> None:
    R = splats.upright(np.array(up), axes)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(R) > 0
    sign = 1 if axes == "y-up" else -1
    np.testing.assert_allclose(R @ up / np.linalg.norm(up), [0, sign, 0], atol=1e-12)


def test_turning_moves_means_and_covariances_alike(posed: PosedArrays) -> None:
    R = splats.upright(np.array([0.3, 0.2, 0.9]), "y-up")
    s = splats.from_posed(posed).turned(R)
    half = splats._scipy(s.rotation).as_matrix() * s.scale[:, None]
    np.testing.assert_allclose(half @ half.transpose(0, 2, 1), R @ posed.covariance @ R.T, rtol=0, atol=1e-9)
    np.testing.assert_allclose(s.mean, posed.mean @ R.T, rtol=0, atol=1e-6)


def test_ply_opened_with_plyfile_draws_the_same_picture(posed: PosedArrays, ours: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    ply.write(path, splats.from_posed(posed).turned(DOWN))
    vertex = plyfile.PlyData.read(path)["vertex"]
    assert vertex.count == 3000 and all(p.val_dtype == "f4" for p in vertex.properties)
    read = turned(gaussians_of_table({p.name: vertex[p.name] for p in vertex.properties}), DOWN.T)
    np.testing.assert_allclose(read["mean"], posed.mean, rtol=0, atol=1e-6)
    np.testing.assert_allclose(read["color"], posed.color, rtol=0, atol=1e-6)
    assert decibels(read, ours) >= 60  # asked: 45


@needs_tools
def test_ply_is_upright_and_the_same_in_splat_transform(posed: PosedArrays, ours: np.ndarray, tmp_path: Path) -> None:
    """Its glTF is y up: what we call upright is what it does."""
    ply.write(tmp_path / "a.ply", splats.from_posed(posed).turned(DOWN))
    splat_transform(tmp_path / "a.ply", tmp_path / "a.csv")
    read = turned(gaussians_of_table(read_csv(tmp_path / "a.csv")), DOWN.T)
    assert decibels(read, ours) >= 60
    splat_transform(tmp_path / "a.ply", tmp_path / "a.glb")
    theirs = gaussians_of_gltf(tmp_path / "a.glb")
    np.testing.assert_allclose(theirs["mean"], posed.mean, rtol=0, atol=1e-5)
    assert decibels(theirs, ours) >= 60


@needs_tools
def test_spz_opened_with_niantics_code_is_upright_and_as_exact_as_its_bytes(posed, ours, tmp_path: Path) -> None:
    """Steps: 1/16384 m, 1/16 in the logarithm of a scale, 1/255 of 6.67 in a colour coefficient, 1/255 of opacity, and
    1/511 of 0.71 in a quaternion."""
    spz.write(tmp_path / "a.spz", splats.from_posed(posed))
    splat_transform(tmp_path / "a.spz", tmp_path / "a.csv")
    their_axes = np.diag([1.0, -1.0, -1.0])  # right, up, back -> right, down, front
    table = read_csv(tmp_path / "a.csv")
    read = in_order(turned(gaussians_of_table(table), their_axes), posed)
    np.testing.assert_allclose(read["mean"], posed.mean, rtol=0, atol=0.51 / 16384)
    np.testing.assert_allclose(read["color"], posed.color, rtol=0, atol=0.51 / 255 / 0.15 * splats.SH_C0)
    np.testing.assert_allclose(read["opacity"], posed.opacity, rtol=0, atol=0.51 / 255)
    largest = posed.covariance.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(read["covariance"] / largest, posed.covariance / largest, rtol=0, atol=0.09)
    found = decibels(read, ours)
    print(f"spz: {found:.1f} dB")
    assert found >= 45


@needs_tools
def test_sog_opened_with_splat_transform_is_as_exact_as_its_pictures(posed, ours, tmp_path: Path) -> None:
    sog.write(tmp_path / "a.sog", splats.from_posed(posed).turned(DOWN))
    splat_transform(tmp_path / "a.sog", tmp_path / "a.csv")
    read = in_order(turned(gaussians_of_table(read_csv(tmp_path / "a.csv")), DOWN.T), posed)
    np.testing.assert_allclose(read["mean"], posed.mean, rtol=0, atol=1e-4)
    np.testing.assert_allclose(read["opacity"], np.minimum(posed.opacity, 1), rtol=0, atol=0.51 / 255)
    found = decibels(read, ours)
    print(f"sog: {found:.1f} dB")
    assert found >= 45


def test_glb_opened_with_pygltflib_draws_the_same_picture(posed, ours, tmp_path: Path) -> None:
    splats_glb.write(tmp_path / "a.glb", splats.from_posed(posed), "CC0")
    read = gaussians_of_gltf(tmp_path / "a.glb")
    np.testing.assert_allclose(read["mean"], posed.mean, rtol=0, atol=1e-6)
    np.testing.assert_allclose(read["points"][:, :3], np.minimum(posed.color, 1), rtol=0, atol=0.51 / 255)
    assert decibels(read, ours) >= 60


@needs_tools
def test_glb_satisfies_khronos_validator(posed: PosedArrays, tmp_path: Path) -> None:
    splats_glb.write(tmp_path / "a.glb", splats.from_posed(posed), "CC0")
    report = validate(tmp_path / "a.glb")
    assert not problems(report)
    assert report["info"]["totalVertexCount"] == 3000


def test_spz_refuses_what_its_fixed_point_cannot_hold(posed: PosedArrays, tmp_path: Path) -> None:
    far = splats.from_posed(posed)
    far.mean[0, 2] = 600
    with pytest.raises(ExchangeError, match="within 512 m"):
        spz.write(tmp_path / "a.spz", far)
    assert not (tmp_path / "a.spz").exists()

"""The published runtime's `.npz` and `.pose.json`, against a reader written from the layout's description."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nerfstudio_mobavatar import trained_poses
from nerfstudio_mobavatar.gaussians import PosedGaussians
from nerfstudio_mobavatar.render import rasterize
from nerfstudio_mobavatar.template import BIG_POSE_HIP
from nerfstudio_mobavatar.web_export import bundle, pose_sequence
from nerfstudio_mobavatar.web_export.bundle import AvatarArrays
from nerfstudio_mobavatar.web_export.evaluate import Pose, evaluate
from nerfstudio_mobavatar.web_export.exchange import runtime_npz
from nerfstudio_mobavatar.web_export.exchange.errors import ExchangeError
from tests import published_runtime
from tests.renderers import person_crop, psnr
from tests.synthetic_avatar import SyntheticAvatar, camera, walking_pose

WIDTH, HEIGHT = 192, 256


@pytest.fixture(scope="module")
def avatar() -> AvatarArrays:
    """As an avatar file holds it."""
    small = SyntheticAvatar(num_gaussians=900, num_parts=12, num_nodes=60, num_kept=150).build()
    small = replace(small, num_head_parts=5)  # parts that see the expression, as a real head has
    regions = tuple(trained_poses.trained_regions(np.random.default_rng(4).normal(0, 1, (200, 73))))
    return bundle.decode(
        bundle.encode(replace(small, input_range=np.tile([[-2.0], [2.0]], 73), trained_regions=regions))
    )


def draw(g: dict[str, np.ndarray]) -> np.ndarray:
    def tensor(x: np.ndarray) -> torch.Tensor:
        return torch.tensor(np.asarray(x, np.float32))

    gaussians = PosedGaussians(*(tensor(g[key]) for key in ("mean", "covariance", "color", "opacity")))
    T, K = camera(WIDTH, HEIGHT)
    with torch.no_grad():
        drawn = rasterize(gaussians, tensor(T)[None], tensor(K)[None], WIDTH, HEIGHT, torch.zeros(3), "torch")
    return (drawn.rgb[0].clamp(0, 1) * 255).round().byte().numpy()


def written_row(pose: Pose, folder: Path) -> dict:
    """The pose as our `.pose.json` has it, read as plain JSON."""
    pose_sequence.write(folder / "a.pose.json", [pose], [7])
    rows = json.loads((folder / "a.pose.json").read_text())
    assert isinstance(rows, list) and rows[0].keys() == {"frame_id", "pose", "Th", "Rh", "expression"}
    assert rows[0]["frame_id"] == 7 and len(rows[0]["pose"]) == 165 and rows[0]["pose"][:3] == [0, 0, 0]
    return rows[0]


def test_the_numbers_of_the_module_are_those_of_the_template(avatar: AvatarArrays) -> None:
    assert runtime_npz.BIG_POSE_HIP == BIG_POSE_HIP
    assert runtime_npz.JOINT_PARENT.tolist() == list(published_runtime.SMPLX_PARENTS)


@pytest.mark.parametrize("width", [73, 74])
def test_what_we_write_is_our_avatar_in_the_independent_reader(avatar, width, tmp_path: Path) -> None:
    """Halves: 0.5 mm at 1 to 2 m. Colours and log scales of size 2 are 1/1024 off, correctives as much again."""
    runtime_npz.write(tmp_path / "a.npz", avatar, width)
    s = published_runtime.load(tmp_path / "a.npz")
    for key, dtype in published_runtime.DTYPES.items():
        assert s[key].dtype.str == dtype, key
    n, m, p = 900, 60, 12
    assert s["_sh0"].shape == (n, 1, 3) and s["ctrl_pt_offsets"].shape == (m, 3) and s["num_xyz_ft_head"].shape == ()
    assert s["layers.0.weight"].shape == (24, p, width) and s["layers.6.bias"].shape == (32, p)
    pose = walking_pose(0.7)
    found, ours = published_runtime.evaluate(s, written_row(pose, tmp_path)), evaluate(avatar, pose)
    np.testing.assert_allclose(found["mean"], ours.mean, rtol=0, atol=1.5e-3)
    np.testing.assert_allclose(found["color"], ours.color, rtol=0, atol=3e-3)
    np.testing.assert_allclose(found["opacity"], ours.opacity, rtol=0, atol=0.51 / 255)
    np.testing.assert_allclose(found["covariance"], ours.covariance, rtol=0, atol=0.02 * ours.covariance.max())
    a, b = draw(found), draw(vars(ours))
    decibels = psnr(a[person_crop(b)], b[person_crop(b)])
    print(f"{width}: {decibels:.1f} dB")
    assert decibels >= 45


def test_there_and_back_keeps_the_picture(avatar: AvatarArrays, tmp_path: Path) -> None:
    runtime_npz.write(tmp_path / "a.npz", avatar)
    back, width = runtime_npz.read(tmp_path / "a.npz")
    back = bundle.decode(bundle.encode(back))
    assert width == 73 and back.meta == avatar.meta
    assert back.input_range is not None and np.abs(back.input_range).max() == 2
    assert trained_poses.to_json(back.trained_regions) == trained_poses.to_json(avatar.trained_regions)
    worst = 99.0
    for phase in (0.0, 1.0, 2.5):
        ours = draw(vars(evaluate(avatar, walking_pose(phase))))
        crop = person_crop(ours)
        worst = min(worst, psnr(draw(vars(evaluate(back, walking_pose(phase))))[crop], ours[crop]))
    print(f"there and back: {worst:.1f} dB")
    assert worst >= 50
    np.testing.assert_allclose(back.position, avatar.position, rtol=0, atol=6e-4)
    np.testing.assert_allclose(back.inverse_bind, avatar.inverse_bind, rtol=0, atol=2e-3)


def test_skin_weights_that_no_file_has_rounded_yet_sum_to_255(avatar: AvatarArrays, tmp_path: Path) -> None:
    weight = np.random.default_rng(1).dirichlet(np.ones(4), len(avatar.position))
    runtime_npz.write(tmp_path / "a.npz", replace(avatar, skin_weight=weight))
    stored = published_runtime.load(tmp_path / "a.npz")["weights_val"].astype(int)
    assert (stored.sum(1) == 255).all() and np.abs(stored - 255 * weight).max() < 2


def rewritten(path: Path, **changes: np.ndarray | None) -> Path:
    """The file with some arrays replaced (None: left out)."""
    s = published_runtime.load(path) | changes
    np.savez(path, **{key: value for key, value in s.items() if value is not None})
    return path


@pytest.mark.parametrize("width", [73, 74, 80])
def test_all_three_widths_mean_the_same_and_constant_node_offsets_are_kept(avatar, width, tmp_path: Path) -> None:
    """A file of somebody else's: no notes of ours, offsets of nodes, garbage in the columns that always see a zero."""
    runtime_npz.write(tmp_path / "a.npz", avatar)
    rng = np.random.default_rng(0)
    first = published_runtime.load(tmp_path / "a.npz")["layers.0.weight"]
    if width > 73:
        first = np.insert(first, 63, 9, axis=2)
    first = np.concatenate([first, np.full((*first.shape[:2], width - first.shape[2]), 9, np.float16)], 2)
    offsets = rng.normal(0, 0.01, (60, 3)).astype(np.float16)
    path = rewritten(
        tmp_path / "a.npz", **{"layers.0.weight": first, "ctrl_pt_offsets": offsets, "mobavatar_meta": None}
    )
    found, found_width = runtime_npz.read(path)
    assert found_width == width and found.layer_sizes[0] == 73 and found.input_range is None
    assert found.meta["body"] == "unknown" and "SMPL-X" in found.meta["body_license"]
    pose = walking_pose(0.7)
    expected = published_runtime.evaluate(published_runtime.load(path), written_row(pose, tmp_path))
    ours = evaluate(found, pose)
    np.testing.assert_allclose(ours.mean, expected["mean"], rtol=0, atol=5e-5)
    np.testing.assert_allclose(
        ours.covariance, expected["covariance"], rtol=0, atol=1e-4 * expected["covariance"].max()
    )
    np.testing.assert_allclose(ours.color, expected["color"], rtol=0, atol=1e-4)


def test_a_root_rotation_in_the_pose_turns_about_the_pelvis(avatar: AvatarArrays, tmp_path: Path) -> None:
    """Files of others may have `pose[:3]`; ours is read the same way by the independent reader."""
    runtime_npz.write(tmp_path / "a.npz", avatar)
    row = written_row(walking_pose(0.7), tmp_path)
    row["pose"][:3] = [0.2, 0.5, -0.1]
    row["expression"] = None
    (tmp_path / "b.pose.json").write_text(json.dumps([row]))
    pose = pose_sequence.read(tmp_path / "b.pose.json")[0]
    back, _ = runtime_npz.read(tmp_path / "a.npz")
    back = replace(back, input_range=None, trained_regions=())
    expected = published_runtime.evaluate(published_runtime.load(tmp_path / "a.npz"), row)
    np.testing.assert_allclose(evaluate(back, pose).mean, expected["mean"], rtol=0, atol=5e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers.0.weight": np.zeros((24, 12, 75), np.float16)}, "73, 74, 80 numbers, found 75"),
        ({"gs_ctrl_knn": np.full((900, 3), 60, np.uint16)}, "gs_ctrl_knn must lie in 0..59, found 60"),
        ({"_scaling": np.zeros((800, 3), np.float16)}, r"expected _scaling of shape \(900, 3\)"),
        ({"layers.2.weight": np.zeros((24, 12, 25), np.float16)}, "not the next one's inputs"),
        ({"color_basis": np.full((150, 3, 16), np.nan, np.float16)}, "finite numbers in color_basis"),
        ({"layers.2.bias": None}, "do not fit together"),
        ({"weights_idx": None, "_xyz": None}, "lacks _xyz, weights_idx"),
        ({"_xyz": np.array([{}], object)}, "in '_xyz.npy' pickled Python objects"),
    ],
)
def test_files_that_are_none_are_refused_by_name(avatar, changes, message: str, tmp_path: Path) -> None:
    runtime_npz.write(tmp_path / "a.npz", avatar)
    path = rewritten(tmp_path / "a.npz", **changes)
    with pytest.raises(ExchangeError, match=message) as caught:
        runtime_npz.read(path)
    assert str(path) in str(caught.value)


def test_a_damaged_archive_is_refused(avatar: AvatarArrays, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    runtime_npz.write(path, avatar)
    data = path.read_bytes()
    for size in (0, 10, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(ExchangeError, match=r"expected an \.npz of plain arrays, found"):
            runtime_npz.read(path)
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1  # the archive's own checksum
    path.write_bytes(flipped)
    with pytest.raises(ExchangeError, match=r"expected an \.npz of plain arrays, found"):
        runtime_npz.read(path)


def test_what_the_layout_cannot_say_is_not_written(avatar: AvatarArrays, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    tilted = avatar.inverse_bind.copy()
    tilted[5, 0, 3] += 0.01
    parents = avatar.joint_parent.copy()
    parents[20] = 17
    cases = {
        "avatar's is another": replace(avatar, inverse_bind=tilted),
        "another skeleton": replace(avatar, joint_parent=parents),
        "10 of expression, this avatar 63 and 8": replace(
            avatar, mlp_weights=(avatar.mlp_weights[0][:, :, :71], *avatar.mlp_weights[1:])
        ),
        "beyond half precision": replace(avatar, log_scale=avatar.log_scale + np.inf),
    }
    for message, broken in cases.items():
        with pytest.raises(ExchangeError, match=message):
            runtime_npz.write(path, broken)
        assert not path.exists()

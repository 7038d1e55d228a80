"""Fine-tuning before rounding: the same avatar in torch and in the file, and pictures that lose less."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nerfstudio_mobavatar.gaussians import PosedGaussians
from nerfstudio_mobavatar.web_export import bundle, quality
from nerfstudio_mobavatar.web_export.bundle import AvatarArrays, BundleError
from nerfstudio_mobavatar.web_export.evaluate import PosedArrays, evaluate, joint_transforms, mlp_inputs
from nerfstudio_mobavatar.web_export.fine_tune import REACH, FineTune, Model
from nerfstudio_mobavatar.web_export.poster import drawing, stand
from nerfstudio_mobavatar.web_export.precision import PRESETS, ladder
from nerfstudio_mobavatar.web_export.quality import Precisely, network_inputs
from nerfstudio_mobavatar.web_export.quantise import prepare
from nerfstudio_mobavatar.web_export.trained_range import with_training
from nerfstudio_mobavatar.web_export.whiten import pose_samples
from tests.synthetic_avatar import SyntheticAvatar, walking_pose

TRAINED = [walking_pose(x) for x in np.linspace(0, 2 * np.pi, 9)]
HELD_OUT = [walking_pose(x) for x in (0.4, 1.2, 2.0, 4.3)]
SMALL, COARSE = PRESETS["small"], dict(ladder())["small / 2"]
STEPS = 40


@pytest.fixture(scope="module")
def avatar() -> AvatarArrays:
    built = SyntheticAvatar(num_gaussians=400, num_parts=9, num_nodes=40, num_kept=60).build()
    built = replace(built, pixels_per_metre=40.0, num_head_parts=3)
    found = with_training(built, TRAINED)
    return replace(found, meta=found.meta | stand(found, TRAINED[0], [0.0, 1.0, 0.0]))


@pytest.fixture(scope="module")
def files(avatar: AvatarArrays) -> dict[int, bytes]:
    """By steps of fine-tuning."""
    inputs = network_inputs(avatar, TRAINED)
    return {n: bundle.encode(avatar, COARSE, inputs, FineTune(TRAINED, n, rate=0.03)) for n in (0, STEPS)}


def assert_same(found: PosedGaussians, expected: PosedArrays, share: float) -> None:
    pairs = {
        "mean": found.means, "covariance": found.covariances, "color": found.colors, "opacity": found.opacities
    }  # fmt: skip
    for name, values in pairs.items():
        other = getattr(expected, name)
        np.testing.assert_allclose(values.detach().numpy(), other, rtol=0, atol=share * np.abs(other).max())


def test_the_model_is_the_avatar_before_rounding_and_the_file_after(avatar: AvatarArrays) -> None:
    """float32 before; after it the file has half precision besides: 1/500 of a variance of log scale 4."""
    samples = pose_samples(avatar, network_inputs(avatar, TRAINED))
    prepared = prepare(avatar, SMALL, samples)
    model = Model(prepared, SMALL, samples, "cpu")
    units = {name: found.units for name, found in model.numbers.items()}
    shifts = [torch.zeros_like(b) for b in model.rounded_biases]
    rounded = bundle.rounded(avatar, SMALL, network_inputs(avatar, TRAINED))
    for pose in HELD_OUT[:2]:
        x, G = (model.real(found) for found in (mlp_inputs(avatar, pose), joint_transforms(avatar, pose)))
        assert_same(model.exact(x, G), evaluate(avatar, pose), 2e-5)
        assert_same(model.rounded(units, shifts, x, G), evaluate(rounded, pose), 5e-3)


def test_without_steps_the_file_is_the_same(avatar: AvatarArrays, files: dict[int, bytes]) -> None:
    """But for a quaternion whose two largest numbers change places by being rounded: it is rounded once more."""
    found = bundle.decode(files[0])
    plain = bundle.rounded(avatar, COARSE, network_inputs(avatar, TRAINED))
    for name in ("position", "log_scale", "color", "opacity", "color_basis", "node_basis", "skin_weight"):
        np.testing.assert_array_equal(getattr(found, name), getattr(plain, name), name)
    for name in ("mlp_weights", "mlp_biases"):
        for mine, other in zip(getattr(found, name), getattr(plain, name)):
            np.testing.assert_array_equal(mine, other)
    assert (found.rotation != plain.rotation).any(1).mean() < 0.01


def loss(a: AvatarArrays, data: bytes) -> float:
    """Decibels between pictures before rounding and of the file, in poses that tuning never saw."""
    draw = drawing(HELD_OUT, a.meta, 96, torch.device("cpu"))
    return quality.picture_psnr(draw(a), draw(bundle.decode(data)))


def test_tuned_pictures_lose_less_in_poses_that_tuning_never_saw(avatar: AvatarArrays, files: dict[int, bytes]) -> None:
    plain, tuned = (loss(avatar, files[n]) for n in (0, STEPS))
    print(f"{plain:.2f} -> {tuned:.2f} dB, {len(files[0])} -> {len(files[STEPS])} bytes")
    assert tuned > plain + 0.25
    assert len(files[STEPS]) < 1.01 * len(files[0])


def test_what_gains_nothing_is_left_out_and_told(avatar: AvatarArrays, files, capsys) -> None:
    """So large a rate throws all numbers about."""
    found = bundle.encode(avatar, COARSE, network_inputs(avatar, TRAINED), FineTune(TRAINED, 2, rate=3.0))
    assert found == files[0] and "no gain: what it changed is left out" in capsys.readouterr().out


def test_nothing_leaves_its_place_by_more_than_a_step_and_zeros_stay(avatar, files, monkeypatch) -> None:
    monkeypatch.setattr(FineTune, "_better", lambda self, model, a, units, shifts, backend: (units, shifts))
    far = bundle.encode(avatar, COARSE, network_inputs(avatar, TRAINED), FineTune(TRAINED, 3, rate=3.0))
    plain, tuned = bundle.decode(files[0]), bundle.decode(far)
    for name, step in (("color", COARSE.color), ("log_scale", COARSE.log_scale), ("position", COARSE.position_m)):
        moved = np.abs(getattr(tuned, name) - getattr(avatar, name)).max() / step
        assert 0.51 < moved < REACH + 0.51, name  # and rounding
    for name in ("rotation_basis", "scale_basis", "color_basis", "node_basis"):
        before, after = getattr(plain, name), getattr(tuned, name)
        assert not after[before == 0].any() and (before != after).any(), name
    for before, after in zip(plain.mlp_weights, tuned.mlp_weights):
        assert not after[before == 0].any() and (before != after).any()
    for name in ("skin_weight", "node_weight", "part", "joint_rest"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(tuned, name))


def test_a_tuned_file_that_grows_still_fits(avatar: AvatarArrays) -> None:
    """Whatever tuning does to the bytes: here it takes away that colours repeat."""
    rng = np.random.default_rng(0)

    def grow(a: AvatarArrays, p, samples) -> AvatarArrays:
        return replace(a, color=a.color + rng.normal(0, 2 * p.color, a.color.shape))

    limit = len(Precisely("small").encode(avatar, TRAINED).data)
    assert len(Precisely("small").encode(avatar, TRAINED, grow).data) > limit
    made = Precisely("small", limit).encode(avatar, TRAINED, grow)
    assert 0.9 * limit < len(made.data) <= limit and made.is_tuned
    with pytest.raises(BundleError, match="more than the 5,000 asked for"):
        Precisely("small", 5000).encode(avatar, TRAINED, grow)


def test_the_table_shows_what_tuning_gained(avatar: AvatarArrays) -> None:
    made = Precisely("small").encode(avatar, TRAINED, FineTune(TRAINED, 1))
    rows = quality.table(
        avatar, made, TRAINED, drawing(HELD_OUT[:1], avatar.meta, 64, torch.device("cpu"))
    ).splitlines()
    assert rows[-2].startswith("  whole file (small)") and rows[-1].startswith("  the same, not fine-tuned")
    assert all(row.endswith(" dB") for row in rows[-2:])

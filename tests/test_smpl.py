"""SMPL and SMPL-H fits on SMPL-X's skeleton: joints stay where they were, shapes come close, losses are named."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.body_model import Body, forward_kinematics, load_body
from nerfstudio_mobavatar.capture import BodyFit, CaptureError
from nerfstudio_mobavatar.dataparsers.smpl import (
    AVERAGE_PELVIS,
    SmplPoses,
    listed_betas,
    read_smpl_model,
    shape_like,
    to_smplx,
)
from nerfstudio_mobavatar.transforms import axis_angle_to_rotmat
from tests.layouts.smpl_model import FILE, write_model

RNG = np.random.default_rng(0)
BETAS = RNG.normal(0, 1, 10)


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body("open")


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smpl")
    write_model(folder)
    return folder / FILE


def poses(joints: int = 24, frames: int = 3) -> SmplPoses:
    return SmplPoses(RNG.normal(0, 0.3, (frames, joints, 3)), RNG.normal(0, 1, (frames, 3)))


def joints_of(fit: BodyFit, body: Body) -> np.ndarray:
    """[t, 55, 3] in the world."""
    rest = body.rest(torch.from_numpy(fit.betas))[1]
    R = axis_angle_to_rotmat(torch.from_numpy(fit.pose))
    T = [forward_kinematics(r, rest, body.parents, t) for r, t in zip(R, torch.from_numpy(fit.transl))]
    return torch.stack(T)[..., :3, 3].numpy()


def test_shape_is_carried_over(model_file: Path, body: Body) -> None:
    """The coefficients differ, the surface does not; and a coarser surface, as SMPL's is, changes it by millimetres."""
    model = read_smpl_model(model_file)
    vertices, joints = model.rest(BETAS)
    found = torch.from_numpy(shape_like(model, BETAS, body)).float()
    assert np.abs(found.numpy() - BETAS).max() > 0.5
    got, got_joints = (x.numpy() for x in body.rest(found))
    assert np.abs((got - got_joints[0]) - (vertices - joints[0])).max() < 2e-3
    np.testing.assert_allclose(got_joints[:22] - got_joints[0], joints[:22] - joints[0], atol=1e-3)


def test_root_turns_about_smpls_pelvis(model_file: Path, body: Body) -> None:
    """Both ways to store the root put every joint where SMPL's own chain has it."""
    model, given = read_smpl_model(model_file), poses()
    rest = model.rest(BETAS)[1]
    R = axis_angle_to_rotmat(torch.from_numpy(given.pose[:, :22]))
    parents = body.parents[:22]
    chain = [
        forward_kinematics(r, torch.from_numpy(rest[:22]), parents, torch.from_numpy(t)) for r, t in zip(R, given.shift)
    ]
    expected = torch.stack(chain)[..., :3, 3].numpy()
    about_pelvis = to_smplx(Path("f"), given, BETAS, model, body).fit
    np.testing.assert_allclose(joints_of(about_pelvis, body)[:, :22], expected, atol=2e-3)
    still = given.pose.copy()
    still[:, 0] = 0
    Th = rest[0] + given.shift - Rotation.from_rotvec(given.pose[:, 0]).apply(rest[0])
    after = to_smplx(Path("f"), SmplPoses(still, Th, given.pose[:, 0]), BETAS, model, body).fit
    np.testing.assert_allclose(after.pose, about_pelvis.pose, atol=1e-6)
    np.testing.assert_allclose(after.transl, about_pelvis.transl, atol=1e-6)
    half = Rotation.from_rotvec(given.pose[:, 0] / 2)
    both = given.pose.copy()
    both[:, 0] /= 2
    Th = given.shift + rest[0] - half.apply(rest[0])
    # x = Rh (R0 (x - J) + J) + Th: a root rotation inside and one outside multiply
    mixed = to_smplx(Path("f"), SmplPoses(both, Th, half.as_rotvec()), BETAS, model, body).fit
    np.testing.assert_allclose(mixed.pose, about_pelvis.pose, atol=1e-6)
    np.testing.assert_allclose(mixed.transl, about_pelvis.transl, atol=1e-6)


def test_without_a_model_the_body_is_average_and_the_note_says_so(body: Body) -> None:
    given = poses()
    raw = to_smplx(Path("fit.npz"), given, BETAS, None, body)
    assert (raw.fit.betas == 0).all()
    np.testing.assert_allclose(joints_of(raw.fit, body)[:, 0], AVERAGE_PELVIS + given.shift, atol=1e-5)
    assert "SMPL fit carried over" in raw.notes[0] and "its shape is unknown" in raw.notes[0]
    assert "--smpl-model" in raw.notes[0] and "hands and face stay at rest" in raw.notes[0]
    assert (raw.fit.pose[:, 22:] == 0).all()


def test_hands_of_smplh_are_kept(body: Body) -> None:
    given = poses(52)
    raw = to_smplx(Path("fit.npz"), given, BETAS, None, body)
    np.testing.assert_allclose(raw.fit.pose[:, 25:], given.pose[:, 22:], atol=1e-6)
    assert (raw.fit.pose[:, 22:25] == 0).all()
    assert "SMPL-H fit" in raw.notes[0] and "the face stay" in raw.notes[0]


def test_rows_without_numbers_are_marked(body: Body) -> None:
    given = poses(frames=4)
    given.pose[1, 5, 0] = np.nan
    given.shift[3, 2] = np.inf
    raw = to_smplx(Path("fit.npz"), given, BETAS, None, body)
    assert raw.finite.tolist() == [True, False, True, False]
    assert np.isfinite(raw.fit.pose[[0, 2]]).all() and np.isfinite(raw.fit.transl[[0, 2]]).all()


def test_fits_and_models_that_are_refused(model_file: Path, body: Body, tmp_path: Path) -> None:
    with pytest.raises(
        CaptureError, match=r"f: expected 24 \(SMPL\) or 52 \(SMPL-H\) joints, found 55. A fit of SMPL-X"
    ):
        to_smplx(Path("f"), poses(55), BETAS, None, body)
    with pytest.raises(CaptureError, match=r"f: expected finite shape coefficients, found .*nan.* Fit the body again"):
        to_smplx(Path("f"), poses(), np.full(10, np.nan), None, body)
    with pytest.raises(CaptureError, match=r"expected a model with at least 16 shape directions .*, found 10. Give"):
        to_smplx(Path("f"), poses(), np.zeros(16), read_smpl_model(model_file), body)
    with pytest.raises(
        CaptureError, match=r"nowhere.pkl: expected a SMPL or SMPL-H model file .*, found none. Download"
    ):
        read_smpl_model(tmp_path / "nowhere.pkl")
    np.savez(
        tmp_path / "smplx.npz",
        v_template=np.zeros((9, 3)),
        shapedirs=np.zeros((9, 3, 10)),
        J_regressor=np.zeros((55, 9)),
    )
    with pytest.raises(
        CaptureError, match=r"smplx.npz: expected a SMPL \(24 joints\) .*, found 55 joints and J_regressor"
    ):
        read_smpl_model(tmp_path / "smplx.npz")
    with pytest.raises(CaptureError, match="f: expected shape coefficients of at most 200000 frames, found 1000000"):
        listed_betas(Path("f"), np.zeros((1_000_000, 3), np.float32))
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"v_template": Path("x")}))
    with pytest.raises(CaptureError, match=r"evil.pkl: found 'pathlib.PosixPath', refused"):
        read_smpl_model(tmp_path / "evil.pkl")

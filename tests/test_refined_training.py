"""Refinement inside nerfstudio: before the first step, once, stored; off or with a right fit nothing is different."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from nerfstudio.utils.eval_utils import eval_setup

from nerfstudio_mobavatar.corrections import FitCorrections
from nerfstudio_mobavatar.model import opencv_cameras
from nerfstudio_mobavatar.trainer import MobavatarTrainer, MobavatarTrainerConfig
from nerfstudio_mobavatar.web_export.export import pose_of
from tests.training_runs import STEPS, model_of, run, tiny_config


def refining(data: Path, output: Path) -> MobavatarTrainerConfig:
    config = tiny_config(data, output)
    config.pipeline.model.refine = "silhouettes"
    config.pipeline.model.refinement.iterations = 6
    return config


@pytest.fixture(scope="module")
def wrong_capture(mini_capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mini capture with a body that stands 6 cm beside itself and bends its elbows the wrong way."""
    folder = Path(shutil.copytree(mini_capture, tmp_path_factory.mktemp("wrong") / "capture"))
    with np.load(folder / "smpl_params.npz") as stored:
        arrays = {key: stored[key] for key in stored.files}
    arrays["transl"] = arrays["transl"] + np.array([0.06, 0, 0.03], np.float32)
    arrays["body_pose"] = arrays["body_pose"] + np.float32(0.05)
    np.savez(folder / "smpl_params.npz", **arrays)
    return folder


@pytest.fixture(scope="module")
def refined(wrong_capture: Path, tmp_path_factory: pytest.TempPathFactory) -> MobavatarTrainer:
    return run(refining(wrong_capture, tmp_path_factory.mktemp("refined")))


def test_off_there_is_no_trace_of_it(mini_capture: Path, tmp_path: Path) -> None:
    config = tiny_config(mini_capture, tmp_path)
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    model = model_of(trainer)
    assert model.corrections is None and not any("corrections" in name for name in model.state_dict())


def test_a_right_fit_trains_as_if_refinement_were_off(mini_capture: Path, tmp_path: Path, capsys) -> None:
    """Bit for bit, camera corrections of zero included."""
    off = model_of(run(tiny_config(mini_capture, tmp_path / "off"))).state_dict()
    on = model_of(run(refining(mini_capture, tmp_path / "on"))).state_dict()
    assert "nothing was changed" in " ".join(capsys.readouterr().out.split())
    assert {name for name in on if name not in off} == {
        f"corrections.{name}" for name in ("done", "pose", "transl", "betas", "camera")
    }
    assert all(torch.equal(value, on[name]) for name, value in off.items())


def test_the_refined_fit_is_what_everything_uses(refined: MobavatarTrainer) -> None:
    model, fit = model_of(refined), model_of(refined).capture.fit
    corrections = model.corrections
    assert corrections is not None and corrections.is_done()
    moved = model.get_buffer("fit_transl") - torch.from_numpy(fit.transl)
    torch.testing.assert_close(moved, corrections.get_buffer("transl"), atol=1e-6, rtol=0)
    assert float(moved.norm(dim=1).min()) > 0.002
    turned = model.get_buffer("fit_pose") - torch.from_numpy(fit.pose)
    torch.testing.assert_close(turned[:, :22], corrections.get_buffer("pose"), atol=1e-6, rtol=0)
    assert float(corrections.get_buffer("pose").abs().max()) > 0 and float(turned[:, 22:].abs().max()) == 0
    exported = pose_of(model, 0)
    np.testing.assert_allclose(exported.pose[1:], model.get_buffer("fit_pose")[0, 1:].numpy(), atol=1e-6)


def test_the_avatar_is_laid_out_on_the_refined_shape(refined: MobavatarTrainer) -> None:
    model = model_of(refined)
    assert model.corrections is not None
    body_betas = torch.from_numpy(model.capture.fit.betas).float() + model.corrections.get_buffer("betas")
    from nerfstudio_mobavatar.body_model import load_body

    layout = model._layout(load_body(), body_betas)
    assert float(model.corrections.get_buffer("betas").abs().max()) > 0
    for name, value in layout.buffers.items():
        torch.testing.assert_close(model.avatar.get_buffer(name), value, atol=1e-6, rtol=0)
    original = model._layout(load_body(), torch.from_numpy(model.capture.fit.betas).float())
    assert not torch.equal(original.buffers["joint_rest"], model.avatar.get_buffer("joint_rest"))


def test_cameras_of_the_capture_are_corrected_and_a_viewers_camera_is_not(refined: MobavatarTrainer) -> None:
    model = model_of(refined).eval()
    camera, _ = refined.pipeline.datamanager.next_train(0)
    T, *_ = opencv_cameras(camera, "cpu")
    assert camera.metadata is not None and model.corrections is not None
    expected = model.corrections.cameras(T, camera.metadata["cam_idx"][:, 0])
    assert torch.equal(model.correct_cameras(T, camera), expected) and not torch.equal(expected, T)
    camera.metadata = {"cam_idx": 0}
    assert torch.equal(model.correct_cameras(T, camera), T)


def test_resume_refines_no_second_time_and_equals_the_uninterrupted_run(
    refined: MobavatarTrainer, wrong_capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("refined again")

    monkeypatch.setattr("nerfstudio_mobavatar.model.refine", refuse)
    config = refining(wrong_capture, tmp_path)
    config.load_dir, config.load_step = refined.checkpoint_dir, 3
    expected, found = model_of(refined).state_dict(), model_of(run(config)).state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_eval_tools_load_the_refined_fit(refined: MobavatarTrainer, monkeypatch: pytest.MonkeyPatch) -> None:
    _, pipeline, _, step = eval_setup(refined.base_dir / "config.yml", test_mode="test")
    assert step == STEPS - 1 and isinstance(pipeline.model.corrections, FitCorrections)
    for name in ("fit_pose", "fit_transl", "corrections.camera"):
        assert torch.equal(pipeline.model.state_dict()[name], model_of(refined).state_dict()[name])
    state = torch.load(sorted(refined.checkpoint_dir.glob("*.ckpt"))[-1], weights_only=True)
    assert bool(state["pipeline"]["_model.corrections.done"])

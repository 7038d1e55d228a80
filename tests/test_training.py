"""Training through nerfstudio's own trainer on a tiny capture: it learns, prunes, resumes exactly, loads everywhere."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from nerfstudio.utils.eval_utils import eval_setup

from nerfstudio_mobavatar.blendshapes import ATTRIBUTES
from nerfstudio_mobavatar.fewer_features import room_left
from nerfstudio_mobavatar.optim import decayed
from nerfstudio_mobavatar.pruning import bytes_each, corrective_bytes, features_of
from nerfstudio_mobavatar.trainer import MobavatarTrainer, writer
from tests.training_runs import (
    PRUNE_STEP,
    STEPS,
    checkpoint_differences,
    differences,
    draw_random_numbers,
    model_of,
    run,
    tiny_config,
)


@pytest.fixture(scope="module")
def finished(mini_capture, tmp_path_factory) -> MobavatarTrainer:
    """An uninterrupted run with a checkpoint after every step."""
    return run(tiny_config(mini_capture, tmp_path_factory.mktemp("training")))


def test_pruning_happens_at_its_step_and_is_reported(finished):
    model = model_of(finished)
    assert model.prune_step == PRUNE_STEP and model.avatar.is_pruned
    kept, k = {name: len(model.avatar.index(name)) for name in ATTRIBUTES}, model.avatar.config.basis_size
    widths = features_of(model.avatar)
    assert model.avatar.node_basis.shape[2] == k == int(torch.stack(widths).max() + 1) // 2 * 2  # 2 of 4 on average
    assert int(torch.stack(widths).min()) < int(torch.stack(widths).max()) <= 4
    allowed = room_left(20 * sum(bytes_each(name, 4) for name in ATTRIBUTES), model.avatar, 2, True)
    room = allowed - sum(int(each.sum()) for each in corrective_bytes(model.avatar).values())
    assert 0 <= room < bytes_each("rotation", 4)  # those of 20 each with 4 features, by what the picture loses
    report = model.pruning_report
    assert report is not None and report.kept == kept and report.score == "image"
    said = f"rotation {kept['rotation']} of 100"
    assert said in report.describe() and said in (finished.base_dir / "pruning.txt").read_text()
    assert (finished.base_dir / "pruning.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"keep_features": 3}, "even number from 2 to the 4 that are trained .* found 3"),
     ({"keep_features": 6}, "found 6"),
     ({"file_bytes": 1000}, "exactly one of keep_count")],
)  # fmt: skip
def test_a_pruning_that_cannot_be_is_refused_before_training(mini_capture, tmp_path, setting, message):
    config = tiny_config(mini_capture, tmp_path)
    model: Any = config.pipeline.model
    model.pruning = replace(model.pruning, **setting)
    config.save_config()
    with pytest.raises(ValueError, match=message):
        config.setup(local_rank=0, world_size=1).setup()


@pytest.mark.parametrize("resume_after", [PRUNE_STEP - 2, PRUNE_STEP - 1, PRUNE_STEP, PRUNE_STEP + 2])
def test_resume_around_pruning_equals_the_uninterrupted_run(finished, tmp_path, mini_capture, resume_after):
    """Bit for bit on a CPU: parameters, Adam's moments, learning rates, random numbers and counters at the end."""
    draw_random_numbers()
    config = tiny_config(mini_capture, tmp_path)
    config.load_dir, config.load_step = finished.checkpoint_dir, resume_after
    resumed = run(config)
    assert checkpoint_differences(finished.checkpoint_dir, resumed.checkpoint_dir) == []
    expected, found = (dict(model_of(run).named_parameters()) for run in (finished, resumed))
    assert differences(expected, found) == []  # what the optimisers move is what the model holds
    assert resumed.step == finished.step == STEPS - 1  # max_num_iterations is the total, also after a resume


@pytest.mark.parametrize(("correctives", "risen"), [(True, 3.0), (False, 1.0)])
def test_schedules_know_the_run_and_its_pruning(tmp_path, mini_capture, correctives, risen):
    config = tiny_config(mini_capture, tmp_path)
    model: Any = config.pipeline.model
    model.correctives = correctives
    for group in config.optimizers.values():
        group["scheduler"].after_pruning = 3.0
    parameters = {name: [torch.nn.Parameter(torch.zeros(1))] for name in config.optimizers}
    pipeline = SimpleNamespace(get_param_groups=lambda: parameters)
    trainer: Any = SimpleNamespace(config=config, pipeline=pipeline, _model=SimpleNamespace(config=model))
    (factor,) = MobavatarTrainer.setup_optimizers(trainer).schedulers["color"].lr_lambdas
    wanted = [decayed("exponential", 0.1, step / STEPS) * (risen if step >= PRUNE_STEP else 1) for step in range(STEPS)]
    assert [factor(step) for step in range(STEPS)] == pytest.approx(wanted)
    assert all(group["scheduler"].pruned_at is None for group in config.optimizers.values())  # the user's stays


def test_a_finished_run_has_nothing_left_to_train(finished, tmp_path, mini_capture, capsys):
    config = tiny_config(mini_capture, tmp_path)
    config.load_dir, config.load_step = finished.checkpoint_dir, STEPS - 1
    run(config)
    assert "nothing left to train" in capsys.readouterr().out
    assert not list(tmp_path.rglob("*.ckpt"))


def test_checkpoints_hold_nothing_but_tensors_and_numbers(finished):
    paths = sorted(finished.checkpoint_dir.glob("*.ckpt"))
    assert len(paths) == STEPS - 1  # nerfstudio does not save after step 0
    for path in (paths[0], paths[-1]):
        state = torch.load(path, weights_only=True)
        assert set(state) >= {"step", "pipeline", "optimizers", "schedulers"}


def test_nothing_is_loaded_any_more_after_a_run(finished):
    assert finished.pipeline.datamanager._steps is None


def test_the_loss_falls(mini_capture, tmp_path):
    config = tiny_config(mini_capture, tmp_path, steps=60)
    model: Any = config.pipeline.model
    model.avatar.num_gaussians = 1000
    config.steps_per_save = 100
    config.save_config()
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    losses = []
    one = trainer.train_iteration

    def record(step: int):
        result = one(step)
        losses.append(float(result[1]["l1"].detach()))  # the perceptual term starts later, the sum may rise
        return result

    trainer.train_iteration = record
    trainer.train()
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_the_baseline_has_no_correctives_and_is_not_pruned(mini_capture, tmp_path):
    config = tiny_config(mini_capture, tmp_path)
    baseline: Any = config.pipeline.model
    baseline.correctives = False
    config.steps_per_save = 100
    model = model_of(run(config))
    assert not model.avatar.is_pruned
    assert all(float(model.avatar.basis(name).detach().abs().max()) == 0 for name in ATTRIBUTES)
    assert float(model.avatar.color.detach().abs().max()) > 0


def test_eval_tools_load_the_run_and_keep_the_splits_apart(finished):
    config_path = finished.base_dir / "config.yml"
    _, pipeline, path, step = eval_setup(config_path, test_mode="test")
    assert step == STEPS - 1 and path.name == f"step-{STEPS - 1:09d}.ckpt"
    metrics: Any = pipeline.get_average_eval_image_metrics()
    for tag in ("novel_view", "novel_pose"):
        for key in ("psnr", "ssim", "psnr_crop", "ssim_crop"):
            assert 0 < metrics[f"{tag}/{key}"] < 60
        assert 0.5 < metrics[f"{tag}/coverage"] <= 1 and 0 <= metrics[f"{tag}/holes"] < 0.5
        assert 0 <= metrics[f"{tag}/floaters"] <= metrics[f"{tag}/leak"] < 5
    assert metrics["novel_view/psnr"] > metrics["novel_view/psnr_crop"]  # white background flatters the full frame


def test_clocks_are_logged_when_the_losses_are(finished, monkeypatch):
    events = [{"name": name, "step": 0} for name in ("ETA (time)", "Train Iter (time)", "Train Rays / Sec", "Loss")]
    for step, left in ((0, 4), (1, 1), (10, 4)):
        monkeypatch.setattr(writer, "EVENT_STORAGE", list(events))
        monkeypatch.setattr(finished.config.logging, "steps_per_log", 10)
        finished._update_viewer_state(step)
        assert writer.EVENT_STORAGE == events[4 - left :]


def test_the_mask_term_is_a_term_where_it_has_a_weight(finished):
    model = model_of(finished).train()
    camera, batch = finished.pipeline.datamanager.next_train(STEPS)
    outputs = model.get_outputs(camera)
    assert "mask" not in model.get_loss_dict(outputs, batch)
    model.config.losses.mask_weight = 0.5
    found = model.get_loss_dict(outputs, batch)["mask"]
    model.config.losses.mask_weight = 0.0
    difference = (outputs["accumulation"] - batch["mask"].float() / 255).abs().mean()
    torch.testing.assert_close(found, 0.5 * difference)


def test_the_row_is_the_pictures_own_or_the_times(finished):
    model = model_of(finished).eval()
    loader = finished.pipeline.datamanager.fixed_indices_eval_dataloader
    camera, batch = loader.get(0)
    assert int(model.row_of(camera)) == batch["pose_row"]
    last = len(model.get_buffer("fit_pose")) - 1
    camera.metadata = {"cam_idx": 0}
    camera.times = torch.tensor([[1.0]])
    assert int(model.row_of(camera)) == last
    camera.times = None
    assert int(model.row_of(camera)) == 0


def test_outputs_for_the_viewer_have_picture_shape(finished):
    camera, _ = finished.pipeline.datamanager.fixed_indices_eval_dataloader.get(0)
    outputs = finished.pipeline.eval().model.get_outputs_for_camera(camera)
    height, width = int(camera.height), int(camera.width)
    assert outputs["rgb"].shape == (height, width, 3) and outputs["depth"].shape == (height, width, 1)
    assert not outputs["rgb"].requires_grad


def test_torch_leaves_cores_to_the_loaders_on_a_cpu(mini_capture, tmp_path, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(8)
        config = tiny_config(mini_capture, tmp_path)
        manager: Any = config.pipeline.datamanager
        manager.num_workers = 2
        config.setup(local_rank=0, world_size=1).setup()
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_a_gpu_that_is_not_there_is_named_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    config = tiny_config(tmp_path / "absent", tmp_path)
    config.machine.device_type = "cuda"
    with pytest.raises(RuntimeError, match=r"--machine\.device-type cpu"):
        config.setup(local_rank=0, world_size=1)

"""A run survives gradients that are not finite, names bad frames, says what to lower, and ends as a whole."""

import subprocess
import sys
import time

import pytest
import torch

from nerfstudio_mobavatar.step_watch import WINDOW, Shown, StepWatch, TrainingDivergedError, not_finite
from tests.training_runs import STEPS, model_of, tiny_config

BAD_STEP = 3


def started(capture, output, steps: int = STEPS):
    config = tiny_config(capture, output, steps)
    config.steps_per_save = 100
    config.save_config()
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    return trainer


def test_a_step_with_nan_changes_nothing_and_its_frame_is_named(mini_capture, tmp_path, capsys):
    trainer = started(mini_capture, tmp_path)
    model, one, kept = model_of(trainer), trainer.train_iteration, {}
    loss_of, spoilt = model.get_loss_dict, []

    def spoil(outputs, batch, metrics_dict=None):
        terms = loss_of(outputs, batch, metrics_dict)
        return terms | {"l1": terms["l1"] * float("nan")} if model.step == BAD_STEP else terms

    def iteration(step: int):
        before = [p.detach().clone() for p in model.parameters()]
        result = one(step)
        kept[step] = all(torch.equal(a, b) for a, b in zip(before, model.parameters()))
        if step == BAD_STEP:
            spoilt.append(trainer.pipeline.datamanager.last_shown)
        return result

    model.get_loss_dict, trainer.train_iteration = spoil, iteration
    trainer.train()
    assert [step for step, same in kept.items() if same] == [BAD_STEP]
    assert all(p.isfinite().all() for p in model.parameters())
    assert trainer.watch.skipped == spoilt and spoilt[0].step == BAD_STEP
    said = " ".join(capsys.readouterr().out.split())
    assert f"Step {BAD_STEP} left out" in said and trainer.watch.describe(spoilt[0]) in said
    moments = trainer.optimizers.optimizers["color"].state[model.avatar.color]
    assert float(moments["step"]) == STEPS - 1 and moments["exp_avg"].isfinite().all()


def test_memory_that_runs_out_says_what_to_lower(mini_capture, tmp_path, monkeypatch):
    trainer = started(mini_capture, tmp_path)

    def full(*args, **kwargs):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("nerfstudio_mobavatar.model.rasterize", full)
    with pytest.raises(
        RuntimeError, match=r"(?s)step 0: 3 pictures.*cameras-per-step \(now 4\).*num-gaussians \(now 100\)"
    ):
        trainer.train()


def test_not_finite_sees_nan_and_infinity_anywhere():
    good = [torch.ones(3), torch.zeros(2, 2)]
    assert not_finite(good) == 0
    for value in (float("nan"), float("inf"), -float("inf")):
        assert not_finite([*good, torch.tensor([1.0, value])]) == 1


def watch() -> StepWatch:
    return StepWatch([f"{10 * k}" for k in range(12)], ["left", "right"])


def test_frames_whose_loss_stays_high_are_listed_worst_first():
    w, noise = watch(), torch.Generator().manual_seed(0)
    for step in range(12 * 20):
        frame = step % 12
        level = {4: 0.09, 7: 0.05}.get(frame, 0.02) + 0.001 * torch.rand((), generator=noise)
        if frame == 2 and step < 12:
            level = torch.tensor(0.2)  # bad at first, as everything is
        w.note(Shown(step, frame, (0, 1)), torch.tensor(0.0), level)
    assert list(w.outliers()) == ["40", "70"]
    said = w.describe_outliers()
    assert said is not None and said.startswith("2 frames") and "40 (4." in said and "mobavatar doctor" in said


def test_no_frame_stands_out_of_even_ones():
    w = watch()
    assert w.describe_outliers() is None
    for step in range(60):
        w.note(Shown(step, step % 12, (0,)), torch.tensor(0.0), torch.tensor(0.02 + 0.0001 * (step % 12)))
    assert w.describe_outliers() is None


def test_a_window_without_one_good_step_ends_the_run():
    w = watch()
    for step in range(WINDOW - 1):
        assert w.note(Shown(step, 0, (1,)), torch.tensor(1.0), torch.tensor(float("nan"))) == []
    with pytest.raises(TrainingDivergedError, match=f"{WINDOW} steps in a row.*frame 0, cameras right"):
        w.note(Shown(WINDOW, 0, (1,)), torch.tensor(1.0), torch.tensor(float("nan")))
    w = watch()
    lines = [
        line
        for step in range(WINDOW)
        for line in w.note(Shown(step, 3, (0,)), torch.tensor(float(step % 10 == 0)), torch.tensor(0.1))
    ]
    assert len(w.skipped) == 10 and lines[0].startswith("Step 0 left out") and lines[-1].startswith("... and 5 more")


RANK = """
import sys, time, datetime, torch, torch.distributed as dist
from nerfstudio_mobavatar.parallel import StopTogether
rank = int(sys.argv[1])
dist.init_process_group("gloo", f"file://{sys.argv[2]}", datetime.timedelta(seconds=100), world_size=2, rank=rank)
try:
    with StopTogether():
        dist.all_reduce(torch.ones(1))
        if rank == 1:
            raise ValueError("frame 7 is broken")
        dist.all_reduce(torch.ones(1))  # the other one never comes
finally:
    time.sleep(60 * rank)  # a process that hangs while it cleans up: no closed connection tells the other one
"""


def test_when_one_rank_fails_the_other_ends_and_says_why(tmp_path):
    def start(rank: int) -> subprocess.Popen:
        command = [sys.executable, "-c", RANK, str(rank), str(tmp_path / "store")]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    ranks = [start(0), start(1)]
    try:
        begun = time.monotonic()
        _, said = ranks[0].communicate(timeout=50)
        assert ranks[0].returncode == 1
        assert "rank 0 stops, because rank 1 failed: ValueError: frame 7 is broken" in said
        assert ranks[1].poll() is None and time.monotonic() - begun < 50
    finally:
        for process in ranks:
            process.kill()
            process.communicate()

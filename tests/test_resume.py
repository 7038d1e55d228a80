"""Nothing is lost: damaged checkpoints, full disks, folders that cannot be written, runs that are killed."""

import errno
import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from nerfstudio.utils.eval_utils import eval_setup

from nerfstudio_mobavatar import checkpoints, durable
from nerfstudio_mobavatar.checkpoints import CheckpointError
from nerfstudio_mobavatar.pipeline import MobavatarPipeline
from nerfstudio_mobavatar.step_watch import Shown, StepWatch
from tests.training_runs import (
    PRUNE_STEP,
    STEPS,
    checkpoint_differences,
    differences,
    draw_random_numbers,
    run,
    tiny_config,
)


@pytest.fixture(scope="module")
def finished(mini_capture, tmp_path_factory) -> Path:
    """The folder of a run with colours that accumulate gradients over three steps, and a checkpoint after each."""
    config = tiny_config(mini_capture, tmp_path_factory.mktemp("resume"))
    config.gradient_accumulation_steps = {"color": 3}
    run(config)
    return config.get_checkpoint_dir()


def resume(capture: Path, output: Path, folder: Path, step: int | None = None):
    config = tiny_config(capture, output)
    config.gradient_accumulation_steps = {"color": 3}
    config.load_dir, config.load_step = folder, step
    return config


def flip_a_byte(path: Path) -> None:
    """In the middle of the largest tensor, where torch itself would not notice."""
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
    lengths = struct.unpack_from("<2H", data, largest.header_offset + 26)  # of the local header's name and extra field
    data[largest.header_offset + 30 + sum(lengths) + largest.file_size // 2] ^= 0xFF
    path.write_bytes(data)
    torch.load(path, weights_only=True)


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_resume_between_two_accumulated_gradients(finished, mini_capture, tmp_path):
    trainer = run(resume(mini_capture, tmp_path, finished, PRUNE_STEP))
    assert checkpoint_differences(finished, trainer.checkpoint_dir) == []
    assert "color" in checkpoints.read(checkpoints.path_of(finished, PRUNE_STEP))["run"]["gradients"]


@pytest.fixture
def damaged(finished, tmp_path) -> Path:
    """A folder whose two newest checkpoints are damaged: a flipped byte, half of the file."""
    folder = Path(shutil.copytree(finished, tmp_path / "damaged"))
    flip_a_byte(checkpoints.path_of(folder, STEPS - 1))
    half = checkpoints.path_of(folder, STEPS - 2)
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    return folder


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used_in_plain_sight(
    finished, damaged, mini_capture, tmp_path, capsys
):
    before = {p.name: p.read_bytes() for p in damaged.iterdir()}
    trainer = run(resume(mini_capture, tmp_path / "again", damaged))
    said = words(capsys.readouterr().out)
    for step in (STEPS - 1, STEPS - 2):
        assert f"step-{step:09d}.ckpt is damaged" in said
    assert f"THE CHECKPOINT BEFORE IT IS USED INSTEAD: step-{STEPS - 3:09d}.ckpt" in said
    assert {p.name: p.read_bytes() for p in damaged.iterdir()} == before
    assert checkpoint_differences(finished, trainer.checkpoint_dir) == []


def test_a_damaged_checkpoint_that_was_asked_for_is_refused(damaged, mini_capture, tmp_path):
    expected = r"step-0+7.ckpt is damaged \(BadZipFile: the checksum of .* checkpoints of steps 3, 4"
    with pytest.raises(SystemExit, match=expected):
        resume(mini_capture, tmp_path / "again", damaged, STEPS - 1).setup(local_rank=0, world_size=1).setup()


def test_checkpoints_that_are_absent_are_named(tmp_path, finished):
    with pytest.raises(CheckpointError, match=r"nowhere: no such folder; give the nerfstudio_models folder"):
        checkpoints.newest(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"has no checkpoint \(step-\*\.ckpt\)"):
        checkpoints.newest(tmp_path)
    with pytest.raises(CheckpointError, match=r"step-000000099.ckpt: no such checkpoint; .* steps 3, 4, 5, 6, 7"):
        checkpoints.read(checkpoints.path_of(finished, 99))


def test_a_checkpoint_of_a_newer_version_says_so_in_training_and_in_nerfstudios_tools(
    finished, mini_capture, tmp_path, monkeypatch
):
    monkeypatch.setattr(MobavatarPipeline, "_version", checkpoints.LAYOUT + 1)
    config = resume(mini_capture, tmp_path, finished, 1)
    config.max_num_iterations = 3
    trainer = run(config)
    monkeypatch.undo()
    says = r"made by a newer version \(checkpoint layout 3, this one reads up to 2\): update"
    with pytest.raises(SystemExit, match=f"step-000000002.ckpt: {says}"):
        resume(mini_capture, tmp_path / "again", trainer.checkpoint_dir).setup(local_rank=0, world_size=1).setup()
    with pytest.raises(CheckpointError, match=says):
        eval_setup(trainer.base_dir / "config.yml", test_mode="test")


def test_a_checkpoint_of_another_run_is_refused_by_name(finished, mini_capture, tmp_path):
    config = resume(mini_capture, tmp_path, finished)
    config.pipeline.model.avatar.num_gaussians = 90  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(SystemExit, match=r"step-0+7.ckpt does not belong to this run .*options that are in the config"):
        config.setup(local_rank=0, world_size=1).setup()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_fills_up_loses_nothing_and_says_so(finished, mini_capture, tmp_path, monkeypatch, capsys, code):
    """From step 5 on nothing can be written: training goes on, and ends with a message."""
    config = resume(mini_capture, tmp_path, finished, 2)
    config.save_only_latest_checkpoint = True
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    fsync = os.fsync

    def full(handle: int) -> None:
        if trainer.step >= 5:
            raise OSError(code, os.strerror(code))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SystemExit, match=r"stopped at step 7: step-0+7.ckpt could not be written.*step 4 is safe"):
        trainer.train()
    why = "is full" if code == errno.ENOSPC else "cannot be written to"
    said = words(capsys.readouterr().out)
    assert "Step 6: step-000000006.ckpt could not be written" in said and why in said and "Training goes on" in said
    assert sorted(p.name for p in trainer.checkpoint_dir.iterdir()) == [f"step-{step:09d}.ckpt" for step in (3, 4)]
    monkeypatch.undo()
    again = run(resume(mini_capture, tmp_path / "again", trainer.checkpoint_dir))
    assert checkpoint_differences(finished, again.checkpoint_dir) == []


def test_the_configuration_of_a_run_stays_whole_where_it_cannot_be_written_again(mini_capture, tmp_path, monkeypatch):
    config = tiny_config(mini_capture, tmp_path)
    config.save_config()
    path = config.get_base_dir() / "config.yml"
    before, synced = path.read_bytes(), []

    def full(descriptor: int) -> None:
        synced.append(descriptor)
        raise OSError(errno.ENOSPC, "no space left")

    config.max_num_iterations += 1
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        config.save_config()
    assert synced and path.read_bytes() == before and [*path.parent.iterdir()] == [path]


def test_what_cannot_be_written_is_said_before_training(mini_capture, tmp_path, monkeypatch):
    config = tiny_config(mini_capture, tmp_path)
    monkeypatch.setattr(durable, "free_bytes", lambda _: 1000)
    with pytest.raises(SystemExit, match=r"no checkpoint could be written: one takes about \d+ MB, .* has 0 MB free"):
        config.setup(local_rank=0, world_size=1).setup()
    monkeypatch.undo()
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"no checkpoint could be written: .*file"):
        checkpoints.check_folder(tmp_path / "file" / "models", 1)


def test_the_newest_few_stay_and_those_of_another_run_are_left(tmp_path):
    for step in (2, 4, 6, 8, 10):
        checkpoints.write(checkpoints.path_of(tmp_path, step), {"step": step})
    checkpoints.keep_newest(tmp_path, 8, 2)
    assert checkpoints.steps_in(tmp_path) == [6, 8, 10]
    checkpoints.keep_newest(tmp_path, 8, 0)
    assert checkpoints.steps_in(tmp_path) == [8, 10]


def test_random_numbers_go_on_where_they_were():
    draw_random_numbers()
    state = checkpoints.random_state("cpu")
    expected = draw_random_numbers()
    draw_random_numbers()
    checkpoints.set_random_state(state, "cpu")
    assert draw_random_numbers() == expected


def test_a_watch_goes_on_where_it_was(tmp_path):
    def steps(watch: StepWatch, numbers: range) -> list[str]:
        said = []
        for s in numbers:
            loss, skipped = torch.tensor(0.5 if s % 7 == 0 else 0.02), torch.tensor(float(s in (40, 120)))
            said += watch.note(Shown(s, s % 7, (s % 2, 0)), skipped, loss)
        return said

    whole, first, second = (StepWatch([str(f) for f in range(7)], ["a", "b"]) for _ in range(3))
    expected = steps(whole, range(150))
    said = steps(first, range(90))
    checkpoints.write(tmp_path / "watch", {"pipeline": {}, "step": 89, "watch": first.state_dict()})
    second.load_state_dict(checkpoints.read(tmp_path / "watch")["watch"])
    said += steps(second, range(90, 150))
    assert said == expected and len(said) == 1
    assert differences(whole.state_dict(), second.state_dict()) == []
    assert whole.outliers() == second.outliers() != {}


def test_verdicts_from_before_and_after_a_resume_are_saved_together():
    """Those from before come from the file, later ones from a GPU, for which torch's device without numbers stands."""
    watch = StepWatch(["0"], ["a"])
    watch._pending = [(Shown(s, 0, (0,)), torch.tensor(0.0, device=d)) for s, d in ((3, "cpu"), (4, "meta"))]
    assert watch._verdicts().device.type == "meta"


KILL = """
import dataclasses, json, pathlib, sys
from tests.reliability import kill
print(json.dumps(dataclasses.asdict(kill.run(3, 1, 7, pathlib.Path(sys.argv[1]), kills_per_chain=3))))
"""


def test_killed_runs_go_on_bit_for_bit(tmp_path):
    """A handful; `python -m tests.reliability.kill` kills 50. In a process of its own, since it forks."""
    command = [sys.executable, "-W", "ignore", "-c", KILL, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    tally = json.loads(done.stdout.splitlines()[-1])
    assert sum(tally["kills"].values()) >= 3 and tally["resumes"] >= 1 and tally["finished_chains"] >= 1
    assert (tally["lost_checkpoints"], tally["diverged_resumes"], tally["damaged_exports"]) == (0, 0, 0), tally

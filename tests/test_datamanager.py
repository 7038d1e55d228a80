"""The streaming datamanager: what a step shows, resume, ranks, memory, errors, and nerfstudio's tools around it."""

import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from nerfstudio.data.datamanagers.full_images_datamanager import FullImageDatamanagerConfig
from nerfstudio.data.utils.dataloaders import FixedIndicesEvalDataloader
from nerfstudio.scripts.render import _disable_datamanager_setup
from nerfstudio.viewer.utils import parse_object
from nerfstudio.viewer.viewer_elements import ViewerElement

from nerfstudio_mobavatar.capture import CaptureError
from nerfstudio_mobavatar.datamanager import AvatarDataManager, AvatarDataManagerConfig
from nerfstudio_mobavatar.dataparsers.detect import AutoDataParserConfig
from nerfstudio_mobavatar.images import WINDOW_MULTIPLE
from nerfstudio_mobavatar.loading import SLOTS
from nerfstudio_mobavatar.stream import StepDataset, StepSampler
from tests.tiny_capture import CAMERAS, FRAMES, HEIGHT, WIDTH, write_capture


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_capture(tmp_path_factory.mktemp("datamanager") / "sound")


def manager(folder: Path, setup: dict[str, Any] | None = None, **options: Any) -> AvatarDataManager:
    parser = AutoDataParserConfig(test_cameras=("cam3",), test_frames=("10:",))
    config = AvatarDataManagerConfig(data=folder, dataparser=parser, **{"num_workers": 0, **options})
    return config.setup(**(setup or {}))


def sampler(rank: int = 0, world_size: int = 1, cameras: int = 3, seed: int = 1) -> StepSampler:
    of_pose = tuple(tuple(range(5 * pose, 5 * pose + 5)) for pose in range(7))
    return StepSampler(seed, rank, world_size, cameras, of_pose)


def test_sampling_is_a_pure_function_of_seed_step_and_rank() -> None:
    forward = [sampler()(step) for step in range(50)]
    backward = [sampler()(step) for step in reversed(range(50))][::-1]
    assert forward == backward
    assert forward != [sampler(seed=2)(step) for step in range(50)]


def test_a_step_shows_one_pose_from_different_cameras() -> None:
    for step in range(50):
        images = sampler()(step)
        assert len(set(images)) == 3 and len({i // 5 for i in images}) == 1
    assert len(sampler(cameras=9)(0)) == 5


def test_every_picture_is_shown_equally_often() -> None:
    """7 poses x 5 cameras, 3 at a time: after 5 epochs each picture was shown exactly 3 times."""
    counts = Counter(i for step in range(7 * 5) for i in sampler()(step))
    assert set(counts.values()) == {3} and len(counts) == 35


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_an_epoch_without_overlap(world_size: int) -> None:
    ranks = [sampler(rank, world_size) for rank in range(world_size)]
    draws = [ranks[rank](step)[0] // 5 for step in range(7) for rank in range(world_size)]
    for epoch in range(world_size):
        assert sorted(draws[7 * epoch : 7 * epoch + 7]) == list(range(7))


def test_sampler_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="rank 2 of 2"):
        sampler(2, 2)
    with pytest.raises(ValueError, match="cameras_per_step is 0"):
        sampler(cameras=0)
    with pytest.raises(ValueError, match="at least one image for each pose"):
        StepSampler(0, 0, 1, 4, ((0,), ()))


def test_training_step(sound: Path) -> None:
    cameras, batch = manager(sound, crop_margin=4).next_train(0)
    assert cameras.shape == (3,)
    height, width = batch["image"].shape[1:3]
    assert batch["image"].shape == (3, height, width, 3) and batch["image"].dtype == torch.uint8
    assert batch["mask"].shape == (3, height, width, 1) and batch["mask"].dtype == torch.uint8
    assert cameras.width.flatten().tolist() == [width] * 3 and cameras.height.flatten().tolist() == [height] * 3
    assert width % WINDOW_MULTIPLE == 0 and width < WIDTH
    assert cameras.metadata is not None and cameras.times is not None
    assert cameras.metadata["pose_row"].tolist() == [[batch["pose_row"]]] * 3
    assert cameras.metadata["image_size"] == (width, height)
    assert sorted(cameras.metadata["cam_idx"].flatten().tolist()) == [0, 1, 2]
    torch.testing.assert_close(cameras.times, torch.full((3, 1), batch["pose_row"] / (FRAMES - 1)))


def test_crops_are_the_full_frames_at_the_place_their_cameras_say(sound: Path) -> None:
    dm = manager(sound, crop_margin=4)
    for step in range(3):
        cameras, batch = dm.next_train(step)
        for k, index in enumerate(batch["image_idx"].tolist()):
            full, data = dm.train_dataset.cameras[index], dm.train_dataset.get_data(index, "uint8")
            x0, y0 = round(float(full.cx - cameras.cx[k])), round(float(full.cy - cameras.cy[k]))
            assert (float(full.cx) - x0, float(full.cy) - y0) == (float(cameras.cx[k]), float(cameras.cy[k]))
            height, width = batch["image"].shape[1:3]
            image, mask = (data[key][y0 : y0 + height, x0 : x0 + width] for key in ("image", "mask"))
            torch.testing.assert_close(batch["mask"][k], mask)
            torch.testing.assert_close(batch["image"][k], torch.where(mask > 0, image, 0))
            assert (batch["mask"][k] >= 128).sum() == (data["mask"] >= 128).sum(), "the person is cut off"
            torch.testing.assert_close(cameras.camera_to_worlds[k], full.camera_to_worlds)
            torch.testing.assert_close(cameras.fx[k], full.fx)


def test_margin_and_number_of_cameras_are_options(sound: Path) -> None:
    assert manager(sound, cameras_per_step=2).next_train(0)[0].shape == (2,)
    narrow, wide = (manager(sound, crop_margin=m).next_train(0)[1]["mask"] for m in (0, 12))
    assert (narrow.shape[1], narrow.shape[2]) == (64, 32) and wide.shape[2] == 48


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(torch.equal(torch.as_tensor(a[key]), torch.as_tensor(b[key])) for key in a)


def test_a_resumed_run_sees_what_the_uninterrupted_run_saw(sound: Path) -> None:
    dm = manager(sound)
    whole = [dm.next_train(step)[1] for step in range(6)]
    resumed = manager(sound, num_workers=2)
    assert all(same(resumed.next_train(step)[1], whole[step]) for step in (3, 4, 5))
    assert same(resumed.next_train(1)[1], whole[1])
    assert not same(manager(sound, train_cameras_sampling_seed=7).next_train(0)[1], whole[0])


def test_ranks_get_different_poses(sound: Path) -> None:
    rows = [manager(sound, {"world_size": 2, "local_rank": r}).next_train(0)[1]["pose_row"] for r in (0, 1)]
    assert rows[0] != rows[1]


class Counted(StepDataset):
    """Counts over all processes how many steps were loaded."""

    def __init__(self, inner: StepDataset, counter: Any):
        super().__init__(inner.sampler, inner.images, inner.views, inner.crop_margin)
        self.counter = counter

    def __getitem__(self, step: int) -> Any:
        with self.counter.get_lock():
            self.counter.value += 1
        return super().__getitem__(step)


@pytest.mark.parametrize("prefetch", [1, 3])
def test_no_more_is_loaded_ahead_than_asked_for(sound: Path, prefetch: int) -> None:
    dm = manager(sound, num_workers=1, prefetch_steps=prefetch)
    counter = multiprocessing.Value("i", 0)
    dm.__dict__["step_dataset"] = Counted(dm.step_dataset, counter)
    for step in range(2):
        dm.next_train(step)
    asked = SLOTS - 1
    deadline = time.monotonic() + 20
    while counter.value < 2 + asked + prefetch and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)  # time in which a worker that is not held back would run on
    assert counter.value == 2 + asked + prefetch


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_picture_ends_training_with_its_name(sound: Path, tmp_path: Path, workers: int) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / "capture"))
    dm = manager(folder, num_workers=workers)
    for path in folder.glob("cam*/*.jpg"):
        path.write_bytes(b"")
    with pytest.raises(CaptureError, match=r"cam\d.000000\d\d.jpg: expected a readable image, found that 0 bytes"):
        dm.next_train(0)


def damage(folder: Path, dm: AvatarDataManager, index: int, what: str) -> None:
    image = dm.train_dataset.metadata["images"][index]
    path: Path = image.mask_path if what == "mask" else image.image_path
    assert path.is_relative_to(folder)
    path.write_bytes(path.read_bytes()[:10] if what == "mask" else b"")


@pytest.mark.parametrize("what", ["image", "mask"])
def test_a_picture_that_cannot_be_read_is_left_out_named_once_and_counted(
    sound: Path, tmp_path: Path, what: str, capsys
) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / "capture"))
    whole = [manager(folder).next_train(step)[1]["image_idx"].tolist() for step in range(12)]
    dm = manager(folder)
    bad = whole[3][1]
    damage(folder, dm, bad, what)
    found = [dm.next_train(step)[1]["image_idx"].tolist() for step in range(12)]
    assert found == [[i for i in step if i != bad] for step in whole]
    assert list(dm.unreadable) == [bad]
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("is left out of training (1 so far)") == 1 and f"expected a readable {what}" in said
    assert dm.describe_trouble() == (
        "1 training pictures could not be read and were left out; loading processes died 0 times."
    )
    resumed = manager(folder, num_workers=2)
    assert [resumed.next_train(step)[1]["image_idx"].tolist() for step in range(5, 12)] == found[5:]


def test_a_pose_without_a_readable_picture_gives_way_to_the_next(sound: Path, tmp_path: Path, monkeypatch) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / "capture"))
    whole = [manager(folder).next_train(step)[1]["image_idx"].tolist() for step in range(5)]
    dm = manager(folder)
    for index in whole[2]:
        damage(folder, dm, index, "image")
    with pytest.raises(CaptureError, match=r"3 of 30 training pictures cannot be read, among them: .*cam\d"):
        dm.next_train(2)
    monkeypatch.setattr("nerfstudio_mobavatar.datamanager.MOST_UNREADABLE", 0.2)
    found = [dm.next_train(step)[1]["image_idx"].tolist() for step in range(5)]
    assert found == [whole[0], whole[1], whole[3], whole[3], whole[4]]


def test_an_evaluation_picture_that_cannot_be_read_is_passed_over(sound: Path, tmp_path: Path, capsys) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / "capture"))
    dm = manager(folder)
    chosen = dm.next_eval_image(7)[1]["image_idx"]
    dm.eval_dataset.metadata["images"][chosen].image_path.write_bytes(b"")
    count = len(dm.eval_dataset)
    assert dm.next_eval_image(7)[1]["image_idx"] == (chosen + 1) % count
    assert "The next picture is taken instead" in " ".join(capsys.readouterr().out.split())


def test_a_loading_process_that_dies_is_replaced_reported_and_changes_nothing(sound: Path, capsys) -> None:
    """It may die while this process is anywhere: torch's own handler would raise at that line."""
    alone = manager(sound)
    dm = manager(sound, num_workers=2, worker_timeout=2.0)
    for step in range(12):
        assert same(dm.next_train(step)[1], alone.next_train(step)[1])
        if step in (2, 3):
            os.kill(dm._steps.processes[step % 2].pid, signal.SIGKILL)  # pyright: ignore
            until = time.monotonic() + 0.3
            while time.monotonic() < until:
                time.sleep(0.01)
    assert 1 <= dm.restarts <= 2
    assert "a loading process died; all are started again (number 1" in " ".join(capsys.readouterr().out.split())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot fork safely")
def test_loading_processes_of_a_rank_start_without_importing_everything_again(sound: Path) -> None:
    """Python's default in the processes that nerfstudio starts for several GPUs."""
    known = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        dm = manager(sound, num_workers=1)
        dm.next_train(0)
    finally:
        multiprocessing.set_start_method(known, force=True)
    assert type(dm._steps.processes[0]).__name__ == "ForkProcess"  # pyright: ignore


def loading_with(kind: type[StepDataset], capture: Path) -> AvatarDataManager:
    dm = manager(capture, num_workers=1, worker_timeout=0.5)
    inner = dm.step_dataset
    dm.__dict__["step_dataset"] = kind(inner.sampler, inner.images, inner.views, inner.crop_margin)
    return dm


class Dying(StepDataset):
    """Memory is short: whoever loads is killed."""

    def __getitem__(self, step: int) -> Any:
        os._exit(9)


def test_loading_processes_that_always_die_are_an_error_with_a_remedy(sound: Path) -> None:
    dm = loading_with(Dying, sound)
    with pytest.raises(RuntimeError, match=r"step 0: expected a sample from the 1 loading processes(?s:.*)--num-work"):
        dm.next_train(0)
    assert dm.restarts == 3


class Stuck(StepDataset):
    """A disk that does not answer."""

    def __getitem__(self, step: int) -> Any:
        time.sleep(60)


def test_a_disk_that_hangs_is_an_error_with_a_remedy(sound: Path) -> None:
    dm = loading_with(Stuck, sound)
    with pytest.raises(RuntimeError, match=r"timed out.*raise --worker-timeout"):
        dm.next_train(0)


def test_loading_ends_when_asked_and_starts_again(sound: Path) -> None:
    alone, dm = manager(sound), manager(sound, num_workers=2)
    dm.next_train(0)
    workers = list(dm._steps.processes)  # pyright: ignore
    dm.stop_loading()
    assert len(workers) == 2 and not any(worker.is_alive() for worker in workers)
    assert same(dm.next_train(1)[1], alone.next_train(1)[1])


def test_number_of_workers(sound: Path) -> None:
    assert manager(sound, num_workers=3).num_workers() == 3
    alone = manager(sound, num_workers=None).num_workers()
    assert 1 <= alone <= 8
    assert manager(sound, {"world_size": 64}, num_workers=None).num_workers() == 1


def test_evaluation_pictures_are_full_frames(sound: Path) -> None:
    dm = manager(sound, {"test_mode": "test"})
    loader = dm.fixed_indices_eval_dataloader
    pairs = list(loader)
    assert len(pairs) == len(loader) == (FRAMES - 2) + 3 * 2
    camera, batch = pairs[0]
    assert camera.shape == (1,) and (int(camera.width), int(camera.height)) == (WIDTH, HEIGHT)
    assert batch["image"].shape == (HEIGHT, WIDTH, 3) and batch["image"].dtype == torch.uint8
    assert batch["mask"].shape == (HEIGHT, WIDTH, 1) and batch["mask"].dtype == torch.uint8
    assert Counter(b["split_tag"] for _, b in pairs) == {"novel_view": FRAMES - 2, "novel_pose": 6}
    assert [b["image_idx"] for _, b in pairs] == list(range(len(pairs)))
    for camera, batch in pairs:
        assert camera.metadata is not None
        assert camera.metadata["pose_row"].tolist() == [[batch["pose_row"]]]
        assert (camera.metadata["cam_idx"].item() == CAMERAS - 1) == (batch["split_tag"] == "novel_view")
    assert len(list(loader)) == len(pairs)


def test_next_eval_depends_on_the_step_alone(sound: Path) -> None:
    dm = manager(sound)
    indices = [dm.next_eval_image(step)[1]["image_idx"] for step in range(12)]
    assert indices == [manager(sound).next_eval(step)[1]["image_idx"] for step in range(12)]
    assert len(set(indices)) > 3
    assert {dm.next_eval(0)[1]["split_tag"]} == {"novel_view"}


def test_pixels_per_step_for_the_trainers_statistics(sound: Path) -> None:
    dm = manager(sound, cameras_per_step=2)
    assert dm.get_train_rays_per_batch() == 2 * WIDTH * HEIGHT
    _, batch = dm.next_train(0)
    assert dm.get_train_rays_per_batch() == batch["mask"].numel()
    assert dm.get_eval_rays_per_batch() == WIDTH * HEIGHT
    assert dm.get_param_groups() == {}


def test_nothing_is_read_before_it_is_asked_for(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Building the manager, and the viewer's walk over its attributes, must not load pictures (the parser looks at one
    mask of each camera, as stored)."""

    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("loaded a picture")

    monkeypatch.setattr("nerfstudio_mobavatar.images._scale", refuse)
    dm = manager(sound)
    assert parse_object(dm, ViewerElement, "") == []
    assert len(dm.fixed_indices_eval_dataloader) > 0
    assert dm._steps is None
    with pytest.raises(AssertionError, match="loaded a picture"):
        dm.next_train(0)


@pytest.mark.parametrize(("split", "count"), [("train", 30), ("val", FRAMES - 2), ("test", FRAMES - 2 + 6)])
def test_what_ns_render_dataset_does(sound: Path, split: str, count: int) -> None:
    """The calls of nerfstudio/scripts/render.py, DatasetRender.main."""
    config = manager(sound).config
    assert isinstance(config, FullImageDatamanagerConfig)
    manager(sound, {"test_mode": "inference"})
    with _disable_datamanager_setup(config._target):
        dm = config.setup(test_mode="test" if split == "train" else split)
    dataset = dm.train_dataset if split == "train" else dm.eval_dataset
    assert len(dataset) == count
    loader = FixedIndicesEvalDataloader(input_dataset=dataset, device="cpu", num_workers=4)
    camera, batch = next(iter(loader))
    assert batch["image"].dtype == torch.float32 and 0.3 < float(batch["image"].mean()) < 0.7
    assert camera.metadata is not None and camera.times is not None
    assert camera.metadata["pose_row"].tolist() == [[batch["pose_row"]]]
    assert os.path.commonpath(dataset._dataparser_outputs.image_filenames).startswith(str(sound))
    assert dataset.image_filenames[0].exists()


def test_camera_res_scale_factor_points_to_image_scale(sound: Path) -> None:
    with pytest.raises(CaptureError, match=r"camera_res_scale_factor is 0.5; expected 1.0. Use .* --image-scale"):
        manager(sound, camera_res_scale_factor=0.5)


def test_metadata_for_the_model(sound: Path) -> None:
    metadata = manager(sound).train_dataset.metadata
    assert metadata["capture"].root == sound and len(metadata["capture"].frames) == FRAMES
    assert metadata["train_frames"] == tuple(range(FRAMES - 2))
    assert len(metadata["images"]) == len(metadata["split_tags"]) == 3 * (FRAMES - 2)


def test_a_person_out_of_the_picture_gives_a_small_crop(sound: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / "capture"))
    dm = manager(folder, cameras_per_step=1)
    for path in folder.glob("cam*/mask/pha/*.jpg"):
        cv2.imwrite(str(path), np.zeros((HEIGHT, WIDTH), np.uint8))
    _, batch = dm.next_train(0)
    assert batch["mask"].shape == (1, 16, 16, 1) and not batch["mask"].any()


def test_real_capture_streams(test_data: Path) -> None:
    root = test_data / "real4cam"
    if not root.is_dir():
        pytest.skip(f"{root} is not there")
    dm = AvatarDataManagerConfig(data=root, num_workers=2).setup()
    for step in range(4):
        cameras, batch = dm.next_train(step)
        assert cameras.shape == (3,)
        person = (batch["mask"] >= 128).float().mean()
        assert 0.05 < float(person) < 0.8, "the crop is around the person"
